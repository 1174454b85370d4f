//! The authorization response, as the browser brings it (RFC 6749 §4.1.2, RFC 9207 §2.4).

use std::collections::HashSet;

use portcullis::demo::{AuthorizationFault, Fault};

use super::{House, Outcome, Refused, SignedIn};

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
    let house = House::start().await;
    for fault in AuthorizationFault::ALL {
        let before = house.provider.counts().code_exchanges;
        let faults = [Fault::Authorization(*fault)];
        house.hold(&faults, fault.words(), expected(*fault)).await;
        let sent = house.provider.counts().code_exchanges - before;
        let sends =
            matches!(fault, AuthorizationFault::UnknownParameters | AuthorizationFault::CodeOther);
        assert_eq!(sent, usize::from(sends), "{}", fault.words());
        house.check(&[], fault.words(), SignedIn).await;
    }
}

/// T74: nothing of one request tells anything of the next.
#[tokio::test(flavor = "multi_thread")]
async fn every_authorization_request_is_fresh() {
    let house = House::start().await;
    let mut browser = house.stranger();
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let page = browser.open("/").await;
        house.check_request(&page.url);
        for name in ["state", "nonce", "code_challenge"] {
            let value = page.url.query_pairs().find(|pair| pair.0 == name).unwrap().1.into_owned();
            assert!(seen.insert(value), "{name} twice");
        }
    }
}
