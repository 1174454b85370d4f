//! Each key of a rule, alone and with others.

use super::{Stack, builder};
use crate::support::faults::Account;
use crate::support::provider;
use crate::support::wire::{field, status};

fn account(username: &str, email: &str, groups: &[&str]) -> Account {
    Account { email: email.to_owned(), ..Account::new(username, username, groups) }
}

fn people() -> Vec<Account> {
    vec![
        account("alice", "alice@example.com", &["staff", "wiki"]),
        account("bob", "Bob@Sub.EXAMPLE.com", &["Staff", "a,b"]),
        account("carol", "carol@notexample.com", &["staff,wiki"]),
        account("mallory", "mallory@evil.example@example.com", &[]),
        Account { email_verified: false, ..account("eve", "alice@example.com", &[]) },
        account("dot", "dot@example.com.", &[]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn key_matches_if_any_of_its_values_does() {
    let stack = builder(
        people(),
        &[
            ("/emails", "allow: [{ emails: [ALICE@Example.com, x@y.example] }]"),
            ("/domain", "allow: [{ email_domains: [Example.com] }]"),
            ("/below", "allow: [{ email_domains: [\"*.example.com\"] }]"),
            ("/groups", "allow: [{ groups: [staff] }]"),
            ("/comma", "allow: [{ groups: [\"a,b\"] }]"),
            ("/users", "allow: [{ users: [demo-bob, demo-carol] }]"),
            ("/providers", "allow: [{ providers: [company] }]"),
            ("/claims", "allow: [{ claims: { groups: [wiki], email_verified: [\"true\"] } }]"),
            ("/pointer", "allow: [{ claims: { /groups/1: [wiki] } }]"),
            ("/everyone", "allow: authenticated"),
        ],
    )
    .start()
    .await;
    let passes: &[(&str, &[&str])] = &[
        (
            "alice",
            &["/emails", "/domain", "/groups", "/providers", "/claims", "/pointer", "/everyone"],
        ),
        ("bob", &["/below", "/comma", "/users", "/providers", "/everyone"]),
        ("carol", &["/users", "/providers", "/everyone"]),
        ("mallory", &["/providers", "/everyone"]),
        ("eve", &["/providers", "/everyone"]),
        ("dot", &["/providers", "/everyone"]),
    ];
    let all = [
        "/emails",
        "/domain",
        "/below",
        "/groups",
        "/comma",
        "/users",
        "/providers",
        "/claims",
        "/pointer",
        "/everyone",
    ];
    for (who, theirs) in passes {
        let cookie = stack.cookie_of(who).await;
        for path in all {
            let expected = if theirs.contains(&path) { 200 } else { 403 };
            stack.check(&cookie, &format!("GET {path}"), expected).await;
        }
    }
    for path in all {
        stack.check("", &format!("GET {path}"), 401).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_matches_if_all_its_keys_do_and_any_rule_allows() {
    let stack = builder(people(),
        &[
            ("/both", "allow: [{ groups: [staff], email_domains: [example.com] }]"),
            ("/either", "allow: [{ groups: [no-member] }, { groups: [staff], methods: [POST] }, { users: [demo-bob] }]"),
            ("/read", "allow: [{ methods: [GET] }]"),
            ("/write", "allow: [{ methods: [POST, DELETE], users: [demo-alice] }, { methods: [GET] }]"),
        ],
    ).start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    for (who, request, expected) in [
        (&alice, "GET /both", 200),
        (&bob, "GET /both", 403),
        (&alice, "GET /either", 403),
        (&alice, "POST /either", 200),
        (&bob, "GET /either", 200),
        (&alice, "GET /read", 200),
        (&alice, "HEAD /read", 200),
        (&alice, "POST /read", 403),
        (&alice, "OPTIONS /read", 403),
        (&alice, "get /read", 403),
        (&alice, "POST /write", 200),
        (&alice, "DELETE /write/x", 200),
        (&bob, "POST /write", 403),
        (&bob, "HEAD /write", 200),
        (&bob, "PUT /write", 403),
    ] {
        stack.check(who, request, expected).await;
    }
    // 403 and not 401: no user is allowed to send this request.
    stack.check("", "POST /read", 403).await;
    stack.check("", "GET /read", 401).await;
    stack.check("", "PUT /write", 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_rule_allows_every_client_and_identifies_users() {
    let stack = builder(people(),
        &[
            ("/", "allow: [{ public: true, methods: [OPTIONS] }, { public: true, paths: [/assets, /icon] }, { groups: [staff] }]"),
            ("/get", "allow: [{ public: true, methods: [GET] }]"),
        ],
    ).start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    for (who, request, expected) in [
        ("", "OPTIONS /x", 200),
        ("", "GET /assets/a.css", 200),
        ("", "POST /assets", 200),
        ("", "GET /icon", 200),
        ("", "GET /x", 401),
        ("", "GET /assetsx", 401),
        ("", "GET /x?/assets", 401),
        (&bob, "GET /assets/a.css", 200),
        (&bob, "GET /x", 403),
        (&alice, "GET /x", 200),
        ("", "GET /get", 200),
        ("", "HEAD /get", 200),
        ("", "POST /get", 403),
        (&alice, "POST /get", 403),
    ] {
        stack.check(who, request, expected).await;
    }
    stack.check(&alice, "GET /assets/a.css", 200).await;
    let received = stack.upstream.seen().pop().unwrap();
    assert_eq!(received["headers"]["x-forwarded-user"], "demo-alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_key_decides_only_if_all_path_interpretations_agree() {
    let stack = builder(people(),
        &[("/", "allow: [{ public: true, paths: [/open, /Docs] }, { groups: [staff], paths: [/staff] }, { users: [demo-bob] }]")],
    ).start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    let carol = stack.cookie_of("carol").await;
    for (who, target, expected) in [
        ("", "/open/x", 200),
        ("", "/open/a%2fb", 200),
        ("", "/open/a;b/c//d", 200),
        ("", "/Docs/x", 200),
        ("", "/docs/x", 400),
        ("", "/DOCS", 400),
        ("", "/open%2fx", 400),
        ("", "/open;x", 401),
        (&bob, "/open;x", 200),
        ("", "/open/..%2fx", 400),
        ("", "/open/..;/x", 400),
        ("", "/open/%252e%252e/x", 400),
        ("", "//open", 400),
        ("", "/x", 401),
        ("", "/x//y", 401),
        (&alice, "/staff", 200),
        (&alice, "/%73taff/x", 200),
        (&alice, "/staff/a%2fb", 200),
        (&alice, "/x", 403),
        (&alice, "/x/..%2fstaff", 400),
        (&alice, "//staff", 400),
        (&alice, "/STAFF", 400),
        // Bob is allowed every interpretation of these.
        (&bob, "/x/..%2fstaff", 200),
        (&bob, "//staff", 200),
        (&bob, "/STAFF", 200),
        (&bob, "/staff/../x", 400),
        // Carol is denied every interpretation, if not for the same reason.
        (&carol, "//staff", 403),
        (&carol, "/STAFF", 403),
        (&carol, "//open", 400),
    ] {
        stack.check(who, &format!("GET {target}"), expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_paths_key_matches_one_path_in_every_interpretation() {
    let stack = builder(people(),
        &[("/", "allow: [{ public: true, exact_paths: [/manifest.json, /Icon] }, { groups: [staff], paths: [/icon] }, { groups: [staff], exact_paths: [/staff] }, { users: [demo-bob] }]")],
    ).start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    for (who, target, expected) in [
        ("", "/manifest.json", 200),
        ("", "/manifest.json?x=/y", 200),
        ("", "/%6danifest.json", 200),
        ("", "/manifest.json/", 401),
        ("", "/manifest.json/x", 401),
        ("", "/manifest.jsonx", 401),
        ("", "/", 401),
        ("", "/Manifest.json", 400),
        ("", "//manifest.json", 400),
        ("", "/manifest.json;x", 401),
        ("", "/manifest.json%3bx", 400),
        ("", "/manifest.json/;x", 401),
        ("", "/x/..%2fmanifest.json", 400),
        ("", "/manifest.json%2f", 401),
        // An upstream that ignores letter case serves the path of another rule.
        ("", "/Icon", 400),
        (&bob, "/Icon", 200),
        (&alice, "/staff", 200),
        (&alice, "/staff/x", 403),
        (&bob, "/staff/x", 200),
    ] {
        stack.check(who, &format!("GET {target}"), expected).await;
    }
    stack.check("", "POST /manifest.json", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emails_file_allows_its_addresses_only() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("staff.txt");
    std::fs::write(&file, "# staff\n\nAlice@Example.com # since May\n").unwrap();
    let rules = format!("allow: [{{ emails_file: {} }}]", file.display());
    let stack = builder(people(), &[("/", &*rules)]).start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    for (who, expected) in [("", 401), (&*alice, 200), (&*bob, 403)] {
        stack.check(who, "GET /", expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letter_case_does_not_bypass_a_route() {
    let stack = builder(
        people(),
        &[("/", "allow: public"), ("/Admin", "allow: [{ groups: [no-member] }]")],
    )
    .start()
    .await;
    let alice = stack.cookie_of("alice").await;
    for (target, expected) in [
        ("/Admin/x", 403),
        ("/admin/x", 400),
        ("/ADMIN/x", 400),
        ("/%61dmin/x", 400),
        ("//admin", 400),
        ("/administration", 200),
        ("/x/admin", 200),
    ] {
        stack.check(&alice, &format!("GET {target}"), expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn path_spelling_of_one_rule_does_not_bypass_another() {
    let stack = builder(people(),
        &[
            ("/", "allow: [{ public: true, paths: [/App, /wiki/Open] }, { groups: [staff], paths: [/app] }, { users: [demo-bob], paths: [/Wiki] }, { public: true, paths: [/Both, /both] }]"),
            ("/n/Open", "allow: public"),
            ("/N", "allow: [{ groups: [staff] }]"),
        ],
    ).start().await;
    let (alice, bob) = (stack.cookie_of("alice").await, stack.cookie_of("bob").await);
    for (who, target, expected) in [
        ("", "/App", 400),
        ("", "/App/x", 400),
        ("", "/%41pp/x", 400),
        ("", "/App//x", 400),
        ("", "/app", 400),
        (&bob, "/App", 400),
        // Alice is allowed every spelling.
        (&alice, "/App/X", 200),
        (&alice, "/app", 200),
        ("", "/wiki/Open/x", 400),
        (&bob, "/wiki/Open/x", 200),
        ("", "/Wiki/x", 401),
        ("", "/Both/x", 200),
        ("", "/both/x", 200),
        ("", "/n/Open/x", 400),
        (&alice, "/N/Open", 400),
        (&alice, "/N/x", 200),
    ] {
        stack.check(who, &format!("GET {target}"), expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_addresses_key_uses_the_chain_of_a_trusted_proxy() {
    let routes = [
        (
            "/office",
            "allow: [{ public: true, client_addresses: [198.51.100.0/24, \"2001:db8::/32\"] }]",
        ),
        ("/here", "allow: [{ public: true, client_addresses: [127.0.0.1] }]"),
        ("/staff", "allow: [{ groups: [staff], client_addresses: [198.51.100.0/24] }]"),
    ];
    let trusting = builder(people(), &routes)
        .server("trusted_proxies: [127.0.0.1/32, 10.0.0.0/8]")
        .start()
        .await;
    for (chain, office, here) in [
        ("", 403, 200),
        ("198.51.100.7", 200, 403),
        ("::ffff:198.51.100.7", 200, 403),
        ("2001:db8::1", 200, 403),
        ("[2001:db8::1]:443", 200, 403),
        ("198.51.100.7:4711", 200, 403),
        ("203.0.113.1, 198.51.100.7", 200, 403),
        ("198.51.100.7, 203.0.113.1", 403, 403),
        ("198.51.100.7, 10.1.2.3", 200, 403),
        ("198.51.100.7, 10.1.2.3, 127.0.0.1", 200, 403),
        ("unix:, \u{ff}, ,198.51.100.7", 200, 403),
        ("10.1.2.3, 127.0.0.1", 403, 403),
        ("127.0.0.1, 10.1.2.3", 403, 200),
        // T36: an entry that is no address makes the client address unknown; it is not that of the proxy.
        ("198.51.100.7, unknown", 403, 403),
        ("198.51.100.7, unix:", 403, 403),
        ("198.51.100.7, \u{ff}", 403, 403),
        ("\u{ff}", 403, 403),
        ("198.51.100.7, 10.1.2.999", 403, 403),
        ("unknown", 403, 403),
        ("198.51.100.7,", 403, 403),
        ("198.51.100.7, , 127.0.0.1", 403, 403),
        (" ", 403, 403),
        ("0xc6.51.100.7", 403, 403),
        ("198.51.100.07", 403, 403),
        ("3325256711", 403, 403),
    ] {
        let fields =
            if chain.is_empty() { String::new() } else { format!("X-Forwarded-For: {chain}\r\n") };
        trusting.check(&fields, "GET /office", office).await;
        trusting.check(&fields, "GET /here", here).await;
    }
    let (alice, there) = (trusting.cookie_of("alice").await, "X-Forwarded-For: 198.51.100.7\r\n");
    trusting.check(&format!("{alice}{there}"), "GET /staff", 200).await;
    trusting.check(&alice, "GET /staff", 403).await;
    trusting.check(there, "GET /staff", 401).await;
    trusting.check("", "GET /staff", 403).await;
    for other in ["X-Real-IP", "Forwarded", "True-Client-IP", "X-Client-IP", "CF-Connecting-IP"] {
        trusting.check(&format!("{other}: 198.51.100.7\r\n"), "GET /office", 403).await;
    }
    let alone = builder(people(), &routes).start().await;
    for chain in ["198.51.100.7", "127.0.0.1"] {
        alone.check(&format!("X-Forwarded-For: {chain}\r\n"), "GET /office", 403).await;
        alone.check(&format!("X-Forwarded-For: {chain}\r\n"), "GET /here", 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_counts_only_on_routes_of_its_provider() {
    let partner = provider::start_for(people()).await;
    let stack = Stack::builder()
        .accounts(people())
        .second_provider(&provider::entry("partner", "Partner", partner.issuer(), ""))
        .routes([
            "UPSTREAM, allow: authenticated",
            "path: /company, UPSTREAM, providers: [company], allow: [{ groups: [staff] }]",
            "path: /partner, UPSTREAM, allow: [{ providers: [partner], groups: [staff] }]",
            "path: /open, UPSTREAM, providers: [company], allow: public",
        ])
        .start()
        .await;
    let of = async |fields: &str, target: &str| {
        stack.answer(&format!("GET {target}"), &format!("Accept: text/html\r\n{fields}")).await
    };
    let here = stack.cookie_of("alice").await;
    let there = stack.cookie_from("partner", "alice").await;
    for (who, target, expected) in [
        (&here, "/", 200),
        (&here, "/company", 200),
        (&here, "/partner", 403),
        (&there, "/", 200),
        (&there, "/partner", 200),
        // A redirect, no 403: signing in at the other provider helps.
        (&there, "/company", 302),
        (&there, "/open", 200),
    ] {
        assert_eq!(status(&of(who, target).await), expected, "{target}");
    }
    let received = stack.upstream.seen().pop().unwrap();
    assert!(received["headers"]["x-forwarded-user"].is_null(), "no session of /open's: {received}");
    // A route with one provider redirects there at once; with several, the user chooses.
    let location = |answer: &str| field(answer, "location").to_owned();
    assert_eq!(location(&of("", "/company").await), "/oauth2/start?rd=%2Fcompany&provider=company");
    assert_eq!(location(&of("", "/x").await), "/oauth2/sign_in?rd=%2Fx");
    // An API client gets one URL, which leads to the choice.
    let received = stack.answer("GET /x", "").await;
    assert!(received.contains("\"http://wiki.localhost/oauth2/start?rd=%2F\""), "{received}");
    assert_eq!(location(&of("", "/oauth2/start?rd=%2F").await), "/oauth2/sign_in?rd=%2F");
    let page = of("", "/oauth2/sign_in?rd=/x").await;
    assert!(
        page.contains("Sign in with Company") && page.contains("Sign in with Partner"),
        "{page}"
    );
    let page = of("", "/oauth2/sign_in?rd=/company").await;
    assert_eq!(location(&page), "/oauth2/start?rd=%2Fcompany&provider=company");
}
