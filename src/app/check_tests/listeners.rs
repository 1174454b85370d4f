//! Which peers and listeners a call is for, and calls that are rejected before they are answered.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::app::check_tests::{
    APART, CHECK, Call, ENVOY, HEALTH, SHARED, VISITOR, framed, ip, message, read, request,
};
use crate::grpc::FieldForm;
use crate::server::{ClientInfo, Handler as _, ListenerKind, Peer, RejectedRequest, Scheme};

#[tokio::test]
async fn rejected_check_of_a_declared_envoy_is_a_denial() {
    let fields = [("content-type", "application/grpc")];
    let headers: HeaderMap = fields
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let client = ClientInfo::direct(ENVOY.parse().unwrap(), Scheme::Http, "a");
    for status in [400, 405, 414, 431, 500, 503] {
        let rejected = |peer, path| RejectedRequest {
            status: StatusCode::from_u16(status).unwrap(),
            method: &Method::POST,
            version: Version::HTTP_2,
            path,
            headers: &headers,
            peer,
            listener: ListenerKind::Public,
            request_id: *client.request_id(),
        };
        let read = read(SHARED.app.reject(rejected(ip(ENVOY), CHECK))).await;
        assert_eq!((read.code, read.status), (7, 403), "{status}: {read:?}");
        let others = [(ip(VISITOR), CHECK), (ip(ENVOY), "/other")];
        for (peer, path) in others {
            let answer = SHARED.app.reject(rejected(peer, path));
            assert!(!answer.response.headers().contains_key("trailer"));
            assert_ne!(answer.response.headers()["grpc-status"], "0");
        }
    }
}

#[tokio::test]
async fn path_is_like_any_other_unless_a_declared_envoy_calls_it() {
    let message = framed(&request("GET", "/open", &[]).encode(FieldForm::Text));
    let call = || Call { body: &message, ..Call::default() };
    for own in [call(), Call { peer: Peer::Unix, ..call() }] {
        assert_eq!(read(SHARED.call(own).await).await.code, 0);
    }
    let text = Call { content_type: "application/grpc+proto", ..call() };
    assert_eq!(read(SHARED.call(text).await).await.code, 0);
    for other in [
        Call { peer: ip(VISITOR), ..call() },
        Call { peer: ip("192.0.2.2"), ..call() },
        Call { method: Method::GET, ..call() },
        Call { version: Version::HTTP_11, ..call() },
        Call { content_type: "application/json", ..call() },
        Call { path: "/envoy.service.auth.v3.Authorization/check", ..call() },
        Call { path: "/envoy.service.auth.v3.Authorization/Check/", ..call() },
        Call { path: "/envoy.service.auth.v2.Authorization/Check", ..call() },
        Call { path: HEALTH, peer: ip(VISITOR), ..call() },
    ] {
        let answer = SHARED.call(other).await;
        // `portcullis_auth` is the host of no route.
        let status = answer.response.status();
        let is_grpc = answer.response.headers().get("grpc-status").is_some_and(|it| it == "12");
        assert!(status == StatusCode::MISDIRECTED_REQUEST || is_grpc, "{answer:?}");
    }
}

#[tokio::test]
async fn calls_are_answered_on_the_listener_of_their_own_only() {
    let message = framed(&request("GET", "/open", &[]).encode(FieldForm::Text));
    let at = |listener, peer| Call { listener, peer, body: &message, ..Call::default() };
    let (own, public) = (ListenerKind::ForwardAuth, ListenerKind::Public);
    assert_eq!(read(APART.call(at(own, ip(ENVOY))).await).await.code, 0);
    for elsewhere in [at(public, ip(ENVOY)), at(own, ip(VISITOR)), at(own, ip("192.0.2.2"))] {
        let answer = APART.call(elsewhere).await;
        assert_eq!(answer.response.status(), StatusCode::NOT_FOUND, "{answer:?}");
    }
    let body = framed(&[]);
    let health = |listener, peer| Call { path: HEALTH, body: &body, ..at(listener, peer) };
    for anyone in [VISITOR, ENVOY] {
        let answer = APART.call(health(own, ip(anyone))).await;
        assert_eq!(self::message(answer).await, &[8, 1][..], "{anyone}");
    }
    let answer = SHARED.call(health(public, ip(ENVOY))).await;
    assert_eq!(self::message(answer).await, &[8, 1][..]);
    let answer = APART.call(health(public, ip(ENVOY))).await;
    assert_eq!(answer.response.status(), StatusCode::NOT_FOUND, "{answer:?}");
}

#[tokio::test]
async fn health_of_an_unknown_service_is_not_found() {
    let health = async |service: &str| {
        let length = u8::try_from(service.len()).unwrap();
        let body = framed(&[&[0x0a, length], service.as_bytes()].concat());
        let call = Call { path: HEALTH, body: &body, ..Call::default() };
        SHARED.call(call).await.response.headers().get("grpc-status").cloned()
    };
    assert_eq!(health("envoy.service.auth.v3.Authorization").await, None);
    assert_eq!(health("other").await.unwrap(), "5");
    let call = Call { path: HEALTH, body: b"\0\0\0\0\x01\xff", ..Call::default() };
    assert_eq!(SHARED.call(call).await.response.headers()["grpc-status"], "3");
}
