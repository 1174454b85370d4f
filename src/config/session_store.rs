//! `session.store:` -> `session::Store`.
//! Invariant: no message shows a password. A URL with one is rejected, and a URL is shown only next to an acceptable one
//! that was probably meant.

use std::net::{IpAddr, Ipv4Addr};

use rustls::pki_types::ServerName;
use url::{Host, Url};

use crate::config::address;
use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::host_names::check_host;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, MINUTE, SECOND, Type, key, millis};
use crate::config::pem;
use crate::config::section::Section;
use crate::secret::Secret;
use crate::session::Store;
use crate::session::redis::{RedisAddress, RedisSettings, RedisTls};
use crate::trust::TrustError;

pub(super) const STORE: KeySpec = key(
    "store",
    Type::Either(&[Type::Choice(&["memory"]), Type::Section(STORES)]),
    DefaultValue::Is("memory"),
    "Where sessions are stored: memory, or a Redis or Valkey server that all instances share.",
);

const STORES: &[KeySpec] = &[key(
    "redis",
    Type::Section(REDIS),
    DefaultValue::Required("redis: { url: redis://127.0.0.1:6379 }"),
    "Redis 6.2 or newer, or Valkey. It needs `session.secret`.",
)];

const REDIS: &[KeySpec] = &[
    key(
        "url",
        Type::Text,
        DefaultValue::Required("url: redis://127.0.0.1:6379"),
        "Address of the server: redis://HOST:PORT/DATABASE, rediss:// for TLS, or unix:PATH.",
    ),
    key(
        "username",
        Type::Text,
        DefaultValue::Unset("the user `default` of Redis"),
        "ACL user of Redis.",
    ),
    key("password", Type::Secret, DefaultValue::Unset("none"), "Password of the user."),
    key(
        "ca",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Certificates to trust, in addition to the system's root certificates: a path or the PEM text.",
    ),
    key(
        "client_certificate",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Client certificate of the gateway: a path or the PEM text.",
    ),
    key(
        "client_key",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Private key of the client certificate: a path or the PEM text.",
    ),
    key(
        "key_prefix",
        Type::Text,
        DefaultValue::Is("portcullis"),
        "Start of the names of all keys. Gateways with the same prefix share their sessions.",
    ),
    key("timeout", millis(10, 10 * SECOND), DefaultValue::Is("250ms"), "Timeout of one operation."),
    key(
        "outage_cache",
        millis(0, 5 * MINUTE),
        DefaultValue::Is("30s"),
        "How long an instance accepts the sessions that it knows while it cannot reach the server.",
    ),
];

/// The store, and what the other keys must be for it.
pub(super) fn read(session: &Section<'_>) -> Result<Store, Reported> {
    let field = session.field("store");
    let Some(Node::Map(_)) = field.node else { return field.value(word) };
    let store = Section::of(&field).and_then(|store| store.section("redis"));
    let settings = store.and_then(|section| redis(&section));
    let secret = session.field("secret");
    let secret = secret.node.map(drop).ok_or_else(|| {
        let invalid = Invalid::new(
            "is required with session.store.redis, which keeps encrypted sessions",
        )
        .hint(
            "run `portcullis keygen` once, and set session.secret to the result in every instance",
        );
        secret.error(&invalid)
    });
    let snapshot = session.field("snapshot");
    let snapshot = snapshot.node.map_or(Ok(()), |_| {
        let invalid = Invalid::new("cannot be used with session.store.redis")
            .hint("remove it: a restart of the gateway loses no session, because Redis keeps them");
        Err(snapshot.error(&invalid))
    });
    let (settings, (), ()) = (settings?, secret?, snapshot?);
    Ok(Store::Redis(Box::new(settings)))
}

