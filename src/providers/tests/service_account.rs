//! Groups that a service account of Google reads, and what `check --online` says about it.

use super::*;
use crate::oauth::loopback::Seen;
use crate::providers::fetch::FetchError;
use crate::providers::kinds::ProviderKind;
use crate::providers::{ProbeReport, ServiceAccount};

const DIRECTORY: &str = "/admin/directory/v1/groups";
const CLOUD_IDENTITY: &str = "/v1/groups/-/memberships:searchTransitiveGroups";
const ACCOUNT: &str = "gateway@project.iam.gserviceaccount.com";

/// A service account whose tokens are at this server.
fn account(op: &Loopback, admin_email: Option<&str>) -> ServiceAccount {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let account = ServiceAccount::new(ACCOUNT.to_owned(), op.url("/token"), &key, "1234abcd");
    account.unwrap().acting_for(admin_email.map(str::to_owned))
}

/// A provider of kind google at this server.
fn provider(op: &Loopback, admin_email: Option<&str>) -> Provider {
    let kind = ProviderKind::by_name("google").unwrap();
    let service_account = Some(account(op, admin_email));
    let settings = Settings { kind, service_account, ..settings(op.issuer()) };
    Provider::new(settings, &states()).unwrap()
}

/// A server that sends a token, and this for lists of groups.
async fn server(lists: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Loopback {
    let count = std::sync::atomic::AtomicU32::new(0);
    Loopback::start(move |_, seen| match seen.path.as_str() {
        "/token" => {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let token = format!("token-{number}");
            let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600});
            Reply::json(200, &body)
        }
        DIRECTORY | CLOUD_IDENTITY => lists(seen),
        _ => Reply::json(404, &json!({})),
    })
    .await
}

fn alice() -> Map<String, Value> {
    user("alice@example.com", true)
}

fn user(email: &str, is_verified: bool) -> Map<String, Value> {
    let claims = json!({"sub": "1", "email": email, "email_verified": is_verified});
    claims.as_object().unwrap().clone()
}

fn one_group(seen: &Seen) -> Reply {
    Reply::json(
        200,
        &match seen.path.as_str() {
            DIRECTORY => json!({"groups": [{"email": "staff@example.com"}]}),
            _ => json!({"memberships": [{"groupKey": {"id": "staff@example.com"}}]}),
        },
    )
}

async fn groups(
    provider: &Provider,
    claims: &Map<String, Value>,
) -> Result<Vec<String>, FetchError> {
    provider.groups_by_account(claims).await.unwrap()
}

#[tokio::test]
async fn one_token_of_the_account_lists_groups_of_all_users() {
    for (admin, path) in [(None, CLOUD_IDENTITY), (Some("admin@example.com"), DIRECTORY)] {
        let op = server(one_group).await;
        let provider = provider(&op, admin);
        for _ in 0..2 {
            assert_eq!(groups(&provider, &alice()).await.unwrap(), ["staff@example.com"]);
        }
        assert_eq!((op.seen("/token").len(), op.seen(path).len()), (1, 2));
        assert!(op.seen(path).iter().all(|seen| seen.headers["authorization"] == "Bearer token-0"));
    }
}

#[tokio::test]
async fn address_of_the_user_cannot_change_the_query() {
    let op = server(one_group).await;
    let claims = user("o'hara&x=1@example.com", true);
    groups(&provider(&op, None), &claims).await.unwrap();
    let [seen] = &op.seen(CLOUD_IDENTITY)[..] else { panic!("one request") };
    assert_eq!(
        seen.query["query"],
        "member_key_id == 'o\\'hara&x=1@example.com' && \
         'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
    );
    assert_eq!(seen.query["pageSize"], "1000");
    groups(&provider(&op, Some("admin@example.com")), &claims).await.unwrap();
    let [seen] = &op.seen(DIRECTORY)[..] else { panic!("one request") };
    assert_eq!(seen.query["userKey"], "o'hara&x=1@example.com");
    assert!(!seen.query.contains_key("x"));
}

#[tokio::test]
async fn address_that_is_not_verified_has_no_groups() {
    let op = server(one_group).await;
    let error = groups(&provider(&op, None), &user("alice@example.com", false)).await.unwrap_err();
    assert!(error.to_string().contains("no verified e-mail address"), "{error}");
    assert!(!error.is_temporary());
    assert_eq!(op.seen("/token").len(), 0);
}

#[tokio::test]
async fn rejected_token_is_replaced_once() {
    let op = server(|seen| match seen.headers["authorization"].to_str().unwrap() {
        "Bearer token-1" => one_group(seen),
        _ => Reply::json(401, &json!({"error": {"code": 401}})),
    })
    .await;
    let provider = provider(&op, None);
    assert_eq!(groups(&provider, &alice()).await.unwrap(), ["staff@example.com"]);
    assert_eq!(op.seen("/token").len(), 2);

    let op = server(|_| Reply::json(401, &json!({"error": {"code": 401}}))).await;
    let provider = self::provider(&op, None);
    let error = groups(&provider, &alice()).await.unwrap_err();
    assert!(matches!(error, FetchError::Rejected { .. }), "{error}");
    assert_eq!((op.seen("/token").len(), op.seen(CLOUD_IDENTITY).len()), (2, 2));
}

