//! Claims of the userinfo endpoint.
//! Invariant: claims of another subject are never returned.
//!
//! Any other response than 200 with plain JSON (a signed JWT, a redirect, a 403) cannot be used, and is an error.
//! What it costs, the claims or the sign-in, is a setting of the provider.
//! Source: OpenID Connect Core §5.3.

use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use crate::oauth;
use crate::oauth::http::Http;
use crate::oidc::error::Error;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// The claims of `subject`.
pub async fn userinfo(
    http: &Http,
    endpoint: &Url,
    access_token: &Secret,
    subject: &str,
) -> Result<Map<String, Value>, Error> {
    let claims = profile(http, endpoint, access_token).await?;
    // SECURITY: token substitution: the claims could be those of another user (§5.3.2).
    if claims.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(Error::UserinfoSubject);
    }
    Ok(claims)
}

/// The answer to the access token, about the user that it belongs to: the profile at a provider without OpenID Connect.
pub async fn profile(
    http: &Http,
    endpoint: &Url,
    access_token: &Secret,
) -> Result<Map<String, Value>, Error> {
    let response = http.get_with_token(ProviderEndpoint::Userinfo, endpoint, access_token).await?;
    let status = response.status;
    if status == StatusCode::UNAUTHORIZED {
        return Err(Error::UserinfoRejected(response.resource_error()));
    }
    if response.is_rate_limited() {
        return Err(oauth::error::Error::Status(StatusCode::TOO_MANY_REQUESTS).into());
    }
    if status.is_server_error() {
        return Err(oauth::error::Error::Status(status).into());
    }
    if let Some(error) = response.resource_error() {
        return Err(Error::UserinfoError(error));
    }
    if !status.is_success() || response.media_type == "application/jwt" {
        return Err(Error::UserinfoUnusable { status, media_type: response.media_type });
    }
    Ok(response.object()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::oauth::http::HttpSettings;
    use crate::oauth::loopback::{Loopback, Reply};

    async fn userinfo_with(reply: Reply) -> (Loopback, Result<Map<String, Value>, Error>) {
        let provider = Loopback::start(move |_, _| reply.clone()).await;
        let timeout = Duration::from_secs(5);
        let http =
            Http::new(HttpSettings { timeout, ca: None, proxy: None, certificate: None }).unwrap();
        let token = Secret::new("a.t");
        let result = userinfo(&http, &provider.url("/userinfo"), &token, "alice").await;
        (provider, result)
    }

    #[tokio::test]
    async fn claims_of_the_subject_are_returned() {
        let claims = json!({"sub": "alice", "groups": ["staff"]});
        let (provider, result) = userinfo_with(Reply::json(200, &claims)).await;
        assert_eq!(Value::from(result.unwrap()), claims);
        assert_eq!(provider.seen("/userinfo")[0].headers["authorization"], "Bearer a.t");
    }

    #[tokio::test]
    async fn another_or_no_subject_is_rejected() {
        for claims in [json!({}), json!({"sub": "bob"}), json!({"sub": ["alice"]})] {
            let (_, result) = userinfo_with(Reply::json(200, &claims)).await;
            assert_eq!(result, Err(Error::UserinfoSubject), "{claims}");
        }
    }

    #[tokio::test]
    async fn status_401_rejects_tokens_and_other_failures_are_temporary() {
        let (_, result) = userinfo_with(Reply::json(401, &json!({"error": "invalid_token"}))).await;
        assert_eq!(result, Err(Error::UserinfoRejected(None)));
        let page = Reply::Answer(200, "text/html", "<html>".into());
        for reply in [Reply::json(503, &json!({})), Reply::json(429, &json!({})), Reply::Drop, page]
        {
            let (_, result) = userinfo_with(reply).await;
            assert!(result.unwrap_err().is_temporary());
        }
    }

    #[tokio::test]
    async fn redirect_jwt_and_forbidden_are_unusable() {
        let (provider, result) = userinfo_with(Reply::Redirect(307, "/evil".into())).await;
        assert!(matches!(result, Err(Error::UserinfoUnusable { .. })), "{result:?}");
        assert!(provider.seen("/evil").is_empty(), "the access token was sent to another URL");
        let signed = Reply::Answer(200, "application/jwt; charset=utf-8", "e30.e30.x".into());
        for reply in [signed, Reply::json(403, &json!({})), Reply::json(404, &json!({}))] {
            let result = userinfo_with(reply).await.1;
            assert!(matches!(result, Err(Error::UserinfoUnusable { .. })), "{result:?}");
        }
    }
}