/// A store that is written as a word.
fn word(text: &str) -> Result<Store, Invalid> {
    if text == "memory" {
        return Ok(Store::Memory);
    }
    let mapping = "write `store: { redis: { url: redis://127.0.0.1:6379 } }`";
    let both = "write memory, or `store: { redis: { url: redis://127.0.0.1:6379 } }`";
    Err(match text.to_ascii_lowercase().as_str() {
        "memory" => Invalid::new("is not memory").suggest("memory"),
        "redis" | "valkey" => Invalid::new("needs the address of the server").hint(mapping),
        "cookie" => Invalid::new("is not supported")
            .hint("remove it: the cookie has a random ID, and the gateway stores the session"),
        other if other.contains("://") => Invalid::new("is a URL").hint(mapping),
        _ => Invalid::new("is not supported").hint(both),
    })
}

fn redis(section: &Section<'_>) -> Result<RedisSettings, Reported> {
    let url = url(&section.field("url"));
    let username = section.field("username").optional_text();
    let password = section.field("password").secret();
    let ca = pem::authorities(&section.field("ca"));
    let client = pem::client_pair(section);
    let key_prefix = section.field("key_prefix").value(key_prefix);
    let timeout = section.field("timeout").duration();
    let outage_cache = section.field("outage_cache").duration();
    let (username, password) = (username?, password?);
    if username.is_some() && password.is_none() {
        let invalid = Invalid::new("is required with username")
            .hint("write `password: ${file:/run/secrets/redis_password}`");
        return Err(section.field("password").error(&invalid));
    }
    let (url, ca, client) = (url?, ca?, client?);
    if password.is_some() && url.server_name.is_none() && !url.is_local() {
        let field = section.field("url");
        let invalid = Invalid::new("uses redis://: the password can be read in the network")
            .hint("use rediss://, unless only the gateway and Redis are in this network");
        field.diagnostics.warning(&field.path, &invalid);
    }
    Ok(RedisSettings {
        tls: tls(section, url.server_name, ca, client)?,
        address: url.address,
        database: url.database,
        username,
        password,
        key_prefix: key_prefix?,
        timeout: timeout?,
        outage_cache: outage_cache?,
    })
}

fn tls(
    section: &Section<'_>,
    server_name: Option<ServerName<'static>>,
    ca: Option<String>,
    client: Option<(String, Secret)>,
) -> Result<Option<RedisTls>, Reported> {
    let Some(server_name) = server_name else {
        let of_tls = ["ca", "client_certificate", "client_key"];
        let useless =
            of_tls.map(|name| section.field(name)).into_iter().find(|it| it.node.is_some());
        return useless.map_or(Ok(None), |field| {
            let invalid = Invalid::new("has no effect: the URL is not rediss://")
                .hint("write rediss:// in `url`, or remove the key");
            Err(field.error(&invalid))
        });
    };
    RedisTls::new(server_name, ca, client).map(Some).map_err(|error| {
        let (name, cause) = match error {
            TrustError::Authority(cause) => ("ca", cause),
            TrustError::ClientCertificate(cause) => ("client_certificate", cause),
            TrustError::Tls(cause) => ("url", cause),
        };
        section.field(name).error(&format!("cannot be used for TLS: {cause}").into())
    })
}

/// A parsed URL of a Redis server.
#[derive(Debug, PartialEq, Eq)]
struct RedisUrl {
    address: RedisAddress,
    database: u32,
    /// With TLS.
    server_name: Option<ServerName<'static>>,
}

