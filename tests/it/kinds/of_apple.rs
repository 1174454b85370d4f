//! What only Apple has: the name in the first response, a refresh for a recheck only, and scopes that decide about the
//! response mode.

use std::time::Duration;

use portcullis::clock::Clock;

use super::row::Row;
use super::rows::apple::ROW;
use super::scene::Scene;
use crate::check_online::check;
use crate::support::kinds::Fault;
use crate::support::kinds::authorization_server::TOKEN;
use crate::support::kinds::client::{CLIENT_ID, client_key};
use crate::support::kinds::engine::Engine;
use crate::support::wait::until;

const NAMED: Row = Row {
    session: ", recheck: 1d",
    sections: "identity_headers: { X-Name: \"{name}\", X-Email: \"{email}\", X-Claim: \"{claim:name}\" }\n",
    ..ROW
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread")]
async fn name_of_the_response_is_shown_and_no_claim_and_its_email_is_ignored() {
    let scene = Scene::of(&NAMED).await;
    let mut browser = scene.signed_in().await;
    let headers = scene.received(&mut browser).await;
    assert_eq!(headers["x-name"], "Alice Adams", "{headers}");
    // The response has another address, which its user could write.
    assert_eq!(headers["x-email"], "alice@example.com", "{headers}");
    assert!(headers["x-claim"].is_null(), "a rule could be about it: {headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_refreshed_at_a_recheck_with_a_new_client_secret_and_keeps_its_name() {
    let scene = Scene::of(&NAMED).await;
    let mut browser = scene.signed_in().await;
    let asked = || scene.engine.token_requests("refresh_token");
    scene.expire();
    scene.received(&mut browser).await;
    assert_eq!(asked().len(), 0, "Apple limits these requests");
    scene.advance(DAY);
    until("a recheck", async || {
        scene.received(&mut browser).await;
        asked().len() == 1
    })
    .await;
    let requests = [scene.engine.token_requests("authorization_code"), asked()].concat();
    let [of_code, of_refresh] = &requests[..] else { panic!("a code and a refresh") };
    let [of_code, of_refresh] =
        [of_code, of_refresh].map(|request| request.form("client_secret").unwrap());
    assert_ne!(of_code, of_refresh, "the first one has expired");
    let headers = scene.received(&mut browser).await;
    assert_eq!(headers["x-name"], "Alice Adams", "it is sent once: {headers}");
    scene.engine.set_fault(Some(Fault::RefreshRefused), &[TOKEN]);
    scene.advance(DAY);
    until("the session ends", async || scene.status(&mut browser, "/").await == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_has_encoded_spaces_and_without_email_or_name_the_response_is_no_post() {
    let scene = Scene::of(&ROW).await;
    let started = scene.browser().navigate(&scene.at("/oauth2/start")).await;
    let url = started.redirect().unwrap();
    assert!(url.as_str().contains("&scope=openid%20email%20name&"), "{url}");
    assert!(url.as_str().contains("&response_mode=form_post"), "{url}");
    let keys = format!("kind: apple, issuer: \"ORIGIN\", {}, scopes: [openid]", ROW.credentials);
    let scene = Scene::with(&ROW, "apple", &keys, &[]).await;
    let started = scene.browser().navigate(&scene.at("/oauth2/start")).await;
    let url = started.redirect().unwrap();
    assert!(!url.as_str().contains("response_mode"), "{url}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_online_verifies_the_key_and_says_what_belongs_to_it() {
    let engine = Engine::start("apple", &Clock::system()).await;
    for (team, code, expected) in [
        ("TEAM012345", 0, "OK: its metadata, its keys, the client's authentication"),
        (
            "TEAM543210",
            78,
            "compare client_id (the Services ID), client_key, key_id and team_id with",
        ),
    ] {
        let providers = format!(
            "providers: {{ apple: {{ kind: apple, issuer: \"{}\", client_id: {CLIENT_ID}, key_id: KEY0123456, \
             team_id: {team}, client_key: {:?} }} }}\n",
            engine.origin(),
            client_key()
        );
        let (found, said) = check(&providers, ROW.public_url);
        assert!(said.contains(expected), "{said}");
        assert_eq!(found, code, "{said}");
    }
    // The state of a check is shorter than that of a sign-in.
    let of_state = |complaint: &String| complaint.starts_with("authorization request: state:");
    let complaints = engine.complaints();
    assert!(complaints.iter().all(of_state), "{complaints:#?}");
}
