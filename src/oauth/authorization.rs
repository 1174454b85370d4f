//! The authorization request and its response.
//! Invariant: no parameter is repeated, in a request or in an accepted response.
//! Source: RFC 6749 §4.1.1 and §4.1.2, RFC 7636 §4.3, RFC 9207, OAuth 2.0 Form Post Response Mode.

use url::{Url, form_urlencoded};

use crate::oauth::error::{Error, ErrorResponse, OtherIssuer};
use crate::secret::Secret;

/// An authorization request (§4.1.1).
#[derive(Clone, Debug)]
pub struct AuthorizationRequest<'a> {
    /// The authorization endpoint; its own query is kept (§3.1).
    pub endpoint: &'a Url,
    /// `client_id`.
    pub client_id: &'a str,
    /// `redirect_uri`.
    pub redirect_uri: &'a str,
    /// `scope`, space-separated.
    pub scope: &'a str,
    /// `state`.
    pub state: &'a str,
    /// The S256 `code_challenge`, unless the provider rejects it.
    pub code_challenge: Option<&'a str>,
    /// Further parameters. Of two with the same name the first is sent.
    pub more: Vec<(&'a str, &'a str)>,
}

impl AuthorizationRequest<'_> {
    /// The URL to send the browser to.
    pub fn url(&self) -> Url {
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("scope", self.scope),
            ("state", self.state),
        ];
        if let Some(challenge) = self.code_challenge {
            parameters.extend([("code_challenge", challenge), ("code_challenge_method", "S256")]);
        }
        for parameter in &self.more {
            if !parameters.iter().any(|(name, _)| *name == parameter.0) {
                parameters.push(*parameter);
            }
        }
        let is_set = |name: &str| parameters.iter().any(|(set, _)| *set == name);
        let kept: Vec<_> = self.endpoint.query_pairs().filter(|(name, _)| !is_set(name)).collect();
        let mut url = self.endpoint.clone();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).extend_pairs(&parameters);
        // Apple, and others that decode a URL and not a form, read `+` as a plus. A plus in a value is `%2B` here.
        url.set_query(Some(&query.finish().replace('+', "%20")));
        url
    }
}

/// `response_mode`: how the browser brings the authorization response (OAuth 2.0 Multiple Response Types §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// `query`, the default of the code flow: in the query of a GET.
    Query,
    /// `form_post`: in the body of a POST, which a page of the provider sends.
    FormPost,
}

impl ResponseMode {
    /// The method of the callback's request.
    pub fn method(self) -> &'static str {
        match self {
            Self::Query => "GET",
            Self::FormPost => "POST",
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
        }
    }

    /// The parameter of the authorization request; `None` for the default.
    pub fn parameter(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Query => None,
            Self::FormPost => Some(("response_mode", self.as_str())),
        }
    }
}

/// An authorization response, received through the browser and not verified yet.
#[derive(Clone, Debug)]
pub struct AuthorizationResponse {
    /// `state`, never empty.
    pub state: String,
    /// `iss` (RFC 9207).
    pub iss: Option<String>,
    /// `user`, which is not in the standard; `None` if it is repeated.
    // SECURITY: nothing protects it from a change in the browser.
    pub user: Option<String>,
    /// The code, or an error response.
    pub outcome: Result<Secret, ErrorResponse>,
}

impl AuthorizationResponse {
    /// Parses the query of a callback, or its body with `form_post`.
    pub fn parse(query: &str) -> Result<Self, Error> {
        let parameters = Parameters::read(query)?;
        let state = parameters.state.ok_or(Error::MalformedResponse("no `state`"))?;
        let outcome = match (parameters.code, parameters.error) {
            (Some(_), Some(_)) => {
                return Err(Error::MalformedResponse("`code` and `error` together"));
            }
            (None, None) => return Err(Error::MalformedResponse("neither `code` nor `error`")),
            // SECURITY: VSCHAR only (§A.11). Some providers fail at other bytes, and an attacker who makes one
            // fail repeatedly could stop the sign-ins of others.
            (Some(code), None) if code.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) => {
                Ok(Secret::new(code))
            }
            (Some(_), None) => return Err(Error::MalformedResponse("`code` is not a code")),
            (None, Some(error)) => {
                Err(ErrorResponse::new(&error, &parameters.description.unwrap_or_default()))
            }
        };
        let user = <[String; 1]>::try_from(parameters.users).ok().map(|[user]| user);
        Ok(Self { state, iss: parameters.iss, user, outcome })
    }

    /// Checks that this issuer sent the response: `iss` is exactly its identifier, and is present if the issuer
    /// announces it (RFC 9207 §2.4).
    pub fn check_issuer(&self, issuer: &str, announced: bool) -> Result<(), Error> {
        // SECURITY: mix-up: a code of one server must not be sent to another.
        match &self.iss {
            Some(iss) if iss == issuer => Ok(()),
            None if !announced => Ok(()),
            found => Err(Error::MixUp(OtherIssuer::new(found.as_deref(), issuer))),
        }
    }
}

#[derive(Default)]
struct Parameters {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    users: Vec<String>,
    error: Option<String>,
    description: Option<String>,
}