impl RedisUrl {
    /// Whether the server is on this machine.
    fn is_local(&self) -> bool {
        match &self.address {
            RedisAddress::Unix(_) => true,
            RedisAddress::Tcp { host, .. } => {
                host == "localhost"
                    || host.ends_with(".localhost")
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

fn url(field: &Field<'_>) -> Result<RedisUrl, Reported> {
    let text = field.text()?;
    let read = |text: &str| parse(text, field.diagnostics);
    read(&text).map_err(|invalid| {
        let invalid = invalid.keep_suggestion_if(|suggestion| read(suggestion).is_ok());
        // SECURITY: `redis://:hunter2` is a URL whose password is at the place of the port. An acceptable suggestion has
        // no password, and neither has the text from which it is derived.
        let is_harmless = field.is_literal() && invalid.suggestion().is_some();
        field.diagnostics.error(&field.path, &invalid, is_harmless.then_some(&text))
    })
}

fn parse(text: &str, diagnostics: &Diagnostics<'_>) -> Result<RedisUrl, Invalid> {
    if text.contains(char::is_whitespace) {
        return Err("contains a space".into());
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(path, diagnostics);
    }
    // A host and a number contain no `@`. A password that is not percent-encoded makes another URL than it looks like.
    if text.contains('@') {
        return Err(Invalid::new("contains a user name or a password").hint(
            "remove it from the URL, and set the keys `username` and `password`: a URL is logged",
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let meant = if text.starts_with('/') { "unix:" } else { "redis://" };
        return Err(Invalid::new("has no scheme").hint(HINT).suggest(format!("{meant}{text}")));
    };
    let is_tls = match scheme {
        "redis" => false,
        "rediss" => true,
        other => return Err(unsupported(&other.to_ascii_lowercase(), rest)),
    };
    let url = Url::parse(text)
        .map_err(|error| Invalid::new(format!("is not a URL: {error}")).hint(HINT))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Invalid::new("has a query or a fragment")
            .hint("remove it: what it configures has keys below `redis`"));
    }
    let host = host(&url)?;
    let port = url.port().unwrap_or(PORT);
    if port == 0 {
        return Err("has port 0, which is not a valid port".into());
    }
    let database = match url.path().strip_prefix('/').unwrap_or_default() {
        "" => 0,
        number => database(number)?,
    };
    let server_name = is_tls.then(|| ServerName::try_from(host.trim_end_matches('.').to_owned()));
    let server_name = server_name
        .transpose()
        .map_err(|_| Invalid::new("has a host name that no certificate can contain"))?;
    Ok(RedisUrl { address: RedisAddress::Tcp { host, port }, database, server_name })
}

/// Error for a scheme that is not ours; many libraries have their own.
fn unsupported(lower: &str, rest: &str) -> Invalid {
    // SECURITY: the scheme is not shown: in `user:password@redis://…` it is a password.
    let invalid = Invalid::new("has an unsupported scheme").hint(HINT);
    match lower {
        "redis" | "valkey" | "tcp" | "http" => invalid.suggest(format!("redis://{rest}")),
        "rediss" | "valkeys" | "tls" | "https" => invalid.suggest(format!("rediss://{rest}")),
        "redis+unix" | "redis+socket" | "redis-socket" | "unix+redis" | "valkey+unix" => {
            invalid.suggest(format!("unix:{rest}"))
        }
        _ => invalid,
    }
}

/// The host; an IPv6 address has no brackets.
fn host(url: &Url) -> Result<String, Invalid> {
    let host = match url.host() {
        Some(Host::Ipv6(address)) => return Ok(address.to_string()),
        Some(host) => host.to_string(),
        None => return Err(Invalid::new("has no host").hint(HINT)),
    };
    check_host(&host)?;
    // The system's resolver reads `1` and `010.0.0.1` as other addresses than they look like, or as none.
    let numbers = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numbers && host.parse::<Ipv4Addr>().is_err() {
        return Err("has a host that is neither a valid IPv4 address nor a name".into());
    }
    Ok(host)
}

/// Parses what follows `unix:`, in the same way with two slashes, as some libraries want it: `PATH?db=NUMBER`.
fn socket(path: &str, diagnostics: &Diagnostics<'_>) -> Result<RedisUrl, Invalid> {
    let (path, options) = path.split_once('?').unwrap_or((path, ""));
    let path = match path.strip_prefix("//") {
        Some(path) if !path.starts_with('/') => {
            return Err(Invalid::new("has a host, but a unix socket has a path only")
                .hint("write unix:/run/redis/redis.sock"));
        }
        Some(path) => path,
        None => path,
    };
    let database = match options.split_once('=') {
        None if options.is_empty() => 0,
        Some(("db", number)) => database(number)?,
        Some(_) | None => {
            return Err(Invalid::new("has an unknown option")
                .hint("the only option is the database: unix:/run/redis/redis.sock?db=1"));
        }
    };
    let address = RedisAddress::Unix(address::socket(path, diagnostics)?);
    Ok(RedisUrl { address, database, server_name: None })
}

fn database(text: &str) -> Result<u32, Invalid> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| {
        Invalid::new("has a database that is not a number")
            .hint("write redis://HOST:PORT/0, or leave out the number")
    })
}

fn key_prefix(text: &str) -> Result<String, Invalid> {
    let is_allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '{' | '}');
    match !text.is_empty() && text.len() <= LONGEST_PREFIX && text.chars().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err(Invalid::new("cannot be the start of a key")
            .hint(format!("use at most {LONGEST_PREFIX} letters, digits, -, _, . and :"))),
    }
}

