//! Claims and groups that cannot be fetched at a refresh: how long those from before stay.

use super::*;
use crate::providers::tests::profile::{TEAMS, USER, github, groups_of, ok};

#[tokio::test]
async fn groups_stay_within_outage_grace_while_the_api_fails_for_now() {
    let api = github().await;
    let signed_in = api.complete().await.unwrap();
    let grace = Duration::from_secs(600);
    let refreshed = |since| api.refresh(&signed_in, since, grace);
    for reply in [Reply::json(502, &json!({})), Reply::json(429, &json!({})), Reply::Drop] {
        api.answers(TEAMS, reply.clone());
        for since in [0, 500] {
            let Refreshed { identity, baseline, .. } = refreshed(since).await.unwrap();
            let identity = identity.unwrap();
            assert_eq!(groups_of(&identity), ["example", "example:ops"], "{reply:?}");
            assert!(!identity.groups_missing);
            let UnixTime(now) = Clock::system().unix();
            let age = now - baseline.stale_since.unwrap().0;
            assert!((since..since + 60).contains(&age), "the time does not move on: {age}");
        }
        let late = refreshed(700).await.unwrap().identity.unwrap();
        assert!(groups_of(&late).is_empty() && late.groups_missing, "{reply:?}");
    }
}

#[tokio::test]
async fn groups_go_at_a_refresh_that_fails_for_ever() {
    let api = github().await;
    let signed_in = api.complete().await.unwrap();
    for reply in [Reply::json(401, &json!({})), Reply::json(403, &json!({})), ok(&json!({}))] {
        api.answers(TEAMS, reply.clone());
        let refreshed = api.refresh(&signed_in, 0, Duration::from_secs(600)).await.unwrap();
        let identity = refreshed.identity.unwrap();
        assert!(groups_of(&identity).is_empty() && identity.groups_missing, "{reply:?}");
    }
}

#[tokio::test]
async fn profile_stays_within_outage_grace_while_it_fails_for_now() {
    let api = github().await;
    let signed_in = api.complete().await.unwrap();
    let grace = Duration::from_secs(600);
    for reply in [Reply::json(503, &json!({})), Reply::json(429, &json!({})), Reply::Drop] {
        api.answers(USER, reply.clone());
        for since in [0, 500] {
            let kept = api.refresh(&signed_in, since, grace).await.unwrap();
            assert!(kept.identity.is_none(), "{reply:?}: the claims stay");
            assert!(kept.baseline.stale_since.is_some());
        }
        for (since, grace) in [(700, grace), (0, Duration::ZERO)] {
            let late = api.refresh(&signed_in, since, grace).await.unwrap();
            let identity = late.identity.unwrap();
            assert_eq!(&*identity.subject, "583231", "the refresh token is the user's");
            assert_eq!((identity.email, identity.name), (None, None), "{reply:?}");
            assert!(late.baseline.stale_since.is_some());
        }
    }
    // What is not there for good goes at once.
    api.answers(USER, Reply::json(403, &json!({})));
    let gone = api.refresh(&signed_in, 0, grace).await.unwrap();
    assert_eq!(gone.identity.unwrap().email, None);
    // It comes back with the next answer.
    api.answers(USER, ok(&json!({"id": 583_231, "login": "alice", "name": "Alice"})));
    let baseline = RefreshBaseline { stale_since: None, ..gone.baseline };
    let gone = SignedIn { baseline, ..signed_in };
    let back = api.refresh(&gone, 700, grace).await.unwrap();
    assert_eq!(back.identity.unwrap().email.as_deref(), Some("alice@example.com"));
    assert_eq!(back.baseline.stale_since, None);
}
