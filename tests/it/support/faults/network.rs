//! How any endpoint can fail on the network or answer outside its protocol.
//! Invariant: a fault either keeps the request from being processed or spoils the answer to a processed
//! one; each variant says which, because a client may repeat the one and not the other.

use std::array;

use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Bytes;
use tokio_util::sync::CancellationToken;

use super::proxy::{Raw, Reply, Then};

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkFault {
    /// 500 without processing.
    InternalError,
    /// 503 with `Retry-After`, without processing.
    Unavailable,
    /// 429 with `Retry-After`, without processing.
    TooManyRequests,
    /// 404 without processing.
    NotFound,
    /// 200 with a page of HTML, without processing.
    Html,
    /// 200 with nothing in it, without processing.
    Empty,
    /// Processed; the body is cut in the middle, as if that were all.
    Truncated,
    /// Processed; the connection ends before the announced length.
    ShortBody,
    /// Processed; the connection ends before the first byte.
    Lost,
    /// The same, and the next request is answered well.
    LostOnce,
    /// Processed; the body has bytes that are no UTF-8.
    BadUtf8,
    /// Never a byte; the connection ends when the faults change.
    Hang,
    /// A head, then a byte now and then.
    Drip,
    /// A body that does not end within 256 MiB.
    Huge,
    /// A TCP reset instead of an answer.
    Reset,
    /// 302 to itself.
    RedirectLoop,
    /// 302 to another host.
    RedirectAway,
    /// A small gzip body that unpacks to some 150 times its size.
    CompressedBomb,
    /// A head of a hundred thousand fields.
    HeaderFlood,
    /// Bytes that are no HTTP.
    Garbage,
}

impl NetworkFault {
    /// Every fault.
    pub(crate) const ALL: [Self; 20] = [
        Self::InternalError,
        Self::Unavailable,
        Self::TooManyRequests,
        Self::NotFound,
        Self::Html,
        Self::Empty,
        Self::Truncated,
        Self::ShortBody,
        Self::Lost,
        Self::LostOnce,
        Self::BadUtf8,
        Self::Hang,
        Self::Drip,
        Self::Huge,
        Self::Reset,
        Self::RedirectLoop,
        Self::RedirectAway,
        Self::CompressedBomb,
        Self::HeaderFlood,
        Self::Garbage,
    ];

    /// Whether only a timeout of the gateway ends a request with this fault.
    pub(crate) fn needs_timeout(self) -> bool {
        matches!(self, Self::Hang | Self::Drip)
    }

    /// The answer to a request at `path`; `honest` processes it. The fault lasts until `over`.
    pub(super) async fn reply(
        self,
        path: &str,
        over: CancellationToken,
        honest: impl Future<Output = Response<Bytes>>,
    ) -> Reply {
        match self {
            Self::InternalError => plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "oops"),
            Self::Unavailable => plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "later"),
            Self::TooManyRequests => plain(StatusCode::TOO_MANY_REQUESTS, "text/plain", "slower"),
            Self::NotFound => plain(StatusCode::NOT_FOUND, "text/plain", "not here"),
            Self::Html => plain(StatusCode::OK, "text/html", "<html><h1>Maintenance</h1></html>"),
            Self::Empty => plain(StatusCode::OK, "application/json", ""),
            Self::Truncated => spoiled(honest.await, |body| body.slice(..body.len() / 2)),
            Self::BadUtf8 => spoiled(honest.await, with_bad_utf8),
            Self::ShortBody => {
                let body = honest.await.into_body();
                let head = json_head(&format!("content-length: {}", body.len()));
                raw([head.as_bytes(), &body.slice(..body.len() / 2)].concat(), Then::Close)
            }
            Self::Lost | Self::LostOnce => {
                drop(honest.await);
                raw("", Then::Close)
            }
            Self::Hang => raw("", Then::Wait(over)),
            Self::Drip => raw(json_head("content-length: 1000000"), Then::Drip),
            Self::Huge => raw(json_head("connection: close"), Then::Flood),
            Self::Reset => raw("", Then::Reset),
            Self::RedirectLoop => raw(redirect(path), Then::Close),
            Self::RedirectAway => raw(redirect("http://evil.example/"), Then::Close),
            Self::CompressedBomb => {
                let body = gzip_of_spaces(1024 * 1024);
                let fields = format!("content-encoding: gzip\r\ncontent-length: {}", body.len());
                raw([json_head(&fields).into_bytes(), body].concat(), Then::Close)
            }
            Self::HeaderFlood => {
                raw(json_head(&vec!["x-flood: 0123456789"; 100_000].join("\r\n")), Then::Close)
            }
            Self::Garbage => raw("\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n", Then::Close),
        }
    }
}

fn plain(status: StatusCode, content_type: &'static str, text: &'static str) -> Reply {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Reply::Http(response)
}

fn spoiled(honest: Response<Bytes>, spoil: impl FnOnce(Bytes) -> Bytes) -> Reply {
    Reply::Http(honest.map(spoil))
}

fn raw(bytes: impl Into<Vec<u8>>, then: Then) -> Reply {
    Reply::Raw(Raw { bytes: bytes.into(), then })
}

fn json_head(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n\r\n")
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

/// The same object with one more member, whose text is no UTF-8.
fn with_bad_utf8(body: Bytes) -> Bytes {
    let open = body.strip_suffix(b"}").unwrap_or(&body);
    Bytes::from([open, b",\"note\":\"\xff\xfe\"}"].concat())
}

/// A gzip stream of `compressed` bytes that unpacks to spaces: one literal, then copies of 258 bytes in
/// 13 bits each (RFC 1951 §3.2.6).
fn gzip_of_spaces(compressed: usize) -> Vec<u8> {
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    // Not the last block, fixed codes; the literal 0x20.
    const OPENING: [u8; 11] = [0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    // Length 258, distance 1.
    const COPY: [u8; 13] = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let mut bits = OPENING.into_iter().chain(COPY.into_iter().cycle());
    let mut byte =
        || bits.by_ref().take(8).enumerate().fold(0, |byte, (place, bit)| byte | bit << place);
    // After two bytes only copies follow: 8 x 13 bits are 13 bytes, again and again.
    let opening = [byte(), byte()];
    let copies: [u8; COPY.len()] = array::from_fn(|_| byte());
    let body = opening.into_iter().chain(copies.into_iter().cycle());
    HEAD.into_iter().chain(body.take(compressed)).collect()
}
