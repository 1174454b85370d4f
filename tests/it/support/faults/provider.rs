//! The provider of the tests: the demo's, and the proxy in front of it by which it counts and misbehaves.
//! Invariant: what an active [`Fault`] does not spoil is what the demo's provider answers.

use std::collections::HashMap;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Bytes;
use portcullis::clock::Clock;
use portcullis::demo::{self, Keyring};
use portcullis::jose::{self, Algorithm, SigningKey};
use portcullis::secret::Secret;
use rustls::ServerConfig;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use super::answer::Answer;
use super::authorization::AuthorizationResponse;
use super::counts::Counts;
use super::forgery::Draft;
use super::proxy::{Front, Proxy, Reply, forward};
use super::{
    Account, DemoEndpoint, Facts, Fault, GrantType, NetworkFault, RefreshTokens, RegisteredClient,
    TokenAnswer,
};

/// What a provider is started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where it listens; port 0 lets the system choose.
    pub(crate) listen: SocketAddr,
    /// The host in its issuer.
    pub(crate) host: String,
    /// The path of its issuer, for instance `/realms/main`; empty by default.
    pub(crate) path: String,
    /// Speaks TLS with this, and has an `https` issuer.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Who may use it; [`IdentityProvider::register`] adds more.
    pub(crate) clients: Vec<RegisteredClient>,
    /// Who may sign in.
    pub(crate) accounts: Vec<Account>,
    /// How ID Tokens are signed.
    pub(crate) algorithm: Algorithm,
    /// Life of an access token.
    pub(crate) access_token_lifetime: Duration,
    /// How refresh tokens behave.
    pub(crate) refresh_tokens: RefreshTokens,
}

impl Default for Settings {
    fn default() -> Self {
        let honest = demo::Settings::default();
        Self {
            listen: honest.listen,
            host: Ipv4Addr::LOCALHOST.to_string(),
            path: String::new(),
            tls: None,
            clients: honest.clients,
            accounts: honest.accounts,
            algorithm: honest.algorithm,
            access_token_lifetime: honest.access_token_lifetime,
            refresh_tokens: honest.refresh_tokens,
        }
    }
}

/// A running provider; dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    injector: Arc<FaultInjector>,
    proxy: Proxy,
}

impl IdentityProvider {
    /// Starts a provider. All its times are those of `clock`.
    pub(crate) async fn start(settings: Settings, clock: Clock) -> std::io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let port = listener.local_addr()?.port();
        let issuer = format!("{scheme}://{}:{port}{}", settings.host, settings.path);
        let state = State::default();
        let honest = demo::Settings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            issuer: Some(issuer.parse().unwrap()),
            clients: Vec::new(),
            accounts: settings.accounts,
            algorithm: settings.algorithm,
            access_token_lifetime: settings.access_token_lifetime,
            refresh_tokens: settings.refresh_tokens,
        };
        let provider = demo::IdentityProvider::start(honest, clock.clone()).await.unwrap();
        let injector = Arc::new(FaultInjector {
            path: settings.path,
            clock,
            provider,
            attacker: SigningKey::generate(Algorithm::ES256).unwrap(),
            state: Mutex::new(state),
        });
        let proxy = Proxy::serve(listener, settings.tls, Arc::clone(&injector));
        let started = Self { injector, proxy };
        settings.clients.into_iter().for_each(|client| started.register(client));
        Ok(started)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Adds a client, or replaces the one of the same id.
    pub(crate) fn register(&self, client: RegisteredClient) {
        let secret = client.secret.as_ref().map(Secret::expose).unwrap_or_default().to_owned();
        self.injector.state.lock().unwrap().secrets.insert(client.id.clone(), secret);
        self.injector.provider.register(client);
    }

    /// Replaces the active faults, and ends the requests that hang by the old ones.
    pub(crate) fn set_faults(&self, faults: &[Fault]) {
        let mut state = self.injector.state.lock().unwrap();
        state.faults = faults.to_vec();
        mem::take(&mut state.faults_over).cancel();
    }

    /// How many requests each endpoint has received so far.
    pub(crate) fn counts(&self) -> Counts {
        self.injector.state.lock().unwrap().counts
    }

    /// Signs with a new key from now on; the old one is no longer published.
    pub(crate) fn rotate_keys(&self) -> Result<(), jose::Error> {
        self.with_keys(Keyring::rotate)
    }

    /// Signs any claims with the provider's key: logout tokens, access tokens and their forgeries.
    pub(crate) fn sign(
        &self,
        typ: &str,
        claims: &Map<String, Value>,
    ) -> Result<String, jose::Error> {
        self.with_keys(|keys| keys.main().sign(typ, claims))
    }

    /// Stops answering and waits until every connection has ended.
    pub(crate) async fn stop(&self) {
        self.proxy.stop().await;
        self.injector.provider.stop().await;
    }
}

