//! Flags that replace a small configuration file: one provider, one application. A sidecar then needs no file.
//! Invariant: each flag is a key of the file and is checked as that key. Each has an environment variable.

use crate::config::document::Node;
use crate::config::host_env::HostEnv;
use crate::config::problem::{KeyPath, Step};

/// Values of the flags, as text: they are checked later, as keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Configuration without a file (one provider, one application)")]
pub struct Flags {
    /// Origin at which browsers reach the gateway.
    #[arg(long, env = "PORTCULLIS_PUBLIC_URL", hide_env_values = true, value_name = "URL")]
    public_url: Option<String>,
    /// Listen address: HOST:PORT, unix:PATH or systemd [default: 127.0.0.1:4180]
    #[arg(long, env = "PORTCULLIS_LISTEN", hide_env_values = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen address for health checks and metrics: HOST:PORT, unix:PATH or `off` [default: 127.0.0.1:4181]
    #[arg(long, env = "PORTCULLIS_ADMIN_LISTEN", hide_env_values = true, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// Issuer identifier of the provider, exactly as in its metadata.
    #[arg(long, env = "PORTCULLIS_ISSUER", hide_env_values = true, value_name = "URL")]
    issuer: Option<String>,
    /// Client ID from the registration at the provider.
    #[arg(long, env = "PORTCULLIS_CLIENT_ID", hide_env_values = true, value_name = "ID")]
    client_id: Option<String>,
    /// File with the client secret from the registration.
    #[arg(
        long,
        env = "PORTCULLIS_CLIENT_SECRET_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    client_secret_file: Option<String>,
    /// Address of the application: http://HOST:PORT, https://HOST:PORT or unix:PATH.
    #[arg(long, env = "PORTCULLIS_UPSTREAM", hide_env_values = true, value_name = "URL")]
    upstream: Option<String>,
    /// Allow users with a verified e-mail address in this domain; separate several with commas.
    #[arg(
        long = "allow-email-domain",
        env = "PORTCULLIS_ALLOW_EMAIL_DOMAIN",
        hide_env_values = true,
        value_name = "DOMAIN",
        value_delimiter = ','
    )]
    email_domains: Vec<String>,
    /// Allow the user with this verified e-mail address; separate several with commas.
    #[arg(
        long = "allow-email",
        env = "PORTCULLIS_ALLOW_EMAIL",
        hide_env_values = true,
        value_name = "EMAIL",
        value_delimiter = ','
    )]
    emails: Vec<String>,
    /// Allow users in this group; separate several with commas.
    #[arg(
        long = "allow-group",
        env = "PORTCULLIS_ALLOW_GROUP",
        hide_env_values = true,
        value_name = "GROUP",
        value_delimiter = ','
    )]
    groups: Vec<String>,
    /// Allow every signed-in user.
    #[arg(long, env = "PORTCULLIS_ALLOW_AUTHENTICATED", hide_env_values = true, value_parser = optional_bool)]
    allow_authenticated: bool,
}

impl Flags {
    /// Returns the flags, if any is given. An empty variable counts as not given.
    pub(super) fn given(mut self) -> Option<Self> {
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
            // Lists can have spaces: `a, b`.
            list.iter_mut().for_each(|text| *text = text.trim().to_owned());
            list.retain(|text| !text.is_empty());
        }
        (self != Self::default()).then_some(self)
    }

    /// Returns the name of each given flag, or of the variable that sets it; without the variables of listen
    /// addresses, which override a file and do not replace it.
    pub(super) fn sources(&self, source: &HostEnv) -> Vec<String> {
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
        let place = |(flag, value): (&str, Option<String>)| {
            let (variable, given) = (variable_of(flag), value?);
            // A flag overrides its variable, so a variable with another value is not the source.
            let same = |value: String| {
                items(&value) == items(&given) || given == "true" && parse_bool(&value) == Ok(true)
            };
            let by_variable = source.variable(&variable).is_some_and(same);
            Some(if by_variable { variable } else { flag.to_owned() })
        };
        let is_override = |name: &String| OVERRIDES.iter().any(|(_, _, variable)| name == variable);
        all.into_iter().filter_map(place).filter(|name| !is_override(name)).collect()
    }

    /// Returns the same configuration as the tree of a file.
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

    /// Returns the rules: one for each list.
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
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let rules: Vec<_> = given.map(rule).collect();
        (!rules.is_empty()).then_some(Node::List(rules))
    }

    /// Whether `${file:…}` can contain the name of the file with the secret.
    // SECURITY: otherwise another file would be read, and the rest of the name would become part of the secret.
    pub(super) fn secret_file_is_readable(&self) -> bool {
        self.client_secret_file
            .as_deref()
            .is_none_or(|name| !name.contains('}') && !name.contains("${"))
    }

    /// Whether all signed-in users are allowed, and also some of them.
    pub(super) fn contradict(&self) -> bool {
        let lists = [&self.email_domains, &self.emails, &self.groups];
        self.allow_authenticated && lists.iter().any(|list| !list.is_empty())
    }
}

