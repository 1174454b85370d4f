//! The YAML text -> a tree that remembers what was written, even what YAML would rather merge:
//! a key that stands twice, a tag. The text after that is only asked for lines.

use std::fmt;

use serde::de::{
    self, Deserialize, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number, as text.
    Number(String),
    /// Anything else on its own.
    Text(String),
    /// `[…]`, or lines that begin with `-`.
    List(Vec<Self>),
    /// `{…}`, or lines with `key: value`; a key that stands twice is here twice.
    Map(Vec<(String, Self)>),
    /// `!tag value`, which no key takes.
    Tagged,
}

/// Why a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: Option<usize>,
    pub(super) message: &'static str,
    pub(super) hint: Option<&'static str>,
}

/// Reads a YAML text.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if let Some(line) = too_deep(text) {
        let (line, message) = (Some(line), "opens too many brackets that are not closed");
        return Err(SyntaxError { line, message, hint: None });
    }
    serde_yaml::from_str(text).map_err(|error| SyntaxError::of(&error, text))
}

impl Node {
    /// What it is, for "must be …, not …".
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Tagged => "a value with a YAML tag",
        }
    }
}

impl SyntaxError {
    // SECURITY: an error of the parser may quote a value, and the value may be a secret; so only its
    // place is taken, and its words are ours.
    fn of(error: &serde_yaml::Error, text: &str) -> Self {
        let words = error.to_string();
        let mut line = error.location().map(|location| location.line());
        if line.is_some_and(|line| is_indented_with_a_tab(text, line)) {
            let (message, hint) = ("is indented with a tab", Some("indent with spaces"));
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
            let message = "goes on behind the end of its first value";
            let hint =
                "it must be YAML: one mapping, with the lines `server:`, `providers:`, `routes:`";
            return Self { line, message, hint: Some(hint) };
        }
        Self { line, message, hint: *hint }
    }

    fn unknown(line: Option<usize>, text: &str) -> Self {
        let written = line.map_or("", |line| line_at(text, line));
        let (message, hint) = if written.contains("{{") {
            ("has a `{{` outside of quotes", Some("put the whole value in quotes: \"{{ … }}\""))
        } else if written.contains("[::") {
            ("has an IPv6 address outside of quotes", Some("put it in quotes: \"[::1]:4180\""))
        } else {
            ("is not YAML", None)
        };
        Self { line, message, hint }
    }
}

/// Which place is shown; the parser tells two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where it could not go on.
    Stopped,
    /// Where that began which never ends.
    Opened,
    /// Neither: where the control character stands.
    Control,
    /// Neither: where another document begins.
    Document,
}

/// The line at which more brackets are open than any configuration has. Those in comments and quotes
/// count too, for this only comes before the parser, which knows better but is slow to find out.
// SECURITY: its time grows with the square of the depth; 100 kB of `[` would keep it for a minute.
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

/// The last `at line N` of the parser's words.
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

/// As deep as the parser goes.
const MOST_OPEN: usize = 128;

