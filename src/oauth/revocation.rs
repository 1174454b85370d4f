//! Token revocation.
//! Source: RFC 7009; for GitHub docs.github.com, "REST API endpoints for OAuth authorizations".

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use url::Url;

use crate::oauth::client_auth::basic;
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

    /// Deletes an access token by the API of GitHub, and with it the refresh token of a GitHub App. The URL takes a
    /// client secret in `Authorization: Basic` and no other authentication; without a secret, nothing is sent.
    /// An unknown token (404 or 422) is no error.
    pub async fn delete_token(
        &self,
        url: &Url,
        api_headers: &[(&'static str, &'static str)],
        access_token: &Secret,
    ) -> Result<(), Error> {
        let Some(secret) = self.credentials.methods.secret() else { return Ok(()) };
        let mut headers = HeaderMap::new();
        headers.extend(basic(&self.credentials.id, secret).map(|it| (header::AUTHORIZATION, it)));
        let named = api_headers.iter().map(|(name, value)| (*name, *value));
        headers.extend(
            named.map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            }),
        );
        let body = json!({ "access_token": access_token.expose() });
        let name = ProviderEndpoint::Revocation;
        let request = async {
            let deadline = self.http.deadline();
            let response = self.http.delete(name, url, headers, &body, deadline).await?;
            match response.status {
                StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Ok(()),
                status if status.is_success() => Ok(()),
                status => Err(Error::Status(status)),
            }
        };
        tried(self.limits.revocations.allow(), request).await
    }
}