/// Returns the tree of a file with the listen addresses of the environment in it; `None` if none is set.
pub(super) fn overridden(root: &Node, source: &HostEnv) -> Option<Node> {
    let mut root = root.clone();
    let mut is_changed = false;
    for (section, key, variable) in OVERRIDES {
        let set = source.variable(variable).filter(|address| !address.is_empty());
        if let Some(address) = set {
            is_changed |= replace(&mut root, section, key, plain(&address));
        }
    }
    is_changed.then_some(root)
}

/// Returns the variable that overrides a key of a file, if it is set.
pub(super) fn override_of(path: &KeyPath, source: &HostEnv) -> Option<&'static str> {
    let (_, _, variable) = OVERRIDES.into_iter().find(|(section, key, _)| match path.steps() {
        [first, second, ..] => is(first, section) && is(second, key),
        [_] | [] => false,
    })?;
    source.variable(variable).filter(|address| !address.is_empty()).map(|_| variable)
}

/// Whether the variables of this process replace the configuration file.
pub(super) fn are_in_environment(source: &HostEnv) -> bool {
    all().any(|flag| {
        let variable = variable_of(flag);
        let value = source.variable(&variable).filter(|value| !value.is_empty());
        let is_override = OVERRIDES.iter().any(|(_, _, name)| *name == variable);
        let is_false = value.as_deref().is_some_and(|value| parse_bool(value) == Ok(false));
        value.is_some() && !is_override && !(is_false && flag == "--allow-authenticated")
    })
}

/// Sets a key of a section. False if the section is no mapping, which has its own error.
fn replace(root: &mut Node, section: &str, key: &str, value: Node) -> bool {
    let Node::Map(sections) = root else { return false };
    let at = sections.iter().position(|(name, _)| name == section);
    let at = at.unwrap_or_else(|| {
        sections.push((section.to_owned(), Node::Null));
        sections.len() - 1
    });
    let Some((_, node)) = sections.get_mut(at) else { return false };
    if *node == Node::Null {
        *node = Node::Map(Vec::new());
    }
    let Node::Map(entries) = node else { return false };
    entries.retain(|(name, _)| name != key);
    entries.push((key.to_owned(), value));
    true
}

/// Returns the flag of a key.
pub(super) fn flag_of(path: &KeyPath) -> &'static str {
    let within = |(section, key, _): &&(&str, &str, _)| match path.steps() {
        [first, rest @ ..] => is(first, section) && rest.iter().any(|step| is(step, key)),
        [] => false,
    };
    FLAGS.iter().find(within).map_or("the flags", |(_, _, flag)| *flag)
}

/// Returns all configuration flags.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let keys = FLAGS.iter().map(|(_, _, flag)| *flag).filter(|flag| !flag.contains(' '));
    keys.chain(["--allow-authenticated"])
}

/// Returns the environment variable of a flag.
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

/// Parses a boolean variable. An empty one is false: compose files make them with `NAME: ${OTHER:-}`.
fn optional_bool(text: &str) -> Result<bool, &'static str> {
    if text.is_empty() { Ok(false) } else { parse_bool(text) }
}

/// Parses a boolean.
fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
        _ => Err("PORTCULLIS_ALLOW_AUTHENTICATED must be true, false or empty"),
    }
}

fn is(step: &Step, key: &str) -> bool {
    matches!(step, Step::Key(name) if name == key)
}

fn map<const N: usize>(entries: [(&str, Option<Node>); N]) -> Node {
    let given = entries.into_iter().filter_map(|(key, node)| Some((key.to_owned(), node?)));
    Node::Map(given.collect())
}

fn text(value: &Option<String>) -> Option<Node> {
    value.as_deref().map(plain)
}

/// Returns a string in which `$` has no special meaning: the shell has replaced its variables already.
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

/// ID of the provider, in logs and in `explain`.
const PROVIDER: &str = "provider";

/// Prefix of the environment variables.
pub(super) const PREFIX: &str = "PORTCULLIS_";

/// Section and key of a file, and the variable that overrides it.
const OVERRIDES: [(&str, &str, &str); 2] =
    [("server", "listen", "PORTCULLIS_LISTEN"), ("admin", "listen", "PORTCULLIS_ADMIN_LISTEN")];

/// Section, key and flag; the more specific key first.
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
    fn empty_variable_is_false() {
        assert_eq!(optional_bool(""), Ok(false));
        for (text, expected) in [("true", true), ("1", true), ("Yes", true), ("off", false)] {
            assert_eq!(optional_bool(text), Ok(expected), "{text}");
        }
        assert!(optional_bool("perhaps").is_err());
    }
}
