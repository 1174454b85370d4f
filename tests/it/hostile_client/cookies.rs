//! The gateway's cookies: forged, altered, tossed, replayed.

use url::Position;

use super::{Case, Stack, answers_to, case, get, status};
use crate::support::provider;
use crate::support::wire::{count, field};

fn id_of(cookie: &str) -> &str {
    cookie.trim_end().strip_prefix("Cookie: portcullis=").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_session_cookie_is_no_session() {
    let stack = Stack::start().await;
    let alice = stack.cookie_of("alice").await;
    let id = id_of(&alice);
    let flipped = |at: usize| {
        let mut bytes = id.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let values = [
        flipped(0),
        flipped(21),
        flipped(42),
        id[1..].to_owned(),
        id[..42].to_owned(),
        format!("{id}A"),
        format!("{id}="),
        format!("A{id}"),
        format!("\"{id}\""),
        format!("{id}%20"),
        format!("{id}\u{0}").replace('\0', "%00"),
        id.to_lowercase(),
        format!("{id},{id}"),
        String::new(),
        "A".repeat(43),
        "A".repeat(20_000),
        "%41".repeat(43),
    ];
    let mut cases: Vec<Case> = values
        .iter()
        .map(|value| case("T90", get("/page", &format!("Cookie: portcullis={value}\r\n"))))
        .collect();
    for name in [
        "Portcullis",
        "PORTCULLIS",
        "portcullis-login",
        "__Host-portcullis",
        "xportcullis",
        "portcullis2",
        "port%63ullis",
    ] {
        cases.push(case("T91", get("/page", &format!("Cookie: {name}={id}\r\n"))));
    }
    cases.push(case("T91", get("/page", &format!("X-Cookie: portcullis={id}\r\n"))));
    cases.push(case("T91", get(&format!("/page?portcullis={id}"), "")));
    stack.denies(&cases, &[401]).await;
    let answer = answers_to(&stack.gateway, get("/page", &alice)).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tossed_cookie_is_no_session_and_the_redirect_to_sign_in_clears_it() {
    let stack = Stack::start().await;
    let alice = stack.cookie_of("alice").await;
    let id = id_of(&alice);
    for fields in [
        format!("Cookie: portcullis=evil; portcullis={id}\r\n"),
        format!("Cookie: portcullis={id}; portcullis=evil\r\n"),
        format!("Cookie: portcullis={id}\r\nCookie: portcullis=evil\r\n"),
        format!("Cookie: portcullis={id}; portcullis=\r\n"),
    ] {
        stack.denies(&[case("T91", get("/page", &fields))], &[401]).await;
        let page =
            answers_to(&stack.gateway, get("/page", &format!("{fields}Accept: text/html\r\n")))
                .await;
        assert_eq!(status(&page), 302, "T91 {page}");
        let set = field(&page, "set-cookie");
        assert!(set.starts_with("portcullis=;") && set.contains("Max-Age=0"), "T91 {page}");
    }
    let same = format!("Cookie: portcullis={id}; a=b; portcullis={id}\r\n");
    assert_eq!(status(&answers_to(&stack.gateway, get("/page", &same)).await), 200, "T91");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_clears_tossed_cookies_and_ends_their_sessions() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    let both = format!("Cookie: portcullis={}; portcullis={}\r\n", id_of(&alice), id_of(&bob));
    let left = answers_to(&stack.gateway, get("/oauth2/sign_out", &both)).await;
    assert_eq!(status(&left), 302, "T91 {left}");
    for path in ["/", "/oauth2", "/oauth2/", "/oauth2/sign_out"] {
        let cleared = left.lines().any(|line| {
            line.to_ascii_lowercase().starts_with("set-cookie: portcullis=;")
                && line.split("; ").any(|part| part == format!("Path={path}"))
                && line.contains("Max-Age=0")
        });
        assert!(cleared, "T91 {path}: {left}");
    }
    for cookie in [alice, bob] {
        let answer = answers_to(&stack.gateway, get("/page", &cookie)).await;
        assert_eq!(status(&answer), 401, "T91 {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_ends_every_session_that_the_request_brought() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    let mut browser = stack.browser();
    let callback = provider::callback(&mut browser, "/page", "alice").await;
    let login = browser.cookie("/", "portcullis-login").unwrap();
    let fields = format!("{alice}{bob}Cookie: portcullis-login={login}\r\n");
    let target = &callback[Position::BeforePath..];
    let answer = answers_to(&stack.gateway, get(target, &fields)).await;
    assert_eq!(status(&answer), 302, "{answer}");
    for before in [alice, bob] {
        let answer = answers_to(&stack.gateway, get("/page", &before)).await;
        assert_eq!(status(&answer), 401, "T85 {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_or_huge_cookies_are_ignored_or_get_431() {
    let stack = Stack::start().await;
    let alice = stack.cookie_of("alice").await;
    let id = id_of(&alice);
    let odd = [
        ";".repeat(3000),
        "=;".repeat(3000),
        "a=b;".repeat(1000),
        "a".repeat(16_000),
        "=".repeat(3000),
        "portcullis".to_owned(),
        "portcullis=".to_owned(),
        "portcullis==".to_owned(),
        "portcullis;portcullis".to_owned(),
        "\u{e4}=\u{f6}".to_owned(),
        "a=\"b; c=d\"".to_owned(),
    ];
    let cases: Vec<Case> = odd
        .iter()
        .map(|cookie| case("T93", get("/page", &format!("Cookie: {cookie}\r\n"))))
        .collect();
    stack.denies(&cases, &[401]).await;
    let bomb = get("/page", &format!("Cookie: {}\r\n", "a=b; ".repeat(13_000)));
    assert_eq!(status(&answers_to(&stack.gateway, bomb).await), 431, "T93");
    for cookie in &odd[..5] {
        let sent = get("/page", &format!("Cookie: {cookie}; portcullis={id}\r\n"));
        assert_eq!(status(&answers_to(&stack.gateway, sent).await), 200, "T93 {}", &cookie[..4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_id_is_removed_from_every_form_of_cookie_header() {
    let stack = Stack::start().await;
    let alice = stack.cookie_of("alice").await;
    let id = id_of(&alice).to_owned();
    let wrapped: [Vec<u8>; 7] = [
        format!("Cookie: a=1; portcullis={id}; b=2\r\n").into(),
        format!("Cookie: portcullis={id}\r\nCookie: a=1; b=2\r\n").into(),
        format!("Cookie: a=1;portcullis={id};b=2\r\n").into(),
        format!("Cookie: a=1; portcullis = {id} ; b=2\r\n").into(),
        [b"Cookie: a=\xff; portcullis=", id.as_bytes(), b"; b=2\r\n"].concat(),
        [b"Cookie: portcullis=", id.as_bytes(), b"; \xe4=1\r\n"].concat(),
        format!("Cookie: portcullis={id}; portcullis-login=AAAA; portcullis-login-target=BBBB\r\n")
            .into(),
    ];
    for fields in wrapped {
        let shown = String::from_utf8_lossy(&fields).into_owned();
        let sent =
            [b"GET /open HTTP/1.1\r\nHost: wiki.localhost\r\n", &fields[..], b"\r\n"].concat();
        let answer = answers_to(&stack.gateway, sent).await;
        assert_eq!(status(&answer), 200, "T92 {shown}: {answer}");
        let received = stack.upstream.seen().pop().unwrap().to_string();
        for secret in [id.as_str(), "AAAA", "BBBB"] {
            assert!(!received.contains(secret), "T92 {shown} arrived as {received}");
        }
        assert!(received.contains("demo-alice"), "T93 {shown} is alice's: {received}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_cookies_are_forwarded_unchanged() {
    let stack = Stack::start().await;
    for (sent, expected) in [
        ("a=1; b=2", "a=1; b=2"),
        ("a=1;b=\"x y\"; =c; d", "a=1;b=\"x y\"; =c; d"),
        ("portcullis=x; =a=b; c; d==; e=\"f\"", "=a=b; c; d==; e=\"f\""),
        ("portcullis=x; Portcullis=y; xportcullis=z", "Portcullis=y; xportcullis=z"),
    ] {
        answers_to(&stack.gateway, get("/open", &format!("Cookie: {sent}\r\n"))).await;
        assert_eq!(stack.upstream.seen().pop().unwrap()["headers"]["cookie"], expected, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_sets_a_new_session_id_and_ends_the_old_session() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    browser.plant("portcullis", &"A".repeat(43));
    assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
    let first = browser.cookie("/", "portcullis").unwrap().to_owned();
    assert_ne!(first, "A".repeat(43), "T85: a planted id was taken");
    let before = browser.clone();
    browser.open("/oauth2/start?rd=/").await;
    let second = browser.cookie("/", "portcullis").unwrap().to_owned();
    assert_ne!(first, second, "T85");
    let mut before = before;
    assert_eq!(before.fetch("/").await.status, 401, "T85: the old id lives on");
    assert_eq!(browser.fetch("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_sign_ins_leave_few_cookies() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    for number in 0..30 {
        let rd = format!("%2Fpage%2F{number}%3F{}", "x".repeat(1000));
        browser.navigate(&format!("/oauth2/start?rd={rd}")).await;
    }
    let cookies = browser.cookies();
    let bytes: usize = cookies.iter().map(|(name, value)| name.len() + value.len() + 1).sum();
    assert!(cookies.len() <= 2 && bytes <= 4096, "T94 {cookies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_out_session_cookie_is_cleared_and_cannot_be_replayed() {
    let stack = Stack::start().await;
    let mut browser = stack.browser_of("alice").await;
    let alice = format!("Cookie: portcullis={}\r\n", browser.cookie("/", "portcullis").unwrap());
    let answer = answers_to(&stack.gateway, get("/oauth2/sign_out", &alice)).await;
    assert_eq!((status(&answer), count(&answer)), (302, 1), "T87 {answer}");
    let cleared =
        answer.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie: "));
    let cleared: Vec<&str> = cleared.collect();
    let session = cleared.iter().find(|line| line.contains(": portcullis=;")).unwrap();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=0"] {
        assert!(session.contains(attribute), "T87 {session}");
    }
    stack.denies(&[case("T87", get("/page", &alice))], &[401]).await;
    assert_eq!(browser.fetch("/").await.status, 401, "T87");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_are_two_users() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    for (cookie, user) in [(&alice, "demo-alice"), (&bob, "demo-bob"), (&alice, "demo-alice")] {
        answers_to(&stack.gateway, get("/page", cookie)).await;
        let received = stack.upstream.seen().pop().unwrap();
        assert_eq!(received["headers"]["x-forwarded-user"], user, "T97");
    }
}
