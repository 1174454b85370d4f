//! WebSockets: the opening handshake, and the tunnel after it (RFC 6455).
//! Invariants: no other protocol is upgraded to; no byte after the client's handshake is sent to the upstream before
//! its 101 matches the client's key; a tunnel that the gateway ends gets a Close frame between two frames.

use std::io;
use std::pin::pin;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BytesMut};
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Version};
use http_body::Body as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, copy, sink, split};
use tokio::time::timeout;

use crate::body::Body;
use crate::upstream::error::{Error, Fault};
use crate::upstream::hop_by_hop::strip_response;
use crate::upstream::pool::Connection;

/// A client's valid opening handshake (RFC 6455 §4.2.1).
#[derive(Debug)]
pub(super) struct Handshake {
    /// The expected `Sec-WebSocket-Accept`.
    accept: String,
    client: OnUpgrade,
}

impl Handshake {
    /// The handshake of a request, if it is one.
    // SECURITY: h2c and other protocols would carry requests past the gateway (CVE-2026-2833).
    pub(super) fn take(request: &mut http::Request<Body>) -> Option<Self> {
        let headers = request.headers();
        let requests_it = has_token(headers, CONNECTION, "upgrade")
            && only(headers, UPGRADE).is_some_and(|value| same(value, b"websocket"));
        if !requests_it {
            return None;
        }
        let key = only(headers, SEC_WEBSOCKET_KEY)?;
        let is_valid = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && request.body().is_end_stream()
            && only(headers, SEC_WEBSOCKET_VERSION).is_some_and(|value| value == "13")
            && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
            && request.extensions().get::<OnUpgrade>().is_some();
        if !is_valid {
            return None;
        }
        let accept = accept(key);
        Some(Self { accept, client: hyper::upgrade::on(request) })
    }

    /// Makes a tunnel from the upstream's 101 (RFC 6455 §4.1).
    pub(super) fn switch(
        self,
        mut response: Box<http::Response<Body>>,
        connection: Box<Connection>,
        identity: &[HeaderName],
    ) -> Result<(Box<http::Response<Body>>, Tunnel), Error> {
        let headers = response.headers();
        let matches = has_token(headers, CONNECTION, "upgrade")
            && only(headers, UPGRADE).is_some_and(|value| same(value, b"websocket"))
            && only(headers, SEC_WEBSOCKET_ACCEPT)
                .is_some_and(|value| value == self.accept.as_str());
        if !matches {
            return Err(Error::Misbehaved(Fault::Upgrade));
        }
        let upstream = hyper::upgrade::on(&mut *response);
        *response.body_mut() = Body::empty();
        let headers = response.headers_mut();
        strip_response(headers, identity);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let tunnel = Tunnel { client: self.client, upstream, connection };
        Ok((response, tunnel))
    }
}

/// Both ends of a WebSocket.
#[derive(Debug)]
#[must_use = "a tunnel that is not run is closed"]
pub struct Tunnel {
    client: OnUpgrade,
    upstream: OnUpgrade,
    connection: Box<Connection>,
}

/// Why the gateway ends a tunnel; the client gets it in the Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its session has ended: 1008.
    SessionEnded,
    /// The process stops: 1001.
    ShuttingDown,
}

impl Tunnel {
    /// Copies both ways until either end closes, and then at most [`HALF_CLOSED`] the other way; or until `ending`.
    /// `on_bytes` is called whenever bytes of the client arrive. Returns when both ends are closed.
    pub async fn run(self, on_bytes: impl FnMut(), ending: impl Future<Output = Ending>) {
        // Fails if the client has left before it got the 101.
        let Ok((client, upstream)) = tokio::try_join!(self.client, self.upstream) else { return };
        // The tunnel counts for its client to the end; the rest of the connection is not needed.
        let mut connection = self.connection;
        let _held = connection.held.take();
        drop(connection);
        let (mut client_out, client_in) = split(TokioIo::new(client));
        let (upstream_out, mut upstream_in) = split(TokioIo::new(upstream));
        let mut down = Downward::new(upstream_out, client_in);
        let ended = {
            let up = carry_up(&mut client_out, &mut upstream_in, on_bytes);
            tokio::select! {
                () = both(up, down.carry()) => return,
                ending = ending => ending,
            }
        };
        drop(upstream_in);
        let closing = async {
            down.close(ended).await?;
            // Closing with unread bytes would reset the connection, and the client would not get the Close frame.
            copy(&mut client_out, &mut sink()).await
        };
        timeout(CLOSING, closing).await.ok();
    }
}

