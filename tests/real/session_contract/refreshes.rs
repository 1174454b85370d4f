//! Refreshes of a session: one at a time, and stored before any waiter gets the result.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::session::SessionKey;
use portcullis::session::refresh::{RefreshEffect, RefreshOutcome};
use tokio::task::JoinSet;

use super::instance::{Instance, access_token, is_given, renewed};
use super::world::{MAX_BYTES, World};
use crate::support::wait::until;

in_every_store! {
    new_tokens_are_stored_before_a_waiter_gets_them
    refreshes_at_once_over_both_instances_ask_the_provider_once
    rejected_refresh_ends_the_session_everywhere
    refresh_that_is_too_large_ends_the_session_everywhere
    refresh_without_new_tokens_keeps_the_session
    failed_refresh_keeps_the_session
    sign_out_during_a_refresh_wins
}

async fn new_tokens_are_stored_before_a_waiter_gets_them(mut world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    assert!(other.has(key).await);
    let answer = renewed("a2", "r2", &world.clock);
    assert_eq!(one.refresh(key, answer).await, RefreshEffect::Renewed);
    assert_eq!(one.access_token(key).await, "a2");
    assert_eq!(world.instance().await.access_token(key).await, "a2");
    other.until_access_token(key, "a2").await;
    world.restart().await;
    let session = world.instance().await.find(key).await.unwrap();
    assert_eq!(access_token(&session), "a2");
    assert_eq!(session.data().tokens.refresh_token.as_ref().unwrap().expose(), "r2");
}

async fn refreshes_at_once_over_both_instances_ask_the_provider_once(world: World) {
    let instances = Arc::new(world.instances().await);
    let key = instances[0].sign_in("alice").await;
    let mut due = Vec::new();
    for turn in 0..20 {
        let session = instances[turn % 2].find(key).await.unwrap();
        let data = Arc::clone(&session.data());
        due.push((turn, session, data));
    }
    let (asked, mut waiters) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for (turn, session, data) in due {
        let (instances, clock, asked) =
            (Arc::clone(&instances), world.clock.clone(), Arc::clone(&asked));
        waiters.spawn(async move {
            let refresher = &instances[turn % 2].refresher;
            let flight = refresher.refresh(&session, &data, |data| async move {
                // A provider that takes each refresh token once.
                match (asked.fetch_add(1, Ordering::SeqCst), &data.tokens.refresh_token) {
                    (0, Some(token)) if token.expose() == "r1" => renewed("a2", "r2", &clock),
                    _ => RefreshOutcome::Rejected,
                }
            });
            (flight.effect().await, access_token(&session))
        });
    }
    for (effect, token) in waiters.join_all().await {
        assert_eq!((effect, &*token), (RefreshEffect::Renewed, "a2"));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

async fn rejected_refresh_ends_the_session_everywhere(world: World) {
    ends_everywhere(world, RefreshOutcome::Rejected).await;
}

async fn refresh_that_is_too_large_ends_the_session_everywhere(world: World) {
    let large = renewed("a2", &"r".repeat(MAX_BYTES + 1), &world.clock);
    ends_everywhere(world, large).await;
}

async fn ends_everywhere(mut world: World, answer: RefreshOutcome) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    let end = other.end_of(key).await;
    assert_eq!(one.refresh(key, answer).await, RefreshEffect::Ended);
    is_given(&end).await;
    assert!(!one.has(key).await && !other.has(key).await);
    world.restart().await;
    assert!(!world.instance().await.has(key).await);
}

async fn refresh_without_new_tokens_keeps_the_session(world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    for answer in [RefreshOutcome::Confirmed(None), RefreshOutcome::NotAsked] {
        let is_asked_again = matches!(answer, RefreshOutcome::Confirmed(_));
        assert_eq!(one.refresh(key, answer).await, RefreshEffect::Kept);
        for instance in [&one, &other, &world.instance().await] {
            assert_eq!(instance.access_token(key).await, "a1");
            until("the session has its next time to ask", async || {
                is_due(instance, key).await == is_asked_again
            })
            .await;
        }
    }
}

async fn is_due(instance: &Instance, key: SessionKey) -> bool {
    instance.find(key).await.unwrap().data().tokens.due.is_some()
}

async fn failed_refresh_keeps_the_session(world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    assert_eq!(one.refresh(key, RefreshOutcome::Unavailable).await, RefreshEffect::Kept);
    assert_eq!(one.access_token(key).await, "a1");
    // Only the instance that failed waits before the next one.
    let answer = renewed("a2", "r2", &world.clock);
    let expected = if world.is_shared() { RefreshEffect::Renewed } else { RefreshEffect::Kept };
    assert_eq!(other.refresh(key, answer).await, expected);
}

async fn sign_out_during_a_refresh_wins(mut world: World) {
    let [one, other] = world.instances().await;
    for (at, answer) in [
        (&one, renewed("a2", "r2", &world.clock)),
        (&other, renewed("a2", "r2", &world.clock)),
        (&other, RefreshOutcome::Confirmed(None)),
        (&other, RefreshOutcome::Unavailable),
        (&other, RefreshOutcome::Rejected),
    ] {
        let key = one.sign_in("alice").await;
        let end = one.end_of(key).await;
        let (flight, provider) = one.begin_refresh(key).await;
        assert!(at.sessions.remove(key).await.is_confirmed);
        is_given(&end).await;
        provider.send(answer).unwrap();
        assert_eq!(flight.effect().await, RefreshEffect::Ended);
        for instance in [&one, &other, &world.instance().await] {
            assert!(!instance.has(key).await);
        }
    }
    drop((one, other));
    world.restart().await;
    assert!(world.instance().await.sessions.is_empty());
}
