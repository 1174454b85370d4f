//! `session.max_sessions` and `session.max_sessions_per_user`.

use std::time::Duration;

use portcullis::clock::Clock;

use super::instance::is_given;
use super::world::{World, record};
use crate::support::wait::until;

in_every_store! {
    least_recently_used_session_of_a_user_above_the_limit_is_evicted
    sessions_above_the_limit_of_all_are_evicted_where_they_are_stored
}
on_every_server! {
    ended_sessions_do_not_count_toward_the_limit
    new_session_stays_where_the_clocks_of_instances_differ
}

async fn least_recently_used_session_of_a_user_above_the_limit_is_evicted(mut world: World) {
    world.setup.settings.max_sessions_per_user = 2;
    let [one, other] = world.instances().await;
    let minutes = |minutes: u64| world.clock.advance(Duration::from_secs(minutes * 60));
    let used = one.sign_in("alice").await;
    minutes(1);
    let unused = one.sign_in("alice").await;
    let end = one.end_of(unused).await;
    let bob = one.sign_in("bob").await;
    minutes(2);
    assert!(other.use_once(used).await);
    minutes(2);
    assert!(other.use_once(used).await);
    minutes(2);
    let (new, evicted) = other.insert("alice").await;
    assert_eq!((evicted.of_user, evicted.of_all), (1, 0));
    is_given(&end).await;
    for instance in [&one, &other] {
        assert!(!instance.has(unused).await);
        for key in [used, new, bob] {
            assert!(instance.has(key).await);
        }
    }
}

async fn sessions_above_the_limit_of_all_are_evicted_where_they_are_stored(mut world: World) {
    world.setup.settings.max_sessions = 2;
    let one = world.instance().await;
    let mut keys = Vec::new();
    for user in ["alice", "bob", "carol", "dave"] {
        keys.push(one.sign_in(user).await);
        world.clock.advance(Duration::from_secs(1));
    }
    until("no more than two sessions are in the process", async || one.sessions.len() <= 2).await;
    for (key, is_recent) in keys.into_iter().zip([false, false, true, true]) {
        // A server has them all; the process forgets those that it does not use.
        assert_eq!(one.has(key).await, is_recent || world.is_shared());
    }
}

/// The server has forgotten them, and the list of the user's sessions may not know it.
async fn ended_sessions_do_not_count_toward_the_limit(mut world: World) {
    world.setup.settings.max_sessions_per_user = 2;
    let one = world.instance().await;
    let living = one.sign_in("alice").await;
    world.clock.advance(Duration::from_secs(60));
    let ended = one.sign_in("alice").await;
    world.command(&["UNLINK", &record(ended)]);
    world.clock.advance(Duration::from_secs(60));
    let (new, evicted) = one.insert("alice").await;
    assert_eq!(evicted.of_user, 0);
    assert!(one.has(living).await && one.has(new).await);
}

async fn new_session_stays_where_the_clocks_of_instances_differ(mut world: World) {
    world.setup.settings.max_sessions_per_user = 1;
    let other = world.instance().await;
    world.clock = Clock::system();
    world.clock.advance(Duration::from_secs(600));
    let ahead = world.instance().await;
    let older = ahead.sign_in("alice").await;
    let (new, evicted) = other.insert("alice").await;
    assert_eq!(evicted.of_user, 1);
    assert!(other.has(new).await && !other.has(older).await);
}
