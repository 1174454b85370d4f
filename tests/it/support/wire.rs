//! The ends of a connection that write what they please: a client, and an upstream.
//! Invariant: what a test waits for comes soon or fails the test; nothing waits for time to pass.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::gateway::Gateway;

/// One end of a connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    /// A client's connection.
    pub(crate) async fn to(gateway: &Gateway) -> Self {
        Self::of(TcpStream::connect(gateway.address).await.unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Writes; that the other end does not listen any more is its own affair.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(SOON, self.stream.write_all(bytes.as_ref())).await.unwrap().ok();
    }

    /// Reads up to the first `end`, and returns what came up to there.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            let at = self.buffer.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = at {
                let taken: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            assert!(self.more().await, "no {end:?} in {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Exactly this many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more().await, "{} bytes instead of {count}", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    /// How much has come and was not taken yet.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// All that comes until the other end closes, which it must do by itself.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// Writes zeros until the other end takes none for a second; returns how many it took. A busy machine can only
    /// make that less.
    pub(crate) async fn fill(&mut self) -> usize {
        let (piece, mut written) = (vec![0; 64 * 1024], 0);
        while let Ok(Ok(())) = timeout(STANDSTILL, self.stream.write_all(&piece)).await {
            written += piece.len();
        }
        written
    }

    /// Writes zeros until the connection ends.
    pub(crate) async fn fill_to_the_end(&mut self) {
        let piece = vec![0; 64 * 1024];
        while let Ok(()) = timeout(SOON, self.stream.write_all(&piece)).await.unwrap() {}
    }

    /// Closes the writing side.
    pub(crate) async fn done(&mut self) {
        self.stream.shutdown().await.ok();
    }

    async fn more(&mut self) -> bool {
        let Ok(read) = timeout(SOON, self.stream.read_buf(&mut self.buffer)).await else {
            panic!("still open after {:?}", String::from_utf8_lossy(&self.buffer))
        };
        // A reset ends the connection, too.
        read.unwrap_or(0) > 0
    }
}

/// What the gateway answers to `bytes` until it closes the connection by itself.
pub(crate) async fn until_closed(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> String {
    let mut wire = Wire::to(gateway).await;
    wire.say(bytes).await;
    wire.rest().await
}

/// What the gateway answers to `bytes` and their end.
pub(crate) async fn answers_to(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> String {
    let mut wire = Wire::to(gateway).await;
    wire.say(bytes).await;
    wire.done().await;
    wire.rest().await
}

/// A request: `line` is its method and target, `fields` its fields after `Host`.
pub(crate) fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n")
}

/// The fields of a WebSocket handshake (RFC 6455 §1.3).
pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// The answer of an application to [`UPGRADE`].
pub(crate) const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The status of the first of some answers; 0 where there is none.
pub(crate) fn status(answers: &str) -> u16 {
    answers.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// How many answers there are.
pub(crate) fn count(answers: &str) -> usize {
    answers.matches("HTTP/1.1 ").count()
}

/// A field of the first head; empty where it is not there.
pub(crate) fn field<'a>(answers: &'a str, name: &str) -> &'a str {
    let head = answers.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
}

/// An upstream that follows a script on each connection.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Peer {
    /// Runs `script` on each connection.
    pub(crate) async fn start<F>(script: impl Fn(Wire) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(script(Wire::of(stream)));
            }
        });
        Self { address, heads: Arc::default(), serving }
    }

    /// Answers each connection's first head with these bytes, and closes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answer, buffer) = (answer.into(), Arc::clone(&heads));
        let started = Self::start(move |mut wire| {
            let (answer, buffer) = (answer.clone(), Arc::clone(&buffer));
            async move {
                let head = wire.head().await;
                buffer.lock().unwrap().push(head);
                wire.say(answer).await;
                wire.done().await;
            }
        });
        let mut started = started.await;
        started.heads = heads;
        started
    }

    /// The heads that came to an [`Self::answering`] peer.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Longer than any answer should take.
const SOON: Duration = Duration::from_secs(10);
const STANDSTILL: Duration = Duration::from_secs(1);
