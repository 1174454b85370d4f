//! Answers to auth subrequests of a declared proxy, and the listeners that give them.

use std::time::Duration;

use super::{AUTH, ForwardAuth, NGINX, builder, client, field, nginx};
use crate::support::faults::{DemoEndpoint, Fault, NetworkFault};
use crate::support::wait;
use crate::support::wire::status;

#[tokio::test(flavor = "multi_thread")]
async fn envoy_gets_200_for_an_allowed_path_behind_the_endpoint() {
    let proxy = ForwardAuth::of("envoy").await;
    let alice = proxy.cookie_of("alice").await;
    let fields = format!("{NGINX}{alice}");
    for (line, expected) in [
        ("GET /oauth2/auth/page?q=1", 200),
        ("POST /oauth2/auth/staff", 200),
        ("OPTIONS /oauth2/auth/preflight", 200),
        ("GET /oauth2/auth/preflight", 403),
        ("GET /oauth2/auth/open?allowed_groups=absent", 200),
        ("GET /oauth2/auth/?allowed_groups=", 200),
        ("GET /oauth2/auth", 403),
        ("GET /oauth2/auth/open/..%2fpage", 403),
        ("GET /oauth2/auth/open/../page", 403),
        ("GET /oauth2/auth//open", 403),
    ] {
        assert_eq!(proxy.status(line, &fields).await, expected, "{line}");
    }
    assert_eq!(proxy.status("GET /oauth2/auth/page", NGINX).await, 401);
    let forged = format!("{NGINX}X-Forwarded-Host: status.localhost\r\n");
    assert_eq!(proxy.status("GET /oauth2/auth/page", &forged).await, 401, "ignored");
    for forged in ["X-Forwarded-Uri: /open", "X-Original-URI: /open", "X-Forwarded-Method: OPTIONS"]
    {
        let fields = format!("{fields}{forged}\r\n");
        assert_eq!(proxy.status("GET /oauth2/auth/page", &fields).await, 403, "{forged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn path_behind_the_endpoint_gets_403_for_every_other_proxy() {
    let proxy = ForwardAuth::of("nginx").await;
    let fields = nginx("GET", "/open", "");
    assert_eq!(proxy.status("GET /oauth2/auth/", &fields).await, 202);
    assert_eq!(proxy.status("GET /oauth2/auth/open", &fields).await, 403);
    proxy.logged("a path behind an auth endpoint");
    assert_eq!(proxy.status("GET /oauth2/auth/?allowed_groups=absent", &fields).await, 401);
    assert_eq!(proxy.status("GET /oauth2/auth/?allowed_groups=", &fields).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn application_cookies_are_in_every_allowing_answer_and_in_no_other() {
    let others = "first=1; second=a=b";
    for (kind, line, granted) in
        [("nginx", "GET /oauth2/auth", 202), ("envoy", "GET /oauth2/forward_auth/page", 200)]
    {
        let proxy = ForwardAuth::of(kind).await;
        let ours = proxy.cookie_of("alice").await;
        let session = ours.trim_end().strip_prefix("Cookie: ").unwrap();
        let ask = async |cookies: &str, line: &str, uri: &str| {
            let fields = if kind == "envoy" { NGINX.to_owned() } else { nginx("GET", uri, "") };
            proxy.ask(line, &format!("{fields}{cookies}")).await
        };
        for (sent, left) in [
            (format!("Cookie: first=1; {session}; portcullis-login=x; second=a=b\r\n"), others),
            (format!("Cookie: {session}\r\n"), ""),
        ] {
            let answer = ask(&sent, line, "/page").await;
            assert_eq!(status(&answer), granted, "{answer}");
            let expected = if kind == "envoy" && left.is_empty() { None } else { Some(left) };
            assert_eq!(field(&answer, "cookie"), expected, "{answer}");
            let removed = field(&answer, "x-envoy-auth-headers-to-remove");
            assert_eq!(removed, expected.is_none().then_some("cookie"), "{answer}");
            assert_eq!(field(&answer, "set-cookie"), None, "{answer}");
        }
        let open = if kind == "envoy" { "GET /oauth2/auth/open" } else { line };
        let answer = ask("", open, "/open").await;
        let expected = if kind == "envoy" { None } else { Some("") };
        assert_eq!((status(&answer), field(&answer, "cookie")), (granted, expected), "{answer}");
        let page = "Cookie: first=1; portcullis=x\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
        let behind = |uri: &str| if kind == "envoy" { uri.to_owned() } else { String::new() };
        for (endpoint, uri, expected) in
            [("auth", "/page", 401), ("forward_auth", "/page", 302), ("auth", "/preflight", 403)]
        {
            let line = format!("GET /oauth2/{endpoint}{}", behind(uri));
            let answer = ask(page, &line, uri).await;
            assert_eq!(status(&answer), expected, "{answer}");
            for name in ["cookie", "set-cookie", "x-envoy-auth-headers-to-remove"] {
                assert_eq!(field(&answer, name), None, "{name} {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn header_that_an_answer_cannot_remove_gets_403() {
    let proxy = ForwardAuth::of("nginx").await;
    let alice = proxy.cookie_of("alice").await;
    for name in [
        "X_Forwarded_User",
        "X.Forwarded-Email",
        "x-forwarded_groups",
        "X_Who",
        "x_auth_request_user",
    ] {
        let fields = nginx("GET", "/page", &format!("{alice}{name}: mallory\r\n"));
        assert_eq!(proxy.status(AUTH, &fields).await, 403, "{name}");
        let open = nginx("GET", "/open", &format!("{name}: mallory\r\n"));
        assert_eq!(proxy.status(AUTH, &open).await, 403, "{name}");
    }
    let own = nginx("GET", "/page", &format!("{alice}X-Forwarded-User: mallory\r\nX_Other: 1\r\n"));
    let answer = proxy.ask(AUTH, &own).await;
    assert_eq!((status(&answer), field(&answer, "x-forwarded-user")), (202, Some("")), "{answer}");
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X_Method_Override"] {
        let fields = |uri| nginx("OPTIONS", uri, &format!("{name}: POST\r\n"));
        assert_eq!(proxy.status(AUTH, &fields("/preflight")).await, 403, "{name}");
        assert_eq!(proxy.status(AUTH, &fields("/open")).await, 202, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_listener_serves_auth_endpoints_and_probes_only() {
    let proxy = ForwardAuth::with_own_listener("nginx").await;
    let alice = proxy.cookie_of("alice").await;
    let answer = proxy.ask(AUTH, &nginx("GET", "/page", &alice)).await;
    assert_eq!(status(&answer), 202, "{answer}");
    assert!(field(&answer, "authorization").unwrap().starts_with("Bearer "), "{answer}");
    assert_eq!(field(&answer, "x-who"), Some("alice@example.com"));
    for path in ["/ping", "/oauth2/ping"] {
        assert_eq!(proxy.status(&format!("GET {path}"), "Host: wiki.localhost\r\n").await, 200);
    }
    for path in
        ["/", "/open", "/page", "/oauth2/start", "/oauth2/userinfo", "/oauth2/sign_out", "/ready"]
    {
        let status = proxy.status(&format!("GET {path}"), &format!("{NGINX}{alice}")).await;
        assert_eq!(status, 404, "{path}");
    }
    let public = ForwardAuth { auth: proxy.stack.gateway.address, ..proxy };
    for path in ["auth", "forward_auth", "auth/open"] {
        let answer =
            public.ask(&format!("GET /oauth2/{path}"), &nginx("GET", "/page", &alice)).await;
        assert_eq!(status(&answer), 404, "{path}");
        assert_eq!(field(&answer, "x-who"), None);
    }
    let answer = public.ask("GET /oauth2/userinfo", &format!("{NGINX}{alice}")).await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_token_is_withheld_on_a_public_listener() {
    let proxy = ForwardAuth::of("nginx").await;
    let alice = proxy.cookie_of("alice").await;
    let answer = proxy.ask(AUTH, &nginx("GET", "/page", &alice)).await;
    assert_eq!((status(&answer), field(&answer, "authorization")), (202, Some("")), "{answer}");
    assert_eq!(field(&answer, "x-who"), Some("alice@example.com"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webdav_destination_is_decided_like_the_path() {
    let routes = ["allow: [{ public: true, paths: [/pub] }, { groups: [staff] }]"];
    let proxy = ForwardAuth::start(builder(&client("nginx")).routes(routes)).await;
    let status = async |method, uri, destination: &str| {
        let fields = match destination {
            "" => String::new(),
            text => format!("Destination: {text}\r\n"),
        };
        proxy.status(AUTH, &nginx(method, uri, &fields)).await
    };
    assert_eq!(status("MOVE", "/pub/a", "http://wiki.localhost/pub/b").await, 202);
    assert_eq!(status("COPY", "/pub/a", "/pub/b").await, 202);
    for (method, uri, destination) in [
        ("MOVE", "/pub/a", "http://wiki.localhost/priv/b"),
        ("COPY", "/pub/a", "/priv/b"),
        ("MOVE", "/pub/a", "/pub/..%2fpriv/b"),
        ("MOVE", "/pub/a", "http://other.example/pub/b"),
        ("MOVE", "/pub/a", ""),
    ] {
        assert_eq!(status(method, uri, destination).await, 403, "{method} {uri} {destination}");
    }
    proxy.logged("Destination");
}

/// Envoy allows on a 5xx with `failure_mode_allow`, and nginx answers with its own error page.
#[tokio::test(flavor = "multi_thread")]
async fn provider_outage_gets_403_and_is_logged() {
    let short = builder(&client("nginx")).token_lifetime(Duration::from_secs(1));
    let proxy = ForwardAuth::start(short).await;
    let alice = proxy.cookie_of("alice").await;
    proxy
        .stack
        .provider
        .set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Unavailable)]);
    let fields = nginx("GET", "/page", &alice);
    let denied = async || proxy.status(AUTH, &fields).await != 202;
    wait::until("the access token has expired", denied).await;
    let answer = proxy.ask(AUTH, &fields).await;
    assert_eq!((status(&answer), field(&answer, "cookie")), (403, None), "{answer}");
    assert!(field(&answer, "set-cookie").is_none(), "{answer}");
    proxy.logged("no access token");
}

#[tokio::test(flavor = "multi_thread")]
async fn route_header_without_value_is_empty_even_if_a_default_has_one() {
    let routes = ["allow: authenticated, identity_headers: \
                   { X-Auth-Request-Groups: \"{claim:/roles}\", Impersonate-User: \"{user}\" }"];
    let proxy = ForwardAuth::start(builder(&client("nginx")).routes(routes)).await;
    let alice = proxy.cookie_of("alice").await;
    let answer = proxy.ask(AUTH, &nginx("GET", "/page", &alice)).await;
    assert_eq!(status(&answer), 202, "{answer}");
    assert_eq!(field(&answer, "x-auth-request-groups"), Some(""), "{answer}");
    assert_eq!(field(&answer, "impersonate-user"), Some("demo-alice"), "{answer}");
    for name in ["Impersonate-Group", "Impersonate_Group", "Impersonate-Extra-Scopes"] {
        let fields = nginx("GET", "/page", &format!("{alice}{name}: system:masters\r\n"));
        assert_eq!(proxy.status(AUTH, &fields).await, 403, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn misspelt_method_override_with_a_destination_gets_403_on_every_route() {
    let proxy = ForwardAuth::of("nginx").await;
    for name in ["X_HTTP_Method_Override", "X.HTTP.Method"] {
        let fields = format!("{name}: MOVE\r\nDestination: /private/x\r\n");
        let fields = nginx("POST", "/open/a", &fields);
        assert_eq!(proxy.status(AUTH, &fields).await, 403, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subrequest_without_uri_and_with_contradicting_methods_gets_403() {
    let proxy = ForwardAuth::of("nginx").await;
    let fields = |other| format!("{NGINX}X-Original-Method: GET\r\n{other}");
    let status = async |other| {
        proxy.status(AUTH, &fields(other).replace("wiki.localhost", "status.localhost")).await
    };
    assert_eq!(status("").await, 202);
    assert_eq!(status("X-Forwarded-Method: DELETE\r\n").await, 403);
    assert_eq!(status("X-Forwarded-Uri: /a\r\nX-Forwarded-Uri: /b\r\n").await, 403);
}
