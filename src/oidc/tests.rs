//! An issuer against a provider on loopback: discovery, keys, rotation.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::clock::UnixTime;
use crate::jose::{self, Algorithm, SigningKey};
use crate::oauth::http::HttpSettings;
use crate::oauth::loopback::{Loopback, Reply, Seen};
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
        false => answer(base, seen, &served),
    })
    .await;
    let clock = Clock::manual();
    let timeout = Duration::from_secs(5);
    let http = Arc::new(Http::new(HttpSettings { timeout, ca: None, proxy: None }).unwrap());
    let settings = Settings {
        issuer: provider.issuer(),
        endpoints: discovery::ProviderEndpoints::default(),
        danger_allow_http: false,
    };
    let issuer = Arc::new(Issuer::new(settings, http, clock.clone()).unwrap());
    Scene { clock, provider, issuer, keys, down }
}

fn answer(base: &Url, seen: &Seen, keys: &Mutex<Vec<Value>>) -> Reply {
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
        let (access_token, occasion) =
            (Secret::new("a"), Occasion::SignIn { nonce: "n", max_age: None });
        let expected = Expected { client_id: "us", access_token: &access_token, occasion };
        self.issuer.verify(&token, &expected).await
    }

    fn asked(&self, path: &str) -> usize {
        self.provider.seen(path).len()
    }
}

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap().with_kid(kid)
}

#[tokio::test]
async fn those_who_wait_share_one_discovery() {
    let scene = scene().await;
    let (a, b) = tokio::join!(scene.issuer.metadata(), scene.issuer.metadata());
    assert_eq!(a.unwrap(), b.unwrap());
    scene.issuer.metadata().await.unwrap();
    assert_eq!(scene.asked(DOCUMENT), 1);
}

#[tokio::test]
async fn a_sign_in_starts_a_discovery_at_most_once_a_second() {
    let scene = scene().await;
    scene.down.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(scene.issuer.metadata().await.unwrap_err().is_temporary());
    }
    assert_eq!(scene.asked(DOCUMENT), 2, "one discovery, repeated once");
    scene.down.store(false, Ordering::Relaxed);
    scene.clock.advance(Duration::from_secs(1));
    assert!(scene.issuer.metadata().await.is_ok());
}

#[tokio::test]
async fn metadata_serves_through_an_outage_of_a_day() {
    let scene = scene().await;
    scene.issuer.metadata().await.unwrap();
    scene.down.store(true, Ordering::Relaxed);
    scene.clock.advance(Duration::from_secs(23 * 3600));
    assert!(scene.issuer.metadata().await.is_ok());
    scene.clock.advance(Duration::from_secs(2 * 3600));
    assert!(scene.issuer.metadata().await.is_err());
}

#[tokio::test]
async fn a_new_key_is_found_by_the_token_that_names_it() {
    let (scene, old, new) = (scene().await, key("old"), key("new"));
    scene.publish(&[&old]);
    assert_eq!(scene.verify(&old).await.unwrap().subject(), "alice");
    scene.publish(&[&old, &new]);
    let (a, b) = tokio::join!(scene.verify(&new), scene.verify(&new));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(scene.asked("/jwks"), 2, "one for the old key, one for the new");
}

#[tokio::test]
async fn tokens_with_unknown_keys_cannot_make_us_hammer_the_provider() {
    let (scene, good, forged) = (scene().await, key("good"), key("forged"));
    scene.publish(&[&good]);
    for _ in 0..20 {
        let refused = scene.verify(&forged).await.unwrap_err();
        assert_eq!(refused, Error::Signature(jose::Error::UnknownKey));
    }
    assert_eq!(scene.asked("/jwks"), 3, "the first set, and a burst of two");
    assert!(scene.verify(&good).await.is_ok());
    scene.clock.advance(Duration::from_secs(10));
    assert!(scene.verify(&forged).await.is_err());
    assert_eq!(scene.asked("/jwks"), 4);
}

