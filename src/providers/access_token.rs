//! Claims that are not in the ID token, but in the access token, such as the roles of Keycloak.
//! Invariants: they come from a verified JWT of the same token response, and stand under names that no other claim
//! has. Only those that `providers.ID.claims` names are kept. Without them a user still signs in. At a
//! refresh whose keys cannot be fetched for now, those from before stay for `session.outage_grace`.

use serde_json::{Map, Value};

use crate::identity::claims::{ACCESS_TOKEN, remove_imitations};
use crate::identity::incomplete::UNUSABLE_ACCESS_TOKEN;
use crate::oauth::token::TokenSet;
use crate::oidc::error::Error as OidcError;
use crate::providers::Provider;
use crate::providers::fetch_state::FetchState;
use crate::providers::server::AuthorizationServer;
use crate::providers::session_before::SessionBefore;

impl Provider {
    /// Adds the claims of the access token that the settings name. `held` is the session of a refresh.
    pub(super) async fn with_access_token_claims(
        &self,
        claims: &mut Map<String, Value>,
        tokens: &TokenSet,
        held: Option<SessionBefore<'_>>,
    ) -> FetchState {
        remove_imitations(claims);
        let AuthorizationServer::OpenId(issuer) = &self.server else { return FetchState::Complete };
        if !self.reads_access_token() {
            return FetchState::Complete;
        }
        let client_id = &self.settings.client_id;
        match issuer.access_token_claims(&tokens.access_token, client_id).await {
            Ok(found) => {
                for (path, in_token) in self.settings.claims.of_access_token() {
                    if let Some(value) = in_token.find(&found) {
                        claims.insert(path.as_str().to_owned(), value.clone());
                    }
                }
                FetchState::Complete
            }
            Err(error) => {
                let now = self.clock.unix();
                let may_stay =
                    |held: &SessionBefore<'_>| error.is_temporary() && held.is_within_grace(now);
                if let Some(held) = held.filter(may_stay) {
                    extend_with_held(claims, held);
                    return FetchState::Kept;
                }
                claims.insert(UNUSABLE_ACCESS_TOKEN.to_owned(), true.into());
                self.report_unusable(&error);
                match error.is_temporary() {
                    true => FetchState::MissingForNow,
                    false => FetchState::Missing,
                }
            }
        }
    }

    /// Adds the claims of the access token that a session has, which keeps this token.
    pub(super) fn keep_access_token_claims(
        &self,
        claims: &mut Map<String, Value>,
        held: SessionBefore<'_>,
    ) {
        remove_imitations(claims);
        if self.reads_access_token() {
            extend_with_held(claims, held);
        }
    }

    /// Whether a claim of the settings is in the access token.
    pub(super) fn reads_access_token(&self) -> bool {
        self.settings.claims.of_access_token().next().is_some()
    }

    fn report_unusable(&self, error: &OidcError) {
        self.hints.access_token_unusable(error, &self.settings);
    }
}

fn extend_with_held(claims: &mut Map<String, Value>, held: SessionBefore<'_>) {
    let held = held.identity.claims.read();
    claims.extend(held.into_iter().filter(|(name, _)| name.starts_with(ACCESS_TOKEN)));
}
