//! Answers to users whom the rules deny.

use super::{Stack, builder};
use crate::support::faults::{Account, Fault, GrantType, IdTokenFault};
use crate::support::provider;
use crate::support::wire::field;

async fn stack() -> Stack {
    builder(
        Account::demo(),
        &[
            ("/", "allow: authenticated"),
            (
                "/staff",
                "allow: [{ groups: [staff], email_domains: [example.org] }, { users: [no-user] }]",
            ),
            ("/network", "allow: [{ groups: [staff], client_addresses: [192.0.2.0/24] }]"),
            ("/read", "allow: [{ public: true, methods: [GET] }]"),
        ],
    )
    .start()
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_a_403_names_user_failed_keys_and_other_account() {
    let stack = stack().await;
    let mut browser = stack.browser();
    let page = provider::sign_in(&mut browser, "/staff?a=b", "bob").await;
    assert_eq!(page.status, 403);
    for said in [
        "Bob Brown",
        "bob@example.com",
        "Company",
        "Your account is not among those that have access.",
        "/oauth2/sign_out",
        "prompt=select_account",
        "rd=%2Fstaff%3Fa%3Db",
    ] {
        let body = page.body.replace("&#x2f;", "/").replace("&amp;", "&");
        assert!(body.contains(said), "{said} is missing in {body}");
    }
    assert_eq!(page.header("content-language"), "en");
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("cache-control"), "no-store");
    let network = browser.navigate("/network").await;
    assert_eq!(network.status, 403);
    let sentence = "Your account is not in a group that has access.";
    assert!(network.body.contains(sentence), "{}", network.body);
    // Signing in would not help, so the reason is that of every visitor.
    let stranger = stack.browser().navigate("/network").await;
    assert_eq!(stranger.status, 403);
    let sentence = "There is no access from the network that you are using.";
    assert!(stranger.body.contains(sentence), "{}", stranger.body);
    // Another account: the provider must show its account selection.
    let start = browser.navigate("/oauth2/start?prompt=select_account&rd=/staff").await;
    assert!(start.header("location").contains("prompt=select_account"), "{start:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unverified_email_is_named_on_the_page_and_once_in_the_log() {
    let eve = Account { email_verified: false, ..Account::new("eve", "Eve", &[]) };
    let rules = "allow: [{ emails: [eve@example.com], email_domains: [example.com] }]";
    let stack = builder(vec![eve], &[("/", rules)]).start().await;
    for _ in 0..2 {
        let mut browser = stack.browser();
        let page = provider::sign_in(&mut browser, "/", "eve").await;
        assert_eq!(page.status, 403);
        let said = "e-mail address is not verified";
        assert_eq!(page.body.matches(said).count(), 1, "{}", page.body);
        assert!(!page.body.contains("not among those"), "{}", page.body);
    }
    stack.gateway.log_until_all(&["denied", "\"reason\":\"email_unverified\""]);
    let remedy = "providers.company.require_email_verified";
    let log = stack.gateway.log_until_all(&["\"WARN\"", remedy]);
    assert_eq!(log.iter().filter(|line| line.contains(remedy)).count(), 1, "{log:?}");
}

/// With a rule on groups and no group mapper at the provider, everyone is "not in an allowed group".
#[tokio::test(flavor = "multi_thread")]
async fn claim_that_never_comes_is_named_in_the_log_of_its_denials() {
    let routes = [("/", "allow: [{ groups: [staff] }]")];
    let stack = builder(Account::demo(), &routes)
        .faults(&[Fault::IdToken(GrantType::SignIn, IdTokenFault::Bare)])
        .provider_keys("userinfo: never")
        .start()
        .await;
    for _ in 0..2 {
        let mut browser = stack.browser();
        assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 403);
    }
    let absent = "\"absent_claims\":\"groups\"";
    stack.gateway.log_until_all(&["\"event\":\"denied\"", absent]);
    stack.gateway.log_until_all(&["\"target\":\"access\"", "\"status\":403", absent]);
    let remedy = "check providers.company.scopes and providers.company.claims";
    let log = stack.gateway.log_until_all(&["\"WARN\"", "\"absent\":\"groups\"", remedy]);
    assert_eq!(log.iter().filter(|line| line.contains(remedy)).count(), 1, "{log:?}");
}

/// A list that the provider cut, or that cannot be read, is not taken for the whole.
#[tokio::test(flavor = "multi_thread")]
async fn incomplete_groups_are_named_on_the_page_and_in_the_log_of_a_denial() {
    let hundred: Vec<String> = (0..100).map(|at| format!("group-{at}")).collect();
    let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
    let id_token = |fault| vec![Fault::IdToken(GrantType::SignIn, fault)];
    let generic = "userinfo: never";
    for (groups, faults, keys, remedy) in [
        (
            vec!["other"],
            id_token(IdTokenFault::GroupsElsewhere),
            generic,
            "groups assigned to the application",
        ),
        (
            vec!["other"],
            id_token(IdTokenFault::GroupsAreObjects),
            generic,
            "such as /groups/*/name",
        ),
        (hundred, vec![], "userinfo: never, kind: okta", "exactly 100 groups"),
    ] {
        let stack = builder(
            vec![Account::new("alice", "Alice", &groups)],
            &[("/", "allow: [{ groups: [staff] }]")],
        )
        .faults(&faults)
        .provider_keys(keys)
        .start()
        .await;
        for _ in 0..2 {
            let page = provider::sign_in(&mut stack.browser(), "/", "alice").await;
            assert_eq!(page.status, 403);
            let sentence = "did not send all groups of your account, or may not have sent all";
            assert!(page.body.contains(sentence), "{}", page.body);
            assert!(!page.body.contains("not in a group"), "{}", page.body);
        }
        let incomplete = "\"incomplete_claims\":\"groups\"";
        stack.gateway.log_until_all(&["\"event\":\"denied\"", incomplete]);
        stack.gateway.log_until_all(&["\"target\":\"access\"", "\"status\":403", incomplete]);
        let log = stack.gateway.log_until_all(&["\"WARN\"", remedy]);
        assert_eq!(log.iter().filter(|line| line.contains(remedy)).count(), 1, "{log:?}");
        assert!(!log.iter().any(|line| line.contains("absent")), "{log:?}");
    }
}

