//! WebDAV on routes with `paths` rules: a second path in `Destination`, and methods that act on a tree.

use serde_json::Value;

use super::{House, answers_to, case, status};
use crate::support::gateway::Gateway;
use crate::support::provider;

/// `/files` has rules: `/files/pub` is for anyone, `/files/priv/b` for staff. `/plain` has none.
async fn house() -> House {
    let mut house = House::start().await;
    let to = format!("upstream: \"http://{}\"", house.upstream.address);
    house.gateway = Gateway::start(&format!(
        "{}routes:\n  - {{ path: /files, {to}, allow: [{{ public: true, paths: [/files/pub, /files/free] }}, \
         {{ groups: [staff], paths: [/files/priv/b] }}, {{ users: [demo-bob], methods: [DELETE, MOVE] }}] }}\n  \
         - {{ path: /plain, {to}, allow: public }}\n",
        provider::section(&house.provider)
    ));
    house
}

fn ask(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n")
}

fn to(destination: &str) -> String {
    format!("Destination: {destination}\r\n")
}

/// What the application was told of a request that passes.
async fn passes(house: &House, sent: &str) -> Value {
    let answer = answers_to(&house.gateway, sent).await;
    assert_eq!(status(&answer), 200, "{sent}: {answer}");
    house.upstream.seen().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_that_the_rules_deny_gets_403() {
    let house = house().await;
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
    house.refuses(&cases, &[403]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_at_another_origin_gets_502() {
    let house = house().await;
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
        house.refuses(&origins.map(ask), &[502]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_that_the_rules_allow_is_forwarded_as_it_came() {
    let house = house().await;
    let alice = house_cookie(&house, "alice").await;
    for (fields, destination) in [
        (String::new(), "http://wiki.localhost/files/pub/b%20c"),
        (String::new(), "HTTP://Wiki.Localhost:80/files/free/b?x=%2e%2e"),
        (String::new(), "/files/pub/b;v=1"),
        (alice.clone(), "/files/priv/b"),
        (alice.clone(), "http://wiki.localhost/files/priv/b/c"),
    ] {
        for method in ["MOVE", "COPY"] {
            let sent = ask(method, "/files/pub/a", &(fields.clone() + &to(destination)));
            let told = passes(&house, &sent).await;
            assert_eq!(told["headers"]["destination"], destination, "{told}");
        }
    }
    let told = passes(&house, &ask("MOVE", "/plain/a", &to("/plain/b"))).await;
    assert_eq!((&told["method"], &told["target"]), (&"MOVE".into(), &"/plain/a".into()));
    passes(&house, &ask("MOVE", "/plain/a", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_out_move_of_a_private_path_is_asked_to_sign_in() {
    let house = house().await;
    let fields = to("/files/pub/b");
    house.refuses(&[case("own path", ask("MOVE", "/files/priv/b", &fields))], &[401]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tree_above_a_ruled_path_is_not_moved_copied_or_deleted() {
    let house = house().await;
    // Bob may delete and move everywhere, by a rule without paths.
    let bob = house_cookie(&house, "bob").await;
    let mut cases = Vec::new();
    for above in
        ["/files", "/files/", "/files/priv", "/files/priv/", "/files/PRIV", "/files/priv;x"]
    {
        cases.push(case("above", ask("DELETE", above, &bob)));
        cases.push(case("above", ask("MOVE", above, &(bob.clone() + &to("/files/x")))));
        cases.push(case("above", ask("MOVE", "/files/x", &(bob.clone() + &to(above)))));
    }
    house.refuses(&cases, &[403]).await;
    for fine in ["/files/priv/b", "/files/priv/b/", "/files/priv/b/c", "/files/x", "/files/pri"] {
        passes(&house, &ask("DELETE", fine, &bob)).await;
    }
    passes(&house, &ask("DELETE", "/plain", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn method_override_is_removed_where_methods_have_rules() {
    let house = house().await;
    let overrides = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];
    let fields = overrides.map(|name| format!("{name}: PUT\r\n")).concat();
    let told = passes(&house, &ask("POST", "/files/pub/a", &fields)).await;
    for name in overrides {
        assert!(told["headers"][name.to_ascii_lowercase()].is_null(), "T22 {name}: {told}");
    }
    let told = passes(&house, &ask("POST", "/plain/a", &fields)).await;
    for name in overrides {
        assert_eq!(told["headers"][name.to_ascii_lowercase()], "PUT", "{name}: {told}");
    }
}

async fn house_cookie(house: &House, username: &str) -> String {
    provider::cookie_of(&house.gateway, "company", username).await
}
