//! What somebody meets who is not signed in, or at the wrong address.

use http::HeaderValue;
use http::header::REFERER;

use crate::support::browser::{Answer, Browser};
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

/// Everything but `/open` is for people who signed in at a provider that nobody can reach.
fn guarded(upstream: &Upstream) -> Gateway {
    let upstream = format!("upstream: \"http://{}\"", upstream.address);
    Gateway::start(&format!(
        "providers:\n  company: {{ issuer: \"http://127.0.0.1:9\", client_id: wiki, client_secret: s }}\n\
         routes:\n  - {{ {upstream}, allow: authenticated }}\n\
         \x20 - {{ path: /open, {upstream}, allow: public }}\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_sent_to_sign_in_and_back_to_the_same_page() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let answer = Browser::new(&gateway).navigate("/page?q=a&b").await;
    assert_eq!(answer.status, 302);
    let to = answer.redirect().unwrap();
    assert_eq!(to.path(), "/oauth2/start");
    let rd = to.query_pairs().find(|(name, _)| name == "rd").unwrap().1.into_owned();
    assert_eq!(rd, "/page?q=a&b");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(upstream.asked(), 0);
    gateway.log_until_all(&["\"status\":302", "\"decision\":\"challenge\"", "\"path\":\"/page\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_person_is_sent_is_never_too_long_to_be_asked_for() {
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
async fn a_program_gets_401_and_is_never_redirected() {
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
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_told_how_to_come_back_to_its_own_page() {
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
async fn a_public_path_needs_nobody_and_ends_at_its_segment() {
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
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_told_and_nothing_else_suffers() {
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
async fn a_host_that_nothing_is_for_is_told_where_the_gateway_is() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let answer = Browser::new(&gateway).navigate("http://other.localhost/").await;
    assert_eq!(answer.status, 421);
    assert!(answer.body.contains("wiki.localhost"), "{}", answer.body);
    check_page(&answer);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_public_url_is_not_sent_to_it() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&format!(
        "routes: [{{ host: app.localhost, upstream: \"http://{}\", allow: public }}]\n",
        upstream.address
    ));
    let answer = Browser::new(&gateway).navigate("/").await;
    assert_eq!(answer.status, 421);
    assert!(answer.body.contains("for signing in only"), "{}", answer.body);
    assert!(!answer.body.contains("href"), "a link that leads back here: {}", answer.body);
    check_page(&answer);
    let elsewhere = Browser::new(&gateway).navigate("http://other.localhost/").await;
    assert!(elsewhere.body.contains("href"), "{}", elsewhere.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_down_is_a_502() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    drop(upstream);
    let answer = Browser::new(&gateway).navigate("/open").await;
    assert_eq!(answer.status, 502);
    check_page(&answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_paths_never_reach_an_application() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    let mut browser = Browser::new(&gateway);
    assert_eq!(browser.fetch("/oauth2/ping").await.status, 200);
    assert_eq!(browser.fetch("/oauth2/nothing").await.status, 404);
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 401);
    let answer = browser.submit("/oauth2/start", &[]).await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").contains("GET"), "{answer:?}");
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_ends_cleanly_when_it_is_told_to() {
    let upstream = Upstream::start().await;
    let gateway = guarded(&upstream);
    assert_eq!(Browser::new(&gateway).fetch("/open").await.status, 200);
    assert!(gateway.stop().success());
}

/// A page of ours: for people, kept by nobody, without script.
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
