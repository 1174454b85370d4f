//! Token responses, valid and invalid, and the number of token requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::client_address::ClientAddress;
use crate::clock::Clock;
use crate::oauth::client_assertion::{AssertionProfile, Audience};
use crate::oauth::client_auth::{AuthMethods, ClientAuth, Credentials};
use crate::oauth::error::ErrorCode;
use crate::oauth::http::{Http, HttpSettings};
use crate::oauth::loopback::{Loopback, Reply};
use crate::oauth::{ClientLimits, ExchangePermit};

fn client() -> Client {
    client_with_timeout(Duration::from_secs(5))
}

fn client_with_timeout(timeout: Duration) -> Client {
    let http =
        Http::new(HttpSettings { timeout, ca: None, proxy: None, certificate: None }).unwrap();
    let credentials = Credentials {
        id: "us".into(),
        methods: AuthMethods::Only(ClientAuth::None),
        assertions: AssertionProfile::of(Audience::Issuer("https://op.example".into())),
    };
    let (clock, http) = (Clock::system(), Arc::new(http));
    Client::new(credentials, http, Arc::new(ClientLimits::new(&clock)), clock)
}

fn endpoint<'a>(url: &'a url::Url, method: &'a ClientAuth) -> AuthenticatedEndpoint<'a> {
    AuthenticatedEndpoint { url, token: url, method, algorithms: None }
}

async fn exchange(client: &Client, at: &Loopback) -> Result<TokenSet, Error> {
    exchange_from(client, at, ClientAddress::Unknown, "c&de").await
}

async fn exchange_from(
    client: &Client,
    at: &Loopback,
    address: ClientAddress,
    code: &str,
) -> Result<TokenSet, Error> {
    let url = at.url("/token");
    let method = ClientAuth::ClientSecretBasic(Secret::new("s3cr:t"));
    let endpoint = endpoint(&url, &method);
    let (code, verifier) = (Secret::new(code), Secret::new("verifier"));
    let ExchangePermit { slot, attempt } = client.exchange_permit(address).await?;
    let redirect_uri = "https://app.example/cb";
    client.exchange_code(&slot, attempt, endpoint, &code, redirect_uri, Some(&verifier)).await
}

async fn refresh(client: &Client, at: &Loopback) -> Result<TokenSet, Error> {
    let url = at.url("/token");
    let method = ClientAuth::ClientSecretPost(Secret::new("s3cr:t"));
    let endpoint = endpoint(&url, &method);
    let (slot, until) = (client.refresh_slot().await?, client.http.deadline());
    client.refresh(&slot, endpoint, &Secret::new("r"), until).await
}

fn answered(reply: Reply) -> Result<TokenSet, Error> {
    let Reply::Answer(status, _, body) = reply else { panic!("a response") };
    TokenSet::read(&HttpResponse::of(status, body), Moment::from_millis(0))
}

#[tokio::test]
async fn exchange_sends_parameters_of_standard() {
    let tokens = json!({"access_token": "a", "token_type": "bEaReR", "expires_in": 3600,
                        "refresh_token": "r", "id_token": "i", "scope": "openid", "x": [1]});
    let provider = Loopback::start(move |_, _| Reply::json(200, &tokens)).await;
    let tokens = exchange(&client(), &provider).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "a");
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(tokens.refresh_token.unwrap().expose(), "r");
    assert_eq!(tokens.id_token.unwrap().expose(), "i");

    let [seen] = provider.seen("/token").try_into().unwrap();
    assert_eq!(seen.headers["authorization"], "Basic dXM6czNjciUzQXQ=");
    assert_eq!(seen.form["grant_type"], "authorization_code");
    assert_eq!(seen.form["code"], "c&de");
    assert_eq!(seen.form["redirect_uri"], "https://app.example/cb");
    assert_eq!(seen.form["code_verifier"], "verifier");
    assert!(!seen.form.contains_key("client_secret"));
}