#[tokio::test]
async fn exceeded_limit_is_temporary_and_a_missing_right_is_not() {
    for (reason, is_temporary) in
        [("userRateLimitExceeded", true), ("quotaExceeded", true), ("forbidden", false)]
    {
        let body = json!({"error": {"code": 403, "errors": [{"reason": reason}]}});
        let op = server(move |_| Reply::json(403, &body)).await;
        let error = groups(&provider(&op, None), &alice()).await.unwrap_err();
        assert_eq!(error.is_temporary(), is_temporary, "{reason}: {error}");
        assert_eq!(error.to_string().contains("check --online"), !is_temporary, "{error}");
    }
}

#[tokio::test]
async fn apis_are_at_their_services_or_where_the_issuer_is() {
    let op = server(one_group).await;
    let kind = ProviderKind::by_name("google").unwrap();
    let base = |issuer: &str, internal: Option<&str>| {
        let internal_origin = internal.map(|origin| Origin::parse(origin).unwrap());
        let service_account = Some(account(&op, None));
        let own = settings(issuer.to_owned());
        let settings = Settings { kind, service_account, internal_origin, ..own };
        let provider = Provider::new(settings, &states()).unwrap();
        provider.account_groups.unwrap().base().to_string()
    };
    assert_eq!(base("https://accounts.google.com", None), "https://cloudidentity.googleapis.com/");
    assert_eq!(base("https://id.example/google", None), "https://id.example/");
    assert_eq!(base("https://id.example", Some("http://id:8080")), "http://id:8080/");
}

/// What `check --online` finds: key, severity and text of the only finding, or nothing.
async fn probed(op: &Loopback, admin: Option<&str>) -> Option<(&'static str, bool, String)> {
    let mut report = ProbeReport::default();
    provider(op, admin).try_service_account(&mut report).await;
    let found = report.findings.pop();
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!(report.passed == ["the service account"], found.is_none(), "{report:?}");
    found.map(|found| {
        let text = format!("{}\n{}", found.message, found.hint.unwrap_or_default());
        (found.key, found.is_fatal, text)
    })
}

#[tokio::test]
async fn check_lists_the_groups_of_the_administrator_or_of_the_account() {
    let op = server(|_| Reply::json(200, &json!({}))).await;
    assert_eq!(probed(&op, Some("admin@example.com")).await, None);
    assert_eq!(op.seen(DIRECTORY)[0].query["userKey"], "admin@example.com");
    assert_eq!(probed(&op, None).await, None);
    assert!(op.seen(CLOUD_IDENTITY)[0].query["query"].contains(ACCOUNT));
}

#[tokio::test]
async fn check_says_why_the_account_gets_no_token() {
    let admin = Some("admin@example.com");
    for (status, error, admin, is_fatal, words) in [
        (401, "unauthorized_client", admin, true, "Domain-wide delegation"),
        (400, "invalid_grant", admin, true, "check that `admin_email` is an administrator"),
        (400, "invalid_grant", None, true, "create a new key"),
        (503, "unavailable", None, false, "try again later"),
    ] {
        let body = json!({"error": error, "error_description": "Not so."});
        let op = Loopback::start(move |_, _| Reply::json(status, &body)).await;
        let (key, was_fatal, text) = probed(&op, admin).await.unwrap();
        assert_eq!((key, was_fatal), ("service_account", is_fatal), "{text}");
        assert!(text.contains(words) && text.contains("users have no groups"), "{text}");
    }
}

#[tokio::test]
async fn check_says_why_the_account_cannot_list_groups() {
    let message = "Cloud Identity API has not been used in project 1.\u{1b}[31m";
    let forbidden = json!({"error": {"code": 403, "message": message}});
    let op = server(move |_| Reply::json(403, &forbidden)).await;
    let (key, is_fatal, text) = probed(&op, None).await.unwrap();
    assert_eq!((key, is_fatal), ("service_account", false), "{text}");
    assert!(text.contains("(HTTP 403): Cloud Identity API has not been used in project 1.[31m\n"));
    assert!(text.contains("Groups Reader"), "{text}");
    let (key, is_fatal, text) = probed(&op, Some("admin@example.com")).await.unwrap();
    assert_eq!((key, is_fatal), ("admin_email", true), "{text}");
    assert!(text.contains("cannot list the groups of admin@example.com"), "{text}");
    assert!(text.contains("Admin SDK API"), "{text}");
    let op = server(|_| Reply::json(503, &json!({}))).await;
    let (_, is_fatal, text) = probed(&op, Some("admin@example.com")).await.unwrap();
    assert!(!is_fatal && text.contains("try again later"), "{text}");
}
