//! What the answers say, and about which address and method they are.

use crate::app::check_tests::{APART, Call, PAGE, SHARED, VISITOR, framed, read, request};
use crate::grpc::{CheckRequest, FieldForm, Read};
use crate::server::ListenerKind;

#[tokio::test]
async fn visitor_without_session_is_sent_to_sign_in_without_cookies() {
    let page = [&PAGE[..], &[("cookie", "wiki=1")]].concat();
    let read = SHARED.decide(&request("GET", "/page?a=%2F", &page)).await;
    assert_eq!((read.code, read.status), (16, 302));
    let names: Vec<&str> = read.headers.iter().map(|(name, _)| &**name).collect();
    assert!(!names.contains(&"set-cookie") && !names.contains(&"cookie"), "{names:?}");
    let location = &read.headers.iter().find(|(name, _)| name == "location").unwrap().1;
    let expected =
        "https://wiki.example/oauth2/start?rd=https%3A%2F%2Fwiki.example%2Fpage%3Fa%3D%252F";
    assert_eq!(location, expected);
    let read = SHARED.decide(&request("GET", "/page", &[("cookie", "wiki=1")])).await;
    assert_eq!((read.code, read.status), (16, 401));
    assert!(read.body.contains("\"login_url\""), "{read:?}");
    assert_eq!(SHARED.decide(&request("POST", "/page", &PAGE)).await.status, 401);
}

#[tokio::test]
async fn user_is_allowed_with_identity_and_every_other_spelling_is_removed() {
    let cookie = format!("wiki=1; {}; more=2", SHARED.cookie);
    let fields = [
        ("cookie", &*cookie),
        ("x-who", "mallory"),
        ("X_Who", "mallory"),
        ("x.groups", "admins"),
        ("x_forwarded_user", "mallory"),
        ("x-auth-request-email", "m@evil.example"),
        ("x_http_method_override", "DELETE"),
        ("x-http-method-override", "PUT"),
        ("x-other", "1"),
        ("my_header", "1"),
    ];
    for form in [FieldForm::Text, FieldForm::Raw] {
        let read = SHARED.check(&request("GET", "/page", &fields).encode(form)).await;
        assert_eq!((read.code, read.status), (0, 0), "{read:?}");
        let mut set = read.headers;
        set.sort_unstable();
        let expected = [("cookie", "wiki=1; more=2"), ("x-who", "alice")];
        assert_eq!(set, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut removed = read.remove;
        removed.sort_unstable();
        // The token is for a listener of its own only.
        let mut expected = vec!["authorization", "x-groups"];
        expected.extend(
            ["user", "email", "groups", "preferred-username"]
                .map(|it| ["x-forwarded-", it].concat().leak() as &str),
        );
        expected.extend(
            ["user", "email", "groups", "preferred-username"]
                .map(|it| ["x-auth-request-", it].concat().leak() as &str),
        );
        expected.extend(["x_who", "x.groups", "x_forwarded_user", "x_http_method_override"]);
        expected.sort_unstable();
        assert_eq!(removed, expected);
        let metadata = [("route", "wiki.example/"), ("rule", "authenticated"), ("user", "alice")];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read.metadata, metadata);
    }
}

#[tokio::test]
async fn tokens_are_sent_on_a_listener_of_their_own_only() {
    let body = request("GET", "/page", &[("cookie", &APART.cookie)]).encode(FieldForm::Text);
    let body = framed(&body);
    let call = Call { listener: ListenerKind::ForwardAuth, body: &body, ..Call::default() };
    let read = read(APART.call(call).await).await;
    let token = ("authorization".to_owned(), "Bearer at".to_owned());
    assert!(read.headers.contains(&token), "{read:?}");
    assert!(!read.remove.contains(&token.0), "{read:?}");
}

#[tokio::test]
async fn answer_says_what_decided() {
    let cookie = ("cookie", &*SHARED.cookie);
    for (method, path, host, fields, code, rule) in [
        ("GET", "/open", "wiki.example", vec![], 0, "public"),
        ("OPTIONS", "/preflight", "wiki.example", vec![], 0, "allow[0]"),
        ("GET", "/preflight", "wiki.example", vec![cookie], 0, "allow[1]"),
        ("GET", "/staff", "wiki.example", vec![cookie], 7, "groups"),
        ("PUT", "/preflight", "wiki.example", vec![cookie], 7, "methods"),
        ("GET", "/staff", "wiki.example", vec![], 16, "not signed in"),
        ("GET", "/", "evil.example", vec![], 7, "no route has this host"),
    ] {
        let asked = request(method, path, &fields);
        let read = SHARED.decide(&CheckRequest { host: host.to_owned(), ..asked }).await;
        assert_eq!(read.code, code, "{path}: {read:?}");
        let of = |name: &str| {
            read.metadata.iter().find(|(known, _)| known == name).map(|(_, text)| &**text)
        };
        assert!(of("rule").unwrap().contains(rule), "{path}: {read:?}");
        let signed_in =
            fields.contains(&cookie) && (code == 0 || rule == "groups" || rule == "methods");
        assert_eq!(of("user"), signed_in.then_some("alice"), "{path}: {read:?}");
        assert_eq!(of("route").is_some(), host == "wiki.example", "{path}: {read:?}");
    }
}

