//! The token endpoint's answer to a code (RFC 6749 §5.1 and §5.2).

use super::{Failed, Outcome, SignedIn, Trials};
use crate::support::faults::{Fault, GrantType, TokenFault};

fn expected(fault: TokenFault) -> Outcome {
    use TokenFault as F;
    match fault {
        F::NoRefreshToken | F::NoExpiresIn => SignedIn,
        // These change error responses, and a good code gets none.
        F::ErrorOther | F::ErrorFails => SignedIn,
        // A lifetime is bounded by the session's; one below zero is over at once.
        F::ExpiresNegative | F::ExpiresHuge | F::ExpiresFraction | F::ExpiresText => SignedIn,
        F::Created | F::TextPlain | F::ByteOrderMark => SignedIn,
        F::NoTokenType | F::TokenTypeMac => Failed(502, "`token_type` is not Bearer"),
        F::NoAccessToken | F::NotOk => Failed(502, "no `access_token`"),
        F::InvalidGrant | F::ErrorAsSuccess => {
            Failed(400, "the provider answered invalid_grant (on demand)")
        }
        F::InteractionRequired => Failed(403, "the provider answered interaction_required"),
        F::SlowDown => Failed(503, "the provider answered slow_down"),
        F::InvalidClient | F::WrongSecret => Failed(502, "check `client_id`, `client_secret`"),
        F::UnauthorizedClient => Failed(502, "allow the authorization code flow"),
        F::RedirectAway => Failed(502, "unexpected status 302"),
        F::RedirectAgain => Failed(502, "unexpected status 307"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_response_fault_has_its_outcome() {
    let trials = Trials::start().await;
    for fault in TokenFault::ALL {
        let faults = [Fault::Token(GrantType::SignIn, *fault)];
        trials.check(&faults, fault.words(), expected(*fault)).await;
    }
}
