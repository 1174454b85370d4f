//! A configuration key with its value in the file, and its containers: lists of mappings, mappings with names that
//! the operator chooses. Scalars are read in `scalar.rs`.

use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type};
use crate::config::problem::KeyPath;

/// The default of a rule's key, see [`DefaultValue::Unset`].
pub(super) const NOT_CHECKED: &str = "not checked";

/// The default of a route's `providers`.
pub(super) const ALL_PROVIDERS: &str = "all";

/// A key, or an item of a list, with its value in the file.
#[derive(Clone, Debug)]
pub(super) struct Field<'r> {
    pub(super) diagnostics: &'r Diagnostics<'r>,
    pub(super) path: KeyPath,
    pub(super) name: String,
    pub(super) node: Option<&'r Node>,
    pub(super) kind: &'static Type,
    pub(super) default: DefaultValue,
}

impl<'r> Field<'r> {
    pub(super) fn new(
        diagnostics: &'r Diagnostics<'r>,
        path: KeyPath,
        key: &'static KeySpec,
        node: Option<&'r Node>,
    ) -> Self {
        Self {
            diagnostics,
            path,
            name: key.name.to_owned(),
            node,
            kind: &key.kind,
            default: key.default,
        }
    }

    /// Returns the items of a list of mappings, each as a field; none if the key is not set.
    pub(super) fn items(&self) -> Result<Vec<Self>, Reported> {
        match (self.node, self.kind.items(), self.default) {
            (Some(Node::List(items)), Some((kind, least)), _) if items.len() >= least => {
                let items = items.iter().enumerate();
                Ok(items.map(|(at, item)| self.inner(self.path.item(at), "", kind, item)).collect())
            }
            (Some(Node::List(_) | Node::Null), _, _) => Err(self.empty()),
            (Some(node), _, _) => Err(self.wrong_type(node)),
            (None, _, DefaultValue::Required(example)) => Err(self.missing(Some(example))),
            (None, _, DefaultValue::Is(_) | DefaultValue::Unset(_)) => Ok(Vec::new()),
        }
    }

    /// Returns the entries of a mapping whose names the operator chooses, each as a field; `None` if the key is
    /// not set.
    pub(super) fn entries(&self) -> Result<Option<Vec<Self>>, Reported> {
        let entries = match self.node {
            None => return Ok(None),
            Some(Node::Map(entries)) => entries,
            Some(Node::Null) => return Err(self.empty()),
            Some(node) => return Err(self.wrong_type(node)),
        };
        let Some(kind) = self.kind.entries() else { return Err(self.wrong_type(&Node::Null)) };
        report_twice(self.diagnostics, &self.path, entries);
        let field =
            |(name, node): &'r (String, Node)| self.inner(self.path.key(name), name, kind, node);
        Ok(Some(entries.iter().map(field).collect()))
    }

    /// Reports an error about this field without showing its value.
    pub(super) fn error(&self, invalid: &Invalid) -> Reported {
        self.diagnostics.error(&self.path, invalid, None)
    }

    /// Reports that a required key is missing.
    pub(super) fn missing(&self, example: Option<&str>) -> Reported {
        let invalid = Invalid::new("is required");
        self.error(&match example {
            Some(example) => invalid.hint(format!("write `{example}`")),
            None => invalid,
        })
    }

    /// Whether the value contains no `${…}`, so that a message may show what is derived from it.
    pub(super) fn is_literal(&self) -> bool {
        let literal = |node: &Node| !matches!(node, Node::Text(text) if text.contains("${"));
        match self.node {
            Some(Node::List(items)) => items.iter().all(literal),
            node => node.is_none_or(literal),
        }
    }

    fn inner(&self, path: KeyPath, name: &str, kind: &'static Type, node: &'r Node) -> Self {
        let (diagnostics, default) = (self.diagnostics, DefaultValue::Unset("nothing"));
        Self { diagnostics, path, name: name.to_owned(), node: Some(node), kind, default }
    }

