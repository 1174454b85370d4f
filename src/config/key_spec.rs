//! Specification of one configuration key: name, type, default, and a sentence. The `KEYS` of a section are on top
//! of the file that reads the section; the JSON Schema, "did you mean" and the test of `config/full.yaml` use them.
//! Invariant: a default is YAML text and is parsed like a value from the file, so it is written only once.

use std::time::Duration;

use crate::config::document::Node;

/// One key.
#[derive(Debug)]
pub(super) struct KeySpec {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    pub(super) default: DefaultValue,
    /// Its meaning, in one sentence.
    pub(super) about: &'static str,
}

/// Type of a value.
#[derive(Debug)]
pub(super) enum Type {
    /// A string. What YAML reads as a number or a boolean needs quotes.
    Text,
    /// A string, number or boolean, read as a string.
    Scalar,
    /// A string that is never shown.
    Secret,
    /// A path, or the PEM text or JSON text itself. It is never shown: a private key may be pasted in its place.
    Pem,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count { least: u64, most: u64 },
    /// Bytes.
    Size { least: u64, most: u64 },
    /// A duration.
    Duration { least: Duration, most: Duration },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list with at least `least` items.
    List { of: &'static Self, least: usize },
    /// One value, or a list of at least one.
    OneOrMore(&'static Self),
    /// A mapping whose names the operator chooses.
    Map(&'static Self),
    /// A mapping with these keys.
    Section(&'static [KeySpec]),
    /// A mapping of keys to strings. Each key has this default.
    Texts(&'static [(&'static str, &'static str)]),
    /// Any of these.
    Either(&'static [Self]),
}

impl Type {
    /// Whether no message may show a value.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::Pem)
    }
}

/// Value of a key that is not set.
#[derive(Clone, Copy, Debug)]
pub(super) enum DefaultValue {
    /// This YAML text.
    Is(&'static str),
    /// No value. The text says what that means.
    Unset(&'static str),
    /// No default: the key is required. The text is an example.
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
    /// Whether a scalar may have this type.
    pub(super) fn accepts(&self, node: &Node) -> bool {
        if let Self::Either(kinds) = self {
            return kinds.iter().any(|kind| kind.accepts(node));
        }
        if let Self::OneOrMore(kind) = self {
            return kind.accepts(node);
        }
        match node {
            // `${…}` may be replaced by a value of any type.
            Node::Text(_) => self.is_scalar(),
            Node::Flag(_) => matches!(self, Self::Scalar | Self::Flag),
            Node::Number(_) => matches!(
                self,
                Self::Scalar | Self::Count { .. } | Self::Size { .. } | Self::Duration { .. }
            ),
            Node::Null | Node::List(_) | Node::Map(_) | Node::Tagged => false,
        }
    }

    fn is_scalar(&self) -> bool {
        match self {
            Self::Text
            | Self::Scalar
            | Self::Secret
            | Self::Pem
            | Self::Flag
            | Self::Count { .. }
            | Self::Size { .. }
            | Self::Duration { .. }
            | Self::Choice(_) => true,
            Self::List { .. }
            | Self::OneOrMore(_)
            | Self::Map(_)
            | Self::Section(_)
            | Self::Texts(_)
            | Self::Either(_) => false,
        }
    }

    /// Type of a list's items, and the minimum number of items.
    pub(super) fn items(&'static self) -> Option<(&'static Self, usize)> {
        if let Self::Either(kinds) = self {
            return kinds.iter().find_map(Self::items);
        }
        if let Self::OneOrMore(of) = self {
            return Some((*of, 1));
        }
        if let Self::List { of, least } = self { Some((*of, *least)) } else { None }
    }

    /// Keys of a mapping.
    pub(super) fn keys(&self) -> Option<&'static [KeySpec]> {
        if let Self::Either(kinds) = self {
            return kinds.iter().find_map(Self::keys);
        }
        if let Self::Section(keys) = self { Some(*keys) } else { None }
    }

    /// Type of the values of a mapping that is read by its entries.
    pub(super) fn entries(&self) -> Option<&'static Self> {
        if let Self::Texts(_) = self {
            return Some(&Self::Text);
        }
        if let Self::Map(of) = self { Some(of) } else { None }
    }

    /// Words of a choice.
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

    /// Description of the type, for "must be …".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text | Self::Secret | Self::Pem => "a string".to_owned(),
            Self::Scalar => "a string, a number or a boolean".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Count { .. } => "a whole number".to_owned(),
            Self::Size { .. } => "a size such as 64KiB".to_owned(),
            Self::Duration { .. } => "a duration such as 15m".to_owned(),
            Self::Choice([word]) => (*word).to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List { .. } => "a list".to_owned(),
            Self::OneOrMore(kind) => format!("{} or a list", kind.describe()),
            Self::Map(_) | Self::Texts(_) | Self::Section(_) => "a mapping".to_owned(),
            Self::Either(kinds) => {
                kinds.iter().map(Self::describe).collect::<Vec<_>>().join(" or ")
            }
        }
    }
}
