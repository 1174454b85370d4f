//! Parser for `${NAME}`, `${NAME:-default}`, `${file:PATH}` and `$$` in a string; nothing else is special.
//! Invariant: a replacement is not parsed again, so a value that contains `${` stays as it is.

/// A part of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextPart {
    /// Literal text.
    Text(String),
    /// `${NAME}`, or `${NAME:-default}` for a variable that is not set or empty.
    Variable { name: String, default: Option<String> },
    /// `${file:PATH}`: the content of a file without its last newline.
    File(String),
}

/// Error in a `${…}`. It contains no part of the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadReference {
    #[error("has a `${{` that is not closed")]
    Open,
    #[error("has a `${{…}}` whose content is not the name of an environment variable")]
    Name,
    #[error("has a `${{file:}}` without a path")]
    Path,
    #[error("has a `${{…}}` inside another `${{…}}`, which is not supported")]
    Nested,
}

impl BadReference {
    /// Hint: what to write instead.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Open | Self::Name | Self::Path => {
                "write ${NAME}, ${NAME:-default} or ${file:PATH}; for a dollar sign, write $$"
            }
            Self::Nested => "set one environment variable to the final value, and write ${NAME}",
        }
    }
}

/// Splits a string into its parts.
pub(super) fn parse(text: &str) -> Result<Vec<TextPart>, BadReference> {
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            plain.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (reference, after) = after.split_once('}').ok_or(BadReference::Open)?;
            if !plain.is_empty() {
                pieces.push(TextPart::Text(std::mem::take(&mut plain)));
            }
            pieces.push(reference_of(reference)?);
            rest = after;
        } else {
            plain.push('$');
            rest = after;
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(TextPart::Text(plain));
    }
    Ok(pieces)
}

fn reference_of(text: &str) -> Result<TextPart, BadReference> {
    // A reference ends at the first `}`, so the rest of the outer one would follow the value.
    if text.contains("${") {
        return Err(BadReference::Nested);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return match path {
            "" => Err(BadReference::Path),
            path => Ok(TextPart::File(path.to_owned())),
        };
    }
    let (name, default) = match text.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (text, None),
    };
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(BadReference::Name);
    }
    Ok(TextPart::Variable { name: name.to_owned(), default })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> TextPart {
        TextPart::Text(text.into())
    }

    fn variable(name: &str, default: Option<&str>) -> TextPart {
        TextPart::Variable { name: name.into(), default: default.map(Into::into) }
    }

    #[track_caller]
    fn check(written: &str, expected: Result<Vec<TextPart>, BadReference>) {
        assert_eq!(parse(written), expected, "{written}");
    }

    #[test]
    fn references_are_separated_from_text() {
        check("", Ok(vec![]));
        check("plain $5 {user}", Ok(vec![text("plain $5 {user}")]));
        check("$${HOME} $$", Ok(vec![text("${HOME} $")]));
        check("a${B_1}c", Ok(vec![text("a"), variable("B_1", None), text("c")]));
        check("${A:-}", Ok(vec![variable("A", Some(""))]));
        check("${A:-b:-$c}", Ok(vec![variable("A", Some("b:-$c"))]));
        check("${file:/run/x}", Ok(vec![TextPart::File("/run/x".into())]));
        check("$$${A}", Ok(vec![text("$"), variable("A", None)]));
    }

    #[test]
    fn malformed_reference_is_rejected() {
        check("${A", Err(BadReference::Open));
        check("${}", Err(BadReference::Name));
        check("${1A}", Err(BadReference::Name));
        check("${A-b}", Err(BadReference::Name));
        check("${file:}", Err(BadReference::Path));
        check("${A:-${B}}", Err(BadReference::Nested));
        check("${A:-b-${B:-c}}", Err(BadReference::Nested));
        check("${file:${HOME}/x}", Err(BadReference::Nested));
    }

    proptest! {
        #[test]
        fn doubled_dollars_escape_any_text(written in ".*") {
            let pieces = parse(&written.replace('$', "$$")).unwrap();
            let expected: Vec<TextPart> = (!written.is_empty()).then(|| text(&written)).into_iter().collect();
            prop_assert_eq!(pieces, expected);
        }

        #[test]
        fn parser_does_not_panic_on_any_text(written in "[$a-c{}:\\-]{0,20}") {
            drop(parse(&written));
        }
    }
}
