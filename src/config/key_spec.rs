//! What a key of the file is: its name, its type, its default, a sentence about it. The table of a section's keys
//! stands on top of the file that reads the section.
//! Invariant: a default is YAML text and is read like a written value, so it stands nowhere else.

use std::time::Duration;

use crate::config::document::Node;

/// One key.
#[derive(Debug)]
pub(super) struct KeySpec {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    pub(super) default: DefaultValue,
    /// What it means, in a sentence.
    pub(super) about: &'static str,
}

/// What may be written.
#[derive(Debug)]
pub(super) enum Type {
    /// A text; what YAML takes for a number or a boolean needs quotes.
    Text,
    /// A text, number or boolean, taken as text.
    Scalar,
    /// A text that is never shown.
    Secret,
    /// A path or PEM text; never shown, since a key may be pasted where a certificate belongs.
    Pem,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count { least: u64, most: u64 },
    /// Bytes.
    Size { least: u64, most: u64 },
    /// A span of time.
    Duration { least: Duration, most: Duration },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of at least so many.
    List { of: &'static Self, least: usize },
    /// One, or a list of at least one.
    OneOrMore(&'static Self),
    /// A mapping with names of the author's.
    Map(&'static Self),
    /// A mapping with these keys.
    Section(&'static [KeySpec]),
    /// Any of these.
    Either(&'static [Self]),
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug)]
pub(super) enum DefaultValue {
    /// This YAML text.
    Is(&'static str),
    /// Nothing; the words say what that means.
    Unset(&'static str),
    /// It must be written; an example.
    Required(&'static str),
}

pub(super) const fn key(
    name: &'static str,
    kind: Type,
    default: DefaultValue,
    about: &'static str,
) -> KeySpec {
    KeySpec { name, kind, default, about }
}

pub(super) const fn millis(least: u64, most: u64) -> Type {
    Type::Duration { least: Duration::from_millis(least), most: Duration::from_millis(most) }
}

pub(super) const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;

impl Type {
    /// Whether a value that stands on its own may be of this type.
    pub(super) fn takes(&self, node: &Node) -> bool {
        match (self, node) {
            (Self::Either(kinds), _) => kinds.iter().any(|kind| kind.takes(node)),
            (Self::OneOrMore(kind), _) => kind.takes(node),
            // Any type may come out of `${…}`.
            (
                Self::Text
                | Self::Scalar
                | Self::Secret
                | Self::Pem
                | Self::Flag
                | Self::Count { .. }
                | Self::Size { .. }
                | Self::Duration { .. }
                | Self::Choice(_),
                Node::Text(_),
            ) => true,
            (Self::Scalar | Self::Flag, Node::Flag(_)) => true,
            (
                Self::Scalar | Self::Count { .. } | Self::Size { .. } | Self::Duration { .. },
                Node::Number(_),
            ) => true,
            (
                Self::Text
                | Self::Scalar
                | Self::Secret
                | Self::Pem
                | Self::Flag
                | Self::Count { .. }
                | Self::Size { .. }
                | Self::Duration { .. }
                | Self::Choice(_)
                | Self::List { .. }
                | Self::Map(_)
                | Self::Section(_),
                _,
            ) => false,
        }
    }

    /// The type of a list's items and how many there must be.
    pub(super) fn items(&'static self) -> Option<(&'static Self, usize)> {
        if let Self::Either(kinds) = self {
            return kinds.iter().find_map(Self::items);
        }
        if let Self::OneOrMore(of) = self {
            return Some((*of, 1));
        }
        if let Self::List { of, least } = self { Some((*of, *least)) } else { None }
    }

    /// The words to choose from.
    pub(super) fn words(&self) -> &'static [&'static str] {
        if let Self::Either(kinds) = self {
            return kinds
                .iter()
                .map(Self::words)
                .find(|words| !words.is_empty())
                .unwrap_or_default();
        }
        if let Self::Choice(words) = self { words } else { &[] }
    }

    /// What must be written, for "must be …".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text | Self::Secret | Self::Pem => "a text".to_owned(),
            Self::Scalar => "a text, a number, true or false".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Count { .. } => "a whole number".to_owned(),
            Self::Size { .. } => "a size such as 64KiB".to_owned(),
            Self::Duration { .. } => "a duration such as 15m".to_owned(),
            Self::Choice([word]) => (*word).to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List { .. } => "a list".to_owned(),
            Self::OneOrMore(kind) => format!("{} or a list", kind.describe()),
            Self::Map(_) | Self::Section(_) => "a mapping".to_owned(),
            Self::Either(kinds) => {
                kinds.iter().map(Self::describe).collect::<Vec<_>>().join(" or ")
            }
        }
    }
}