    pub(super) fn empty(&self) -> Reported {
        let hint = match self.default {
            DefaultValue::Required(example) => format!("write `{example}`"),
            // SECURITY: a rule with fewer keys allows more.
            DefaultValue::Unset(NOT_CHECKED) => {
                format!("add a value; a rule without `{}` allows more requests", self.name)
            }
            DefaultValue::Unset(ALL_PROVIDERS) => {
                "add a value; without the key, users of all providers are accepted".to_owned()
            }
            DefaultValue::Is(without) | DefaultValue::Unset(without) => {
                format!("add a value, or remove the key [default: {without}]")
            }
        };
        let what = match self.node {
            Some(Node::List(_)) => "is an empty list",
            _ => "has no value",
        };
        self.error(&Invalid::new(what).hint(hint))
    }

    pub(super) fn wrong_type(&self, node: &Node) -> Reported {
        self.error(&type_mismatch(self.kind, node))
    }
}

/// Reports every key that is set twice.
pub(super) fn report_twice(
    diagnostics: &Diagnostics<'_>,
    path: &KeyPath,
    entries: &[(String, Node)],
) {
    for (at, (name, _)) in entries.iter().enumerate() {
        // A third time is the same error, and `KeyPath` has no step for it.
        if entries.iter().take(at).filter(|(before, _)| before == name).count() == 1 {
            let invalid = Invalid::new("is set twice").hint("remove one of the two");
            diagnostics.error(&path.again(name), &invalid, None);
        }
    }
}

/// The name of an environment variable in the syntax of Caddy, `{$NAME}` or `{env.NAME}`, which YAML reads as a mapping.
fn foreign_variable(entries: &[(String, Node)]) -> Option<&str> {
    let [(name, Node::Null)] = entries else { return None };
    let name = name.strip_prefix('$').or_else(|| name.strip_prefix("env."))?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// Whether a value of a list can be shown, and be written in YAML without quotes.
// SECURITY: a value with `:` may have a password in it.
fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '@');
    let is_word = |word: &str| word.starts_with(|c: char| c.is_ascii_alphanumeric());
    text.len() <= 100 && text.split(", ").all(|word| is_word(word) && word.chars().all(is_plain))
}

pub(super) fn type_mismatch(kind: &Type, node: &Node) -> Invalid {
    let invalid = Invalid::new(format!("must be {}, not {}", kind.describe(), node.describe()));
    match (kind, node) {
        (_, Node::Tagged) => invalid.hint("remove the tag: the word that begins with `!`"),
        (Type::Text | Type::Secret | Type::Pem, Node::Flag(_) | Node::Number(_)) => {
            invalid.hint("put it in quotes")
        }
        (Type::Text | Type::Secret | Type::Pem, Node::List(_)) => {
            invalid.hint("only one value is allowed here; write it without [ ] and `- `")
        }
        (Type::Section(keys), _) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            invalid.hint(format!("write a mapping with these keys: {}", names.join(", ")))
        }
        (Type::Text | Type::Secret | Type::Pem, Node::Map(entries)) => {
            invalid.hint(match foreign_variable(entries) {
                Some(name) => format!("write ${{{name}}} for an environment variable"),
                None => "put the value in quotes: YAML reads `{` at its start, or `: ` inside it, as a mapping".to_owned(),
            })
        }
        (Type::List { .. }, Node::Text(text) | Node::Number(text)) if is_plain(text) => {
            invalid.hint(format!("write a list: `[{text}]`"))
        }
        (Type::List { .. }, Node::Text(_) | Node::Number(_)) => {
            invalid.hint("put the value in [ ] to make a list: `[VALUE]`, or `[VALUE, VALUE]`")
        }
        (Type::List { .. }, Node::Map(_)) => invalid.hint("begin each item with `- `"),
        (Type::Map(_) | Type::Texts(_), Node::List(items)) => {
            let is_named = |item: &Node| {
                matches!(item, Node::Map(entries) if matches!(entries.first(), Some((_, Node::Null))))
            };
            invalid.hint(match items.iter().any(is_named) {
                true => "remove each `- `, and indent the keys below the name",
                false => "write `NAME:` in place of each `- `",
            })
        }
        (
            Type::Text
            | Type::Scalar
            | Type::Secret
            | Type::Pem
            | Type::Flag
            | Type::Count { .. }
            | Type::Size { .. }
            | Type::Duration { .. }
            | Type::Choice(_)
            | Type::List { .. }
            | Type::OneOrMore(_)
            | Type::Map(_)
            | Type::Texts(_)
            | Type::Either(_),
            _,
        ) => invalid,
    }
}
