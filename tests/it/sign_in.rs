//! Sign-in from the first request to the session, and sign-out.

use http::HeaderValue;

use crate::support::browser::{Answer, Browser};
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_returns_to_the_requested_page_with_identity_headers() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let answer = provider::sign_in(&mut browser, "/page?q=1&r=a%20b", "alice").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = answer.json();
    assert_eq!(received["target"], "/page?q=1&r=a%20b");
    assert_eq!(received["headers"]["x-forwarded-user"], "demo-alice");
    assert_eq!(received["headers"]["x-forwarded-email"], "alice@example.com");
    assert_eq!(received["headers"]["x-forwarded-groups"], "staff");
    assert_eq!(received["headers"]["x-forwarded-preferred-username"], "alice");
    assert!(received["headers"]["cookie"].is_null(), "{received}");
    let counts = stack.provider.counts();
    assert_eq!((counts.code_exchanges, counts.refreshes), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn host_with_a_trailing_dot_can_sign_in() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let answer = provider::sign_in(&mut browser, "http://wiki.localhost./page?q=1", "alice").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.url.as_str(), "http://wiki.localhost/page?q=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_cookie_is_a_random_id_with_http_only_and_same_site() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let callback = provider::callback(&mut browser, "/", "alice").await;
    let answer = browser.navigate(callback.as_str()).await;
    let set = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let session = set.into_iter().find(|line| line.starts_with("portcullis=")).unwrap();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age="] {
        assert!(session.contains(attribute), "{session}");
    }
    assert!(!session.contains("Domain"), "{session}");
    assert_eq!(browser.cookie("/", "portcullis").map(str::len), Some(43));
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_works_once_and_in_one_browser() {
    let stack = Stack::start().await;
    let mut alice = stack.browser();
    let callback = provider::callback(&mut alice, "/", "alice").await;
    let mut mallory = stack.browser();
    let stolen = mallory.navigate(callback.as_str()).await;
    assert_eq!(stolen.redirect().unwrap().path(), "/oauth2/start", "{stolen:?}");
    assert_eq!(mallory.fetch("/").await.status, 401);
    assert_eq!(stack.provider.counts().code_exchanges, 0, "the code was not even sent");
    assert_eq!(alice.navigate(callback.as_str()).await.status, 302);
    let exchanged = stack.provider.counts().code_exchanges;
    alice.navigate(callback.as_str()).await;
    assert_eq!(stack.provider.counts().code_exchanges, exchanged, "a code is sent once");
    assert_eq!(alice.fetch("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_with_an_unknown_state_gets_400() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    for query in
        ["", "?code=x", "?code=x&state=x", "?state=AAAA&code=1&code=2", "?error=<script>&state=x"]
    {
        let answer = browser.navigate(&format!("/oauth2/callback{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(!answer.body.contains("<script"), "{}", answer.body);
    }
    assert_eq!(stack.provider.counts().code_exchanges, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_user_gets_403_with_name_and_reason() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let page = provider::sign_in(&mut browser, "/staff", "bob").await;
    assert_eq!(page.status, 403);
    for said in ["bob@example.com", "group", "prompt=select_account", "sign_out"] {
        assert!(page.body.contains(said), "{said} is missing in {}", page.body);
    }
    let answer = browser.fetch("/staff/x").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (403, &"forbidden".into()));
    assert_eq!(stack.upstream.request_count(), 0);
    assert_eq!(browser.fetch("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_with_a_foreign_target_ends_at_the_front_page() {
    let stack = Stack::start().await;
    let elsewhere = [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/oauth2/sign_out",
        "javascript:alert(1)",
        "/\t/evil.example",
        "https://wiki.localhost@evil.example/",
        "http://wiki.localhost.evil.example/",
    ];
    for rd in elsewhere {
        let mut browser = stack.browser();
        let rd: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        let answer =
            provider::sign_in(&mut browser, &format!("/oauth2/start?rd={rd}"), "alice").await;
        assert_eq!(answer.url.as_str(), "http://wiki.localhost/", "{rd}");
        assert_eq!(browser.fetch("/").await.status, 200, "{rd}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_ends_the_session_and_redirects_to_the_provider() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    provider::sign_in(&mut browser, "/", "alice").await;
    let mut thief = browser.clone();
    let answer = browser.navigate("/oauth2/sign_out").await;
    let to = answer.redirect().unwrap();
    assert!(to.as_str().starts_with(stack.provider.issuer()), "{to}");
    assert!(to.query().unwrap().contains("id_token_hint="), "{to}");
    assert_eq!(browser.cookie("/", "portcullis"), None);
    assert_eq!(thief.fetch("/").await.status, 401, "the old cookie is worth nothing");
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 401);
    assert_eq!(browser.navigate("/oauth2/signed_out").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_without_a_session_reaches_the_only_provider() {
    let second = provider::entry("partner", "Partner", "http://127.0.0.1:9", "");
    let only = Stack::start().await;
    let mut browser = only.browser();
    provider::sign_in(&mut browser, "/", "alice").await;
    browser.forget("portcullis");
    let to = browser.navigate("/oauth2/sign_out?rd=%2Fopen").await.redirect().unwrap();
    assert!(to.as_str().starts_with(only.provider.issuer()), "{to}");
    let query = to.query().unwrap();
    assert!(query.contains("client_id=wiki") && !query.contains("id_token_hint"), "{to}");
    assert_eq!(browser.open(to.as_str()).await.url.as_str(), "http://wiki.localhost/open");
    let page = browser.open("/").await;
    assert!(page.url.as_str().starts_with(only.provider.issuer()), "asks again: {}", page.url);

    let local = Stack::builder().provider_keys("sign_out: local").start().await;
    let several =
        Stack::builder().second_provider(&second).routes(["allow: authenticated"]).start().await;
    for stack in [local, several] {
        provider::cookie_of(&stack.gateway, "company", "alice").await;
        let to = stack.browser().navigate("/oauth2/sign_out").await.redirect().unwrap();
        assert_eq!(to.as_str(), "http://wiki.localhost/oauth2/signed_out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_site_sign_out_needs_a_confirmation() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    provider::sign_in(&mut browser, "/", "alice").await;
    browser.extra.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
    let page = browser.navigate("/oauth2/sign_out").await;
    assert_eq!(page.status, 200);
    browser.extra.clear();
    assert_eq!(browser.fetch("/").await.status, 200, "still signed in");
    let (action, fields) = page.form();
    assert!(fields.is_empty());
    let answer = browser.submit(action.as_str(), &[]).await;
    assert!(answer.status.is_redirection(), "{answer:?}");
    assert_eq!(browser.fetch("/").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_endpoint_returns_the_user() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    provider::sign_in(&mut browser, "/", "alice").await;
    let userinfo = browser.fetch("/oauth2/userinfo").await.json();
    assert_eq!(userinfo["user"], "demo-alice");
    assert_eq!(userinfo["email"], "alice@example.com");
    assert_eq!(userinfo["groups"], serde_json::json!(["staff"]));
    assert_eq!(userinfo["provider"], "company");
    assert!(!userinfo["expires"].is_null(), "{userinfo}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_of_a_sign_in_has_no_token_code_cookie_or_query() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    provider::sign_in(&mut browser, "/page?secret=in-the-query", "alice").await;
    let cookie = browser.cookie("/", "portcullis").unwrap().to_owned();
    let log = stack.gateway.log_until("demo-alice").join("\n");
    assert!(log.contains("demo-alice"), "a sign-in is worth a line: {log}");
    for hidden in [cookie.as_str(), "in-the-query", "code=", "state=", "wiki-and-company", "eyJ"] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_returns_to_the_host_of_its_target() {
    let stack = Stack::builder()
        .sections("session: { cookie: { domain: wiki.localhost } }")
        .routes([
            "allow: authenticated",
            "path: /open, UPSTREAM, allow: public",
            "path: /open, UPSTREAM, allow: public, host: docs.wiki.localhost",
        ])
        .start()
        .await;
    let (wiki, docs) = ("http://wiki.localhost", "http://docs.wiki.localhost");
    for (rd, reached) in [
        ("/open?a=b", format!("{docs}/open?a=b")),
        (&format!("{docs}/open"), format!("{docs}/open")),
        (&format!("{wiki}/open"), format!("{wiki}/open")),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        let sign_out = format!("{docs}/oauth2/sign_out?rd={encoded}");
        // Without a session, with sessions here and at the provider, and with the confirmation page.
        let mut browser = stack.browser();
        assert_eq!(browser.open(&sign_out).await.url.as_str(), reached, "{rd}");
        provider::sign_in(&mut browser, "/oauth2/start?rd=/open", "alice").await;
        assert_eq!(browser.open(&sign_out).await.url.as_str(), reached, "{rd}");
        let mut cross_site = stack.browser();
        cross_site.extra.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        let page = cross_site.open(&sign_out).await;
        cross_site.extra.clear();
        assert_eq!(cross_site.fill(&page, &[]).await.url.as_str(), reached, "{rd}");
    }
}

/// The addresses of the buttons and links of a page.
fn links(page: &Answer) -> Vec<String> {
    let links = page.body.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    links.map(|link| link.replace("&amp;", "&").replace("&#x2f;", "/")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_pages_without_a_provider_get_400() {
    let gateway = Gateway::start("routes: [{ upstream: \"http://127.0.0.1:9\", allow: public }]\n");
    for page in ["start", "sign_in"] {
        let answer = Browser::new(&gateway).open(&format!("/oauth2/{page}?rd=%2F")).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("sign-in service is not available here"), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_options_survive_the_choice_of_a_provider() {
    let partner = provider::entry("partner", "Partner", "http://127.0.0.1:9", "");
    let stack =
        Stack::builder().second_provider(&partner).routes(["allow: authenticated"]).start().await;
    let mut browser = stack.browser();
    let options = "prompt=select_account&login_hint=a%40b.example&ui_locales=de";
    let page = browser.open(&format!("/oauth2/start?rd=%2Fstaff&{options}")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/oauth2/sign_in"), "{page:?}");
    let buttons = links(&page);
    let expected = ["company", "partner"]
        .map(|id| format!("/oauth2/start?rd=%2Fstaff&provider={id}&{options}"));
    assert!(expected.iter().all(|start| buttons.contains(start)), "{buttons:?}");
    let request = browser.navigate(&expected[0]).await.redirect().unwrap();
    assert!(options.split('&').all(|part| request.query().unwrap().contains(part)), "{request}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_starts_at_the_cookie_domain_for_every_target() {
    let gateway = Gateway::start(
        "providers:\n  company: { issuer: \"http://127.0.0.1:9\", client_id: wiki, client_secret: s }\n\
         session: { cookie: { domain: wiki.localhost } }\n\
         routes:\n  - { allow: authenticated }\n  - { host: docs.wiki.localhost, allow: authenticated }\n",
    );
    let long = format!("/{}", "x".repeat(3000));
    for (rd, back) in [
        ("/page?q=1", "/page?q=1"),
        ("/page?x=%2F", "/page?x=%2F"),
        ("//x", "/"),
        ("/\\x", "/"),
        ("/oauth2/sign_out", "/"),
        (long.as_str(), "/"),
    ] {
        let rd: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        for page in ["start", "sign_in"] {
            let endpoint = format!("http://docs.wiki.localhost/oauth2/{page}?rd={rd}");
            let to = Browser::new(&gateway).navigate(&endpoint).await.redirect().unwrap();
            assert_eq!(to.host_str(), Some("wiki.localhost"), "{rd}");
            let target = to.query_pairs().find(|(name, _)| name == "rd").unwrap().1.into_owned();
            assert_eq!(target, format!("http://docs.wiki.localhost{back}"));
        }
    }
    let foreign = "http://evil.localhost/oauth2/start?rd=//x";
    let answer = Browser::new(&gateway).navigate(foreign).await;
    let to = answer.redirect().unwrap();
    assert_eq!(
        to.as_str(),
        "http://wiki.localhost/oauth2/start?rd=%2F&redirected=1",
        "nothing to come back to"
    );
}
