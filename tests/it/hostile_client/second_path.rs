//! WebDAV on routes with `paths` rules: a second path in `Destination`, and methods that act on a tree.

use serde_json::Value;

use super::{Stack, answers_to, case, request, status};

/// `/files` has rules: `/files/pub` is public, `/files/priv/b` is for staff. `/plain` has none.
async fn stack() -> Stack {
    let rules = "allow: [{ public: true, paths: [/files/pub, /files/free] }, \
                 { groups: [staff], paths: [/files/priv/b] }, \
                 { users: [demo-bob], methods: [DELETE, MOVE] }]";
    let files = format!("path: /files, UPSTREAM, {rules}");
    Stack::builder().routes([&*files, "path: /plain, UPSTREAM, allow: public"]).start().await
}

fn ask(method: &str, target: &str, fields: &str) -> String {
    request(&format!("{method} {target}"), fields)
}

fn to(destination: &str) -> String {
    format!("Destination: {destination}\r\n")
}

/// The request that the application received; it must be allowed.
async fn passes(stack: &Stack, sent: &str) -> Value {
    let answer = answers_to(&stack.gateway, sent).await;
    assert_eq!(status(&answer), 200, "{sent}: {answer}");
    stack.upstream.seen().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_that_the_rules_deny_gets_403() {
    let stack = stack().await;
    let mut cases = Vec::new();
    for method in ["MOVE", "COPY"] {
        for destination in [
            "http://wiki.localhost/files/priv/b",
            "/files/priv/b",
            "/files/priv/b/c",
            "/files/elsewhere",
            "/files/pub/..%2fpriv/b",
            "/files/pub/%2e%2e/priv/b",
            "/files/pub/..;/priv/b",
            "/files//priv/b",
            "/FILES/PUB/../priv/b",
            "/plain/x",
            "/",
            "//wiki.localhost/files/pub/b",
            "b",
            "http://u@wiki.localhost/files/pub/b",
            "/files/pub/b#/files/priv",
            "",
        ] {
            cases.push(case("destination", ask(method, "/files/pub/a", &to(destination))));
        }
        cases.push(case("no destination", ask(method, "/files/pub/a", "")));
        let twice = to("/files/pub/b") + &to("/files/priv/b");
        cases.push(case("two destinations", ask(method, "/files/pub/a", &twice)));
    }
    for method in ["BIND", "REBIND", "UNBIND"] {
        cases.push(case("in the body", ask(method, "/files/pub", "")));
    }
    let overridden = "X-HTTP-Method-Override: MOVE\r\n".to_owned() + &to("/files/priv/b");
    cases.push(case("T22", ask("POST", "/plain/a", &overridden)));
    stack.denies(&cases, &[403]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_at_another_origin_gets_502() {
    let stack = stack().await;
    let origins = [
        "https://wiki.localhost",
        "http://wiki.localhost:8080",
        "http://evil.example",
        "http://wiki.localhost.evil.example",
        "ftp://wiki.localhost",
    ];
    for target in ["/files/pub/a", "/plain/a"] {
        let ask =
            |origin| case("origin", ask("MOVE", target, &to(&format!("{origin}/files/pub/b"))));
        stack.denies(&origins.map(ask), &[502]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_that_the_rules_allow_is_forwarded_unchanged() {
    let stack = stack().await;
    let alice = stack.cookie_of("alice").await;
    for (fields, destination) in [
        (String::new(), "http://wiki.localhost/files/pub/b%20c"),
        (String::new(), "HTTP://Wiki.Localhost:80/files/free/b?x=%2e%2e"),
        (String::new(), "/files/pub/b;v=1"),
        (alice.clone(), "/files/priv/b"),
        (alice.clone(), "http://wiki.localhost/files/priv/b/c"),
    ] {
        for method in ["MOVE", "COPY"] {
            let sent = ask(method, "/files/pub/a", &(fields.clone() + &to(destination)));
            let received = passes(&stack, &sent).await;
            assert_eq!(received["headers"]["destination"], destination, "{received}");
        }
    }
    let received = passes(&stack, &ask("MOVE", "/plain/a", &to("/plain/b"))).await;
    assert_eq!((&received["method"], &received["target"]), (&"MOVE".into(), &"/plain/a".into()));
    passes(&stack, &ask("MOVE", "/plain/a", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn move_of_a_private_path_without_session_gets_401() {
    let stack = stack().await;
    let fields = to("/files/pub/b");
    stack.denies(&[case("own path", ask("MOVE", "/files/priv/b", &fields))], &[401]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tree_above_an_exact_path_cannot_be_moved_or_deleted() {
    let rules = "allow: [{ public: true, exact_paths: [/files/a/leaf] }, \
                 { users: [demo-bob], methods: [DELETE, MOVE] }]";
    let route = format!("path: /files, UPSTREAM, {rules}");
    let stack = Stack::builder().routes([&*route]).start().await;
    let bob = stack.cookie_of("bob").await;
    let elsewhere = bob.clone() + &to("/files/c");
    let mut cases = vec![case("no destination", ask("MOVE", "/files/c/d", &bob))];
    for above in ["/files", "/files/", "/files/a", "/files/a/", "/files//a"] {
        cases.push(case("above", ask("DELETE", above, &bob)));
        cases.push(case("above", ask("MOVE", above, &elsewhere)));
    }
    stack.denies(&cases, &[403]).await;
    passes(&stack, &ask("DELETE", "/files/a/leaf", "")).await;
    passes(&stack, &ask("DELETE", "/files/a/other", &bob)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tree_above_a_path_with_rules_cannot_be_moved_or_deleted() {
    let stack = stack().await;
    // Bob may delete and move everywhere, by a rule without paths.
    let bob = stack.cookie_of("bob").await;
    let mut cases = Vec::new();
    for above in
        ["/files", "/files/", "/files/priv", "/files/priv/", "/files/PRIV", "/files/priv;x"]
    {
        cases.push(case("above", ask("DELETE", above, &bob)));
        cases.push(case("above", ask("MOVE", above, &(bob.clone() + &to("/files/x")))));
        cases.push(case("above", ask("MOVE", "/files/x", &(bob.clone() + &to(above)))));
    }
    stack.denies(&cases, &[403]).await;
    for fine in ["/files/priv/b", "/files/priv/b/", "/files/priv/b/c", "/files/x", "/files/pri"] {
        passes(&stack, &ask("DELETE", fine, &bob)).await;
    }
    passes(&stack, &ask("DELETE", "/plain", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn method_override_is_removed_where_methods_have_rules() {
    let stack = stack().await;
    let overrides = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];
    let fields = overrides.map(|name| format!("{name}: PUT\r\n")).concat();
    let received = passes(&stack, &ask("POST", "/files/pub/a", &fields)).await;
    for name in overrides {
        assert!(received["headers"][name.to_ascii_lowercase()].is_null(), "T22 {name}: {received}");
    }
    let received = passes(&stack, &ask("POST", "/plain/a", &fields)).await;
    for name in overrides {
        assert_eq!(received["headers"][name.to_ascii_lowercase()], "PUT", "{name}: {received}");
    }
}
