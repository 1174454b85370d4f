//! Refreshes: which claims and tokens a session has afterwards, and when it ends.

use super::*;

#[tokio::test]
async fn refresh_replaces_all_claims() {
    let scene = scene(|_| {}).await;
    let baseline = scene.complete().await.unwrap().baseline;
    let gone = Reply::json(200, &json!({"sub": "alice"}));
    scene.script(|script| {
        (script.id_token, script.userinfo) = (json!({"nonce": null, "name": "Alicia"}), gone);
    });
    let refreshed = scene.refresh(&baseline).await.unwrap();
    let identity = refreshed.identity.unwrap();
    assert_eq!(identity.name.as_deref(), Some("Alicia"));
    assert_eq!(identity.groups().count(), 0);
    assert_eq!(refreshed.baseline.binding, baseline.binding);

    let mute = json!({"access_token": "at2", "token_type": "Bearer"});
    scene.script(|script| script.token = Some(Reply::json(200, &mute)));
    let refreshed = scene.refresh(&refreshed.baseline).await.unwrap();
    assert_eq!(refreshed.identity.unwrap().name.as_deref(), Some("Alicia"));
    assert!(refreshed.tokens.refresh_token.is_none());
    assert_eq!(scene.op.seen("/userinfo").len(), 3);
}

/// Canaille: it refreshes without an ID token, and leaves out `groups` where a user has none.
#[tokio::test]
async fn refresh_without_an_id_token_reads_from_userinfo_what_both_had() {
    let scene = scene(|settings| settings.userinfo = Userinfo::Always).await;
    let userinfo = |claims: Value| Reply::json(200, &claims);
    scene.script(|script| {
        script.id_token = json!({"groups": ["staff", "wiki"], "name": "Alice"});
        let claims = json!({"sub": "alice", "groups": ["wiki", "staff"], "name": "Alicia"});
        script.userinfo = userinfo(claims);
    });
    let mut baseline = scene.complete().await.unwrap().baseline;
    let mute = json!({"access_token": "at2", "token_type": "Bearer"});
    scene.script(|script| script.token = Some(Reply::json(200, &mute)));
    for (claims, groups) in [
        (json!({"sub": "alice", "groups": ["wiki"], "name": "Alicia"}), &["wiki"][..]),
        (json!({"sub": "alice"}), &[]),
        (json!({"sub": "alice", "groups": ["staff"]}), &["staff"]),
    ] {
        scene.script(|script| script.userinfo = userinfo(claims));
        let refreshed = scene.refresh(&baseline).await.unwrap();
        let identity = refreshed.identity.unwrap();
        assert!(identity.groups().eq(groups.iter().copied()), "{groups:?}");
        assert_eq!(identity.name.as_deref(), Some("Alice"), "they never agreed on it");
        baseline = refreshed.baseline;
    }
}

#[tokio::test]
async fn refresh_without_an_id_token_and_userinfo_keeps_the_claims_of_the_id_token() {
    let scene = scene(|_| {}).await;
    scene.script(|script| {
        script.id_token = json!({"groups": ["staff"]});
        script.userinfo = Reply::json(200, &json!({"sub": "alice", "groups": ["staff"]}));
    });
    let baseline = scene.complete().await.unwrap().baseline;
    let mute = json!({"access_token": "at2", "token_type": "Bearer"});
    scene.script(|script| {
        script.token = Some(Reply::json(200, &mute));
        script.userinfo = Reply::json(403, &json!({"error": "insufficient_scope"}));
    });
    let refreshed = scene.refresh(&baseline).await.unwrap();
    assert!(refreshed.identity.unwrap().groups().eq(["staff"]));
    let gone = Reply::json(200, &json!({"sub": "alice"}));
    scene.script(|script| script.userinfo = gone);
    let refreshed = scene.refresh(&refreshed.baseline).await.unwrap();
    assert_eq!(refreshed.identity.unwrap().groups().count(), 0);
}

#[tokio::test]
async fn refresh_without_new_claims_keeps_the_old_ones() {
    let scene = scene(|_| {}).await;
    let baseline =
        RefreshBaseline { id_token_claims: None, ..scene.complete().await.unwrap().baseline };
    let mute = json!({"access_token": "at2", "token_type": "Bearer"});
    scene.script(|script| script.token = Some(Reply::json(200, &mute)));
    let refreshed = scene.refresh(&baseline).await.unwrap();
    assert_eq!((refreshed.identity, refreshed.baseline), (None, baseline));
}

