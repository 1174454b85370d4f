//! The engine by plain HTTP: each kind answers as documented, and notices what no client should do.

use http::HeaderValue;
use portcullis::clock::Clock;
use url::Url;

use super::client::{CLIENT_ID, CLIENT_SECRET};
use super::data::Data;
use super::engine::Engine;
use crate::support::browser::{Answer, Browser};

/// A client that signs in at an engine by hand.
struct Client {
    engine: Engine,
    browser: Browser,
    data: Data,
}

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://wiki.localhost/oauth2/callback";
const STATE: &str = "0123456789012345678901234567890123456789012-_x";

impl Client {
    async fn of(kind: &str) -> Self {
        let engine = Engine::start(kind, &Clock::system()).await;
        let address = engine.origin().strip_prefix("http://").unwrap().parse().unwrap();
        Self { engine, browser: Browser::at(address), data: Data::with(kind, &[]) }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.engine.origin())
    }

    /// The answer to an authorization request.
    async fn authorize(&mut self, scope: &str) -> Answer {
        let mut url = Url::parse(&self.at(&self.data.authorization.path)).unwrap();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", REDIRECT_URI),
            ("scope", scope),
            ("state", STATE),
            ("nonce", "n-0S6_WzA2Mj-0123456789"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
        ]);
        if self.data.authorization.form_post {
            url.query_pairs_mut().append_pair("response_mode", "form_post");
        }
        self.browser.navigate(url.as_str()).await
    }

    /// The parameters of the answer.
    async fn authorized(&mut self, scope: &str) -> Vec<(String, String)> {
        let answer = self.authorize(scope).await;
        match answer.redirect() {
            Some(to) => to.query_pairs().into_owned().collect(),
            None => answer.form().1,
        }
    }

    async fn token(&mut self, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.extend([("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]);
        let url = self.at(&self.data.token.path);
        self.browser.submit(&url, &form).await
    }

    fn accept(&mut self, what: &'static str) {
        self.browser.extra.insert("accept", HeaderValue::from_static(what));
    }

    fn bear(&mut self, token: &str) {
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        self.browser.extra.insert("authorization", value);
    }
}

#[test]
fn data_and_its_variants_have_the_form() {
    for kind in super::KINDS {
        assert!(!Data::with(kind, &[]).source.is_empty(), "{kind}");
        let variants = Data::of(kind)["variants"].as_object().unwrap().clone();
        assert!(["moved", "unverified"].iter().all(|name| variants.contains_key(*name)), "{kind}");
        for name in variants.keys() {
            Data::with(kind, &[name]);
        }
    }
}

#[tokio::test]
async fn every_kind_issues_tokens_for_a_code() {
    for kind in super::KINDS {
        let mut client = Client::of(kind).await;
        let answer = client.authorized("openid offline_access x").await;
        let refused = client.data.authorization.refused_scopes.clone();
        if ["openid", "offline_access"].iter().any(|scope| refused.contains(&(*scope).to_owned())) {
            assert!(answer.contains(&("error".to_owned(), "invalid_scope".to_owned())), "{kind}");
        }
        let scope = if client.data.id_token.is_some() { "openid x" } else { "x" };
        let answer = client.authorized(scope).await;
        let code = answer.iter().find(|(name, _)| name == "code").unwrap().1.clone();
        assert!(answer.contains(&("state".to_owned(), STATE.to_owned())), "{kind}");
        if let Some(document) = client.data.discovery.clone() {
            let url = client.at(&document.path);
            let found = client.browser.fetch(&url).await.json();
            assert!(
                found["issuer"].as_str().unwrap().starts_with(client.engine.origin()),
                "{kind}"
            );
            let keys = found["jwks_uri"].as_str().unwrap();
            assert!(client.browser.fetch(keys).await.json()["keys"][0].is_object(), "{kind}");
        }
        client.accept("application/json");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ];
        let answer = client.token(&form).await;
        let can = !["apple", "bitbucket", "linkedin"].contains(&kind);
        let serde_json::Value::Object(body) = answer.json() else { panic!("{kind}: {answer:?}") };
        assert_eq!(body.contains_key("access_token"), can, "{kind}: {body:?}");
        let has_id_token = can && client.data.id_token.is_some();
        assert_eq!(body.contains_key("id_token"), has_id_token, "{kind}: {body:?}");
        assert_eq!(client.engine.complaints(), [""; 0], "{kind}");
    }
}

#[tokio::test]
async fn github_answers_in_a_form_unless_json_is_accepted_and_errors_have_status_200() {
    let mut client = Client::of("github").await;
    for accept in ["*/*", "application/json"] {
        client.accept(accept);
        let answer = client.token(&[("grant_type", "authorization_code"), ("code", "none")]).await;
        assert_eq!(answer.status, 200);
        let is_form = answer.body.starts_with("error=bad_verification_code&");
        assert_eq!(is_form, accept == "*/*", "{answer:?}");
        let form_type = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(answer.header("content-type") == form_type, is_form, "{answer:?}");
    }
    let mut client = Client::of("slack").await;
    let answer = client.token(&[("grant_type", "authorization_code"), ("code", "none")]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["ok"].clone()),
        (200, serde_json::json!(false))
    );
}

