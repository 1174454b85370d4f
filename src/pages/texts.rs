//! How a value gets into a text of a page, and how a language lists its texts.
//! Invariant: a value is never read as a text: what stands in its braces is no placeholder.

use std::borrow::Cow;

/// Puts the values of placeholders into a text.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> Cow<'static, str> {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        filled.push_str(match piece {
            Piece::Literal(literal) => literal,
            Piece::Placeholder(name) => {
                values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
            }
        });
    }
    filled.into()
}

enum Piece<'t> {
    Literal(&'t str),
    /// `{name}`: ASCII letters and `_` between braces.
    Placeholder(&'t str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    // Each part but the first began with a brace.
    let mut parts = text.split('{');
    let first = parts.next().map(Piece::Literal);
    let later = parts.flat_map(|part| match part.split_once('}') {
        Some((name, rest)) if is_name(name) => [Piece::Placeholder(name), Piece::Literal(rest)],
        Some(_) | None => [Piece::Literal("{"), Piece::Literal(part)],
    });
    first.into_iter().chain(later)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// The names of a text's placeholders.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Placeholder(name) => Some(name),
        Piece::Literal(_) => None,
    })
}

/// The list of all texts, and their values in English.
macro_rules! texts_in_english {
    ($($key:ident: $text:literal,)*) => {
        /// All texts of pages in one language.
        #[derive(Clone, Debug)]
        pub(super) struct Texts {
            $(pub(super) $key: std::borrow::Cow<'static, str>,)*
        }

        impl Texts {
            /// The text of a key.
            pub(super) fn get_mut(
                &mut self,
                key: &str,
            ) -> Option<&mut std::borrow::Cow<'static, str>> {
                match key {
                    $(stringify!($key) => Some(&mut self.$key),)*
                    _ => None,
                }
            }
        }

        crate::pages::texts::texts! { $($key: $text,)* }
    };
}

/// All texts in one language. The compiler finds one that is missing.
macro_rules! texts {
    ($($key:ident: $text:literal,)*) => {
        /// The built-in texts.
        pub(super) const TEXTS: Texts = Texts {
            $($key: std::borrow::Cow::Borrowed($text),)*
        };

        /// The same, by key.
        pub(super) const BUILT_IN: &[(&str, &str)] = &[$((stringify!($key), $text)),*];
    };
}

pub(super) use {texts, texts_in_english};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_in_a_text_is_not_read_as_a_placeholder() {
        let values = [("account", "{provider}"), ("provider", "{account}")];
        assert_eq!(
            fill("{account} at {provider}, {other}{ } {", &values),
            "{provider} at {account}, { } {"
        );
    }
}
