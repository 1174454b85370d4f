//! Refreshes of a session whose access token expires, on a clock that the test moves.
//! Source: RFC 6749 §6, OIDC Core §12.

mod answers;
mod outage;
mod real;
mod recheck;
mod sign_out;
mod streams;

use std::time::Duration;

use http::HeaderValue;
use tokio::task::JoinSet;

use crate::support::browser::{Answer, Browser};
use crate::support::clocked::Clocked;
use crate::support::faults::{
    DemoEndpoint, Fault, GrantType, NetworkFault, RefreshTokens, TokenFault,
};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// A gateway with the routes `/`, `/token` (gets the access token), `/staff` (for staff), `/open` (public, gets the
/// access token) and `/mixed` (the same, for staff, with public assets). Access tokens are valid for a minute.
struct Scene {
    at: Clocked,
    upstream: Upstream,
}

impl Scene {
    async fn start() -> Self {
        Self::with(RefreshTokens::RotatingStrictly, "10s").await
    }

    /// `timeout` bounds what a provider that hangs costs a test.
    async fn with(refresh_tokens: RefreshTokens, timeout: &str) -> Self {
        let token = "identity_headers: { X-Token: \"{access_token}\", X-User: \"{user}\" }";
        let mixed = "[{ public: true, paths: [/mixed/assets] }, { groups: [staff] }]";
        let upstream = Upstream::start().await;
        let builder = Stack::builder()
            .refresh_tokens(refresh_tokens)
            .provider_keys(&format!("timeout: {timeout}"))
            .routes([
                "UPSTREAM, allow: authenticated",
                &format!("path: /token, UPSTREAM, allow: authenticated, {token}"),
                "path: /staff, UPSTREAM, allow: [{ groups: [staff] }]",
                &format!("path: /open, UPSTREAM, allow: public, {token}"),
                &format!("path: /mixed, UPSTREAM, {token}, allow: {mixed}"),
            ]);
        Self { at: builder.start_clocked(&upstream).await, upstream }
    }

