//! Settings that a reload cannot change.
//! Invariant: an error shows no value of a store, among which is a password.

use crate::config::Config;
use crate::session::Store;
use crate::session::redis::RedisSettings;

/// Why a changed configuration needs a restart.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FixedSetting {
    /// A value that can be shown.
    #[error("{key}: cannot be reloaded: restart to change it from {from} to {to}")]
    Value { key: &'static str, from: String, to: String },
    /// Another one.
    #[error("{0}: cannot be reloaded: restart to change it")]
    Key(&'static str),
}

/// Returns an error if something has changed that needs a restart.
pub(super) fn check(from: &Config, to: &Config) -> Result<(), FixedSetting> {
    let values = |config: &Config| {
        let snapshot = config.session.snapshot.as_ref();
        let snapshot = snapshot.map_or_else(|| "none".into(), |path| path.display().to_string());
        [("server.workers", config.server.workers.to_string()), ("session.snapshot", snapshot)]
    };
    for ((key, from), (_, to)) in values(from).into_iter().zip(values(to)) {
        if from != to {
            return Err(FixedSetting::Value { key, from, to });
        }
    }
    changed_in(&from.session.store, &to.session.store)
        .map_or(Ok(()), |key| Err(FixedSetting::Key(key)))
}

/// The first key of a store that has changed.
fn changed_in(from: &Store, to: &Store) -> Option<&'static str> {
    let (from, to) = match (from, to) {
        (Store::Memory, Store::Memory) => return None,
        (Store::Redis(from), Store::Redis(to)) => (&**from, &**to),
        (Store::Memory, Store::Redis(_)) | (Store::Redis(_), Store::Memory) => {
            return Some("session.store");
        }
    };
    let RedisSettings {
        address,
        database,
        username,
        password,
        tls,
        key_prefix,
        timeout,
        outage_cache,
    } = from;
    let is_same_url =
        (address, database, tls.is_some()) == (&to.address, &to.database, to.tls.is_some());
    let changed = [
        ("session.store.redis.url", !is_same_url),
        ("session.store.redis.username", *username != to.username),
        ("session.store.redis.password", *password != to.password),
        ("session.store.redis.ca or client_certificate", *tls != to.tls),
        ("session.store.redis.key_prefix", *key_prefix != to.key_prefix),
        ("session.store.redis.timeout", *timeout != to.timeout),
        ("session.store.redis.outage_cache", *outage_cache != to.outage_cache),
    ];
    changed.into_iter().find(|(_, is_changed)| *is_changed).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{HostEnv, load};

    fn config(session: &str) -> Config {
        let text = format!(
            "server: {{ public_url: https://wiki.example.com }}\n\
             session: {{ secret: \"${{SECRET}}\", {session} }}\n\
             routes: [{{ upstream: http://wiki:8080, allow: public }}]\n"
        );
        let variables = [
            ("SECRET", "s".repeat(32)),
            ("ONE", "hunter1".to_owned()),
            ("TWO", "hunter2".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let source = HostEnv::fixed([("a.yaml".into(), text.into_bytes())], variables);
        load(Path::new("a.yaml"), &source).unwrap().0
    }

    #[test]
    fn changed_store_is_named_without_its_values() {
        let redis = |keys: &str| config(&format!("store: {{ redis: {{ {keys} }} }}"));
        let before = redis("url: redis://localhost, password: \"${ONE}\"");
        let check = |after: &Config, key| {
            let error = check(&before, after).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{key}: cannot be reloaded: restart to change it")
            );
        };
        check(&config("store: memory"), "session.store");
        let password = "password: \"${ONE}\"";
        for (keys, key) in [
            ("url: redis://localhost, password: \"${TWO}\"", "session.store.redis.password"),
            ("url: redis://localhost", "session.store.redis.password"),
            (&format!("url: redis://localhost:1, {password}"), "session.store.redis.url"),
            (&format!("url: redis://localhost/1, {password}"), "session.store.redis.url"),
            (&format!("url: rediss://localhost, {password}"), "session.store.redis.url"),
            (
                &format!("url: redis://localhost, username: a, {password}"),
                "session.store.redis.username",
            ),
            (
                &format!("url: redis://localhost, timeout: 1s, {password}"),
                "session.store.redis.timeout",
            ),
            (
                &format!("url: redis://localhost, outage_cache: 1s, {password}"),
                "session.store.redis.outage_cache",
            ),
            (
                &format!("url: redis://localhost, key_prefix: a, {password}"),
                "session.store.redis.key_prefix",
            ),
        ] {
            check(&redis(keys), key);
        }
        assert_eq!(
            super::check(&before, &redis(&format!("url: redis://localhost, {password}"))),
            Ok(())
        );
    }
}
