//! A mapping of the file, checked against its table of keys: every key is known and is set once.

use crate::config::ROOT;
use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::field::{Field, report_twice};
use crate::config::invalid::Invalid;
use crate::config::key_rows::{KeyRow, rows};
use crate::config::key_spec::{DefaultValue, KeySpec};
use crate::config::migration_hints;
use crate::config::problem::KeyPath;
use crate::config::suggest::{nearest, same, within};

/// A mapping and the table of its keys.
#[derive(Clone, Debug)]
pub(super) struct Section<'r> {
    pub(super) diagnostics: &'r Diagnostics<'r>,
    pub(super) path: KeyPath,
    keys: &'static [KeySpec],
    entries: &'r [(String, Node)],
    /// An example of the whole mapping, if it is required and not in the file.
    absent: Option<&'static str>,
}

impl<'r> Section<'r> {
    /// Opens the root of the file.
    pub(super) fn root(diagnostics: &'r Diagnostics<'r>, node: &'r Node) -> Result<Self, Reported> {
        let (path, keys) = (KeyPath::default(), ROOT);
        match node {
            Node::Map(entries) => Ok(Self::open(diagnostics, path, keys, entries)),
            Node::Null => {
                let invalid = Invalid::new("the configuration is empty").hint(FIRST_LINES);
                Err(diagnostics.error(&path, &invalid, None))
            }
            Node::Text(text) if text.contains(['=', '{', ';']) => {
                let what = "the configuration is not YAML: it is in the format of another program";
                Err(diagnostics.error(&path, &Invalid::new(what).hint(FIRST_LINES), None))
            }
            Node::Text(text) if is_file_name(text) => {
                let invalid = Invalid::new("the configuration is the name of a file").hint(
                    "PORTCULLIS_CONFIG takes the name of a file, PORTCULLIS_CONFIG_TEXT the YAML itself",
                );
                Err(diagnostics.error(&path, &invalid, None))
            }
            Node::Flag(_) | Node::Number(_) | Node::Text(_) | Node::List(_) | Node::Tagged => {
                let what = format!("the configuration must be a mapping, not {}", node.describe());
                Err(diagnostics.error(&path, &Invalid::new(what).hint(FIRST_LINES), None))
            }
        }
    }

    /// Opens the mapping in a field. A key that is not set, or has no value, is an empty mapping.
    pub(super) fn of(field: &Field<'r>) -> Result<Self, Reported> {
        let Some(keys) = field.kind.keys() else { return Err(field.wrong_type(&Node::Null)) };
        let entries = match field.node {
            None | Some(Node::Null) => &[],
            Some(Node::Map(entries)) => entries.as_slice(),
            Some(node) => return Err(field.wrong_type(node)),
        };
        let section = Self::open(field.diagnostics, field.path.clone(), keys, entries);
        match (field.node, field.default) {
            (None, DefaultValue::Required(example)) => {
                Ok(Self { absent: Some(example), ..section })
            }
            _ => Ok(section),
        }
    }

    fn open(
        diagnostics: &'r Diagnostics<'r>,
        path: KeyPath,
        keys: &'static [KeySpec],
        entries: &'r [(String, Node)],
    ) -> Self {
        report_twice(diagnostics, &path, entries);
        for (name, node) in entries {
            if !keys.iter().any(|key| key.name == name) {
                let invalid = Invalid::new("unknown key").hint(meant(name, node, &path, keys));
                diagnostics.error(&path.key(name), &invalid, None);
            }
        }
        Self { diagnostics, path, keys, entries, absent: None }
    }

    /// Returns the field of this name.
    #[expect(
        clippy::expect_used,
        reason = "the names are literals, and every test reads each of them"
    )]
    pub(super) fn field(&self, name: &str) -> Field<'r> {
        let key = self.keys.iter().find(|key| key.name == name).expect("the table has this key");
        let node = self.entries.iter().find(|(key, _)| key == name).map(|(_, node)| node);
        let field = Field::new(self.diagnostics, self.path.key(name), key, node);
        match (self.absent, field.default) {
            // The key alone would be pasted at the top level.
            (Some(example), DefaultValue::Required(_)) => {
                Field { default: DefaultValue::Required(example), ..field }
            }
            _ => field,
        }
    }

    /// Opens the mapping of this name.
    pub(super) fn section(&self, name: &str) -> Result<Self, Reported> {
        Self::of(&self.field(name))
    }

    /// Returns the keys that are set.
    pub(super) fn written(&self) -> impl Iterator<Item = &'r str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }
}

/// Hint for an unknown key: the key that was probably meant.
fn meant(name: &str, node: &Node, path: &KeyPath, keys: &[KeySpec]) -> String {
    let part_of_url = || migration_hints::part_of_redis_url(name, &path.to_string());
    if let Some(hint) = migration_hints::other_way(name).or_else(part_of_url) {
        return hint.to_owned();
    }
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    if is_star(node) && (name.contains("email_domain") || name == "allowed_domains") {
        return migration_hints::EVERY_DOMAIN.to_owned();
    }
    if let Some(place) = migration_hints::renamed(name, &known) {
        return match place.rsplit_once('.') {
            Some((_, ours)) if known.contains(&ours) => format!("did you mean `{ours}`?"),
            Some(_) | None => format!("use `{place}` instead"),
        };
    }
    let near = nearest(name, known.iter().copied());
    if let Some(near) = near.or_else(|| within(name, known.iter().copied())) {
        return format!("did you mean `{near}`?");
    }
    // Prefer the nearest section: `groups` in a route belongs to its rules, not to the claims of a provider.
    let top = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let here = top(&path.to_string());
    let is_far = |row: &&KeyRow| top(&row.parent) != here;
    let rows = rows(ROOT);
    let places = rows.iter().filter(|row| same(row.key.name, name));
    match places.filter(|row| !(is_far(row) && row.is_everyday())).min_by_key(is_far) {
        Some(row) if row.parent.is_empty() => "move it to the top level".to_owned(),
        Some(row) => format!("move it to `{}`", row.path()),
        None => format!("known keys here: {}", known.join(", ")),
    }
}

/// Whether the whole text is the name of a configuration file.
fn is_file_name(text: &str) -> bool {
    let is_yaml = [".yaml", ".yml"].iter().any(|end| text.ends_with(end));
    is_yaml && !text.contains(char::is_whitespace)
}

/// Whether a value is `*`, or a list of it.
fn is_star(node: &Node) -> bool {
    match node {
        Node::Text(text) => text == "*",
        Node::List(items) => !items.is_empty() && items.iter().all(is_star),
        Node::Null | Node::Flag(_) | Node::Number(_) | Node::Map(_) | Node::Tagged => false,
    }
}

const FIRST_LINES: &str = "write a mapping with the keys `server:`, `providers:` and `routes:`; `config/minimal.yaml` is an example";
