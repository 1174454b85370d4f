//! The discovery document, met by a gateway that knows nothing yet (Discovery §3 and §4).

use std::sync::Arc;
use std::time::Duration;

use super::tls::Authority;
use super::{House, Outcome, Refused, SignedIn, each};
use crate::support::browser::Browser;
use crate::support::faults::{
    DiscoveryFault, Fault, GrantType, IdTokenFault, IdentityProvider, Settings,
};
use crate::support::provider;

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
        let provider = Arc::new(provider::start(Duration::from_secs(60)).await);
        let faults = [Fault::Discovery(*fault)];
        // Spoiled before the gateway asks for the first time.
        provider.set_faults(&faults);
        let house = House::around(provider, "").await;
        house.check_and_mend(&faults, fault.words(), expected(*fault)).await;
    })
    .await;
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
        let house = House::around(Arc::clone(&provider), &authority.key()).await;
        house.hold(&[Fault::Discovery(fault)], fault.words(), expected(fault)).await;
    }
    // Only that was wrong with it.
    provider.set_faults(&[]);
    let house = House::around(provider, &authority.key()).await;
    let answer = Browser::new(&house.gateway).navigate("/oauth2/start").await;
    house.check_request(&answer.redirect().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_says_it_signs_with_is_not_what_we_accept() {
    let provider = Arc::new(provider::start(Duration::from_secs(60)).await);
    let only_none = Fault::Discovery(DiscoveryFault::OnlyNone);
    provider.set_faults(&[only_none]);
    let house = House::around(provider, "").await;
    let unsigned = Fault::IdToken(GrantType::SignIn, IdTokenFault::AlgNone);
    let refused = Refused(502, "the token's signature algorithm is not accepted");
    house.check(&[only_none, unsigned], "alg none, as advertised", refused).await;
}
