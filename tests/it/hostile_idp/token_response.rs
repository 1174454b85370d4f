//! The token endpoint's answer to a code (RFC 6749 §5.1 and §5.2).

use super::{Outcome, Refused, SignedIn, Trials};
use crate::support::faults::{Fault, GrantType, TokenFault};

fn expected(fault: TokenFault) -> Outcome {
    use TokenFault as F;
    match fault {
        F::NoRefreshToken | F::NoExpiresIn => SignedIn,
        // These spoil refusals, and a good code is not refused.
        F::RefusalOther | F::RefusalFails => SignedIn,
        // A lifetime is bounded by the session's; one below zero is over at once.
        F::ExpiresNegative | F::ExpiresHuge | F::ExpiresFraction | F::ExpiresText => SignedIn,
        F::Created | F::TextPlain | F::ByteOrderMark => SignedIn,
        F::NoTokenType | F::TokenTypeMac => Refused(502, "`token_type` is not Bearer"),
        F::NoAccessToken => Refused(502, "no `access_token`"),
        F::InvalidGrant | F::ErrorAsSuccess => {
            Refused(400, "the provider refuses: invalid_grant (on demand)")
        }
        F::InvalidClient => Refused(502, "check `client_id`, `client_secret`"),
        F::RedirectAway => Refused(502, "unexpected status 302"),
        F::RedirectAgain => Refused(502, "unexpected status 307"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_taken_only_from_an_answer_that_gives_them() {
    let trials = Trials::start().await;
    for fault in TokenFault::ALL {
        let faults = [Fault::Token(GrantType::SignIn, *fault)];
        trials.check(&faults, fault.words(), expected(*fault)).await;
    }
}