#[track_caller]
fn check(body: &Value, expected: Result<Option<u64>, &'static str>) {
    let result = answered(Reply::json(200, body));
    let result = result.map(|tokens| tokens.expires_in.map(|expires_in| expires_in.as_secs()));
    assert_eq!(result, expected.map_err(Error::Garbage), "{body}");
}

#[test]
fn malformed_token_response_is_rejected() {
    let with = |name: &str, value: Value| {
        let mut body = json!({"access_token": "a", "token_type": "Bearer"});
        body[name] = value;
        body
    };
    check(&with("x", json!(null)), Ok(None));
    check(&json!({"access_token": "a"}), Err("`token_type` is not Bearer"));
    check(&with("token_type", json!("DPoP")), Err("`token_type` is not Bearer"));
    check(&with("token_type", json!(["Bearer"])), Err("`token_type` is not Bearer"));
    check(&with("error", json!(null)), Ok(None));
    check(&with("error", json!("x")), Err("`error` in a response with an `access_token`"));
    check(&with("access_token", json!("a\r\nb: c")), Err("`access_token` is not a token"));
    check(&with("access_token", json!(7)), Err("`access_token` is not a token"));
    check(&with("refresh_token", json!({})), Err("`refresh_token` is not a token"));
    check(&with("refresh_token", json!("")), Ok(None));
    check(&with("expires_in", json!(null)), Ok(None));
    check(&with("expires_in", json!("300")), Ok(Some(300)));
    check(&with("expires_in", json!(3600.5)), Ok(Some(3600)));
    check(&with("expires_in", json!(-1)), Ok(Some(0)));
    check(&with("expires_in", json!(1e18)), Ok(Some(315_360_000)));
    check(&with("expires_in", json!("inf")), Err("`expires_in` is not a number"));
    check(&with("expires_in", json!("soon")), Err("`expires_in` is not a number"));
    check(&with("expires_in", json!([60])), Err("`expires_in` is not a number"));
}

#[track_caller]
fn check_error(reply: Reply, expected: &str) {
    assert_eq!(answered(reply).unwrap_err().to_string(), expected);
}

#[test]
fn each_error_has_its_message() {
    let error = json!({"error": "invalid_grant", "error_description": "spent\n"});
    check_error(Reply::json(400, &error), "the provider answered invalid_grant (spent)");
    check_error(Reply::json(200, &error), "the provider answered invalid_grant (spent)");
    let none = "unusable response: no `access_token`";
    check_error(Reply::json(200, &json!({"token_type": "Bearer"})), none);
    check_error(Reply::json(200, &json!({"ok": false, "access_token": ""})), none);
    check_error(Reply::json(200, &json!({"error": 1, "access_token": null})), none);
    check_error(Reply::json(400, &json!({"error": 1})), "unexpected status 400");
    let refused = json!({"error": "unauthorized_client"});
    check_error(Reply::json(400, &refused), "the provider answered unauthorized_client");
    let unauthenticated = "client authentication failed: the provider answered ";
    let other = format!("{unauthenticated}unauthorized_client");
    check_error(Reply::json(401, &refused), &other);
    let client = json!({"error": "invalid_client"});
    check_error(Reply::json(400, &client), &format!("{unauthenticated}invalid_client"));
    check_error(Reply::json(503, &error), "unexpected status 503");
    check_error(Reply::json(429, &error), "unexpected status 429");
    let page = |status| Reply::Answer(status, "text/html", "<html>".into());
    check_error(page(200), "unusable response: not a JSON object");
    check_error(page(400), "unexpected status 400");
    check_error(page(302), "unexpected status 302, and redirects are not followed");
}

#[tokio::test]
async fn code_is_sent_once_after_any_failure() {
    for reply in [Reply::Drop, Reply::json(503, &json!({})), Reply::json(200, &json!([]))] {
        let provider = Loopback::start(move |_, _| reply.clone()).await;
        assert!(exchange(&client(), &provider).await.unwrap_err().is_temporary());
        assert_eq!(provider.seen("/token").len(), 1);
    }
}

