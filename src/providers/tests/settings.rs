//! What the settings of a provider decide: its fingerprint, the state it shares, its `redirect_uri`, and where the
//! registry finds it.

use super::*;

#[test]
fn fingerprint_depends_on_id_issuer_and_client() {
    let print = |change: fn(&mut Settings)| {
        let mut settings = settings("https://op.example".into());
        change(&mut settings);
        Provider::new(settings, &states()).unwrap().fingerprint()
    };
    let same = print(|_| {});
    assert_eq!(print(|settings| settings.name = "Other".into()), same);
    assert_ne!(print(|settings| settings.id = "other".into()), same);
    assert_ne!(print(|settings| settings.issuer = "https://op.example/".into()), same);
    assert_ne!(print(|settings| settings.client_id = "them".into()), same);
}

#[tokio::test]
async fn provider_with_the_same_fingerprint_shares_issuer_and_limits() {
    let scene = scene(|_| {}).await;
    let states = states();
    let made = |change: fn(&mut Settings)| {
        let mut settings = settings(scene.op.issuer());
        change(&mut settings);
        Provider::new(settings, &states).unwrap()
    };
    let first = made(|_| {});
    first.server.metadata().await.unwrap();
    let check = |change: fn(&mut Settings), (issuer, limits): (bool, bool)| {
        let second = made(change);
        assert_eq!(Arc::ptr_eq(first.server.http(), second.server.http()), issuer, "{second:?}");
        assert_eq!(second.server.known().is_some(), issuer, "{second:?}");
        assert_eq!(first.client.shares_limits_with(&second.client), limits, "{second:?}");
    };
    check(|settings| settings.client_auth = with_secret("new"), (true, true));
    check(|settings| settings.scopes.push("groups".to_owned()), (true, true));
    check(|settings| settings.timeout += Duration::from_secs(1), (false, true));
    check(|settings| settings.client_id = "them".to_owned(), (false, false));
}

#[test]
fn redirect_uri_is_the_callback_or_ends_in_the_id() {
    let uri = |distinct_redirect_uri| {
        let settings = Settings { distinct_redirect_uri, ..settings("https://op.example".into()) };
        let provider = Provider::new(settings, &states()).unwrap();
        provider.redirect_uri("https://app.example/oauth2/callback".to_owned())
    };
    assert_eq!(uri(false), "https://app.example/oauth2/callback");
    assert_eq!(uri(true), "https://app.example/oauth2/callback/company");
}

#[test]
fn unusable_issuer_is_rejected() {
    for issuer in ["http://op.example", "op", "https://op.example#x"] {
        let rejected = Provider::new(settings(issuer.into()), &states());
        assert!(matches!(rejected, Err(Error::Settings(_))), "{issuer}");
    }
}

#[test]
fn registry_finds_providers_by_id_by_fingerprint_and_for_a_route() {
    let provider = |id: &str| {
        let settings = Settings { id: id.into(), ..settings("https://op.example".into()) };
        Arc::new(Provider::new(settings, &states()).unwrap())
    };
    let registry = Registry::new(vec![provider("company"), provider("partners")]);
    let partners = registry.by_id("partners").unwrap();
    assert_eq!(&**partners.id(), "partners");
    assert!(registry.by_id("Partners").is_none());
    let found = registry.by_fingerprint(&partners.fingerprint()).unwrap();
    assert!(Arc::ptr_eq(found, partners));
    assert!(registry.by_fingerprint(&[0; 8]).is_none());
    let ids = |allowed: &AllowedProviders| -> Vec<String> {
        registry.for_route(allowed).map(|provider| provider.id().to_string()).collect()
    };
    assert_eq!(ids(&AllowedProviders::All), ["company", "partners"]);
    assert_eq!(ids(&AllowedProviders::Only(vec!["partners".into(), "x".into()])), ["partners"]);
}
