//! Auth subrequests: the answer to a proxy, for each of its requests.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::support::browser::{Answer, Browser};
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::stack::{Builder, Stack};
use crate::support::wait::until;
use crate::support::wire::Wire;

/// No route has an upstream: they are for auth subrequests only.
const ROUTES: [&str; 7] = [
    "allow: authenticated",
    "path: /open, allow: public, identity_headers: { X-Who: \"{email}\" }",
    "path: /staff, allow: [{ groups: [staff] }]",
    "path: /token, allow: authenticated, identity_headers: \
     { Authorization: \"Bearer {access_token}\", X-Absent: \"{claim:absent}\", X-Who: \"{email}\" }",
    "path: /gets, allow: [{ methods: [GET] }]",
    "path: /preflight, allow: [{ public: true, methods: [OPTIONS] }, { groups: [staff] }]",
    "host: api.localhost, allow: public",
];

/// A stack whose gateway answers Traefik on loopback.
fn builder() -> Builder {
    Stack::builder()
        .server("forward_auth: { clients: [{ from: [127.0.0.1/32], proxy: traefik }] }")
        .routes(ROUTES)
}

/// The browser of a user who has signed in, as the proxy passes its cookies on.
async fn member(stack: &Stack, username: &str) -> Browser {
    let mut browser = stack.browser();
    let end = provider::sign_in(&mut browser, "/oauth2/start?rd=/signed-in", username).await;
    assert_eq!(end.url.path(), "/signed-in", "{end:?}");
    browser
}

