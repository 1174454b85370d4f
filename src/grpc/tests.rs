//! Messages against those of the Envoy API's own library, and calls with faults.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use prost::Message as _;

use super::*;
use crate::body::Body;

/// A message that `tests/python/ext_authz.py` has written.
#[expect(clippy::disallowed_methods, reason = "a test reads a file of the repository")]
fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ext_authz");
    fs::read(folder.join(name)).unwrap()
}

fn fields(of: &CheckRequest) -> Vec<(&str, &[u8])> {
    let mut fields: Vec<_> = of.fields.iter().map(|(name, it)| (&**name, &**it)).collect();
    fields.sort_unstable();
    fields
}

#[test]
fn request_of_the_envoy_api_is_read_in_both_forms() {
    let text = CheckRequest::decode(&vector("request")).unwrap();
    let raw = CheckRequest::decode(&vector("request-raw")).unwrap();
    for request in [&text, &raw] {
        assert_eq!(request.source, Some("203.0.113.9".parse().unwrap()));
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, "/a%2fb;x//y?q=1");
        assert_eq!(request.host, "wiki.example:8443");
        assert_eq!(request.scheme, "https");
    }
    assert_eq!(fields(&text), [("cookie", &b"a=1; b=2"[..]), ("x_forwarded_user", b"mallory")]);
    let expected = [
        ("cookie", &b"a=1; b=2\xff"[..]),
        ("x-text", b"text"),
        ("x_forwarded_user", b"mallory\xff"),
    ];
    assert_eq!(fields(&raw), expected);
}

#[test]
fn response_has_the_bytes_of_the_envoy_api() {
    let user = Some("älice".to_owned());
    let (route, rule) = (Some("wiki".to_owned()), Some("allow[1]".to_owned()));
    let changes = HeaderChanges {
        set: vec![(HeaderName::from_static("x-forwarded-user"), "älice".to_owned())],
        remove: vec![COOKIE, HeaderName::from_static("x_forwarded_user")],
    };
    let metadata = DecisionMetadata { user, route: route.clone(), rule };
    let allowed = CheckResponse::allowed(changes, metadata).encode();
    // `status` is there in ours with nothing in it, as in theirs.
    assert_eq!(allowed, vector("allowed"));
    let headers = [
        (LOCATION, HeaderValue::from_static("https://wiki.example/")),
        (SET_COOKIE, HeaderValue::from_static("a=1")),
        (COOKIE, HeaderValue::from_static("b=2")),
    ];
    let (headers, body) = (HeaderMap::from_iter(headers), Bytes::from_static(b"a page"));
    let metadata = DecisionMetadata { route, ..DecisionMetadata::default() };
    let denied = CheckResponse::denied(DenialStatus::Found, &headers, &body, metadata).encode();
    assert_eq!(denied, vector("denied"));
}

#[test]
fn denial_never_has_the_code_0() {
    for status in 100..1000 {
        let status = DenialStatus::of(StatusCode::from_u16(status).unwrap());
        let denied = CheckResponse::denied(
            status,
            &HeaderMap::new(),
            &Bytes::new(),
            DecisionMetadata::default(),
        );
        let denied = wire::CheckResponse::decode(denied.encode()).unwrap();
        assert!(matches!(denied.status.unwrap().code, 7 | 16), "{status:?}");
        let shown = denied.denied_response.unwrap().status.unwrap().code;
        assert!(matches!(shown, 302 | 401 | 403), "{status:?}");
    }
}

#[test]
fn message_without_a_request_is_rejected() {
    assert_eq!(CheckRequest::decode(b""), Err(Undecodable::NoRequest));
    assert_eq!(CheckRequest::decode(&[0x0a, 0]), Err(Undecodable::NoRequest));
    assert_eq!(CheckRequest::decode(&[0x0a, 2, 0x22, 0]), Err(Undecodable::NoRequest));
    let empty = CheckRequest::decode(&[0x0a, 4, 0x22, 2, 0x12, 0]);
    assert_eq!(empty, Ok(CheckRequest::default()));
    for malformed in [&b"\xff"[..], b"\x0a\x05", b"\x08\x01", &vector("request")[..100]] {
        assert_eq!(CheckRequest::decode(malformed), Err(Undecodable::Malformed), "{malformed:?}");
    }
}

#[test]
fn field_in_both_forms_is_read_once_if_equal_and_twice_if_not() {
    let field = |key: &str, value: &str| wire::HeaderValue {
        key: key.to_owned(),
        value: value.to_owned(),
        raw_value: Vec::new(),
    };
    let list = vec![field("Cookie", "a=1"), field("x-user", "a"), field("x-user", "a")];
    let map = [("cookie", "a=1"), ("X-User", "b"), (":path", "/")];
    let http = wire::HttpRequest {
        headers: map.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        header_map: Some(wire::HeaderMap { headers: list }),
        ..wire::HttpRequest::default()
    };
    let request = Some(wire::RequestAttributes { http: Some(http) });
    let attributes = Some(wire::AttributeContext { source: None, request });
    let request = CheckRequest::decode(&wire::CheckRequest { attributes }.encode_to_vec()).unwrap();
    let expected = [("cookie", &b"a=1"[..]), ("x-user", b"a"), ("x-user", b"a"), ("x-user", b"b")];
    assert_eq!(fields(&request), expected);
}

#[tokio::test]
async fn call_has_exactly_one_plain_message_within_the_limit() {
    let read = async |body: &'static [u8]| message_of(Body::full(body), 4).await;
    assert_eq!(read(b"\0\0\0\0\x02ab").await.unwrap(), "ab");
    assert_eq!(read(b"\0\0\0\0\0").await.unwrap(), "");
    assert_eq!(read(b"\0\0\0\0\x04abcd").await.unwrap(), "abcd");
    assert_eq!(read(b"\0\0\0\0\x05abcde").await, Err(CallError::TooLong));
    assert_eq!(read(b"\x01\0\0\0\x02ab").await, Err(CallError::Compressed));
    for malformed in [
        &b""[..],
        b"\0\0\0\0",
        b"\0\0\0\0\x01",
        b"\0\0\0\0\x01ab",
        b"\0\xff\xff\xff\xffab",
        b"\x02\0\0\0\x02ab",
    ] {
        assert_eq!(read(malformed).await, Err(CallError::Malformed), "{malformed:?}");
    }
}

#[tokio::test]
async fn answer_has_one_message_and_status_0_in_its_trailers() {
    let response = answer(&Bytes::from_static(b"ab"));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), &b"\0\0\0\0\x02ab"[..]);
    let failed = fail(CallFailure::NotFound);
    assert_eq!(failed.headers()["grpc-status"], "5");
}

#[test]
fn time_that_a_client_gives_is_read_in_every_unit() {
    let read = |text: &'static str| {
        let field = (HeaderName::from_static("grpc-timeout"), HeaderValue::from_static(text));
        timeout_of(&HeaderMap::from_iter([field])).map(|time| time.as_nanos())
    };
    for (text, nanos) in [
        ("200m", 200_000_000),
        ("5S", 5_000_000_000),
        ("1M", 60_000_000_000),
        ("1H", 3_600_000_000_000),
        ("7u", 7_000),
        ("99999999n", 99_999_999),
    ] {
        assert_eq!(read(text), Some(nanos), "{text}");
    }
    for malformed in ["", "m", "5", "-1S", "1s", "999999999S", "1.5S", " 1S"] {
        assert_eq!(read(malformed), None, "{malformed}");
    }
}
