//! Values on the server that are not what an instance wrote under their key.

use portcullis::session::refresh::RefreshEffect;
use portcullis::session::{SessionKey, StoreUnavailable};

use super::instance::{Instance, renewed};
use super::world::{World, record};

on_every_server! {
    damaged_value_is_like_none
    values_that_were_swapped_are_like_none
    value_of_another_version_is_like_none
    value_of_another_secret_is_like_none
    value_of_another_type_is_an_error
    secrets_are_rotated_by_a_list
}

/// Looks a session up that the server has in a form that cannot be read.
async fn is_unreadable(instance: &Instance, key: SessionKey, times: usize) {
    assert!(!instance.has(key).await);
    let metric = "session_store_operations_total{operation=\"read\",outcome=\"unreadable\"}";
    let (metric, exposition) = (format!("{metric} {times}"), instance.exposition());
    assert!(exposition.contains(&metric), "{metric} is not in {exposition}");
}

async fn damaged_value_is_like_none(world: World) {
    let one = world.instance().await;
    // Generation, the name of the secret, the sealed text.
    for offset in ["1", "17", "25", "60"] {
        let (key, end) = (one.sign_in("alice").await, "-1");
        let before = world.command(&["GETRANGE", &record(key), offset, end]);
        // One of the two is not what was there.
        for text in ["!", "?"] {
            world.command(&["SETRANGE", &record(key), offset, text]);
            if world.command(&["GETRANGE", &record(key), offset, end]) != before {
                break;
            }
        }
        is_unreadable(&world.instance().await, key, 1).await;
    }
    let key = one.sign_in("alice").await;
    world.command(&["SET", &record(key), ""]);
    is_unreadable(&world.instance().await, key, 1).await;
}

async fn values_that_were_swapped_are_like_none(world: World) {
    let [one, other] = world.instances().await;
    let (alice, mallory) = (one.sign_in("alice").await, one.sign_in("mallory").await);
    let (alices, mallorys) = (record(alice), record(mallory));
    for [from, to] in [[&*alices, "kept"], [&mallorys, &alices], ["kept", &mallorys]] {
        world.command(&["COPY", from, to, "REPLACE"]);
    }
    is_unreadable(&other, alice, 1).await;
    is_unreadable(&other, mallory, 2).await;
    // The one that knows them notices it, too.
    assert!(!one.has(alice).await && !one.has(mallory).await);
}

async fn value_of_another_version_is_like_none(world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    world.command(&["SETRANGE", &record(key), "0", "\u{2}"]);
    is_unreadable(&other, key, 1).await;
    assert!(world.has(&record(key)), "another instance may be able to read it");
}

async fn value_of_another_secret_is_like_none(mut world: World) {
    let one = world.instance().await;
    let key = one.sign_in("alice").await;
    world.setup.secrets(&["another secret"]);
    is_unreadable(&world.instance().await, key, 1).await;
    assert!(one.has(key).await);
}

async fn value_of_another_type_is_an_error(world: World) {
    let [one, other] = world.instances().await;
    let key = one.sign_in("alice").await;
    world.command(&["UNLINK", &record(key)]);
    world.command(&["RPUSH", &record(key), "a"]);
    assert_eq!(other.look_up(key).await, Err(StoreUnavailable));
}

async fn secrets_are_rotated_by_a_list(mut world: World) {
    let one = world.instance().await;
    let key = one.sign_in("alice").await;
    world.setup.secrets(&["new", "a secret"]);
    let both = world.instance().await;
    assert!(both.has(key).await);
    let answer = renewed("a2", "r2", &world.clock);
    assert_eq!(both.refresh(key, answer).await, RefreshEffect::Renewed);
    let (signed_in, unread) = (both.sign_in("bob").await, one.sign_in("carol").await);
    world.setup.secrets(&["new"]);
    let new = world.instance().await;
    assert!(new.has(key).await && new.has(signed_in).await);
    assert!(!new.has(unread).await);
}
