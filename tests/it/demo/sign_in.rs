//! The provider on an honest day.

use super::*;

#[tokio::test]
async fn sign_in_ends_with_tokens_that_verify() {
    let scene = Scene::start().await;
    let (_, form) = scene.authorize(&[], "").await;
    let policy = &form.headers["content-security-policy"];
    assert!(policy.contains("form-action 'self' http://127.0.0.1:9;"), "{policy}");
    assert!(form.body.contains("alice") && form.body.contains("bob"));

    let tokens = scene.tokens().await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 60);
    let claims = scene.verify(tokens["id_token"].as_str().unwrap()).await.unwrap();
    let now = scene.clock.unix().0;
    for (name, value) in [
        ("iss", json!(scene.idp.issuer())),
        ("aud", json!("gateway")),
        ("sub", json!("demo-alice")),
        ("nonce", json!("n0nce")),
        ("email", json!("alice@example.com")),
        ("email_verified", json!(true)),
        ("name", json!("Alice Adams")),
        ("preferred_username", json!("alice")),
        ("groups", json!(["staff"])),
        ("sid", json!(scene.idp.sid_of("alice"))),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["exp"].as_i64().unwrap() > now && claims["auth_time"].as_i64().unwrap() <= now);
    assert_eq!(claims["at_hash"].as_str().unwrap().len(), 22);

    let userinfo = scene.userinfo(&tokens["access_token"]).await.json();
    assert_eq!(userinfo["sub"], "demo-alice");
    let counts = scene.idp.counts();
    assert_eq!((counts.authorization, counts.code_exchanges, counts.userinfo), (3, 1, 1));
}

#[tokio::test]
async fn id_token_is_signed_by_the_configured_algorithm() {
    for algorithm in [Algorithm::RS256, Algorithm::ES384, Algorithm::EdDSA] {
        let clock = Clock::manual();
        let settings = Settings { algorithm, path: "/realms/main".into(), ..Settings::default() };
        let scene =
            Scene { idp: IdentityProvider::start(settings, clock.clone()).await.unwrap(), clock };
        let metadata = scene.get("/realms/main/.well-known/openid-configuration").await.json();
        assert_eq!(metadata["issuer"], scene.idp.issuer());
        assert_eq!(metadata["id_token_signing_alg_values_supported"][0], algorithm.name());
        let claims = serde_json::Map::new();
        let token = scene.idp.sign("logout+jwt", &claims).unwrap();
        let keys = scene.get("/realms/main/jwks").await;
        let keys = KeySet::parse(keys.body.as_bytes()).unwrap();
        assert!(jose::verify(&token, &keys, &[algorithm]).is_ok(), "{algorithm}");
        assert_eq!(scene.get("/jwks").await.status, 404);
    }
}

#[tokio::test]
async fn authorization_response_has_state_and_iss() {
    let scene = Scene::start().await;
    let signed_in = scene.sign_in("alice").await;
    let (_, silent) = scene.authorize(&[], &signed_in.cookie).await;
    let parameters = silent.redirect();
    assert_eq!((silent.status, &*parameters["state"]), (303, "st&te"));
    assert_eq!(parameters["iss"], scene.idp.issuer());
    assert!(parameters.contains_key("code"), "a second sign-in is silent");
}

