//! What only external authorization over gRPC can do, with Envoy and `deploy/envoy-grpc/envoy.yaml`.

use std::time::Duration;

use http::HeaderValue;

use crate::component::{Site, envoy_grpc};
use crate::deployment::{Declared, Deployment};
use crate::forward_auth::{
    ambiguous_path_never_reaches_the_application, denied_user_gets_403_page,
    forged_description_of_the_request_opens_nothing, request_without_session_is_sent_to_sign_in,
};
use crate::support::faults::{DemoEndpoint, Fault, NetworkFault};
use crate::support::grpc::CHECK;
use crate::support::provider;
use crate::support::wait::until;
use crate::support::wire::status;

async fn deployment() -> Deployment {
    Deployment::start("envoy", Declared::Shared, envoy_grpc::start).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_spelling_of_an_identity_header_is_removed_and_nothing_else() {
    for start in [true, false] {
        let start = async |site: &Site| match start {
            true => envoy_grpc::start(site).await,
            false => envoy_grpc::with_text_fields(site).await,
        };
        let deployment = Deployment::start("envoy", Declared::Shared, start).await;
        let mut alice = deployment.member("alice").await;
        for name in [
            "x_forwarded_user",
            "x.forwarded.email",
            "x-forwarded_groups",
            "x-auth-request-user",
            "x_auth_request_email",
            "x-forwarded-access-token",
            "x_http_method_override",
            "my_header",
        ] {
            alice.extra.insert(name, HeaderValue::from_static("mallory"));
        }
        let answer = alice.fetch("/page").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let headers = &answer.json()["headers"];
        assert_eq!(headers["x-forwarded-user"], "demo-alice");
        assert_eq!(headers["my_header"], "mallory");
        assert_eq!(headers.to_string().matches("mallory").count(), 1, "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_are_not_utf8_never_bring_the_session_along() {
    let deployment = deployment().await;
    let alice = deployment.member("alice").await;
    let session = format!("portcullis={}", alice.cookie("/", "portcullis").unwrap());
    for (cookies, expected) in [
        (&b"wiki=\xff"[..], "wiki="),
        (b"wiki=\xff; SESSION; more=1", "more=1"),
        (b"wiki=\xff; SESSION", ""),
    ] {
        let cookies: Vec<u8> = match cookies.windows(7).position(|part| part == b"SESSION") {
            Some(at) => [&cookies[..at], session.as_bytes(), &cookies[at + 7..]].concat(),
            None => cookies.to_vec(),
        };
        let mut wire = deployment.server.wire().await;
        wire.say("GET /open HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\nCookie: ")
            .await;
        wire.say(cookies).await;
        wire.say("\r\n\r\n").await;
        let answer = wire.rest().await;
        assert_eq!(status(&answer), 200, "{answer}");
        let seen = deployment.upstream.seen().pop().unwrap();
        let cookie = seen["headers"]["cookie"].as_str().unwrap_or_default();
        assert!(!cookie.contains("portcullis"), "{cookie}");
        assert!(cookie.contains(expected) && cookie.is_empty() == expected.is_empty(), "{cookie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_log_of_envoy_says_who_and_by_which_rule() {
    let deployment = deployment().await;
    let mut alice = deployment.member("alice").await;
    assert_eq!(alice.fetch("/staff?secret=1").await.status, 200);
    let mut bob = deployment.member("bob").await;
    assert_eq!(bob.fetch("/staff").await.status, 403);
    assert_eq!(deployment.server.browser().fetch("/open").await.status, 200);
    let logged = |texts: &[&str]| {
        let log = deployment.server.log();
        log.lines().any(|line| texts.iter().all(|text| line.contains(text)))
    };
    for texts in [
        &["\"path\":\"/staff\"", "\"user\":\"demo-alice\"", "\"rule\":\"allow[0]\""][..],
        &["\"path\":\"/staff\"", "\"user\":\"demo-bob\"", "\"rule\":\"groups\"", "403"],
        &["\"path\":\"/open\"", "\"route\":\"wiki.localhost/open\"", "\"rule\":\"public\""],
    ] {
        until(&format!("{texts:?} is logged"), async || logged(texts)).await;
    }
    assert!(!deployment.server.log().contains("secret=1"));
}

/// To Envoy the path of the call is one of the application.
#[tokio::test(flavor = "multi_thread")]
async fn call_of_a_visitor_reaches_the_application_and_not_the_gateway() {
    let deployment = deployment().await;
    let mut alice = deployment.member("alice").await;
    alice.extra.insert("content-type", HeaderValue::from_static("application/grpc"));
    let answer = alice.submit(CHECK, &[]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["target"]), (200, &CHECK.into()));
    let answer = deployment.server.browser().submit(CHECK, &[]).await;
    assert_eq!(answer.status, 401, "{answer:?}");
}

/// `failure_mode_allow` opens the application only to those whose requests get no answer at all.
#[tokio::test(flavor = "multi_thread")]
async fn denial_is_a_denial_with_failure_mode_allow() {
    let open =
        async || Deployment::start("envoy", Declared::Shared, envoy_grpc::failing_open).await;
    request_without_session_is_sent_to_sign_in(open().await).await;
    denied_user_gets_403_page(open().await).await;
    forged_description_of_the_request_opens_nothing(open().await).await;
    ambiguous_path_never_reaches_the_application(open().await).await;
}

/// The provider hangs, so that a request whose access token has expired waits for longer than Envoy does.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_waits_for_the_provider_denies_with_failure_mode_allow() {
    let lifetime = Duration::from_secs(1);
    let start = envoy_grpc::failing_open;
    let deployment = Deployment::with_tokens_for(lifetime, "envoy", Declared::Shared, start).await;
    let mut alice = deployment.server.browser();
    assert_eq!(provider::sign_in(&mut alice, "/page", "alice").await.status, 200);
    deployment.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    until("the access token has expired", async || alice.fetch("/page").await.status == 403).await;
    let before = deployment.upstream.request_count();
    assert_eq!(alice.fetch("/page").await.status, 403);
    assert_eq!(deployment.upstream.request_count(), before);
}
