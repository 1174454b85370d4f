//! Flags in place of a small file: one provider, one application. A sidecar then needs nothing but a command.
//! Each flag is a key of the file, is checked as that key, and has an environment variable of its own.

use crate::config::document::Node;
use crate::config::host_env::HostEnv;
use crate::config::problem::{KeyPath, Step};

/// What the flags say; as text, for it is the key that knows what is right.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "In place of a file, which can say more")]
pub struct Flags {
    /// The origin at which browsers reach the gateway.
    #[arg(long, env = "PORTCULLIS_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// HOST:PORT or unix:PATH; 127.0.0.1:4180 if nothing is said.
    #[arg(long, env = "PORTCULLIS_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// HOST:PORT or unix:PATH of health, readiness and metrics, or `off`; 127.0.0.1:4181 if nothing is said.
    #[arg(long, env = "PORTCULLIS_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// The provider, letter by letter as it writes itself in `iss`.
    #[arg(long, env = "PORTCULLIS_ISSUER", value_name = "URL")]
    issuer: Option<String>,
    /// From the registration at the provider.
    #[arg(long, env = "PORTCULLIS_CLIENT_ID", value_name = "ID")]
    client_id: Option<String>,
    /// The file with the client's secret: a command line and its environment are seen by others.
    #[arg(long, env = "PORTCULLIS_CLIENT_SECRET_FILE", value_name = "FILE")]
    client_secret_file: Option<String>,
    /// The application; without one, other proxies ask at /oauth2/auth.
    #[arg(long, env = "PORTCULLIS_UPSTREAM", value_name = "URL")]
    upstream: Option<String>,
    /// Who has a verified e-mail of this domain passes; several are divided by commas.
    #[arg(
        long = "allow-email-domain",
        env = "PORTCULLIS_ALLOW_EMAIL_DOMAIN",
        value_name = "DOMAIN",
        value_delimiter = ','
    )]
    email_domains: Vec<String>,
    /// Who has this verified e-mail passes, too.
    #[arg(
        long = "allow-email",
        env = "PORTCULLIS_ALLOW_EMAIL",
        value_name = "EMAIL",
        value_delimiter = ','
    )]
    emails: Vec<String>,
    /// Who is in this group passes, too.
    #[arg(
        long = "allow-group",
        env = "PORTCULLIS_ALLOW_GROUP",
        value_name = "GROUP",
        value_delimiter = ','
    )]
    groups: Vec<String>,
    /// Whoever can sign in passes.
    #[arg(long, env = "PORTCULLIS_ALLOW_AUTHENTICATED", value_parser = said_yes)]
    allow_authenticated: bool,
}

impl Flags {
    /// What was said, if anything was: an empty variable says nothing.
    pub(super) fn said(mut self) -> Option<Self> {
        for text in [
            &mut self.public_url,
            &mut self.listen,
            &mut self.admin_listen,
            &mut self.issuer,
            &mut self.client_id,
            &mut self.client_secret_file,
            &mut self.upstream,
        ] {
            text.take_if(|text| text.is_empty());
        }
        for list in [&mut self.email_domains, &mut self.emails, &mut self.groups] {
            // As people write lists: `a, b`.
            list.iter_mut().for_each(|text| *text = text.trim().to_owned());
            list.retain(|text| !text.is_empty());
        }
        (self != Self::default()).then_some(self)
    }

    /// Where it was said: each flag, or the variable that stands for it.
    pub(super) fn said_in(&self, source: &HostEnv) -> Vec<String> {
        let all = [
            ("--public-url", self.public_url.clone()),
            ("--listen", self.listen.clone()),
            ("--admin-listen", self.admin_listen.clone()),
            ("--issuer", self.issuer.clone()),
            ("--client-id", self.client_id.clone()),
            ("--client-secret-file", self.client_secret_file.clone()),
            ("--upstream", self.upstream.clone()),
            ("--allow-email-domain", some(&self.email_domains)),
            ("--allow-email", some(&self.emails)),
            ("--allow-group", some(&self.groups)),
            ("--allow-authenticated", self.allow_authenticated.then(|| "true".to_owned())),
        ];
        let place = |(flag, said): (&str, Option<String>)| {
            let (variable, said) = (variable_of(flag), said?);
            // What was typed wins, so a variable that says something else has said nothing.
            let same = |value: String| {
                items(&value) == items(&said) || said == "true" && yes(&value) == Ok(true)
            };
            let by_variable = source.variable(&variable).is_some_and(same);
            Some(if by_variable { variable } else { flag.to_owned() })
        };
        all.into_iter().filter_map(place).collect()
    }