#[tokio::test]
async fn address_is_the_source_or_the_chain_of_a_trusted_proxy() {
    for (source, chain, allowed) in [
        (Some("10.1.2.3"), None, true),
        (Some("::ffff:10.1.2.3"), None, true),
        (Some(VISITOR), None, false),
        (Some(VISITOR), Some("10.1.2.3"), false),
        (Some("198.51.100.1"), Some("10.1.2.3"), true),
        (Some("198.51.100.1"), Some("10.1.2.3, 192.0.2.1, 198.51.100.1"), true),
        (Some("198.51.100.1"), Some("10.1.2.3, 203.0.113.9"), false),
        (Some("198.51.100.1"), Some("10.1.2.3,"), false),
        (Some("198.51.100.1"), None, false),
        (None, Some("10.1.2.3"), false),
    ] {
        let fields: Vec<_> = chain.map(|chain| ("x-forwarded-for", chain)).into_iter().collect();
        let mut asked = request("GET", "/office", &fields);
        asked.source = source.map(|source| source.parse().unwrap());
        let read = SHARED.decide(&asked).await;
        assert_eq!(read.code == 0, allowed, "{source:?} {chain:?}: {read:?}");
    }
}

#[tokio::test]
async fn every_fault_is_a_denial_in_a_call_that_ends_well() {
    let plain = request("GET", "/open", &[]);
    assert_eq!(SHARED.decide(&plain).await.code, 0);
    let with = |change: fn(&mut CheckRequest)| {
        let mut asked = plain.clone();
        change(&mut asked);
        asked.encode(FieldForm::Raw)
    };
    let messages = [
        Vec::new(),
        b"\xff\xff".to_vec(),
        vec![0x0a, 0],
        with(|it| it.host.clear()),
        with(|it| it.host = "wiki.example, status.example".to_owned()),
        with(|it| it.host = "u@status.example".to_owned()),
        with(|it| it.fields.push(("host".to_owned(), b"status.example".to_vec()))),
        with(|it| it.path.clear()),
        with(|it| it.path = "*".to_owned()),
        with(|it| it.path = "open".to_owned()),
        with(|it| it.path = "/open#/x".to_owned()),
        with(|it| it.path = "/open x".to_owned()),
        with(|it| it.path = "/open/../page".to_owned()),
        with(|it| it.path = "/open/..%2fpage".to_owned()),
        with(|it| it.path = "/%zz".to_owned()),
        with(|it| it.path = "/oauth2/auth".to_owned()),
        with(|it| it.path = format!("/open/{}", "x".repeat(16 * 1024))),
        with(|it| it.method = "G T".to_owned()),
        with(|it| it.method = "TRACE".to_owned()),
        with(|it| it.method = "CONNECT".to_owned()),
        with(|it| it.scheme = "gopher".to_owned()),
        with(|it| it.fields.push(("x".to_owned(), b"a\r\nx-y: z".to_vec()))),
        with(|it| it.fields.push(("x y".to_owned(), b"a".to_vec()))),
        with(|it| it.fields.push((String::new(), b"a".to_vec()))),
        with(|it| it.fields.push(("x".to_owned(), vec![b'x'; 33 * 1024]))),
        with(|it| it.fields.extend((0..101).map(|at| (format!("x-{at}"), Vec::new())))),
        with(|it| it.fields.extend((0..20_000).map(|at| (format!("{at}"), Vec::new())))),
        with(|it| it.fields.push(("content-length".to_owned(), b"1, 2".to_vec()))),
    ];
    for message in &messages {
        denied(SHARED.check(message).await, message);
    }
    let good = plain.encode(FieldForm::Text);
    let long = vec![0; 97 * 1024];
    for body in [
        &b""[..],
        b"\0\0",
        &good,
        &framed(&good)[..20],
        &[framed(&good), framed(&good)].concat(),
        &[&[1][..], &framed(&good)[1..]].concat(),
        &framed(&long),
    ] {
        denied(read(SHARED.call(Call { body, ..Call::default() }).await).await, body);
    }
}

#[track_caller]
fn denied(read: Read, of: &[u8]) {
    let of = String::from_utf8_lossy(&of[..of.len().min(200)]).into_owned();
    assert!(read.code == 7 && read.status == 403, "{of:?}: {read:?}");
    assert!(read.body.contains("request_id"), "{of:?}: {read:?}");
}

#[tokio::test]
async fn method_that_is_not_named_satisfies_no_rule_about_methods() {
    let asked = |path| CheckRequest { method: String::new(), ..request("", path, &[]) };
    assert_eq!(SHARED.decide(&asked("/open")).await.code, 0);
    assert_eq!(SHARED.decide(&asked("/preflight")).await.code, 7);
}
