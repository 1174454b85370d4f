//! The authorization response, as the browser brings it (RFC 6749 §4.1.2, RFC 9207 §2.4).

use std::collections::HashSet;

use url::Url;

use super::{Outcome, Refused, SignedIn, Trials, check_log, check_page};
use crate::support::faults::{AuthorizationFault, Fault};
use crate::support::provider::callback;
use crate::support::stack::Stack;

fn expected(fault: AuthorizationFault) -> Outcome {
    use AuthorizationFault as F;
    match fault {
        F::UnknownParameters => SignedIn,
        F::IssOther => Refused(400, "`iss` is another issuer's"),
        F::IssTwice => Refused(400, "`iss` twice"),
        F::NoIss => Refused(400, "no `iss`, though the provider announces it"),
        F::StateOther | F::ErrorStateOther => Refused(400, "the state is forged"),
        F::NoState | F::NoParameters => Refused(400, "no `state`"),
        F::NoCode => Refused(400, "neither `code` nor `error`"),
        F::CodeTwice => Refused(400, "`code` twice"),
        F::CodeOther => Refused(400, "the provider refuses: invalid_grant"),
        F::AccessDenied => Refused(403, "the provider refuses: access_denied"),
        // Not a new sign-in, which would go round and round.
        F::LoginRequired => Refused(403, "the provider refuses: login_required"),
        F::TemporarilyUnavailable => Refused(503, "temporarily_unavailable"),
        F::ErrorScript => Refused(503, "the provider refuses: server_error"),
        F::ErrorAndCode => Refused(400, "`code` and `error` together"),
        // A server does not see the fragment.
        F::Fragment => Refused(400, "no `state`"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_only_where_the_response_is_beyond_doubt() {
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

/// T74: nothing of one request tells anything of the next.
#[tokio::test(flavor = "multi_thread")]
async fn every_authorization_request_is_fresh() {
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

/// RFC 9700 §4.4.2: where a provider has a redirect_uri of its own, only that one counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_at_another_redirect_uri_is_a_mix_up() {
    let trials = Trials::of(Stack::builder().provider_keys("distinct_redirect_uri: true")).await;
    let at = |url: &Url, path: &str| url.as_str().replace(url.path(), path);
    let mut browser = trials.stranger();
    for path in ["/oauth2/callback", "/oauth2/callback/other"] {
        let callback = callback(&mut browser, "/", "alice").await;
        assert_eq!(callback.path(), "/oauth2/callback/company");
        let page = browser.navigate(&at(&callback, path)).await;
        assert_eq!(page.status, 400, "{page:?}");
        check_page(&page, path);
        check_log(&trials.stack.gateway, &page, "not this provider's");
    }
    assert_eq!(trials.stack.provider.counts().code_exchanges, 0);
    let honest = callback(&mut browser, "/", "alice").await;
    assert_eq!(browser.open(honest.as_str()).await.status, 200);
}

/// A form may not bring a response that was asked for as a redirect, nor may a look ahead spend it.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_comes_by_get_only() {
    let trials = Trials::start().await;
    let mut browser = trials.stranger();
    let callback = callback(&mut browser, "/", "alice").await;
    let page = browser.submit(callback.as_str(), &[]).await;
    assert_eq!((page.status.as_u16(), page.header("allow")), (405, "GET"));
    assert_eq!(trials.stack.provider.counts().code_exchanges, 0);
    assert_eq!(browser.open(callback.as_str()).await.status, 200);
}
