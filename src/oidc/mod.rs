//! OpenID Connect Core as a relying party.
//! Invariant: at most one request per document is under way. A sign-in can get metadata and keys without the
//! background task.

mod access_token;
mod cached;
pub mod claimed;
pub mod discovery;
pub mod error;
pub mod id_token;
mod jwks;
pub mod logout;
pub mod userinfo;

use std::sync::{Arc, Once};
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::{info, warn};
use url::Url;

use crate::clock::Clock;
use crate::oauth::http::{Http, HttpResponse};
use crate::oidc::cached::{Cached, Throttle};
use crate::oidc::discovery::{Metadata, Settings};
use crate::oidc::error::Error;
use crate::oidc::id_token::{Expected, VerifiedIdToken};
use crate::oidc::jwks::Keys;
use crate::oidc::logout::LogoutToken;
use crate::random;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// An issuer: its metadata and its keys, kept fresh.
#[derive(Debug)]
pub struct Issuer {
    settings: Settings,
    document: Url,
    http: Arc<Http>,
    clock: Clock,
    /// The configured metadata, if it is complete.
    configured: Option<Arc<Metadata>>,
    discovered: Cached<Metadata>,
    /// At most one discovery a second.
    discoveries: Throttle,
    keys: Keys,
    /// Optional endpoints that cannot be used are logged once.
    reported: Arc<Once>,
}

impl Issuer {
    /// An issuer without metadata and keys.
    pub fn new(settings: Settings, http: Arc<Http>, clock: Clock) -> Result<Self, Error> {
        Ok(Self {
            document: settings.document()?,
            configured: settings.configured()?.map(Arc::new),
            settings,
            discovered: Cached::new(clock.clone()),
            discoveries: Throttle::new(clock.clone(), 1, Duration::from_secs(1)),
            keys: Keys::new(Arc::clone(&http), &clock),
            reported: Arc::new(Once::new()),
            http,
            clock,
        })
    }

    /// The issuer identifier.
    pub fn identifier(&self) -> &str {
        &self.settings.issuer
    }

    /// The configured issuer, and settings that replace discovered ones.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The HTTP client for this issuer.
    pub fn http(&self) -> &Arc<Http> {
        &self.http
    }

    /// The metadata, if known without a request.
    pub fn known(&self) -> Option<Arc<Metadata>> {
        self.configured.clone().or_else(|| self.discovered.known())
    }

    /// Whether all that a sign-in needs is known.
    pub fn is_known(&self) -> bool {
        self.known().is_some() && self.keys.are_known()
    }

    /// Why the last request for metadata or keys failed.
    pub fn fault(&self) -> Option<Error> {
        self.discovered.last_failure().or_else(|| self.keys.last_failure())
    }

