//! What is learned about providers at run time: metadata, keys, whether they answer, and what counts toward the
//! limits of requests to them. It outlives a configuration.
//! Invariant: providers with the same fingerprint share their limits, and those with the same issuer and HTTP
//! settings also share metadata and keys, while any of them is in use. So a changed client secret or scope needs no new
//! discovery.

use std::sync::Arc;

use crate::clock::Clock;
use crate::oauth::ClientLimits;
use crate::oauth::error_form::ErrorForm;
use crate::oauth::http::{Http, HttpSettings};
use crate::oidc::discovery::Metadata;
use crate::oidc::{Issuer, discovery};
use crate::providers::error::Error;
use crate::providers::kinds::SignInProtocol;
use crate::providers::server::{AuthorizationServer, OAuthServer};
use crate::providers::{Fingerprint, Settings};
use crate::telemetry::metrics::Metrics;
use crate::weak_map::WeakMap;

/// The state of all providers of a process.
#[derive(Debug)]
pub struct ProviderStates {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    limits: WeakMap<Fingerprint, ClientLimits>,
    issuers: WeakMap<(Fingerprint, discovery::Settings, HttpSettings, ErrorForm), Issuer>,
}

impl ProviderStates {
    /// The state before the first request to any provider.
    pub fn new(clock: &Clock, metrics: &Arc<Metrics>) -> Self {
        let (clock, metrics) = (clock.clone(), Arc::clone(metrics));
        Self { clock, metrics, limits: WeakMap::default(), issuers: WeakMap::default() }
    }

    /// The limits on requests to the provider of these settings.
    pub(super) fn limits(&self, settings: &Settings) -> Arc<ClientLimits> {
        self.limits.get_or_insert(settings.fingerprint(), || ClientLimits::new(&self.clock))
    }

    /// The authorization server of these settings.
    pub(super) fn server(&self, settings: &Settings) -> Result<AuthorizationServer, Error> {
        let http = HttpSettings {
            timeout: settings.timeout,
            ca: settings.ca.clone(),
            proxy: settings.proxy.clone(),
            certificate: settings.client_auth.certificate().cloned(),
        };
        match settings.kind.protocol {
            SignInProtocol::OpenId { .. } => {
                self.issuer(settings, http).map(AuthorizationServer::OpenId)
            }
            SignInProtocol::OAuth(_) => self.oauth(settings, http).map(AuthorizationServer::OAuth),
        }
    }

    fn oauth(&self, settings: &Settings, http: HttpSettings) -> Result<Arc<OAuthServer>, Error> {
        let http = self.http(settings, http)?;
        let metadata = Metadata::without_discovery(&settings.endpoints).map_err(Error::Settings)?;
        Ok(Arc::new(OAuthServer {
            identifier: settings.issuer.clone(),
            metadata: Arc::new(metadata),
            http,
            clock: self.clock.clone(),
        }))
    }

    fn issuer(&self, settings: &Settings, http: HttpSettings) -> Result<Arc<Issuer>, Error> {
        let issuer = discovery::Settings {
            issuer: settings.issuer.clone(),
            endpoints: settings.endpoints.clone(),
            internal_origin: settings.internal_origin.clone(),
            danger_allow_http: settings.danger_allow_http,
            matches: settings.kind.issuer_match(&settings.issuer),
        };
        let errors = settings.kind.error_form;
        let key = (settings.fingerprint(), issuer.clone(), http.clone(), errors);
        self.issuers.try_get_or_insert(key, || {
            let http = self.http(settings, http)?;
            Issuer::new(issuer, http, self.clock.clone()).map_err(Error::Settings)
        })
    }

    /// A client for the requests to the provider of these settings.
    fn http(&self, settings: &Settings, http: HttpSettings) -> Result<Arc<Http>, Error> {
        let http = Http::new(http)?.counted_by(self.metrics.provider(&settings.id));
        Ok(Arc::new(http.with_errors(settings.kind.error_form)))
    }
}