#[tokio::test]
async fn refresh_with_another_user_ends_the_session() {
    let scene = scene(|settings| settings.userinfo = Userinfo::Always).await;
    let baseline = scene.complete().await.unwrap().baseline;
    for wrong in [json!({"sub": "bob"}), json!({"aud": "them"}), json!({"nonce": "m"})] {
        scene.script(|script| script.id_token = wrong);
        assert!(matches!(scene.refresh(&baseline).await, Err(RefreshError::Untrusted(_))));
    }
    let (bob, rejected) = (json!({"sub": "bob"}), json!({"error": "invalid_token"}));
    for userinfo in [Reply::json(200, &bob), Reply::json(401, &rejected)] {
        scene.script(|script| (script.id_token, script.userinfo) = (json!({}), userinfo));
        assert!(matches!(scene.refresh(&baseline).await, Err(RefreshError::Untrusted(_))));
    }
}

/// Keycloak with lightweight access tokens: there was never a userinfo for this client.
#[tokio::test]
async fn refresh_goes_on_without_a_userinfo_that_cannot_be_used() {
    let scene = scene(|_| {}).await;
    let baseline = scene.complete().await.unwrap().baseline;
    scene.script(|script| script.userinfo = Reply::json(401, &json!({"error": "invalid_token"})));
    let identity = scene.refresh(&baseline).await.unwrap().identity.unwrap();
    assert_eq!((identity.groups().count(), identity.name.as_deref()), (0, Some("Alice")));
}

#[tokio::test]
async fn new_tokens_are_kept_if_only_the_claims_are_unavailable() {
    let scene = scene(|_| {}).await;
    let baseline = scene.complete().await.unwrap().baseline;
    scene.script(|script| script.userinfo = Reply::json(503, &json!({})));
    let refreshed = scene.refresh(&baseline).await.unwrap();
    assert_eq!(refreshed.tokens.refresh_token.unwrap().expose(), "rt");
    assert_eq!(refreshed.identity, None);
    assert!(refreshed.baseline.stale_since.is_some() && refreshed.tokens.id_token.is_none());
    let again = RefreshBaseline { stale_since: None, ..refreshed.baseline };
    assert_eq!(again, baseline);
}

/// What the ID token of the refresh says is verified.
#[tokio::test]
async fn claims_of_userinfo_that_stays_away_go_and_those_of_the_id_token_stay() {
    for userinfo in [Userinfo::Auto, Userinfo::Always] {
        let scene = scene(|settings| settings.userinfo = userinfo).await;
        let mut baseline = scene.complete().await.unwrap().baseline;
        let UnixTime(now) = Clock::system().unix();
        baseline.stale_since = Some(UnixTime(now - 700));
        scene.script(|script| script.userinfo = Reply::json(503, &json!({})));
        let late = scene.refresh(&baseline).await.unwrap();
        let identity = late.identity.unwrap();
        assert_eq!((identity.groups().count(), identity.name.as_deref()), (0, Some("Alice")));
        assert!(identity.groups_missing && late.baseline.has_userinfo);
        assert_eq!(late.baseline.stale_since, baseline.stale_since);
        let good = Reply::json(200, &json!({"sub": "alice", "groups": ["staff"]}));
        scene.script(|script| script.userinfo = good);
        let back = scene.refresh(&late.baseline).await.unwrap();
        assert!(back.identity.unwrap().groups().eq(["staff"]));
        assert_eq!(back.baseline.stale_since, None);
    }
}

#[tokio::test]
async fn failed_refresh_shows_whether_the_session_ends() {
    let scene = scene(|_| {}).await;
    let baseline = scene.complete().await.unwrap().baseline;
    let answer = |status, code| Some(Reply::json(status, &json!({"error": code})));
    scene.script(|script| script.token = answer(400, "invalid_grant"));
    assert!(matches!(scene.refresh(&baseline).await, Err(RefreshError::Ended(_))));
    for (status, code) in [(401, "invalid_client"), (500, "x"), (400, "slow_down")] {
        scene.script(|script| script.token = answer(status, code));
        assert!(
            matches!(scene.refresh(&baseline).await, Err(RefreshError::Temporary(_))),
            "{code}"
        );
    }
}
