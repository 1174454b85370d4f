//! Sign-ins and sign-outs with a provider on loopback.

mod access_token;
mod client_endpoints;
mod deviations;
mod error_answers;
mod profile;
mod recheck;
mod refresh;
mod service_account;
mod settings;
mod stale;

use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::*;
use crate::client_address::ClientAddress;
use crate::clock::{Clock, UnixTime};
use crate::identity::refresh_baseline::RefreshBaseline;
use crate::identity::tests::person;
use crate::jose::{Algorithm, SigningKey};
use crate::oauth::authorization::AuthorizationResponse;
use crate::oauth::loopback::{Loopback, Reply};
use crate::oidc::error::Violation;
use crate::oidc::logout::claimed_issuer;
use crate::telemetry::metrics::Metrics;

/// The next answers of the provider. Tests change them.
struct Script {
    /// Members over those of the right ID token; null removes one.
    id_token: Value,
    /// An access token; or members over those of a right one that is a JWT.
    access_token: Value,
    token: Option<Reply>,
    /// Members over those of the right answer of the token endpoint; null removes one.
    reply: Value,
    userinfo: Reply,
    discovery: Value,
}

/// The state of a process that knows no provider yet.
pub(super) fn states() -> ProviderStates {
    ProviderStates::new(&Clock::system(), &Arc::new(Metrics::default()))
}

struct Scene {
    provider: Provider,
    op: Loopback,
    script: Arc<Mutex<Script>>,
}

fn with(base: Value, changes: &Value) -> Map<String, Value> {
    let mut members = base.as_object().unwrap().clone();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    members
}

async fn scene(changes: impl FnOnce(&mut Settings)) -> Scene {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let script = Arc::new(Mutex::new(Script {
        id_token: json!({}),
        access_token: json!("at"),
        token: None,
        reply: json!({}),
        userinfo: Reply::json(200, &json!({"sub": "alice", "groups": ["staff"]})),
        discovery: json!({}),
    }));
    let shared = Arc::clone(&script);
    let op = Loopback::start(move |base, seen| {
        let issuer = base.as_str().trim_end_matches('/');
        let script = shared.lock().unwrap();
        match seen.path.trim_start_matches("/mtls") {
            "/jwks" => Reply::json(200, &json!({"keys": [key.public_jwk()]})),
            "/userinfo" => script.userinfo.clone(),
            "/revoke" => Reply::json(200, &json!({})),
            "/token" => script.token.clone().unwrap_or_else(|| {
                let UnixTime(now) = Clock::system().unix();
                let claims = json!({"iss": issuer, "sub": "alice", "aud": "us", "nonce": "n",
                    "iat": now, "exp": now + 60, "name": "Alice", "email": "alice@example.com"});
                let id_token = key.sign("JWT", &with(claims, &script.id_token)).unwrap();
                let access_token = if script.access_token.is_object() {
                    let claims = json!({"iss": issuer, "sub": "other", "aud": "api", "azp": "us",
                        "exp": now + 60, "realm_access": {"roles": ["editor", "admin"]}});
                    key.sign("at+jwt", &with(claims, &script.access_token)).unwrap().into()
                } else {
                    script.access_token.clone()
                };
                let reply = json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 3600,
                    "refresh_token": "rt", "id_token": id_token});
                Reply::json(200, &Value::from(with(reply, &script.reply)))
            }),
            _ => Reply::json(
                200,
                &Value::from(with(
                    json!({"issuer": issuer,
                "authorization_endpoint": format!("{issuer}/auth"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "end_session_endpoint": format!("{issuer}/logout"),
                "revocation_endpoint": format!("{issuer}/revoke"),
                "jwks_uri": format!("{issuer}/jwks")}),
                    &script.discovery,
                )),
            ),
        }
    })
    .await;
    let mut settings = settings(op.issuer());
    changes(&mut settings);
    let provider = Provider::new(settings, &states()).unwrap();
    Scene { provider, op, script }
}

pub(super) fn with_secret(secret: &str) -> AuthMethods {
    let secret = Secret::new(secret);
    AuthMethods::Preferred(vec![
        ClientAuth::ClientSecretBasic(secret.clone()),
        ClientAuth::ClientSecretPost(secret),
    ])
}