/// Runs both directions until one has ended and the other had time to follow.
async fn both(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
) {
    let (mut up, mut down) = (pin!(up), pin!(down));
    // If one direction ends without an error, the other may continue for a while.
    tokio::select! {
        ended = &mut up => if ended.is_ok() { timeout(HALF_CLOSED, down).await.ok(); },
        ended = &mut down => if ended.is_ok() { timeout(HALF_CLOSED, up).await.ok(); },
    }
}

async fn carry_up(
    from: &mut ReadHalf<Io>,
    to: &mut WriteHalf<Io>,
    mut on_bytes: impl FnMut(),
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    while from.read_buf(&mut buffer).await? > 0 {
        on_bytes();
        to.write_all_buf(&mut buffer).await?;
        to.flush().await?;
        buffer.reserve(BUFFER);
    }
    to.shutdown().await
}

type Io = TokioIo<Upgraded>;

/// The direction from the upstream to the client. It tracks where frames end.
struct Downward {
    from: ReadHalf<Io>,
    to: WriteHalf<Io>,
    frames: Frames,
    /// Bytes that were read and not yet written.
    waiting: BytesMut,
}

impl Downward {
    fn new(from: ReadHalf<Io>, to: WriteHalf<Io>) -> Self {
        Self { from, to, frames: Frames::Opcode, waiting: BytesMut::new() }
    }

    /// Copies to the end. Cancel safe: it counts what was written.
    async fn carry(&mut self) -> io::Result<()> {
        while self.fill().await? {
            let mut count = self.to.write(&self.waiting).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            while count > 0 {
                let sent = self.waiting.get(..count).unwrap_or_default();
                let step = self.frames.advance(sent);
                self.waiting.advance(step);
                count -= step;
            }
        }
        self.to.shutdown().await
    }

    /// Sends the rest of the frame under way, and then a Close frame (RFC 6455 §5.5.1).
    async fn close(&mut self, ending: Ending) -> io::Result<()> {
        while !self.frames.is_boundary() {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = self.frames.advance(&self.waiting);
            self.to.write_all(&self.waiting.split_to(step)).await?;
        }
        let (code, reason) = match ending {
            Ending::SessionEnded => (1008_u16, "session ended"),
            Ending::ShuttingDown => (1001, "shutting down"),
        };
        let length = u8::try_from(2 + reason.len()).unwrap_or_default();
        let [high, low] = code.to_be_bytes();
        let frame = [&[FIN_CLOSE, length, high, low], reason.as_bytes()].concat();
        self.to.write_all(&frame).await?;
        self.to.shutdown().await
    }

    /// Reads, unless there is something to write. Returns whether there is.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.waiting.is_empty() {
            self.to.flush().await?;
            self.waiting.reserve(BUFFER);
            self.from.read_buf(&mut self.waiting).await?;
        }
        Ok(!self.waiting.is_empty())
    }
}

/// The position in the upstream's stream of frames (RFC 6455 §5.2).
#[derive(Debug, PartialEq, Eq)]
enum Frames {
    /// Between two frames.
    Opcode,
    /// Before the mask bit and the short length.
    Length,
    /// `missing` bytes before the end of a long length.
    LongLength { missing: u8, length: u64, masked: bool },
    /// `missing` bytes before the end of the mask, which an upstream should not send.
    Mask { missing: u8, length: u64 },
    /// This many bytes before the end of the frame; never zero.
    Payload(u64),
}

