//! A running engine: its listener, what it has received, and where each request goes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis::clock::Clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::form_urlencoded;

use super::Fault;
use super::answer::{Answer, json_answer};
use super::authorization_server::KEY;
use super::client::CLIENT_ID;
use super::data::{Data, Revocation, fill_members};
use super::grants::Grants;

/// A provider of some kind. Dropping it ends it, and fails the test if there is a complaint.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    kind: String,
    origin: String,
    clock: Clock,
    state: Mutex<State>,
}

/// What an engine knows at a moment.
pub(super) struct State {
    pub(super) data: Data,
    pub(super) origin: String,
    pub(super) fault: Option<(Fault, Vec<String>)>,
    pub(super) grants: Grants,
    pub(super) complaints: Vec<String>,
    received: Vec<Received>,
    pub(super) now: i64,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Engine {
    /// Starts a provider of this kind, on a port of the system's choice.
    pub(crate) async fn start(kind: &str, clock: &Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            data: Data::with(kind, &[]),
            origin: origin.clone(),
            fault: None,
            grants: Grants::default(),
            complaints: Vec::new(),
            received: Vec::new(),
            now: 0,
        };
        let (kind, clock) = (kind.to_owned(), clock.clone());
        let shared = Arc::new(Shared { kind, origin, clock, state: Mutex::new(state) });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { shared, serving }
    }

    /// Its origin.
    pub(crate) fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// From now on it is as these variants of its data say.
    pub(crate) fn becomes(&self, variants: &[&str]) {
        self.state().data = Data::with(&self.shared.kind, variants);
    }

    /// From now on this goes wrong, at these resources of the API only (`GET /user/orgs`); `None`: nothing does.
    pub(crate) fn set_fault(&self, fault: Option<Fault>, resources: &[&str]) {
        let resources = resources.iter().map(|line| (*line).to_owned()).collect();
        self.state().fault = fault.map(|fault| (fault, resources));
    }

    /// All requests with this method and path, of which a `*` stands for the rest.
    pub(crate) fn received(&self, what: &str) -> Vec<Received> {
        let matches = |received: &Received| {
            let line = format!("{} {}", received.method, received.path);
            what.strip_suffix('*').map_or(line == what, |start| line.starts_with(start))
        };
        self.state().received.iter().filter(|received| matches(received)).cloned().collect()
    }

    /// Requests of the API, userinfo included, each once.
    pub(crate) fn api_requests(&self) -> BTreeSet<String> {
        let state = self.state();
        let lines = state.received.iter().map(|it| format!("{} {}", it.method, it.path));
        lines.filter(|line| state.data.apis.contains_key(line)).collect()
    }

    /// Token requests with this grant type.
    pub(crate) fn token_requests(&self, grant_type: &str) -> Vec<Received> {
        let path = self.state().data.token.path.clone();
        let mut requests = self.received(&format!("POST {path}"));
        requests.retain(|request| request.form("grant_type") == Some(grant_type));
        requests
    }

    /// The path of the authorization endpoint.
    pub(crate) fn authorization_path(&self) -> String {
        self.state().data.authorization.path.clone()
    }

    /// How long an access token is valid; an hour if it does not say.
    pub(crate) fn token_lifetime(&self) -> Duration {
        let seconds = self.state().data.token.body.get("expires_in").and_then(Value::as_u64);
        Duration::from_secs(seconds.unwrap_or(3600))
    }

    /// Whether a refresh token still works.
    pub(crate) fn has_refresh_token(&self, token: &str) -> bool {
        self.state().grants.has_refresh_token(token)
    }

    /// What no client should do, and this one did. Taken.
    pub(crate) fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.state().complaints)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.serving.abort();
        if !std::thread::panicking() {
            let complaints = self.complaints();
            assert!(complaints.is_empty(), "{}: {complaints:#?}", self.shared.kind);
        }
    }
}

impl Received {
    /// A header field that came once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A parameter of the body.
    pub(crate) fn form(&self, name: &str) -> Option<&str> {
        find(&self.form, name)
    }
}

fn find<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|pair| pair.0 == name).map(|pair| &*pair.1)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> hyper::Result<Answer> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
    let pairs = |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    let is_form = head
        .headers
        .get("content-type")
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let received = Received {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: pairs(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        form: if is_form { pairs(&body) } else { Vec::new() },
        body,
    };
    let mut state = shared.state.lock().unwrap();
    state.now = shared.clock.unix().0;
    state.received.push(received.clone());
    Ok(state.answer(&received))
}

impl State {
    fn answer(&mut self, request: &Received) -> Answer {
        self.check(request);
        let data = self.data.clone();
        let line = format!("{} {}", request.method, request.path);
        let is = |method: &str, path: &str| line == format!("{method} {path}");
        let ends_session = data.end_session.as_ref().is_some_and(|end| is("GET", &end.path));
        match &data.discovery {
            Some(document) if is("GET", &document.path) => {
                let body = fill_members(&document.body, &self.known(None));
                return json_answer(200, &body.into());
            }
            _ => {}
        }
        match data.jwks {
            Some(path) if is("GET", &path) => {
                json_answer(200, &json!({ "keys": [KEY.public_jwk()] }))
            }
            _ if is("GET", &data.authorization.path) => self.authorization(request),
            _ if is("POST", &data.token.path) => self.token(request),
            _ if ends_session => self.end_session(request),
            _ => match &data.revocation {
                Some(Revocation::Rfc7009(path)) if is("POST", path) => self.revocation(request),
                Some(Revocation::Github(base))
                    if is("DELETE", &format!("{base}/applications/{CLIENT_ID}/token")) =>
                {
                    self.github_revocation(request)
                }
                _ => self.api(request, &line),
            },
        }
    }

    /// What holds for every request.
    fn check(&mut self, request: &Received) {
        let Received { method, path, .. } = request;
        for (name, _) in &request.query {
            if ["access_token", "refresh_token", "client_secret", "code"].contains(&name.as_str()) {
                self.complain(format!("{method} {path}: {name} in the query"));
            }
        }
        for pairs in [&request.query, &request.form] {
            let mut names = BTreeSet::new();
            if pairs.iter().any(|(name, _)| name != "resource" && !names.insert(name)) {
                self.complain(format!("{method} {path}: a parameter twice: {pairs:?}"));
            }
        }
        let host = request.header("host").unwrap_or_default();
        if self.origin.strip_prefix("http://") != Some(host) {
            self.complain(format!("{method} {path}: sent to {host}"));
        }
    }

    /// Whether this goes wrong at a resource.
    pub(super) fn has_fault(&self, fault: Fault, resource: &str) -> bool {
        self.fault.as_ref().is_some_and(|(now, resources)| {
            *now == fault && resources.iter().any(|line| line == resource)
        })
    }

    pub(super) fn complain(&mut self, what: impl Into<String>) {
        self.complaints.push(what.into());
    }
}
