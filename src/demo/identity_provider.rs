//! A small honest OpenID provider on loopback: the demo's, and with faults on demand that of all tests.
//! Invariant: whatever is not spoiled by an active [`Fault`] is what OpenID Connect Core says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{io, mem};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::accounts::Account;
use super::answer::Answer;
use super::faults::{Endpoint, Facts, Fault, NetworkFault};
use super::form::Form;
use super::grants::{Grants, RefreshTokens};
use super::html;
use super::keyring::Keyring;
use super::wire::{Handler, Reply, Running};
use crate::body::Body;
use crate::clock::Clock;
use crate::jose::{self, Algorithm};
use crate::lock::lock;
use crate::secret::Secret;

/// What a provider is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The host in its issuer.
    pub host: String,
    /// The path of its issuer, for instance `/realms/main`; empty by default.
    pub path: String,
    /// Speaks TLS with this, and has an `https` issuer.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may use it; [`IdentityProvider::register`] adds more.
    pub clients: Vec<Client>,
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
            host: Ipv4Addr::LOCALHOST.to_string(),
            path: String::new(),
            tls: None,
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
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; without one the client is public.
    pub secret: Option<Secret>,
    /// Compared character by character.
    pub redirect_uris: Vec<String>,
    /// Where a browser may go after signing out.
    pub post_logout_redirect_uris: Vec<String>,
}

/// How often each endpoint was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The discovery document.
    pub discovery: usize,
    /// The JWK Set.
    pub jwks: usize,
    /// The authorization endpoint.
    pub authorization: usize,
    /// Token requests with `authorization_code`.
    pub code_exchanges: usize,
    /// Token requests with `refresh_token`.
    pub refreshes: usize,
    /// Other token requests.
    pub other_token_requests: usize,
    /// The userinfo endpoint.
    pub userinfo: usize,
    /// The revocation endpoint.
    pub revocations: usize,
    /// The end-session endpoint.
    pub sign_outs: usize,
    /// Requests to `/evil`, where faults point: must stay zero.
    pub evil: usize,
}

/// Why a provider did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("the provider cannot listen: {0}")]
    Listen(#[from] io::Error),
    /// A signing key cannot be made.
    #[error("the provider has no keys: {0}")]
    Keys(#[from] jose::Error),
}

/// A provider at work; dropping it ends its connections.
#[derive(Debug)]
pub struct IdentityProvider {
    provider: Arc<Provider>,
    running: Running,
}

impl IdentityProvider {
    /// Starts a provider. All its times are those of `clock`.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let listener = TcpListener::bind(settings.listen).await?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let port = listener.local_addr()?.port();
        let state = State {
            clients: settings.clients.clone(),
            accounts: settings.accounts.clone(),
            grants: Grants::default(),
            keys: Keyring::generate(settings.algorithm)?,
            faults: Vec::new(),
            faults_over: CancellationToken::new(),
            counts: Counts::default(),
        };
        let tls = settings.tls.clone();
        let provider = Arc::new(Provider {
            issuer: format!("{scheme}://{}:{port}{}", settings.host, settings.path),
            settings,
            clock,
            state: Mutex::new(state),
        });
        let running = Running::serve(listener, tls, provider.clone())?;
        Ok(Self { provider, running })
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Adds a client, or replaces the one of the same id.
    pub fn register(&self, client: Client) {
        let mut state = self.provider.state();
        state.clients.retain(|known| known.id != client.id);
        state.clients.push(client);
    }

    /// From now on these faults are active, and no others; whoever hung by those before is let go.
    pub fn set_faults(&self, faults: &[Fault]) {
        let mut state = self.provider.state();
        state.faults = faults.to_vec();
        mem::take(&mut state.faults_over).cancel();
    }

    /// How often each endpoint was asked so far.
    pub fn counts(&self) -> Counts {
        self.provider.state().counts
    }

    /// Signs with a new key from now on; the old one is no longer published.
    pub fn rotate_keys(&self) -> Result<(), Error> {
        Ok(self.provider.state().keys.rotate()?)
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

    /// Signs any claims with the provider's key: logout tokens, access tokens and their forgeries.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, Error> {
        Ok(self.provider.state().keys.main.sign(typ, claims)?)
    }

    /// Stops answering and waits until every connection has ended.
    pub async fn stop(&self) {
        self.running.stop().await;
    }
}

/// What answers the requests.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) settings: Settings,
    pub(super) issuer: String,
    pub(super) clock: Clock,
    state: Mutex<State>,
}

/// All that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clients: Vec<Client>,
    pub(super) accounts: Vec<Account>,
    pub(super) grants: Grants,
    pub(super) keys: Keyring,
    pub(super) faults: Vec<Fault>,
    /// Cancelled as soon as other faults are set.
    pub(super) faults_over: CancellationToken,
    counts: Counts,
}

