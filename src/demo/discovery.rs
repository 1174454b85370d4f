//! Metadata (OpenID Connect Discovery §3) and keys (RFC 7517 §5) of the provider.

use serde_json::{Map, Value, json};

use crate::demo::endpoint::DemoEndpoint;
use crate::demo::identity_provider::DemoProvider;
use crate::demo::json_response::JsonResponse;

impl DemoProvider {
    pub(super) fn discovery(&self) -> JsonResponse {
        JsonResponse::ok(self.metadata())
    }

    pub(super) fn jwks(&self) -> JsonResponse {
        let keys = self.state().keys.published();
        JsonResponse::ok(Map::from_iter([("keys".to_owned(), Value::Array(keys))]))
    }

    /// OpenID Connect Discovery §3.
    fn metadata(&self) -> Map<String, Value> {
        let at = |endpoint: DemoEndpoint| json!(format!("{}{}", self.issuer, endpoint.path()));
        let main = self.settings.algorithm.name();
        let others = ["ES256", "EdDSA"].into_iter().filter(|other| *other != main);
        let algorithms: Vec<_> = std::iter::once(main).chain(others).collect();
        let members = [
            ("issuer", json!(self.issuer)),
            ("authorization_endpoint", at(DemoEndpoint::Authorization)),
            ("token_endpoint", at(DemoEndpoint::Token)),
            ("userinfo_endpoint", at(DemoEndpoint::Userinfo)),
            ("jwks_uri", at(DemoEndpoint::Jwks)),
            ("revocation_endpoint", at(DemoEndpoint::Revocation)),
            ("end_session_endpoint", at(DemoEndpoint::EndSession)),
            ("scopes_supported", json!(["openid", "email", "profile", "offline_access"])),
            ("response_types_supported", json!(["code"])),
            ("response_modes_supported", json!(["query"])),
            ("grant_types_supported", json!(["authorization_code", "refresh_token"])),
            ("subject_types_supported", json!(["public"])),
            ("id_token_signing_alg_values_supported", json!(algorithms)),
            ("token_endpoint_auth_methods_supported", json!(AUTHENTICATION)),
            ("code_challenge_methods_supported", json!(["S256"])),
            ("authorization_response_iss_parameter_supported", json!(true)),
            ("prompt_values_supported", json!(["none", "login", "select_account"])),
            ("claims_supported", json!(CLAIMS)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

const AUTHENTICATION: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
const CLAIMS: [&str; 8] =
    ["sub", "name", "preferred_username", "email", "email_verified", "groups", "sid", "auth_time"];