/// The provider behind the proxy, for all that is not about its connections.
impl Deref for IdentityProvider {
    type Target = demo::IdentityProvider;

    fn deref(&self) -> &Self::Target {
        &self.injector.provider
    }
}

/// Counts the requests, and spoils the answers.
#[derive(Debug)]
struct FaultInjector {
    path: String,
    clock: Clock,
    provider: demo::IdentityProvider,
    /// Never published.
    attacker: SigningKey,
    state: Mutex<State>,
}

/// All that changes.
#[derive(Debug, Default)]
struct State {
    /// By client.
    secrets: HashMap<String, String>,
    faults: Vec<Fault>,
    /// Cancelled as soon as other faults are set.
    faults_over: CancellationToken,
    counts: Counts,
}

/// The faults that a request meets.
struct Met {
    network: Option<NetworkFault>,
    faults: Vec<Fault>,
    /// Cancelled when they are over.
    over: CancellationToken,
}

impl Front for FaultInjector {
    async fn answer(self: Arc<Self>, mut request: Request<Bytes>) -> Reply {
        let path = request.uri().path().to_owned();
        let below = path.strip_prefix(&self.path).unwrap_or_default();
        if below == "/evil" {
            self.state.lock().unwrap().counts.evil += 1;
            return Reply::Http(Response::new(Bytes::from_static(b"{}")));
        }
        if below == "/discovery-copy" {
            let path = format!("{}{}", self.path, DemoEndpoint::Discovery.path());
            *request.uri_mut() = path.parse().unwrap();
            return Reply::Http(forward(request, self.provider.address()).await);
        }
        let Some(endpoint) = DemoEndpoint::at(below) else {
            return Reply::Http(forward(request, self.provider.address()).await);
        };
        let grant_type = grant_type(endpoint, &request);
        let met = self.met_by(endpoint, grant_type.as_deref());
        let honest = async {
            let response = forward(request, self.provider.address()).await;
            self.spoiled(endpoint, grant_type.as_deref(), &met.faults, response)
        };
        if let Some(fault) = met.network {
            return fault.reply(&path, met.over, honest).await;
        }
        let response = honest.await;
        let success = response.status().is_success();
        let kind = if success { TokenAnswer::Tokens } else { TokenAnswer::Error };
        if endpoint == DemoEndpoint::Token && met.faults.contains(&Fault::Late(kind)) {
            return Reply::Late(met.over, response);
        }
        Reply::Http(response)
    }
}

impl FaultInjector {
    /// Counts a request, and tells the faults that it meets and how long they last: in one step, so that
    /// a test that has seen the count may change the faults.
    fn met_by(&self, endpoint: DemoEndpoint, grant_type: Option<&str>) -> Met {
        let mut state = self.state.lock().unwrap();
        state.counts.count(endpoint, grant_type);
        let faults = state.faults.clone();
        let network = faults.iter().find_map(|fault| match fault {
            Fault::Network(at, fault) if *at == endpoint => Some(*fault),
            Fault::Network(..)
            | Fault::Authorization(_)
            | Fault::IdToken(..)
            | Fault::Token(..)
            | Fault::Late(_)
            | Fault::Userinfo(_)
            | Fault::Discovery(_)
            | Fault::Jwks(_) => None,
        });
        if network == Some(NetworkFault::LostOnce) {
            let once = Fault::Network(endpoint, NetworkFault::LostOnce);
            state.faults.retain(|other| *other != once);
        }
        Met { network, faults, over: state.faults_over.clone() }
    }

