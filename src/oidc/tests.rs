//! An issuer with a provider on loopback: discovery, keys, key rotation.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::clock::UnixTime;
use crate::jose::{self, Algorithm, SigningKey};
use crate::oauth::http::HttpSettings;
use crate::oauth::loopback::{Loopback, Reply, Seen};
use claimed::ClaimedHeader;
use id_token::Occasion;

struct Scene {
    clock: Clock,
    provider: Loopback,
    issuer: Arc<Issuer>,
    keys: Arc<Mutex<Vec<Value>>>,
    down: Arc<AtomicBool>,
}

async fn scene() -> Scene {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let down = Arc::new(AtomicBool::new(false));
    let (served, broken) = (Arc::clone(&keys), Arc::clone(&down));
    let provider = Loopback::start(move |base, seen| match broken.load(Ordering::Relaxed) {
        true => Reply::json(503, &json!({})),
        false => response(base, seen, &served),
    })
    .await;
    let clock = Clock::manual();
    let timeout = Duration::from_secs(5);
    let http = Arc::new(
        Http::new(HttpSettings { timeout, ca: None, proxy: None, certificate: None }).unwrap(),
    );
    let settings = Settings {
        issuer: provider.issuer(),
        endpoints: discovery::ProviderEndpoints::default(),
        internal_origin: None,
        danger_allow_http: false,
        matches: discovery::IssuerMatch::Exact,
    };
    let issuer = Arc::new(Issuer::new(settings, http, clock.clone()).unwrap());
    Scene { clock, provider, issuer, keys, down }
}

fn response(base: &Url, seen: &Seen, keys: &Mutex<Vec<Value>>) -> Reply {
    let at = |path: &str| base.join(path).unwrap();
    match seen.path.as_str() {
        DOCUMENT => Reply::json(
            200,
            &json!({"issuer": base.as_str().trim_end_matches('/'), "jwks_uri": at("jwks"),
                    "authorization_endpoint": at("auth"), "token_endpoint": at("token")}),
        ),
        "/jwks" => Reply::json(200, &json!({"keys": *keys.lock().unwrap()})),
        _ => Reply::json(404, &json!({})),
    }
}

const DOCUMENT: &str = "/.well-known/openid-configuration";

impl Scene {
    fn publish(&self, keys: &[&SigningKey]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.public_jwk()).collect();
    }

    async fn verify(&self, key: &SigningKey) -> Result<VerifiedIdToken, Error> {
        let UnixTime(now) = self.clock.unix();
        let claims = json!({"iss": self.provider.issuer(), "sub": "alice", "aud": "us",
                            "nonce": "n", "iat": now, "exp": now + 60});
        let token = Secret::new(key.sign("JWT", claims.as_object().unwrap()).unwrap());
        let (access_token, occasion) = (
            Secret::new("a"),
            Occasion::SignIn { nonce: "n", nonce_may_be_absent: false, max_age: None },
        );
        let expected = Expected { client_id: "us", access_token: &access_token, occasion };
        self.issuer.verify(&token, &expected).await
    }

    fn requests(&self, path: &str) -> usize {
        self.provider.seen(path).len()
    }
}

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap().with_kid(kid)
}

#[tokio::test]
async fn waiters_share_one_discovery() {
    let scene = scene().await;
    let (a, b) = tokio::join!(scene.issuer.metadata(), scene.issuer.metadata());
    assert_eq!(a.unwrap(), b.unwrap());
    scene.issuer.metadata().await.unwrap();
    assert_eq!(scene.requests(DOCUMENT), 1);
}

#[tokio::test]
async fn sign_ins_start_at_most_one_discovery_a_second() {
    let scene = scene().await;
    scene.down.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(scene.issuer.metadata().await.unwrap_err().is_temporary());
    }
    assert_eq!(scene.requests(DOCUMENT), 2, "one discovery, repeated once");
    scene.down.store(false, Ordering::Relaxed);
    scene.clock.advance(Duration::from_secs(1));
    assert!(scene.issuer.metadata().await.is_ok());
}

#[tokio::test]
async fn metadata_is_used_during_an_outage_of_a_day() {
    let scene = scene().await;
    scene.issuer.metadata().await.unwrap();
    scene.down.store(true, Ordering::Relaxed);
    scene.clock.advance(Duration::from_secs(23 * 3600));
    assert!(scene.issuer.metadata().await.is_ok());
    scene.clock.advance(Duration::from_secs(2 * 3600));
    assert!(scene.issuer.metadata().await.is_err());
}

#[tokio::test]
async fn token_with_unknown_key_fetches_keys() {
    let (scene, old, new) = (scene().await, key("old"), key("new"));
    scene.publish(&[&old]);
    assert_eq!(scene.verify(&old).await.unwrap().subject(), "alice");
    scene.publish(&[&old, &new]);
    let (a, b) = tokio::join!(scene.verify(&new), scene.verify(&new));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(scene.requests("/jwks"), 2, "one for the old key, one for the new");
}

#[tokio::test]
async fn tokens_with_unknown_keys_cause_few_fetches() {
    let (scene, good, forged) = (scene().await, key("good"), key("forged"));
    scene.publish(&[&good]);
    for _ in 0..20 {
        let error = scene.verify(&forged).await.unwrap_err();
        let rejection = jose::Error::UnknownKey;
        assert!(matches!(error, Error::Signature { error, .. } if error == rejection), "{error}");
    }
    assert_eq!(scene.requests("/jwks"), 3, "the first set, and a burst of two");
    assert!(scene.verify(&good).await.is_ok());
    scene.clock.advance(Duration::from_secs(10));
    assert!(scene.verify(&forged).await.is_err());
    assert_eq!(scene.requests("/jwks"), 4);
}

