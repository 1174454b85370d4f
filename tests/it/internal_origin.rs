//! A provider whose public address only browsers reach: the gateway's own requests go to `internal_origin`.

use portcullis::clock::Clock;
use url::Url;

use crate::support::faults::{IdentityProvider, Settings};
use crate::support::provider;
use crate::support::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn own_requests_go_to_the_internal_origin() {
    let settings = Settings { host: "id.invalid".into(), ..provider::settings() };
    let idp = IdentityProvider::start(settings, Clock::system()).await.unwrap();
    let inside = idp.address();
    let keys = format!("danger_allow_http: true, internal_origin: \"http://{inside}\"");
    let stack = Stack::builder().provider(idp).provider_keys(&keys).start().await;
    let mut browser = stack.browser();
    let mut request = browser.navigate("/oauth2/start?rd=/staff").await.redirect().unwrap();
    assert_eq!(request.host_str(), Some("id.invalid"), "browsers go to the public address");
    // This is how the test's browser gets there.
    request.set_host(Some("127.0.0.1")).unwrap();
    let page = browser.open(request.as_str()).await;
    let answer = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let counts = stack.provider.counts();
    assert!(counts.code_exchanges == 1 && counts.jwks > 0, "{counts:?}");
    let out = browser.navigate("/oauth2/sign_out").await.redirect().unwrap();
    assert_eq!(out.host_str(), Some("id.invalid"));
    let revoked = "the refresh token is revoked";
    stack.provider.until(revoked, |counts| counts.revocations == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_that_answers_with_its_internal_address_is_explained() {
    let idp = IdentityProvider::start(provider::settings(), Clock::system()).await.unwrap();
    let inside = Url::parse(idp.issuer()).unwrap();
    // The document names the address that it was asked at, as Keycloak's does without `hostname`.
    let keys = format!("internal_origin: \"{}\"", inside.origin().ascii_serialization());
    let section = provider::section_with("https://id.invalid/", &keys);
    let configuration = format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"http://wiki.localhost:4180\" }}\n\
         admin: {{ listen: \"off\" }}\n{section}routes:\n  - {{ allow: authenticated }}\n"
    );
    let gateway = crate::support::gateway::Gateway::start_with(&configuration);
    gateway.log_until_all(&["not the configured issuer", "(Keycloak: `hostname`)"]);
}
