//! Refreshes of a session that other clients of the server change meanwhile.

use portcullis::session::refresh::{RefreshEffect, RefreshOutcome};
use redis::Value;

use super::instance::{is_given, renewed, session};
use super::world::{World, lock, record};

on_every_server! {
    overtaken_refresh_does_not_replace_the_newer_tokens
    overtaken_rejection_does_not_end_the_session
    record_that_is_gone_is_not_written_back
    refresh_is_not_begun_while_it_could_not_be_stored
    refresh_continues_without_a_lock_that_was_lost
    lock_of_an_instance_that_is_gone_ends
}

/// The second instance refreshes a session while the first one has lost the lock; the first gets this answer then.
async fn overtaken(world: World, answer: RefreshOutcome) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    let (flight, provider) = one.begin_refresh(key).await;
    assert_eq!(world.command(&["UNLINK", &lock(key)]), Value::Int(1));
    let newer = renewed("newer", "r2", &world.clock);
    assert_eq!(other.refresh(key, newer).await, RefreshEffect::Renewed);
    one.until_access_token(key, "newer").await;
    provider.send(answer).unwrap();
    assert_eq!(flight.effect().await, RefreshEffect::Renewed);
    for instance in [&one, &other, &world.instance().await] {
        assert_eq!(instance.access_token(key).await, "newer");
    }
}

async fn overtaken_refresh_does_not_replace_the_newer_tokens(world: World) {
    let older = renewed("older", "r2", &world.clock);
    overtaken(world, older).await;
}

async fn overtaken_rejection_does_not_end_the_session(world: World) {
    overtaken(world, RefreshOutcome::Rejected).await;
}

async fn record_that_is_gone_is_not_written_back(world: World) {
    let one = world.instance().await;
    for is_noticed in [true, false] {
        let key = one.sign_in("alice").await;
        let end = one.end_of(key).await;
        let (flight, provider) = one.begin_refresh(key).await;
        world.command(&["UNLINK", &record(key)]);
        if is_noticed {
            is_given(&end).await;
        }
        provider.send(renewed("a2", "r2", &world.clock)).unwrap();
        assert_eq!(flight.effect().await, RefreshEffect::Ended);
        assert!(!world.has(&record(key)) && !one.has(key).await);
    }
}

async fn refresh_is_not_begun_while_it_could_not_be_stored(world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    world.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let held = one.find(key).await.unwrap();
    let data = held.data().clone();
    let flight = one.refresher.refresh(&held, &data, |_| async { panic!("asks the provider") });
    assert_eq!(flight.effect().await, RefreshEffect::Kept);
    let new = session("alice", &world.clock);
    assert!(other.sessions.insert(new).await.is_err());
    // A session that is there is found, and can be ended.
    assert!(one.has(key).await && other.has(key).await);
    assert!(other.sessions.remove(key).await.is_confirmed);
    assert!(!other.has(key).await);
}

async fn refresh_continues_without_a_lock_that_was_lost(world: World) {
    let one = world.instance().await;
    let key = one.sign_in("alice").await;
    let (flight, provider) = one.begin_refresh(key).await;
    assert_eq!(world.command(&["UNLINK", &lock(key)]), Value::Int(1));
    provider.send(renewed("a2", "r2", &world.clock)).unwrap();
    assert_eq!(flight.effect().await, RefreshEffect::Renewed);
    assert_eq!(world.instance().await.access_token(key).await, "a2");
    assert!(!world.has(&lock(key)), "the lock is given back");
}

async fn lock_of_an_instance_that_is_gone_ends(world: World) {
    let one = world.instance().await;
    let key = one.sign_in("alice").await;
    // As if that had happened 19 seconds ago.
    world.command(&["SET", &lock(key), "gone", "PX", "1000"]);
    let answer = renewed("a2", "r2", &world.clock);
    assert_eq!(one.refresh(key, answer).await, RefreshEffect::Renewed);
}
