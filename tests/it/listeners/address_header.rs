//! `server.client_address_header`: the address that a trusted proxy sends in a header of its own.

use crate::support::stack::Stack;
use crate::support::wire::status;

async fn stack(trusted: &str) -> Stack {
    let keys = format!("trusted_proxies: [{trusted}], client_address_header: X-Client-Address");
    let office =
        "path: /office, UPSTREAM, allow: [{ public: true, client_addresses: [192.0.2.7] }]";
    Stack::builder().server(&keys).routes(["UPSTREAM, allow: public", office]).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn client_address_header_of_a_trusted_proxy_replaces_x_forwarded_for() {
    let stack = stack("127.0.0.1").await;
    let forged = "X-Forwarded-For: 203.0.113.9\r\nX-Client-Address: 203.0.113.9, 192.0.2.7\r\n";
    let headers = stack.received("/office", forged).await["headers"].clone();
    assert_eq!(headers["x-real-ip"], "192.0.2.7", "{headers}");
    assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 192.0.2.7, 127.0.0.1", "{headers}");
    assert!(headers["x-client-address"].is_null(), "{headers}");
    let headers = stack.received("/", "X-Forwarded-For: 192.0.2.7\r\n").await["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1", "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_address_header_of_an_untrusted_peer_has_no_effect_and_is_removed() {
    let stack = stack("192.0.2.0/24").await;
    for name in ["X-Client-Address", "X_Client_Address", "x-forwarded-for"] {
        let field = format!("{name}: 192.0.2.7\r\n");
        let headers = stack.received("/", &field).await["headers"].clone();
        assert!(!headers.to_string().contains("192.0.2.7"), "{name}: {headers}");
        assert_eq!(status(&stack.answer("GET /office", &field).await), 403, "{name}");
    }
    stack.gateway.log_until("x-client-address of a peer that is not trusted is ignored");
}
