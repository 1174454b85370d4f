//! What the provider tells of a person beyond the ID token.
//! Invariant: claims of another subject are never returned.
//!
//! What a failure means: a 401 or another `sub` says that something is wrong with the tokens, and
//! ends the sign-in. A temporary failure ends it too, for now: a session must not lack a group for
//! hours because of a hiccup. Any other answer (a signed JWT, a redirect, a 403) means that this
//! provider has no userinfo for us: the person goes on without those claims, which can only close doors.
//! Source: OpenID Connect Core §5.3.

use http::StatusCode;
use serde_json::{Map, Value};
use tracing::warn;
use url::Url;

use super::error::Error;
use crate::oauth;
use crate::oauth::http::Http;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// The claims of `subject`; none when the provider has none for us.
pub async fn userinfo(
    http: &Http,
    endpoint: &Url,
    access_token: &Secret,
    subject: &str,
) -> Result<Map<String, Value>, Error> {
    let answer = http.get_with_token(ProviderEndpoint::Userinfo, endpoint, access_token).await?;
    let status = answer.status;
    if status == StatusCode::UNAUTHORIZED {
        return Err(Error::UserinfoRefused);
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(oauth::error::Error::Status(status).into());
    }
    if !status.is_success() || answer.media_type == "application/jwt" {
        let kind = &answer.media_type;
        warn!(%endpoint, %status, kind, "userinfo is not used: neither 200 nor plain JSON");
        return Ok(Map::new());
    }
    let claims = answer.object()?;
    // SECURITY: token substitution: without this somebody else's claims could be ours (§5.3.2).
    if claims.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(Error::UserinfoSubject);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::oauth::http::HttpSettings;
    use crate::oauth::loopback::{Loopback, Reply};

    async fn ask(reply: Reply) -> (Loopback, Result<Map<String, Value>, Error>) {
        let provider = Loopback::start(move |_, _| reply.clone()).await;
        let timeout = Duration::from_secs(5);
        let http = Http::new(HttpSettings { timeout, ca: None, proxy: None }).unwrap();
        let token = Secret::new("a.t");
        let result = userinfo(&http, &provider.url("/userinfo"), &token, "alice").await;
        (provider, result)
    }

    #[tokio::test]
    async fn claims_of_the_subject_are_returned() {
        let claims = json!({"sub": "alice", "groups": ["staff"]});
        let (provider, result) = ask(Reply::json(200, &claims)).await;
        assert_eq!(Value::from(result.unwrap()), claims);
        assert_eq!(provider.seen("/userinfo")[0].headers["authorization"], "Bearer a.t");
    }

    #[tokio::test]
    async fn another_subject_or_none_is_refused() {
        for claims in [json!({}), json!({"sub": "bob"}), json!({"sub": ["alice"]})] {
            let (_, result) = ask(Reply::json(200, &claims)).await;
            assert_eq!(result, Err(Error::UserinfoSubject), "{claims}");
        }
    }

    #[tokio::test]
    async fn a_401_is_a_refusal_and_failures_are_temporary() {
        let (_, result) = ask(Reply::json(401, &json!({"error": "invalid_token"}))).await;
        assert_eq!(result, Err(Error::UserinfoRefused));
        let page = Reply::Answer(200, "text/html", "<html>".into());
        for reply in [Reply::json(503, &json!({})), Reply::json(429, &json!({})), Reply::Drop, page]
        {
            let (_, result) = ask(reply).await;
            assert!(result.unwrap_err().is_temporary());
        }
    }

    #[tokio::test]
    async fn what_is_not_for_us_is_not_used() {
        let (provider, result) = ask(Reply::Redirect(307, "/evil".into())).await;
        assert_eq!(result, Ok(Map::new()));
        assert!(provider.seen("/evil").is_empty(), "the access token went elsewhere");
        let signed = Reply::Answer(200, "application/jwt; charset=utf-8", "e30.e30.x".into());
        for reply in [signed, Reply::json(403, &json!({})), Reply::json(404, &json!({}))] {
            assert_eq!(ask(reply).await.1, Ok(Map::new()));
        }
    }
}