#[tokio::test]
async fn pages_lead_to_each_other_in_the_way_of_the_provider() {
    let mut client = Client::of("bitbucket").await;
    let token = {
        let mut state = client.engine.state();
        let (at, _) = state.grants.add(super::grants::Grant {
            scope: "account".to_owned(),
            ..super::grants::Grant::default()
        });
        state.grants.add_access_token("access-0", at);
        "access-0"
    };
    client.bear(token);
    let all = ["GET /2.0/user/workspaces", "GET /2.0/user"];
    let first = client.browser.fetch(&client.at("/2.0/user/workspaces")).await.json();
    let second = client.browser.fetch(first["next"].as_str().unwrap()).await.json();
    assert_eq!(second["values"][0]["workspace"]["slug"], "wiki");
    assert!(second["next"].is_null());
    client.engine.set_fault(Some(super::Fault::SecondPageFails), &all);
    assert_eq!(client.browser.fetch(first["next"].as_str().unwrap()).await.status, 500);
    client.engine.set_fault(Some(super::Fault::NextIsForeign), &all);
    let foreign = client.browser.fetch(&client.at("/2.0/user/workspaces")).await.json();
    assert!(foreign["next"].as_str().unwrap().starts_with("http://localhost:"), "{foreign}");
    client.engine.set_fault(Some(super::Fault::NextIsEndless), &all);
    let endless = client.browser.fetch(&format!("{}0", first["next"].as_str().unwrap())).await;
    assert!(endless.json()["next"].as_str().unwrap().ends_with("page=21"), "{endless:?}");
    client.engine.set_fault(Some(super::Fault::TokenRejected), &all);
    assert_eq!(client.browser.fetch(&client.at("/2.0/user")).await.status, 401);
    let forbidden = client.at("/2.0/user/emails");
    client.engine.set_fault(None, &[]);
    assert_eq!(client.browser.fetch(&forbidden).await.status, 403, "without its scope");
}

#[tokio::test]
async fn engine_complains_of_what_no_client_should_do() {
    let mut client = Client::of("github").await;
    for (address, complaint) in [
        ("/api/v3/user?access_token=1", "access_token in the query"),
        ("/api/v3/user", "without an access token in Authorization"),
        ("/api/v4", "there is no such resource"),
        ("/login/oauth/authorize?client_id=other", "authorization request: client_id"),
        (
            "/login/oauth/authorize?redirect_uri=http://x/oauth2/callback",
            "authorization request: PKCE",
        ),
    ] {
        client.browser.navigate(&client.at(address)).await;
        let complaints = client.engine.complaints();
        assert!(complaints.iter().any(|it| it.contains(complaint)), "{complaint}: {complaints:?}");
    }
    let own = client.at("/api/v3/user").replace("127.0.0.1", "localhost");
    client.browser.ask(http::Method::GET, &own).await;
    assert!(client.engine.complaints().iter().any(|it| it.contains("sent to localhost")));
}
