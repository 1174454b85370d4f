//! Each method in each request that authenticates the client, as the provider receives it.

use std::collections::HashMap;
use std::io::Write as _;

use serde_json::json;

use super::*;
use crate::client_address::ClientAddress;
use crate::clock::Clock;
use crate::jose::{Algorithm, KeySet, sign_hs256, verify};
use crate::oauth::client_assertion::Audience;
use crate::oauth::http::{Http, HttpSettings};
use crate::oauth::loopback::{Loopback, Reply, Seen};
use crate::oauth::{Client, ClientLimits, ExchangePermit};

const ISSUER: &str = "https://op.example/realm";

fn offered(methods: &[&str]) -> Vec<String> {
    methods.iter().map(|&method| method.to_owned()).collect()
}

#[track_caller]
fn check(methods: &AuthMethods, offers: Option<&[&str]>, expected: Result<&str, Error>) {
    let offers = offers.map(offered);
    let chosen = methods.choose(offers.as_deref()).map(ClientAuth::name);
    assert_eq!(chosen, expected, "{offers:?}");
}

#[test]
fn basic_is_preferred_among_the_methods_of_a_secret() {
    let secret = Secret::new("s");
    let methods = AuthMethods::Preferred(vec![
        ClientAuth::ClientSecretBasic(secret.clone()),
        ClientAuth::ClientSecretPost(secret.clone()),
        ClientAuth::ClientSecretJwt(secret),
    ]);
    check(&methods, None, Ok("client_secret_basic"));
    let both = ["client_secret_post", "client_secret_basic"];
    check(&methods, Some(&both), Ok("client_secret_basic"));
    let post = ["private_key_jwt", "client_secret_post"];
    check(&methods, Some(&post), Ok("client_secret_post"));
    check(&methods, Some(&["client_secret_jwt"]), Ok("client_secret_jwt"));
    check(&methods, Some(&["private_key_jwt"]), Err(Error::NoCommonAuthMethod));
    check(&methods, Some(&[]), Err(Error::NoCommonAuthMethod));
}

#[test]
fn configured_method_is_used_whatever_the_provider_offers() {
    let post = AuthMethods::Only(ClientAuth::ClientSecretPost(Secret::new("s")));
    check(&post, None, Ok("client_secret_post"));
    check(&post, Some(&["client_secret_basic"]), Ok("client_secret_post"));
    check(&AuthMethods::Only(ClientAuth::None), Some(&[]), Ok("none"));
}

#[test]
fn basic_encodes_id_and_secret_before_joining_them() {
    let value = basic("a:b", &Secret::new("p w%é")).unwrap();
    let expected = format!("Basic {}", STANDARD.encode("a%3Ab:p+w%25%C3%A9"));
    assert_eq!(value.to_str().unwrap(), expected);
    assert!(value.is_sensitive());
}

/// The requests for a code, a refresh and a revocation, by this method. The second refresh repeats the first one.
async fn requests(method: &ClientAuth, profile: AssertionProfile) -> Vec<Seen> {
    let tokens = json!({"access_token": "a", "token_type": "Bearer"});
    let refreshes = std::sync::atomic::AtomicU32::new(0);
    let provider = Loopback::start(move |_, seen| {
        let is_refresh = seen.form.contains_key("refresh_token");
        match is_refresh && refreshes.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            true => Reply::Drop,
            false => Reply::json(200, &tokens),
        }
    })
    .await;
    let timeout = std::time::Duration::from_secs(5);
    let http = HttpSettings { timeout, ca: None, proxy: None, certificate: None };
    let credentials = Credentials {
        id: "us".into(),
        methods: AuthMethods::Only(method.clone()),
        assertions: profile,
    };
    let (clock, http) = (Clock::system(), Arc::new(Http::new(http).unwrap()));
    let limits = Arc::new(ClientLimits::new(&clock));
    let client = Client::new(credentials, Arc::clone(&http), limits, clock);
    let (url, token) = (provider.url("/x"), Url::parse("https://op.example/token").unwrap());
    let algorithms = offered(&["RS256", "PS256", "ES256", "HS256"]);
    let endpoint =
        AuthenticatedEndpoint { url: &url, token: &token, method, algorithms: Some(&algorithms) };
    let secret = Secret::new("r");
    let permit = client.exchange_permit(ClientAddress::Unknown).await.unwrap();
    let ExchangePermit { slot, attempt } = permit;
    let code = client.exchange_code(&slot, attempt, endpoint, &secret, "https://a", Some(&secret));
    code.await.unwrap();
    client.refresh(&slot, endpoint, &secret, http.deadline()).await.unwrap();
    client.revoke(endpoint, &secret).await.unwrap();
    let seen = provider.seen("/x");
    assert_eq!(seen.len(), 4, "a code, a refresh twice, and a revocation");
    seen
}

