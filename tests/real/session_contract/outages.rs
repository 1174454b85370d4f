//! A server that cannot be reached: no user is signed out, and no session is found that could not be looked up.

use std::time::Duration;

use portcullis::session::redis::StoreHealth;
use portcullis::session::{SessionId, StoreUnavailable};
use redis::Value;

use super::instance::{is_given, renewed, session};
use super::interruption::{Interruption, Passage};
use super::world::{OUTAGE_CACHE, World, record};
use crate::support::wait::until;

on_every_server! {
    known_session_is_found_for_a_time_while_the_server_is_down
    server_that_does_not_answer_is_like_one_that_is_down
    instance_waits_for_a_server_that_is_down_at_its_start
    ends_during_an_outage_are_sent_after_it
    ends_of_the_last_minute_are_repeated_after_a_reconnect
    session_that_ended_while_the_connection_was_lost_does_not_stand
    replica_is_an_outage
}

async fn known_session_is_found_for_a_time_while_the_server_is_down(mut world: World) {
    store_on_disk(&world).await;
    let [one, other] = world.instances().await;
    let (known, unknown) = (one.sign_in("alice").await, other.sign_in("bob").await);
    let end = one.end_of(known).await;
    world.server_mut().kill();
    until("the instance notices it", async || one.look_up(unknown).await.is_err()).await;
    assert_eq!(one.store().health(), StoreHealth::Lost);
    assert_eq!(one.look_up(known).await, Ok(true));
    assert_eq!(one.look_up(SessionId::generate().key()).await, Err(StoreUnavailable));
    assert!(one.sessions.insert(session("carol", &world.clock)).await.is_err());
    world.clock.advance(OUTAGE_CACHE);
    assert_eq!(one.look_up(known).await, Err(StoreUnavailable));
    world.server_mut().start_again().await;
    until("the session is found again", async || one.look_up(known).await == Ok(true)).await;
    assert_eq!(one.look_up(unknown).await, Ok(true));
    assert!(!end.is_cancelled(), "an outage ends no session");
}

/// Has the server write each change to its disk, also after a restart.
async fn store_on_disk(world: &World) {
    for setting in [["appendonly", "yes"], ["appendfsync", "always"]] {
        assert_eq!(world.command(&["CONFIG", "SET", setting[0], setting[1]]), Value::Okay);
    }
    assert_eq!(world.command(&["CONFIG", "REWRITE"]), Value::Okay);
    until("the file is begun", async || {
        let Value::BulkString(text) = world.command(&["INFO", "persistence"]) else { panic!() };
        let text = String::from_utf8(text).unwrap();
        ["in_progress", "scheduled"].iter().all(|it| text.contains(&format!("aof_rewrite_{it}:0")))
    })
    .await;
}

async fn server_that_does_not_answer_is_like_one_that_is_down(mut world: World) {
    world.setup.redis().timeout = Duration::from_millis(250);
    let [one, other] = world.instances().await;
    let (known, unknown) = (one.sign_in("alice").await, other.sign_in("bob").await);
    world.server().pause();
    assert_eq!(one.look_up(unknown).await, Err(StoreUnavailable));
    assert_eq!(one.look_up(known).await, Ok(true));
    let removed = one.sessions.remove(known).await;
    assert!(!removed.is_confirmed);
    assert_eq!(one.look_up(known).await, Ok(false));
    world.server().resume();
    until("the session is found", async || one.look_up(unknown).await == Ok(true)).await;
    until("the end arrives", async || !world.has(&record(known))).await;
}

async fn instance_waits_for_a_server_that_is_down_at_its_start(mut world: World) {
    world.server_mut().kill();
    let one = world.instance_at(world.server().address());
    let key = SessionId::generate().key();
    assert_eq!(one.look_up(key).await, Err(StoreUnavailable));
    assert_eq!(one.store().health(), StoreHealth::Waiting);
    world.server_mut().start_again().await;
    until("the instance has its store", async || one.is_connected()).await;
    assert_eq!(one.look_up(key).await, Ok(false));
    let key = one.sign_in("alice").await;
    assert!(one.has(key).await);
}

