//! Giving a token back.
//! Source: RFC 7009.

use super::error::Error;
use super::{AuthenticatedEndpoint, Client, success, tried};
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

impl Client {
    /// Revokes a refresh token and, at most servers, the access tokens that came of it (§2.1).
    /// An unknown token is no error (§2.2).
    pub async fn revoke(
        &self,
        endpoint: AuthenticatedEndpoint<'_>,
        refresh_token: &Secret,
    ) -> Result<(), Error> {
        let form = vec![("token", refresh_token.expose()), ("token_type_hint", "refresh_token")];
        let request = self.post(
            ProviderEndpoint::Revocation,
            endpoint,
            form,
            self.http.deadline(),
            |answer| {
                // The body of a success means nothing (§2.2).
                if answer.status.is_success() { Ok(()) } else { success(answer).map(drop) }
            },
        );
        tried(self.limits.revocations.admit(), request).await
    }
}
