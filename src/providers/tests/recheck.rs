//! Rechecks without a refresh token: which answers end a session, and which claims it has afterwards.

use super::*;
use crate::identity::claims::GroupsPath;

impl Scene {
    pub(super) async fn recheck(&self, signed_in: &SignedIn) -> Result<Rechecked, RecheckError> {
        let held = SessionBefore {
            identity: &signed_in.identity,
            baseline: &signed_in.baseline,
            outage_grace: Duration::ZERO,
        };
        let access_token = &Secret::new("at");
        self.provider.recheck(&RecheckRequest { access_token, held }).await
    }
}

#[tokio::test]
async fn only_an_answer_of_the_provider_ends_the_session() {
    let scene = scene(|_| {}).await;
    let signed_in = scene.complete().await.unwrap();
    let reply = |status, body: Value| Reply::json(status, &body);
    for (userinfo, ends) in [
        (reply(401, json!({"error": "invalid_token"})), true),
        (reply(200, json!({"sub": "bob"})), true),
        (reply(200, json!({})), true),
        (reply(500, json!({})), false),
        (reply(503, json!({})), false),
        (reply(429, json!({})), false),
        (reply(403, json!({})), false),
        (Reply::Drop, false),
        (Reply::Redirect(307, "/evil".into()), false),
    ] {
        scene.script(|script| script.userinfo = userinfo.clone());
        let error = scene.recheck(&signed_in).await.unwrap_err();
        assert_eq!(!matches!(error, RecheckError::Temporary(_)), ends, "{userinfo:?}: {error}");
    }
    let signed = Reply::Answer(200, "application/jwt", "e30.e30.x".into());
    scene.script(|script| script.userinfo = signed);
    assert!(matches!(scene.recheck(&signed_in).await, Ok(Rechecked::Confirmed)));
    assert_eq!(scene.op.seen("/userinfo")[1].headers["authorization"], "Bearer at");
}

#[tokio::test]
async fn new_claims_of_userinfo_take_over() {
    let scene = scene(|_| {}).await;
    let signed_in = scene.complete().await.unwrap();
    assert!(signed_in.identity.groups().eq(["staff"]));
    let moved = Reply::json(200, &json!({"sub": "alice", "groups": ["wiki"], "name": "Mallory"}));
    scene.script(|script| script.userinfo = moved);
    let Ok(Rechecked::Renewed(renewed)) = scene.recheck(&signed_in).await else { panic!() };
    let (identity, baseline) = *renewed;
    assert!(identity.groups().eq(["wiki"]));
    assert_eq!(identity.name.as_deref(), Some("Alice"), "the ID token wins");
    assert_eq!(baseline.binding, signed_in.baseline.binding);
}

#[tokio::test]
async fn userinfo_takes_away_what_both_it_and_the_id_token_had() {
    let scene = scene(|_| {}).await;
    scene.script(|script| {
        script.id_token = json!({"groups": ["staff"]});
        script.userinfo = Reply::json(200, &json!({"sub": "alice", "groups": ["staff"]}));
    });
    let mut signed_in = scene.complete().await.unwrap();
    for groups in [json!(["wiki"]), Value::Null, json!(["staff"])] {
        let claims = json!({"sub": "alice", "groups": groups});
        scene.script(|script| script.userinfo = Reply::json(200, &claims));
        let Ok(Rechecked::Renewed(renewed)) = scene.recheck(&signed_in).await else { panic!() };
        (signed_in.identity, signed_in.baseline) = *renewed;
        let found: Vec<_> = signed_in.identity.groups().collect();
        assert_eq!(json!(found), if groups.is_null() { json!([]) } else { groups });
    }
}

#[tokio::test]
async fn claims_of_the_id_token_and_of_the_access_token_stay() {
    let scene = scene(|settings| {
        settings.claims.groups = GroupsPath::parse("access_token:roles").unwrap();
    })
    .await;
    scene.script(|script| {
        script.id_token = json!({"preferred_username": "al", "email_verified": true});
        script.access_token = json!({"roles": ["admin"]});
        let claims = json!({"sub": "alice", "name": "Mallory", "access_token:roles": ["root"]});
        script.userinfo = Reply::json(200, &claims);
    });
    let signed_in = scene.complete().await.unwrap();
    let Ok(Rechecked::Renewed(renewed)) = scene.recheck(&signed_in).await else { panic!() };
    assert!(renewed.0.groups().eq(["admin"]));
    assert_eq!(renewed.0.name.as_deref(), Some("Alice"));

    // With all claims in the ID token, userinfo only says that the session stands.
    let plain = self::scene(|_| {}).await;
    plain.script(|script| {
        script.id_token =
            json!({"groups": ["g"], "preferred_username": "al", "email_verified": true});
    });
    let signed_in = plain.complete().await.unwrap();
    assert!(matches!(plain.recheck(&signed_in).await, Ok(Rechecked::Confirmed)));
}

#[tokio::test]
async fn provider_without_userinfo_cannot_be_asked_and_the_probe_says_so() {
    let without = |script: &mut Script| script.discovery = json!({"userinfo_endpoint": null});
    for userinfo in [Userinfo::Never, Userinfo::Auto] {
        let scene = scene(|settings| settings.userinfo = userinfo).await;
        if userinfo == Userinfo::Auto {
            scene.script(without);
        }
        let signed_in = scene.complete().await.unwrap();
        assert!(matches!(scene.recheck(&signed_in).await, Ok(Rechecked::NotAsked)));
        assert!(scene.op.seen("/userinfo").is_empty());
        let mut report = ProbeReport::default();
        scene.provider.probe_recheck(&mut report);
        assert_eq!(report.findings.len(), 1);
        assert!(!report.findings[0].is_fatal && report.findings[0].key == "userinfo");
    }
    let scene = scene(|_| {}).await;
    scene.complete().await.unwrap();
    let mut report = ProbeReport::default();
    scene.provider.probe_recheck(&mut report);
    assert_eq!(report, ProbeReport::default());
}

/// Any OAuth 2.0 server: its profile is asked again.
#[tokio::test]
async fn profile_of_another_user_or_status_401_ends_the_session() {
    let scene = scene(|settings| {
        settings.kind = ProviderKind::by_name("oauth2").unwrap();
        let url = |path: &str| format!("{}/{path}", settings.issuer).parse().ok();
        settings.endpoints = ProviderEndpoints {
            authorization: url("auth"),
            token: url("token"),
            userinfo: url("userinfo"),
            ..ProviderEndpoints::default()
        };
        settings.claims.user = ClaimPath::parse("id").unwrap();
    })
    .await;
    let profile = |id: u32, group: &str| Reply::json(200, &json!({"id": id, "groups": [group]}));
    scene.script(|script| script.userinfo = profile(7, "staff"));
    let signed_in = scene.complete().await.unwrap();
    scene.script(|script| script.userinfo = profile(7, "wiki"));
    let Ok(Rechecked::Renewed(renewed)) = scene.recheck(&signed_in).await else { panic!() };
    assert!(renewed.0.groups().eq(["wiki"]));
    scene.script(|script| script.userinfo = profile(8, "wiki"));
    assert!(matches!(scene.recheck(&signed_in).await, Err(RecheckError::Untrusted(_))));
    scene.script(|script| script.userinfo = Reply::json(401, &json!({})));
    assert!(matches!(scene.recheck(&signed_in).await, Err(RecheckError::Ended(_))));
    scene.script(|script| script.userinfo = Reply::json(503, &json!({})));
    assert!(matches!(scene.recheck(&signed_in).await, Err(RecheckError::Temporary(_))));
}
