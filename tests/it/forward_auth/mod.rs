//! Auth subrequests: which proxies are allowed to send them, which of their fields are used, and the answers.

mod answers;

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::browser::{Browser, Door};
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::stack::{Builder, Stack};
use crate::support::wire::status;

/// No route has an upstream: they are for auth subrequests only.
const ROUTES: [&str; 9] = [
    "allow: authenticated, identity_headers: { X-Who: \"{email}\", Authorization: \"Bearer {access_token}\" }",
    "path: /open, allow: public",
    "path: /staff, allow: [{ groups: [staff] }]",
    "path: /preflight, allow: [{ public: true, methods: [OPTIONS] }]",
    "path: /office, allow: [{ public: true, client_addresses: [10.1.0.0/16] }]",
    "path: /proxy, allow: [{ public: true, client_addresses: [127.0.0.0/8] }]",
    "host: status.localhost, allow: public",
    "host: ruled.localhost, allow: [{ public: true, methods: [GET] }]",
    "host: exact.localhost, allow: [{ public: true, exact_paths: [/] }]",
];

/// A gateway and a proxy on loopback that sends auth subrequests to it.
struct ForwardAuth {
    stack: Stack,
    /// Where the auth endpoints are.
    auth: SocketAddr,
}

/// A stack with [`ROUTES`]; `forward_auth` is the section of that name.
fn builder(forward_auth: &str) -> Builder {
    Stack::builder().server(&format!("forward_auth: {{ {forward_auth} }}")).routes(ROUTES)
}

/// The key that declares proxies at 127.0.0.1.
fn client(proxy: &str) -> String {
    format!("clients: [{{ from: [127.0.0.1], proxy: {proxy} }}]")
}

impl ForwardAuth {
    /// A proxy of this kind.
    async fn of(proxy: &str) -> Self {
        Self::start(builder(&client(proxy))).await
    }

    /// The auth endpoints are on the public listener.
    async fn start(builder: Builder) -> Self {
        let stack = builder.start().await;
        let auth = stack.gateway.address;
        Self { stack, auth }
    }

    async fn with_own_listener(proxy: &str) -> Self {
        let listen = format!("{}, listen: \"127.0.0.1:0\"", client(proxy));
        let mut own = Self::start(builder(&listen)).await;
        own.auth = own.stack.gateway.address_of("forward auth listening");
        own
    }

    async fn cookie_of(&self, username: &str) -> String {
        self.stack.cookie_of(username).await
    }

