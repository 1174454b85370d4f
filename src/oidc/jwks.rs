//! Keys of the provider, fetched again if they do not verify a token: the set may be outdated, or a key may have
//! been replaced under the same ID.
//! Invariant: the last valid set is kept until a new valid one arrives; an empty set is not valid. Any number of
//! such tokens causes two fetches, and then one in ten seconds.
//! Source: OpenID Connect Core §10.1.1, RFC 7517 §5.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::jose::{self, Algorithm, KeySet, Verified};
use crate::oauth;
use crate::oauth::http::Http;
use crate::oidc::cached::{Cached, Throttle};
use crate::oidc::claimed::ClaimedHeader;
use crate::oidc::error::Error;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct Keys {
    http: Arc<Http>,
    cached: Cached<KeySet>,
    /// Of fetches because there is no set.
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

    /// Fetches the set because of its age.
    pub(super) async fn renew(&self, uri: &Url) -> Result<(), Error> {
        let known = self.cached.known();
        self.fetch(known.as_ref(), uri, &self.missing).await.map(drop)
    }

    /// Whether there is a set.
    pub(super) fn are_known(&self) -> bool {
        self.cached.known().is_some()
    }

    /// Why the last fetch failed; `None` if it succeeded.
    pub(super) fn last_failure(&self) -> Option<Error> {
        self.cached.last_failure()
    }

    /// Whether the known set verifies a token. Without a set that is unknown, and `true`.
    pub(super) fn may_verify(&self, token: &Secret) -> bool {
        let known = self.cached.known();
        known.is_none_or(|keys| jose::verify(token.expose(), &keys, &Algorithm::ALL).is_ok())
    }

    /// Verifies the signature of a token.
    pub(super) async fn verify(&self, token: &Secret, uri: &Url) -> Result<Verified, Error> {
        let keys = match self.cached.known() {
            Some(keys) => keys,
            None => self.fetch(None, uri, &self.missing).await?,
        };
        let rejection = match jose::verify(token.expose(), &keys, &Algorithm::ALL) {
            Err(error) if error.may_verify_with_newer_keys() => error,
            result => return result.map_err(|error| of_signature(error, token)),
        };
        let keys = match self.fetch(Some(&keys), uri, &self.rotated).await {
            Ok(keys) => keys,
            // The key may be valid, so the client can try again.
            Err(error) if rejection == jose::Error::UnknownKey && error != Error::TooSoon => {
                return Err(error);
            }
            // SECURITY: a failed fetch must not hide a wrong signature, and a token whose key stays unknown is
            // rejected.
            Err(_) => return Err(of_signature(rejection, token)),
        };
        let verified = jose::verify(token.expose(), &keys, &Algorithm::ALL);
        verified.map_err(|error| of_signature(error, token))
    }

    async fn fetch(
        &self,
        seen: Option<&Arc<KeySet>>,
        uri: &Url,
        throttle: &Throttle,
    ) -> Result<Arc<KeySet>, Error> {
        let fetch = || fetch(Arc::clone(&self.http), uri.clone());
        self.cached.fetch(seen, throttle, fetch).await
    }
}

fn of_signature(error: jose::Error, token: &Secret) -> Error {
    Error::Signature { error, header: ClaimedHeader::of(token) }
}

async fn fetch(http: Arc<Http>, uri: Url) -> Result<KeySet, Error> {
    let response = http.get(ProviderEndpoint::Jwks, &uri).await?;
    if !response.status.is_success() {
        return Err(Error::NoDocument { url: uri.to_string(), status: response.status });
    }
    let keys = KeySet::parse(response.body())
        .map_err(|_| oauth::error::Error::Garbage("not a JWK Set (RFC 7517 §5)"))?;
    if keys.is_empty() { Err(Error::NoKeys) } else { Ok(keys) }
}
