//! Flags that replace a small configuration file: one provider, one application. A sidecar then needs no file.
//! Invariant: each flag is a key of the file and is checked as that key. Each has an environment variable. A secret
//! is in a file or in a variable, never in a flag, which other users of the machine could see.

use crate::config::document::Node;
use crate::config::env_overrides::OVERRIDES;
use crate::config::flag_values::{host, items, list, map, plain, some, some_map, text};
use crate::config::host_env::HostEnv;
use crate::config::problem::KeyPath;

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
    /// Network or address of a proxy whose X-Forwarded-For, -Proto and -Host are used, or `unix`; repeat the flag or
    /// separate several with commas [default: none]
    #[arg(
        long = "trusted-proxy",
        env = "PORTCULLIS_TRUSTED_PROXY",
        hide_env_values = true,
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<String>,
    /// Issuer identifier of the provider, exactly as in its metadata.
    #[arg(long, env = "PORTCULLIS_ISSUER", hide_env_values = true, value_name = "URL")]
    issuer: Option<String>,
    /// Client ID from the registration at the provider.
    #[arg(long, env = "PORTCULLIS_CLIENT_ID", hide_env_values = true, value_name = "ID")]
    client_id: Option<String>,
    /// File with the client secret from the registration. Or set PORTCULLIS_CLIENT_SECRET to the secret itself.
    #[arg(
        long,
        env = "PORTCULLIS_CLIENT_SECRET_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    client_secret_file: Option<String>,
    /// Scope to request; repeat the flag or separate several with commas [default: openid,email,profile]
    #[arg(
        long = "scope",
        env = "PORTCULLIS_SCOPE",
        hide_env_values = true,
        value_name = "SCOPE",
        value_delimiter = ','
    )]
    scopes: Vec<String>,
    /// File with a secret of `portcullis keygen`. Or set PORTCULLIS_SESSION_SECRET to the secret itself [default: a random
    /// secret for each process]
    #[arg(
        long,
        env = "PORTCULLIS_SESSION_SECRET_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    session_secret_file: Option<String>,
    /// File that keeps the sessions over a restart; needs a session secret [default: a restart signs all users out]
    #[arg(long, env = "PORTCULLIS_SESSION_SNAPSHOT", hide_env_values = true, value_name = "FILE")]
    session_snapshot: Option<String>,
    /// Redis or Valkey server for the sessions, which several instances share: redis://HOST:PORT, rediss:// for TLS or
    /// unix:PATH; needs a session secret [default: sessions are in memory]
    #[arg(long, env = "PORTCULLIS_SESSION_REDIS_URL", hide_env_values = true, value_name = "URL")]
    session_redis_url: Option<String>,
    /// User of Redis [default: its user `default`]
    #[arg(
        long,
        env = "PORTCULLIS_SESSION_REDIS_USERNAME",
        hide_env_values = true,
        value_name = "NAME"
    )]
    session_redis_username: Option<String>,
    /// File with the password of Redis. Or set PORTCULLIS_SESSION_REDIS_PASSWORD to the password itself.
    #[arg(
        long,
        env = "PORTCULLIS_SESSION_REDIS_PASSWORD_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    session_redis_password_file: Option<String>,
    /// Address of the application: http://HOST:PORT, https://HOST:PORT or unix:PATH.
    #[arg(long, env = "PORTCULLIS_UPSTREAM", hide_env_values = true, value_name = "URL")]
    upstream: Option<String>,
    /// Allow users with a verified e-mail address in this domain; repeat the flag or separate several with commas.
    #[arg(
        long = "allow-email-domain",
        env = "PORTCULLIS_ALLOW_EMAIL_DOMAIN",
        hide_env_values = true,
        value_name = "DOMAIN",
        value_delimiter = ','
    )]
    email_domains: Vec<String>,
    /// Allow the user with this verified e-mail address; repeat the flag or separate several with commas.
    #[arg(
        long = "allow-email",
        env = "PORTCULLIS_ALLOW_EMAIL",
        hide_env_values = true,
        value_name = "EMAIL",
        value_delimiter = ','
    )]
    emails: Vec<String>,
    /// Allow users in this group; repeat the flag or separate several with commas.
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
            &mut self.session_secret_file,
            &mut self.session_snapshot,
            &mut self.session_redis_url,
            &mut self.session_redis_username,
            &mut self.session_redis_password_file,
            &mut self.upstream,
        ] {
            text.take_if(|text| text.is_empty());
        }
        // A scope has no space (RFC 6749 §3.3), so `openid email` is two of them.
        let scopes = self.scopes.iter().flat_map(|scopes| scopes.split_whitespace());
        self.scopes = scopes.map(str::to_owned).collect();
        for list in
            [&mut self.trusted_proxies, &mut self.email_domains, &mut self.emails, &mut self.groups]
        {
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
            ("--trusted-proxy", some(&self.trusted_proxies)),
            ("--issuer", self.issuer.clone()),
            ("--client-id", self.client_id.clone()),
            (CLIENT_SECRET_FILE, self.client_secret_file.clone()),
            ("--scope", some(&self.scopes)),
            (SESSION_SECRET_FILE, self.session_secret_file.clone()),
            ("--session-snapshot", self.session_snapshot.clone()),
            ("--session-redis-url", self.session_redis_url.clone()),
            ("--session-redis-username", self.session_redis_username.clone()),
            (SESSION_REDIS_PASSWORD_FILE, self.session_redis_password_file.clone()),
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
    pub(super) fn tree(&self, source: &HostEnv) -> Node {
        let server = [
            ("listen", text(&self.listen)),
            ("public_url", text(&self.public_url)),
            ("trusted_proxies", list(&self.trusted_proxies)),
        ];
        let secret = |flag| self.secret(flag, source);
        let provider = [
            ("name", self.issuer.as_deref().and_then(host).map(plain)),
            ("issuer", text(&self.issuer)),
            ("client_id", text(&self.client_id)),
            ("client_secret", secret(CLIENT_SECRET_FILE)),
            ("scopes", list(&self.scopes)),
        ];
        let redis = some_map([
            ("url", text(&self.session_redis_url)),
            ("username", text(&self.session_redis_username)),
            ("password", secret(SESSION_REDIS_PASSWORD_FILE)),
        ]);
        let session = some_map([
            ("secret", secret(SESSION_SECRET_FILE)),
            ("store", redis.map(|redis| map([("redis", Some(redis))]))),
            ("snapshot", text(&self.session_snapshot)),
        ]);
        let route = [("upstream", text(&self.upstream)), ("allow", self.allow())];
        let admin = self.admin_listen.as_deref().map(|at| map([("listen", Some(plain(at)))]));
        map([
            ("server", Some(map(server))),
            ("admin", admin),
            ("providers", Some(map([(PROVIDER, Some(map(provider)))]))),
            ("session", session),
            ("routes", Some(Node::List(vec![map(route)]))),
        ])
    }

    /// Returns a secret: the file of this flag, or the variable that contains it.
    fn secret(&self, flag: &str, source: &HostEnv) -> Option<Node> {
        let reference = match self.secret_file(flag) {
            Some(file) => format!("file:{file}"),
            None => secret_variable(flag, source)?.to_owned(),
        };
        Some(Node::Text(format!("${{{reference}}}")))
    }

    fn secret_file(&self, flag: &str) -> Option<&str> {
        let file = match flag {
            SESSION_SECRET_FILE => &self.session_secret_file,
            SESSION_REDIS_PASSWORD_FILE => &self.session_redis_password_file,
            _ => &self.client_secret_file,
        };
        file.as_deref()
    }

    /// Returns the flag of a key, or the variable that contains the secret of this key.
    pub(super) fn origin_of(&self, path: &KeyPath, source: &HostEnv) -> &'static str {
        let flag = flag_of(path);
        let is_secret = SECRETS.iter().any(|(of, _)| *of == flag);
        let is_variable = is_secret && self.secret_file(flag).is_none();
        secret_variable(flag, source).filter(|_| is_variable).unwrap_or(flag)
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
        let rule = |(key, values): (_, &Vec<_>)| Some(map([(key, Some(list(values)?))]));
        let rules: Vec<_> = lists.into_iter().filter_map(rule).collect();
        (!rules.is_empty()).then_some(Node::List(rules))
    }

    /// Returns the flag of a file name that `${file:…}` cannot contain.
    // SECURITY: otherwise another file would be read, and the rest of the name would become part of the secret.
    pub(super) fn unreadable_secret_file(&self) -> Option<&'static str> {
        let is_unreadable = |flag: &&str| {
            let name = self.secret_file(flag).unwrap_or_default();
            name.contains('}') || name.contains("${")
        };
        SECRETS.into_iter().map(|(flag, _)| flag).find(is_unreadable)
    }

    /// Returns flag and variable of a secret that both contain.
    pub(super) fn secret_given_twice(
        &self,
        source: &HostEnv,
    ) -> Option<(&'static str, &'static str)> {
        let given = |(flag, _): &(&'static str, &str)| {
            self.secret_file(flag).is_some() && secret_variable(flag, source).is_some()
        };
        SECRETS.into_iter().find(given)
    }

    /// Whether all signed-in users are allowed, and also some of them.
    pub(super) fn contradict(&self) -> bool {
        let lists = [&self.email_domains, &self.emails, &self.groups];
        self.allow_authenticated && lists.iter().any(|list| !list.is_empty())
    }
}

