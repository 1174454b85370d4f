//! Sign-out at the provider: the logout request, and the logout token that the provider sends.
//! Invariant: a `LogoutToken` is made only here, from a token with a verified signature that obeys every rule of the
//! standard. The caller checks that its `jti` is new.
//! Source: OpenID Connect RP-Initiated Logout 1.0 §2, Back-Channel Logout 1.0 §2.4 and §2.6.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use crate::clock::UnixTime;
use crate::jose::{Verified, json};
use crate::oidc::claimed::shortened;
use crate::oidc::error::Violation;
use crate::oidc::id_token::{Claims, check_audience, check_issuer, check_times};
use crate::secret::Secret;

/// A logout request.
#[derive(Clone, Debug)]
pub struct LogoutRequest<'a> {
    /// `end_session_endpoint`; its own query is kept.
    pub endpoint: Url,
    /// The ID token of the session that ends.
    pub id_token_hint: Option<&'a Secret>,
    /// `client_id`, for a provider that cannot verify the hint any more.
    pub client_id: &'a str,
    /// Where the browser goes afterwards.
    pub post_logout_redirect_uri: &'a str,
    /// The name of the parameter with it: [`STANDARD`], or that of a provider with its own. Such a provider gets no hint
    /// and no `state`.
    pub parameter: &'static str,
    /// `state`, returned with the redirect.
    pub state: Option<&'a str>,
}

/// `post_logout_redirect_uri`.
pub const STANDARD: &str = "post_logout_redirect_uri";

/// What an answer to the browser can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// A redirect or a page.
    Any,
    /// A redirect only.
    Redirect,
}

/// How the browser sends a logout request (§2: both are supported by every provider).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logout {
    /// GET of this URL.
    Redirect(Url),
    /// POST of a form, because the hint is too long for a URL.
    Form(LogoutForm),
}

/// The form of a logout request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutForm {
    /// `end_session_endpoint`.
    pub action: Url,
    /// Names and values.
    pub fields: Vec<(&'static str, Secret)>,
}

impl LogoutRequest<'_> {
    /// The request as the browser sends it. Without a form, a hint that is too long is left out; `client_id` identifies
    /// the client as well.
    pub fn by(self, kind: AnswerKind) -> Logout {
        let url = self.url();
        let hint = self.id_token_hint.filter(|_| self.parameter == STANDARD);
        let hint = hint.map_or(0, |hint| hint.expose().len());
        let is_long = hint > MAX_HINT || (hint > 0 && url.as_str().len() > MAX_URL);
        if !is_long {
            return Logout::Redirect(url);
        }
        match kind {
            AnswerKind::Redirect => Logout::Redirect(Self { id_token_hint: None, ..self }.url()),
            AnswerKind::Any => {
                let fields = self.parameters().map(|(name, value)| (name, Secret::new(value)));
                Logout::Form(LogoutForm { fields: fields.collect(), action: self.endpoint })
            }
        }
    }

    /// The URL of the request by GET, of any length.
    pub fn url(&self) -> Url {
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().extend_pairs(self.parameters());
        url
    }

    fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let is_standard = self.parameter == STANDARD;
        let hint = self.id_token_hint.filter(|_| is_standard);
        let hint = hint.map(|hint| ("id_token_hint", hint.expose()));
        let client_id = ("client_id", self.client_id);
        let back = (self.parameter, self.post_logout_redirect_uri);
        let state = self.state.filter(|_| is_standard).map(|state| ("state", state));
        hint.into_iter().chain([client_id, back]).chain(state)
    }
}

/// Common proxies allow 4 KiB for the head of a response. The other parameters and fields need some of it.
const MAX_HINT: usize = 3 * 1024;
/// A URL with a shorter hint is longer only by its `state`, which has a long target.
const MAX_URL: usize = 4 * 1024;

/// A logout token: which sessions ended at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// `sub`: all sessions of this user, unless `session` is set.
    pub subject: Option<String>,
    /// `sid`: the session.
    pub session: Option<String>,
    /// `jti`: the ID of the token, which is valid once.
    pub id: String,
    /// `exp`: how long `id` must be remembered.
    pub expires: UnixTime,
}