impl Parameters {
    fn read(query: &str) -> Result<Self, Error> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (place, twice) = match name.as_ref() {
                "state" => (&mut read.state, "`state` twice"),
                "code" => (&mut read.code, "`code` twice"),
                "iss" => (&mut read.iss, "`iss` twice"),
                "user" => {
                    read.users.push(value.into_owned());
                    continue;
                }
                "error" => (&mut read.error, "`error` twice"),
                "error_description" => (&mut read.description, "`error_description` twice"),
                _ => continue, // Unknown parameters are ignored (§4.1.2).
            };
            // SECURITY: parameter pollution: two parsers could use different ones.
            if place.replace(value.into_owned()).is_some() {
                return Err(Error::MalformedResponse(twice));
            }
        }
        // A parameter without a value counts as absent (§3.1).
        for place in [&mut read.state, &mut read.code, &mut read.iss, &mut read.error] {
            *place = place.take().filter(|value| !value.is_empty());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::ErrorCode;

    fn request<'a>(endpoint: &'a Url, more: Vec<(&'a str, &'a str)>) -> Url {
        let (client_id, redirect_uri) = ("us", "https://app.example/oauth2/callback");
        let (scope, state, code_challenge) = ("openid email", "s&t", Some("c"));
        AuthorizationRequest {
            endpoint,
            client_id,
            redirect_uri,
            scope,
            state,
            code_challenge,
            more,
        }
        .url()
    }

    #[test]
    fn request_has_each_parameter_once_and_keeps_query_of_endpoint() {
        let endpoint = Url::parse("https://op.example/auth?tenant=1&state=evil").unwrap();
        let more = vec![("nonce", "n"), ("prompt", "login"), ("prompt", "none"), ("scope", "x")];
        assert_eq!(
            request(&endpoint, more).as_str(),
            "https://op.example/auth?tenant=1&response_type=code&client_id=us\
             &redirect_uri=https%3A%2F%2Fapp.example%2Foauth2%2Fcallback&scope=openid%20email\
             &state=s%26t&code_challenge=c&code_challenge_method=S256&nonce=n&prompt=login"
        );
    }

    #[track_caller]
    fn check(query: &str, expected: Result<&str, &'static str>) {
        let parsed = AuthorizationResponse::parse(query);
        let code = parsed.map(|response| match response.outcome {
            Ok(code) => code.expose().to_owned(),
            Err(response) => response.code.to_string(),
        });
        assert_eq!(code, expected.map(str::to_owned).map_err(Error::MalformedResponse), "{query}");
    }

    #[test]
    fn code_or_error_is_parsed() {
        check("code=c&state=s", Ok("c"));
        check("state=s&code=a%2Bb+c&session_state=x&unknown=1&unknown=2", Ok("a+b c"));
        check("error=access_denied&state=s&error_description=no", Ok("access_denied"));
        check("error=access_denied&code=&state=s", Ok("access_denied"));
    }

    #[test]
    fn response_with_missing_or_repeated_parameter_is_rejected() {
        check("", Err("no `state`"));
        check("code=c", Err("no `state`"));
        check("code=c&state=", Err("no `state`"));
        check("state=s", Err("neither `code` nor `error`"));
        check("state=s&code=", Err("neither `code` nor `error`"));
        check("state=s&code=a&code=b", Err("`code` twice"));
        check("state=s&code=a&code=a", Err("`code` twice"));
        check("state=s&state=&code=a", Err("`state` twice"));
        check("state=s&code=a&iss=a&iss=b", Err("`iss` twice"));
        check("state=s&error=a&error=b", Err("`error` twice"));
        check("state=s&error=access_denied&code=c", Err("`code` and `error` together"));
        for code in ["%00", "a%0d%0ab", "a%7f", "%c3%a9", "%ff"] {
            check(&format!("state=s&code={code}"), Err("`code` is not a code"));
        }
    }

    #[test]
    fn response_of_another_issuer_is_rejected() {
        let response = |query| AuthorizationResponse::parse(query).unwrap();
        let (without, with) =
            (response("code=c&state=s"), response("code=c&state=s&iss=https://op"));
        let message = |checked: Result<(), Error>| checked.unwrap_err().to_string();
        let expected = "authorization response: `iss` is not the issuer: it is \"https://op\", and `issuer` is \
                        \"https://op/\" (RFC 9207 §2.4)";
        assert_eq!(message(with.check_issuer("https://op/", true)), expected);
        let expected = "authorization response: no `iss`, although the provider announces it; `issuer` is \
                        \"https://op\" (RFC 9207 §2.4)";
        assert_eq!(message(without.check_issuer("https://op", true)), expected);
        for announced in [false, true] {
            assert_eq!(with.check_issuer("https://op", announced), Ok(()));
            assert!(with.check_issuer("https://op/", announced).is_err());
        }
        assert_eq!(without.check_issuer("https://op", false), Ok(()));
        assert!(without.check_issuer("https://op", true).is_err());
    }

    #[test]
    fn unknown_error_is_made_printable() {
        let response = AuthorizationResponse::parse(
            "state=s&error=x%0d%0ay&error_description=%3Cscript%3E%00",
        );
        let error = response.unwrap().outcome.unwrap_err();
        assert_eq!(error.code, ErrorCode::Other("xy".into()));
        assert_eq!(error.description, "<script>");
    }
}
