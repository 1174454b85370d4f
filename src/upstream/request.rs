//! Makes the upstream's request from the client's (RFC 9110 §7.6, RFC 9112 §3.2, §6).
//! Invariants: hop-by-hop fields, and fields that only proxies may set, are removed before ours are added; framing is
//! never copied, but made from the body. No `Via` is added: applications use it to detect proxies, not loops.

use http::header::{CONNECTION, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};
use http_body::Body as _;

use crate::body::Body;
use crate::upstream::hop_by_hop::{is_hop_by_hop, remove_where, strip_connection};
use crate::upstream::reserved::is_reserved;
use crate::upstream::upgrade::Handshake;

/// Fields that describe the client to the upstream.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// `X-Forwarded-For`: the chain of a trusted proxy and the peer, or only the peer.
    pub chain: HeaderValue,
    /// `X-Forwarded-Proto`.
    pub proto: HeaderValue,
    /// `X-Forwarded-Host`, with the port if the client sent one; also `Host`, if that is preserved.
    pub host: HeaderValue,
    /// `X-Forwarded-Port`.
    pub port: HeaderValue,
    /// `X-Forwarded-Prefix`, if a prefix was removed.
    pub prefix: Option<HeaderValue>,
    /// `X-Real-IP`: the client's address, if it is known.
    pub address: Option<HeaderValue>,
    /// `X-Request-Id`.
    pub request_id: HeaderValue,
}

/// Proof that a request was stripped, and what its hop-by-hop fields requested.
#[derive(Debug)]
#[must_use = "needed to send the request"]
pub struct StrippedRequest {
    pub(super) handshake: Option<Handshake>,
    carries_several: bool,
}

impl StrippedRequest {
    /// Whether the request is the opening handshake of a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.handshake.is_some()
    }

    /// Whether several clients may share its connection, as far as the request shows: HTTP/2, and fields of a proxy.
    pub fn carries_several(&self) -> bool {
        self.carries_several
    }
}

/// Removes what must not reach an upstream. Add our fields after this.
///
/// It removes `Connection` and every field that it names, the other hop-by-hop fields, `Expect` (the server sends 100
/// itself when the body is read), and fields that only proxies may set (`reserved`). The server has already removed
/// names that an application could confuse with these.
pub fn strip(request: &mut http::Request<Body>) -> StrippedRequest {
    let unwanted = |name: &str| is_hop_by_hop(name) || is_reserved(name) || name == "expect";
    let is_http2 = request.version() == Version::HTTP_2;
    if !request.headers().keys().any(|name| unwanted(name.as_str())) {
        return StrippedRequest { handshake: None, carries_several: is_http2 };
    }
    let has = |name| request.headers().contains_key(name);
    let carries_several = is_http2 || has(&X_FORWARDED_FOR) || has(&FORWARDED);
    let handshake = Handshake::take(request);
    // SECURITY: the fields that the client names are removed first, so that it cannot remove ours.
    strip_connection(request.headers_mut());
    remove_where(request.headers_mut(), unwanted);
    StrippedRequest { handshake, carries_several }
}

/// Sets the target and the forwarding fields of a stripped request.
pub(super) fn prepare(
    request: &mut http::Request<Body>,
    stripped: &StrippedRequest,
    forwarded: Forwarded,
    host: HeaderValue,
) {
    let uri = request.uri_mut();
    if uri.scheme().is_some() || uri.authority().is_some() {
        let path = uri.path_and_query().cloned();
        *uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    *request.version_mut() = Version::HTTP_11;
    request.extensions_mut().clear();
    let headers = request.headers_mut();
    introduce(headers, forwarded, host);
    if stripped.is_websocket() {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

fn introduce(headers: &mut HeaderMap, forwarded: Forwarded, host: HeaderValue) {
    headers.insert(HOST, host);
    headers.insert(&X_FORWARDED_FOR, forwarded.chain);
    headers.insert(&X_FORWARDED_PROTO, forwarded.proto);
    headers.insert(&X_FORWARDED_HOST, forwarded.host);
    headers.insert(&X_FORWARDED_PORT, forwarded.port);
    if let Some(prefix) = forwarded.prefix {
        headers.insert(&X_FORWARDED_PREFIX, prefix);
    }
    if let Some(address) = forwarded.address {
        headers.insert(&X_REAL_IP, address);
    }
    headers.insert(&X_REQUEST_ID, forwarded.request_id);
}

/// A copy of a request that may be sent again: idempotent and without a body.
pub(super) struct RetryRequest {
    method: Method,
    uri: Uri,
    /// `name:value\n` for each field, in one buffer, which is cheap to write and nearly never read. Cloning names and
    /// values would change a reference count for each.
    fields: Vec<u8>,
}

impl RetryRequest {
    /// A copy, if the request may be sent again (RFC 9110 §9.2.2).
    pub(super) fn of(request: &http::Request<Body>) -> Option<Self> {
        if !request.method().is_idempotent() || !request.body().is_end_stream() {
            return None;
        }
        let mut fields = Vec::with_capacity(1024);
        for (name, value) in request.headers() {
            fields.extend_from_slice(name.as_str().as_bytes());
            fields.push(b':');
            fields.extend_from_slice(value.as_bytes());
            fields.push(b'\n');
        }
        Some(Self { method: request.method().clone(), uri: request.uri().clone(), fields })
    }

    /// The request.
    pub(super) fn into_request(self) -> Box<http::Request<Body>> {
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        // A name has no colon, and a value no line end.
        for field in self.fields.split(|byte| *byte == b'\n') {
            let Some(colon) = field.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = field.split_at(colon);
            let (name, value) = (
                HeaderName::from_bytes(name),
                HeaderValue::from_bytes(value.get(1..).unwrap_or_default()),
            );
            if let (Ok(name), Ok(value)) = (name, value) {
                request.headers_mut().append(name, value);
            }
        }
        Box::new(request)
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
