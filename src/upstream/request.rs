//! A client's request becomes ours (RFC 9110 §7.6, RFC 9112 §3.2, §6).
//! Invariants: what concerned the client's connection, and whatever claims to know more of the client
//! than its peer address, is gone before anything of ours is added; framing is never copied, but made
//! anew from the body. No `Via` is added: applications use it to detect proxies, not loops.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::header::{
    CONNECTION, CONTENT_LENGTH, Entry, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::error::Error;
use super::reserved::is_reserved;
use super::upgrade::Handshake;
use crate::body::{Body, BodyError};
use crate::lock::lock;

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
pub struct Stripped {
    pub(super) handshake: Option<Handshake>,
    carries_several: bool,
}

impl Stripped {
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
pub fn strip(request: &mut http::Request<Body>) -> Stripped {
    let unwanted = |name: &str| is_hop_by_hop(name) || is_reserved(name) || name == "expect";
    let is_http2 = request.version() == Version::HTTP_2;
    if !request.headers().keys().any(|name| unwanted(name.as_str())) {
        return Stripped { handshake: None, carries_several: is_http2 };
    }
    let told = |name| request.headers().contains_key(name);
    let carries_several = is_http2 || told(&X_FORWARDED_FOR) || told(&FORWARDED);
    let handshake = Handshake::take(request);
    // SECURITY: the fields that the client names go first, so that it cannot make ours vanish.
    strip_connection(request.headers_mut());
    remove_where(request.headers_mut(), unwanted);
    Stripped { handshake, carries_several }
}

/// Removes `Connection` and the fields it names (RFC 9110 §7.6.1).
pub(super) fn strip_connection(headers: &mut HeaderMap) {
    let Entry::Occupied(connection) = headers.entry(CONNECTION) else { return };
    let (_, values) = connection.remove_entry_mult();
    let listed: Vec<HeaderName> = values
        .flat_map(|value| {
            let names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let names =
                names.filter(|name| !IN_EVERY_CONNECTION.iter().any(|usual| same(usual, name)));
            names.filter_map(|name| HeaderName::from_bytes(name).ok()).collect::<Vec<_>>()
        })
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

/// Removes every field whose name is unwanted.
pub(super) fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    // The usual request has none, and then nothing is allocated.
    let names: Vec<_> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a field is for one connection only (RFC 9110 §7.6.1, RFC 7540 §3.2.1, CVE-2016-5385).
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'h') => name == "http2-settings",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => name == "proxy" || name.starts_with("proxy-"),
        Some(b't') => matches!(name, "te" | "trailer" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        _ => false,
    }
}

fn same(a: &str, b: &[u8]) -> bool {
    a.as_bytes().eq_ignore_ascii_case(b)
}

/// Gives a stripped request its target and forwarding fields.
pub(super) fn prepare(
    request: &mut http::Request<Body>,
    stripped: &Stripped,
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

/// Frames the body by what it is, not by what the client's fields said of it.
pub(super) fn frame(
    request: &mut http::Request<Body>,
    cap: Option<u64>,
    heard: impl FnMut() + Send + Unpin + 'static,
) -> Result<Option<Progress>, Error> {
    request.headers_mut().remove(CONTENT_LENGTH);
    if request.body().is_end_stream() {
        // RFC 9110 §8.6: where content is expected, its absence is said.
        if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        return Ok(None);
    }
    let size = request.body().size_hint();
    if cap.is_some_and(|cap| size.lower() > cap) {
        return Err(Error::BodyTooLarge);
    }
    let (name, value) = match size.exact() {
        Some(length) => (CONTENT_LENGTH, HeaderValue::from(length)),
        // hyper would drop a body of unknown length from a GET.
        None => (TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
    };
    request.headers_mut().insert(name, value);
    let progress = Progress(Arc::new(Mutex::new(Turn::Upstream(Instant::now()))));
    let (body, left) = (std::mem::take(request.body_mut()), cap.unwrap_or(u64::MAX));
    *request.body_mut() = Body::streamed(Upload { body, left, progress: progress.clone(), heard });
    Ok(Some(progress))
}

/// How far the sending of a request's body is.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<Turn>>);

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The client's, which has a deadline of its own.
    Client,
    /// The upstream's, which took bytes at this time, or all of them.
    Upstream(Instant),
}

impl Progress {
    /// Since when the upstream could have answered.
    pub(super) fn last(&self) -> Instant {
        match *lock(&self.0) {
            Turn::Client => Instant::now(),
            Turn::Upstream(since) => since,
        }
    }

    fn turn(&self, turn: Turn) {
        *lock(&self.0) = turn;
    }
}

/// A request's body on its way, counted and without trailers.
struct Upload<H> {
    body: Body,
    left: u64,
    progress: Progress,
    /// Called for each frame.
    heard: H,
}

/// Why a request's body was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadFault {
    /// More bytes than the route's cap.
    #[error("over the cap")]
    TooLarge,
    /// The client's doing.
    #[error("{0}")]
    Client(#[source] BodyError),
}

impl<H: FnMut() + Unpin> http_body::Body for Upload<H> {
    type Data = bytes::Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.progress.turn(Turn::Client);
            return Poll::Pending;
        };
        self.progress.turn(Turn::Upstream(Instant::now()));
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(UploadFault::Client(error).into()))),
            None => return Poll::Ready(None),
        };
        (self.heard)();
        // SECURITY: trailers end here, so that none is taken for a field (RFC 9110 §6.5.1).
        let Ok(data) = frame.into_data() else { return Poll::Ready(None) };
        match self.left.checked_sub(data.len() as u64) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(UploadFault::TooLarge.into()))),
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A copy of a request that may be sent a second time: idempotent and without a body.
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    /// `name:value\n` each, in one piece: written for each request, read for hardly any. To share
    /// names and values instead would count references up and down for each of them.
    fields: Vec<u8>,
}

impl Spare {
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

/// Tokens of `Connection` that name no field of their own, or one that goes anyway.
const IN_EVERY_CONNECTION: [&str; 4] = ["keep-alive", "close", "upgrade", "te"];

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
