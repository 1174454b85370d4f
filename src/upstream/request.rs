//! A client's request becomes ours (RFC 9110 §7.6, RFC 9112 §3.2, §6).
//! Invariants: what concerned the client's connection, and whatever claims to know more of the client
//! than its peer address, is gone before anything of ours is added; framing is never copied, but made
//! anew from the body. No `Via` is added: applications use it to detect proxies, not loops.

use http::header::{CONNECTION, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};
use http_body::Body as _;

use super::hop_by_hop::{is_hop_by_hop, remove_where, strip_connection};
use super::reserved::is_reserved;
use super::upgrade::Handshake;
use crate::body::Body;

/// What the upstream is told of the client's side, prepared by who knows it.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// `X-Forwarded-For`: a trusted proxy's chain plus the peer, else the peer.
    pub chain: HeaderValue,
    /// `X-Forwarded-Proto`.
    pub proto: HeaderValue,
    /// `X-Forwarded-Host`, with its port where one was written; `Host` too, if that is preserved.
    pub host: HeaderValue,
    /// `X-Forwarded-Port`.
    pub port: HeaderValue,
    /// `X-Forwarded-Prefix`, where a prefix was stripped.
    pub prefix: Option<HeaderValue>,
    /// `X-Real-IP`: the client's address, where it is known.
    pub address: Option<HeaderValue>,
    /// `X-Request-Id`.
    pub request_id: HeaderValue,
}

/// Proof that a request was stripped, and what it asked of its connection.
#[derive(Debug)]
#[must_use = "a request is sent with it"]
pub struct StrippedRequest {
    pub(super) handshake: Option<Handshake>,
    carries_several: bool,
}

impl StrippedRequest {
    /// Whether the request is the opening handshake of a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.handshake.is_some()
    }

    /// Whether it came on a connection that several visitors may share, as far as the request shows: HTTP/2, and
    /// what a proxy added.
    pub fn carries_several(&self) -> bool {
        self.carries_several
    }
}

/// Removes what must not reach an upstream, whoever sent it. Ours is to be added after this.
///
/// Gone are `Connection` and every field it names, the other connection-specific fields, `Expect` (the
/// server's connection answers 100 by itself, once the body is wanted), and all that only proxies may
/// say (`reserved`). Names that could be read for these are gone since the request came.
pub fn strip(request: &mut http::Request<Body>) -> StrippedRequest {
    let unwanted = |name: &str| is_hop_by_hop(name) || is_reserved(name) || name == "expect";
    let is_http2 = request.version() == Version::HTTP_2;
    if !request.headers().keys().any(|name| unwanted(name.as_str())) {
        return StrippedRequest { handshake: None, carries_several: is_http2 };
    }
    let told = |name| request.headers().contains_key(name);
    let carries_several = is_http2 || told(&X_FORWARDED_FOR) || told(&FORWARDED);
    let handshake = Handshake::take(request);
    // SECURITY: the fields that the client names go first, so that it cannot make ours vanish.
    strip_connection(request.headers_mut());
    remove_where(request.headers_mut(), unwanted);
    StrippedRequest { handshake, carries_several }
}

/// Gives a stripped request its target and forwarding fields.
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

/// A copy of a request that may be sent a second time: idempotent and without a body.
pub(super) struct RetryRequest {
    method: Method,
    uri: Uri,
    /// `name:value\n` each, in one piece: written for each request, read for hardly any. To share
    /// names and values instead would count references up and down for each of them.
    fields: Vec<u8>,
}

impl RetryRequest {
    /// A copy, if the request may be repeated (RFC 9110 §9.2.2).
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

    /// The request again.
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