/// Checks what authenticates each request: the header, and the parameters beyond those of the grant.
async fn check_requests(method: ClientAuth, check: impl Fn(Option<&str>, HashMap<&str, &str>)) {
    for seen in requests(&method, AssertionProfile::of(Audience::Issuer(ISSUER.into()))).await {
        let header = seen.headers.get("authorization").map(|value| value.to_str().unwrap());
        let own = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
        let form = seen.form.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        check(header, form.filter(|(name, _)| own.contains(name)).collect());
    }
}

#[tokio::test]
async fn every_request_has_the_secret_as_its_method_says() {
    let secret = Secret::new("s3cr:t");
    let basic = ClientAuth::ClientSecretBasic(secret.clone());
    check_requests(basic, |header, form| {
        assert_eq!((header, form.len()), (Some("Basic dXM6czNjciUzQXQ="), 0));
    })
    .await;
    check_requests(ClientAuth::ClientSecretPost(secret), |header, form| {
        let expected = [("client_id", "us"), ("client_secret", "s3cr:t")];
        assert_eq!((header, form), (None, expected.into()));
    })
    .await;
    check_requests(ClientAuth::None, |header, form| {
        assert_eq!((header, form), (None, [("client_id", "us")].into()));
    })
    .await;
}

/// The claims of an assertion, whose form, lifetime and client are right.
#[track_caller]
fn claims_of(form: &HashMap<&str, &str>, keys: &KeySet) -> Value {
    assert_eq!(form["client_id"], "us");
    assert_eq!(form["client_assertion_type"], client_assertion::TYPE);
    assert!(!form.contains_key("client_secret"));
    let verified = verify(form["client_assertion"], keys, &Algorithm::ALL).unwrap();
    let claims = Value::from(verified.claims);
    let at = |name: &str| claims[name].as_i64().unwrap();
    assert!(at("iat") == at("nbf") && at("exp") - at("iat") == 120, "{claims}");
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("us"), &json!("us")));
    claims
}

fn set_of(key: &SigningKey) -> KeySet {
    KeySet::parse(json!({"keys": [key.jwk_of_any_algorithm()]}).to_string().as_bytes()).unwrap()
}

fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
    serde_json::from_slice(&header).unwrap()
}

#[tokio::test]
async fn every_request_has_an_assertion_of_its_own() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let key = Arc::new(SigningKey::generate(algorithm).unwrap());
        let keys = set_of(&key);
        let method = ClientAuth::PrivateKeyJwt { key: Arc::clone(&key), certificate: None };
        let used = std::cell::RefCell::new(std::collections::HashSet::new());
        check_requests(method, |header, form| {
            assert_eq!(header, None);
            let claims = claims_of(&form, &keys);
            assert_eq!(claims["aud"], ISSUER);
            let header = json!({"alg": algorithm.name(), "typ": "JWT", "kid": key.kid()});
            assert_eq!(header_of(form["client_assertion"]), header);
            assert!(used.borrow_mut().insert(claims["jti"].clone()), "a jti was used twice");
        })
        .await;
    }
}

#[tokio::test]
async fn profile_of_entra_has_ps256_the_certificate_and_the_token_endpoint() {
    let key = Arc::new(SigningKey::generate(Algorithm::RS256).unwrap());
    let keys = set_of(&key);
    let certificate = Some(Thumbprint::of(b"abc"));
    let method = ClientAuth::PrivateKeyJwt { key, certificate };
    for seen in requests(&method, AssertionProfile::ps256(Audience::TokenEndpoint)).await {
        let form = seen.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(claims_of(&form, &keys)["aud"], "https://op.example/token");
        let x5t = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": x5t});
        assert_eq!(header_of(form["client_assertion"]), header);
    }
}

