//! Every key of the configuration: its name, its type, its default, a sentence. What is not listed
//! here is refused; the schema, "did you mean" and the test of `config/full.yaml` read the same list.
//! A default is YAML text and read like a written value, so it stands nowhere else.

pub(super) mod providers;
mod routes;
mod server;
mod session;

use std::time::Duration;

use crate::config::document::Node;

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    pub(super) default: Default,
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
    Section(&'static [Key]),
    /// Any of these.
    Either(&'static [Self]),
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Default {
    /// This YAML text.
    Is(&'static str),
    /// Nothing; the words say what that means.
    Unset(&'static str),
    /// It must be written; an example.
    Required(&'static str),
}

/// A key and the way to it: `routes[].upstream`, `providers.ID.issuer`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) parent: String,
    pub(super) key: &'static Key,
}

const fn key(name: &'static str, kind: Type, default: Default, about: &'static str) -> Key {
    Key { name, kind, default, about }
}

const fn millis(least: u64, most: u64) -> Type {
    Type::Duration { least: Duration::from_millis(least), most: Duration::from_millis(most) }
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The whole file.
pub(super) const ROOT: &[Key] = &[
    key(
        "server",
        Type::Section(server::KEYS),
        Default::Required("server: { public_url: https://wiki.example.com }"),
        "Sockets, limits, deadlines, and the address that browsers see.",
    ),
    key(
        "providers",
        Type::Map(&Type::Section(providers::KEYS)),
        Default::Unset("needed unless every route is public"),
        "Where visitors sign in: an ID of a-z, 0-9 and - for each, in the order of the sign-in page.",
    ),
    key(
        "session",
        Type::Section(session::KEYS),
        Default::Unset("all defaults"),
        "How long a browser stays signed in, and its cookie.",
    ),
    key(
        "routes",
        Type::List { of: &Type::Section(routes::KEYS), least: 1 },
        Default::Required("routes: [{ upstream: http://127.0.0.1:8080, allow: authenticated }]"),
        "What is in front of what, and who may pass; the most specific host and path wins.",
    ),
    key(
        "identity_headers",
        routes::IDENTITY_HEADERS,
        routes::DEFAULT_HEADERS,
        routes::ABOUT_HEADERS,
    ),
    key("pages", Type::Section(PAGES), Default::Unset("all defaults"), "What people see."),
    key(
        "admin",
        Type::Section(ADMIN),
        Default::Unset("all defaults"),
        "The listener for health checks and metrics.",
    ),
    key("telemetry", Type::Section(TELEMETRY), Default::Unset("all defaults"), "Logs."),
];

const PAGES: &[Key] = &[
    key("title", Type::Text, Default::Unset("Portcullis"), "Stands on every page."),
    key(
        "logo",
        Type::Text,
        Default::Unset("none"),
        "A picture above the title: a file that ends in .svg, .png, .jpg or .webp, up to 256KiB.",
    ),
    key("message", Type::Text, Default::Unset("none"), "A sentence under the title."),
    key("style", Type::Text, Default::Unset("none"), "A CSS file that is added to our own style."),
];

const ADMIN: &[Key] = &[key(
    "listen",
    Type::Scalar,
    Default::Is("127.0.0.1:4181"),
    "Where /healthz, /readyz and /metrics answer; `off` to have none.",
)];

const TELEMETRY: &[Key] = &[
    key("log", Type::Section(LOG), Default::Unset("all defaults"), "How the log looks."),
    key("access_log", Type::Flag, Default::Is("true"), "Whether each request gets a line."),
];

const LOG: &[Key] = &[
    key(
        "format",
        Type::Choice(&["json", "text"]),
        Default::Unset("text on a terminal, else json"),
        "One JSON object per line, or lines for people.",
    ),
    key(
        "level",
        Type::Choice(&["error", "warn", "info", "debug", "trace"]),
        Default::Is("info"),
        "The least severe level that is logged.",
    ),
];

/// All keys with the way to each, parents first.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    add_rows(ROOT, "", &mut rows);
    rows
}

fn add_rows(keys: &'static [Key], parent: &str, rows: &mut Vec<Row>) {
    for key in keys {
        rows.push(Row { parent: parent.to_owned(), key });
        let dot = if parent.is_empty() { "" } else { "." };
        add_rows_within(&key.kind, format!("{parent}{dot}{}", key.name), rows);
    }
}

fn add_rows_within(kind: &'static Type, path: String, rows: &mut Vec<Row>) {
    match kind {
        Type::Section(keys) => add_rows(keys, &path, rows),
        Type::List { of, .. } => add_rows_within(of, format!("{path}[]"), rows),
        Type::OneOrMore(of) => add_rows_within(of, path, rows),
        Type::Map(of) => add_rows_within(of, format!("{path}.ID"), rows),
        Type::Either(kinds) => kinds.iter().for_each(|k| add_rows_within(k, path.clone(), rows)),
        Type::Text
        | Type::Scalar
        | Type::Secret
        | Type::Pem
        | Type::Flag
        | Type::Count { .. }
        | Type::Size { .. }
        | Type::Duration { .. }
        | Type::Choice(_) => {}
    }
}

impl Row {
    /// Whether the name is an everyday word, which elsewhere means something else: `token`, `name`.
    pub(super) fn is_everyday(&self) -> bool {
        self.parent.ends_with(".endpoints") || self.parent.ends_with(".claims")
    }

    /// `routes[].upstream`.
    pub(super) fn path(&self) -> String {
        let dot = if self.parent.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.parent, self.key.name)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_to_a_key_leads_to_one_key() {
        let mut paths: Vec<String> = rows().iter().map(Row::path).collect();
        let all = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), all);
        assert!(paths.contains(&"routes[].allow[].emails".to_owned()), "{paths:?}");
        assert!(paths.contains(&"providers.ID.endpoints.jwks".to_owned()), "{paths:?}");
    }

    #[test]
    fn every_key_has_a_sentence() {
        for row in rows() {
            assert!(row.key.about.ends_with('.'), "{}", row.path());
        }
    }
}