pub(super) fn settings(issuer: String) -> Settings {
    Settings {
        id: "company".into(),
        name: "Company".into(),
        kind: kinds::GENERIC,
        options: KindOptions::default(),
        issuer,
        internal_origin: None,
        endpoints: ProviderEndpoints::default(),
        api: None,
        service_account: None,
        client_id: "us".into(),
        client_auth: with_secret("secret"),
        scopes: vec!["openid".into(), "email".into()],
        response_mode: ResponseMode::Query,
        authorization_parameters: vec![
            ("prompt".into(), "consent".into()),
            ("hd".into(), "x".into()),
        ],
        claims: ClaimNames::default(),
        userinfo: Userinfo::Auto,
        require_email_verified: true,
        sign_out: SignOut::Provider,
        distinct_redirect_uri: false,
        ca: None,
        proxy: None,
        timeout: Duration::from_secs(5),
        danger_allow_http: false,
    }
}

impl Scene {
    fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    async fn complete(&self) -> Result<SignedIn, Error> {
        let code = Code {
            response: ResponseCode { code: Secret::new("code"), name: None },
            redirect_uri: "https://app.example/cb".to_owned(),
            code_verifier: Secret::new("verifier"),
            nonce: "n".to_owned(),
        };
        let turn = self.provider.turn(ClientAddress::Unknown).await?;
        self.provider.complete(turn, &code).await
    }

    async fn refresh(&self, baseline: &RefreshBaseline) -> Result<Refreshed, RefreshError> {
        let refresh_token = &Secret::new("rt");
        let identity = &person("alice");
        let held = SessionBefore { identity, baseline, outage_grace: Duration::from_secs(600) };
        self.provider.refresh(&RefreshRequest { refresh_token, held }).await
    }
}

#[tokio::test]
async fn authorization_url_has_all_parameters() {
    let scene = scene(|_| {}).await;
    let request = SignInRequest {
        redirect_uri: "https://app.example/cb",
        state: "s",
        nonce: "n",
        code_challenge: "c",
        prompt: Some("select_account"),
        login_hint: None,
        ui_locales: None,
    };
    scene.script(|script| script.discovery = json!({"prompt_values_supported": ["none", "login"]}));
    let url = scene.provider.authorization_url(&request).await.unwrap();
    assert_eq!(
        url.query().unwrap(),
        "response_type=code&client_id=us&redirect_uri=https%3A%2F%2Fapp.example%2Fcb\
         &scope=openid%20email&state=s&code_challenge=c&code_challenge_method=S256&nonce=n\
         &prompt=login&hd=x"
    );
}

#[tokio::test]
async fn exchanged_code_makes_an_identity_with_groups_of_userinfo() {
    let scene = scene(|_| {}).await;
    let signed_in = scene.complete().await.unwrap();
    assert_eq!(&*signed_in.identity.subject, "alice");
    assert!(signed_in.identity.groups().eq(["staff"]));
    assert_eq!(signed_in.identity.email, None, "it is not verified");
    assert_eq!(signed_in.tokens.refresh_token.unwrap().expose(), "rt");
    assert!(
        signed_in.baseline.id_token_claims.is_some_and(|own| !own.read().contains_key("groups"))
    );
    assert_eq!(scene.provider.health(), ProviderHealth::Up);
}

#[tokio::test]
async fn provider_is_unreachable_after_one_failure_and_up_after_one_answer() {
    let scene = scene(|_| {}).await;
    assert_eq!(scene.provider.health(), ProviderHealth::Unreachable, "no request yet");
    let baseline = scene.complete().await.unwrap().baseline;
    assert_eq!(scene.provider.health(), ProviderHealth::Up);
    for reply in [Reply::Drop, Reply::json(503, &json!({})), Reply::json(429, &json!({}))] {
        scene.script(|script| script.token = Some(reply.clone()));
        assert!(scene.refresh(&baseline).await.is_err());
        assert_eq!(scene.provider.health(), ProviderHealth::Unreachable, "{reply:?}");
        let rejected = Reply::json(400, &json!({"error": "invalid_grant"}));
        scene.script(|script| script.token = Some(rejected));
        assert!(scene.refresh(&baseline).await.is_err());
        assert_eq!(scene.provider.health(), ProviderHealth::Up, "a rejection is an answer");
    }
}

