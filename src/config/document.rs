//! YAML text -> a tree of its values. The tree keeps what YAML parsers usually drop: a key that is set twice, a tag.
//! After that the text is only used to find line numbers.

use std::fmt;

use serde::de::{
    self, Deserialize, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

/// A value as it is in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// No value, `~` or `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number, as a string.
    Number(String),
    /// Any other scalar.
    Text(String),
    /// `[…]`, or lines that begin with `-`.
    List(Vec<Self>),
    /// `{…}`, or lines with `key: value`. A key that is set twice is in it twice.
    Map(Vec<(String, Self)>),
    /// `!tag value`, which no key accepts.
    Tagged,
}

/// Error for a text that is not valid YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: Option<usize>,
    pub(super) message: &'static str,
    pub(super) hint: Option<&'static str>,
}

/// Parses a YAML text.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if let Some(line) = too_deep(text) {
        let (line, message) = (Some(line), "too many open brackets");
        return Err(SyntaxError { line, message, hint: None });
    }
    serde_yaml::from_str(text).map_err(|error| SyntaxError::of(&error, text))
}

impl Node {
    /// Description of the value, for "must be …, not …".
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Flag(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Tagged => "a value with a YAML tag",
        }
    }
}

impl SyntaxError {
    // SECURITY: the parser's error may quote a value, and the value may be a secret. So only its line is used, and
    // the message is our own.
    fn of(error: &serde_yaml::Error, text: &str) -> Self {
        let words = error.to_string();
        let mut line = error.location().map(|location| location.line());
        if line.is_some_and(|line| is_indented_with_a_tab(text, line)) {
            let (message, hint) = ("tab in the indentation", Some("indent with spaces"));
            return Self { line, message, hint };
        }
        let Some((_, place, message, hint)) = SYNTAX.iter().find(|known| words.contains(known.0))
        else {
            return Self::unknown(line, text);
        };
        match place {
            Place::Stopped => {}
            Place::Opened => line = last_line_in(&words).or(line),
            Place::Control => line = first_line(text, |line| line.contains(is_no_yaml)).or(line),
            Place::Document => line = first_line(text, |line| line.starts_with("---")),
        }
        if *place == Place::Document && line.is_none() {
            let message = "not YAML: there is text after the end of the first value";
            let hint = "write one YAML mapping with the keys `server:`, `providers:` and `routes:`";
            return Self { line, message, hint: Some(hint) };
        }
        Self { line, message, hint: *hint }
    }

    fn unknown(line: Option<usize>, text: &str) -> Self {
        let written = line.map_or("", |line| line_at(text, line));
        let (message, hint) = if written.contains("{{") {
            ("`{{` needs quotes", Some("put the whole value in quotes: \"{{ … }}\""))
        } else if written.contains("[::") {
            ("an IPv6 address needs quotes", Some("put it in quotes: \"[::1]:4180\""))
        } else {
            let hint = "check brackets, quotes and indentation of this line and the lines above";
            ("not valid YAML", Some(hint))
        };
        Self { line, message, hint }
    }
}

/// Which line a message shows. The parser's error has up to two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The line where the parser stopped.
    Stopped,
    /// The line of the opening bracket or quote that is not closed.
    Opened,
    /// Neither: the line with the control character.
    Control,
    /// Neither: the line where another document begins.
    Document,
}

/// Returns the first line at which more brackets are open than the parser allows. Brackets in comments and quotes
/// count too: this is only a quick check before the parser runs.
// SECURITY: the parser's time grows with the square of the depth; 100 kB of `[` would take a minute.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    first_line(text, |line| {
        line.bytes().any(|byte| {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            open > MOST_OPEN
        })
    })
}

fn first_line(text: &str, is_it: impl FnMut(&str) -> bool) -> Option<usize> {
    text.lines().position(is_it).map(|at| at + 1)
}

fn line_at(text: &str, line: usize) -> &str {
    text.lines().nth(line.saturating_sub(1)).unwrap_or_default()
}

fn is_no_yaml(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\u{85}')
}

fn is_indented_with_a_tab(text: &str, line: usize) -> bool {
    line_at(text, line).chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t')
}

/// Returns the last `at line N` of the parser's message.
fn last_line_in(words: &str) -> Option<usize> {
    let (_, rest) = words.rsplit_once(" at line ")?;
    rest.split(' ').next()?.parse().ok()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_u128<E: de::Error>(self, number: u128) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let (IgnoredAny, value) = tagged.variant()?;
        value.newtype_variant::<IgnoredAny>()?;
        Ok(Node::Tagged)
    }
}

/// Nesting limit of the parser.
const MOST_OPEN: usize = 128;

