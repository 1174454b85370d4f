//! Header fields by which a client would pose as another user, or remove fields of the gateway.

use super::{Stack, get, status};

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_and_those_they_name_are_removed() {
    let stack = Stack::start().await;
    let fields = "Connection: X-Hop, keep-alive\r\nConnection: x-other\r\nX-Hop: 1\r\nX-Other: 1\r\n\
                  Keep-Alive: timeout=5\r\nTE: trailers, gzip\r\nTrailer: X-Later\r\n\
                  Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n\
                  Proxy-Authenticate: Basic\r\nProxy: http://evil.example\r\nX-Stays: 1\r\n";
    let received = stack.received("/open", fields).await;
    let gone = [
        "connection",
        "x-hop",
        "x-other",
        "keep-alive",
        "te",
        "trailer",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "proxy",
        "upgrade",
    ];
    for name in gone {
        assert!(received["headers"][name].is_null(), "T30/T109 {name}: {received}");
    }
    assert_eq!(received["headers"]["x-stays"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_field_cannot_remove_identity_headers() {
    let stack = Stack::start().await;
    let alice = stack.cookie_of("alice").await;
    let ours = "x-forwarded-user, X-Forwarded-Email, x-forwarded-groups, x-forwarded-for, \
                X-Forwarded-Host, x-forwarded-proto, x-forwarded-port, x-real-ip, x-request-id, host, \
                content-length, cookie, close";
    for connection in [ours.to_owned(), ours.to_uppercase(), ours.replace(", ", " ,,\t")] {
        let fields = format!("{alice}Connection: {connection}\r\n");
        let headers = stack.received("/page", &fields).await["headers"].clone();
        assert_eq!(headers["x-forwarded-user"], "demo-alice", "T31 {headers}");
        assert_eq!(headers["x-forwarded-email"], "alice@example.com", "T31 {headers}");
        assert_eq!(headers["x-forwarded-groups"], "staff", "T31 {headers}");
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1", "T31 {headers}");
        assert_eq!(headers["host"], "wiki.localhost", "T31 {headers}");
        for name in [
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-real-ip",
            "x-request-id",
        ] {
            assert!(headers[name].is_string(), "T31 {name}: {headers}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_forwarding_header_is_removed_in_every_spelling() {
    let stack = Stack::start().await;
    let bob = stack.cookie_of("bob").await;
    let mut forged = String::new();
    for name in [
        "User",
        "Email",
        "Groups",
        "Preferred-Username",
        "Access-Token",
        "For",
        "Host",
        "Proto",
        "Port",
        "Prefix",
        "Uri",
        "Server",
        "Ssl",
    ] {
        for name in [
            format!("X-Forwarded-{name}"),
            format!("x_forwarded_{name}"),
            format!("X-Forwarded_{name}"),
            format!("X.Forwarded.{name}"),
        ] {
            forged.push_str(&format!("{name}: mallory\r\n{}: mallory\r\n", name.to_uppercase()));
        }
    }
    for (target, cookie) in [("/open", ""), ("/open", bob.as_str()), ("/page", bob.as_str())] {
        for forged in forged.split_inclusive('\n').collect::<Vec<_>>().chunks(80) {
            let received = stack.received(target, &format!("{cookie}{}", forged.concat())).await;
            assert!(!received["headers"].to_string().contains("mallory"), "T32/T33 {received}");
            let user = &received["headers"]["x-forwarded-user"];
            assert_eq!(user.as_str(), (!cookie.is_empty()).then_some("demo-bob"), "T32 {received}");
            // Bob has no groups: the field is absent, even if a client sends one.
            assert!(received["headers"]["x-forwarded-groups"].is_null(), "T32 {received}");
        }
    }
}

/// Headers by which proxies tell applications who the client is, or control them.
const OF_PROXIES: [&str; 51] = [
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Redirect",
    "X-Auth-Request-Access-Token",
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
    "Remote-Addr",
    "X-Remote-User",
    "X-Remote-Group",
    "X-WebAuth-User",
    "X-WebAuth-Role",
    "X-Authentik-Username",
    "X-Goog-Authenticated-User-Email",
    "X-MS-Client-Principal-Name",
    "X-Amzn-Oidc-Identity",
    "Tailscale-User-Login",
    "OIDC-CLAIM-Sub",
    "Client-Cert",
    "Client-Cert-Chain",
    "SSL-Client-Verify",
    "X-SSL-Client-S-DN",
    "X-Client-Cert",
    "Forwarded",
    "Forwarded-For",
    "X-Forwarded",
    "X-Forwarded-Client-Cert",
    "X-Real-Ip",
    "X-Original-Url",
    "X-Original-Uri",
    "X-Original-Host",
    "X-Original-Forwarded-For",
    "X-Rewrite-Url",
    "X-Host",
    "X-HTTP-Host-Override",
    "Front-End-Https",
    "True-Client-Ip",
    "Cf-Connecting-Ip",
    "X-Client-Ip",
    "X-Cluster-Client-Ip",
    "Fastly-Client-Ip",
    "Client-Ip",
    "X-Envoy-External-Address",
    "X-Envoy-Original-Path",
    "X-Envoy-Original-Dst-Host",
    "L5d-Dst-Override",
    "X-Middleware-Subrequest",
    "X-Accel-Mapping",
    "X-Sendfile-Type",
    "Script-Name",
];

#[tokio::test(flavor = "multi_thread")]
async fn identity_header_of_another_gateway_is_removed() {
    let stack = Stack::start().await;
    let alice = stack.cookie_of("alice").await;
    for (target, cookie) in [("/open", ""), ("/page", &*alice)] {
        for spell in [
            str::to_owned as fn(&str) -> String,
            str::to_uppercase,
            |name: &str| name.replace('-', "_"),
            |name: &str| name.replace('-', "."),
        ] {
            let fields = OF_PROXIES.map(|name| format!("{}: mallory\r\n", spell(name))).concat();
            let received = stack.received(target, &format!("{cookie}{fields}")).await;
            assert!(!received["headers"].to_string().contains("mallory"), "T22/T34 {received}");
            assert_eq!(received["headers"]["x-real-ip"], "127.0.0.1");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_head_gets_431_or_414() {
    let stack = Stack::start().await;
    let cases = [
        (431, get("/open", &format!("X: {}\r\n", "x".repeat(100_000)))),
        (431, get("/open", &"X: y\r\n".repeat(101))),
        (431, get("/open", &format!("{}: x\r\n", "n".repeat(70_000)))),
        (414, get(&format!("/open/{}", "x".repeat(17_000)), "")),
        (414, get(&format!("/open?{}", "x".repeat(40_000)), "")),
    ];
    for (expected, sent) in cases {
        let answer = super::until_closed(&stack.gateway, &sent).await;
        assert_eq!(status(&answer), expected, "T104 {}: {answer}", &sent[..40]);
    }
    assert_eq!(stack.upstream.request_count(), 0);
}