#[tokio::test]
async fn key_replaced_under_same_kid_is_fetched() {
    let (scene, wrong, right) = (scene().await, key("1"), key("1"));
    scene.publish(&[&wrong]);
    let rejection = scene.verify(&right).await.unwrap_err();
    let header = ClaimedHeader { alg: Some("ES256".to_owned()), kid: Some("1".to_owned()) };
    assert_eq!(rejection, Error::Signature { error: jose::Error::Signature, header });
    scene.publish(&[&right]);
    assert!(scene.verify(&right).await.is_ok());
    scene.down.store(true, Ordering::Relaxed);
    scene.clock.advance(Duration::from_secs(10));
    // A failed fetch of newer keys does not hide a wrong signature.
    assert_eq!(scene.verify(&wrong).await.unwrap_err(), rejection);
}

#[tokio::test]
async fn empty_or_failed_key_set_does_not_replace_a_valid_one() {
    let (scene, good, other) = (scene().await, key("good"), key("other"));
    scene.publish(&[]);
    assert_eq!(scene.verify(&good).await.unwrap_err(), Error::NoKeys);
    scene.clock.advance(Duration::from_secs(1));
    scene.publish(&[&good]);
    scene.verify(&good).await.unwrap();
    scene.publish(&[]);
    assert_eq!(scene.verify(&other).await.unwrap_err(), Error::NoKeys);
    scene.down.store(true, Ordering::Relaxed);
    assert!(scene.verify(&other).await.unwrap_err().is_temporary());
    assert!(scene.verify(&good).await.is_ok());
}

#[tokio::test]
async fn redirect_of_discovery_is_not_followed() {
    let provider = Loopback::start(|base, seen| match seen.path.as_str() {
        DOCUMENT => Reply::Redirect(302, format!("{base}elsewhere")),
        _ => response(base, seen, &Mutex::default()),
    })
    .await;
    let timeout = Duration::from_secs(5);
    let http = Arc::new(
        Http::new(HttpSettings { timeout, ca: None, proxy: None, certificate: None }).unwrap(),
    );
    let endpoints = discovery::ProviderEndpoints::default();
    let settings = Settings {
        issuer: provider.issuer(),
        endpoints,
        internal_origin: None,
        danger_allow_http: false,
        matches: discovery::IssuerMatch::Exact,
    };
    let issuer = Issuer::new(settings, http, Clock::system()).unwrap();
    assert!(matches!(
        issuer.metadata().await,
        Err(Error::NoDocument { status, .. }) if status.as_u16() == 302
    ));
    assert!(provider.seen("/elsewhere").is_empty());
}

#[tokio::test]
async fn background_task_finds_provider_that_starts_later() {
    let (scene, key) = (scene().await, key("k"));
    scene.publish(&[&key]);
    let task = tokio::spawn(Arc::clone(&scene.issuer).keep_fresh("company".into()));
    let fetched = async {
        while scene.requests("/jwks") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), fetched)
        .await
        .expect("the task fetches the keys");
    scene.verify(&key).await.unwrap();
    assert_eq!((scene.requests(DOCUMENT), scene.requests("/jwks")), (1, 1));
    task.abort();
}

#[tokio::test]
async fn error_of_wrong_issuer_has_hint() {
    let provider = Loopback::start(|base, seen| match seen.path.as_str() {
        "/slash/.well-known/openid-configuration" => {
            Reply::json(200, &json!({"issuer": base.join("slash").unwrap()}))
        }
        _ => Reply::json(404, &json!({})),
    })
    .await;
    let http =
        HttpSettings { timeout: Duration::from_secs(5), ca: None, proxy: None, certificate: None };
    let http = Arc::new(Http::new(http).unwrap());
    let check = async |issuer: String, hint: &str| {
        let endpoints = discovery::ProviderEndpoints::default();
        let matches = discovery::IssuerMatch::Exact;
        let settings = Settings {
            issuer,
            endpoints,
            internal_origin: None,
            danger_allow_http: false,
            matches,
        };
        let issuer = Issuer::new(settings, Arc::clone(&http), Clock::system()).unwrap();
        let error = issuer.metadata().await.unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
        assert!(issuer.fault().is_some_and(|fault| fault.to_string() == error));
    };
    let at = provider.issuer();
    check(format!("{at}/slash/"), &format!("set `issuer: \"{at}/slash\"`")).await;
    let missing = format!("404 at {at}/a/.well-known/openid-configuration: `issuer` must be");
    check(format!("{at}/a"), &missing).await;
    let tls = at.replace("http://", "https://");
    check(tls.clone(), "the server may use http:// on this port").await;
    check(tls.clone(), &format!("{}: ", tls.trim_start_matches("https://"))).await;
}

#[test]
fn pauses_double_up_to_a_minute() {
    let pauses: Vec<u64> = (1..=9).map(|failures| back_off(failures).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(jittered(Duration::from_secs(4)) >= Duration::from_secs(4));
    assert!(jittered(Duration::from_secs(4)) < Duration::from_secs(5));
}