#[tokio::test]
async fn code_and_secret_are_not_sent_to_redirect() {
    let provider = Loopback::start(|base, _| Reply::Redirect(307, format!("{base}evil"))).await;
    assert!(matches!(exchange(&client(), &provider).await, Err(Error::Status(_))));
    assert!(provider.seen("/evil").is_empty());
}

#[tokio::test]
async fn refresh_is_sent_again_once_after_lost_response() {
    let requests = AtomicU32::new(0);
    let tokens = json!({"access_token": "a", "token_type": "Bearer"});
    let provider = Loopback::start(move |_, _| match requests.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Drop,
        _ => Reply::json(200, &tokens),
    })
    .await;
    assert!(refresh(&client(), &provider).await.unwrap().refresh_token.is_none());
    let seen = provider.seen("/token");
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.form["refresh_token"] == "r"));
    assert_eq!(seen[0].form["client_secret"], "s3cr:t");
}

#[tokio::test]
async fn refresh_and_its_repetition_end_at_deadline() {
    let provider = Loopback::start(|_, _| Reply::Silence).await;
    let (client, url) = (client(), provider.url("/token"));
    let method = ClientAuth::ClientSecretPost(Secret::new("s3cr:t"));
    let endpoint = endpoint(&url, &method);
    let slot = client.refresh_slot().await.unwrap();
    let until = Instant::now() + Duration::from_millis(100);
    let late = client.refresh(&slot, endpoint, &Secret::new("r"), until).await.unwrap_err();
    assert!(matches!(late, Error::AnswerLost { .. }), "{late}");
    assert!(
        Instant::now() < until + Duration::from_secs(4),
        "one timeout of the client is five seconds"
    );
    // None if the deadline passed before the first one arrived.
    assert!(provider.seen("/token").len() <= 1);
}

#[tokio::test]
async fn lifetime_of_token_is_counted_from_request() {
    let client = client();
    let (clock, before) = (client.clock.clone(), client.clock.moment());
    let tokens = json!({"access_token": "a", "token_type": "Bearer", "expires_in": 60});
    let provider = Loopback::start(move |_, _| {
        // The response takes long.
        clock.advance(Duration::from_secs(30));
        Reply::json(200, &tokens)
    })
    .await;
    let requested_at = exchange(&client, &provider).await.unwrap().requested_at;
    assert!(requested_at.since(before) < Duration::from_secs(30));
}

#[tokio::test]
async fn rejected_refresh_is_not_repeated() {
    let error = json!({"error": "invalid_grant"});
    let provider = Loopback::start(move |_, _| Reply::json(400, &error)).await;
    let error = refresh(&client(), &provider).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(response) if response.code == ErrorCode::InvalidGrant));
    assert_eq!(provider.seen("/token").len(), 1);
}

#[tokio::test]
async fn fifth_failure_in_a_row_opens_circuit() {
    let provider = Loopback::start(|_, _| Reply::json(500, &json!({}))).await;
    let client = client();
    for _ in 0..5 {
        assert!(matches!(exchange(&client, &provider).await, Err(Error::Status(_))));
    }
    assert_eq!(exchange(&client, &provider).await.unwrap_err(), Error::CircuitOpen);
    assert_eq!(provider.seen("/token").len(), 5);
    assert!(!client.http.is_answering());
}

#[tokio::test]
async fn failing_revocations_stop_no_sign_in() {
    let tokens = json!({"access_token": "a", "token_type": "Bearer"});
    let provider = Loopback::start(move |_, seen| match seen.path.as_str() {
        "/token" => Reply::json(200, &tokens),
        _ => Reply::json(500, &json!({})),
    })
    .await;
    let (client, url, token) = (client(), provider.url("/revoke"), Secret::new("r"));
    let endpoint = endpoint(&url, &ClientAuth::None);
    for _ in 0..5 {
        assert!(matches!(client.revoke(endpoint, &token).await, Err(Error::Status(_))));
    }
    assert_eq!(client.revoke(endpoint, &token).await, Err(Error::CircuitOpen));
    assert!(exchange(&client, &provider).await.is_ok());
    assert_eq!(
        client.revoke(endpoint, &token).await,
        Err(Error::CircuitOpen),
        "its circuit is separate"
    );
    assert!(refresh(&client, &provider).await.is_ok());
}

