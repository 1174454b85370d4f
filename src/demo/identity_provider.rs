//! The OpenID provider of the demo.
//! Invariant: its responses follow OpenID Connect Core. Tests change them in a proxy.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use url::Url;

use crate::body::Body;
use crate::clock::Clock;
use crate::demo::accounts::Account;
use crate::demo::endpoint::DemoEndpoint;
use crate::demo::grants::{Grants, RefreshTokens};
use crate::demo::html;
use crate::demo::json_response::JsonResponse;
use crate::demo::keyring::Keyring;
use crate::demo::serving::{DemoSite, Serving, Socket};
use crate::jose::{self, Algorithm};
use crate::lock::lock;
use crate::secret::Secret;
use crate::server;

/// Settings of a provider.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on; with port 0 the system chooses the port.
    pub listen: SocketAddr,
    /// The issuer, if clients use another URL than `http://ADDRESS`, such as that of a proxy. Its path, such as
    /// `/realms/main`, is the prefix of all endpoints. A provider that listens on all addresses is at that of loopback.
    pub issuer: Option<Url>,
    /// Registered clients. [`IdentityProvider::register`] adds more.
    pub clients: Vec<RegisteredClient>,
    /// Accounts that can sign in.
    pub accounts: Vec<Account>,
    /// Signature algorithm of ID tokens.
    pub algorithm: Algorithm,
    /// Lifetime of access tokens.
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
    /// `client_secret`; `None` for a public client.
    pub secret: Option<Secret>,
    /// Redirect URIs, compared exactly.
    pub redirect_uris: Vec<String>,
    /// Allowed redirects after sign-out.
    pub post_logout_redirect_uris: Vec<String>,
}

/// Why a provider did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot listen on the address.
    #[error("demo provider: {0}")]
    Listen(#[from] server::Error),
    /// It cannot generate a signing key.
    #[error("demo provider: cannot generate keys: {0}")]
    Keys(#[from] jose::Error),
}

/// A running provider. Dropping it ends its connections.
#[derive(Debug)]
pub struct IdentityProvider {
    provider: Arc<DemoProvider>,
    serving: Serving,
}

impl IdentityProvider {
    /// Starts a provider that uses the times of `clock`.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let socket = Socket::open(settings.listen).await?;
        let issuer = match &settings.issuer {
            Some(issuer) => issuer.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(socket.address())),
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

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Adds a client, or replaces the one with the same ID.
    pub fn register(&self, client: RegisteredClient) {
        let mut state = self.provider.state();
        state.clients.retain(|known| known.id != client.id);
        state.clients.push(client);
    }

    /// Calls `work` with exclusive access to the keys, to sign tokens or to rotate keys.
    pub fn with_keys<T>(&self, work: impl FnOnce(&mut Keyring) -> T) -> T {
        work(&mut self.provider.state().keys)
    }

    /// Changes the groups of an account, for tokens issued from now on.
    pub fn set_groups(&self, username: &str, groups: &[&str]) {
        let mut state = self.provider.state();
        for account in state.accounts.iter_mut().filter(|account| account.username == username) {
            account.groups = groups.iter().map(|&group| group.to_owned()).collect();
        }
    }

    /// Removes an account and ends its sign-ins and tokens.
    pub fn remove_account(&self, username: &str) {
        let mut state = self.provider.state();
        state.accounts.retain(|account| account.username != username);
        state.grants.forget(username);
    }

    /// Ends all codes and tokens.
    pub fn revoke_all(&self) {
        self.provider.state().grants.revoke_all();
    }

    /// The `sid` of the latest sign-in of an account, as in its ID tokens.
    pub fn sid_of(&self, username: &str) -> Option<String> {
        self.provider.state().grants.sid_of(username).map(str::to_owned)
    }

    /// Stops the server and waits until all connections have ended.
    pub async fn stop(&self) {
        self.serving.stop().await;
    }
}

/// The handler of requests.
#[derive(Debug)]
pub(super) struct DemoProvider {
    pub(super) settings: Settings,
    pub(super) issuer: String,
    /// The path of the issuer, without a slash at its end.
    pub(super) path: String,
    pub(super) clock: Clock,
    state: Mutex<ProviderState>,
}

/// The state that changes.
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
            return JsonResponse::error(status, "invalid_request", "use POST").into_response();
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
        html::message(&self.style(), status, "Not found", "This page does not exist.")
    }

    /// The path of the style sheet.
    pub(super) fn style(&self) -> String {
        format!("{}/style.css", self.path)
    }
}

/// An address at which clients of this machine reach what listens on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

impl ProviderState {
    pub(super) fn account(&self, username: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.username == username)
    }

    pub(super) fn client(&self, id: &str) -> Option<&RegisteredClient> {
        self.clients.iter().find(|client| client.id == id)
    }
}