impl LogoutToken {
    /// Checks the rules of Back-Channel Logout §2.6, except the signature (2. and 3.), which is verified.
    pub(super) fn read(
        verified: &Verified,
        issuer: &str,
        client_id: &str,
        now: UnixTime,
    ) -> Result<Self, Violation> {
        let claims = Claims(&verified.claims);
        // SECURITY: an access token of the same issuer is not a logout token (RFC 8725 §3.11).
        let typ = verified.header.typ.as_deref().map(str::to_ascii_lowercase);
        let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        if !matches!(typ, None | Some("logout+jwt" | "jwt")) {
            return Err(Violation::Type { found: shortened(typ.unwrap_or_default()) });
        }
        // 4. `iss`, `aud`, `iat` and `exp` as in an ID token.
        check_issuer(&claims, issuer)?;
        check_audience(&claims, client_id)?;
        check_times(&claims, now)?;
        // 5. `sub`, `sid`, or both.
        let subject = claims.optional_text("sub")?.map(str::to_owned);
        let session = claims.optional_text("sid")?.map(str::to_owned);
        if subject.is_none() && session.is_none() {
            return Err(Violation::NoSubject);
        }
        // 6. `events` has the logout event. 7. `nonce` is absent, so that no ID token is accepted.
        let event = claims.find("events").and_then(|events| events.get(LOGOUT_EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(Violation::NoLogoutEvent);
        }
        if verified.claims.contains_key("nonce") {
            return Err(Violation::UnwantedNonce);
        }
        let (id, expires) = (claims.text("jti")?.to_owned(), UnixTime(claims.number("exp")?));
        Ok(Self { subject, session, id, expires })
    }
}

/// The `iss` of a token that is not verified, to find the keys for its verification.
pub fn claimed_issuer(token: &Secret) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1)?).ok()?;
    json::object(&payload).ok()?.get("iss")?.as_str().map(str::to_owned)
}