#[tokio::test]
async fn sign_in_without_slot_at_timeout_is_rejected_and_refresh_waits() {
    let timeout = Duration::from_millis(50);
    let client = client_with_timeout(timeout);
    let mut slots = Vec::new();
    for _ in 0..Client::TOKEN_SLOTS {
        slots.push(client.refresh_slot().await.unwrap());
    }
    let (began, refresh) = (Instant::now(), client.refresh_slot());
    tokio::pin!(refresh);
    assert!(tokio::time::timeout(Duration::ZERO, &mut refresh).await.is_err());
    let error = client.exchange_permit(ClientAddress::Unknown).await.unwrap_err();
    assert_eq!(error, Error::Busy);
    assert!(began.elapsed() >= timeout, "it waited");
    slots.pop();
    assert!(refresh.await.is_ok());
}

#[tokio::test]
async fn failing_exchanges_stop_no_refresh_and_no_other_address() {
    let tokens = json!({"access_token": "a", "token_type": "Bearer"});
    let provider = Loopback::start(move |_, seen| match seen.form.get("code") {
        Some(code) if code == "junk" => Reply::json(500, &json!({})),
        _ => Reply::json(200, &tokens),
    })
    .await;
    let client = client();
    let junk = ClientAddress::Known([192, 0, 2, 1].into());
    for _ in 0..5 {
        let failed = exchange_from(&client, &provider, junk, "junk").await;
        assert!(matches!(failed, Err(Error::Status(_))), "{failed:?}");
    }
    let stopped = exchange_from(&client, &provider, junk, "junk").await;
    assert_eq!(stopped.unwrap_err(), Error::CircuitOpen);
    assert!(exchange(&client, &provider).await.is_ok());
    assert!(refresh(&client, &provider).await.is_ok());
}

#[tokio::test]
async fn failing_refreshes_stop_no_sign_in() {
    let tokens = json!({"access_token": "a", "token_type": "Bearer"});
    let provider = Loopback::start(move |_, seen| match seen.form.get("code") {
        Some(_) => Reply::json(200, &tokens),
        None => Reply::json(500, &json!({})),
    })
    .await;
    let client = client();
    for _ in 0..5 {
        assert!(matches!(refresh(&client, &provider).await, Err(Error::Status(_))));
    }
    assert_eq!(refresh(&client, &provider).await.unwrap_err(), Error::CircuitOpen);
    assert!(exchange(&client, &provider).await.is_ok());
}

#[tokio::test]
async fn revocation_needs_no_body_and_reports_error_response() {
    let rejects = Arc::new(AtomicU32::new(0));
    let switch = Arc::clone(&rejects);
    let provider = Loopback::start(move |_, _| match switch.load(Ordering::Relaxed) {
        0 => Reply::Answer(200, "text/plain", String::new()),
        _ => Reply::json(400, &json!({"error": "unsupported_token_type"})),
    })
    .await;
    let (client, url, token) = (client(), provider.url("/revoke"), Secret::new("r"));
    let endpoint = endpoint(&url, &ClientAuth::None);
    client.revoke(endpoint, &token).await.unwrap();
    let [seen] = provider.seen("/revoke").try_into().unwrap();
    assert_eq!((&*seen.form["token"], &*seen.form["client_id"]), ("r", "us"));
    rejects.store(1, Ordering::Relaxed);
    assert!(matches!(client.revoke(endpoint, &token).await, Err(Error::Rejected(_))));
}