#[tokio::test]
async fn assertion_with_a_secret_has_its_hmac() {
    let secret = "0123456789abcdef0123456789abcdef";
    check_requests(ClientAuth::ClientSecretJwt(Secret::new(secret)), |header, form| {
        let token = form["client_assertion"];
        let payload = token.split('.').nth(1).unwrap();
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((header, &claims["aud"], &claims["sub"]), (None, &json!(ISSUER), &json!("us")));
        let header = json!({"alg": "HS256", "typ": "JWT"});
        assert_eq!(token, sign_hs256(secret.as_bytes(), &header, &payload));
    })
    .await;
}

#[tokio::test]
async fn secret_of_apple_is_signed_by_the_team() {
    let (method, keys) = of_apple();
    check_requests(method, |header, form| {
        assert_eq!((header, form.len(), form["client_id"]), (None, 2, "us"));
        let token = form["client_secret"];
        assert_eq!(header_of(token), json!({"alg": "ES256", "kid": "ABC"}));
        // The ID of the key at Apple is another one than that in `keys`.
        assert!(verify(token, &keys, &[Algorithm::ES256]).is_err());
        let claims = payload_of(token);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("TEAM"), &json!("us")));
        assert_eq!((&claims["aud"], &claims["jti"]), (&json!(ISSUER), &Value::Null));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    })
    .await;
}

#[tokio::test]
async fn secret_of_apple_is_renewed_before_it_expires_and_not_for_each_request() {
    let url = Url::parse("https://op.example/token").unwrap();
    let (method, _) = of_apple();
    let credentials = Credentials {
        id: "us".into(),
        methods: AuthMethods::Only(method.clone()),
        assertions: AssertionProfile::of(Audience::Issuer(ISSUER.into())),
    };
    let endpoint =
        AuthenticatedEndpoint { url: &url, token: &url, method: &method, algorithms: None };
    let at = async |now: i64| {
        let auth = credentials.authenticate(&endpoint, UnixTime(now)).await.unwrap();
        auth.parameters[1].1.expose().to_owned()
    };
    let first = at(1_000).await;
    assert_eq!(at(1_000).await, first);
    assert_eq!(at(1_239).await, first);
    let second = at(1_240).await;
    assert_eq!(payload_of(&second)["exp"], 1_540);
    // The clock was set back: a secret from the future could be rejected.
    assert_eq!(payload_of(&at(1_239).await)["iat"], 1_239);
}

fn of_apple() -> (ClientAuth, KeySet) {
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let key = SigningKey::from_pem(Algorithm::ES256, &pem).unwrap();
    (ClientAuth::apple_jwt(&pem, "ABC", "TEAM").unwrap(), set_of(&key))
}

fn payload_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test]
async fn assertion_file_is_read_for_every_request() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"e30.e30.first\n").unwrap();
    let method = ClientAuth::ClientAssertionFile(file.path().to_owned());
    check_requests(method.clone(), |_, form| {
        assert_eq!(form["client_assertion"], "e30.e30.first");
    })
    .await;
    std::fs::write(file.path(), "e30.e30.second").unwrap();
    check_requests(method, |header, form| {
        assert_eq!((header, form["client_id"]), (None, "us"));
        assert_eq!(form["client_assertion"], "e30.e30.second");
        assert!(!form.contains_key("client_secret"));
    })
    .await;
}

#[tokio::test]
async fn unusable_assertion_file_is_a_temporary_failure_that_names_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (content, expected) in
        [("", "is empty"), ("no.jwt", "contains no JWT"), ("a.b.c\nd", "JWT")]
    {
        std::fs::write(file.path(), content).unwrap();
        let error = client_assertion::read(file.path()).await.unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains("no.jwt"), "{error}");
    }
    for path in ["/none/x", "/dev/zero", "/"] {
        let error = client_assertion::read(path.as_ref()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("client_assertion_file {path} cannot be read")), "{error}");
    }
}

#[test]
fn no_debug_output_has_a_secret() {
    let key = Arc::new(SigningKey::generate(Algorithm::ES256).unwrap());
    let certificate = ClientCertificate { chain: String::new(), key: Secret::new("s3cr3t") };
    for method in [
        ClientAuth::ClientSecretJwt(Secret::new("s3cr3t")),
        ClientAuth::TlsClientAuth(certificate),
        ClientAuth::PrivateKeyJwt { key, certificate: None },
    ] {
        assert!(!format!("{method:?}").contains("s3cr3t"), "{method:?}");
    }
}
