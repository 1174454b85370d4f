//! The one client that is registered at every engine, and how it authenticates.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use portcullis::jose::{self, Algorithm, KeySet, SigningKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::data::{Authentication, Token};
use super::engine::Received;

pub(crate) const CLIENT_ID: &str = "wiki.example";
/// Has characters that RFC 6749 §2.3.1 encodes.
pub(crate) const CLIENT_SECRET: &str = "50% of a+b: c/d";

/// The client's own key, as PEM and as JWK.
static KEY: LazyLock<(String, Value)> = LazyLock::new(|| {
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let jwk = SigningKey::from_pem(Algorithm::ES256, &pem).unwrap().with_kid("KEY0123456");
    (pem, jwk.public_jwk())
});

/// The client's private key as PEM, with the ID `KEY0123456`.
pub(crate) fn client_key() -> &'static str {
    &KEY.0
}

/// The key of a service account, as PEM and as JWK.
static SERVICE_ACCOUNT: LazyLock<(String, Value)> = LazyLock::new(|| {
    let pem = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem();
    let jwk = SigningKey::from_pem(Algorithm::RS256, &pem).unwrap().with_kid("1234abcd");
    (pem, jwk.public_jwk())
});

/// A file with the key of a service account, as Google's console writes it.
pub(crate) fn service_account_file(origin: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1234abcd",
        "private_key": SERVICE_ACCOUNT.0,
        "client_email": "gateway@project.iam.gserviceaccount.com",
        "client_id": "100000000000000000001",
        "auth_uri": format!("{origin}/o/oauth2/auth"),
        "token_uri": format!("{origin}/token"),
        "universe_domain": "googleapis.com",
    })
    .to_string()
}

/// The scope that an assertion of a service account asks for, with an administrator as its subject or without
/// (Google, "Using OAuth 2.0 for server to server applications").
pub(super) fn scope_of_service_account(jwt: &str, account: &str, audience: &str) -> Option<String> {
    let keys =
        KeySet::parse(json!({ "keys": [SERVICE_ACCOUNT.1] }).to_string().as_bytes()).unwrap();
    let claims = jose::verify(jwt, &keys, &[Algorithm::RS256]).ok()?.claims;
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let is = |name: &str, value: &str| claims.get(name).is_some_and(|claim| claim == value);
    let lifetime = time("exp")? - time("iat")?;
    let is_good = is("iss", account) && is("aud", audience) && (1..=3600).contains(&lifetime);
    claims.get("scope")?.as_str().filter(|_| is_good).map(str::to_owned)
}

/// Whether a request authenticates the client, in exactly one of the ways that the provider knows.
pub(super) fn authenticates(token: &Token, request: &Received) -> bool {
    let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let secret = request.form("client_secret");
    let way = match (basic, secret) {
        (Some(basic), None) if is_basic(basic) => Authentication::ClientSecretBasic,
        (None, Some(_)) if request.form("client_id") != Some(CLIENT_ID) => return false,
        (None, Some(CLIENT_SECRET)) => Authentication::ClientSecretPost,
        (None, Some(jwt)) if is_apple_jwt(jwt) => Authentication::AppleJwt,
        _ => return false,
    };
    token.authentication.contains(&way)
}

/// RFC 6749 §2.3.1: both are encoded as in a form before they are joined.
pub(super) fn is_basic(encoded: &str) -> bool {
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((id, secret)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) else {
        return false;
    };
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    decode(id) == CLIENT_ID && decode(secret) == CLIENT_SECRET
}

/// Apple, "Creating a client secret".
fn is_apple_jwt(jwt: &str) -> bool {
    let keys = KeySet::parse(json!({ "keys": [KEY.1] }).to_string().as_bytes()).unwrap();
    let Ok(verified) = jose::verify(jwt, &keys, &[Algorithm::ES256]) else { return false };
    let claims = &verified.claims;
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let (Some(iat), Some(exp)) = (time("iat"), time("exp")) else { return false };
    let is = |name: &str, value: &str| claims.get(name).is_some_and(|claim| claim == value);
    is("iss", "TEAM012345")
        && is("sub", CLIENT_ID)
        && is("aud", "https://appleid.apple.com")
        && exp > iat
        && exp - iat <= 15_777_000
}
