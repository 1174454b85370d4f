//! Token requests: with a code or with a refresh token.
//! Invariant: a `TokenSet` has a Bearer access token that is valid in a header field.
//! Source: RFC 6749 §4.1.3, §5.1, §6; RFC 6750; RFC 7636 §4.5.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::clock::Moment;
use crate::oauth::error::Error;
use crate::oauth::http::HttpResponse;
use crate::oauth::{Attempt, AuthenticatedEndpoint, Client, TokenSlot, success, tried};
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// A successful response of the token endpoint (§5.1).
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// `access_token`.
    pub access_token: Secret,
    /// When the request was sent. The provider counts from a later time, so a token is never used after it has
    /// expired.
    pub requested_at: Moment,
    /// `expires_in`: how long the access token is valid from then on; `None` if absent.
    pub expires_in: Option<Duration>,
    /// `refresh_token`; after a refresh, `None` means that the old one stays valid.
    pub refresh_token: Option<Secret>,
    /// `id_token` (OIDC Core §3.1.3.3), not verified yet.
    pub id_token: Option<Secret>,
}

impl Client {
    /// Exchanges a code for tokens (§4.1.3). The code is sent once, even after a failure.
    pub async fn exchange_code(
        &self,
        _slot: &TokenSlot,
        mut attempt: Attempt,
        endpoint: AuthenticatedEndpoint<'_>,
        code: &Secret,
        redirect_uri: &str,
        code_verifier: Option<&Secret>,
    ) -> Result<TokenSet, Error> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
        ];
        form.extend(code_verifier.map(|verifier| ("code_verifier", verifier.expose())));
        attempt.sent();
        let result = self.tokens(endpoint, form, self.http.deadline()).await;
        attempt.ended(&result);
        result
    }

    /// Refreshes tokens (§6). If the response is lost, sends the same refresh token again: servers that rotate
    /// refresh tokens must accept that (FAPI 2.0 Security Profile §5.3.2.1), and without it a lost packet would
    /// end a session. Ends at `until` at the latest.
    pub async fn refresh(
        &self,
        _slot: &TokenSlot,
        endpoint: AuthenticatedEndpoint<'_>,
        refresh_token: &Secret,
        until: Instant,
    ) -> Result<TokenSet, Error> {
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let once = |form| {
            let request = self.tokens(endpoint, form, self.http.deadline().min(until));
            tried(self.limits.refreshes.allow(), request)
        };
        match once(form.clone()).await {
            Err(Error::AnswerLost { .. }) if Instant::now() < until => once(form).await,
            result => result,
        }
    }

    async fn tokens<'a>(
        &'a self,
        endpoint: AuthenticatedEndpoint<'_>,
        form: Vec<(&'a str, &'a str)>,
        deadline: Instant,
    ) -> Result<TokenSet, Error> {
        let requested_at = self.clock.moment();
        let read = |response: &HttpResponse| TokenSet::read(response, requested_at);
        self.post(ProviderEndpoint::Token, endpoint, form, deadline, read).await
    }
}

impl TokenSet {
    pub(super) fn read(response: &HttpResponse, requested_at: Moment) -> Result<Self, Error> {
        let mut body = success(response)?;
        let absent = match response.status {
            StatusCode::OK => Error::NoAccessToken,
            _ => Error::Garbage("no `access_token`"),
        };
        let access_token =
            token(&mut body, "access_token", "`access_token` is not a token")?.ok_or(absent)?;
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Error::Garbage("`error` in a response with an `access_token`"));
        }
        let bearer = |kind: &Value| kind.as_str().is_some_and(|k| k.eq_ignore_ascii_case("bearer"));
        if !body.get("token_type").is_some_and(bearer) {
            return Err(Error::Garbage("`token_type` is not Bearer"));
        }
        Ok(Self {
            access_token,
            requested_at,
            expires_in: body.get("expires_in").map_or(Ok(None), lifetime)?,
            refresh_token: token(&mut body, "refresh_token", "`refresh_token` is not a token")?,
            id_token: token(&mut body, "id_token", "`id_token` is not a token")?,
        })
    }
}

/// Removes a token from the body. Null and empty count as absent.
fn token(
    body: &mut Map<String, Value>,
    name: &str,
    error: &'static str,
) -> Result<Option<Secret>, Error> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        // SECURITY: VSCHAR only (§A.12), because the token is sent in header fields.
        Some(Value::String(text)) if text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) => {
            Ok(Some(Secret::new(text)))
        }
        Some(_) => Err(Error::Garbage(error)),
    }
}

/// Parses `expires_in`, a number of seconds, which some providers send as a string. A negative one means expired;
/// more than ten years count as ten.
fn lifetime(value: &Value) -> Result<Option<Duration>, Error> {
    let seconds = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let seconds: f64 =
        seconds.filter(|n| n.is_finite()).ok_or(Error::Garbage("`expires_in` is not a number"))?;
    Ok(Some(Duration::from_secs(seconds.clamp(0.0, TEN_YEARS) as u64)))
}

const TEN_YEARS: f64 = 10.0 * 365.0 * 86_400.0;

#[cfg(test)]
mod tests;