#[tokio::test]
async fn wrong_document_is_not_an_outage() {
    let scene = scene(|_| {}).await;
    scene.script(|script| script.discovery = json!({"issuer": "https://op.example"}));
    scene.complete().await.unwrap_err();
    let health = scene.provider.health();
    assert!(
        matches!(health, ProviderHealth::Unusable(OidcError::OtherIssuer { .. })),
        "{health:?}"
    );
}

#[tokio::test]
async fn userinfo_is_not_requested_if_the_id_token_has_all_claims() {
    let scene = scene(|_| {}).await;
    let all = json!({"groups": ["g"], "preferred_username": "al", "email_verified": true});
    scene.script(|script| script.id_token = all);
    let signed_in = scene.complete().await.unwrap();
    assert_eq!(signed_in.identity.email.as_deref(), Some("alice@example.com"));
    assert!(scene.op.seen("/userinfo").is_empty());
    assert_eq!(signed_in.baseline.id_token_claims, None);
}

#[tokio::test]
async fn wrong_id_token_makes_no_identity() {
    let scene = scene(|_| {}).await;
    for wrong in [json!({"nonce": "m"}), json!({"aud": "them"}), json!({"sub": null})] {
        scene.script(|script| script.id_token = wrong.clone());
        let result = scene.complete().await;
        assert!(matches!(result, Err(Error::Misbehaved(_))), "{wrong}");
    }
    let none = json!({"access_token": "at", "token_type": "Bearer"});
    scene.script(|script| script.token = Some(Reply::json(200, &none)));
    assert_eq!(scene.complete().await.unwrap_err(), Error::Misbehaved(OidcError::NoIdToken));
}