/// A user whose roles cannot be read signs in, and the page of a denial does not blame the user.
#[tokio::test(flavor = "multi_thread")]
async fn groups_of_an_opaque_access_token_are_incomplete_in_a_denial() {
    let claim = "access_token:/realm_access/roles";
    let stack = builder(Account::demo(), &[("/", "allow: [{ groups: [staff] }]")])
        .provider_keys(&format!("userinfo: never, claims: {{ groups: \"{claim}\" }}"))
        .start()
        .await;
    for _ in 0..2 {
        let page = provider::sign_in(&mut stack.browser(), "/", "alice").await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("did not send all groups of your account"), "{}", page.body);
    }
    stack.gateway.log_until_all(&["\"event\":\"denied\"", "incomplete_claims", claim]);
    let remedy = "let the provider issue access tokens to this client as signed JWTs";
    let log = stack.gateway.log_until_all(&["\"WARN\"", remedy, claim]);
    assert_eq!(log.iter().filter(|line| line.contains(remedy)).count(), 1, "{log:?}");
    assert!(!log.iter().any(|line| line.contains("absent")), "{log:?}");
}

/// Auth subrequests may add rules.
#[tokio::test(flavor = "multi_thread")]
async fn absent_claim_of_an_added_rule_is_named_in_the_log() {
    let stack = builder(Account::demo(), &[("/", "allow: authenticated")])
        .server("forward_auth: { clients: [{ from: [127.0.0.1], proxy: nginx }] }")
        .faults(&[Fault::IdToken(GrantType::SignIn, IdTokenFault::Bare)])
        .provider_keys("userinfo: never")
        .start()
        .await;
    let cookie = stack.cookie_of("alice").await;
    let fields = format!("{cookie}X-Original-URI: /\r\nX-Original-Method: GET\r\n");
    let answer = stack.answer("GET /oauth2/auth?allowed_groups=staff", &fields).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    stack.gateway.log_until_all(&["\"event\":\"denied\"", "\"absent_claims\":\"groups\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn group_that_the_user_is_not_in_is_no_absent_claim() {
    let stack = builder(Account::demo(), &[("/", "allow: [{ groups: [staff] }]")]).start().await;
    let mut browser = stack.browser();
    assert_eq!(provider::sign_in(&mut browser, "/", "bob").await.status, 403);
    let log = stack.gateway.log_until_all(&["\"event\":\"denied\"", "\"reason\":\"groups\""]);
    assert!(!log.iter().any(|line| line.contains("absent")), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn preferred_username_mapped_to_email_is_no_verified_email() {
    let mallory = Account {
        email: "mallory@evil.example".into(),
        ..Account::new("ceo@example.com", "Mallory", &[])
    };
    let honest =
        Account { email: "ada@example.com".into(), ..Account::new("ada@example.com", "Ada", &[]) };
    let routes = [("/", "allow: [{ emails: [ceo@example.com, ada@example.com] }]")];
    let stack = builder(vec![mallory, honest], &routes)
        .provider_keys("claims: { email: preferred_username }")
        .start()
        .await;
    for (username, expected) in [("ceo@example.com", 403), ("ada@example.com", 200)] {
        let mut browser = stack.browser();
        let page = provider::sign_in(&mut browser, "/", username).await;
        assert_eq!(page.status, expected, "{username}: {page:?}");
    }
    assert_eq!(stack.upstream.request_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_api_client_gets_json_and_denied_grpc_call_a_status() {
    let stack = stack().await;
    let cookie = stack.cookie_of("bob").await;
    let before = stack.upstream.request_count();
    let ask = async |fields: &str| stack.answer("GET /staff", &format!("{cookie}{fields}")).await;
    let answer = ask("Accept: application/json\r\n").await;
    let body: serde_json::Value =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["error"], "forbidden");
    let message = body["message"].as_str().unwrap();
    for said in ["bob@example.com", "groups", "email_domains", "users"] {
        assert!(message.contains(said), "{said} is missing in {message}");
    }
    assert!(body["request_id"].is_string() && body["login_url"].is_null(), "{body}");
    let answer = ask("Content-Type: application/grpc+proto\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(field(&answer, "grpc-status"), "7", "PERMISSION_DENIED: {answer}");
    assert_eq!(stack.upstream.request_count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_no_user_is_allowed_gets_403_without_sign_in_link() {
    let stack = stack().await;
    let mut browser = stack.browser();
    let page = browser.submit("/read", &[("a", "b")]).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(
        !page.body.contains("select_account") && !page.body.contains("signed in as"),
        "{}",
        page.body
    );
}
