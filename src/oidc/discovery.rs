//! Metadata of the provider: its endpoints and what they support.
//! Invariant: the metadata is that of the configured issuer, and secrets can safely be sent to each endpoint.
//! Source: OpenID Connect Discovery 1.0 §3 and §4, RFC 8414 §2, RFC 9207 §3.

use serde_json::{Map, Value};
use url::Url;

use super::error::Error;
use crate::origin::Origin;

/// The issuer, and settings that replace discovered ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The issuer identifier, exactly as in `iss`.
    pub issuer: String,
    /// Configured endpoints.
    pub endpoints: ProviderEndpoints,
    /// Whether `http://` is allowed for other hosts than loopback.
    pub danger_allow_http: bool,
}

/// Configured endpoints. If authorization, token and JWKS are all set, discovery is not used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderEndpoints {
    /// RFC 6749 §3.1.
    pub authorization: Option<Url>,
    /// RFC 6749 §3.2.
    pub token: Option<Url>,
    /// OIDC Core §5.3.
    pub userinfo: Option<Url>,
    /// RFC 7517 §5.
    pub jwks: Option<Url>,
    /// OIDC RP-Initiated Logout §2.1.
    pub end_session: Option<Url>,
    /// RFC 7009 §2.
    pub revocation: Option<Url>,
}

/// Metadata of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `authorization_endpoint`.
    pub authorization: Url,
    /// `token_endpoint`.
    pub token: Url,
    /// `jwks_uri`.
    pub jwks: Url,
    /// `userinfo_endpoint`.
    pub userinfo: Option<Url>,
    /// `end_session_endpoint`.
    pub end_session: Option<Url>,
    /// `revocation_endpoint`.
    pub revocation: Option<Url>,
    /// `token_endpoint_auth_methods_supported`; `None` if absent.
    pub token_auth_methods: Option<Vec<String>>,
    /// Whether every authorization response has `iss` (RFC 9207 §3).
    pub response_has_issuer: bool,
}

impl Settings {
    /// The URL of the document: the issuer without a final slash, and the well-known path (§4.1).
    pub(super) fn document(&self) -> Result<Url, Error> {
        let url = Url::parse(&self.issuer).map_err(|_| Error::Issuer("is not a URL"))?;
        if !self.is_safe_configured(&url) {
            return Err(Error::Issuer("must be https"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::Issuer("has a query or a fragment"));
        }
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let document = format!("{base}/.well-known/openid-configuration");
        Url::parse(&document).map_err(|_| Error::Issuer("is not a URL"))
    }

    /// The configured metadata, if it is complete.
    pub(super) fn configured(&self) -> Result<Option<Metadata>, Error> {
        let ProviderEndpoints { authorization, token, jwks, .. } = &self.endpoints;
        if authorization.is_none() || token.is_none() || jwks.is_none() {
            return Ok(None);
        }
        self.complete(&Map::new()).map(Some)
    }

    /// Parses the document (§4.2) and checks its issuer (§4.3).
    pub(super) fn read(&self, document: &Map<String, Value>) -> Result<Metadata, Error> {
        // SECURITY: compared exactly, or one issuer could impersonate another (§4.3).
        let found = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if found != self.issuer {
            return Err(Error::OtherIssuer { found: found.chars().take(200).collect() });
        }
        self.complete(document)
    }

    fn complete(&self, document: &Map<String, Value>) -> Result<Metadata, Error> {
        let known = &self.endpoints;
        let find = |name, given: &Option<Url>| self.endpoint(document, name, given.as_ref());
        let need = |name, given: &Option<Url>| {
            find(name, given)?.ok_or(Error::Endpoint { endpoint: name, fault: "is missing" })
        };
        Ok(Metadata {
            authorization: need("authorization_endpoint", &known.authorization)?,
            token: need("token_endpoint", &known.token)?,
            jwks: need("jwks_uri", &known.jwks)?,
            userinfo: find("userinfo_endpoint", &known.userinfo)?,
            end_session: find("end_session_endpoint", &known.end_session)?,
            revocation: find("revocation_endpoint", &known.revocation)?,
            token_auth_methods: texts(document, "token_endpoint_auth_methods_supported"),
            response_has_issuer: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }

    /// An endpoint: the configured one, or that of the document.
    fn endpoint(
        &self,
        document: &Map<String, Value>,
        endpoint: &'static str,
        given: Option<&Url>,
    ) -> Result<Option<Url>, Error> {
        let fault = |fault| Error::Endpoint { endpoint, fault };
        let (url, is_safe) = match (given, document.get(endpoint)) {
            (Some(url), _) => (url.clone(), self.is_safe_configured(url)),
            (None, None | Some(Value::Null)) => return Ok(None),
            (None, Some(value)) => {
                let text = value.as_str().ok_or(fault("is not a string"))?;
                if text.is_empty() {
                    return Ok(None);
                }
                let url = Url::parse(text).map_err(|_| fault("is not a URL"))?;
                let is_safe = self.is_safe_discovered(&url);
                (url, is_safe)
            }
        };
        if !is_safe {
            return Err(fault("must be https"));
        }
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(fault("has a fragment or a user name"));
        }
        Ok(Some(url))
    }

    /// Whether a configured URL is safe: https, or http to loopback or with `danger_allow_http`.
    fn is_safe_configured(&self, url: &Url) -> bool {
        let loopback = || Origin::of(url).is_some_and(|origin| origin.is_loopback());
        url.scheme() == "https"
            || (url.scheme() == "http" && (self.danger_allow_http || loopback()))
    }

    /// Whether a discovered URL is safe.
    // SECURITY: with an https issuer even loopback must be https: a document must not direct requests to this
    // machine (SSRF) or weaken the configuration. Other schemes, such as `file:`, are never safe.
    fn is_safe_discovered(&self, url: &Url) -> bool {
        url.scheme() == "https"
            || (self.issuer.starts_with("http://") && self.is_safe_configured(url))
    }
}

/// A list of strings; anything else counts as absent.
fn texts(document: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let list = document.get(name)?.as_array()?;
    list.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(issuer: &str) -> Settings {
        let endpoints = ProviderEndpoints::default();
        Settings { issuer: issuer.into(), endpoints, danger_allow_http: false }
    }

    fn document(issuer: &str) -> Map<String, Value> {
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "unknown": {"x": [1]},
        });
        document.as_object().unwrap().clone()
    }

