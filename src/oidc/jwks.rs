//! The provider's keys: kept, fetched anew when a token names one that we do not know.
//! Invariant: the last good set stays until there is a better one; an empty set is none. However many
//! tokens with unknown keys come, the provider is asked twice and then once in ten seconds.
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
    /// Of fetches because a token names an unknown key.
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

    /// Checks a token's signature.
    pub(super) async fn verify(&self, token: &Secret, uri: &Url) -> Result<Verified, Error> {
        let keys = match self.cached.known() {
            Some(keys) => keys,
            None => self.fetch(uri, &self.missing).await?,
        };
        match jose::verify(token.expose(), &keys, &Algorithm::ALL) {
            Err(jose::Error::UnknownKey) => {}
            result => return result.map_err(Error::Signature),
        }
        let keys = match self.fetch(uri, &self.rotated).await {
            Ok(keys) => keys,
            // SECURITY: asked often enough; a token that stays unknown is refused, not waved through.
            Err(Error::TooSoon) => return Err(Error::Signature(jose::Error::UnknownKey)),
            Err(error) => return Err(error),
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
        return Err(oauth::error::Error::Status(answer.status).into());
    }
    let keys = KeySet::parse(answer.body())
        .map_err(|_| oauth::error::Error::Garbage("not a JWK Set (RFC 7517 §5)"))?;
    if keys.is_empty() { Err(Error::NoKeys) } else { Ok(keys) }
}
