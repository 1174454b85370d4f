//! The servers of `portcullis demo` over raw HTTP/1.1, and the faults that the tests put in front of its provider.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::clock::Clock;
use portcullis::demo::SampleApp;
use portcullis::jose::{self, Algorithm, KeySet};
use portcullis::secret::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::support::faults::*;

const CALLBACK: &str = "http://127.0.0.1:9/oauth2/callback";
const SIGNED_OUT: &str = "http://127.0.0.1:9/oauth2/signed_out";
/// The pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A provider, its clock, and a browser and client that speak to it.
struct Scene {
    idp: IdentityProvider,
    clock: Clock,
}

struct Received {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

/// What a sign-in brought.
struct SignedIn {
    cookie: String,
    code: String,
}

impl Scene {
    async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let clock = Clock::manual();
        let client = |id: &str, secret: Option<&str>| RegisteredClient {
            id: id.into(),
            secret: secret.map(Secret::new),
            redirect_uris: vec![CALLBACK.into()],
            post_logout_redirect_uris: vec![SIGNED_OUT.into()],
        };
        let clients = vec![client("gateway", Some("s3:cret &")), client("public", None)];
        let settings = Settings { clients, algorithm: Algorithm::ES256, ..settings };
        Self { idp: IdentityProvider::start(settings, clock.clone()).await.unwrap(), clock }
    }

    /// Sends one request on a new connection, and returns all bytes until its end.
    async fn bytes(&self, head: &str, body: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.idp.address()).await?;
        let length = body.len();
        let request = format!(
            "{head}\r\nhost: idp\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut received = Vec::new();
        let all = stream.read_to_end(&mut received);
        tokio::time::timeout(Duration::from_secs(20), all).await.unwrap()?;
        Ok(received)
    }

    async fn ask(&self, head: &str, body: &str) -> Received {
        let received = String::from_utf8(self.bytes(head, body).await.unwrap()).unwrap();
        let (head, body) = received.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pairs = lines.map(|line| line.split_once(": ").unwrap());
        let headers = pairs.map(|(name, value)| (name.into(), value.into())).collect();
        Received { status, headers, body: body.into() }
    }

    async fn get(&self, target: &str) -> Received {
        self.ask(&format!("GET {target} HTTP/1.1"), "").await
    }

    /// The authorization request with some parameters replaced or, if empty, left out.
    async fn authorize(&self, changes: &[(&str, &str)], cookie: &str) -> (String, Received) {
        let query = query(&AUTHORIZATION_REQUEST, changes);
        let head = format!("GET /authorize?{query} HTTP/1.1\r\ncookie: a=b; {cookie}");
        let received = self.ask(&head, "").await;
        (query, received)
    }

    /// Signs in by the form.
    async fn sign_in_with(&self, username: &str, changes: &[(&str, &str)]) -> SignedIn {
        let (request, form) = self.authorize(changes, "").await;
        assert_eq!(form.status, 200, "{}", form.body);
        let fields = [("request", &*request), ("username", username), ("password", username)];
        let answer = self.ask("POST /login HTTP/1.1", &query(&fields, &[])).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer.headers["set-cookie"].split(';').next().unwrap().to_owned();
        SignedIn { cookie, code: answer.redirect()["code"].clone() }
    }

    async fn sign_in(&self, username: &str) -> SignedIn {
        self.sign_in_with(username, &[]).await
    }

    /// A token request of the confidential client.
    async fn token(&self, parameters: &[(&str, &str)]) -> Received {
        let head = format!("POST /token HTTP/1.1\r\n{}", basic("gateway:s3%3Acret+%26"));
        self.ask(&head, &query(parameters, &[])).await
    }

    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> Received {
        let request = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let parameters: Vec<_> = replaced(&request, changes);
        self.token(&parameters).await
    }

    async fn refresh(&self, token: &str) -> Received {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Alice's token response.
    async fn tokens(&self) -> Value {
        let signed_in = self.sign_in("alice").await;
        let answer = self.exchange(&signed_in.code, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    async fn userinfo(&self, token: &Value) -> Received {
        let token = token.as_str().unwrap();
        self.ask(&format!("GET /userinfo HTTP/1.1\r\nauthorization: Bearer {token}"), "").await
    }

    async fn keys(&self) -> KeySet {
        KeySet::parse(self.get("/jwks").await.body.as_bytes()).unwrap()
    }

    async fn verify(&self, id_token: &str) -> Result<Value, jose::Error> {
        let keys = self.keys().await;
        jose::verify(id_token, &keys, &Algorithm::ALL).map(|verified| json!(verified.claims))
    }
}

impl Received {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The parameters of the redirect to the callback.
    #[track_caller]
    fn redirect(&self) -> HashMap<String, String> {
        let location = &self.headers["location"];
        assert!(location.starts_with(CALLBACK), "{location}");
        Url::parse(location).unwrap().query_pairs().into_owned().collect()
    }

    #[track_caller]
    fn expect_error(&self, status: u16, error: &str) {
        assert_eq!((self.status, &self.json()["error"]), (status, &json!(error)), "{}", self.body);
    }
}

const AUTHORIZATION_REQUEST: [(&str, &str); 8] = [
    ("response_type", "code"),
    ("client_id", "gateway"),
    ("redirect_uri", CALLBACK),
    ("scope", "openid email profile"),
    ("state", "st&te"),
    ("nonce", "n0nce"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

fn basic(pair: &str) -> String {
    format!("authorization: Basic {}", STANDARD.encode(pair))
}

fn replaced<'a>(
    parameters: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let untouched = |name: &str| changes.iter().all(|(changed, _)| *changed != name);
    let kept = parameters.iter().filter(|(name, _)| untouched(name));
    kept.chain(changes.iter().filter(|(_, value)| !value.is_empty())).copied().collect()
}

fn query(parameters: &[(&str, &str)], changes: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(replaced(parameters, changes)).finish()
}

mod faults;
mod network_faults;
mod sample_app;
mod sign_in;
