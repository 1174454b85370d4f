//! What the server reports of changes: what an instance does with it, and without it.

use std::time::Duration;

use portcullis::session::SessionId;
use portcullis::session::refresh::RefreshEffect;
use tokio::time::timeout;

use super::instance::{is_given, renewed};
use super::interruption::{Interruption, Passage};
use super::world::World;
use crate::support::wait::until;

on_every_server! {
    end_whose_notice_is_lost_is_seen_ten_seconds_later
    end_whose_notice_is_lost_reaches_open_streams
    notices_continue_after_each_reconnect
    session_that_another_instance_changes_stands
}

async fn end_whose_notice_is_lost_is_seen_ten_seconds_later(world: World) {
    let proxy = Interruption::of(world.server().address()).await;
    let (one, other) = (world.instance_behind(&proxy).await, world.instance().await);
    let key = one.sign_in("alice").await;
    proxy.set(Passage::NoticesLost);
    assert!(other.sessions.remove(key).await.is_confirmed);
    // It arrives after the notice.
    assert!(!one.has(SessionId::generate().key()).await);
    assert!(one.has(key).await, "the notice is not lost");
    world.clock.advance(Duration::from_secs(10));
    assert!(!one.has(key).await);
}

async fn end_whose_notice_is_lost_reaches_open_streams(world: World) {
    let proxy = Interruption::of(world.server().address()).await;
    let (one, other) = (world.instance_behind(&proxy).await, world.instance().await);
    let key = one.sign_in("alice").await;
    let stream = one.find(key).await.unwrap();
    proxy.set(Passage::NoticesLost);
    assert!(other.sessions.remove(key).await.is_confirmed);
    world.clock.advance(Duration::from_secs(10));
    until("the stream stops", async || !one.sessions.stands(&stream)).await;
    is_given(&stream.end_signal().token()).await;
}

async fn notices_continue_after_each_reconnect(world: World) {
    let proxy = Interruption::of(world.server().address()).await;
    let (one, other) = (world.instance_behind(&proxy).await, world.instance().await);
    for _ in 0..3 {
        let key = one.sign_in("alice").await;
        proxy.set(Passage::Closed);
        until("the connection is lost", async || !one.is_connected()).await;
        proxy.set(Passage::Open);
        until("there is a connection again", async || one.is_connected()).await;
        let end = one.end_of(key).await;
        assert!(other.sessions.remove(key).await.is_confirmed);
        timeout(Duration::from_secs(1), end.cancelled()).await.unwrap();
    }
}

/// Open streams are asked each second whether their session stands, also while its record is read again.
async fn session_that_another_instance_changes_stands(world: World) {
    let proxy = Interruption::of(world.server().address()).await;
    let (one, other) = (world.instance_behind(&proxy).await, world.instance().await);
    let key = one.sign_in("alice").await;
    let stream = one.find(key).await.unwrap();
    proxy.set(Passage::RequestsHeld);
    let answer = renewed("a2", "r2", &world.clock);
    assert_eq!(other.refresh(key, answer).await, RefreshEffect::Renewed);
    until("the change is noticed", async || {
        assert!(one.sessions.stands(&stream));
        timeout(Duration::from_millis(20), one.find(key)).await.is_err()
    })
    .await;
    assert!(one.sessions.stands(&stream));
    proxy.set(Passage::Open);
    one.until_access_token(key, "a2").await;
    assert!(one.sessions.stands(&stream));
}
