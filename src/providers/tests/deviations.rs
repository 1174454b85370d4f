//! What a kind of provider has in place of the standards, and that a generic provider does not have it.

use super::*;

async fn scene_of(kind: &str, option: Option<(&'static str, &str)>) -> Scene {
    scene(|settings| {
        let options = option.map(|(name, value)| (name, vec![value.to_owned()]));
        settings.kind = ProviderKind::by_name(kind).unwrap();
        settings.options = KindOptions::new(settings.kind, options.into_iter().collect());
    })
    .await
}

#[tokio::test]
async fn linkedin_signs_in_without_nonce_and_pkce_and_a_generic_provider_does_not() {
    for (kind, is_linkedin) in [("linkedin", true), ("oidc", false)] {
        let scene = scene_of(kind, None).await;
        scene.script(|script| script.id_token = json!({"nonce": null}));
        assert_eq!(scene.complete().await.is_ok(), is_linkedin, "{kind}");
        let request = &scene.op.seen("/token")[0];
        let form = String::from_utf8_lossy(&request.body);
        assert_eq!(form.contains("code_verifier"), !is_linkedin, "{form}");
        // Its metadata does not name a method.
        assert_eq!(form.contains("client_secret=secret"), is_linkedin, "{form}");
        scene.script(|script| script.id_token = json!({"nonce": "of another browser"}));
        assert!(scene.complete().await.is_err(), "{kind}");
    }
}

#[tokio::test]
async fn method_of_the_metadata_wins_over_that_of_the_kind() {
    let scene = scene_of("linkedin", None).await;
    scene.script(|script| {
        script.discovery =
            json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]});
    });
    scene.complete().await.unwrap();
    let request = &scene.op.seen("/token")[0];
    assert!(request.headers.contains_key("authorization"), "{:?}", request.body);
}

#[tokio::test]
async fn slack_user_of_another_workspace_is_denied_at_sign_in_and_refresh() {
    const TEAM: &str = "https://slack.com/team_id";
    let scene = scene_of("slack", Some(("team", "T0R7GR123"))).await;
    for claims in [json!({}), json!({TEAM: "T0OTHER99"}), json!({TEAM: ["T0R7GR123"]})] {
        scene.script(|script| script.id_token = claims.clone());
        let result = scene.complete().await;
        assert!(matches!(result, Err(Error::Outsider { .. })), "{claims}: {result:?}");
    }
    scene.script(|script| script.id_token = json!({TEAM: "T0R7GR123"}));
    let signed_in = scene.complete().await.unwrap();
    scene.script(|script| script.id_token = json!({TEAM: "T0OTHER99"}));
    assert!(scene.refresh(&signed_in.baseline).await.is_err());
    // Userinfo has it too, and the ID token of the sign-in still counts where a refresh brings none.
    scene.script(|script| {
        script.id_token = json!({TEAM: "T0R7GR123"});
        script.userinfo = Reply::json(200, &json!({"sub": "alice", TEAM: "T0R7GR123"}));
    });
    let signed_in = scene.complete().await.unwrap();
    let mute = json!({"ok": true, "access_token": "at2", "token_type": "Bearer"});
    scene.script(|script| script.token = Some(Reply::json(200, &mute)));
    assert!(scene.refresh(&signed_in.baseline).await.is_ok());
    scene_of("oidc", None).await.complete().await.unwrap();
}

#[tokio::test]
async fn slack_error_with_status_200_ends_a_session_or_is_temporary() {
    for (kind, code, ends) in [
        ("slack", "invalid_refresh_token", true),
        ("slack", "bad_client_secret", false),
        ("slack", "internal_error", false),
        ("oidc", "internal_error", true),
    ] {
        let scene = scene_of(kind, None).await;
        let signed_in = scene.complete().await.unwrap();
        let reply = Reply::json(200, &json!({"ok": false, "error": code}));
        scene.script(|script| script.token = Some(reply));
        let error = scene.refresh(&signed_in.baseline).await.unwrap_err();
        assert_eq!(matches!(error, RefreshError::Ended(_)), ends, "{kind} {code}: {error:?}");
        assert!(scene.complete().await.is_err(), "{kind} {code}");
    }
}

