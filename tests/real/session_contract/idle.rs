//! `session.idle_timeout`: the end of a session that is not used.
//! On a server its expiry is that end, so these tests wait in real time.

use std::time::Duration;

use portcullis::session::SessionKey;
use tokio::time::Instant;

use super::instance::{Instance, is_given};
use super::world::{World, record};
use crate::support::wait::until;

in_every_store! {
    unused_session_ends
    used_session_lives
    session_that_only_one_instance_uses_lives_at_both
    stream_without_use_does_not_keep_the_session
}
on_every_server! {
    single_use_after_a_pause_counts
    unused_session_leaves_the_server
    session_of_an_instance_without_a_timeout_lives_by_use
}

/// Two instances with a short timeout, and a session that both know.
async fn known_to_both(world: &mut World) -> ([Instance; 2], SessionKey, Instant) {
    world.setup.settings.idle_timeout = Some(IDLE);
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    assert!(other.has(key).await);
    ([one, other], key, Instant::now())
}

async fn unused_session_ends(mut world: World) {
    let ([one, other], key, used) = known_to_both(&mut world).await;
    until("the session was not used for long", async || used.elapsed() > IDLE + TOLERANCE).await;
    assert!(!one.has(key).await && !other.has(key).await);
}

async fn used_session_lives(mut world: World) {
    let ([one, other], key, began) = known_to_both(&mut world).await;
    until("the session was used for long", async || {
        assert!(one.use_once(key).await && other.use_once(key).await);
        began.elapsed() > IDLE * 2
    })
    .await;
}

async fn session_that_only_one_instance_uses_lives_at_both(mut world: World) {
    let ([one, other], key, began) = known_to_both(&mut world).await;
    until("the session was used for long", async || {
        assert!(one.use_once(key).await);
        began.elapsed() > IDLE * 2
    })
    .await;
    assert!(other.has(key).await);
}

/// What is open is asked each second whether its session stands.
async fn stream_without_use_does_not_keep_the_session(mut world: World) {
    let ([one, other], key, used) = known_to_both(&mut world).await;
    let streams = [one.find(key).await.unwrap(), other.find(key).await.unwrap()];
    until("both streams stop", async || {
        let stand = [one.sessions.stands(&streams[0]), other.sessions.stands(&streams[1])];
        assert!(used.elapsed() < IDLE * 2, "they stand: {stand:?}");
        stand == [false, false]
    })
    .await;
    // It was used a moment before that was noted.
    assert!(used.elapsed() >= IDLE - TOLERANCE);
}

/// A browser whose page loads a few files in a second, and no more for half an hour.
async fn single_use_after_a_pause_counts(mut world: World) {
    let ([one, _], key, _) = known_to_both(&mut world).await;
    let name = record(key);
    until("half of the time is over", async || world.kept(&name) < IDLE / 2).await;
    assert!(one.use_once(key).await);
    until("the server keeps the session for longer", async || world.kept(&name) >= IDLE).await;
}

async fn unused_session_leaves_the_server(mut world: World) {
    let ([one, _], key, _) = known_to_both(&mut world).await;
    let end = one.end_of(key).await;
    assert!(world.kept(&record(key)) <= IDLE + TOLERANCE);
    until("the server has no such key", async || !world.has(&record(key))).await;
    is_given(&end).await;
}

/// The timeout is configured while there are sessions.
async fn session_of_an_instance_without_a_timeout_lives_by_use(mut world: World) {
    let before = world.instance().await;
    let (used, unused) = (before.sign_in("alice").await, before.sign_in("alice").await);
    drop(before);
    world.setup.settings.idle_timeout = Some(IDLE);
    let one = world.instance().await;
    assert!(one.has(unused).await);
    let began = Instant::now();
    until("one session was used for long, the other one not", async || {
        assert!(one.use_once(used).await);
        began.elapsed() > IDLE * 2
    })
    .await;
    assert!(!one.has(unused).await);
}

const IDLE: Duration = Duration::from_secs(3);
/// A tenth of the timeout, because uses are recorded now and then.
const TOLERANCE: Duration = Duration::from_millis(350);
