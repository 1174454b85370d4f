//! Metadata of the provider: its endpoints and what they support.
//! Invariant: the metadata is that of the configured issuer, and secrets can safely be sent to each endpoint.
//! Source: OpenID Connect Discovery 1.0 §3 and §4, RFC 8414 §2, RFC 9207 §3.

use std::borrow::Cow;

use serde_json::{Map, Value};
use url::Url;

use crate::oidc::error::{Error, IssuerHint};
use crate::origin::{Origin, is_name};

/// The issuer, and settings that replace discovered ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The issuer identifier, exactly as in `iss`.
    pub issuer: String,
    /// Configured endpoints.
    pub endpoints: ProviderEndpoints,
    /// Where the gateway's own requests go in place of the issuer's origin.
    pub internal_origin: Option<Origin>,
    /// Whether `http://` is allowed for other hosts than loopback.
    pub danger_allow_http: bool,
    /// What the issuer of the metadata and of tokens must be.
    pub matches: IssuerMatch,
}

/// What the issuer of the metadata and of tokens must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerMatch {
    /// The configured one.
    Exact,
    /// This text: in the metadata with a [placeholder](Self::TENANT), in a token with its own tenant in that place. The
    /// caller compares the tenant (`tid`) with those that it allows.
    OfTenant(String),
}

impl IssuerMatch {
    /// The placeholder of Entra for the ID of a tenant.
    pub const TENANT: &str = "{tenantid}";

    /// The issuer of a tenant. `None` if this is no ID.
    fn of_tenant(template: &str, tenant: &str) -> Option<String> {
        is_tenant_id(tenant).then(|| template.replace(Self::TENANT, tenant))
    }
}

/// Whether this is the ID of a tenant of Entra: a UUID.
// SECURITY: any other text could change the host or the path of an issuer that it is put into.
pub fn is_tenant_id(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Who sends the requests to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// The browser of a user.
    Browser,
    /// This gateway.
    Gateway,
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
    /// `jwks_uri`; `None` without OpenID Connect.
    pub jwks: Option<Url>,
    /// `userinfo_endpoint`.
    pub userinfo: Option<Url>,
    /// `end_session_endpoint`.
    pub end_session: Option<Url>,
    /// `revocation_endpoint`.
    pub revocation: Option<Url>,
    /// `token_endpoint_auth_methods_supported`; `None` if absent.
    pub token_auth_methods: Option<Vec<String>>,
    /// `revocation_endpoint_auth_methods_supported` (RFC 8414 §2); `None` if absent.
    pub revocation_auth_methods: Option<Vec<String>>,
    /// `token_endpoint_auth_signing_alg_values_supported`; `None` if absent.
    pub token_auth_algorithms: Option<Vec<String>>,
    /// `revocation_endpoint_auth_signing_alg_values_supported` (RFC 8414 §2); `None` if absent.
    pub revocation_auth_algorithms: Option<Vec<String>>,
    /// Where clients with a certificate send their requests instead.
    pub mtls: MtlsEndpoints,
    /// `prompt_values_supported` (Initiating User Registration 1.0 §4); `None` if absent.
    pub prompt_values: Option<Vec<String>>,
    /// Whether every authorization response has `iss` (RFC 9207 §3).
    pub response_has_issuer: bool,
    /// Why discovered optional endpoints cannot be used. They count as absent.
    pub ignored: Vec<Error>,
}

/// `mtls_endpoint_aliases` (RFC 8705 §5), for the endpoints that are not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MtlsEndpoints {
    /// `token_endpoint`.
    pub token: Option<Url>,
    /// `userinfo_endpoint`.
    pub userinfo: Option<Url>,
    /// `revocation_endpoint`.
    pub revocation: Option<Url>,
}