#[tokio::test]
async fn form_is_shown_as_prompt_and_max_age_require() {
    let scene = Scene::start().await;
    let SignedIn { cookie, .. } = scene.sign_in("alice").await;
    for prompt in ["login", "select_account"] {
        let (_, form) = scene.authorize(&[("prompt", prompt)], &cookie).await;
        assert_eq!(form.status, 200, "{prompt}");
    }
    let (_, silent) = scene.authorize(&[("prompt", "none")], &cookie).await;
    assert!(silent.redirect().contains_key("code"));
    let (_, failed) = scene.authorize(&[("prompt", "none")], "").await;
    assert_eq!(failed.redirect()["error"], "login_required");
    let (_, hinted) = scene.authorize(&[("login_hint", "bob@example.com")], "").await;
    assert!(hinted.body.contains(r#"value="bob""#), "{}", hinted.body);
    scene.clock.advance(Duration::from_secs(30));
    let (_, old) = scene.authorize(&[("max_age", "10")], &cookie).await;
    assert_eq!(old.status, 200);
}

#[tokio::test]
async fn wrong_password_gets_the_form_again_with_its_input_escaped() {
    let scene = Scene::start().await;
    let (request, _) = scene.authorize(&[], "").await;
    for (username, password) in [("alice", "bob"), ("mallory", "mallory"), ("<b>", "")] {
        let fields = [("request", &*request), ("username", username), ("password", password)];
        let answer = scene.ask("POST /login HTTP/1.1", &query(&fields, &[])).await;
        assert_eq!(answer.status, 403, "{username}");
        assert!(!answer.body.contains("<b>") && !answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn unregistered_redirect_uri_gets_400_and_no_redirect() {
    let scene = Scene::start().await;
    for change in [
        ("redirect_uri", "https://evil.example/"),
        ("redirect_uri", "http://127.0.0.1:9/oauth2/callback/"),
        ("redirect_uri", ""),
        ("client_id", "stranger"),
    ] {
        let (_, rejected) = scene.authorize(&[change], "").await;
        assert_eq!(rejected.status, 400, "{change:?}");
        assert!(!rejected.headers.contains_key("location"));
    }
    let twice = format!("{}&state=2", query(&AUTHORIZATION_REQUEST, &[]));
    assert_eq!(scene.get(&format!("/authorize?{twice}")).await.status, 400);
}

#[tokio::test]
async fn other_request_errors_are_redirected_to_the_client() {
    let scene = Scene::start().await;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "email"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
    ] {
        let (_, rejected) = scene.authorize(&[change], "").await;
        let parameters = rejected.redirect();
        assert_eq!((&*parameters["error"], &*parameters["state"]), (error, "st&te"), "{change:?}");
    }
}

#[tokio::test]
async fn code_is_bound_to_its_authorization_request() {
    let scene = Scene::start().await;
    for change in [
        ("redirect_uri", "http://127.0.0.1:9/other"),
        ("redirect_uri", ""),
        ("code_verifier", "wrong"),
        ("code_verifier", ""),
        ("code", "unknown"),
    ] {
        let SignedIn { code, .. } = scene.sign_in("alice").await;
        scene.exchange(&code, &[change]).await.expect_error(400, "invalid_grant");
    }
    let unbound = [("code_challenge", ""), ("code_challenge_method", "")];
    let SignedIn { code, .. } = scene.sign_in_with("alice", &unbound).await;
    scene.exchange(&code, &[]).await.expect_error(400, "invalid_grant");
    let SignedIn { code, .. } = scene.sign_in_with("alice", &unbound).await;
    assert_eq!(scene.exchange(&code, &[("code_verifier", "")]).await.status, 200);
}

#[tokio::test]
async fn code_expires() {
    let scene = Scene::start().await;
    let SignedIn { code, .. } = scene.sign_in("alice").await;
    scene.clock.advance(Duration::from_secs(61));
    scene.exchange(&code, &[]).await.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn code_that_is_used_twice_revokes_its_tokens() {
    let scene = Scene::start().await;
    let SignedIn { code, .. } = scene.sign_in("alice").await;
    let tokens = scene.exchange(&code, &[]).await.json();
    scene.exchange(&code, &[]).await.expect_error(400, "invalid_grant");
    assert_eq!(scene.userinfo(&tokens["access_token"]).await.status, 401);
    let refreshed = scene.refresh(tokens["refresh_token"].as_str().unwrap()).await;
    refreshed.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn client_that_authenticates_in_two_ways_is_rejected() {
    let scene = Scene::start().await;
    let secret = "s3:cret &";
    let grant = ("grant_type", "refresh_token");
    // `invalid_grant` means that the client was authenticated and only the token is unknown.
    for (head, fields, status, error) in [
        (basic("gateway:s3%3Acret+%26"), vec![grant], 400, "invalid_grant"),
        (basic("gateway:wrong"), vec![grant], 401, "invalid_client"),
        (basic("gateway"), vec![grant], 401, "invalid_client"),
        (
            "x: y".into(),
            vec![grant, ("client_id", "gateway"), ("client_secret", secret)],
            400,
            "invalid_grant",
        ),
        (
            "x: y".into(),
            vec![grant, ("client_id", "gateway"), ("client_secret", "no")],
            401,
            "invalid_client",
        ),
        ("x: y".into(), vec![grant, ("client_id", "gateway")], 401, "invalid_client"),
        ("x: y".into(), vec![grant, ("client_id", "public")], 400, "invalid_grant"),
        ("x: y".into(), vec![grant], 401, "invalid_client"),
        (
            basic("gateway:s3%3Acret+%26"),
            vec![grant, ("client_secret", secret)],
            400,
            "invalid_request",
        ),
        (basic("gateway:s3%3Acret+%26"), vec![grant, grant], 400, "invalid_request"),
        (
            basic("gateway:s3%3Acret+%26"),
            vec![("grant_type", "password")],
            400,
            "unsupported_grant_type",
        ),
    ] {
        let body = query(&fields, &[]);
        let answer = scene.ask(&format!("POST /token HTTP/1.1\r\n{head}"), &body).await;
        answer.expect_error(status, error);
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn refresh_token_rotates_with_each_use() {
    let text = |tokens: &Value| tokens["refresh_token"].as_str().unwrap().to_owned();
    let scene = Scene::start().await;
    let first = text(&scene.tokens().await);
    let answer = scene.refresh(&first).await.json();
    let claims = scene.verify(answer["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("demo-alice"), &Value::Null));
    let second = text(&answer);
    assert_eq!(scene.refresh(&first).await.status, 200, "the answer may have been lost");
    let fourth = text(&scene.refresh(&second).await.json());
    scene.refresh(&first).await.expect_error(400, "invalid_grant");
    assert_eq!(scene.refresh(&fourth).await.status, 200);

    let strict = RefreshTokens::RotatingStrictly;
    let scene = Scene::with(Settings { refresh_tokens: strict, ..Settings::default() }).await;
    let first = text(&scene.tokens().await);
    let second = text(&scene.refresh(&first).await.json());
    scene.refresh(&first).await.expect_error(400, "invalid_grant");
    scene.refresh(&second).await.expect_error(400, "invalid_grant");

    let fixed = RefreshTokens::Fixed;
    let scene = Scene::with(Settings { refresh_tokens: fixed, ..Settings::default() }).await;
    let only = text(&scene.tokens().await);
    for _ in 0..3 {
        assert_eq!(scene.refresh(&only).await.json()["refresh_token"], Value::Null);
    }
    assert_eq!(scene.idp.counts().refreshes, 3);

    let never = RefreshTokens::Never;
    let scene = Scene::with(Settings { refresh_tokens: never, ..Settings::default() }).await;
    assert_eq!(scene.tokens().await["refresh_token"], Value::Null);
}

#[tokio::test]
async fn access_token_expires_by_the_clock() {
    let scene = Scene::start().await;
    let tokens = scene.tokens().await;
    scene.clock.advance(Duration::from_secs(59));
    assert_eq!(scene.userinfo(&tokens["access_token"]).await.status, 200);
    scene.clock.advance(Duration::from_secs(2));
    let rejected = scene.userinfo(&tokens["access_token"]).await;
    assert!(rejected.headers["www-authenticate"].contains("invalid_token"));
    rejected.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn revoked_refresh_token_ends_its_family() {
    let scene = Scene::start().await;
    let tokens = scene.tokens().await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let body = query(&[("token", refresh), ("client_id", "public")], &[]);
    assert_eq!(scene.ask("POST /revoke HTTP/1.1", &body).await.status, 200);
    assert_eq!(scene.userinfo(&tokens["access_token"]).await.status, 200, "another's token");
    let head = format!("POST /revoke HTTP/1.1\r\n{}", basic("gateway:s3%3Acret+%26"));
    assert_eq!(scene.ask(&head, &query(&[("token", refresh)], &[])).await.status, 200);
    assert_eq!(scene.userinfo(&tokens["access_token"]).await.status, 401);
    scene.refresh(refresh).await.expect_error(400, "invalid_grant");
    assert_eq!(scene.idp.counts().revocations, 2);
}

#[tokio::test]
async fn account_changes_take_effect_at_once() {
    let scene = Scene::start().await;
    let tokens = scene.tokens().await;
    scene.idp.set_groups("alice", &["admin", "ops"]);
    let userinfo = scene.userinfo(&tokens["access_token"]).await.json();
    assert_eq!(userinfo["groups"], json!(["admin", "ops"]));
    let refreshed = scene.refresh(tokens["refresh_token"].as_str().unwrap()).await.json();
    let claims = scene.verify(refreshed["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["groups"], json!(["admin", "ops"]));

    scene.idp.remove_account("alice");
    assert_eq!(scene.userinfo(&refreshed["access_token"]).await.status, 401);
    let gone = scene.refresh(refreshed["refresh_token"].as_str().unwrap()).await;
    gone.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn revoke_all_ends_every_token_and_session() {
    let scene = Scene::start().await;
    let tokens = scene.tokens().await;
    scene.idp.revoke_all();
    assert_eq!(scene.userinfo(&tokens["access_token"]).await.status, 401);
    let gone = scene.refresh(tokens["refresh_token"].as_str().unwrap()).await;
    gone.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn id_token_hint_of_an_old_key_is_still_recognised() {
    let scene = Scene::start().await;
    let tokens = scene.tokens().await;
    let id_token = tokens["id_token"].as_str().unwrap();
    scene.idp.rotate_keys().unwrap();
    assert_eq!(scene.verify(id_token).await.unwrap_err(), jose::Error::UnknownKey);
    let fresh = scene.tokens().await;
    assert!(scene.verify(fresh["id_token"].as_str().unwrap()).await.is_ok());
    let answer = scene.get(&format!("/end_session?id_token_hint={id_token}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn sign_out_ends_the_session_and_redirects_to_a_registered_uri_only() {
    let scene = Scene::start().await;
    let SignedIn { cookie, code } = scene.sign_in("alice").await;
    let tokens = scene.exchange(&code, &[]).await.json();
    let hint = tokens["id_token"].as_str().unwrap();
    let target = |hint: &str, uri: &str| {
        let fields =
            [("id_token_hint", hint), ("post_logout_redirect_uri", uri), ("state", "back")];
        format!("/end_session?{}", query(&fields, &[]))
    };
    for (hint, uri) in [(hint, "https://evil.example/"), (hint, CALLBACK), ("x.y.z", SIGNED_OUT)] {
        let rejected = scene.get(&target(hint, uri)).await;
        assert_eq!(rejected.status, 400, "{uri}");
    }
    let without = |client: &str| {
        let fields = [("post_logout_redirect_uri", SIGNED_OUT), ("client_id", client)];
        format!("/end_session?{}", query(&fields, &[]))
    };
    for target in [
        without("unknown"),
        format!("/end_session?{}", query(&[("post_logout_redirect_uri", SIGNED_OUT)], &[])),
    ] {
        assert_eq!(scene.get(&target).await.status, 400, "{target}");
    }
    let answer = scene.get(&without("gateway")).await;
    assert_eq!(answer.headers["location"], SIGNED_OUT);

    let answer = scene.get(&target(hint, SIGNED_OUT)).await;
    assert_eq!(answer.headers["location"], format!("{SIGNED_OUT}?state=back"));
    let (_, form) = scene.authorize(&[], &cookie).await;
    assert_eq!(form.status, 200, "the provider's session has ended");
    assert_eq!(scene.userinfo(&tokens["access_token"]).await.status, 401);
}

#[tokio::test]
async fn acr_is_the_requested_one() {
    let scene = Scene::start().await;
    let SignedIn { code, .. } = scene.sign_in_with("alice", &[("acr_values", "mfa pwd")]).await;
    let tokens = scene.exchange(&code, &[]).await.json();
    let claims = scene.verify(tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["acr"], "mfa");
}

#[tokio::test]
async fn stopped_provider_accepts_no_connection() {
    let scene = Scene::start().await;
    scene.idp.stop().await;
    assert!(TcpStream::connect(scene.idp.address()).await.is_err());
}