    /// The honest answer of an endpoint after every fault that is about it.
    fn spoiled(
        &self,
        endpoint: DemoEndpoint,
        grant_type: Option<&str>,
        faults: &[Fault],
        mut response: Response<Bytes>,
    ) -> Response<Bytes> {
        let grant = grant_type.and_then(GrantType::of_type);
        match endpoint {
            DemoEndpoint::Authorization => {
                if let Some(mut redirect) = AuthorizationResponse::read(&response) {
                    self.spoil_redirect(faults, &mut redirect);
                    redirect.write(&mut response);
                }
                return response;
            }
            DemoEndpoint::Revocation | DemoEndpoint::EndSession => return response,
            DemoEndpoint::Token if grant.is_none() => return response,
            // The client or its token is rejected.
            DemoEndpoint::Token | DemoEndpoint::Userinfo
                if response.status() == StatusCode::UNAUTHORIZED =>
            {
                return response;
            }
            DemoEndpoint::Discovery
            | DemoEndpoint::Jwks
            | DemoEndpoint::Token
            | DemoEndpoint::Userinfo => {}
        }
        let mut answer = Answer::read(response);
        self.forge_id_token(grant, faults, &mut answer);
        self.with_facts("", |facts| {
            for fault in faults {
                match (endpoint, fault) {
                    (DemoEndpoint::Token, Fault::Token(at, fault)) if grant == Some(*at) => {
                        fault.spoil(&mut answer, facts);
                    }
                    (DemoEndpoint::Userinfo, Fault::Userinfo(fault)) => {
                        fault.spoil(&mut answer, facts)
                    }
                    (DemoEndpoint::Discovery, Fault::Discovery(fault)) => {
                        fault.spoil(&mut answer, facts);
                    }
                    (DemoEndpoint::Jwks, Fault::Jwks(fault)) => fault.spoil(&mut answer, facts),
                    _ => {}
                }
            }
        });
        answer.into_response()
    }

    fn spoil_redirect(&self, faults: &[Fault], redirect: &mut AuthorizationResponse) {
        self.with_facts("", |facts| {
            for fault in faults {
                if let Fault::Authorization(fault) = fault {
                    fault.spoil(redirect, facts);
                }
            }
        });
    }

    /// Replaces the ID Token of an answer by one with the faults of this grant.
    fn forge_id_token(&self, grant: Option<GrantType>, faults: &[Fault], answer: &mut Answer) {
        let mut of_grant = Vec::new();
        for fault in faults {
            if let Fault::IdToken(at, fault) = fault
                && grant == Some(*at)
            {
                of_grant.push(fault);
            }
        }
        let token = answer.members.get("id_token").and_then(Value::as_str);
        let Some(token) = token.filter(|_| !of_grant.is_empty()) else { return };
        let mut draft = Draft::of(token);
        let client_id = draft.claims["aud"].as_str().unwrap().to_owned();
        self.with_facts(&client_id, |facts| {
            for fault in of_grant {
                fault.spoil(&mut draft, facts);
            }
        });
        match self.provider.with_keys(|keys| draft.sign(keys, &self.attacker)) {
            Some(token) => answer.set("id_token", json!(token)),
            None => drop(answer.members.remove("id_token")),
        }
    }

    fn with_facts(&self, client_id: &str, work: impl FnOnce(&Facts<'_>)) {
        let secret = self.state.lock().unwrap().secrets.get(client_id).cloned();
        self.provider.with_keys(|keys| {
            work(&Facts {
                issuer: self.provider.issuer(),
                client_id,
                client_secret: &secret.unwrap_or_default(),
                now: self.clock.unix().0,
                keys,
                attacker: &self.attacker,
            });
        });
    }
}

/// The `grant_type` of a token request that has one.
fn grant_type(endpoint: DemoEndpoint, request: &Request<Bytes>) -> Option<String> {
    let mut values = form_urlencoded::parse(request.body())
        .filter(|(name, _)| endpoint == DemoEndpoint::Token && name == "grant_type");
    let first = values.next().map(|(_, value)| value.into_owned());
    first.filter(|_| values.next().is_none())
}