#[tokio::test]
async fn sign_out_goes_to_the_provider_as_its_kind_can() {
    let check = async |kind: &str, has_endpoint: bool, expected: Option<(&str, &str)>| {
        let scene = scene_of(kind, None).await;
        if !has_endpoint {
            scene.script(|script| script.discovery = json!({"end_session_endpoint": null}));
        }
        scene.complete().await.unwrap();
        let url = scene.provider.logout_request("https://app.example/", Some("s"));
        let url = url.map(|request| request.url());
        assert_eq!(url.as_ref().map(|url| url.path()), expected.map(|(path, _)| path), "{kind}");
        let names = url.as_ref().map(|url| {
            let names = url.query_pairs().map(|(name, _)| name.into_owned());
            names.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(names.as_deref(), expected.map(|(_, names)| names), "{kind}");
    };
    let standard = Some(("/logout", "client_id post_logout_redirect_uri state"));
    check("oidc", true, standard).await;
    check("oidc", false, None).await;
    check("auth0", true, standard).await;
    check("auth0", false, Some(("/v2/logout", "client_id returnTo"))).await;
    check("cognito", true, Some(("/logout", "client_id logout_uri"))).await;
    check("cognito", false, None).await;
    check("gitlab", true, None).await;
    check("slack", true, None).await;
}

#[tokio::test]
async fn groups_of_gitlab_come_from_userinfo_at_sign_in_and_each_refresh() {
    let scene = scene_of("gitlab", None).await;
    let id_token = json!({"groups_direct": ["a"], "preferred_username": "alice",
                          "email_verified": true});
    scene.script(|script| script.id_token = id_token);
    let signed_in = scene.complete().await.unwrap();
    assert_eq!(signed_in.identity.groups().collect::<Vec<_>>(), ["staff"]);
    let moved = Reply::json(200, &json!({"sub": "alice", "groups": ["staff/wiki"]}));
    scene.script(|script| script.userinfo = moved);
    let refreshed = scene.refresh(&signed_in.baseline).await.unwrap();
    let identity = refreshed.identity.unwrap();
    assert_eq!(identity.groups().collect::<Vec<_>>(), ["staff/wiki"]);
}

#[tokio::test]
async fn hundred_groups_may_be_a_cut_list_at_okta_only() {
    let groups: Vec<_> = (0..100).map(|at| at.to_string()).collect();
    for (kind, is_cut) in [("okta", true), ("oidc", false)] {
        let scene = scene_of(kind, None).await;
        scene.script(|script| script.id_token = json!({"groups": groups}));
        let identity = scene.complete().await.unwrap().identity;
        let incomplete = identity.incomplete(&ClaimPath::parse("groups").unwrap());
        assert_eq!(incomplete.is_some(), is_cut, "{kind}: {incomplete:?}");
    }
}

#[tokio::test]
async fn name_in_the_response_and_tokens_that_need_no_refresh_are_of_apple_only() {
    let user = "%7B%22name%22%3A%7B%22firstName%22%3A%22Alice%22%7D%7D";
    for (kind, is_apple) in [("apple", true), ("oidc", false)] {
        let scene = scene_of(kind, None).await;
        let name = async |users: &str| {
            let response = AuthorizationResponse::parse(&format!("code=c&state=s{users}"));
            scene.provider.code_of(&response.unwrap()).await.unwrap().name
        };
        let found = name(&format!("&user={user}")).await;
        assert_eq!(found.as_deref(), is_apple.then_some("Alice"), "{kind}");
        assert_eq!(name(&format!("&user={user}&user={user}")).await, None, "{kind}");
        let signed_in = scene.complete().await.unwrap();
        assert_eq!(signed_in.tokens.expires_in.is_none(), is_apple, "{kind}");
        let refreshed = scene.refresh(&signed_in.baseline).await.unwrap();
        assert_eq!(refreshed.tokens.expires_in.is_none(), is_apple, "{kind}");
    }
}
