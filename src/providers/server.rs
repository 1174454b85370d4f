//! The authorization server of a provider: an issuer of OpenID Connect, or the configured endpoints of an OAuth 2.0 server.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::oauth::http::{Http, HttpResponse};
use crate::oidc::Issuer;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::{Error, IssuerHint};
use crate::secret::Secret;

/// The authorization server of a provider.
#[derive(Clone, Debug)]
pub(super) enum AuthorizationServer {
    /// With discovery, keys and ID tokens.
    OpenId(Arc<Issuer>),
    /// Without.
    OAuth(Arc<OAuthServer>),
}

/// An OAuth 2.0 server whose endpoints are known without a request.
#[derive(Debug)]
pub(super) struct OAuthServer {
    /// Its name in place of an issuer identifier.
    pub(super) identifier: String,
    pub(super) metadata: Arc<Metadata>,
    pub(super) http: Arc<Http>,
    pub(super) clock: Clock,
}

impl AuthorizationServer {
    /// The issuer identifier.
    pub(super) fn identifier(&self) -> &str {
        match self {
            Self::OpenId(issuer) => issuer.identifier(),
            Self::OAuth(server) => &server.identifier,
        }
    }

    /// The HTTP client for this server.
    pub(super) fn http(&self) -> &Arc<Http> {
        match self {
            Self::OpenId(issuer) => issuer.http(),
            Self::OAuth(server) => &server.http,
        }
    }

    /// The metadata, if known without a request.
    pub(super) fn known(&self) -> Option<Arc<Metadata>> {
        match self {
            Self::OpenId(issuer) => issuer.known(),
            Self::OAuth(server) => Some(Arc::clone(&server.metadata)),
        }
    }

    /// Whether all that a sign-in needs is known.
    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::OpenId(issuer) => issuer.is_known(),
            Self::OAuth(_) => true,
        }
    }

    /// Why the last request for metadata or keys failed.
    pub(super) fn fault(&self) -> Option<Error> {
        match self {
            Self::OpenId(issuer) => issuer.fault(),
            Self::OAuth(_) => None,
        }
    }

    /// The metadata. If it is unknown, waits for the running discovery or starts one.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        match self {
            Self::OpenId(issuer) => issuer.metadata().await,
            Self::OAuth(server) => Ok(Arc::clone(&server.metadata)),
        }
    }

    /// The current document; `None` if the metadata is configured.
    pub(super) async fn document(&self) -> Result<Option<HttpResponse>, Error> {
        match self {
            Self::OpenId(issuer) => issuer.document().await,
            Self::OAuth(_) => Ok(None),
        }
    }

    /// Whether the server still has the key of an ID token that was verified before.
    pub(super) async fn has_key_of(&self, id_token: &Secret) -> bool {
        match self {
            Self::OpenId(issuer) => issuer.has_key_of(id_token).await,
            Self::OAuth(_) => false,
        }
    }

    /// Whether both are one server.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OpenId(one), Self::OpenId(other)) => Arc::ptr_eq(one, other),
            // Nothing of it is to be kept fresh.
            (Self::OAuth(_), Self::OAuth(_)) => true,
            (Self::OpenId(_), Self::OAuth(_)) | (Self::OAuth(_), Self::OpenId(_)) => false,
        }
    }

    /// Keeps metadata and keys fresh, and never ends.
    pub(super) async fn keep_fresh(self, provider: Arc<str>) {
        match self {
            Self::OpenId(issuer) => issuer.keep_fresh(provider).await,
            Self::OAuth(_) => std::future::pending().await,
        }
    }

    /// The local time, since 1970.
    pub(super) fn since_epoch(&self) -> Duration {
        match self {
            Self::OpenId(issuer) => issuer.since_epoch(),
            Self::OAuth(server) => server.clock.since_epoch(),
        }
    }

    /// What to write in `issuer` for this identifier, if anything.
    pub(super) fn hint_for_issuer(&self, found: &str) -> IssuerHint {
        match self {
            Self::OpenId(issuer) => issuer.settings().hint_for_issuer(found),
            Self::OAuth(_) => IssuerHint::None,
        }
    }
}
