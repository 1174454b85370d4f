//! The requests that a provider has received, by endpoint.

use super::{DemoEndpoint, GrantType, IdentityProvider};
use crate::support::wait::Patience;

/// How many requests each endpoint has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) discovery: usize,
    pub(crate) jwks: usize,
    pub(crate) authorization: usize,
    /// Token requests with `authorization_code`.
    pub(crate) code_exchanges: usize,
    /// Token requests with `refresh_token`.
    pub(crate) refreshes: usize,
    pub(crate) other_token_requests: usize,
    pub(crate) userinfo: usize,
    pub(crate) revocations: usize,
    pub(crate) sign_outs: usize,
    /// Requests to `/evil`, where faults point: must stay zero.
    pub(crate) evil: usize,
}

impl Counts {
    pub(super) fn count(&mut self, endpoint: DemoEndpoint, grant_type: Option<&str>) {
        let counter = match endpoint {
            DemoEndpoint::Discovery => &mut self.discovery,
            DemoEndpoint::Jwks => &mut self.jwks,
            DemoEndpoint::Authorization => &mut self.authorization,
            DemoEndpoint::Token => match grant_type.and_then(GrantType::of_type) {
                Some(GrantType::SignIn) => &mut self.code_exchanges,
                Some(GrantType::Refresh) => &mut self.refreshes,
                None => &mut self.other_token_requests,
            },
            DemoEndpoint::Userinfo => &mut self.userinfo,
            DemoEndpoint::Revocation => &mut self.revocations,
            DemoEndpoint::EndSession => &mut self.sign_outs,
        };
        *counter += 1;
    }
}

impl IdentityProvider {
    /// Waits until the counts of requests satisfy a condition: until `what`, as it stands in a sentence.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(Counts) -> bool) {
        let patience = Patience::until(what);
        while !is_so(self.counts()) {
            patience.pause().await;
        }
    }
}
