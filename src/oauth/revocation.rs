//! Token revocation.
//! Source: RFC 7009.

use crate::oauth::error::Error;
use crate::oauth::{AuthenticatedEndpoint, Client, success, tried};
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

impl Client {
    /// Revokes a refresh token and, at most servers, its access tokens (§2.1).
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
            |response| {
                // The body of a success is ignored (§2.2).
                if response.status.is_success() { Ok(()) } else { success(response).map(drop) }
            },
        );
        tried(self.limits.revocations.allow(), request).await
    }
}