async fn ends_during_an_outage_are_sent_after_it(world: World) {
    let proxy = Interruption::of(world.server().address()).await;
    let (one, other) = (world.instance_behind(&proxy).await, world.instance().await);
    let (known, unknown) = (one.sign_in("alice").await, other.sign_in("alice").await);
    let ends = [other.end_of(known).await, other.end_of(unknown).await];
    proxy.set(Passage::Closed);
    for key in [known, unknown] {
        assert!(!one.sessions.remove(key).await.is_confirmed);
        assert_ne!(one.look_up(key).await, Ok(true));
        assert!(other.has(key).await);
    }
    proxy.set(Passage::Open);
    for end in ends {
        is_given(&end).await;
    }
    for instance in [&one, &other] {
        until("the instance is connected", async || instance.is_connected()).await;
        assert!(!instance.has(known).await && !instance.has(unknown).await);
    }
}

/// A server that takes over may lack what the one before had confirmed.
async fn ends_of_the_last_minute_are_repeated_after_a_reconnect(world: World) {
    let proxy = Interruption::of(world.server().address()).await;
    let one = world.instance_behind(&proxy).await;
    let (recent, older) = (one.sign_in("alice").await, one.sign_in("alice").await);
    for (key, copy) in [(recent, "recent"), (older, "older")] {
        world.command(&["COPY", &record(key), copy]);
    }
    assert!(one.sessions.remove(older).await.is_confirmed);
    world.clock.advance(Duration::from_secs(50));
    assert!(one.sessions.remove(recent).await.is_confirmed);
    world.command(&["COPY", "recent", &record(recent)]);
    world.command(&["COPY", "older", &record(older)]);
    assert!(!one.has(recent).await, "it is not found where it was ended");
    proxy.set(Passage::Closed);
    until("the connection is lost", async || !one.is_connected()).await;
    proxy.set(Passage::Open);
    until("the ends are repeated", async || {
        !world.has(&record(recent)) && !world.has(&record(older))
    })
    .await;
}

async fn session_that_ended_while_the_connection_was_lost_does_not_stand(world: World) {
    let proxy = Interruption::of(world.server().address()).await;
    let (one, other) = (world.instance_behind(&proxy).await, world.instance().await);
    let (ended, kept) = (other.sign_in("alice").await, other.sign_in("alice").await);
    let streams = [one.find(ended).await.unwrap(), one.find(kept).await.unwrap()];
    proxy.set(Passage::Closed);
    until("the connection is lost", async || !one.is_connected()).await;
    assert!(other.sessions.remove(ended).await.is_confirmed);
    assert!(streams.iter().all(|session| one.sessions.stands(session)), "it is not known yet");
    proxy.set(Passage::Open);
    until("the stream of the session that ended stops", async || !one.sessions.stands(&streams[0]))
        .await;
    is_given(&streams[0].end_signal().token()).await;
    assert!(one.sessions.stands(&streams[1]));
    proxy.set(Passage::Closed);
    until("the connection is lost", async || !one.is_connected()).await;
    world.clock.advance(OUTAGE_CACHE);
    assert!(!one.sessions.stands(&streams[1]), "nothing was known of it for long");
}

/// The server becomes a replica while another one takes over.
async fn replica_is_an_outage(world: World) {
    let one = world.instance().await;
    let key = one.sign_in("alice").await;
    let end = one.end_of(key).await;
    world.command(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(one.sessions.insert(session("alice", &world.clock)).await.is_err());
    until("the instance has no store", async || !one.is_connected()).await;
    assert_eq!(one.look_up(key).await, Ok(true));
    world.command(&["REPLICAOF", "NO", "ONE"]);
    until("the instance has its store again", async || one.is_connected()).await;
    let answer = renewed("a2", "r2", &world.clock);
    one.refresh(key, answer).await;
    assert!(one.has(key).await && !end.is_cancelled());
}
