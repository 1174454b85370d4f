//! The OpenID provider of the demo, on loopback.
//! Invariant: it answers as OpenID Connect Core says; the tests spoil its answers on their way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use url::Url;

use super::accounts::Account;
use super::endpoint::DemoEndpoint;
use super::grants::{Grants, RefreshTokens};
use super::html;
use super::json_response::JsonResponse;
use super::keyring::Keyring;
use super::serving::{DemoSite, Serving, Socket};
use crate::body::Body;
use crate::clock::Clock;
use crate::jose::{self, Algorithm};
use crate::lock::lock;
use crate::secret::Secret;
use crate::server;

/// What a provider is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The issuer, where clients reach the provider by another URL than `http://ADDRESS`, such as that of a
    /// proxy in front of it. A path in it, such as `/realms/main`, is the prefix of all endpoints.
    pub issuer: Option<Url>,
    /// Who may use it; [`IdentityProvider::register`] adds more.
    pub clients: Vec<RegisteredClient>,
    /// Who may sign in.
    pub accounts: Vec<Account>,
    /// How ID Tokens are signed.
    pub algorithm: Algorithm,
    /// Life of an access token.
    pub access_token_lifetime: Duration,
    /// How refresh tokens behave.
    pub refresh_tokens: RefreshTokens,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            issuer: None,
            clients: Vec::new(),
            accounts: Account::demo(),
            algorithm: Algorithm::RS256,
            access_token_lifetime: Duration::from_secs(60),
            refresh_tokens: RefreshTokens::Rotating,
        }
    }
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; without one the client is public.
    pub secret: Option<Secret>,
    /// Compared character by character.
    pub redirect_uris: Vec<String>,
    /// Where a browser may go after signing out.
    pub post_logout_redirect_uris: Vec<String>,
}

/// Why a provider did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("the provider {0}")]
    Listen(#[from] server::Error),
    /// A signing key cannot be made.
    #[error("the provider has no keys: {0}")]
    Keys(#[from] jose::Error),
}

/// A provider at work; dropping it ends its connections.
#[derive(Debug)]
pub struct IdentityProvider {
    provider: Arc<DemoProvider>,
    serving: Serving,
}

impl IdentityProvider {
    /// Starts a provider. All its times are those of `clock`.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let socket = Socket::open(settings.listen).await?;
        let issuer = match &settings.issuer {
            Some(issuer) => issuer.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", socket.address()),
        };
        let path = settings.issuer.as_ref().map_or("", Url::path).trim_end_matches('/').to_owned();
        let state = ProviderState {
            clients: settings.clients.clone(),
            accounts: settings.accounts.clone(),
            grants: Grants::default(),
            keys: Keyring::generate(settings.algorithm)?,
        };
        let provider =
            Arc::new(DemoProvider { settings, issuer, path, clock, state: Mutex::new(state) });
        let serving = socket.serve(Arc::clone(&provider));
        Ok(Self { provider, serving })
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Adds a client, or replaces the one of the same id.
    pub fn register(&self, client: RegisteredClient) {
        let mut state = self.provider.state();
        state.clients.retain(|known| known.id != client.id);
        state.clients.push(client);
    }

    /// Gives exclusive access to the keys: to sign other tokens with them, or to rotate them.
    pub fn with_keys<T>(&self, work: impl FnOnce(&mut Keyring) -> T) -> T {
        work(&mut self.provider.state().keys)
    }

    /// Changes a person's groups: what is issued from now on says so.
    pub fn set_groups(&self, username: &str, groups: &[&str]) {
        let mut state = self.provider.state();
        for account in state.accounts.iter_mut().filter(|account| account.username == username) {
            account.groups = groups.iter().map(|&group| group.to_owned()).collect();
        }
    }

    /// Removes a person, and ends everything that person has.
    pub fn remove_account(&self, username: &str) {
        let mut state = self.provider.state();
        state.accounts.retain(|account| account.username != username);
        state.grants.forget(username);
    }

    /// Ends all codes and tokens.
    pub fn revoke_all(&self) {
        self.provider.state().grants.revoke_all();
    }

    /// The `sid` of a person's latest sign-in, as in that person's ID Tokens.
    pub fn sid_of(&self, username: &str) -> Option<String> {
        self.provider.state().grants.sid_of(username).map(str::to_owned)
    }

    /// Stops answering and waits until every connection has ended.
    pub async fn stop(&self) {
        self.serving.stop().await;
    }
}

/// What answers the requests.
#[derive(Debug)]
pub(super) struct DemoProvider {
    pub(super) settings: Settings,
    pub(super) issuer: String,
    /// The path of the issuer, without a slash at its end.
    pub(super) path: String,
    pub(super) clock: Clock,
    state: Mutex<ProviderState>,
}

/// All that changes.
#[derive(Debug)]
pub(super) struct ProviderState {
    pub(super) clients: Vec<RegisteredClient>,
    pub(super) accounts: Vec<Account>,
    pub(super) grants: Grants,
    pub(super) keys: Keyring,
}

impl DemoSite for DemoProvider {
    fn answer(&self, request: &Request<Bytes>) -> Response<Body> {
        let path = request.uri().path().strip_prefix(self.path.as_str());
        let response = match path.map(|path| (path, DemoEndpoint::at(path))) {
            Some((_, Some(endpoint))) => self.answer_at(endpoint, request),
            Some(("/style.css", None)) => html::style(),
            Some((_, None)) | None => self.not_found(),
        };
        response.map(Body::full)
    }
}

impl DemoProvider {
    pub(super) fn state(&self) -> MutexGuard<'_, ProviderState> {
        lock(&self.state)
    }

    fn answer_at(&self, endpoint: DemoEndpoint, request: &Request<Bytes>) -> Response<Bytes> {
        let for_clients = matches!(endpoint, DemoEndpoint::Token | DemoEndpoint::Revocation);
        if for_clients && request.method() != Method::POST {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return JsonResponse::error(status, "invalid_request", "POST it").into_response();
        }
        match endpoint {
            DemoEndpoint::Discovery => self.discovery().into_response(),
            DemoEndpoint::Jwks => self.jwks().into_response(),
            DemoEndpoint::Authorization => self.authorization(request),
            DemoEndpoint::Token => self.token(request).into_response(),
            DemoEndpoint::Userinfo => self.userinfo(request).into_response(),
            DemoEndpoint::Revocation => self.revocation(request).into_response(),
            DemoEndpoint::EndSession => self.end_session(request),
        }
    }

    fn not_found(&self) -> Response<Bytes> {
        let status = StatusCode::NOT_FOUND;
        html::message(&self.style(), status, "Not found", "There is nothing here.")
    }

    /// The style's path, for pages.
    pub(super) fn style(&self) -> String {
        format!("{}/style.css", self.path)
    }
}

impl ProviderState {
    pub(super) fn account(&self, username: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.username == username)
    }

    pub(super) fn client(&self, id: &str) -> Option<&RegisteredClient> {
        self.clients.iter().find(|client| client.id == id)
    }
}
