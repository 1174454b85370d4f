//! What a proxy is told that asks about its visitors' requests.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use portcullis::demo::IdentityProvider;
use tempfile::TempDir;

use crate::support::browser::{Answer, Browser, Door};
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::wait::until;
use crate::support::wire::Wire;

struct House {
    provider: IdentityProvider,
    gateway: Gateway,
}

const ROUTES: &str = r#"
routes:
  - { allow: authenticated }
  - { path: /open, allow: public, identity_headers: { X-Who: "{email}" } }
  - { path: /staff, allow: [{ groups: [staff] }] }
  - path: /token
    allow: authenticated
    identity_headers: { Authorization: "Bearer {access_token}", X-Absent: "{claim:absent}", X-Who: "{email}" }
  - { path: /gets, allow: [{ methods: [GET] }] }
  - { path: /preflight, allow: [{ public: true, methods: [OPTIONS] }, { groups: [staff] }] }
  - { host: api.localhost, allow: public }
"#;

/// A gateway that believes `trusted` and has no upstream at all.
async fn house_that_trusts(trusted: &str, token_lifetime: Duration) -> House {
    let provider = provider::start(token_lifetime).await;
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", trusted_proxies: [\"{trusted}\"] }}\n\
         admin: {{ listen: \"off\" }}\n{}{ROUTES}",
        provider::section(&provider)
    ));
    House { provider, gateway }
}

async fn house() -> House {
    house_that_trusts("127.0.0.1/32", Duration::from_secs(60)).await
}

impl House {
    /// Somebody's browser, signed in, as the asker passes its cookies on.
    async fn member(&self, username: &str) -> Browser {
        let mut browser = Browser::new(&self.gateway);
        let end = provider::sign_in(&mut browser, "/oauth2/start?rd=/signed-in", username).await;
        assert_eq!(end.url.path(), "/signed-in", "{end:?}");
        browser
    }

    fn stranger(&self) -> Browser {
        Browser::new(&self.gateway)
    }
}