impl Metadata {
    /// The metadata of an OAuth 2.0 server without a document: the configured endpoints, which are safe.
    pub fn without_discovery(endpoints: &ProviderEndpoints) -> Result<Self, Error> {
        let ProviderEndpoints { authorization, token, userinfo, jwks: _, end_session, revocation } =
            endpoints.clone();
        let missing = |endpoint| Error::Endpoint { endpoint, fault: "is missing" };
        Ok(Self {
            authorization: authorization.ok_or(missing("authorization_endpoint"))?,
            token: token.ok_or(missing("token_endpoint"))?,
            jwks: None,
            userinfo,
            end_session,
            revocation,
            token_auth_methods: None,
            revocation_auth_methods: None,
            token_auth_algorithms: None,
            revocation_auth_algorithms: None,
            mtls: MtlsEndpoints::default(),
            prompt_values: None,
            response_has_issuer: false,
            ignored: Vec::new(),
        })
    }

    /// The `prompt` to send for a wanted one. Without `select_account`, signing in again lets a user choose.
    pub fn prompt<'p>(&self, wanted: &'p str) -> &'p str {
        if wanted == SELECT_ACCOUNT && !self.has_prompt(wanted) { "login" } else { wanted }
    }

    /// Whether the provider has a value of `prompt`, as far as its metadata says.
    pub fn has_prompt(&self, wanted: &str) -> bool {
        let has = |values: &Vec<String>| values.iter().any(|value| value == wanted);
        self.prompt_values.as_ref().is_none_or(has)
    }
}

const SELECT_ACCOUNT: &str = "select_account";