    async fn signed_in(&self, username: &str) -> Browser {
        let mut browser = self.at.browser();
        let answer = provider::sign_in(&mut browser, "/", username).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    fn refreshes(&self) -> usize {
        self.at.provider.counts().refreshes
    }

    /// Waits until the provider has received this many refresh requests.
    async fn until_refreshes(&self, count: usize) {
        let what = format!("refresh request {count} is received");
        self.at.provider.until(&what, |counts| counts.refreshes >= count).await;
    }

    fn pass(&self, seconds: u64) {
        self.at.clock.advance(Duration::from_secs(seconds));
    }

    /// Advances the clock until the access token has expired and every back-off has ended.
    fn expire(&self) {
        self.pass(61);
    }
}

/// The access token that the application was given.
#[track_caller]
fn token_in(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["headers"]["x-token"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_on_an_expired_token_make_one_token_request() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    let first = token_in(&browser.fetch("/token").await);
    scene.expire();
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let mut browser = browser.clone();
        asking.spawn(async move { browser.fetch("/token").await });
    }
    let answers = asking.join_all().await;
    let second = token_in(&answers[0]);
    assert!(!second.is_empty() && second != first);
    assert!(answers.iter().all(|answer| token_in(answer) == second));
    assert_eq!((scene.refreshes(), scene.upstream.request_count()), (1, 202));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_with_a_valid_token_does_not_wait_for_the_refresh() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    let first = token_in(&browser.fetch("/token").await);
    scene.pass(29);
    token_in(&browser.fetch("/token").await);
    assert_eq!(scene.refreshes(), 0, "half of its life is not over");
    scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    scene.pass(2);
    for _ in 0..10 {
        assert_eq!(token_in(&browser.fetch("/token").await), first);
    }
    scene.until_refreshes(1).await;
    assert_eq!(scene.refreshes(), 1, "no request waited for the timeout");
    scene.at.provider.set_faults(&[]);
    until("the new token is used", async || token_in(&browser.fetch("/token").await) != first)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_route_does_not_refresh_and_sends_no_expired_token() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    assert!(!token_in(&browser.fetch("/open").await).is_empty());
    scene.expire();
    let answer = browser.fetch("/open").await;
    assert_eq!(token_in(&answer), "");
    assert_eq!(answer.json()["headers"]["x-user"], "demo-alice");
    assert_eq!(scene.refreshes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_keeps_its_id_while_refresh_tokens_rotate() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    let cookie = browser.cookie("/", "portcullis").unwrap().to_owned();
    let mut seen = vec![token_in(&browser.fetch("/token").await)];
    for round in 1..=5 {
        scene.expire();
        let answer = browser.fetch("/token").await;
        assert!(answer.header("set-cookie").is_empty(), "{answer:?}");
        let token = token_in(&answer);
        assert!(!seen.contains(&token));
        seen.push(token);
        assert_eq!(scene.refreshes(), round);
    }
    assert_eq!(browser.cookie("/", "portcullis"), Some(cookie.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_without_a_new_refresh_token_keeps_the_old_one() {
    let scene = Scene::with(RefreshTokens::Fixed, "10s").await;
    let mut browser = scene.signed_in("alice").await;
    for round in 1..=3 {
        scene.expire();
        assert!(!token_in(&browser.fetch("/token").await).is_empty());
        assert_eq!(scene.refreshes(), round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_without_refresh_token_outlives_its_access_token() {
    let scene = Scene::with(RefreshTokens::Never, "10s").await;
    let mut browser = scene.signed_in("alice").await;
    assert!(!token_in(&browser.fetch("/token").await).is_empty());
    scene.expire();
    assert_eq!(token_in(&browser.fetch("/token").await), "");
    scene.pass(11 * 3600);
    assert_eq!(browser.fetch("/").await.status, 200);
    scene.pass(3600);
    assert_eq!(browser.fetch("/").await.status, 401, "its lifetime is over");
    assert_eq!(scene.refreshes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_token_without_expires_in_is_used_until_the_session_ends() {
    let scene = Scene::start().await;
    scene.at.provider.set_faults(&[Fault::Token(GrantType::SignIn, TokenFault::NoExpiresIn)]);
    let mut browser = scene.signed_in("alice").await;
    let token = token_in(&browser.fetch("/token").await);
    scene.pass(11 * 3600);
    assert_eq!(token_in(&browser.fetch("/token").await), token);
    assert_eq!(scene.refreshes(), 0);
    scene.pass(3600);
    assert_eq!(browser.fetch("/").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_does_not_extend_the_session_lifetime() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    for _ in 0..11 {
        scene.pass(3600);
        assert_eq!(browser.fetch("/").await.status, 200);
    }
    scene.pass(3600);
    assert_eq!(browser.fetch("/").await.status, 401);
    assert_eq!(scene.refreshes(), 11);
}

/// T97: the result of one session's refresh never reaches another session.
#[tokio::test(flavor = "multi_thread")]
async fn session_never_gets_a_token_of_another_session() {
    let scene = Scene::start().await;
    let people = ["alice", "bob", "alice", "bob"];
    let mut browsers = Vec::new();
    for username in people {
        browsers.push(scene.signed_in(username).await);
    }
    for round in 1..=3 {
        scene.expire();
        let mut asking = JoinSet::new();
        for (number, browser) in browsers.iter().enumerate().cycle().take(100) {
            let mut browser = browser.clone();
            asking.spawn(async move { (number, browser.fetch("/token").await) });
        }
        let mut tokens = [const { Vec::new() }; 4];
        for (number, answer) in asking.join_all().await {
            tokens[number].push(token_in(&answer));
            let user = format!("demo-{}", people[number]);
            assert_eq!(answer.json()["headers"]["x-user"], user.as_str());
        }
        for (number, mut of_one) in tokens.into_iter().enumerate() {
            of_one.dedup();
            let [token] = of_one.as_slice() else { panic!("{of_one:?}") };
            assert_eq!(subject_of(&scene, token).await, format!("demo-{}", people[number]));
        }
        assert_eq!(scene.refreshes(), round * people.len());
    }
}

/// Whose an access token is, in the provider's own words.
async fn subject_of(scene: &Scene, token: &str) -> String {
    let mut client = scene.at.browser();
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    client.extra.insert("authorization", bearer);
    let userinfo = format!("{}/userinfo", scene.at.provider.issuer());
    client.fetch(&userinfo).await.json()["sub"].as_str().unwrap().to_owned()
}

/// T106: a rotated refresh token that was not stored would sign the user out.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_is_stored_though_its_client_has_left() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    let first = token_in(&browser.fetch("/token").await);
    scene.expire();
    scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    let mut leaving = browser.clone();
    let request = tokio::spawn(async move { leaving.fetch("/token").await });
    scene.until_refreshes(1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    // From now on it answers: the same token is sent once more, as the first answer is lost.
    scene.at.provider.set_faults(&[]);
    scene.until_refreshes(2).await;
    let second = token_in(&browser.fetch("/token").await);
    assert!(!second.is_empty() && second != first);
    assert_eq!(scene.refreshes(), 2, "no further token request");
}