    /// Parses a document of `https://op.example` with one member changed; null removes it.
    #[track_caller]
    fn check(name: &str, value: Value, expected: Result<(), &str>) {
        let mut document = document("https://op.example");
        document.insert(name.into(), value);
        document.retain(|_, value| !value.is_null());
        let read = settings("https://op.example").read(&document);
        let result = read.map(drop).map_err(|error| error.to_string());
        match expected {
            Ok(()) => assert_eq!(result, Ok(()), "{name}"),
            Err(part) => assert!(result.as_ref().is_err_and(|e| e.contains(part)), "{result:?}"),
        }
    }

    #[test]
    fn document_is_parsed_and_unknown_members_are_ignored() {
        let read = settings("https://op.example").read(&document("https://op.example")).unwrap();
        assert_eq!(read.token.as_str(), "https://op.example/token");
        assert_eq!(read.token_auth_methods, Some(vec!["client_secret_post".into()]));
        assert!(!read.response_has_issuer);
        assert_eq!((read.userinfo, read.end_session), (None, None));
    }

    #[test]
    fn document_of_another_issuer_is_rejected() {
        check("issuer", json!("https://evil.example"), Err("not the configured issuer"));
        check("issuer", json!("https://op.example/"), Err("not the configured issuer"));
        check("issuer", json!(null), Err("not the configured issuer"));
        check("issuer", json!(["https://op.example"]), Err("not the configured issuer"));
    }

    #[test]
    fn missing_or_unsafe_endpoint_is_rejected() {
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            check(name, json!(null), Err("is missing"));
            check(name, json!(["https://op.example/x"]), Err("is not a string"));
            check(name, json!("/relative"), Err("is not a URL"));
            check(name, json!("http://op.example/x"), Err("must be https"));
            check(name, json!("http://127.0.0.1/x"), Err("must be https"));
            check(name, json!("file:///etc/passwd"), Err("must be https"));
            check(name, json!("https://me@op.example/x"), Err("a fragment or a user name"));
            check(name, json!("https://op.example/x#y"), Err("a fragment or a user name"));
        }
        check("userinfo_endpoint", json!("http://op.example/x"), Err("must be https"));
        check("userinfo_endpoint", json!(""), Ok(()));
        check("token_endpoint", json!("https://other.example/token?x=1"), Ok(()));
        check("token_endpoint_auth_methods_supported", json!("x"), Ok(()));
    }

    #[test]
    fn http_is_allowed_for_loopback_and_with_danger_allow_http() {
        let read = |issuer: &str, danger_allow_http| {
            let settings = Settings { danger_allow_http, ..settings(issuer) };
            settings.document().and_then(|_| settings.read(&document(issuer)))
        };
        assert!(read("http://127.0.0.1:8080", false).is_ok());
        assert!(read("http://op.example", true).is_ok());
        assert_eq!(read("http://op.example", false), Err(Error::Issuer("must be https")));
        let mut leading_away = document("http://localhost");
        leading_away.insert("token_endpoint".into(), json!("http://internal.example/token"));
        assert!(settings("http://localhost").read(&leading_away).is_err());
    }

    #[test]
    fn well_known_path_is_appended_to_path_of_issuer() {
        let at = |issuer: &str| settings(issuer).document().map(|url| url.to_string());
        let expected = "https://op.example/realms/a/.well-known/openid-configuration";
        assert_eq!(at("https://op.example/realms/a").as_deref(), Ok(expected));
        assert_eq!(at("https://op.example/realms/a/").as_deref(), Ok(expected));
        assert!(at("https://op.example/?x").is_err());
        assert!(at("ftp://op.example").is_err());
        assert!(at("op").is_err());
    }

    #[test]
    fn configured_endpoint_replaces_discovered_one_or_discovery() {
        let url =
            |path: &str| Some(Url::parse("https://hand.example").unwrap().join(path).unwrap());
        let mut settings = settings("https://op.example");
        settings.endpoints.token = url("/t");
        assert_eq!(settings.configured(), Ok(None));
        let read = settings.read(&document("https://op.example")).unwrap();
        assert_eq!((Some(read.token), read.jwks.path()), (url("/t"), "/jwks"));
        (settings.endpoints.authorization, settings.endpoints.jwks) = (url("/a"), url("/j"));
        assert_eq!(settings.configured().unwrap().map(|known| known.jwks), url("/j"));
    }
}
