//! Where a browser ends the session at the provider, by what the kind says.

use url::Url;

use crate::oidc::logout;
use crate::providers::Provider;
use crate::providers::kinds::EndSession;

impl Provider {
    /// The URL that ends the session at the provider, and the name of the parameter with the way back.
    pub(super) fn end_session(&self) -> Option<(Url, &'static str)> {
        let discovered = self.server.known()?.end_session.clone();
        match self.settings.kind.end_session {
            EndSession::Standard => Some((discovered?, logout::STANDARD)),
            EndSession::Parameter(parameter) => Some((discovered?, parameter)),
            EndSession::None => {
                Some((self.settings.endpoints.end_session.clone()?, logout::STANDARD))
            }
            EndSession::Fallback { path, parameter } => match discovered {
                Some(endpoint) => Some((endpoint, logout::STANDARD)),
                None => Some((Url::parse(self.issuer()).ok()?.join(path).ok()?, parameter)),
            },
        }
    }
}