/// A part of the parser's words, the place to show, and what an operator is told instead.
const SYNTAX: [(&str, Place, &str, Option<&str>); 17] = [
    (
        "character that cannot start any token",
        Place::Stopped,
        "has a character that cannot begin a value",
        Some("put a value that begins with @, ` or % in quotes"),
    ),
    (
        "mapping values are not allowed",
        Place::Stopped,
        "has a `:` where none can stand",
        Some("check the indentation here and one line above; a text with `: ` in it needs quotes"),
    ),
    (
        "expected ',' or ']'",
        Place::Opened,
        "opens a list `[` that is not closed, or has an item that needs quotes",
        None,
    ),
    (
        "expected ',' or '}'",
        Place::Opened,
        "opens a mapping `{` that is not closed, or has a value that needs quotes",
        None,
    ),
    (
        "found unknown escape character",
        Place::Stopped,
        "has a `\\` in \"…\" that YAML does not know",
        Some("in '…' a backslash stands for itself"),
    ),
    (
        "while scanning a quoted scalar",
        Place::Opened,
        "opens a quote that is not closed",
        Some("a quote inside a quoted text is written twice in '…', and \\\" in \"…\""),
    ),
    (
        "could not find expected ':'",
        Place::Stopped,
        "has a key without its `:`",
        Some("write `key: value`, with a space behind the colon"),
    ),
    (
        "did not find expected key",
        Place::Stopped,
        "does not fit the lines above it",
        Some("keys of one mapping stand in the same column"),
    ),
    (
        "did not find expected '-' indicator",
        Place::Stopped,
        "does not fit the list above it",
        Some("items of one list begin with `- ` in the same column"),
    ),
    (
        "block sequence entries are not allowed",
        Place::Stopped,
        "has a `-` where no list can begin",
        Some("a list begins on a line of its own, below its key"),
    ),
    (
        "did not find expected alphabetic or numeric character",
        Place::Stopped,
        "has a `*` or `&` that YAML takes for an alias or an anchor",
        Some("put the whole value in quotes, as in \"*.example.com\""),
    ),
    (
        "unknown anchor",
        Place::Stopped,
        "has an alias `*name` whose anchor `&name` does not stand above it",
        Some("put a text that begins with * in quotes"),
    ),
    ("control characters are not allowed", Place::Control, "has a control character in it", None),
    (
        "more than one document",
        Place::Document,
        "has more than one document",
        Some("remove the line `---` and what is below it"),
    ),
    ("recursion limit", Place::Stopped, "is nested too deeply", None),
    ("repetition limit", Place::Stopped, "repeats its aliases too often", None),
    (
        "invalid value: ",
        Place::Stopped,
        "has a value that does not fit its YAML tag",
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
    fn a_fault_of_syntax_is_told_with_its_line() {
        check("a:\n\tb: 2\n", 2, "is indented with a tab");
        check("a: 1\nb: @x\n", 2, "has a character that cannot begin a value");
        check("a: b: c\n", 1, "has a `:` where none can stand");
        check(
            "a: [b\nc: d\n",
            1,
            "opens a list `[` that is not closed, or has an item that needs quotes",
        );
        check(
            "a: {b: c\nd: e\n",
            1,
            "opens a mapping `{` that is not closed, or has a value that needs quotes",
        );
        check("a: 1\nb: \"b\nc: d\n", 2, "opens a quote that is not closed");
        check("a: \"\\w\"\n", 1, "has a `\\` in \"…\" that YAML does not know");
        check("a: 1\n  b: 2\nc\n", 2, "has a `:` where none can stand");
        check("a:\n  b: 1\n c: 2\n", 3, "does not fit the lines above it");
        check("a: *b\n", 1, "has an alias `*name` whose anchor `&name` does not stand above it");
        let star = "has a `*` or `&` that YAML takes for an alias or an anchor";
        check("a: [*]\n", 1, star);
        check("host: *.example.com\n", 1, star);
        check("a: 1\nb: x\u{1}\n", 2, "has a control character in it");
        check("a: 1\nb: {{ x }}\n", 2, "has a `{{` outside of quotes");
        check("a: 1\nlisten: [::1]:31191\n", 2, "has an IPv6 address outside of quotes");
        check("a: 1\nlisten: [::]:80\nb: 1\n", 2, "has an IPv6 address outside of quotes");
        check("- [::1]:80\n- b\n", 1, "has an IPv6 address outside of quotes");
        check("a: 1\n---\nb: 1\n", 2, "has more than one document");
    }

    #[test]
    fn another_format_is_not_taken_for_two_documents() {
        for text in ["[server]\na = 1\n", "{\"a\": 1}\n{\"b\": 2}\n"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, "goes on behind the end of its first value", "{text}");
        }
    }

    #[test]
    fn a_value_is_never_quoted() {
        for text in ["a: !!int hunter2", "a: !!bool hunter2", "a: !!null hunter2"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, "has a value that does not fit its YAML tag");
        }
    }

    #[test]
    fn what_was_written_twice_or_tagged_is_kept() {
        let Node::Map(entries) = parse("a: 1\na: !x [2]\n").unwrap() else { panic!("no mapping") };
        assert_eq!(entries, [("a".into(), Node::Number("1".into())), ("a".into(), Node::Tagged)]);
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert_eq!(parse(&text).unwrap_err().message, "repeats its aliases too often");
    }

    #[test]
    fn what_is_nested_deeper_than_anybody_writes_is_refused_before_it_is_parsed() {
        for opening in ["[", "{", "a: [", "[{"] {
            let deep = opening.repeat(100_000);
            assert!(too_deep(&deep).is_some() && parse(&deep).is_err(), "{opening}");
        }
        assert!(parse(&"- ".repeat(100_000)).is_err());
        assert_eq!(too_deep(&"a: [{}]\n".repeat(10_000)), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n\t\u{e9}]{0,80}") {
            drop(parse(&text));
        }
    }
}