/// Asks at an endpoint with these fields beside the visitor's.
async fn ask(browser: &mut Browser, endpoint: &str, fields: &[(&'static str, &str)]) -> Answer {
    browser.extra = HeaderMap::new();
    for (name, value) in fields {
        browser.extra.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let answer = browser.fetch(endpoint).await;
    browser.extra.clear();
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    answer
}

async fn about(browser: &mut Browser, uri: &str) -> Answer {
    ask(browser, "/oauth2/auth", &[("x-forwarded-uri", uri), ("x-forwarded-method", "GET")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_pass_is_told_with_all_that_the_upstream_may_know() {
    let house = house().await;
    let mut alice = house.member("alice").await;
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
    assert!(answer.header("authorization").starts_with("Bearer "), "{answer:?}");
    assert_eq!(answer.header("x-who"), "alice@example.com");
    assert_eq!(answer.headers.get("x-absent").map(HeaderValue::as_bytes), Some(&b""[..]));
    assert_eq!(answer.headers.get("x-forwarded-user"), None, "this route's map replaces it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_route_lets_everybody_pass_as_nobody() {
    let house = house().await;
    for mut browser in [house.stranger(), house.member("alice").await] {
        let answer = about(&mut browser, "/open/x").await;
        assert_eq!(answer.status, 202);
        for name in ["user", "email", "groups", "preferred-username"] {
            let value = answer.headers.get(format!("x-auth-request-{name}")).unwrap();
            assert!(value.is_empty(), "{name} {value:?}");
        }
        assert!(answer.headers.get("x-who").unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decision_is_that_of_proxying() {
    let house = house().await;
    let (mut nobody, mut bob) = (house.stranger(), house.member("bob").await);
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
        assert_eq!(about(&mut nobody, uri).await.status, stranger, "{uri}");
        assert_eq!(about(&mut bob, uri).await.status, member, "{uri}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_tells_where_to_sign_in_and_a_403_why_not() {
    let house = house().await;
    let answer = about(&mut house.stranger(), "/page").await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"));
    let login_url = answer.json()["login_url"].as_str().unwrap().to_owned();
    assert_eq!(login_url, "http://wiki.localhost/oauth2/start?rd=%2F");
    let mut bob = house.member("bob").await;
    bob.extra.insert("x-forwarded-uri", HeaderValue::from_static("/staff"));
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
async fn an_asker_that_is_not_trusted_learns_nothing_and_the_operator_learns_why() {
    let house = house_that_trusts("192.0.2.0/24", Duration::from_secs(60)).await;
    let mut nobody = house.stranger();
    let mut alice = house.member("alice").await;
    for endpoint in ["/oauth2/auth", "/oauth2/forward_auth", "/oauth2/auth/open"] {
        let fields = [("x-forwarded-uri", "/open"), ("accept", "text/html")];
        assert_eq!(ask(&mut nobody, endpoint, &fields).await.status, 401, "{endpoint}");
        let answer = ask(&mut alice, endpoint, &fields).await;
        assert_eq!(answer.status, 403, "{endpoint}");
        assert!(!answer.headers.contains_key("x-auth-request-user"), "{answer:?}");
    }
    house.gateway.log_until("add 127.0.0.1 to server.trusted_proxies");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_uri_is_refused_and_the_log_names_the_header() {
    let house = house().await;
    let mut alice = house.member("alice").await;
    assert_eq!(ask(&mut alice, "/oauth2/auth", &[]).await.status, 403);
    house.gateway.log_until("X-Forwarded-Uri, X-Original-URL or X-Original-URI");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_of_fields_is_understood_and_no_contradiction_passes() {
    let house = house().await;
    let mut alice = house.member("alice").await;
    let uri = ("x-forwarded-uri", "/gets");
    let get = ("x-forwarded-method", "GET");
    for (endpoint, fields, expected) in [
        ("/oauth2/auth", &[uri, get][..], 202),
        ("/oauth2/auth", &[uri, ("x-forwarded-method", "HEAD")], 202),
        ("/oauth2/auth", &[uri, ("x-forwarded-method", "POST")], 403),
        ("/oauth2/auth", &[uri], 403),
        ("/oauth2/auth", &[uri, ("x-original-method", "GET")], 403),
        ("/oauth2/auth", &[("x-original-uri", "/gets"), ("x-original-method", "GET")], 202),
        ("/oauth2/auth", &[("x-original-uri", "/gets"), get], 403),
        ("/oauth2/auth", &[("x-original-url", "/gets"), ("x-original-method", "GET")], 202),
        ("/oauth2/auth", &[("x-original-url", "http://wiki.localhost/page")], 202),
        ("/oauth2/auth", &[("x-original-url", "http://elsewhere.localhost/")], 403),
        ("/oauth2/auth/gets?a=b", &[], 202),
        ("/oauth2/auth/", &[], 202),
        ("/oauth2/auth/gets", &[uri], 403),
        ("/oauth2/auth/page", &[uri], 403),
        ("/oauth2/auth", &[uri, uri], 403),
        ("/oauth2/auth", &[uri, get, get], 403),
        ("/oauth2/auth", &[uri, get, ("x-original-uri", "/open")], 403),
        ("/oauth2/auth", &[uri, get, ("x-original-method", "POST")], 403),
        ("/oauth2/auth", &[uri, get, ("x-forwarded-host", "other.localhost")], 403),
        ("/oauth2/auth", &[uri, ("x-forwarded-host", "API.localhost.:80")], 202),
        ("/oauth2/auth", &[uri, get, ("x-forwarded-host", "wiki.localhost, api.localhost")], 403),
        ("/oauth2/auth", &[uri, get, ("x-forwarded-host", "a@b")], 403),
        ("/oauth2/auth", &[uri, get, ("x-forwarded-proto", "gopher")], 403),
        ("/oauth2/auth", &[uri, get, ("x-forwarded-for", "unknown")], 202),
    ] {
        let answer = ask(&mut alice, endpoint, fields).await;
        assert_eq!(answer.status, expected, "{endpoint} {fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_narrows_the_rules_and_never_widens_them() {
    let house = house().await;
    let (mut alice, mut bob) = (house.member("alice").await, house.member("bob").await);
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
            let (endpoint, uri) = (format!("/oauth2/auth?{query}"), [("x-forwarded-uri", uri)]);
            assert_eq!(ask(&mut alice, &endpoint, &uri).await.status, for_alice, "{query}");
            assert_eq!(ask(&mut bob, &endpoint, &uri).await.status, for_bob, "{query}");
        }
    }
    let (mut nobody, narrow) = (house.stranger(), "/oauth2/auth?allowed_groups=staff");
    assert_eq!(ask(&mut nobody, narrow, &[("x-forwarded-uri", "/open")]).await.status, 401);
    let widened = ask(&mut bob, narrow, &[("x-forwarded-uri", "/staff")]).await;
    assert_eq!(widened.status, 403);
    let path = "/oauth2/auth/page?allowed_groups=nobody";
    assert_eq!(ask(&mut bob, path, &[]).await.status, 202, "the query is the application's");
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_auth_sends_a_person_to_sign_in_and_back() {
    let house = house().await;
    let mut browser = house.stranger();
    let asked = [("x-forwarded-uri", "/page?a=1&b=2"), ("x-forwarded-method", "GET")];
    browser.extra =
        asked.map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).into_iter().collect();
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
    browser.extra.clear();
    let end = provider::sign_in(&mut browser, &start, "alice").await;
    assert_eq!(end.url.as_str(), "http://wiki.localhost/page?a=1&b=2");
    assert_eq!(ask(&mut browser, "/oauth2/forward_auth", &asked).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_anything_but_202_401_or_403() {
    let house = house().await;
    let (mut nobody, mut bob) = (house.stranger(), house.member("bob").await);
    // Over gRPC a refusal would be a 200.
    let grpc = (CONTENT_TYPE.as_str(), "application/grpc");
    let staff = [("x-forwarded-uri", "/staff"), grpc];
    assert_eq!(ask(&mut nobody, "/oauth2/auth", &staff).await.status, 401);
    assert_eq!(ask(&mut bob, "/oauth2/auth", &staff).await.status, 403);
    let hosts = [("x-forwarded-host", "a.localhost, b.localhost"), grpc];
    assert_eq!(ask(&mut bob, "/oauth2/auth", &hosts).await.status, 403);
    let large = "x".repeat(40_000);
    assert_eq!(ask(&mut bob, "/oauth2/auth", &[("x-large", &large)]).await.status, 403);
    assert_eq!(bob.submit("/oauth2/auth/staff", &[("a", "b")]).await.status, 403, "any method");
    let bearer = [("x-forwarded-uri", "/page"), (AUTHORIZATION.as_str(), "Bearer x.y.z")];
    assert_eq!(ask(&mut nobody, "/oauth2/auth", &bearer).await.status, 401);
    // A tossed cookie counts for nothing, and is not cleared here.
    let tossed = [("x-forwarded-uri", "/page"), ("cookie", "portcullis=a; portcullis=b")];
    assert_eq!(ask(&mut nobody, "/oauth2/auth", &tossed).await.status, 401);
    for path in ["/oauth2/auth/open/../staff", "/oauth2/auth/%2e%2e/", "/oauth2/auth/open\\x"] {
        assert_eq!(raw_status(&house.gateway, path).await, "403", "{path}");
    }
}

/// The status of a request whose path no client library would send.
async fn raw_status(gateway: &Gateway, path: &str) -> String {
    let mut wire = Wire::to(gateway).await;
    wire.say(format!("GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n")).await;
    wire.head().await.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_refreshed_by_questions_too() {
    let house = house_that_trusts("127.0.0.1/32", Duration::from_secs(1)).await;
    let mut alice = house.member("alice").await;
    let first = about(&mut alice, "/token").await.header("authorization").to_owned();
    house.provider.set_groups("alice", &[]);
    until("the claims are new", async || about(&mut alice, "/staff").await.status == 403).await;
    assert_ne!(about(&mut alice, "/token").await.header("authorization"), first, "and the token");
    house.provider.revoke_all();
    until("she is out", async || about(&mut alice, "/page").await.status == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asker_on_a_unix_socket_is_trusted_by_that_name() {
    let folder = TempDir::new().unwrap();
    for (trusted, expected) in [("[unix]", 202), ("[127.0.0.1/32]", 401)] {
        let socket = folder.path().join(expected.to_string());
        let gateway = Gateway::start_with(&format!(
            "server: {{ listen: [\"127.0.0.1:0\", \"unix:{}\"], public_url: \"{PUBLIC_URL}\", \
             trusted_proxies: {trusted} }}\nadmin: {{ listen: \"off\" }}\n\
             routes: [{{ allow: public }}]\n",
            socket.display()
        ));
        let mut asker = Browser::before(Door::Unix(socket));
        assert_eq!(about(&mut asker, "/").await.status, expected, "{trusted}");
        if expected == 401 {
            gateway.log_until("add unix to server.trusted_proxies");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_passes_where_a_rule_says_so() {
    let house = house().await;
    let mut nobody = house.stranger();
    for (method, expected) in [("OPTIONS", 202), ("GET", 401)] {
        let fields = [("x-forwarded-uri", "/preflight"), ("x-forwarded-method", method)];
        assert_eq!(ask(&mut nobody, "/oauth2/auth", &fields).await.status, expected, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_may_name_the_target_in_a_header() {
    let target = "/page?a=1&b=[2]";
    for (trusted, expected) in [("127.0.0.1/32", "/page?a=1&b=%5B2%5D"), ("192.0.2.1/32", "/")] {
        let house = house_that_trusts(trusted, Duration::from_secs(60)).await;
        let mut browser = house.stranger();
        browser.extra.insert("x-auth-request-redirect", HeaderValue::from_static(target));
        let page = browser.navigate("/oauth2/start").await;
        browser.extra.clear();
        let end = provider::sign_in(&mut browser, page.redirect().unwrap().as_str(), "alice").await;
        assert_eq!(end.url.as_str(), format!("http://wiki.localhost{expected}"));
    }
}

/// Whoever asks us about a gRPC request passes its `Content-Type` on, and takes any 2xx for a yes.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_ever_answered_in_the_form_of_grpc() {
    let house = house().await;
    for (path, status) in [
        ("/oauth2/auth", 401),
        ("/oauth2/userinfo", 401),
        ("/oauth2/callback", 400),
        ("/oauth2/callback?state=x&code=y", 400),
        ("/oauth2/start?provider=nobody", 400),
        ("/oauth2/nothing", 404),
        ("/oauth2", 404),
    ] {
        let fields = [("content-type", "application/grpc"), ("x-forwarded-uri", "/page")];
        let answer = ask(&mut house.stranger(), path, &fields).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(!answer.headers.contains_key("grpc-status"), "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_only_asked_about_sends_nobody_to_sign_in() {
    let house = house().await;
    for path in ["/page", "/staff", "/open"] {
        assert_eq!(house.stranger().navigate(path).await.status, 404, "{path}");
        assert_eq!(house.member("alice").await.fetch(path).await.status, 404, "{path}");
    }
}
