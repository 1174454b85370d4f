//! The provider's keys: kept, fetched anew when they do not verify a token, for it may be the set that is
//! wrong: too old, or mended under the same name.
//! Invariant: the last good set stays until there is a better one; an empty set is none. However many
//! such tokens come, the provider is asked twice and then once in ten seconds.
//! Source: OpenID Connect Core §10.1.1, RFC 7517 §5.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::cached::{Cached, Throttle};
use super::error::Error;
use crate::clock::Clock;
use crate::jose::{self, Algorithm, KeySet, Verified};
use crate::oauth;
use crate::oauth::http::Http;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct Keys {
    http: Arc<Http>,
    cached: Cached<KeySet>,
    /// Of fetches because there is no set at all.
    missing: Throttle,
    /// Of fetches because the set does not verify a token.
    rotated: Throttle,
}

impl Keys {
    pub(super) fn new(http: Arc<Http>, clock: &Clock) -> Self {
        Self {
            http,
            cached: Cached::new(clock.clone()),
            missing: Throttle::new(clock.clone(), 1, Duration::from_secs(1)),
            rotated: Throttle::new(clock.clone(), 2, Duration::from_secs(10)),
        }
    }

    /// Fetches the set, for its age.
    pub(super) async fn renew(&self, uri: &Url) -> Result<(), Error> {
        self.fetch(uri, &self.missing).await.map(drop)
    }

    /// Whether there is a set to check with.
    pub(super) fn are_known(&self) -> bool {
        self.cached.known().is_some()
    }

    /// Why the last fetch failed; `None` where it did not.
    pub(super) fn last_failure(&self) -> Option<Error> {
        self.cached.last_failure()
    }

    /// Checks a token's signature.
    pub(super) async fn verify(&self, token: &Secret, uri: &Url) -> Result<Verified, Error> {
        let keys = match self.cached.known() {
            Some(keys) => keys,
            None => self.fetch(uri, &self.missing).await?,
        };
        let refused = match jose::verify(token.expose(), &keys, &Algorithm::ALL) {
            Err(error) if error.may_verify_with_newer_keys() => error,
            result => return result.map_err(Error::Signature),
        };
        let keys = match self.fetch(uri, &self.rotated).await {
            Ok(keys) => keys,
            // The key may be a good one: whoever has the token may try again.
            Err(error) if refused == jose::Error::UnknownKey && error != Error::TooSoon => {
                return Err(error);
            }
            // SECURITY: a wrong signature is wrong whatever keeps us from newer keys; and asked often
            // enough, a token whose key stays unknown is refused, not waved through.
            Err(_) => return Err(Error::Signature(refused)),
        };
        jose::verify(token.expose(), &keys, &Algorithm::ALL).map_err(Error::Signature)
    }

    async fn fetch(&self, uri: &Url, throttle: &Throttle) -> Result<Arc<KeySet>, Error> {
        let fetch = || fetch(Arc::clone(&self.http), uri.clone());
        self.cached.fetch(throttle, fetch).await
    }
}

async fn fetch(http: Arc<Http>, uri: Url) -> Result<KeySet, Error> {
    let answer = http.get(ProviderEndpoint::Jwks, &uri).await?;
    if !answer.status.is_success() {
        return Err(Error::NoDocument { url: uri.to_string(), status: answer.status });
    }
    let keys = KeySet::parse(answer.body())
        .map_err(|_| oauth::error::Error::Garbage("not a JWK Set (RFC 7517 §5)"))?;
    if keys.is_empty() { Err(Error::NoKeys) } else { Ok(keys) }
}
