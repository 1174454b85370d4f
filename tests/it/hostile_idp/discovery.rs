//! The discovery document, met by a gateway that knows nothing yet (Discovery §3 and §4).

use std::sync::Arc;

use super::tls::Authority;
use super::{Outcome, Refused, SignedIn, Trials, each};
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
        // The list is theirs; which algorithms are accepted is ours to say.
        F::OnlyNone => SignedIn,
        F::IssuerOther | F::IssuerSlash | F::NoIssuer => {
            Refused(502, "and not the configured one (Discovery §4.3)")
        }
        F::NoJwksUri => Refused(502, "`jwks_uri` is missing"),
        F::NoTokenEndpoint => Refused(502, "`token_endpoint` is missing"),
        F::NoAuthorizationEndpoint => Refused(502, "`authorization_endpoint` is missing"),
        F::EndpointArrays => Refused(502, "is not text"),
        F::HttpTokenEndpoint => Refused(502, "`token_endpoint` must be https"),
        F::HttpJwksUri | F::JwksFile => Refused(502, "`jwks_uri` must be https"),
        F::HttpAuthorizationEndpoint => Refused(502, "`authorization_endpoint` must be https"),
        F::Redirect => Refused(502, "unexpected status 302"),
    }
}

fn needs_https(fault: DiscoveryFault) -> bool {
    use DiscoveryFault as F;
    matches!(fault, F::HttpTokenEndpoint | F::HttpJwksUri | F::HttpAuthorizationEndpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_document_is_the_issuers_own_or_nothing() {
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
async fn under_an_https_issuer_no_endpoint_is_plain_http() {
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
async fn what_the_provider_says_it_signs_with_is_not_what_we_accept() {
    let only_none = Fault::Discovery(DiscoveryFault::OnlyNone);
    let trials = Trials::of(Stack::builder().faults(&[only_none])).await;
    let unsigned = Fault::IdToken(GrantType::SignIn, IdTokenFault::AlgNone);
    let refused = Refused(502, "the token's signature algorithm is not accepted");
    trials.check(&[only_none, unsigned], "alg none, as advertised", refused).await;
}