/// Returns the set variables that replace the configuration file. Those with secrets alone do not: a file can name
/// them, as `${PORTCULLIS_CLIENT_SECRET}`.
pub(super) fn in_environment(source: &HostEnv) -> Vec<String> {
    let replaces = |flag| {
        let variable = variable_of(flag);
        let value = source.variable(&variable).filter(|value| !items(value).is_empty())?;
        let is_override = OVERRIDES.iter().any(|(_, _, name)| *name == variable);
        let is_false = flag == "--allow-authenticated" && parse_bool(&value) == Ok(false);
        (!is_override && !is_false).then_some(variable)
    };
    all().filter_map(replaces).collect()
}

/// Returns the variable that contains the secret of a flag's file, if it is set.
fn secret_variable(flag: &str, source: &HostEnv) -> Option<&'static str> {
    let (_, variable) = SECRETS.into_iter().find(|(of, _)| *of == flag)?;
    // Also if it is not UTF-8, which is an error where it is read.
    source.raw_variable(variable).map(|_| variable)
}

/// Returns the flag of a key.
pub(super) fn flag_of(path: &KeyPath) -> &'static str {
    let within = |(section, key, _): &&(&str, &str, _)| match path.steps() {
        [first, rest @ ..] => first.is_key(section) && rest.iter().any(|step| step.is_key(key)),
        [] => false,
    };
    FLAGS.iter().find(within).map_or("the flags", |(_, _, flag)| *flag)
}