/// A part of the parser's message, the line to show, and our message and hint.
const SYNTAX: [(&str, Place, &str, Option<&str>); 17] = [
    (
        "character that cannot start any token",
        Place::Stopped,
        "a value cannot begin with this character",
        Some("put a value that begins with @, ` or % in quotes"),
    ),
    (
        "mapping values are not allowed",
        Place::Stopped,
        "`:` is not allowed here",
        Some(
            "check the indentation of this line and the line above; a value that contains `: ` needs quotes",
        ),
    ),
    ("expected ',' or ']'", Place::Opened, "list `[` is not closed, or an item needs quotes", None),
    (
        "expected ',' or '}'",
        Place::Opened,
        "mapping `{` is not closed, or a value needs quotes",
        None,
    ),
    (
        "found unknown escape character",
        Place::Stopped,
        "unknown escape `\\` in \"…\"",
        Some("use '…' instead: there, a backslash is an ordinary character"),
    ),
    (
        "while scanning a quoted scalar",
        Place::Opened,
        "quote is not closed",
        Some("write a quote inside a quoted value as '' in '…', and as \\\" in \"…\""),
    ),
    (
        "could not find expected ':'",
        Place::Stopped,
        "key without `:`",
        Some("write `key: value`, with a space after the colon"),
    ),
    (
        "did not find expected key",
        Place::Stopped,
        "indentation does not match the lines above",
        Some("keys of the same mapping must begin in the same column"),
    ),
    (
        "did not find expected '-' indicator",
        Place::Stopped,
        "indentation does not match the list above",
        Some("items of the same list must begin with `- ` in the same column"),
    ),
    (
        "block sequence entries are not allowed",
        Place::Stopped,
        "`-` is not allowed here",
        Some("begin the list on a new line below its key"),
    ),
    (
        "did not find expected alphabetic or numeric character",
        Place::Stopped,
        "YAML reads `*` and `&` as an alias or an anchor",
        Some("put the whole value in quotes, as in \"*.example.com\""),
    ),
    (
        "unknown anchor",
        Place::Stopped,
        "alias `*name` has no anchor `&name` above it",
        Some("put a value that begins with `*` in quotes"),
    ),
    (
        "control characters are not allowed",
        Place::Control,
        "control characters are not allowed",
        None,
    ),
    (
        "more than one document",
        Place::Document,
        "more than one YAML document",
        Some("remove the line `---` and everything below it"),
    ),
    ("recursion limit", Place::Stopped, "nested too deeply", None),
    ("repetition limit", Place::Stopped, "aliases are expanded too often", None),
    (
        "invalid value: ",
        Place::Stopped,
        "value does not match its YAML tag",
        Some("remove the tag, such as !!int"),
    ),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, line: usize, message: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!((error.line, error.message), (Some(line), message), "{text}");
    }

    #[test]
    fn syntax_error_names_the_line() {
        check("a:\n\tb: 2\n", 2, "tab in the indentation");
        check("a: 1\nb: @x\n", 2, "a value cannot begin with this character");
        check("a: b: c\n", 1, "`:` is not allowed here");
        check("a: [b\nc: d\n", 1, "list `[` is not closed, or an item needs quotes");
        check("a: {b: c\nd: e\n", 1, "mapping `{` is not closed, or a value needs quotes");
        check("a: 1\nb: \"b\nc: d\n", 2, "quote is not closed");
        check("a: \"\\w\"\n", 1, "unknown escape `\\` in \"…\"");
        check("a: 1\n  b: 2\nc\n", 2, "`:` is not allowed here");
        check("a:\n  b: 1\n c: 2\n", 3, "indentation does not match the lines above");
        check("a: *b\n", 1, "alias `*name` has no anchor `&name` above it");
        let star = "YAML reads `*` and `&` as an alias or an anchor";
        check("a: [*]\n", 1, star);
        check("host: *.example.com\n", 1, star);
        check("a: 1\nb: x\u{1}\n", 2, "control characters are not allowed");
        check("a: 1\nb: {{ x }}\n", 2, "`{{` needs quotes");
        check("a: 1\nlisten: [::1]:31191\n", 2, "an IPv6 address needs quotes");
        check("a: 1\nlisten: [::]:80\nb: 1\n", 2, "an IPv6 address needs quotes");
        check("- [::1]:80\n- b\n", 1, "an IPv6 address needs quotes");
        check("a: 1\n---\nb: 1\n", 2, "more than one YAML document");
    }

    #[test]
    fn other_format_is_not_reported_as_two_documents() {
        for text in ["[server]\na = 1\n", "{\"a\": 1}\n{\"b\": 2}\n"] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                error.message, "not YAML: there is text after the end of the first value",
                "{text}"
            );
        }
    }

    #[test]
    fn syntax_error_never_quotes_a_value() {
        for text in ["a: !!int hunter2", "a: !!bool hunter2", "a: !!null hunter2"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, "value does not match its YAML tag");
        }
    }

    #[test]
    fn repeated_keys_and_tags_are_kept() {
        let Node::Map(entries) = parse("a: 1\na: !x [2]\n").unwrap() else { panic!("no mapping") };
        assert_eq!(entries, [("a".into(), Node::Number("1".into())), ("a".into(), Node::Tagged)]);
    }

    #[test]
    fn alias_bomb_is_rejected() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert_eq!(parse(&text).unwrap_err().message, "aliases are expanded too often");
    }

    #[test]
    fn deep_nesting_is_rejected_before_parsing() {
        for opening in ["[", "{", "a: [", "[{"] {
            let deep = opening.repeat(100_000);
            assert!(too_deep(&deep).is_some() && parse(&deep).is_err(), "{opening}");
        }
        assert!(parse(&"- ".repeat(100_000)).is_err());
        assert_eq!(too_deep(&"a: [{}]\n".repeat(10_000)), None);
    }

    proptest! {
        #[test]
        fn parser_does_not_panic_on_any_text(text in "[ -~\n\t\u{e9}]{0,80}") {
            drop(parse(&text));
        }
    }
}