const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::{Algorithm, Header};
    use crate::oidc::error::tests::check_violation;

    const NOW: i64 = 1_800_000_000;

    /// Checks a valid logout token with these members changed (null removes a member).
    #[track_caller]
    fn check(typ: Option<&str>, changes: Value, expected: Result<(), &str>) {
        let mut claims = json!({"iss": "https://op.example", "aud": ["us"], "sub": "alice",
            "sid": "s", "jti": "j", "iat": NOW, "exp": NOW + 120, "events": {LOGOUT_EVENT: {}}});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut claims = claims.as_object().unwrap().clone();
        claims.retain(|name, value| !value.is_null() || name == "nonce");
        let typ = typ.map(str::to_owned);
        let header = Header { algorithm: Algorithm::RS256, kid: None, typ };
        let verified = Verified { header, claims };
        let read = LogoutToken::read(&verified, "https://op.example", "us", UnixTime(NOW));
        check_violation(read, expected, &changes);
    }

    #[test]
    fn valid_logout_token_is_accepted() {
        for typ in [None, Some("logout+jwt"), Some("application/logout+jwt"), Some("JWT")] {
            check(typ, json!({}), Ok(()));
        }
        check(None, json!({"sub": null}), Ok(()));
        check(None, json!({"sid": null, "aud": "us"}), Ok(()));
    }

    #[test]
    fn invalid_logout_token_is_rejected() {
        let wrong = |changes, rule| check(Some("logout+jwt"), changes, Err(rule));
        check(Some("at+jwt"), json!({}), Err("`typ` is that of another kind of token"));
        wrong(json!({"iss": "https://evil.example"}), "`iss` is not the issuer");
        wrong(json!({"aud": "them"}), "`aud` does not contain the client_id");
        wrong(json!({"exp": NOW - 3600}), "`exp` has passed");
        wrong(json!({"exp": null}), "`exp` is absent");
        wrong(json!({"iat": null}), "`iat` is absent");
        wrong(json!({"iat": NOW + 3600}), "`iat` is in the future");
        wrong(json!({"jti": null}), "`jti` is absent");
        wrong(json!({"sub": null, "sid": null}), "neither `sub` nor `sid`");
        wrong(json!({"sid": ["s"]}), "`sid` is a list, but must be a text");
        wrong(json!({"events": null}), "no logout event");
        wrong(json!({"events": {LOGOUT_EVENT: "x"}}), "no logout event");
        wrong(json!({"events": [LOGOUT_EVENT]}), "no logout event");
        wrong(json!({"nonce": "n"}), "`nonce` in a logout token");
        wrong(json!({"nonce": null}), "`nonce` in a logout token");
    }

    #[test]
    fn claimed_issuer_is_iss_or_none() {
        let token = |payload: &str| {
            let payload = URL_SAFE_NO_PAD.encode(payload);
            claimed_issuer(&Secret::new(format!("e30.{payload}.x")))
        };
        assert_eq!(token(r#"{"iss":"https://op"}"#).as_deref(), Some("https://op"));
        assert_eq!(token(r#"{"iss":1}"#), None);
        assert_eq!(token("x"), None);
        assert_eq!(claimed_issuer(&Secret::new("")), None);
    }

    fn request<'a>(hint: &'a Secret, state: Option<&'a str>) -> LogoutRequest<'a> {
        LogoutRequest {
            endpoint: Url::parse("https://op.example/logout?a=b").unwrap(),
            id_token_hint: Some(hint),
            client_id: "us",
            post_logout_redirect_uri: "https://app.example/oauth2/signed_out",
            parameter: STANDARD,
            state,
        }
    }

    #[test]
    fn logout_request_has_hint_client_and_redirect() {
        let hint = Secret::new("id.to.ken");
        for kind in [AnswerKind::Any, AnswerKind::Redirect] {
            let Logout::Redirect(url) = request(&hint, Some("s")).by(kind) else { panic!() };
            assert_eq!(
                url.as_str(),
                "https://op.example/logout?a=b&id_token_hint=id.to.ken&client_id=us\
                 &post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Foauth2%2Fsigned_out&state=s"
            );
        }
        let without = request(&hint, None).by(AnswerKind::Any);
        assert!(matches!(without, Logout::Redirect(url) if !url.as_str().contains("state")));
    }

    #[test]
    fn provider_with_a_parameter_of_its_own_gets_nothing_else() {
        let hint = Secret::new("i".repeat(MAX_HINT + 1));
        let request = LogoutRequest { parameter: "logout_uri", ..request(&hint, Some("s")) };
        let Logout::Redirect(url) = request.by(AnswerKind::Any) else { panic!() };
        assert_eq!(
            url.as_str(),
            "https://op.example/logout?a=b&client_id=us\
             &logout_uri=https%3A%2F%2Fapp.example%2Foauth2%2Fsigned_out"
        );
    }

    #[test]
    fn long_hint_is_sent_by_a_form_or_left_out() {
        let state = "s".repeat(MAX_URL);
        for (length, state, is_long) in [
            (MAX_HINT, None, false),
            (MAX_HINT + 1, None, true),
            (10, Some(&*state), true),
            (0, Some(&*state), false),
        ] {
            let hint = Secret::new("i".repeat(length));
            let request = || LogoutRequest {
                id_token_hint: Some(&hint).filter(|hint| !hint.is_empty()),
                ..request(&hint, state)
            };
            match request().by(AnswerKind::Any) {
                Logout::Form(form) if is_long => {
                    assert_eq!(form.action.as_str(), "https://op.example/logout?a=b");
                    let names: Vec<_> = form.fields.iter().map(|(name, _)| *name).collect();
                    let all = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];
                    assert_eq!(names, all[..names.len()]);
                    assert_eq!(form.fields.first().map(|(_, value)| value), Some(&hint));
                }
                Logout::Form(form) => panic!("{form:?}"),
                Logout::Redirect(url) => assert!(!is_long, "{url}"),
            }
            let Logout::Redirect(url) = request().by(AnswerKind::Redirect) else { panic!() };
            assert_eq!(url.as_str().contains("hint"), !is_long && length > 0, "{url}");
        }
    }
}