/// Returns all configuration flags.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let keys = FLAGS.iter().filter(|(_, key, _)| *key != "store").map(|(_, _, flag)| *flag);
    keys.filter(|flag| !flag.contains(' ')).chain(["--allow-authenticated"])
}

/// Returns the environment variable of a flag.
pub(super) fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase();
    format!("{PREFIX}{name}")
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

/// ID of the provider, in logs and in `explain`.
const PROVIDER: &str = "provider";

/// Prefix of the environment variables.
pub(super) const PREFIX: &str = "PORTCULLIS_";

/// Flag of a file with a secret, and variable with that secret.
pub(super) const SECRETS: [(&str, &str); 3] = [
    (CLIENT_SECRET_FILE, "PORTCULLIS_CLIENT_SECRET"),
    (SESSION_SECRET_FILE, "PORTCULLIS_SESSION_SECRET"),
    (SESSION_REDIS_PASSWORD_FILE, "PORTCULLIS_SESSION_REDIS_PASSWORD"),
];

const CLIENT_SECRET_FILE: &str = "--client-secret-file";
const SESSION_SECRET_FILE: &str = "--session-secret-file";
const SESSION_REDIS_PASSWORD_FILE: &str = "--session-redis-password-file";

/// Section, key and flag; the more specific key first.
const FLAGS: [(&str, &str, &str); 19] = [
    ("server", "public_url", "--public-url"),
    ("server", "listen", "--listen"),
    ("admin", "listen", "--admin-listen"),
    ("server", "trusted_proxies", "--trusted-proxy"),
    ("providers", "issuer", "--issuer"),
    ("providers", "client_id", "--client-id"),
    ("providers", "client_secret", CLIENT_SECRET_FILE),
    ("providers", "scopes", "--scope"),
    ("session", "secret", SESSION_SECRET_FILE),
    ("session", "snapshot", "--session-snapshot"),
    ("session", "username", "--session-redis-username"),
    ("session", "password", SESSION_REDIS_PASSWORD_FILE),
    ("session", "url", "--session-redis-url"),
    ("session", "store", "--session-redis-url"),
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
