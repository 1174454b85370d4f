//! A session that was inserted is found, with all that it holds.

use std::time::Duration;

use portcullis::session::SessionId;

use super::instance::access_token;
use super::world::{LIFETIME, World};

in_every_store! {
    inserted_session_is_found_with_what_it_holds
    session_is_found_after_a_restart
    unknown_key_is_none
    session_is_over_after_its_lifetime
    session_of_a_provider_that_is_not_configured_is_none
}

async fn inserted_session_is_found_with_what_it_holds(world: World) {
    let [one, other] = world.instances().await;
    let began = world.clock.moment();
    let key = one.sign_in("alice").await;
    world.clock.advance(Duration::from_secs(30));
    for instance in [&one, &other] {
        let session = instance.find(key).await.unwrap();
        let data = session.data();
        assert_eq!(session.key(), key);
        assert_eq!(&*data.identity.subject, "alice");
        assert_eq!(data.identity.email.as_deref(), Some("alice@example.com"));
        assert!(data.identity.groups().eq(["staff"]));
        assert_eq!(&*data.baseline.binding.subject, "alice");
        assert_eq!(access_token(&session), "a1");
        assert_eq!(data.tokens.refresh_token.as_ref().unwrap().expose(), "r1");
        for (moment, since) in [
            (session.began(), Duration::ZERO),
            (session.ends(), LIFETIME),
            (data.tokens.expires.unwrap(), Duration::from_secs(300)),
            (data.tokens.due.unwrap(), Duration::from_secs(240)),
        ] {
            let difference = moment.since(began.after(since)) + began.after(since).since(moment);
            assert!(difference < Duration::from_secs(1), "{since:?}: {difference:?}");
        }
    }
}

async fn session_is_found_after_a_restart(mut world: World) {
    let one = world.instance().await;
    let (key, ended) = (one.sign_in("alice").await, one.sign_in("bob").await);
    one.sessions.remove(ended).await;
    world.restart().await;
    let next = world.instance().await;
    assert_eq!(next.access_token(key).await, "a1");
    assert!(!next.has(ended).await);
}

async fn unknown_key_is_none(world: World) {
    let one = world.instance().await;
    one.sign_in("alice").await;
    assert!(!one.has(SessionId::generate().key()).await);
}

async fn session_is_over_after_its_lifetime(world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    world.clock.advance(LIFETIME - Duration::from_secs(60));
    assert!(one.has(key).await && other.has(key).await);
    let end = one.end_of(key).await;
    world.clock.advance(Duration::from_secs(60));
    assert!(!one.has(key).await && !other.has(key).await);
    assert!(end.is_cancelled());
}

async fn session_of_a_provider_that_is_not_configured_is_none(mut world: World) {
    let one = world.instance().await;
    let key = one.sign_in("alice").await;
    world.setup.providers = vec![[1; 8]];
    let other = world.instance().await;
    assert!(!other.has(key).await);
    // Another process may still have the configuration before it, as while the instances are updated one by one.
    assert_eq!(one.has(key).await, world.is_shared());
}