/// Sends an auth subrequest with these fields and those of the visitor.
async fn ask(browser: &mut Browser, endpoint: &str, fields: &[(&'static str, &str)]) -> Answer {
    browser.extra = fields_of(fields);
    let answer = browser.fetch(endpoint).await;
    browser.extra.clear();
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    let granted = answer.status.is_success();
    assert_eq!(answer.headers.contains_key("cookie"), granted, "{answer:?}");
    answer
}

fn fields_of(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

async fn about(browser: &mut Browser, uri: &str) -> Answer {
    ask(browser, "/oauth2/auth", &traefik(uri, "GET")).await
}

/// The fields by which Traefik describes a request.
fn traefik<'a>(uri: &'a str, method: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("x-forwarded-uri", uri),
        ("x-forwarded-method", method),
        ("x-forwarded-host", "wiki.localhost"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "203.0.113.9"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_request_is_answered_with_all_identity_headers() {
    let stack = builder().start().await;
    let mut alice = member(&stack, "alice").await;
    let answer = about(&mut alice, "/page?q=1").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
    for (name, value) in [
        ("x-auth-request-user", "demo-alice"),
        ("x-auth-request-email", "alice@example.com"),
        ("x-auth-request-groups", "staff"),
        ("x-auth-request-preferred-username", "alice"),
        ("x-forwarded-user", "demo-alice"),
        ("x-forwarded-email", "alice@example.com"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let answer = about(&mut alice, "/token").await;
    assert_eq!(answer.header("x-who"), "alice@example.com");
    // The headers of this route replace the four defaults, and tokens are withheld on a public listener.
    for name in ["x-absent", "x-forwarded-user", "x-forwarded-groups", "authorization"] {
        assert_eq!(answer.headers.get(name).map(HeaderValue::as_bytes), Some(&b""[..]), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_route_allows_every_client_with_empty_identity_headers() {
    let stack = builder().start().await;
    for mut browser in [stack.browser(), member(&stack, "alice").await] {
        let answer = about(&mut browser, "/open/x").await;
        assert_eq!(answer.status, 202);
        for name in ["user", "email", "groups", "preferred-username"] {
            let value = answer.headers.get(format!("x-auth-request-{name}")).unwrap();
            assert!(value.is_empty(), "{name} {value:?}");
        }
        for name in ["x-who", "x-forwarded-user", "x-absent", "authorization"] {
            assert!(answer.headers.get(name).unwrap().is_empty(), "{name} of any route");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_subrequest_gets_the_decision_of_a_proxied_request() {
    let stack = builder().start().await;
    let (mut anonymous, mut bob) = (stack.browser(), member(&stack, "bob").await);
    for (uri, stranger, member) in [
        ("/", 401, 202),
        ("/page?x=/open", 401, 202),
        ("/open", 202, 202),
        ("/openx", 401, 202),
        ("/staff", 401, 403),
        ("/gets", 401, 202),
        ("/open/..;/page", 403, 403),
        ("/open/..%2fpage", 403, 403),
        ("/open/%252e%252e/page", 403, 403),
        ("/open/../page", 403, 403),
        ("//page", 401, 202),
        ("//open", 403, 403),
        ("/STAFF", 403, 403),
        ("/a%zz", 403, 403),
        ("/a%00", 403, 403),
        ("/a#/open", 403, 403),
        ("/a\\b", 403, 403),
        ("/oauth2/start", 403, 403),
        ("/%6fauth2/start", 403, 403),
        ("", 403, 403),
        ("page", 403, 403),
        ("http://wiki.localhost/", 403, 403),
    ] {
        assert_eq!(about(&mut anonymous, uri).await.status, stranger, "{uri}");
        assert_eq!(about(&mut bob, uri).await.status, member, "{uri}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_401_has_the_sign_in_url_and_403_the_reason() {
    let stack = builder().start().await;
    let answer = about(&mut stack.browser(), "/page").await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"));
    let login_url = answer.json()["login_url"].as_str().unwrap().to_owned();
    assert_eq!(login_url, "http://wiki.localhost/oauth2/start?rd=%2F");
    let mut bob = member(&stack, "bob").await;
    bob.extra = fields_of(&traefik("/staff", "GET"));
    let page = bob.navigate("/oauth2/auth").await;
    assert_eq!(page.status, 403);
    let other_account = "http://wiki.localhost/oauth2/start?rd=%2Fstaff&prompt=select_account";
    for said in ["bob@example.com", "group", &escaped(other_account)] {
        assert!(page.body.contains(said), "{said} in {}", page.body);
    }
}

fn escaped(url: &str) -> String {
    url.replace('&', "&amp;").replace('/', "&#x2f;")
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_parameters_of_the_query_only_narrow_the_rules() {
    let stack = builder().start().await;
    let (mut alice, mut bob) = (member(&stack, "alice").await, member(&stack, "bob").await);
    for (query, for_alice, for_bob) in [
        ("allowed_groups=staff,other", 202, 403),
        ("allowed_groups=other", 403, 403),
        ("allowed_emails=BOB@example.com", 403, 202),
        ("allowed_email_domains=example.com", 202, 202),
        ("allowed_email_domains=*.example.com", 403, 403),
        ("allowed_groups=staff&allowed_emails=bob@example.com", 403, 403),
        ("allowed_groups=", 403, 403),
        ("allowed_group=staff", 403, 403),
        ("allowed_groups=staff&allowed_groups=other", 403, 403),
        ("unrelated=1", 202, 202),
    ] {
        for uri in ["/page", "/open"] {
            let fields = traefik(uri, "GET");
            for endpoint in ["auth", "auth/", "forward_auth/"] {
                let endpoint = format!("/oauth2/{endpoint}?{query}");
                assert_eq!(ask(&mut alice, &endpoint, &fields).await.status, for_alice, "{query}");
                assert_eq!(ask(&mut bob, &endpoint, &fields).await.status, for_bob, "{query}");
            }
        }
    }
    let (mut anonymous, narrow) = (stack.browser(), "/oauth2/auth?allowed_groups=staff");
    assert_eq!(ask(&mut anonymous, narrow, &traefik("/open", "GET")).await.status, 401);
    assert_eq!(ask(&mut bob, narrow, &traefik("/staff", "GET")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_auth_redirects_a_navigation_to_sign_in_and_back() {
    let stack = builder().start().await;
    let mut browser = stack.browser();
    let subrequest = traefik("/page?a=1&b=2", "GET");
    browser.extra = fields_of(&subrequest);
    let answer = browser.navigate("/oauth2/forward_auth").await;
    assert_eq!(answer.status, 302);
    let rd: String =
        url::form_urlencoded::byte_serialize(b"http://wiki.localhost/page?a=1&b=2").collect();
    let start = format!("http://wiki.localhost/oauth2/start?rd={rd}");
    assert_eq!(answer.header("location"), start);
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    assert_eq!(browser.fetch("/oauth2/forward_auth").await.status, 401, "a script");
    browser.extra.insert("x-forwarded-method", HeaderValue::from_static("POST"));
    let posted = browser.navigate("/oauth2/forward_auth").await;
    assert_eq!(posted.status, 401, "a POST would lose its body");
    assert!(posted.body.contains("reload it"), "{}", posted.body);
    browser.extra.clear();
    let end = provider::sign_in(&mut browser, &start, "alice").await;
    assert_eq!(end.url.as_str(), "http://wiki.localhost/page?a=1&b=2");
    assert_eq!(ask(&mut browser, "/oauth2/forward_auth", &subrequest).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_auth_answer_is_202_401_or_403() {
    let stack = builder().start().await;
    let (mut anonymous, mut bob) = (stack.browser(), member(&stack, "bob").await);
    // Over gRPC a denial would be a 200.
    let grpc = (CONTENT_TYPE.as_str(), "application/grpc");
    let with = |uri, more: &[_]| [&traefik(uri, "GET")[..], more].concat();
    let staff = with("/staff", &[grpc]);
    assert_eq!(ask(&mut anonymous, "/oauth2/auth", &staff).await.status, 401);
    assert_eq!(ask(&mut bob, "/oauth2/auth", &staff).await.status, 403);
    let hosts = [("x-forwarded-host", "a.localhost, b.localhost"), grpc];
    assert_eq!(ask(&mut bob, "/oauth2/auth", &hosts).await.status, 403);
    let large = "x".repeat(40_000);
    assert_eq!(ask(&mut bob, "/oauth2/auth", &[("x-large", &large)]).await.status, 403);
    assert_eq!(bob.submit("/oauth2/auth/staff", &[("a", "b")]).await.status, 403, "any method");
    let bearer = with("/page", &[(AUTHORIZATION.as_str(), "Bearer x.y.z")]);
    assert_eq!(ask(&mut anonymous, "/oauth2/auth", &bearer).await.status, 401);
    // A tossed cookie is ignored, and not cleared here.
    let tossed = with("/page", &[("cookie", "portcullis=a; portcullis=b")]);
    assert_eq!(ask(&mut anonymous, "/oauth2/auth", &tossed).await.status, 401);
    for path in ["/oauth2/auth/open/../staff", "/oauth2/auth/%2e%2e/", "/oauth2/auth/open\\x"] {
        assert_eq!(raw_status(&stack.gateway, path).await, "403", "{path}");
    }
}

/// The status of a request whose path no client library would send.
async fn raw_status(gateway: &Gateway, path: &str) -> String {
    let mut wire = Wire::to(gateway).await;
    wire.say(format!("GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n")).await;
    wire.head().await.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_subrequests_refresh_the_session() {
    let stack = builder().token_lifetime(Duration::from_secs(1)).start().await;
    let mut alice = member(&stack, "alice").await;
    stack.provider.set_groups("alice", &[]);
    until("the claims are new", async || about(&mut alice, "/staff").await.status == 403).await;
    stack.provider.revoke_all();
    until("she is out", async || about(&mut alice, "/page").await.status == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_is_allowed_by_a_public_rule_for_options() {
    let stack = builder().start().await;
    let mut anonymous = stack.browser();
    for (method, expected) in [("OPTIONS", 202), ("GET", 401)] {
        let fields = traefik("/preflight", method);
        assert_eq!(ask(&mut anonymous, "/oauth2/auth", &fields).await.status, expected, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn return_target_in_a_header_counts_from_a_trusted_proxy_only() {
    let target = "/page?a=1&b=[2]";
    for (trusted, expected) in [("127.0.0.1/32", "/page?a=1&b=%5B2%5D"), ("192.0.2.1/32", "/")] {
        let trusted = format!("trusted_proxies: [{trusted}]");
        let stack = Stack::builder().server(&trusted).routes(ROUTES).start().await;
        let mut browser = stack.browser();
        browser.extra.insert("x-auth-request-redirect", HeaderValue::from_static(target));
        let page = browser.navigate("/oauth2/start").await;
        browser.extra.clear();
        let end = provider::sign_in(&mut browser, page.redirect().unwrap().as_str(), "alice").await;
        assert_eq!(end.url.as_str(), format!("http://wiki.localhost{expected}"));
    }
}

/// A proxy copies the `Content-Type` of a gRPC request to its auth subrequest, and allows on any 2xx.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_never_answer_in_the_form_of_grpc() {
    let stack = builder().start().await;
    for (path, status) in [
        ("/oauth2/auth", 401),
        ("/oauth2/userinfo", 401),
        ("/oauth2/callback", 400),
        ("/oauth2/callback?state=x&code=y", 400),
        ("/oauth2/start?provider=unknown", 400),
        ("/oauth2/nothing", 404),
        ("/oauth2", 404),
    ] {
        let fields =
            [&traefik("/page", "GET")[..], &[("content-type", "application/grpc")]].concat();
        let answer = ask(&mut stack.browser(), path, &fields).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(!answer.headers.contains_key("grpc-status"), "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn route_without_upstream_answers_404_to_direct_requests() {
    let stack = builder().start().await;
    for path in ["/page", "/staff", "/open"] {
        assert_eq!(stack.browser().navigate(path).await.status, 404, "{path}");
        assert_eq!(member(&stack, "alice").await.fetch(path).await.status, 404, "{path}");
    }
}