#[tokio::test]
async fn a_key_that_was_replaced_under_its_name_is_found() {
    let (scene, wrong, right) = (scene().await, key("1"), key("1"));
    scene.publish(&[&wrong]);
    let refused = Error::Signature(jose::Error::Signature);
    assert_eq!(scene.verify(&right).await.unwrap_err(), refused);
    scene.publish(&[&right]);
    assert!(scene.verify(&right).await.is_ok());
    scene.down.store(true, Ordering::Relaxed);
    scene.clock.advance(Duration::from_secs(10));
    // Nothing that keeps us from newer keys makes a wrong signature less wrong.
    assert_eq!(scene.verify(&wrong).await.unwrap_err(), refused);
}

#[tokio::test]
async fn an_empty_or_failed_key_set_does_not_replace_a_good_one() {
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
async fn a_redirected_discovery_is_not_followed() {
    let provider = Loopback::start(|base, seen| match seen.path.as_str() {
        DOCUMENT => Reply::Redirect(302, format!("{base}elsewhere")),
        _ => answer(base, seen, &Mutex::default()),
    })
    .await;
    let timeout = Duration::from_secs(5);
    let http = Arc::new(Http::new(HttpSettings { timeout, ca: None, proxy: None }).unwrap());
    let endpoints = discovery::ProviderEndpoints::default();
    let settings = Settings { issuer: provider.issuer(), endpoints, danger_allow_http: false };
    let issuer = Issuer::new(settings, http, Clock::system()).unwrap();
    assert!(matches!(
        issuer.metadata().await,
        Err(Error::NoDocument { status, .. }) if status.as_u16() == 302
    ));
    assert!(provider.seen("/elsewhere").is_empty());
}

#[tokio::test]
async fn the_keeper_finds_a_provider_that_comes_up_later() {
    let (scene, key) = (scene().await, key("k"));
    scene.publish(&[&key]);
    let keeper = tokio::spawn(Arc::clone(&scene.issuer).keep_fresh("company".into()));
    let asked = async {
        while scene.asked("/jwks") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("the keeper asks");
    scene.verify(&key).await.unwrap();
    assert_eq!((scene.asked(DOCUMENT), scene.asked("/jwks")), (1, 1));
    keeper.abort();
}

#[tokio::test]
async fn what_is_wrong_with_an_issuer_comes_with_its_remedy() {
    let provider = Loopback::start(|base, seen| match seen.path.as_str() {
        "/slash/.well-known/openid-configuration" => {
            Reply::json(200, &json!({"issuer": base.join("slash").unwrap()}))
        }
        _ => Reply::json(404, &json!({})),
    })
    .await;
    let http = HttpSettings { timeout: Duration::from_secs(5), ca: None, proxy: None };
    let http = Arc::new(Http::new(http).unwrap());
    let check = async |issuer: String, remedy: &str| {
        let endpoints = discovery::ProviderEndpoints::default();
        let settings = Settings { issuer, endpoints, danger_allow_http: false };
        let issuer = Issuer::new(settings, Arc::clone(&http), Clock::system()).unwrap();
        let told = issuer.metadata().await.unwrap_err().to_string();
        assert!(told.contains(remedy), "{told}");
        assert!(issuer.fault().is_some_and(|fault| fault.to_string() == told));
    };
    let at = provider.issuer();
    check(format!("{at}/slash/"), &format!("write `issuer: \"{at}/slash\"`")).await;
    let missing = format!("404 at {at}/a/.well-known/openid-configuration: `issuer` must be");
    check(format!("{at}/a"), &missing).await;
    let tls = at.replace("http://", "https://");
    check(tls.clone(), "does it speak plain http:// there?").await;
    check(tls.clone(), &format!("{}: ", tls.trim_start_matches("https://"))).await;
}

#[test]
fn pauses_double_up_to_a_minute() {
    let pauses: Vec<u64> = (1..=9).map(|failures| back_off(failures).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(jittered(Duration::from_secs(4)) >= Duration::from_secs(4));
    assert!(jittered(Duration::from_secs(4)) < Duration::from_secs(5));
}
