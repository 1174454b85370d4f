//! External authorization over gRPC: the decision is that of proxying and of the auth endpoints, and whatever goes
//! wrong is a denial. Here are the gateway of these tests, and the calls to it.

mod agreement;
mod answers;
mod listeners;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::BodyExt as _;

use crate::app::App;
use crate::app::lasting::Lasting;
use crate::body::Body;
use crate::clock::Clock;
use crate::config::{HostEnv, load};
use crate::grpc::{CheckRequest, FieldForm, Read};
use crate::identity::tests::person;
use crate::oauth::token::TokenSet;
use crate::server::{Answered, ClientInfo, Handler as _, Incoming, ListenerKind, Peer, Scheme};
use crate::session::tests::{baseline, token_set};
use crate::session::{Session, SessionData, SessionId, Tokens};

/// Nothing listens at the address of the upstream: a request that is allowed gets 502.
const CONFIG: &str = r#"
server:
  public_url: https://wiki.example
  trusted_proxies: [198.51.100.1]
  forward_auth: { clients: [{ from: [192.0.2.1, unix], proxy: envoy }, { from: [192.0.2.2], proxy: nginx }] LISTEN }
providers: { company: { issuer: https://id.example, client_id: wiki, client_secret: s } }
routes:
  - { UPSTREAM, allow: authenticated, identity_headers: { X-Who: "{user}", X-Groups: "{groups}", Authorization: "Bearer {access_token}" } }
  - { path: /open, UPSTREAM, allow: public }
  - { path: /staff, UPSTREAM, allow: [{ groups: [staff] }] }
  - { path: /preflight, UPSTREAM, allow: [{ public: true, methods: [OPTIONS] }, { users: [alice], methods: [GET] }] }
  - { path: /office, UPSTREAM, allow: [{ public: true, client_addresses: [10.1.0.0/16] }] }
  - { path: /rules, UPSTREAM, allow: [{ public: true, paths: [/rules/open] }, { users: [alice], exact_paths: [/rules] }] }
  - { host: status.example, UPSTREAM, allow: public }
"#;

/// Where Envoy and the visitor are.
const ENVOY: &str = "192.0.2.1";
const VISITOR: &str = "203.0.113.9";

struct Gateway {
    app: App,
    /// The session cookie of alice.
    cookie: String,
}

/// Made once, because it reads the system's root certificates.
static SHARED: LazyLock<Gateway> = LazyLock::new(|| Gateway::new(""));
static APART: LazyLock<Gateway> = LazyLock::new(|| Gateway::new(", listen: \"127.0.0.1:0\""));

impl Gateway {
    fn new(listen: &str) -> Self {
        let text = CONFIG.replace("UPSTREAM", "upstream: \"http://127.0.0.1:9\"");
        let text = text.replace("LISTEN", listen);
        let source = HostEnv::fixed([("a.yaml".into(), text.into_bytes())], []);
        let (config, _) = load(Path::new("a.yaml"), &source).unwrap();
        let clock = Clock::system();
        let app = App::new(&config, &Lasting::new(&clock, &Arc::default(), usize::MAX)).unwrap();
        let (id, now, hour) = (SessionId::generate(), clock.moment(), Duration::from_secs(3600));
        let set = TokenSet { requested_at: now, ..token_set("at", 3600, None) };
        let tokens = Tokens::new(set, Duration::from_secs(60));
        let data = SessionData::new(person("alice"), baseline("alice"), tokens);
        let provider = app.party.providers().all()[0].fingerprint();
        app.party.sessions().table().insert(Arc::new(Session::new(&id, provider, data, now, hour)));
        let cookie = format!("__Host-portcullis={}", id.expose());
        Self { app, cookie }
    }

    /// The answer to a call with this message from this peer.
    async fn call(&self, call: Call<'_>) -> Answered {
        let mut request = Request::new(Body::full(call.body.to_vec()));
        *request.method_mut() = call.method;
        *request.version_mut() = call.version;
        *request.uri_mut() = call.path.parse().unwrap();
        for (name, value) in [("content-type", call.content_type), ("te", "trailers")] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let authority = HeaderValue::from_static("portcullis_auth");
        let client = ClientInfo::at(call.peer, call.listener, Scheme::Http, authority).unwrap();
        let client = client.sending(&request);
        self.app.handle(Incoming { request: Box::new(request), client: Arc::new(client) }).await
    }

    /// The decision on a message, as Envoy reads it.
    async fn check(&self, message: &[u8]) -> Read {
        read(self.call(Call { body: &framed(message), ..Call::default() }).await).await
    }

    async fn decide(&self, request: &CheckRequest) -> Read {
        self.check(&request.encode(FieldForm::Text)).await
    }
}

/// A call of Envoy.
struct Call<'a> {
    peer: Peer,
    listener: ListenerKind,
    method: Method,
    version: Version,
    path: &'static str,
    content_type: &'static str,
    body: &'a [u8],
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self {
            peer: ip(ENVOY),
            listener: ListenerKind::Public,
            method: Method::POST,
            version: Version::HTTP_2,
            path: CHECK,
            content_type: "application/grpc",
            body: &[],
        }
    }
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

fn ip(text: &str) -> Peer {
    Peer::Ip(text.parse().unwrap())
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The message of a call that ended well.
async fn message(answered: Answered) -> Bytes {
    assert_eq!(answered.response.status(), StatusCode::OK);
    let collected = answered.response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    let body = collected.to_bytes();
    assert_eq!(body[..5], [&[0][..], &(body.len() as u32 - 5).to_be_bytes()].concat());
    body.slice(5..)
}

async fn read(answered: Answered) -> Read {
    Read::of(&message(answered).await)
}

fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> CheckRequest {
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    CheckRequest {
        source: Some(VISITOR.parse().unwrap()),
        method: method.to_owned(),
        path: path.to_owned(),
        host: "wiki.example".to_owned(),
        scheme: "https".to_owned(),
        fields: fields.iter().map(field).collect(),
    }
}

const PAGE: [(&str, &str); 3] =
    [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