const HINT: &str = "write redis://HOST:PORT, rediss://HOST:PORT for TLS, or unix:PATH";

/// Of `redis://` without a port.
const PORT: u16 = 6379;

const LONGEST_PREFIX: usize = 64;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::tests::settings_of;
    use crate::config::{HostEnv, Problems, load};

    fn tcp(host: &str, port: u16) -> RedisAddress {
        RedisAddress::Tcp { host: host.to_owned(), port }
    }

    fn parsed(text: &str) -> Result<RedisUrl, Invalid> {
        let source = HostEnv::fixed([], []);
        parse(text, &Diagnostics::new(&source, Path::new("/etc/portcullis")))
    }

    /// The problems of a file with this store.
    fn problems(store: &str) -> Vec<String> {
        let text = format!(
            "server: {{ public_url: https://wiki.example.com }}\n\
             session: {{ secret: \"${{S}}\", store: {store} }}\n\
             routes: [{{ upstream: http://wiki:8080, allow: public }}]\n"
        );
        let secret = ("S".to_owned(), "s".repeat(32));
        let source = HostEnv::fixed([("a.yaml".into(), text.into_bytes())], [secret]);
        match load(Path::new("a.yaml"), &source) {
            Ok((_, problems)) | Err(Problems(problems)) => {
                problems.iter().map(ToString::to_string).collect()
            }
        }
    }

    #[test]
    fn store_is_memory_by_default() {
        assert_eq!(settings_of("").session.store, Store::Memory);
    }

    #[test]
    fn defaults_are_those_of_the_table() {
        let secret = "s".repeat(32);
        let lines = format!(
            "session: {{ secret: {secret}, store: {{ redis: {{ url: redis://localhost }} }} }}"
        );
        let settings = RedisSettings {
            address: tcp("localhost", 6379),
            database: 0,
            username: None,
            password: None,
            tls: None,
            key_prefix: "portcullis".to_owned(),
            timeout: Duration::from_millis(250),
            outage_cache: Duration::from_secs(30),
        };
        assert_eq!(settings_of(&lines).session.store, Store::Redis(Box::new(settings)));
    }

    #[test]
    fn url_is_an_address_with_a_database() {
        let check = |text, address, database, tls: Option<&'static str>| {
            let server_name = tls.map(|name| ServerName::try_from(name).unwrap());
            assert_eq!(parsed(text), Ok(RedisUrl { address, database, server_name }), "{text}");
        };
        check("redis://cache", tcp("cache", 6379), 0, None);
        check("redis://cache:7000/", tcp("cache", 7000), 0, None);
        check("redis://my_cache.svc:6379/12", tcp("my_cache.svc", 6379), 12, None);
        check("redis://[::1]:7000/1", tcp("::1", 7000), 1, None);
        check("rediss://cache.example.", tcp("cache.example.", 6379), 0, Some("cache.example"));
        check("rediss://10.0.0.1:6380", tcp("10.0.0.1", 6380), 0, Some("10.0.0.1"));
        check("rediss://[fd00::1]", tcp("fd00::1", 6379), 0, Some("fd00::1"));
        let socket = |path: &str| RedisAddress::Unix(path.into());
        check("unix:/run/redis.sock", socket("/run/redis.sock"), 0, None);
        check("unix:///run/redis.sock?db=3", socket("/run/redis.sock"), 3, None);
        check("unix:redis.sock", socket("/etc/portcullis/redis.sock"), 0, None);
    }

    #[test]
    fn invalid_url_has_a_suggestion_where_one_is_clear() {
        let check = |text, what: &str, suggestion| {
            let invalid = parsed(text).unwrap_err();
            assert!(invalid.what.contains(what), "{text}: {}", invalid.what);
            assert_eq!(invalid.suggestion(), suggestion, "{text}");
        };
        check("cache:6379", "no scheme", Some("redis://cache:6379"));
        check("/run/redis.sock", "no scheme", Some("unix:/run/redis.sock"));
        check("valkey://cache/1", "unsupported scheme", Some("redis://cache/1"));
        check("REDISS://cache", "unsupported scheme", Some("rediss://cache"));
        check("redis+unix:///run/redis.sock", "unsupported", Some("unix:/run/redis.sock"));
        check("kafka://cache", "unsupported scheme", None);
        check("redis:///1", "no host", None);
        check("redis://", "no host", None);
        check("redis://cache:0", "port 0", None);
        check("redis://cache:port", "is not a URL", None);
        check("redis://cache/sessions", "not a number", None);
        check("redis://cache/+1", "not a number", None);
        check("redis://cache/4294967296", "not a number", None);
        check("redis://cache?db=1", "a query", None);
        check("redis://010.0.0.1", "neither a valid IPv4 address", None);
        check("redis://a..b", "invalid host name", None);
        check("unix:", "no path", None);
        check("unix://cache/run/redis.sock", "has a host", None);
        check("unix:/run/redis.sock?mode=0600", "unknown option", None);
    }

    #[test]
    fn url_with_a_password_is_rejected_and_not_shown() {
        for url in [
            "redis://:hunter2@cache",
            "redis://ada:hunter2@cache:6379/1",
            "redis://hunter2@cache",
            "redis://:hun/ter2@cache",
            "redis://:hunter2",
            "redis://cache:hunter2",
            "redis://cache/hunter2",
            "redis://cache?password=hunter2",
            "valkey://:hunter2@cache",
            "hunter2@redis://cache",
            "unix://ada:hunter2@/run/redis.sock",
            "unix:/run/redis.sock?password=hunter2",
            "cache:6380,password=hunter2,ssl=True",
        ] {
            let problems = problems(&format!("{{ redis: {{ url: \"{url}\" }} }}"));
            assert_eq!(problems.len(), 1, "{url}: {problems:?}");
            assert!(problems[0].contains("error: session.store.redis.url: "), "{problems:?}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
        let problems = problems("\"redis://:hunter2@cache\"");
        assert!(problems[0].contains("is a URL") && !problems[0].contains("hunter2"));
    }

    #[test]
    fn password_over_plain_tcp_has_a_warning_unless_the_server_is_local() {
        let warned = |url: &str| {
            let problems =
                problems(&format!("{{ redis: {{ url: {url}, password: \"${{S}}\" }} }}"));
            assert!(problems.len() < 2, "{problems:?}");
            problems.iter().any(|problem| problem.contains("warning: session.store.redis.url"))
        };
        assert!(warned("redis://cache") && warned("redis://10.0.0.1"));
        for url in ["redis://127.0.0.2", "redis://localhost", "\"redis://[::1]\"", "rediss://cache"]
        {
            assert!(!warned(url), "{url}");
        }
        assert!(!warned("unix:/run/redis.sock"));
    }

    proptest! {
        #[test]
        fn url_parser_does_not_panic_on_any_text(
            text in ".{0,40}", scheme in "(rediss?://|unix:|[a-z+]{1,8}://)?",
        ) {
            drop(parsed(&(scheme + &text)));
        }

        #[test]
        fn accepted_url_has_no_credentials(text in "redis://[a-z:@/?#0-9]{0,12}") {
            if parsed(&text).is_ok() {
                prop_assert!(!text.contains(['@', '?', '#']), "{text}");
            }
        }
    }
}
