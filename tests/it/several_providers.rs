//! Two providers with equal claims for different users.

use serde_json::Value;

use crate::support::faults::{Account, IdentityProvider};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::wire::status;

/// A stack with these routes, and a second provider that has the same accounts.
async fn stack<const ROUTES: usize>(routes: [&str; ROUTES]) -> (Stack, IdentityProvider) {
    let partner = provider::start_for(Account::demo()).await;
    let stack = Stack::builder()
        .second_provider(&provider::entry("partner", "Partner", partner.issuer(), ""))
        .server("forward_auth: { clients: [{ from: [127.0.0.1], proxy: nginx }] }")
        .routes(routes)
        .start()
        .await;
    (stack, partner)
}

/// The header fields of the request that the application received.
async fn arrived(stack: &Stack, target: &str, fields: &str) -> Value {
    stack.received(target, fields).await["headers"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_users_of_two_providers_have_different_provider_headers() {
    let (stack, _partner) = stack([
        "UPSTREAM, allow: authenticated",
        "path: /open, UPSTREAM, allow: public",
        "path: /one, UPSTREAM, allow: authenticated, providers: [company]",
    ])
    .await;
    let (company, partner) =
        (stack.cookie_of("alice").await, stack.cookie_from("partner", "alice").await);
    for target in ["/", "/open"] {
        let [here, there] =
            [arrived(&stack, target, &company).await, arrived(&stack, target, &partner).await];
        for name in ["x-forwarded-user", "x-forwarded-email"] {
            assert_eq!(here[name], there[name], "{target}");
        }
        let providers = [&here, &there].map(|headers| headers["x-forwarded-provider"].clone());
        assert_eq!(providers, ["company", "partner"], "{target}");
    }
    let alone = arrived(&stack, "/one", &company).await;
    assert!(alone["x-forwarded-provider"].is_null(), "one provider needs no name: {alone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_provider_header_is_removed_whether_one_is_set_or_not() {
    let (stack, _partner) = stack([
        "UPSTREAM, allow: public",
        "path: /one, UPSTREAM, allow: public, providers: [company]",
    ])
    .await;
    let company = stack.cookie_of("alice").await;
    for name in ["X-Forwarded-Provider", "x_forwarded_provider", "X.Forwarded.Provider"] {
        let forged = format!("{name}: mallory\r\n");
        for target in ["/", "/one"] {
            for fields in [forged.clone(), forged.clone() + &company] {
                let headers = arrived(&stack, target, &fields).await;
                assert!(!headers.to_string().contains("mallory"), "{target} {name}: {headers}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn narrowing_query_on_a_route_of_several_providers_gets_403() {
    let (stack, _partner) = stack([
        "allow: authenticated",
        "path: /one, allow: authenticated, providers: [company]",
        "path: /two, allow: authenticated, providers: [company, partner]",
    ])
    .await;
    let company = stack.cookie_of("alice").await;
    for (path, narrowing, expected) in [
        ("/", "", 202),
        ("/", "?allowed_groups=staff", 403),
        ("/", "?allowed_emails=alice@example.com", 403),
        ("/", "?allowed_email_domains=example.com", 403),
        ("/two", "?allowed_groups=staff", 403),
        ("/one", "?allowed_groups=staff", 202),
        ("/one", "?allowed_groups=other", 403),
    ] {
        let about = format!("X-Original-URI: {path}\r\nX-Original-Method: GET\r\n{company}");
        for endpoint in ["auth", "forward_auth"] {
            let answer = stack.answer(&format!("GET /oauth2/{endpoint}{narrowing}"), &about).await;
            assert_eq!(status(&answer), expected, "{endpoint}{narrowing} {path}: {answer}");
        }
    }
}
