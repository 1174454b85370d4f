//! A mapping of the file, held against the table of keys: each key that stands there is known, and
//! stands there once.

use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::problem::KeyPath;
use crate::config::reading::{Reading, Reported};
use crate::config::suggest::{nearest, same, within};
use crate::config::table::{self, Key};
use crate::config::wrong::Wrong;

/// A mapping whose keys are known.
#[derive(Clone, Debug)]
pub(super) struct Section<'r> {
    pub(super) reading: &'r Reading<'r>,
    pub(super) path: KeyPath,
    keys: &'static [Key],
    entries: &'r [(String, Node)],
}

impl<'r> Section<'r> {
    /// The root of the file.
    pub(super) fn root(reading: &'r Reading<'r>, node: &'r Node) -> Result<Self, Reported> {
        let (path, keys) = (KeyPath::default(), table::ROOT);
        match node {
            Node::Map(entries) => Ok(Self::open(reading, path, keys, entries)),
            Node::Null => Err(reading.error(&path, &Wrong::new("the file is empty"), None)),
            Node::Flag(_) | Node::Number(_) | Node::Text(_) | Node::List(_) | Node::Tagged => {
                let what = format!("the file must be a mapping, not {}", node.describe());
                let hint = "begin with the lines `server:`, `providers:`, `routes:`";
                Err(reading.error(&path, &Wrong::new(what).hint(hint), None))
            }
        }
    }

    pub(super) fn open(
        reading: &'r Reading<'r>,
        path: KeyPath,
        keys: &'static [Key],
        entries: &'r [(String, Node)],
    ) -> Self {
        report_twice(reading, &path, entries);
        for (name, _) in entries {
            if !keys.iter().any(|key| key.name == name) {
                let wrong = Wrong::new("is not a known key").hint(meant(name, keys));
                reading.error(&path.key(name), &wrong, None);
            }
        }
        Self { reading, path, keys, entries }
    }

    /// The field of this name.
    #[expect(
        clippy::expect_used,
        reason = "the names are literals; each is asked for in every test"
    )]
    pub(super) fn field(&self, name: &str) -> Field<'r> {
        let key = self.keys.iter().find(|key| key.name == name).expect("the table has this key");
        let node = self.entries.iter().find(|(key, _)| key == name).map(|(_, node)| node);
        Field::new(self.reading, self.path.key(name), key, node)
    }

    /// The mapping of this name; one that is not written, or has nothing in it, is empty.
    pub(super) fn section(&self, name: &str) -> Result<Self, Reported> {
        self.field(name).section()
    }

    /// The keys that were written.
    pub(super) fn written(&self) -> impl Iterator<Item = &'r str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }
}

/// Reports every key that stands a second time.
pub(super) fn report_twice(reading: &Reading<'_>, path: &KeyPath, entries: &[(String, Node)]) {
    for (at, (name, _)) in entries.iter().enumerate() {
        if entries.iter().take(at).any(|(before, _)| before == name) {
            let wrong = Wrong::new("stands here a second time").hint("remove one of the two");
            reading.error(&path.again(name), &wrong, None);
        }
    }
}

/// What the author of an unknown key may have meant.
fn meant(name: &str, keys: &[Key]) -> String {
    match name {
        "<<" => {
            return "merge keys are not read: repeat the keys, or use an alias for a whole value"
                .to_owned();
        }
        "redirect_uri" | "redirect_url" | "callback_url" => {
            return "it is made of public_url and endpoint_prefix, as in \
                    https://wiki.example.com/oauth2/callback: register that at the provider"
                .to_owned();
        }
        _ => {}
    }
    // What people know it by who come from another gateway.
    let name = match name {
        "oidc_issuer_url" | "issuer_url" | "idp_provider_url" => "issuer",
        "cookie_secret" => "secret",
        "cookie_domain" | "cookie_domains" => "domain",
        "cookie_expire" => "lifetime",
        "cookie_refresh" => "refresh_before",
        "http_address" => "listen",
        "upstreams" | "to" => "upstream",
        "from" => "host",
        "policy" => "allow",
        "scope" => "scopes",
        "idp_client_id" => "client_id",
        "idp_client_secret" => "client_secret",
        name => name,
    };
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let near = nearest(name, known.iter().copied());
    if let Some(near) = near.or_else(|| within(name, known.iter().copied())) {
        return format!("did you mean `{near}`?");
    }
    let rows = table::rows();
    match rows.iter().find(|row| same(row.key.name, name)) {
        Some(row) if row.parent.is_empty() => "it belongs at the top of the file".to_owned(),
        Some(row) => format!("it belongs elsewhere: `{}`", row.path()),
        None => format!("keys here are {}", known.join(", ")),
    }
}