    /// The metadata. If it is unknown, waits for the running discovery or starts one.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        match self.known() {
            Some(metadata) => Ok(metadata),
            None => self.discover(None).await,
        }
    }

    /// The current document; `None` if the metadata is configured.
    pub async fn document(&self) -> Result<Option<HttpResponse>, Error> {
        match self.configured {
            Some(_) => Ok(None),
            None => get(&self.http, &self.document).await.map(Some),
        }
    }

    /// Fetches the keys.
    pub async fn renew_keys(&self, metadata: &Metadata) -> Result<(), Error> {
        self.keys.renew(jwks(metadata)?).await
    }

    /// The local time, since 1970.
    pub fn since_epoch(&self) -> Duration {
        self.clock.since_epoch()
    }

    /// Verifies an ID token. Fetches the keys again if the known ones do not verify it.
    pub async fn verify(
        &self,
        id_token: &Secret,
        expected: &Expected<'_>,
    ) -> Result<VerifiedIdToken, Error> {
        let metadata = self.metadata().await?;
        let verified = self.keys.verify(id_token, jwks(&metadata)?).await?;
        let now = self.clock.unix();
        let issuer = self.settings.issuer_of_token(&verified.claims);
        id_token::verify(verified, &issuer, now, expected).map_err(Error::IdToken)
    }

    /// The claims of an access token that the token endpoint just returned. Fetches the keys again in the same way.
    pub async fn access_token_claims(
        &self,
        access_token: &Secret,
        client_id: &str,
    ) -> Result<Map<String, Value>, Error> {
        let metadata = self.metadata().await?;
        let verified = self.keys.verify(access_token, jwks(&metadata)?).await?;
        access_token::verify(verified, self.identifier(), self.clock.unix(), client_id)
            .map_err(Error::AccessToken)
    }

    /// Verifies a logout token in the same way.
    pub async fn verify_logout(
        &self,
        logout_token: &Secret,
        client_id: &str,
    ) -> Result<LogoutToken, Error> {
        let metadata = self.metadata().await?;
        let verified = self.keys.verify(logout_token, jwks(&metadata)?).await?;
        let issuer = self.settings.issuer_of_token(&verified.claims);
        LogoutToken::read(&verified, &issuer, client_id, self.clock.unix())
            .map_err(Error::LogoutToken)
    }

    /// Whether the provider still has the key of an ID token that was verified before. Fetches the keys, at most once a
    /// second, and waits for them no longer than three seconds; without an answer the known ones decide.
    pub async fn has_key_of(&self, id_token: &Secret) -> bool {
        let Some(metadata) = self.known() else { return true };
        drop(tokio::time::timeout(KEYS_WAIT, self.renew_keys(&metadata)).await);
        self.keys.may_verify(id_token)
    }

    /// Keeps metadata and keys fresh until dropped, as a task of the owner. `provider` is the ID for the log. After
    /// a failure it retries after 1, 2, 4… up to 60 s.
    pub async fn keep_fresh(self: Arc<Self>, provider: Arc<str>) {
        let (mut failures, url) = (0, &self.document);
        loop {
            let verb = if self.is_known() { "renew" } else { "get" };
            let pause = match self.renew().await {
                Ok(()) => {
                    if failures > 0 {
                        info!(%provider, "provider is reachable again");
                    }
                    failures = 0;
                    FRESH
                }
                // A sign-in has just fetched it.
                Err(Error::TooSoon) => back_off(1),
                Err(error) => {
                    warn!(%provider, %url, %error, "cannot {verb} metadata and keys of the provider");
                    failures += 1;
                    back_off(failures)
                }
            };
            tokio::time::sleep(jittered(pause)).await;
        }
    }

    async fn renew(&self) -> Result<(), Error> {
        let metadata = match &self.configured {
            Some(metadata) => Arc::clone(metadata),
            None => self.discover(self.discovered.known().as_ref()).await?,
        };
        self.renew_keys(&metadata).await
    }

    async fn discover(&self, seen: Option<&Arc<Metadata>>) -> Result<Arc<Metadata>, Error> {
        let fetch = || {
            let (http, document) = (Arc::clone(&self.http), self.document.clone());
            fetch(http, document, self.settings.clone(), Arc::clone(&self.reported))
        };
        self.discovered.fetch(seen, &self.discoveries, fetch).await
    }
}

/// Fetches the document: a success has status 200 and is JSON (OIDC Discovery §4.2).
async fn fetch(
    http: Arc<Http>,
    document: Url,
    settings: Settings,
    reported: Arc<Once>,
) -> Result<Metadata, Error> {
    let metadata = settings.read(&get(&http, &document).await?.object()?)?;
    if !metadata.ignored.is_empty() {
        reported.call_once(|| {
            for error in &metadata.ignored {
                warn!(issuer = settings.issuer, %error, "an optional endpoint of the provider is not used");
            }
        });
    }
    Ok(metadata)
}

fn jwks(metadata: &Metadata) -> Result<&Url, Error> {
    metadata.jwks.as_ref().ok_or(Error::NoKeys)
}

async fn get(http: &Http, document: &Url) -> Result<HttpResponse, Error> {
    let response = http.get(ProviderEndpoint::Discovery, document).await?;
    if !response.status.is_success() {
        return Err(Error::NoDocument { url: document.to_string(), status: response.status });
    }
    Ok(response)
}

/// 1, 2, 4… 60 s.
fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(LONGEST_PAUSE)
}

/// Adds up to a quarter, so that many gateways do not send requests at the same time.
fn jittered(pause: Duration) -> Duration {
    let [byte] = random::bytes();
    pause + pause / 4 * u32::from(byte) / 256
}

/// A user waits for it.
const KEYS_WAIT: Duration = Duration::from_secs(3);
const FRESH: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