/// The most characters of a foreign issuer in a message.
const MAX_QUOTED: usize = 200;

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
        let document = Url::parse(&document).map_err(|_| Error::Issuer("is not a URL"))?;
        Ok(self.internal(&document).unwrap_or(document))
    }

    /// The internal URL of a public one, if it is at the issuer's origin.
    fn internal(&self, public: &Url) -> Option<Url> {
        let issuer = Url::parse(&self.issuer).ok()?;
        let internal = self.internal_origin.as_ref()?;
        if Origin::of(public) != Origin::of(&issuer) {
            return None;
        }
        internal.at(public)
    }

    fn is_internal(&self, url: &Url) -> bool {
        self.internal_origin.is_some() && Origin::of(url) == self.internal_origin
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
        if !self.is_issuer_of_metadata(found) {
            let (found, hint) =
                (found.chars().take(MAX_QUOTED).collect(), self.hint_for_issuer(found));
            return Err(Error::OtherIssuer { found, hint });
        }
        self.complete(document)
    }

    fn is_issuer_of_metadata(&self, found: &str) -> bool {
        match &self.matches {
            IssuerMatch::Exact => found == self.issuer,
            // For private accounts, their one tenant stands in place of the placeholder.
            IssuerMatch::OfTenant(template) => {
                let (before, after) = template.split_once(IssuerMatch::TENANT).unwrap_or_default();
                let tenant = found.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                tenant.is_some_and(|it| it == IssuerMatch::TENANT || is_tenant_id(it))
            }
        }
    }

    /// The issuer that a token with these claims must have.
    pub(super) fn issuer_of_token(&self, claims: &Map<String, Value>) -> Cow<'_, str> {
        let of_tenant = match &self.matches {
            IssuerMatch::Exact => None,
            IssuerMatch::OfTenant(template) => {
                let tenant = claims.get("tid").and_then(Value::as_str);
                tenant.and_then(|tenant| IssuerMatch::of_tenant(template, tenant))
            }
        };
        of_tenant.map_or(Cow::Borrowed(&self.issuer), Cow::Owned)
    }

    fn complete(&self, document: &Map<String, Value>) -> Result<Metadata, Error> {
        let known = &self.endpoints;
        let need = |name, given: &Option<Url>, caller| {
            let found = self.endpoint(document, name, given.as_ref(), caller)?;
            found.ok_or(Error::Endpoint { endpoint: name, fault: "is missing" })
        };
        let mut ignored = Vec::new();
        // An endpoint that sign-in does without must not stop it, unless the operator wrote it.
        let mut look = |document: &Map<String, Value>, name, given: &Option<Url>, caller| match self
            .endpoint(document, name, given.as_ref(), caller)
        {
            Err(error) if given.is_none() => {
                ignored.push(error);
                Ok(None)
            }
            found => found,
        };
        let aliases = mtls_aliases(document);
        let mut alias = |name, given: &Option<Url>| match given {
            // The operator wrote where requests go.
            Some(_) => Ok(None),
            None => look(&aliases, name, &None, Caller::Gateway),
        };
        let mtls = MtlsEndpoints {
            token: alias("mtls_endpoint_aliases.token_endpoint", &known.token)?,
            userinfo: alias("mtls_endpoint_aliases.userinfo_endpoint", &known.userinfo)?,
            revocation: alias("mtls_endpoint_aliases.revocation_endpoint", &known.revocation)?,
        };
        let mut find = |name, given: &Option<Url>, caller| look(document, name, given, caller);
        Ok(Metadata {
            authorization: need("authorization_endpoint", &known.authorization, Caller::Browser)?,
            token: need("token_endpoint", &known.token, Caller::Gateway)?,
            jwks: Some(need("jwks_uri", &known.jwks, Caller::Gateway)?),
            userinfo: find("userinfo_endpoint", &known.userinfo, Caller::Gateway)?,
            end_session: find("end_session_endpoint", &known.end_session, Caller::Browser)?,
            revocation: find("revocation_endpoint", &known.revocation, Caller::Gateway)?,
            token_auth_methods: texts(document, "token_endpoint_auth_methods_supported"),
            revocation_auth_methods: texts(document, "revocation_endpoint_auth_methods_supported"),
            token_auth_algorithms: texts(
                document,
                "token_endpoint_auth_signing_alg_values_supported",
            ),
            revocation_auth_algorithms: texts(
                document,
                "revocation_endpoint_auth_signing_alg_values_supported",
            ),
            mtls,
            prompt_values: texts(document, "prompt_values_supported"),
            response_has_issuer: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            ignored,
        })
    }

    /// What to write in `issuer` for this identifier, if anything: nothing that a configuration could not have.
    pub fn hint_for_issuer(&self, found: &str) -> IssuerHint {
        if found.contains(['{', '}']) {
            return IssuerHint::Template;
        }
        if Url::parse(found).is_ok_and(|url| self.is_internal(&url)) {
            return IssuerHint::Internal;
        }
        let is_plain = |url: &Url| {
            [found, &format!("{found}/")].contains(&url.as_str())
                && url.username().is_empty()
                && url.password().is_none()
                && url.port() != Some(0)
                && url.host_str().is_some_and(|host| host.starts_with('[') || is_name(host))
        };
        let read = Self { issuer: found.to_owned(), ..self.clone() };
        let is_usable = read.document().is_ok() && !found.contains("/.well-known/");
        // A longer one would be quoted in part.
        let is_short = found.chars().count() <= MAX_QUOTED;
        match is_usable && is_short && Url::parse(found).is_ok_and(|url| is_plain(&url)) {
            true => IssuerHint::Found,
            false => IssuerHint::None,
        }
    }

    /// An endpoint: the configured one as it is, or that of the document.
    fn endpoint(
        &self,
        document: &Map<String, Value>,
        endpoint: &'static str,
        given: Option<&Url>,
        caller: Caller,
    ) -> Result<Option<Url>, Error> {
        let fault = |fault| Error::Endpoint { endpoint, fault };
        let url = match (given, document.get(endpoint)) {
            (Some(url), _) if self.is_safe_configured(url) || self.is_internal(url) => url.clone(),
            (Some(_), _) => return Err(fault("must be https")),
            (None, None | Some(Value::Null)) => return Ok(None),
            (None, Some(value)) => {
                let text = value.as_str().ok_or(fault("is not a string"))?;
                if text.is_empty() {
                    return Ok(None);
                }
                let url = Url::parse(text).map_err(|_| fault("is not a URL"))?;
                if !self.is_internal(&url) && !self.is_safe_discovered(&url) {
                    return Err(fault("must be https"));
                }
                url
            }
        };
        if caller == Caller::Browser && self.is_internal(&url) {
            return Err(fault(
                "is at internal_origin, which browsers do not reach: set the public URL at the provider (Keycloak: \
                 `hostname`)",
            ));
        }
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(fault("has a fragment or a user name"));
        }
        match (given, caller) {
            (None, Caller::Gateway) => Ok(Some(self.internal(&url).unwrap_or(url))),
            (Some(_), _) | (_, Caller::Browser) => Ok(Some(url)),
        }
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