    /// The file that would say the same.
    pub(super) fn tree(&self) -> Node {
        let server = [("listen", text(&self.listen)), ("public_url", text(&self.public_url))];
        let provider = [
            ("name", self.issuer.as_deref().and_then(host).map(plain)),
            ("issuer", text(&self.issuer)),
            ("client_id", text(&self.client_id)),
            ("client_secret", self.client_secret_file.as_deref().map(secret)),
        ];
        let route = [("upstream", text(&self.upstream)), ("allow", self.allow())];
        let admin = self.admin_listen.as_deref().map(|at| map([("listen", Some(plain(at)))]));
        map([
            ("server", Some(map(server))),
            ("admin", admin),
            ("providers", Some(map([(PROVIDER, Some(map(provider)))]))),
            ("routes", Some(Node::List(vec![map(route)]))),
        ])
    }

    /// Who matches any of the lists passes.
    fn allow(&self) -> Option<Node> {
        if self.allow_authenticated {
            return Some(Node::Text("authenticated".to_owned()));
        }
        let lists = [
            ("email_domains", &self.email_domains),
            ("emails", &self.emails),
            ("groups", &self.groups),
        ];
        let rule = |(key, list): (_, &Vec<String>)| {
            let values = Node::List(list.iter().map(|value| plain(value)).collect());
            map([(key, Some(values))])
        };
        let said = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let rules: Vec<_> = said.map(rule).collect();
        (!rules.is_empty()).then_some(Node::List(rules))
    }

    /// Whether `${file:…}` can hold the name of the file with the secret.
    // SECURITY: else another file would be read, and the rest of the name be part of the secret.
    pub(super) fn secret_file_is_readable(&self) -> bool {
        self.client_secret_file
            .as_deref()
            .is_none_or(|name| !name.contains('}') && !name.contains("${"))
    }

    /// Whether everybody is let in, and beside it somebody.
    pub(super) fn contradict(&self) -> bool {
        let lists = [&self.email_domains, &self.emails, &self.groups];
        self.allow_authenticated && lists.iter().any(|list| !list.is_empty())
    }
}

/// The flag that says what a key does.
pub(super) fn flag_of(path: &KeyPath) -> &'static str {
    let within = |(section, key, _): &&(&str, &str, _)| match path.steps() {
        [first, rest @ ..] => is(first, section) && rest.iter().any(|step| is(step, key)),
        [] => false,
    };
    FLAGS.iter().find(within).map_or("the flags", |(_, _, flag)| *flag)
}

/// Every flag that says something of a configuration.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let keys = FLAGS.iter().map(|(_, _, flag)| *flag).filter(|flag| !flag.contains(' '));
    keys.chain(["--allow-authenticated"])
}

/// The environment variable of a flag.
pub(super) fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase();
    format!("{PREFIX}{name}")
}

fn some(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| list.join(","))
}

fn items(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Reads a variable that says yes or no; an empty one says nothing, as `NAME: ${OTHER:-}` makes them.
fn said_yes(text: &str) -> Result<bool, &'static str> {
    if text.is_empty() { Ok(false) } else { yes(text) }
}

/// Reads a yes or no.
fn yes(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
        _ => Err("PORTCULLIS_ALLOW_AUTHENTICATED is true or false, or empty"),
    }
}

fn is(step: &Step, key: &str) -> bool {
    matches!(step, Step::Key(name) if name == key)
}

fn map<const N: usize>(entries: [(&str, Option<Node>); N]) -> Node {
    let said = entries.into_iter().filter_map(|(key, node)| Some((key.to_owned(), node?)));
    Node::Map(said.collect())
}

fn text(said: &Option<String>) -> Option<Node> {
    said.as_deref().map(plain)
}

/// A text without `${…}`: a shell has put in already what was to be.
fn plain(text: &str) -> Node {
    Node::Text(text.replace('$', "$$"))
}

fn secret(file: &str) -> Node {
    Node::Text(format!("${{file:{file}}}"))
}

fn host(issuer: &str) -> Option<&str> {
    let (_, rest) = issuer.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

/// The ID of the one provider, where logs and `explain` name it.
const PROVIDER: &str = "provider";

/// What the variables of flags begin with.
pub(super) const PREFIX: &str = "PORTCULLIS_";

/// Section, key and flag, the narrower key first.
const FLAGS: [(&str, &str, &str); 11] = [
    ("server", "public_url", "--public-url"),
    ("server", "listen", "--listen"),
    ("admin", "listen", "--admin-listen"),
    ("providers", "issuer", "--issuer"),
    ("providers", "client_id", "--client-id"),
    ("providers", "client_secret", "--client-secret-file"),
    ("routes", "upstream", "--upstream"),
    ("routes", "email_domains", "--allow-email-domain"),
    ("routes", "emails", "--allow-email"),
    ("routes", "groups", "--allow-group"),
    (
        "routes",
        "allow",
        "--allow-email-domain, --allow-email, --allow-group or --allow-authenticated",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_says_nothing() {
        assert_eq!(said_yes(""), Ok(false));
        for (text, expected) in [("true", true), ("1", true), ("Yes", true), ("off", false)] {
            assert_eq!(said_yes(text), Ok(expected), "{text}");
        }
        assert!(said_yes("perhaps").is_err());
    }
}
