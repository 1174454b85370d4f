//! External authorization over gRPC, by a client that speaks HTTP/2 as Envoy does.
//! Invariant: no call of a declared Envoy ends with an error of gRPC, whatever goes wrong.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::fuzz::targets::h2;
use crate::support::faults::{DemoEndpoint, Fault, NetworkFault};
use crate::support::gateway::Gateway;
use crate::support::grpc::{CHECK, Envoy, HEALTH, check_request, framed};
use crate::support::operator::value;
use crate::support::stack::{Builder, Stack};
use crate::support::wait;
use crate::support::wire::{UPGRADE, Wire, status};

/// No route has an upstream: Envoy forwards by itself.
const ROUTES: [&str; 3] = [
    "name: wiki, allow: authenticated",
    "path: /open, allow: public",
    "path: /staff, allow: [{ groups: [staff] }]",
];

const CLIENT: &str = "clients: [{ from: [127.0.0.1], proxy: envoy }]";

fn builder() -> Builder {
    Stack::builder().server(&format!("forward_auth: {{ {CLIENT} }}")).routes(ROUTES)
}

async fn envoy(stack: &Stack) -> Envoy {
    Envoy::connect(stack.gateway.address).await
}

/// The value of the `Cookie` field of a user who has signed in.
async fn session_of(stack: &Stack, username: &str) -> String {
    let field = stack.cookie_of(username).await;
    field.trim_end().strip_prefix("Cookie: ").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn user_is_allowed_with_identity_until_sign_out() {
    let stack = builder().start().await;
    let (envoy, session) = (envoy(&stack).await, session_of(&stack, "alice").await);
    let cookies = format!("wiki=1; {session}");
    let fields =
        [("cookie", &*cookies), ("x-forwarded-user", "mallory"), ("x_forwarded_email", "m@x")];
    let verdict = envoy.check("GET /staff?a", &fields).await;
    assert_eq!((verdict.code, verdict.status), (0, 0), "{verdict:?}");
    assert_eq!(verdict.headers["x-forwarded-user"], "demo-alice");
    assert_eq!(verdict.headers["x-forwarded-email"], "alice@example.com");
    assert_eq!(verdict.headers["x-forwarded-groups"], "staff");
    assert_eq!(verdict.headers["cookie"], "wiki=1");
    assert!(verdict.removed.contains(&"x_forwarded_email".to_owned()), "{verdict:?}");
    assert_eq!(verdict.metadata["user"], "demo-alice");
    assert_eq!(verdict.metadata["rule"], "allow[0]");
    assert_eq!(envoy.check("GET /page", &fields).await.metadata["route"], "wiki");
    let bob = session_of(&stack, "bob").await;
    let verdict = envoy.check("GET /staff", &[("cookie", &*bob), ("accept", "text/html")]).await;
    assert_eq!((verdict.code, verdict.status), (7, 403), "{verdict:?}");
    assert!(verdict.body.contains("(bob@example.com)"), "{verdict:?}");
    assert!(!verdict.headers.contains_key("cookie"), "{verdict:?}");
    let field = format!("Cookie: {session}\r\nSec-Fetch-Site: same-origin\r\n");
    stack.answer("POST /oauth2/sign_out", &format!("{field}Content-Length: 0\r\n")).await;
    let verdict = envoy.check("GET /staff", &fields).await;
    assert_eq!((verdict.code, verdict.status), (16, 401), "{verdict:?}");
    stack.gateway.log_until_all(&[CHECK, "\"decision\":\"deny\"", "\"reason\":\"groups\""]);
}

/// Each call ends with the status 200 of gRPC. It is logged and counted by what the visitor gets.
#[tokio::test(flavor = "multi_thread")]
async fn denial_is_logged_and_counted_by_the_status_of_the_visitor() {
    let stack = builder().admin().start().await;
    let (envoy, bob) = (envoy(&stack).await, session_of(&stack, "bob").await);
    let page = [("accept", "text/html")];
    let member = [("cookie", &*bob)];
    for (request, fields, expected) in [
        ("GET /open", &[][..], 0),
        ("GET /page", &page, 302),
        ("POST /page", &page, 401),
        ("GET /staff", &member, 403),
        ("GET /open/..;/page", &[], 403),
    ] {
        assert_eq!(envoy.check(request, fields).await.status, expected, "{request}");
        let status = format!("\"status\":{}", expected.max(200));
        stack.gateway.log_until_all(&[CHECK, &status]);
    }
    for series in [
        r#"requests_total{route="wiki.localhost/open",status="2xx"}"#,
        r#"requests_total{route="wiki",status="3xx"}"#,
        r#"requests_total{route="wiki.localhost/staff",status="4xx"}"#,
    ] {
        assert_eq!(value(&stack.gateway, series).await, Some(1.0), "{series}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_that_hangs_is_a_denial_before_the_client_gives_up() {
    let stack = builder().token_lifetime(Duration::from_secs(1)).start().await;
    let (envoy, session) = (envoy(&stack).await, session_of(&stack, "alice").await);
    stack.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    let message = framed(&check_request("GET /page", &[("cookie", &session)]));
    let late = async || {
        let verdict = envoy.verdict(&[("grpc-timeout", "500m")], message.clone()).await;
        assert!(verdict.code == 0 || (verdict.code, verdict.status) == (7, 403), "{verdict:?}");
        verdict.code == 7
    };
    wait::until("the access token has expired", late).await;
    stack.gateway.log_until("504 Gateway Timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn call_over_a_limit_is_a_denial() {
    let stack = builder().server("limits: { header_bytes: 1KiB }").start().await;
    let long = vec![b'x'; 66 * 1024];
    let envoy_of_limits = envoy(&stack).await;
    for message in [long, check_request("GET /open", &[("x", &"x".repeat(1024))])] {
        let verdict = envoy_of_limits.verdict(&[], framed(&message)).await;
        assert_eq!((verdict.code, verdict.status), (7, 403), "{verdict:?}");
    }
    assert_eq!(envoy_of_limits.check("GET /open", &[]).await.code, 0);
    // A gateway without an earlier connection, which could still count. In flight until its body has arrived.
    let stack = builder().server("limits: { connections: 1 }").start().await;
    let whole = h2::call(CHECK, b"");
    let mut first = Wire::to(&stack.gateway).await;
    first.say(&whole[..whole.len() - h2::HEAD - framed(b"").len()]).await;
    let full = async || {
        let verdict = envoy(&stack).await.check("GET /open", &[]).await;
        assert!(matches!(verdict.code, 0 | 7), "{verdict:?}");
        verdict.code == 7
    };
    wait::until("the gateway is full", full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_answers_the_calls_of_its_connections() {
    let stack = builder().server("timeouts: { drain_delay: 60s }").start().await;
    let envoy = envoy(&stack).await;
    assert_eq!(envoy.health().await, 1);
    stack.gateway.signal("TERM");
    wait::until("the gateway stops", async || envoy.health().await == 2).await;
    assert_eq!(envoy.check("GET /open", &[]).await.code, 0);
    assert_eq!(envoy.check("GET /page", &[]).await.code, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_that_waits_at_the_end_of_the_drain_is_a_denial() {
    let keys = "timeouts: { drain: 1s }";
    let stack = builder().server(keys).token_lifetime(Duration::from_secs(1)).start().await;
    let (envoy, session) = (envoy(&stack).await, session_of(&stack, "alice").await);
    stack.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    let message = framed(&check_request("GET /page", &[("cookie", &session)]));
    let late = async || envoy.verdict(&[("grpc-timeout", "200m")], message.clone()).await.code == 7;
    wait::until("the access token has expired", late).await;
    let waiting = envoy.verdict(&[], message);
    let stopping = async {
        // It has arrived when a call after it is answered.
        assert_eq!(envoy.check("GET /open", &[]).await.code, 0);
        stack.gateway.signal("TERM");
    };
    let (verdict, ()) = tokio::join!(waiting, stopping);
    assert_eq!((verdict.code, verdict.status), (7, 403), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn undeclared_peer_gets_no_decision_on_any_listener() {
    let elsewhere = "forward_auth: { clients: [{ from: [192.0.2.0/24], proxy: envoy }] }";
    let nginx = "forward_auth: { clients: [{ from: [127.0.0.1], proxy: nginx }] }";
    for keys in ["trusted_proxies: [127.0.0.1]", elsewhere, nginx] {
        let stack = Stack::builder().server(keys).start().await;
        let message = framed(&check_request("GET /open", &[]));
        let called = envoy(&stack).await.call(CHECK, &[], message).await;
        // The host of the call is that of no route.
        assert_eq!(called.headers["grpc-status"], "12", "{called:?}");
        assert!(called.body.is_empty(), "{called:?}");
        if keys == nginx {
            stack.gateway.log_until_all(&["\"proxy\":\"nginx\"", "declare it as `proxy`: envoy"]);
        }
    }
    let own_of_nginx = nginx.replace(" }] }", " }], listen: \"127.0.0.1:0\" }");
    let stack = Stack::builder().server(&own_of_nginx).start().await;
    let envoy = Envoy::connect(stack.gateway.address_of("forward auth listening")).await;
    let called = envoy.call(CHECK, &[], framed(&check_request("GET /open", &[]))).await;
    assert_eq!(called.status, 404, "{called:?}");
    stack.gateway.log_until("declare it as `proxy`: envoy");
    let own = "forward_auth: { clients: [{ from: [192.0.2.0/24], proxy: envoy }], listen: \"127.0.0.1:0\" }";
    let stack = Stack::builder().server(own).start().await;
    let auth = stack.gateway.address_of("forward auth listening");
    let envoy = Envoy::connect(auth).await;
    let called = envoy.call(CHECK, &[], framed(&check_request("GET /open", &[]))).await;
    assert_eq!(called.status, 404, "{called:?}");
    stack.gateway.log_until("add 127.0.0.1 to server.forward_auth.clients");
    assert_eq!(envoy.health().await, 1, "to anyone");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_listener_decides_with_tokens_and_answers_errors_with_their_status() {
    let own = format!("forward_auth: {{ {CLIENT}, listen: \"127.0.0.1:0\" }}");
    let routes =
        ["allow: authenticated, identity_headers: { Authorization: \"Bearer {access_token}\" }"];
    let stack = Stack::builder().server(&own).routes(routes).start().await;
    let session = session_of(&stack, "alice").await;
    let auth = Envoy::connect(stack.gateway.address_of("forward auth listening")).await;
    let verdict = auth.check("GET /", &[("cookie", &session)]).await;
    assert!(verdict.headers["authorization"].starts_with("Bearer "), "{verdict:?}");
    assert_eq!(verdict.removed.iter().filter(|name| *name == "cookie").count(), 1, "{verdict:?}");
    // A proxy that sends its auth subrequests to a wrong path takes a 200 as permission.
    for path in ["/", "/oauth2/userinfo", "/envoy.service.auth.v3.Authorization/Other"] {
        let called = auth.call(path, &[], framed(&[])).await;
        assert_eq!(called.status, 404, "{path}: {called:?}");
    }
    let public = envoy(&stack).await;
    for path in [CHECK, HEALTH] {
        let called = public.call(path, &[], framed(&check_request("GET /", &[]))).await;
        assert_eq!(called.status, 404, "{path}: {called:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_on_a_unix_socket_or_over_tls_gets_a_decision() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("auth.sock");
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: [\"127.0.0.1:0\", \"unix:{}\"], public_url: \"https://wiki.localhost\", \
         tls: {{ certificates: [{{ certificate: {}, key: {} }}] }}, forward_auth: {{ clients: \
         [{{ from: [127.0.0.1, unix], proxy: envoy }}] }} }}\nadmin: {{ listen: \"off\" }}\n\
         providers: {{ company: {{ issuer: \"https://id.localhost\", client_id: a, client_secret: b }} }}\n\
         routes: [{{ allow: authenticated }}, {{ path: /open, allow: public }}]\n",
        socket.display(),
        certificate.display(),
        key.display()
    ));
    let unix = Envoy::over(UnixStream::connect(&socket).await.unwrap()).await;
    assert_eq!(unix.check("GET /open", &[]).await.code, 0);
    assert_eq!(unix.check("GET /page", &[]).await.code, 16);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
    let tls = Envoy::over(stream).await;
    assert_eq!(tls.check("GET /open", &[]).await.code, 0);
    assert_eq!(tls.check("GET /page", &[]).await.code, 16);
}

/// Only HTTP/2 carries the trailers of a call.
#[tokio::test(flavor = "multi_thread")]
async fn call_over_http1_is_a_request_like_any_other() {
    let stack = builder().start().await;
    let fields = "Content-Type: application/grpc\r\nContent-Length: 0\r\n";
    let answer = stack.answer(&format!("POST {CHECK}"), fields).await;
    assert!(answer.contains("grpc-status: "), "{answer}");
    assert!(!answer.contains("grpc-status: 0"), "{answer}");
    assert_eq!(status(&stack.answer(&format!("GET {CHECK}"), UPGRADE).await), 404);
}