/// The members of `mtls_endpoint_aliases`, each with the name that messages use.
fn mtls_aliases(document: &Map<String, Value>) -> Map<String, Value> {
    let aliases = document.get("mtls_endpoint_aliases").and_then(Value::as_object);
    let named =
        |(name, url): (&String, &Value)| (format!("mtls_endpoint_aliases.{name}"), url.clone());
    aliases.into_iter().flatten().map(named).collect()
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
        let issuer = issuer.into();
        let matches = IssuerMatch::Exact;
        Settings { issuer, endpoints, internal_origin: None, danger_allow_http: false, matches }
    }

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn of_tenants() -> Settings {
        let matches = IssuerMatch::OfTenant("https://op.example/{tenantid}/v2.0".to_owned());
        Settings { matches, ..settings("https://op.example/common/v2.0") }
    }

    #[test]
    fn metadata_of_several_tenants_has_the_placeholder_or_one_of_them() {
        let one = format!("https://op.example/{TENANT}/v2.0");
        for issuer in ["https://op.example/{tenantid}/v2.0", &one] {
            assert!(of_tenants().read(&document(issuer)).is_ok(), "{issuer}");
            let generic = settings("https://op.example/common/v2.0").read(&document(issuer));
            assert!(matches!(generic, Err(Error::OtherIssuer { .. })), "{issuer}");
        }
        for issuer in [
            "https://op.example/common/v2.0",
            "https://op.example/v2.0",
            "https://other.example/{tenantid}/v2.0",
            "https://op.example/{tenantid}/v2.0/",
            "https://op.example/a/{tenantid}/v2.0",
        ] {
            let read = of_tenants().read(&document(issuer));
            assert!(matches!(read, Err(Error::OtherIssuer { .. })), "{issuer}");
        }
    }

    #[test]
    fn token_of_several_tenants_must_have_the_issuer_of_its_own() {
        let check = |tid: Value, expected: &str| {
            let claims = json!({ "tid": tid, "iss": "https://evil.example" });
            let issuer = of_tenants().issuer_of_token(claims.as_object().unwrap()).into_owned();
            assert_eq!(issuer, expected);
        };
        check(json!(TENANT), &format!("https://op.example/{TENANT}/v2.0"));
        for tid in
            [json!(null), json!(7), json!(""), json!("{tenantid}"), json!("../evil"), json!("a.b")]
        {
            check(tid, "https://op.example/common/v2.0");
        }
        let claims = json!({ "tid": TENANT });
        let exact = settings("https://op.example");
        assert_eq!(exact.issuer_of_token(claims.as_object().unwrap()), "https://op.example");
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
        assert_eq!((read.prompt_values, read.ignored), (None, Vec::new()));
    }

    #[test]
    fn hint_quotes_only_an_issuer_that_a_configuration_can_have() {
        let message = |found: &str| {
            let read = settings("https://op.example/common").read(&document(found));
            read.unwrap_err().to_string()
        };
        let hint = "set `issuer: \"https://op.example/a/\"`";
        assert!(message("https://op.example/a/").contains(hint));
        assert!(message("https://op.example").contains("set `issuer: \"https://op.example\"`"));
        let template = message("https://op.example/{tenantid}/v2.0");
        assert!(template.contains("replace the placeholder"), "{template}");
        let (long_label, long_path) = (
            format!("https://{}.example", "a".repeat(64)),
            format!("https://a/{}", "a".repeat(200)),
        );
        for other in [
            "",
            "http://op.example",
            "https://op.example?x",
            "https://op.example#x",
            "https://a b",
            "op",
            "HTTPS://op.example",
            "https://user@op.example/",
            "https://op.example:0/",
            "https://op.example/.well-known/openid-configuration",
            &long_label,
            &long_path,
        ] {
            assert!(!message(other).contains("set `issuer"), "{other}");
        }
    }

    #[test]
    fn select_account_is_login_where_the_provider_does_not_have_it() {
        let prompt = |values: Value, wanted: &str| {
            let mut document = document("https://op.example");
            document.insert("prompt_values_supported".into(), values);
            settings("https://op.example").read(&document).unwrap().prompt(wanted).to_owned()
        };
        let without = json!(["none", "login", "consent"]);
        assert_eq!(prompt(without.clone(), "select_account"), "login");
        assert_eq!(prompt(without, "login"), "login");
        for unknown in [json!(null), json!("login"), json!(["select_account"]), json!([null])] {
            assert_eq!(prompt(unknown, "select_account"), "select_account");
        }
    }

    #[test]
    fn mtls_aliases_are_read_unless_the_endpoint_is_configured() {
        let mut document = document("https://op.example");
        document.insert(
            "mtls_endpoint_aliases".into(),
            json!({"token_endpoint": "https://mtls.example/t", "userinfo_endpoint": "http://x/u",
                   "revocation_endpoint": "https://mtls.example/r"}),
        );
        let url = |text: &str| Some(Url::parse(text).unwrap());
        let read = settings("https://op.example").read(&document).unwrap();
        let (token, revocation) = (url("https://mtls.example/t"), url("https://mtls.example/r"));
        assert_eq!(read.mtls, MtlsEndpoints { token, userinfo: None, revocation });
        let ignored = read.ignored[0].to_string();
        assert!(ignored.contains("mtls_endpoint_aliases.userinfo_endpoint"), "{ignored}");
        let mut settings = settings("https://op.example");
        settings.endpoints.token = url("https://op.example/own");
        let read = settings.read(&document).unwrap();
        assert_eq!((read.mtls.token, read.token), (None, url("https://op.example/own").unwrap()));
    }

    /// Sign-in does without these.
    #[test]
    fn unusable_optional_endpoint_is_ignored() {
        for name in ["userinfo_endpoint", "end_session_endpoint", "revocation_endpoint"] {
            for unusable in [json!("http://op.example/x"), json!(["x"]), json!("/x"), json!(7)] {
                let mut document = document("https://op.example");
                document.insert(name.into(), unusable);
                let read = settings("https://op.example").read(&document).unwrap();
                assert_eq!(
                    (&read.userinfo, &read.end_session, &read.revocation),
                    (&None, &None, &None)
                );
                let [Error::Endpoint { endpoint, .. }] = &*read.ignored else { panic!("{read:?}") };
                assert_eq!(*endpoint, name);
            }
        }
        let mut settings = settings("https://op.example");
        settings.endpoints.userinfo = Some(Url::parse("http://op.example/u").unwrap());
        assert!(settings.read(&document("https://op.example")).is_err(), "it is configured");
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

    /// A document of `https://op.example/realms/a`, read with `internal_origin: http://keycloak:8080`.
    fn read_internally(changes: Value) -> Result<Metadata, Error> {
        let issuer = "https://op.example/realms/a";
        let mut document = document(issuer);
        document.extend(changes.as_object().unwrap().clone());
        internal(issuer).read(&document)
    }

    fn internal(issuer: &str) -> Settings {
        let internal_origin = Some(Origin::parse("http://keycloak:8080").unwrap());
        Settings { internal_origin, ..settings(issuer) }
    }

    #[test]
    fn own_requests_go_to_the_internal_origin_and_those_of_browsers_to_the_public_one() {
        let at = |url: &Url| url.as_str().to_owned();
        let read = read_internally(json!({
            "userinfo_endpoint": "https://op.example//evil.example/u?a=b",
            "end_session_endpoint": "https://op.example/realms/a/logout",
            "revocation_endpoint": "https://third.example/revoke",
        }));
        let read = read.unwrap();
        assert_eq!(at(&read.authorization), "https://op.example/realms/a/auth");
        assert_eq!(
            read.end_session.as_ref().map(at).unwrap(),
            "https://op.example/realms/a/logout"
        );
        assert_eq!(at(&read.token), "http://keycloak:8080/realms/a/token");
        assert_eq!(at(read.jwks.as_ref().unwrap()), "http://keycloak:8080/realms/a/jwks");
        let userinfo = read.userinfo.as_ref().map(at).unwrap();
        assert_eq!(userinfo, "http://keycloak:8080//evil.example/u?a=b");
        assert_eq!(read.revocation.as_ref().map(at).unwrap(), "https://third.example/revoke");
        let document = internal("https://op.example/realms/a").document().unwrap();
        let expected = "http://keycloak:8080/realms/a/.well-known/openid-configuration";
        assert_eq!(document.as_str(), expected);
        let dynamic = json!({"token_endpoint": "http://keycloak:8080/t"});
        assert_eq!(at(&read_internally(dynamic).unwrap().token), "http://keycloak:8080/t");
        // Configured endpoints are taken as they are.
        let mut settings = internal("https://op.example");
        settings.endpoints.token = Some(Url::parse("https://op.example/t").unwrap());
        settings.endpoints.jwks = Some(Url::parse("http://keycloak:8080/j").unwrap());
        let read = settings.read(&self::document("https://op.example")).unwrap();
        assert_eq!(
            (&*at(&read.token), &*at(read.jwks.as_ref().unwrap())),
            ("https://op.example/t", "http://keycloak:8080/j")
        );
    }

    #[test]
    fn endpoint_of_browsers_at_the_internal_origin_is_rejected() {
        let message = |changes| read_internally(changes).unwrap_err().to_string();
        let internal = json!("http://keycloak:8080/realms/a/auth");
        assert!(
            message(json!({"authorization_endpoint": internal})).contains("browsers do not reach")
        );
        let read = read_internally(json!({"end_session_endpoint": internal})).unwrap();
        assert!(read.end_session.is_none() && read.ignored.len() == 1);
        // SECURITY: only that origin may be plain HTTP, and the issuer must be the public one.
        assert!(
            message(json!({"token_endpoint": "http://keycloak:9090/t"})).contains("must be https")
        );
        let other = message(json!({"issuer": "http://keycloak:8080/realms/a"}));
        assert!(other.contains("the address that it was asked at"), "{other}");
    }

    #[test]
    fn configured_endpoint_replaces_discovered_one_or_discovery() {
        let url =
            |path: &str| Some(Url::parse("https://hand.example").unwrap().join(path).unwrap());
        let mut settings = settings("https://op.example");
        settings.endpoints.token = url("/t");
        assert_eq!(settings.configured(), Ok(None));
        let read = settings.read(&document("https://op.example")).unwrap();
        assert_eq!((Some(read.token), read.jwks.unwrap().path()), (url("/t"), "/jwks"));
        (settings.endpoints.authorization, settings.endpoints.jwks) = (url("/a"), url("/j"));
        assert_eq!(settings.configured().unwrap().map(|known| known.jwks), Some(url("/j")));
    }
}
