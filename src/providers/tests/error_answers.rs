//! Errors in the forms and with the codes of the kinds: what they mean for a sign-in and for a session.

use super::*;

/// A scene at a provider of this kind. All of them have the endpoints of the loopback provider.
async fn scene_of(kind: &str) -> Scene {
    scene(|settings| {
        settings.kind = ProviderKind::by_name(kind).unwrap();
        let url = |path: &str| format!("{}/{path}", settings.issuer).parse().ok();
        if let kinds::SignInProtocol::OAuth(_) = settings.kind.protocol {
            settings.endpoints = ProviderEndpoints {
                authorization: url("auth"),
                token: url("token"),
                userinfo: url("userinfo"),
                ..ProviderEndpoints::default()
            };
        }
        settings.userinfo = Userinfo::Always;
    })
    .await
}

fn facebook_error(code: u32, subcode: Option<u32>) -> Value {
    let mut error = json!({"message": "why", "type": "OAuthException", "code": code});
    if let Some(subcode) = subcode {
        error["error_subcode"] = subcode.into();
    }
    json!({ "error": error })
}

/// What becomes of a sign-in whose token request gets this answer.
async fn answered(kind: &str, status: u16, body: &Value) -> Error {
    let scene = scene_of(kind).await;
    scene.script(|script| script.token = Some(Reply::json(status, body)));
    scene.complete().await.unwrap_err()
}

#[tokio::test]
async fn spent_code_and_wrong_secret_have_the_same_answers_at_every_kind() {
    let error = |code: &str| json!({ "error": code });
    let slack = |code: &str| json!({"ok": false, "error": code});
    for (kind, status, spent) in [
        ("oidc", 400, error("invalid_grant")),
        ("slack", 200, slack("invalid_code")),
        ("slack", 200, slack("code_already_used")),
        ("github", 200, error("bad_verification_code")),
        ("bitbucket", 400, error("invalid_grant")),
        ("facebook", 400, facebook_error(100, Some(36007))),
        ("facebook", 400, facebook_error(100, Some(36009))),
        ("facebook", 400, facebook_error(100, None)),
    ] {
        let found = answered(kind, status, &spent).await;
        let Error::Refused(response) = &found else { panic!("{kind} {spent}: {found}") };
        assert_eq!(response.code.as_str(), "invalid_grant", "{kind} {spent}");
    }
    for (kind, status, wrong) in [
        ("oidc", 401, error("invalid_client")),
        ("slack", 200, slack("bad_client_secret")),
        ("github", 200, error("incorrect_client_credentials")),
        ("bitbucket", 400, error("unauthorized_client")),
        ("facebook", 400, facebook_error(1, None)),
        ("facebook", 400, facebook_error(101, None)),
    ] {
        let found = answered(kind, status, &wrong).await;
        assert!(matches!(found, Error::Misconfigured(_)), "{kind} {wrong}: {found}");
        assert!(found.to_string().contains("check `client_id`, `client_secret`"), "{found}");
    }
    for (kind, status, later) in [
        ("slack", 200, slack("ratelimited")),
        ("facebook", 400, facebook_error(4, None)),
        ("facebook", 400, json!({"error": {"code": 1, "is_transient": true}})),
    ] {
        let found = answered(kind, status, &later).await;
        assert!(matches!(found, Error::Unavailable(_)), "{kind} {later}: {found}");
    }
    // The form of one kind is none at another.
    let found = answered("oidc", 400, &facebook_error(100, None)).await;
    assert!(matches!(found, Error::Misbehaved(_)), "{found}");
    let found = answered("oidc", 400, &error("unauthorized_client")).await;
    assert!(found.to_string().contains("allow the authorization code flow"), "{found}");
}

/// What a recheck says about a session when userinfo or the profile gives this answer.
async fn rechecked(kind: &str, good: Value, status: u16, answer: &Value) -> RecheckError {
    let scene = scene_of(kind).await;
    scene.script(|script| script.userinfo = Reply::json(200, &good));
    let signed_in = scene.complete().await.unwrap();
    scene.script(|script| script.userinfo = Reply::json(status, answer));
    scene.recheck(&signed_in).await.unwrap_err()
}

#[tokio::test]
async fn error_of_userinfo_ends_a_session_only_if_it_is_about_its_token() {
    let slack = |code: &str| json!({"ok": false, "error": code});
    let of_slack = async |answer: Value| {
        rechecked("slack", json!({"ok": true, "sub": "alice"}), 200, &answer).await
    };
    for code in ["invalid_auth", "token_revoked", "token_expired", "account_inactive"] {
        let error = of_slack(slack(code)).await;
        assert!(matches!(error, RecheckError::Ended(_)), "{code}: {error}");
        assert!(error.to_string().contains(code), "{error}");
    }
    for code in ["ratelimited", "internal_error", "missing_scope", "what"] {
        let error = of_slack(slack(code)).await;
        assert!(matches!(error, RecheckError::Temporary(_)), "{code}: {error}");
    }
    let error = of_slack(json!({"ok": false})).await;
    assert!(matches!(error, RecheckError::Temporary(_)), "{error}");
    let error = of_slack(json!({"ok": true, "sub": "mallory"})).await;
    assert!(matches!(error, RecheckError::Untrusted(_)), "{error}");

    let of_facebook =
        async |answer: Value| rechecked("facebook", json!({"id": "1"}), 400, &answer).await;
    for (code, subcode) in [(190, Some(458)), (190, Some(463)), (190, None), (102, None)] {
        let error = of_facebook(facebook_error(code, subcode)).await;
        assert!(matches!(error, RecheckError::Ended(_)), "{code}: {error}");
    }
    // Too many requests, an outage, and a wrong `appsecret_proof`.
    for code in [4, 2, 1, 100] {
        let error = of_facebook(facebook_error(code, None)).await;
        assert!(matches!(error, RecheckError::Temporary(_)), "{code}: {error}");
    }

    // At a generic provider it is an answer without `sub`.
    let error = rechecked("oidc", json!({"sub": "alice"}), 200, &slack("ratelimited")).await;
    assert!(matches!(error, RecheckError::Untrusted(_)), "{error}");
}

#[tokio::test]
async fn rate_limit_of_userinfo_is_temporary_with_each_of_its_statuses() {
    let body = json!({}).to_string();
    for reply in [
        Reply::json(429, &json!({})),
        Reply::Field(403, ("retry-after", "60".into()), body.clone()),
        Reply::Field(403, ("x-ratelimit-remaining", "0".into()), body),
    ] {
        let scene = scene_of("github").await;
        scene.script(|script| script.userinfo = reply.clone());
        let error = scene.complete().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{reply:?}: {error}");
    }
}