#[tokio::test]
async fn failure_shows_who_can_fix_it() {
    let scene = scene(|_| {}).await;
    let answer = |status, code| Some(Reply::json(status, &json!({"error": code})));
    scene.script(|script| script.token = answer(400, "invalid_grant"));
    assert!(matches!(scene.complete().await, Err(Error::Refused(_))));
    scene.script(|script| script.token = answer(401, "invalid_client"));
    assert!(matches!(scene.complete().await, Err(Error::Misconfigured(_))));
    scene.script(|script| script.token = answer(503, "server_error"));
    assert!(matches!(scene.complete().await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn failure_of_userinfo_costs_claims_or_the_sign_in_as_configured() {
    let auto = scene(|_| {}).await;
    let always = scene(|settings| settings.userinfo = Userinfo::Always).await;
    let never = scene(|settings| settings.userinfo = Userinfo::Never).await;
    let rejected = Reply::json(401, &json!({"error": "invalid_token"}));
    let failing = Reply::json(503, &json!({}));
    let page = Reply::Answer(200, "text/html", "<html>".into());
    let signed = Reply::Answer(200, "application/jwt", "e30.e30.x".into());
    for reply in [rejected, failing, page, signed, Reply::json(403, &json!({})), Reply::Drop] {
        for scene in [&auto, &always, &never] {
            scene.script(|script| script.userinfo = reply.clone());
        }
        for scene in [&auto, &never] {
            let identity = scene.complete().await.unwrap().identity;
            assert_eq!(&*identity.subject, "alice");
            assert_eq!(identity.groups().count(), 0, "{reply:?}");
        }
        assert!(always.complete().await.is_err(), "{reply:?}");
    }
    assert!(never.op.seen("/userinfo").is_empty());
    let bob = Reply::json(200, &json!({"sub": "bob", "groups": ["staff"]}));
    for scene in [&auto, &always] {
        scene.script(|script| script.userinfo = bob.clone());
        let expected = Err(Error::Misbehaved(OidcError::UserinfoSubject));
        assert_eq!(scene.complete().await.map(drop), expected);
    }
}

#[tokio::test]
async fn always_requests_userinfo_and_auto_for_a_claim_that_is_used() {
    let all = json!({"groups": ["g"], "preferred_username": "al", "email_verified": true});
    let requests = async |scene: Scene| {
        scene.script(|script| script.id_token = all.clone());
        scene.complete().await.unwrap();
        scene.op.seen("/userinfo").len()
    };
    assert_eq!(requests(scene(|_| {}).await).await, 0);
    assert_eq!(requests(scene(|settings| settings.userinfo = Userinfo::Always).await).await, 1);
    let plain = scene(|_| {}).await;
    let used = vec![ClaimPath::parse("/department/id").unwrap()];
    assert_eq!(requests(Scene { provider: plain.provider.using(used), ..plain }).await, 1);
    let none = scene(|settings| settings.userinfo = Userinfo::Always).await;
    none.script(|script| script.discovery = json!({"userinfo_endpoint": null}));
    let error = none.complete().await.unwrap_err();
    assert!(error.to_string().contains("`userinfo_endpoint` is missing"), "{error}");
}

#[tokio::test]
async fn probe_tells_a_wrong_secret_from_a_missing_flow_and_from_silence() {
    let check = async |status, code: &str, expected: (bool, &str, &str)| {
        let scene = scene(|_| {}).await;
        let body = json!({"error": code, "error_description": "why"});
        scene.script(|script| script.token = Some(Reply::json(status, &body)));
        let (callback, signed_out) = ("https://app.example/callback", "https://app.example/out");
        let report = scene.provider.probe(callback, signed_out, false).await;
        let found = &report.findings[0];
        let (is_fatal, key, part) = expected;
        assert_eq!((found.is_fatal, found.key), (is_fatal, key), "{report:?}");
        assert!(found.message.contains(part) && found.message.contains("(why)"), "{report:?}");
        assert_eq!(
            (report.findings.len(), &*report.passed),
            (1, &["its metadata", "its keys"][..])
        );
    };
    // Keycloak, with a secret that was changed.
    let wrong =
        "is not what is registered at the provider: the provider answered unauthorized_client";
    check(401, "unauthorized_client", (true, "client_secret", wrong)).await;
    check(401, "invalid_client", (true, "client_secret", "is not what is registered")).await;
    let flow = "is a client without the authorization code flow";
    check(400, "unauthorized_client", (true, "client_id", flow)).await;
    let unverified =
        "could not be verified at the token endpoint: the provider answered invalid_request";
    check(400, "invalid_request", (false, "client_secret", unverified)).await;
}

#[tokio::test]
async fn response_of_another_issuer_is_rejected() {
    let scene = scene(|_| {}).await;
    let announced = json!({"authorization_response_iss_parameter_supported": true});
    scene.script(|script| script.discovery = announced);
    let response =
        |more: &str| AuthorizationResponse::parse(&format!("code=c&state=s{more}")).unwrap();
    let ours = response(&format!("&iss={}", scene.op.issuer()));
    assert_eq!(scene.provider.code_of(&ours).await.unwrap().code.expose(), "c");
    for foreign in [response(""), response("&iss=https://evil.example")] {
        let checked = scene.provider.code_of(&foreign).await;
        assert!(matches!(checked, Err(Error::BadResponse(_))));
    }
}

#[tokio::test]
async fn logout_token_is_verified_with_the_keys_of_the_provider() {
    let scene = scene(|_| {}).await;
    let id_token = scene.complete().await.unwrap().tokens.id_token.unwrap();
    assert_eq!(claimed_issuer(&id_token).as_deref(), Some(scene.provider.issuer()));
    let verified = scene.provider.verify_logout(&id_token).await;
    let expected = OidcError::LogoutToken(Violation::NoLogoutEvent);
    assert_eq!(verified, Err(Error::Misbehaved(expected)), "an ID token in its place");
    let forged = Secret::new(format!("{}A", id_token.expose()));
    assert!(matches!(scene.provider.verify_logout(&forged).await, Err(Error::Misbehaved(_))));
}

#[tokio::test]
async fn sign_out_redirects_to_the_provider_unless_it_is_local() {
    let with_provider = scene(|_| {}).await;
    let url = |scene: &Scene| {
        scene.provider.logout_request("https://app.example/", None).map(|request| request.url())
    };
    assert_eq!(url(&with_provider), None, "not known yet");
    with_provider.provider.revoke(None, Some(&Secret::new("rt"))).await.unwrap();
    assert_eq!(with_provider.op.seen("/revoke").len(), 1);
    assert!(url(&with_provider).is_some_and(|url| url.path() == "/logout"));
    let local = scene(|settings| settings.sign_out = SignOut::Local).await;
    local.provider.revoke(None, Some(&Secret::new("rt"))).await.unwrap();
    assert_eq!(url(&local), None);
}
