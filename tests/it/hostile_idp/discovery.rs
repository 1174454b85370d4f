//! The discovery document, met by a gateway that knows nothing yet (Discovery §3 and §4).

use std::sync::Arc;

use super::tls::Authority;
use super::{Failed, Outcome, SignedIn, Trials, each};
use crate::support::faults::{
    DiscoveryFault, Fault, GrantType, IdTokenFault, IdentityProvider, Settings,
};
use crate::support::provider;
use crate::support::stack::{Builder, Stack};

/// What each document leads to; under an https issuer where the fault is about that.
fn expected(fault: DiscoveryFault) -> Outcome {
    use DiscoveryFault as F;
    match fault {
        F::UnknownMembers | F::NoPkce | F::IssNotAnnounced | F::TextPlain => SignedIn,
        F::Nulls | F::OptionalUnusable | F::NoSelectAccount => SignedIn,
        // The list is theirs; which algorithms are accepted is ours to say.
        F::OnlyNone => SignedIn,
        F::IssuerOther | F::IssuerSlash | F::NoIssuer => {
            Failed(502, "not the configured issuer (Discovery §4.3)")
        }
        F::NoJwksUri => Failed(502, "`jwks_uri` is missing"),
        F::NoTokenEndpoint => Failed(502, "`token_endpoint` is missing"),
        F::NoAuthorizationEndpoint => Failed(502, "`authorization_endpoint` is missing"),
        F::EndpointArrays => Failed(502, "is not a string"),
        F::HttpTokenEndpoint => Failed(502, "`token_endpoint` must be https"),
        F::HttpJwksUri | F::JwksFile => Failed(502, "`jwks_uri` must be https"),
        F::HttpAuthorizationEndpoint => Failed(502, "`authorization_endpoint` must be https"),
        F::Redirect => Failed(502, "unexpected status 302"),
    }
}

fn needs_https(fault: DiscoveryFault) -> bool {
    use DiscoveryFault as F;
    matches!(fault, F::HttpTokenEndpoint | F::HttpJwksUri | F::HttpAuthorizationEndpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_document_fault_has_its_outcome() {
    let plain = DiscoveryFault::ALL.iter().filter(|fault| !needs_https(**fault));
    each(plain, |fault| async move {
        let faults = [Fault::Discovery(*fault)];
        let trials = Trials::of(Stack::builder().faults(&faults)).await;
        trials.check_and_mend(&faults, fault.words(), expected(*fault)).await;
    })
    .await;
}

/// A gateway that trusts the provider's certificate.
fn with_authority(provider: &Arc<IdentityProvider>, authority: &Authority) -> Builder {
    Stack::builder().provider(Arc::clone(provider)).provider_keys(&authority.key())
}

#[tokio::test(flavor = "multi_thread")]
async fn https_issuer_with_an_http_endpoint_gets_502() {
    let authority = Authority::new();
    let tls = Some(authority.server("localhost"));
    let settings = Settings { tls, host: "localhost".into(), ..provider::settings() };
    let provider = IdentityProvider::start(settings, portcullis::clock::Clock::system()).await;
    let provider = Arc::new(provider.unwrap());
    for fault in DiscoveryFault::ALL.iter().copied().filter(|fault| needs_https(*fault)) {
        provider.set_faults(&[Fault::Discovery(fault)]);
        let trials = Trials::of(with_authority(&provider, &authority)).await;
        trials.hold(&[Fault::Discovery(fault)], fault.words(), expected(fault)).await;
    }
    // Only that was wrong with it.
    provider.set_faults(&[]);
    let trials = Trials::of(with_authority(&provider, &authority)).await;
    let answer = trials.stack.browser().navigate("/oauth2/start").await;
    trials.check_request(&answer.redirect().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn advertised_alg_none_is_not_accepted() {
    let only_none = Fault::Discovery(DiscoveryFault::OnlyNone);
    let trials = Trials::of(Stack::builder().faults(&[only_none])).await;
    let unsigned = Fault::IdToken(GrantType::SignIn, IdTokenFault::AlgNone);
    let failed = Failed(502, "the token's signature algorithm is not accepted");
    trials.check(&[only_none, unsigned], "alg none, as advertised", failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_is_asked_for_by_login_where_select_account_is_unknown() {
    let without = Fault::Discovery(DiscoveryFault::NoSelectAccount);
    for (faults, expected) in [(&[][..], "select_account"), (&[without], "login")] {
        let stack = Stack::builder().faults(faults).start().await;
        let mut bob = stack.browser_of("bob").await;
        let denied = bob.navigate("/staff").await;
        assert_eq!(denied.status, 403, "{denied:?}");
        assert!(denied.body.contains("prompt=select_account"), "{denied:?}");
        let start = "/oauth2/start?rd=%2Fstaff&prompt=select_account";
        let request = bob.navigate(start).await.redirect().unwrap();
        let prompt = request.query_pairs().find(|(name, _)| name == "prompt").unwrap();
        assert_eq!(prompt.1, expected, "{request}");
    }
}