    /// The answer to an auth subrequest, unparsed.
    async fn ask(&self, line: &str, fields: &str) -> String {
        let head = format!("{line} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
        exchange(TcpStream::connect(self.auth).await.unwrap(), head.as_bytes()).await
    }

    async fn status(&self, line: &str, fields: &str) -> u16 {
        status(&self.ask(line, fields).await)
    }

    #[track_caller]
    fn logged(&self, text: &str) {
        self.stack.gateway.log_until(text);
    }
}

/// Sends bytes, and reads until the other side closes.
async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    sent: &[u8],
) -> String {
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The value of a field of an answer.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines().skip(1).find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

const NGINX: &str =
    "Host: wiki.localhost\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: 203.0.113.9\r\n";

/// The fields by which nginx describes a request, and those of the visitor.
fn nginx(method: &str, uri: &str, of_visitor: &str) -> String {
    format!("{NGINX}X-Original-Method: {method}\r\nX-Original-URI: {uri}\r\n{of_visitor}")
}

const AUTH: &str = "GET /oauth2/auth";

#[tokio::test(flavor = "multi_thread")]
async fn undeclared_proxy_gets_no_identity_and_the_log_names_the_missing_line() {
    let trusted = "trusted_proxies: [127.0.0.1/32]";
    let elsewhere = "clients: [{ from: [192.0.2.0/24], proxy: nginx }]";
    for forward_auth in [elsewhere, ""] {
        let proxy = ForwardAuth::start(builder(forward_auth).server(trusted)).await;
        let alice = proxy.cookie_of("alice").await;
        for path in ["auth", "forward_auth", "auth/", "auth/open"] {
            let line = format!("GET /oauth2/{path}");
            let page = "Accept: text/html\r\n";
            assert_eq!(proxy.status(&line, &nginx("GET", "/open", page)).await, 401, "{path}");
            let answer = proxy.ask(&line, &nginx("GET", "/page", &alice)).await;
            assert_eq!(status(&answer), 403, "{path}");
            assert_eq!(field(&answer, "x-auth-request-user"), None, "{answer}");
            assert_eq!(field(&answer, "cookie"), None, "{answer}");
        }
        proxy.logged("add 127.0.0.1 to server.forward_auth.clients");
        proxy.logged("\"target\":\"access\"");
        let log = proxy.stack.gateway.log_until("add 127.0.0.1");
        let lines = log.iter().filter(|line| line.contains("add 127.0.0.1")).count();
        assert_eq!(lines, 1, "throttled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_header_does_not_change_a_decision_behind_nginx() {
    let proxy = ForwardAuth::of("nginx").await;
    assert_eq!(proxy.status(AUTH, &nginx("GET", "/open", "")).await, 202);
    for (uri, forged) in [
        ("/private/page", "X-Forwarded-Host: status.localhost\r\n"),
        ("/private/page", "X-Original-URL: http://status.localhost/private/page\r\n"),
        ("/private/page", "X-Forwarded-Uri: /open\r\n"),
        ("/private/page", "Path: /open\r\n"),
        ("/private/page", "X-Original-URI: /open\r\n"),
        ("/preflight", "X-Forwarded-Method: OPTIONS\r\n"),
        ("/preflight", "X-Original-Method: OPTIONS\r\n"),
        ("/preflight", "Method: OPTIONS\r\n"),
        ("/office", "X-Real-IP: 10.1.2.3\r\n"),
        ("/office", "Forwarded: for=10.1.2.3\r\n"),
        ("/proxy", "X-Real-IP: 127.0.0.1\r\n"),
    ] {
        // The proxy sends the visitor's fields after its own, or before them.
        for fields in [nginx("GET", uri, forged), format!("{forged}{}", nginx("GET", uri, ""))] {
            let status = proxy.status(AUTH, &fields).await;
            assert!(matches!(status, 401 | 403), "{uri} {forged}: {status}");
        }
    }
    let forged = "X-Forwarded-For: 10.1.2.3\r\n";
    let status = proxy.status(AUTH, &format!("{forged}{}", nginx("GET", "/office", ""))).await;
    assert_eq!(status, 403, "the proxy adds its own at the right end");
}

#[tokio::test(flavor = "multi_thread")]
async fn header_that_the_proxy_once_left_out_is_ignored_from_then_on() {
    let proxy = ForwardAuth::of("nginx").await;
    let preflight = nginx("OPTIONS", "/preflight", "");
    assert_eq!(proxy.status(AUTH, &preflight).await, 202);
    let no_method = format!("{NGINX}X-Original-URI: /open\r\n");
    assert_eq!(proxy.status(AUTH, &no_method).await, 202);
    proxy.logged("proxy_set_header X-Original-Method $request_method;");
    assert_eq!(proxy.status(AUTH, &preflight).await, 403);
    let office = nginx("GET", "/office", "").replace("203.0.113.9", "10.1.2.3");
    assert_eq!(proxy.status(AUTH, &office).await, 202);
    let no_address = office.replace("X-Forwarded-For: 10.1.2.3\r\n", "");
    assert_eq!(proxy.status(AUTH, &no_address).await, 403);
    proxy.logged("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;");
    assert_eq!(proxy.status(AUTH, &office).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_address_is_never_that_of_the_proxy() {
    let trusted = "trusted_proxies: [127.0.0.1, 192.0.2.8]";
    let proxy = ForwardAuth::start(builder(&client("nginx")).server(trusted)).await;
    for (chain, office) in [
        ("10.1.2.3", 202),
        ("198.51.100.7, 10.1.2.3, 192.0.2.8, 127.0.0.1", 202),
        ("\u{ff}, 10.1.2.3", 202),
        ("10.1.2.3, 198.51.100.7", 403),
        ("10.1.2.3, unix:", 403),
        ("10.1.2.3, \u{ff}", 403),
        ("10.1.2.3,", 403),
        ("", 403),
        ("192.0.2.8, 127.0.0.1", 403),
    ] {
        let fields = |uri| nginx("GET", uri, "").replace("203.0.113.9", chain);
        assert_eq!(proxy.status(AUTH, &fields("/office")).await, office, "{chain}");
        assert_eq!(proxy.status(AUTH, &fields("/proxy")).await, 403, "{chain}");
    }
    proxy.stack.gateway.log_until_all(&["\"event\":\"denied\"", "\"client\":\"-\""]);
    let none = nginx("GET", "/proxy", "").replace("X-Forwarded-For: 203.0.113.9\r\n", "");
    assert_eq!(proxy.status(AUTH, &none).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn subrequest_without_uri_is_decided_only_where_all_paths_have_one_rule() {
    let proxy = ForwardAuth::of("nginx").await;
    let alice = proxy.cookie_of("alice").await;
    let without = |host: &str, more: &str| {
        format!("Host: {host}\r\nX-Original-Method: GET\r\nX-Forwarded-For: 203.0.113.9\r\n{more}")
    };
    for (host, stranger, member) in [
        ("status.localhost", 202, 202),
        ("ruled.localhost", 403, 403),
        ("exact.localhost", 403, 403),
        ("wiki.localhost", 403, 403),
        ("nothing.localhost", 403, 403),
    ] {
        assert_eq!(proxy.status(AUTH, &without(host, "")).await, stranger, "{host}");
        assert_eq!(proxy.status(AUTH, &without(host, &alice)).await, member, "{host}");
    }
    let other = "X-Forwarded-Uri: /open\r\n";
    assert_eq!(proxy.status(AUTH, &without("wiki.localhost", other)).await, 403);
    proxy.logged("proxy_set_header X-Original-URI $request_uri;");
    proxy.logged("declare it as `proxy`: traefik, caddy, haproxy");
    let one_route = builder(&client("nginx")).routes(["allow: authenticated"]);
    let proxy = ForwardAuth::start(one_route).await;
    let alice = proxy.cookie_of("alice").await;
    assert_eq!(proxy.status(AUTH, &without("wiki.localhost", "")).await, 401);
    assert_eq!(proxy.status(AUTH, &without("wiki.localhost", &alice)).await, 202);
    // As Traefik asks, from which `nginx` reads no URI: the user would always return to `/`.
    assert_eq!(proxy.status(AUTH, &without("wiki.localhost", other)).await, 401);
    let advice = "declare it as `proxy`: traefik, caddy, haproxy";
    proxy.stack.gateway.log_until_all(&["decided by its host alone", advice]);
    // Traefik's own `Host` is the address of Portcullis.
    let elsewhere = ForwardAuth::of("nginx").await;
    assert_eq!(elsewhere.status(AUTH, &without("127.0.0.1:4182", other)).await, 403);
    elsewhere.stack.gateway.log_until_all(&["auth subrequest denied", advice]);
}

#[tokio::test(flavor = "multi_thread")]
async fn subrequest_without_host_gets_403_and_has_no_other_effect() {
    let proxy = ForwardAuth::of("caddy").await;
    let fields = |host: &str, more: &str| {
        format!(
            "Host: gateway\r\nX-Forwarded-Uri: /preflight\r\nX-Forwarded-Proto: http\r\n\
             X-Forwarded-For: 203.0.113.9\r\n{host}{more}"
        )
    };
    let (host, options) =
        ("X-Forwarded-Host: wiki.localhost\r\n", "X-Forwarded-Method: OPTIONS\r\n");
    for without in ["", "X-Forwarded-Host: \r\n"] {
        assert_eq!(proxy.status(AUTH, &fields(without, "")).await, 403);
    }
    assert_eq!(proxy.status(AUTH, &fields(host, options)).await, 202);
    let proxy = ForwardAuth::of("nginx").await;
    let old = "GET /oauth2/auth HTTP/1.0\r\nX-Original-URI: /preflight\r\n\r\n";
    let answer = exchange(TcpStream::connect(proxy.auth).await.unwrap(), old.as_bytes()).await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert_eq!(proxy.status(AUTH, &nginx("OPTIONS", "/preflight", "")).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_on_a_unix_socket_is_declared_as_unix() {
    let folder = TempDir::new().unwrap();
    for (from, expected) in [("unix", 202), ("127.0.0.1", 401)] {
        let socket = folder.path().join(expected.to_string());
        let gateway = Gateway::start_with(&format!(
            "server: {{ listen: [\"127.0.0.1:0\", \"unix:{}\"], public_url: \"{PUBLIC_URL}\", \
             forward_auth: {{ clients: [{{ from: {from}, proxy: nginx }}] }} }}\n\
             admin: {{ listen: \"off\" }}\nroutes: [{{ allow: public }}]\n",
            socket.display()
        ));
        let mut proxy = Browser::before(Door::Unix(socket));
        proxy.extra.insert("x-original-uri", HeaderValue::from_static("/"));
        assert_eq!(proxy.fetch("/oauth2/auth").await.status, expected, "{from}");
        if expected == 401 {
            gateway.log_until("add unix to server.forward_auth.clients");
        }
    }
}