impl Handler for Provider {
    fn handle(&self, request: &Request<Bytes>) -> Reply {
        let Some(path) = request.uri().path().strip_prefix(self.settings.path.as_str()) else {
            return http(self.not_found());
        };
        let Some(endpoint) = endpoint_of(path) else {
            return http(self.elsewhere(path));
        };
        match self.met_by(endpoint, request) {
            Some((fault, over)) => {
                fault.reply(request.uri().path(), over, || self.answer(endpoint, request))
            }
            None if endpoint == Endpoint::Token => self.timely(self.answer(endpoint, request)),
            None => http(self.answer(endpoint, request)),
        }
    }
}

impl Provider {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts a request, and tells the fault that it meets and how long that lasts: in one step, so that
    /// whoever has seen the count may change the faults.
    fn met_by(
        &self,
        endpoint: Endpoint,
        request: &Request<Bytes>,
    ) -> Option<(NetworkFault, CancellationToken)> {
        let mut state = self.state();
        state.counts.count(endpoint, request);
        let fault = state.faults.iter().find_map(|fault| match fault {
            Fault::Network(at, fault) if *at == endpoint => Some(*fault),
            Fault::Network(..)
            | Fault::Authorization(_)
            | Fault::IdToken(..)
            | Fault::Token(..)
            | Fault::Late(_)
            | Fault::Userinfo(_)
            | Fault::Discovery(_)
            | Fault::Jwks(_) => None,
        })?;
        if fault == NetworkFault::LostOnce {
            state.faults.retain(|other| *other != Fault::Network(endpoint, fault));
        }
        Some((fault, state.faults_over.clone()))
    }

    fn answer(&self, endpoint: Endpoint, request: &Request<Bytes>) -> Response<Bytes> {
        let for_clients = matches!(endpoint, Endpoint::Token | Endpoint::Revocation);
        if for_clients && request.method() != Method::POST {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Answer::error(status, "invalid_request", "POST it").into_response();
        }
        match endpoint {
            Endpoint::Discovery => self.discovery().into_response(),
            Endpoint::Jwks => self.jwks().into_response(),
            Endpoint::Authorization => self.authorization(request),
            Endpoint::Token => self.token(request).into_response(),
            Endpoint::Userinfo => self.userinfo(request).into_response(),
            Endpoint::Revocation => self.revocation(request).into_response(),
            Endpoint::EndSession => self.end_session(request),
        }
    }

    fn elsewhere(&self, path: &str) -> Response<Bytes> {
        match path {
            "/style.css" => html::style(),
            "/discovery-copy" => Answer::ok(self.metadata()).into_response(),
            "/evil" => {
                self.state().counts.evil += 1;
                Answer::ok(Map::new()).into_response()
            }
            _ => self.not_found(),
        }
    }

    fn not_found(&self) -> Response<Bytes> {
        let status = StatusCode::NOT_FOUND;
        html::message(&self.style(), status, "Not found", "There is nothing here.")
    }

    /// The answer after `spoil` has seen it once for each active fault.
    pub(super) fn spoiled(
        &self,
        mut answer: Answer,
        spoil: impl Fn(&Fault, &mut Answer, &Facts<'_>),
    ) -> Answer {
        let state = self.state();
        let facts = self.facts(&state, None);
        for fault in &state.faults {
            spoil(fault, &mut answer, &facts);
        }
        answer
    }

    pub(super) fn facts<'f>(&'f self, state: &'f State, client: Option<&'f Client>) -> Facts<'f> {
        Facts {
            issuer: &self.issuer,
            client_id: client.map_or("", |client| &client.id),
            client_secret: client
                .and_then(|client| client.secret.as_ref())
                .map_or("", Secret::expose),
            now: self.clock.unix().0,
            keys: &state.keys,
        }
    }

    /// The style's path, for pages.
    pub(super) fn style(&self) -> String {
        format!("{}/style.css", self.settings.path)
    }
}

impl State {
    pub(super) fn account(&self, username: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.username == username)
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }
}

impl Counts {
    fn count(&mut self, endpoint: Endpoint, request: &Request<Bytes>) {
        let counter = match endpoint {
            Endpoint::Discovery => &mut self.discovery,
            Endpoint::Jwks => &mut self.jwks,
            Endpoint::Authorization => &mut self.authorization,
            Endpoint::Token => {
                let form = Form::parse(request.body()).unwrap_or_default();
                match form.get("grant_type") {
                    Some("authorization_code") => &mut self.code_exchanges,
                    Some("refresh_token") => &mut self.refreshes,
                    Some(_) | None => &mut self.other_token_requests,
                }
            }
            Endpoint::Userinfo => &mut self.userinfo,
            Endpoint::Revocation => &mut self.revocations,
            Endpoint::EndSession => &mut self.sign_outs,
        };
        *counter += 1;
    }
}

fn endpoint_of(path: &str) -> Option<Endpoint> {
    let path = if path == LOGIN { Endpoint::Authorization.path() } else { path };
    Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path)
}

pub(super) fn http(response: Response<Bytes>) -> Reply {
    Reply::Http(response.map(Body::full))
}

/// Where the sign-in form is sent.
pub(super) const LOGIN: &str = "/login";
