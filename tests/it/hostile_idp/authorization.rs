//! The authorization response, as the browser brings it (RFC 6749 §4.1.2, RFC 9207 §2.4).

use std::collections::HashSet;

use url::Url;

use super::{Failed, Outcome, SignedIn, Trials, check_log, check_page};
use crate::support::faults::{AuthorizationFault, Fault};
use crate::support::provider::callback;
use crate::support::stack::Stack;

fn expected(fault: AuthorizationFault) -> Outcome {
    use AuthorizationFault as F;
    match fault {
        F::UnknownParameters => SignedIn,
        F::IssOther => {
            Failed(400, "it is \\\"https://evil.example\\\", and `issuer` is \\\"http://")
        }
        F::IssTwice => Failed(400, "`iss` twice"),
        F::NoIss => Failed(400, "no `iss`, although the provider announces it"),
        F::StateOther | F::ErrorStateOther => Failed(400, "the state is forged"),
        F::NoState | F::NoParameters => Failed(400, "no `state`"),
        F::NoCode => Failed(400, "neither `code` nor `error`"),
        F::CodeTwice => Failed(400, "`code` twice"),
        F::CodeOther => Failed(400, "the provider answered invalid_grant"),
        F::AccessDenied => Failed(403, "the provider answered access_denied"),
        // Not a new sign-in, which would go round and round.
        F::LoginRequired => Failed(403, "the provider answered login_required"),
        F::TemporarilyUnavailable => Failed(503, "temporarily_unavailable"),
        F::ErrorScript => Failed(503, "the provider answered server_error"),
        F::ErrorAndCode => Failed(400, "`code` and `error` together"),
        // A server does not see the fragment.
        F::Fragment => Failed(400, "no `state`"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_is_sent_only_for_a_valid_authorization_response() {
    let trials = Trials::start().await;
    for fault in AuthorizationFault::ALL {
        let before = trials.stack.provider.counts().code_exchanges;
        let faults = [Fault::Authorization(*fault)];
        trials.hold(&faults, fault.words(), expected(*fault)).await;
        let sent = trials.stack.provider.counts().code_exchanges - before;
        let sends =
            matches!(fault, AuthorizationFault::UnknownParameters | AuthorizationFault::CodeOther);
        assert_eq!(sent, usize::from(sends), "{}", fault.words());
        trials.check(&[], fault.words(), SignedIn).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_authorization_response_is_logged_with_its_reason_without_access_log() {
    use AuthorizationFault as F;
    let trials = Trials::of(Stack::builder().sections("telemetry: { access_log: false }")).await;
    for (fault, reason) in [
        (F::AccessDenied, "the provider answered access_denied"),
        (F::LoginRequired, "the provider answered login_required"),
        (F::TemporarilyUnavailable, "the provider answered temporarily_unavailable"),
        (F::IssOther, "authorization response: `iss` is not the issuer"),
        (F::StateOther, "the state is forged"),
        (F::CodeTwice, "malformed authorization response: `code` twice"),
        (F::NoState, "malformed authorization response: no `state`"),
    ] {
        trials.try_with(&[Fault::Authorization(fault)]).await;
        let lines = trials.stack.gateway.log_until_all(&["sign-in failed", reason]);
        assert!(!lines.iter().any(|line| line.contains("\"target\":\"access\"")), "{lines:#?}");
        // The page shows the request ID.
        let is_reason = |line: &&String| line.contains("sign-in failed") && line.contains(reason);
        let line = lines.iter().find(is_reason).unwrap();
        assert!(line.contains("\"request_id\":\""), "{line}");
    }
}

/// T74: nothing of one request tells anything of the next.
#[tokio::test(flavor = "multi_thread")]
async fn authorization_requests_repeat_no_state_nonce_or_challenge() {
    let trials = Trials::start().await;
    let mut browser = trials.stranger();
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let page = browser.open("/").await;
        trials.check_request(&page.url);
        for name in ["state", "nonce", "code_challenge"] {
            let value = page.url.query_pairs().find(|pair| pair.0 == name).unwrap().1.into_owned();
            assert!(seen.insert(value), "{name} twice");
        }
    }
}

/// RFC 9700 §4.4.2: a provider with a distinct redirect_uri is accepted at that one only.
#[tokio::test(flavor = "multi_thread")]
async fn authorization_response_at_another_redirect_uri_gets_400() {
    let trials = Trials::of(Stack::builder().provider_keys("distinct_redirect_uri: true")).await;
    let at = |url: &Url, path: &str| url.as_str().replace(url.path(), path);
    let mut browser = trials.stranger();
    for path in ["/oauth2/callback", "/oauth2/callback/other"] {
        let callback = callback(&mut browser, "/", "alice").await;
        assert_eq!(callback.path(), "/oauth2/callback/company");
        let page = browser.navigate(&at(&callback, path)).await;
        assert_eq!(page.status, 400, "{page:?}");
        check_page(&page, path);
        let seen = format!("the callback is at \\\"{}\\\"", path.trim_start_matches("/oauth2"));
        check_log(&trials.stack.gateway, &page, &seen);
    }
    assert_eq!(trials.stack.provider.counts().code_exchanges, 0);
    let honest = callback(&mut browser, "/", "alice").await;
    assert_eq!(browser.open(honest.as_str()).await.status, 200);
}

/// A form cannot deliver a response that was requested as a redirect, and a HEAD request cannot use it up.
#[tokio::test(flavor = "multi_thread")]
async fn authorization_response_by_post_gets_405() {
    let trials = Trials::start().await;
    let mut browser = trials.stranger();
    let callback = callback(&mut browser, "/", "alice").await;
    let page = browser.submit(callback.as_str(), &[]).await;
    assert_eq!((page.status.as_u16(), page.header("allow")), (405, "GET"));
    assert_eq!(trials.stack.provider.counts().code_exchanges, 0);
    assert_eq!(browser.open(callback.as_str()).await.status, 200);
}