impl Frames {
    fn is_boundary(&self) -> bool {
        *self == Self::Opcode
    }

    /// Advances over bytes up to the end of the current frame. Returns their number.
    fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            *self = match *self {
                Self::Payload(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest = rest.get(here..).unwrap_or_default();
                    *self = Self::payload(left - here as u64);
                    break;
                }
                Self::Opcode => Self::Length,
                Self::Length => match (byte & 0x7f, byte & 0x80 != 0) {
                    (126, masked) => Self::LongLength { missing: 2, length: 0, masked },
                    (127, masked) => Self::LongLength { missing: 8, length: 0, masked },
                    (length, masked) => Self::after_length(length.into(), masked),
                },
                Self::LongLength { missing, length, masked } => {
                    let length = length << 8 | u64::from(*byte);
                    match missing {
                        0 | 1 => Self::after_length(length, masked),
                        _ => Self::LongLength { missing: missing - 1, length, masked },
                    }
                }
                Self::Mask { missing: 0 | 1, length } => Self::payload(length),
                Self::Mask { missing, length } => Self::Mask { missing: missing - 1, length },
            };
            rest = after;
            if self.is_boundary() {
                break;
            }
        }
        bytes.len() - rest.len()
    }

    fn after_length(length: u64, masked: bool) -> Self {
        if masked { Self::Mask { missing: 4, length } } else { Self::payload(length) }
    }

    fn payload(length: u64) -> Self {
        if length == 0 { Self::Opcode } else { Self::Payload(length) }
    }
}

/// base64(SHA-1(key and a fixed GUID)) (RFC 6455 §4.2.2): proves that a WebSocket server answered.
fn accept(key: &HeaderValue) -> String {
    let text = [key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

/// The value of a field that must not occur twice.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|text| text.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn same(value: &HeaderValue, text: &[u8]) -> bool {
    value.as_bytes().eq_ignore_ascii_case(text)
}

/// How long a tunnel lives with one end closed.
pub const HALF_CLOSED: Duration = Duration::from_secs(10);
/// How long to wait for the end of a frame, and then for the client's Close frame.
const CLOSING: Duration = Duration::from_secs(1);
const BUFFER: usize = 16 * 1024;
/// FIN and the opcode of a Close frame.
const FIN_CLOSE: u8 = 0x88;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], steps: &[usize], after: Frames) {
        for whole in [true, false] {
            let (mut frames, mut seen, mut rest) = (Frames::Opcode, Vec::new(), bytes);
            let mut length = 0;
            while !rest.is_empty() {
                let piece = if whole { rest } else { &rest[..1] };
                let step = frames.advance(piece);
                length += step;
                rest = &rest[step..];
                if frames.is_boundary() || rest.is_empty() {
                    seen.push(std::mem::take(&mut length));
                }
            }
            assert_eq!((&seen[..], &frames), (steps, &after), "{bytes:?}, whole: {whole}");
        }
    }

    #[test]
    fn frames_end_where_their_length_says() {
        check(b"\x81\x02hi\x89\x00\x81\x01x", &[4, 2, 3], Frames::Opcode);
        check(b"\x81\x05hi", &[4], Frames::Payload(3));
        check(b"\x81\x82maskhi\x88\x80mask", &[8, 6], Frames::Opcode);
        check(b"\x82\x7e\x00\x03abc\x82\x7e\x00\x00\x89\x00", &[7, 4, 2], Frames::Opcode);
        check(b"\x82\x7e\x01\x00ab", &[6], Frames::Payload(254));
        check(b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x02ab\x89", &[12, 1], Frames::Length);
        let most = b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff";
        check(most, &[10], Frames::Payload(u64::MAX));
        let masked = Frames::Mask { missing: 3, length: 1 };
        check(b"\x82\xfe\x00\x01m", &[5], masked);
    }

    #[test]
    fn accept_of_the_standards_example_is_right() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "RFC 6455 §1.3");
    }
}
