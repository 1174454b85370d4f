//! `session.snapshot`: users over a restart and over a crash, with a disk that fails, and with two processes.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::snapshot_folder::{SnapshotFolder, is_signed_in, sign_out};
use crate::support::stack::Stack;
use crate::support::wait::until;

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_signs_no_user_out_and_refresh_tokens_still_work() {
    let folder = SnapshotFolder::new();
    let mut stack = folder.builder("").token_lifetime(Duration::from_secs(1)).start().await;
    let mut browsers = [stack.browser_of("alice").await, stack.browser_of("bob").await];
    for _ in 0..2 {
        let (again, ended) = stack.restarted("TERM");
        stack = again;
        assert_eq!(ended.code(), Some(0));
        for browser in &mut browsers {
            assert!(is_signed_in(browser, &stack.gateway).await);
        }
        let before = stack.provider.counts().refreshes;
        until("the token is refreshed", async || {
            let mut browser = browsers[0].clone();
            assert_eq!(browser.fetch("/").await.status, 200);
            stack.provider.counts().refreshes > before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_signs_out_no_user_and_brings_back_none_who_signed_out() {
    let folder = SnapshotFolder::new();
    let stack = folder.builder("").start().await;
    let [mut alice, mut bob] = [stack.browser_of("alice").await, stack.browser_of("bob").await];
    let (stack, _) = stack.restarted("TERM");
    let mut old = alice.clone();
    alice.moved_to(&stack.gateway);
    sign_out(&mut alice).await;
    let (stack, ended) = stack.restarted("KILL");
    assert_eq!(ended.code(), None);
    assert!(!is_signed_in(&mut old, &stack.gateway).await);
    assert!(is_signed_in(&mut bob, &stack.gateway).await);
    // Also over the snapshot after the crash.
    let (stack, _) = stack.restarted("TERM");
    assert!(!is_signed_in(&mut old, &stack.gateway).await);
    assert!(is_signed_in(&mut bob, &stack.gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_ends_the_session_before_it_also_over_a_crash() {
    let folder = SnapshotFolder::new();
    let stack = folder.builder("").start().await;
    let mut alice = stack.browser_of("alice").await;
    let (stack, _) = stack.restarted("TERM");
    let mut old = alice.clone();
    alice.moved_to(&stack.gateway);
    let again = "/oauth2/start?rd=/&prompt=login";
    let answer = provider::sign_in(&mut alice, again, "alice").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (stack, _) = stack.restarted("KILL");
    assert!(!is_signed_in(&mut old, &stack.gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_of_another_issuer_with_the_same_id_does_not_continue() {
    let folder = SnapshotFolder::new();
    let stack = folder.builder("").start().await;
    let mut alice = stack.browser_of("alice").await;
    assert_eq!(stack.gateway.stop().code(), Some(0));
    let stack = folder.builder("").start().await;
    assert!(!is_signed_in(&mut alice, &stack.gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_stops_nothing_and_leaves_the_last_snapshot() {
    let folder = SnapshotFolder::new();
    let stack = folder.builder("").start().await;
    let mut alice = stack.browser_of("alice").await;
    let (stack, _) = stack.restarted("TERM");
    let before = read(&folder.snapshot());
    limit_file_size(&stack.gateway, 100);
    let mut bob = stack.browser_of("bob").await;
    assert!(is_signed_in(&mut bob, &stack.gateway).await);
    stack.gateway.signal("TERM");
    stack.gateway.log_until("session.snapshot was not written");
    let (stack, ended) = stack.restarted("TERM");
    assert_eq!(ended.code(), Some(0));
    assert_eq!(read(&folder.snapshot()), before);
    assert!(is_signed_in(&mut alice, &stack.gateway).await);
    assert!(!is_signed_in(&mut bob, &stack.gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_that_cannot_be_recorded_removes_the_snapshot_and_says_so() {
    let folder = SnapshotFolder::new();
    let stack = folder.builder("").start().await;
    let mut alice = stack.browser_of("alice").await;
    let (stack, _) = stack.restarted("TERM");
    let mut old = alice.clone();
    limit_file_size(&stack.gateway, 0);
    alice.moved_to(&stack.gateway);
    sign_out(&mut alice).await;
    stack.gateway.log_until("cannot record that a session ended, so the snapshot was removed");
    assert!(!folder.snapshot().exists());
    let mut operator = stack.browser();
    let ready = operator.fetch(&stack.gateway.admin("/readyz")).await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.body, "ready\nsession.snapshot cannot be written\n");
    let metrics = operator.fetch(&stack.gateway.admin("/metrics")).await.body;
    assert!(metrics.contains("session_snapshots_total{outcome=\"failure\"} 1"), "{metrics}");
    let (stack, _) = stack.restarted("KILL");
    assert!(!is_signed_in(&mut old, &stack.gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_process_starts_empty_and_writes_nothing() {
    let folder = SnapshotFolder::new();
    let stack = folder.builder("").start().await;
    let mut alice = stack.browser_of("alice").await;
    let (stack, _) = stack.restarted("TERM");
    let before = read(&folder.snapshot());
    let second = stack.second_gateway();
    second.log_until("another process uses the file");
    assert!(!is_signed_in(&mut alice.clone(), &second).await);
    assert_eq!(second.stop().code(), Some(0));
    assert_eq!(read(&folder.snapshot()), before);
    let (stack, _) = stack.restarted("TERM");
    assert!(is_signed_in(&mut alice, &stack.gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_snapshot_is_put_aside_with_its_reason() {
    let folder = SnapshotFolder::new();
    let stack = folder.builder("").start().await;
    let mut alice = stack.browser_of("alice").await;
    stack.gateway.signal("TERM");
    let Stack { gateway, provider, .. } = stack;
    assert_eq!(gateway.wait().code(), Some(0));
    let mut bytes = read(&folder.snapshot());
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(folder.snapshot(), &bytes).unwrap();
    let stack = folder.builder("").provider(provider).start().await;
    stack
        .gateway
        .log_until("session.snapshot was not loaded, starting without sessions: it is damaged");
    assert!(!is_signed_in(&mut alice, &stack.gateway).await);
    assert_eq!(read(&folder.path().join("sessions.rejected")), bytes);
    assert_eq!(stack.browser_of("alice").await.fetch("/").await.status, 200);
}

/// From now on, no file of the process gets longer than this.
fn limit_file_size(gateway: &Gateway, bytes: u64) {
    let process = Pid::from_raw(i32::try_from(gateway.process()).unwrap());
    let limit = Rlimit { current: Some(bytes), maximum: None };
    prlimit(process, Resource::Fsize, limit).unwrap();
}
