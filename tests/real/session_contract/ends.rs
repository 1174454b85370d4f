//! A session that was ended is found nowhere, and what is open of it learns that.

use std::time::Duration;

use portcullis::session::SessionId;
use tokio::time::timeout;

use super::world::{World, record};

in_every_store! {
    removed_session_is_found_nowhere_and_its_end_is_signalled
    session_is_removed_by_half_of_its_key
    removing_once_more_is_harmless
    session_that_an_instance_does_not_know_is_removed
}
on_every_server! {
    session_that_another_client_removes_has_ended_everywhere
    all_sessions_have_ended_on_a_server_without_keys
    state_of_a_sign_in_is_used_once_over_all_instances
}

async fn removed_session_is_found_nowhere_and_its_end_is_signalled(mut world: World) {
    let [one, other] = world.instances().await;
    let (key, kept) = (one.sign_in("alice").await, one.sign_in("alice").await);
    let ends = [one.end_of(key).await, other.end_of(key).await];
    let standing = other.find(key).await.unwrap();
    assert!(other.sessions.stands(&standing));
    let removed = one.sessions.remove(key).await;
    assert!(removed.is_confirmed);
    assert_eq!(removed.session.unwrap().key(), key);
    for end in ends {
        timeout(SOON, end.cancelled()).await.unwrap();
    }
    assert!(!other.sessions.stands(&standing));
    for instance in [&one, &other] {
        assert!(!instance.has(key).await && instance.has(kept).await);
    }
    world.restart().await;
    let next = world.instance().await;
    assert!(!next.has(key).await && next.has(kept).await);
}

async fn session_is_removed_by_half_of_its_key(mut world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    let end = other.end_of(key).await;
    one.sessions.remove_by_half(&key.half()).await;
    timeout(SOON, end.cancelled()).await.unwrap();
    assert!(!one.has(key).await && !other.has(key).await);
    world.restart().await;
    assert!(!world.instance().await.has(key).await);
}

async fn removing_once_more_is_harmless(world: World) {
    let [one, other] = world.instances().await;
    let (key, kept) = (one.sign_in("alice").await, one.sign_in("alice").await);
    assert!(one.sessions.remove(key).await.is_confirmed);
    for instance in [&one, &other] {
        let again = instance.sessions.remove(key).await;
        assert!(again.is_confirmed);
        instance.sessions.remove_by_half(&key.half()).await;
        assert!(instance.sessions.remove(SessionId::generate().key()).await.is_confirmed);
        assert!(!instance.has(key).await && instance.has(kept).await);
    }
}

async fn session_that_an_instance_does_not_know_is_removed(world: World) {
    let [one, other] = world.instances().await;
    let (key, by_half) = (one.sign_in("alice").await, one.sign_in("alice").await);
    let ends = [one.end_of(key).await, one.end_of(by_half).await];
    assert!(other.sessions.remove(key).await.is_confirmed);
    other.sessions.remove_by_half(&by_half.half()).await;
    for end in ends {
        timeout(SOON, end.cancelled()).await.unwrap();
    }
    assert!(!one.has(key).await && !one.has(by_half).await);
}

async fn session_that_another_client_removes_has_ended_everywhere(world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    let ends = [one.end_of(key).await, other.end_of(key).await];
    world.command(&["UNLINK", &record(key)]);
    for end in ends {
        timeout(SOON, end.cancelled()).await.unwrap();
    }
    assert!(!one.has(key).await && !other.has(key).await);
}

async fn all_sessions_have_ended_on_a_server_without_keys(world: World) {
    let [one, other] = world.instances().await;
    let (alice, bob) = (one.sign_in("alice").await, one.sign_in("bob").await);
    let ends = [one.end_of(alice).await, one.end_of(bob).await, other.end_of(bob).await];
    world.command(&["FLUSHALL"]);
    for end in ends {
        timeout(SOON, end.cancelled()).await.unwrap();
    }
    assert!(!one.has(alice).await && !other.has(bob).await);
}

async fn state_of_a_sign_in_is_used_once_over_all_instances(world: World) {
    let [one, other] = world.instances().await;
    let (state, kept) = ([3; 16], Duration::from_secs(600));
    assert_eq!(other.store().is_state_used(&state).await, Ok(false));
    assert_eq!(one.store().use_state(&state, kept).await, Ok(true));
    assert_eq!(other.store().use_state(&state, kept).await, Ok(false));
    assert_eq!(one.store().use_state(&state, kept).await, Ok(false));
    assert_eq!(other.store().is_state_used(&state).await, Ok(true));
    assert_eq!(other.store().is_state_used(&[4; 16]).await, Ok(false));
}

/// How long after a sign-out every instance obeys it.
const SOON: Duration = Duration::from_secs(1);
