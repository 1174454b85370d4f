//! Answers to a request without a session, or at the wrong host.

use http::HeaderValue;
use http::header::REFERER;

use crate::support::browser::{Answer, Browser};
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

/// Everything but `/open` is for signed-in users; the provider cannot be reached.
fn guarded(upstream: &Upstream) -> Gateway {
    let upstream = format!("upstream: \"http://{}\"", upstream.address);
    Gateway::start(&format!(
        "providers:\n  company: {{ issuer: \"http://127.0.0.1:9\", client_id: wiki, client_secret: s }}\n\
         routes:\n  - {{ {upstream}, allow: authenticated }}\n\
         \x20 - {{ path: /open, {upstream}, allow: public }}\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn navigation_is_redirected_to_sign_in_with_its_page_as_the_target() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let answer = Browser::new(&gateway).navigate("/page?q=a&b").await;
    assert_eq!(answer.status, 302);
    let to = answer.redirect().unwrap();
    assert_eq!(to.path(), "/oauth2/start");
    let rd = to.query_pairs().find(|(name, _)| name == "rd").unwrap().1.into_owned();
    assert_eq!(rd, "/page?q=a&b");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(upstream.request_count(), 0);
    gateway.log_until_all(&["\"status\":302", "\"decision\":\"sign_in\"", "\"path\":\"/page\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_to_sign_in_is_short_enough_to_be_requested() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let mut browser = Browser::new(&gateway);
    for (target, rd) in
        [(format!("/{}", "a".repeat(16_370)), "/"), (format!("/a?{}", "/".repeat(16_000)), "/a")]
    {
        let to = browser.navigate(&target).await.redirect().unwrap();
        assert_eq!(to.query_pairs().next().unwrap(), ("rd".into(), rd.into()));
        assert_eq!(browser.navigate(to.as_str()).await.status, 503, "as far as to the provider");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_client_gets_401_and_is_never_redirected() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let mut browser = Browser::new(&gateway);
    for answer in [browser.fetch("/page").await, browser.submit("/page", &[("a", "b")]).await] {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let answer = browser.fetch("/page").await.json();
    let login_url = answer["login_url"].as_str().unwrap();
    assert!(login_url.starts_with("http://wiki.localhost/oauth2/start?rd="), "{answer}");
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_url_of_a_401_returns_to_the_page_of_the_referer() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let mut browser = Browser::new(&gateway);
    for (referer, rd) in [
        (None, "%2F"),
        (Some("http://wiki.localhost/app?tab=1#top"), "%2Fapp%3Ftab%3D1"),
        (Some("http://evil.example/app"), "%2F"),
        (Some("nowhere"), "%2F"),
    ] {
        browser.extra.clear();
        if let Some(referer) = referer {
            browser.extra.insert(REFERER, HeaderValue::from_static(referer));
        }
        for path in ["/page", "/oauth2/userinfo"] {
            let answer = browser.fetch(path).await.json();
            let expected = format!("http://wiki.localhost/oauth2/start?rd={rd}");
            assert_eq!(answer["login_url"], expected, "{path} from {referer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_path_needs_no_session_and_ends_at_its_segment() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.fetch("/open/x").await.status, 200);
    assert_eq!(browser.fetch("/openx").await.status, 401);
    for path in ["/open%2f..%2fpage", "/open/..%2fpage", "/open/%252e%252e/page", "/open/..;/page"]
    {
        let answer = browser.fetch(path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    assert_eq!(upstream.request_count(), 1);
}

/// Tomcat drops `;parameters`; Go, Node, Django and nginx take them as part of the name.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_in_a_public_path_are_no_way_to_a_path_that_needs_sign_in() {
    let upstream = Upstream::start().await;
    let url = format!("upstream: \"http://{}\"", upstream.address);
    let respelt = format!("upstream: \"http://LocalHost:{}\"", upstream.address.port());
    let rules = "allow: [{ public: true, paths: [/open] }, { public: true, exact_paths: [/logo] }, authenticated]";
    let provider = "providers:\n  company: { issuer: \"http://127.0.0.1:9\", client_id: wiki, client_secret: s }\n";
    for routes in [
        format!("  - {{ {url}, {rules} }}\n"),
        format!(
            "  - {{ {url}, allow: authenticated }}\n  - {{ path: /open, {url}, allow: public }}\n\
             \x20 - {{ path: /logo, {url}, allow: public }}\n"
        ),
        format!(
            "  - {{ {respelt}, allow: authenticated }}\n  - {{ path: /open, {url}, allow: public }}\n\
             \x20 - {{ path: /logo, {url}, allow: public }}\n"
        ),
    ] {
        let gateway = Gateway::start(&format!("{provider}routes:\n{routes}"));
        let mut browser = Browser::new(&gateway);
        for path in ["/open/a;jsessionid=1", "/open/a;v=1/b;w", "/open/x;y/..z", "/logo"] {
            assert_eq!(browser.fetch(path).await.status, 200, "{path} {routes}");
        }
        let before = upstream.request_count();
        for path in [
            "/open;x/admin",
            "/open;/admin",
            "/open;x",
            "/open;",
            "/OPEN;x/admin",
            "/logo;x=/admin",
            "/open;%2fadmin",
            "/open;%2f..%2fadmin",
            "/open;x/..%2fadmin",
            "/open;/../admin",
            "/open/..;/admin",
            "/open/..;a=b/admin",
            "/open/.;/..;/admin",
            "/open;a/../admin",
            "/open;a/%2e%2e/admin",
            "/open;a/..;b/admin",
            "/open%3b/admin",
            "/open%3Bx/..%3b/admin",
            "/open;%3b/admin",
            "/open;%253b/admin",
            "/open%ef%bc%9bx/admin",
            "/%3b/open",
            "/;/open",
            "//open;x/admin",
            "/%3b",
            "/;x",
            "/admin;/open",
        ] {
            let answer = browser.fetch(path).await;
            let stopped = matches!(answer.status.as_u16(), 400 | 401);
            assert!(stopped, "{path} {routes}: {answer:?}");
        }
        assert_eq!(upstream.request_count(), before);
        assert_eq!(browser.navigate("/open;x/admin").await.status, 302, "{routes}");
    }
}

/// The upstream of such a route has no other paths for which there are rules.
/// Two spellings may be two servers after all: then the rules of the other one are no way around its own.
#[tokio::test(flavor = "multi_thread")]
async fn path_with_parameters_keeps_the_rules_of_its_own_route_if_only_the_spelling_may_differ() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&format!(
        "providers:\n  company: {{ issuer: \"http://127.0.0.1:9\", client_id: wiki, client_secret: s }}\n\
         routes:\n  - {{ upstream: \"http://LocalHost:{}\", allow: public }}\n\
         \x20 - {{ path: /a, upstream: \"http://{}\", allow: [{{ public: true, paths: [/a/open] }}, authenticated] }}\n",
        upstream.address.port(),
        upstream.address
    ));
    let mut browser = Browser::new(&gateway);
    for (path, status) in [("/a/open", 200), ("/a", 401), ("/a;x/b", 401), ("/a;x/open", 401)] {
        assert_eq!(browser.fetch(path).await.status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_in_a_public_path_of_another_upstream_need_no_session() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let gateway = Gateway::start(&format!(
        "providers:\n  company: {{ issuer: \"http://127.0.0.1:9\", client_id: wiki, client_secret: s }}\n\
         routes:\n  - {{ upstream: \"http://{}\", allow: authenticated }}\n\
         \x20 - {{ path: /open, upstream: \"http://{}\", allow: public }}\n",
        other.address, upstream.address
    ));
    let mut browser = Browser::new(&gateway);
    for path in ["/open;jsessionid=1", "/open;x/y"] {
        assert_eq!(browser.fetch(path).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_provider_gives_503_page_and_public_routes_still_work() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let mut browser = Browser::new(&gateway);
    let answer = browser.open("/page").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(!answer.header("retry-after").is_empty());
    for said in ["The sign-in service does not answer", "company", "in a minute"] {
        assert!(answer.body.contains(said), "{said} is missing in {}", answer.body);
    }
    check_page(&answer);
    assert_eq!(browser.fetch("/open").await.status, 200);
    drop(gateway.log_until("company"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_host_gets_421_page_with_the_public_url() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let answer = Browser::new(&gateway).navigate("http://other.localhost/").await;
    assert_eq!(answer.status, 421);
    assert!(answer.body.contains("wiki.localhost"), "{}", answer.body);
    check_page(&answer);
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_url_without_route_gets_421_page_without_a_link_to_itself() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&format!(
        "routes: [{{ host: app.localhost, upstream: \"http://{}\", allow: public }}]\n",
        upstream.address
    ));
    let answer = Browser::new(&gateway).navigate("/").await;
    assert_eq!(answer.status, 421);
    assert!(answer.body.contains("is only for signing in"), "{}", answer.body);
    assert!(!answer.body.contains("<a "), "a link that leads back here: {}", answer.body);
    check_page(&answer);
    let elsewhere = Browser::new(&gateway).navigate("http://other.localhost/").await;
    assert_eq!(elsewhere.status, 421);
    let texts = ["wiki.localhost", "is only for signing in"];
    assert!(texts.iter().all(|text| elsewhere.body.contains(text)), "{elsewhere:?}");
    assert!(!elsewhere.body.contains("<a "), "a link that leads to nothing: {}", elsewhere.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_upstream_gives_502_page() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    drop(upstream);
    let answer = Browser::new(&gateway).navigate("/open").await;
    assert_eq!(answer.status, 502);
    check_page(&answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_paths_never_reach_the_upstream() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.fetch("/oauth2/ping").await.status, 200);
    assert_eq!(browser.fetch("/oauth2/nothing").await.status, 404);
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 401);
    let answer = browser.submit("/oauth2/start", &[]).await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").contains("GET"), "{answer:?}");
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_exits_with_0() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    assert_eq!(Browser::new(&gateway).fetch("/open").await.status, 200);
    assert!(gateway.stop().success());
}

/// A page of the gateway: HTML, not stored, without script.
#[track_caller]
fn check_page(answer: &Answer) {
    assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(
        answer.header("content-security-policy").starts_with("default-src 'none'"),
        "{answer:?}"
    );
}
