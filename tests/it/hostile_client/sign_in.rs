//! Sign-ins and sign-outs that another party started.

use http::HeaderValue;
use url::Url;

use super::{Case, Stack, answers_to, case, get, status};
use crate::support::browser::Answer;
use crate::support::provider::callback;
use crate::support::wire::field;

fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut changed = url.clone();
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(known, _)| known != name)
        .map(|(a, b)| (a.into(), b.into()))
        .collect();
    changed.query_pairs_mut().clear().extend_pairs(pairs).append_pair(name, value);
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn unsolicited_callback_gets_400_without_a_token_request() {
    let stack = Stack::start().await;
    let huge = "x".repeat(10_000);
    let mut cases: Vec<Case> = [
        "",
        "?",
        "?state=",
        "?code=",
        "?state=&code=",
        "?state=x",
        "?code=x",
        "?state=x&code=x",
        "?state=AAAA&state=AAAA&code=x",
        "?error=access_denied",
        "?error=<script>alert(1)</script>&state=x",
        "?error=x&error_description=<script>&state=",
        "?state=%00&code=%00",
        "?state=%ff%fe&code=x",
        "?state=../../x&code=x",
        "?id_token=x&state=x",
        "?code[]=x&state[]=x",
    ]
    .into_iter()
    .map(|query| case("T71", get(&format!("/oauth2/callback{query}"), "Accept: text/html\r\n")))
    .collect();
    for query in [
        format!("?state={huge}&code=x"),
        format!("?state=x&code={huge}"),
        format!("?state={}&code=x", "A".repeat(800)),
        format!("?{}", "a&".repeat(5000)),
    ] {
        cases.push(case("T71", get(&format!("/oauth2/callback{query}"), "")));
    }
    stack.denies(&cases, &[400]).await;
    for (_, request) in &cases {
        let answer = answers_to(&stack.gateway, request).await;
        assert!(
            !answer.contains("<script") && field(&answer, "set-cookie").is_empty(),
            "T84 {answer}"
        );
    }
    let others = [
        "/oauth2/callback/company?state=x&code=x",
        "/oauth2/callback/../callback",
        "/oauth2/callback/%2e%2e",
    ];
    stack.denies(&others.map(|target| case("T71", get(target, ""))), &[400, 404]).await;
    let head = "HEAD /oauth2/callback?state=x&code=x HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";
    stack.denies(&[case("T71", head), case("T71", head.replace("HEAD", "POST"))], &[405]).await;
    assert_eq!(stack.provider.counts().code_exchanges, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_works_once_and_only_in_the_browser_that_started_it() {
    let stack = Stack::start().await;
    let mut alice = stack.browser();
    let url = callback(&mut alice, "/page", "alice").await;
    // Another browser, without a login cookie or with its own (T70).
    let mut mallory = stack.browser();
    let without = mallory.navigate(url.as_str()).await;
    mallory.navigate("/oauth2/start?rd=/").await;
    let with_another = mallory.navigate(url.as_str()).await;
    for restarted in [without, with_another] {
        assert_eq!(restarted.redirect().unwrap().path(), "/oauth2/start", "T70");
    }
    assert_eq!(mallory.fetch("/page").await.status, 401, "T70");
    // Altered authorization responses (T73, T71).
    for (threat, url) in [
        ("T73", with(&url, "iss", "https://evil.example")),
        ("T71", with(&url, "state", "x")),
        ("T66", Url::parse(&format!("{url}&state=x")).unwrap()),
        ("T66", Url::parse(&format!("{url}&code=x")).unwrap()),
        ("T66", Url::parse(&format!("{url}&iss=x")).unwrap()),
    ] {
        let mut alice = alice.clone();
        assert_eq!(alice.navigate(url.as_str()).await.status, 400, "{threat} {url}");
    }
    assert_eq!(stack.provider.counts().code_exchanges, 0, "T72");
    // None of them has sent a code, so the state is unused; the honest response works, once (T72).
    assert_eq!(alice.navigate(url.as_str()).await.status, 302);
    let again = alice.navigate(url.as_str()).await;
    assert_eq!(again.redirect().unwrap().path(), "/page", "T72: to its target");
    let mut later = stack.browser();
    let restarted = later.navigate(url.as_str()).await;
    assert_eq!(restarted.redirect().unwrap().path(), "/oauth2/start", "T72");
    assert_eq!(stack.provider.counts().code_exchanges, 1, "T72");
}

#[tokio::test(flavor = "multi_thread")]
async fn authorization_request_has_fresh_secrets_and_s256() {
    let stack = Stack::start().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..5 {
        let answer = answers_to(
            &stack.gateway,
            get("/oauth2/start?rd=/&code_challenge_method=plain&state=x", ""),
        )
        .await;
        let url = Url::parse(field(&answer, "location")).unwrap();
        let all: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let one = |name: &str| {
            let mut values = all.iter().filter(|(known, _)| known == name);
            let value = values.next().unwrap().1.clone();
            assert!(values.next().is_none(), "T66 {name} twice: {url}");
            value
        };
        assert_eq!(
            (one("response_type").as_str(), one("code_challenge_method").as_str()),
            ("code", "S256"),
            "T74"
        );
        assert!(one("state").len() <= 800 && one("code_challenge").len() == 43, "T74 {url}");
        for name in ["state", "nonce", "code_challenge"] {
            assert!(seen.insert(one(name)), "T74 {name} again: {url}");
        }
        let cookie = field(&answer, "set-cookie");
        assert!(
            cookie.starts_with("portcullis-login=") && cookie.contains("HttpOnly"),
            "T70 {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_site_request_does_not_sign_out() {
    let stack = Stack::start().await;
    let mut browser = stack.browser_of("alice").await;
    let cookie = format!("Cookie: portcullis={}\r\n", browser.cookie("/", "portcullis").unwrap());
    for fields in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: other\r\n",
        "Sec-Fetch-Site: same-origin, cross-site\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Referer: http://evil.example/\r\n",
        "Origin: http://wiki.localhost.evil.example\r\n",
        "Origin: http://wiki.localhost:81\r\n",
        "Referer: http://wiki.localhost@evil.example/\r\n",
        "Sec-Fetch-Site: cross-site\r\nOrigin: http://wiki.localhost\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        // Also without the cookie: a form of another site sends no `Lax` cookie.
        for (method, cookie) in
            [("GET", cookie.as_str()), ("POST", &cookie), ("GET", ""), ("POST", "")]
        {
            let sent = get("/oauth2/sign_out", &format!("{cookie}{fields}Accept: text/html\r\n"));
            let answer = answers_to(&stack.gateway, sent.replacen("GET", method, 1)).await;
            assert_eq!(status(&answer), 200, "T88 {fields} {answer}");
            assert!(
                answer.contains("<form") && field(&answer, "set-cookie").is_empty(),
                "T88 {answer}"
            );
        }
    }
    let head = get("/oauth2/sign_out", &cookie).replacen("GET", "HEAD", 1);
    answers_to(&stack.gateway, head).await;
    assert_eq!(browser.fetch("/page").await.status, 200, "T88");
    assert_eq!(stack.provider.counts().revocations, 0, "T88");
    for fields in [
        "Sec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: none\r\n",
        "Origin: http://wiki.localhost\r\n",
        "",
    ] {
        let mut browser = stack.browser_of("alice").await;
        let cookie =
            format!("Cookie: portcullis={}\r\n", browser.cookie("/", "portcullis").unwrap());
        let answer =
            answers_to(&stack.gateway, get("/oauth2/sign_out", &format!("{cookie}{fields}"))).await;
        assert_eq!(status(&answer), 302, "T88 {fields} {answer}");
        assert_eq!(browser.fetch("/page").await.status, 401);
    }
}

/// Header fields of requests that no person made, all from the gateway's own origin.
const AUTOMATIC: &[&str] = &[
    "Sec-Purpose: prefetch\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
    "Sec-Purpose: prefetch;prerender\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
    "Sec-Purpose: prefetch\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: empty\r\n",
    "Purpose: prefetch\r\nAccept: text/html\r\n",
    "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
    "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n",
    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: embed\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn get_that_no_person_made_does_not_sign_out() {
    let stack = Stack::start().await;
    let mut browser = stack.browser_of("alice").await;
    let cookie = format!("Cookie: portcullis={}\r\n", browser.cookie("/", "portcullis").unwrap());
    let by_script = "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n";
    for fields in AUTOMATIC.iter().copied().chain([by_script]) {
        let fields =
            format!("Sec-Fetch-Site: same-origin\r\nAccept: text/html\r\n{fields}{cookie}");
        let answer = answers_to(&stack.gateway, get("/oauth2/sign_out?rd=/page", &fields)).await;
        assert_eq!(status(&answer), 200, "T88 {fields} {answer}");
        assert!(field(&answer, "set-cookie").is_empty(), "T88 {fields} {answer}");
        assert!(answer.contains("<form method=\"post\""), "T88 {fields} {answer}");
    }
    assert_eq!(browser.fetch("/page").await.status, 200, "T88");
    assert_eq!(stack.provider.counts().revocations, 0, "T88");
    let by_worker =
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: empty\r\n";
    let sent = get("/oauth2/sign_out", &format!("{by_worker}{cookie}"));
    assert_eq!(status(&answers_to(&stack.gateway, sent).await), 302);
    assert_eq!(browser.fetch("/page").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn start_that_no_person_opened_gets_401_without_cookie() {
    let stack = Stack::start().await;
    for fields in AUTOMATIC {
        for (target, rd) in [
            ("?rd=/page%3Fa&prompt=login", "%2Fpage%3Fa&prompt=login"),
            ("", "%2Fform"),
            ("?rd=//evil.example", "%2F"),
        ] {
            let fields = format!("{fields}Referer: http://wiki.localhost/form\r\n");
            let answer =
                answers_to(&stack.gateway, get(&format!("/oauth2/start{target}"), &fields)).await;
            assert_eq!(status(&answer), 401, "T88 {fields} {answer}");
            assert!(field(&answer, "set-cookie").is_empty(), "T88 {fields} {answer}");
            assert_eq!(field(&answer, "www-authenticate"), "Bearer");
            if !fields.contains("text/html") {
                let login_url = format!("\"http://wiki.localhost/oauth2/start?rd={rd}\"");
                assert!(answer.contains(&login_url), "{login_url} {answer}");
            }
        }
    }
    for fields in [
        "",
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: empty\r\n",
    ] {
        let answer = answers_to(&stack.gateway, get("/oauth2/start", fields)).await;
        assert_eq!(status(&answer), 302, "{fields} {answer}");
        assert!(field(&answer, "set-cookie").starts_with("portcullis-login="), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_of_a_client_is_escaped_on_every_page() {
    let stack = Stack::start().await;
    let mut browser = stack.browser_of("bob").await;
    let markup = "%3Cscript%3Ealert(1)%3C/script%3E\"'%3E%3Cimg%20src=x%20onerror=alert(1)%3E";
    let check = |answer: &Answer| {
        assert!(
            !answer.body.contains("<script") && !answer.body.contains("<img"),
            "T84 {answer:?}"
        );
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("script"),
            "T84 {answer:?}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    };
    for (target, expected) in [
        (format!("/staff?{markup}"), 403),
        (format!("/oauth2/{markup}"), 404),
        (format!("/oauth2/sign_in?rd=/{markup}"), 302),
        (format!("/oauth2/callback?error={markup}&error_description={markup}&state={markup}"), 400),
        (format!("/oauth2/start?provider={markup}"), 400),
        (format!("/oauth2/sign_out?rd=/{markup}&state={markup}"), 200),
        (format!("/oauth2/signed_out?state={markup}"), 200),
    ] {
        let target = target.replace('"', "%22");
        browser.extra.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        let answer = browser.navigate(&target).await;
        assert_eq!(answer.status, expected, "T84 {target}: {answer:?}");
        check(&answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_userinfo_have_no_token_cookie_code_or_query() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let url = callback(&mut browser, "/page", "alice").await;
    browser.navigate(url.as_str()).await;
    let cookie = browser.cookie("/", "portcullis").unwrap().to_owned();
    let login = browser.cookie("/", "portcullis-login").unwrap().to_owned();
    browser.extra.insert("authorization", HeaderValue::from_static("Bearer canary-token"));
    browser.fetch("/page?canary-query").await;
    browser.fetch("/oauth2/userinfo?canary-query").await;
    let userinfo = browser.fetch("/oauth2/userinfo").await.body;
    browser.navigate("/oauth2/sign_out?rd=/canary-target").await;
    let mut hidden =
        vec![cookie, login, "canary".to_owned(), "eyJ".to_owned(), "wiki-and-company".to_owned()];
    hidden.extend(
        url.query_pairs().filter(|(name, _)| name != "iss").map(|(_, value)| value.into_owned()),
    );
    let log = stack.gateway.log_until("/oauth2/sign_out").join("\n");
    for hidden in hidden {
        assert!(!log.contains(&hidden), "T95 {hidden} in {log}");
        assert!(!userinfo.contains(&hidden), "T95 {hidden} in {userinfo}");
    }
}
