//! A network, such as that between a gateway and its Redis: a proxy that loses, holds and delays what passes.
//! Invariant: what is held or delayed arrives later, whole and in its order, as with TCP; only notices are ever lost.

use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// A proxy; dropping it ends its connections.
pub(crate) struct Link {
    /// Where the gateway connects to.
    pub(crate) address: SocketAddr,
    fault: watch::Sender<LinkFault>,
    serving: JoinHandle<()>,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// Nothing.
    None,
    /// Its connections have ended, and new ones end at once.
    Cut,
    /// Nothing arrives, and no connection ends.
    BlackHole,
    /// Requests arrive, and no answers.
    NoAnswers,
    /// No requests arrive.
    NoRequests,
    /// An answer to a request comes later by this, of which each way takes half.
    Late(Duration),
    /// The pushes of client tracking are lost.
    NoNotices,
}

/// The direction of bytes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Requests,
    Answers,
}

/// What a server sends.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    /// Replies of Redis, each of which is passed on when it is whole.
    Replies,
    Bytes,
}

impl Link {
    /// A proxy before a Redis server.
    pub(crate) async fn to(redis: SocketAddr) -> Self {
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::before(redis, here, Answers::Replies).await
    }

    /// A proxy at an address before any other server.
    pub(crate) async fn at(address: SocketAddr, server: SocketAddr) -> Self {
        Self::before(server, address, Answers::Bytes).await
    }

    async fn before(server: SocketAddr, address: SocketAddr, answers: Answers) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, seen) = watch::channel(LinkFault::None);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, answers, seen.clone()));
            }
        });
        Self { address, fault, serving }
    }

    /// Replaces its fault.
    pub(crate) fn set(&self, fault: LinkFault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Ends its connections, too.
        self.set(LinkFault::Cut);
        self.serving.abort();
    }
}

impl LinkFault {
    /// When that arrives which is sent now.
    fn due(self) -> Instant {
        match self {
            Self::Late(delay) => Instant::now() + delay / 2,
            Self::None
            | Self::Cut
            | Self::BlackHole
            | Self::NoAnswers
            | Self::NoRequests
            | Self::NoNotices => Instant::now(),
        }
    }

    fn holds(self, way: Way) -> bool {
        match self {
            Self::BlackHole => true,
            Self::NoAnswers => way == Way::Answers,
            Self::NoRequests => way == Way::Requests,
            Self::None | Self::Cut | Self::Late(_) | Self::NoNotices => false,
        }
    }
}

async fn connect(
    client: TcpStream,
    server: SocketAddr,
    answers: Answers,
    mut fault: watch::Receiver<LinkFault>,
) {
    let carried = carry_both(client, server, answers, fault.clone());
    tokio::select! {
        () = carried => {}
        _ = fault.wait_for(|fault| *fault == LinkFault::Cut) => {}
    }
}

async fn carry_both(
    client: TcpStream,
    server: SocketAddr,
    answers: Answers,
    mut fault: watch::Receiver<LinkFault>,
) {
    if fault.wait_for(|fault| !fault.holds(Way::Requests)).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    // The end of one side is the end of both.
    let (request, requests) = mpsc::unbounded_channel();
    let (reply, replies) = mpsc::unbounded_channel();
    let request_way = async {
        tokio::join!(
            take(from_client, fault.clone(), request),
            give(to_server, Way::Requests, fault.clone(), requests)
        )
    };
    let taken = async {
        match answers {
            Answers::Bytes => take(from_server, fault.clone(), reply).await,
            Answers::Replies => take_replies(from_server, fault.clone(), reply).await,
        }
    };
    let answer_way =
        async { tokio::join!(taken, give(to_client, Way::Answers, fault.clone(), replies)) };
    tokio::select! {
        _ = request_way => {}
        _ = answer_way => {}
    }
}

/// Bytes, and when they arrive.
type Piece = (Instant, Vec<u8>);

/// Reads what one side sends.
async fn take(
    mut from: OwnedReadHalf,
    fault: watch::Receiver<LinkFault>,
    pieces: mpsc::UnboundedSender<Piece>,
) {
    let mut buffer = Vec::new();
    while from.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        pieces.send((fault.borrow().due(), mem::take(&mut buffer))).ok();
    }
}

/// The same, one reply after the other.
async fn take_replies(
    mut from: OwnedReadHalf,
    fault: watch::Receiver<LinkFault>,
    pieces: mpsc::UnboundedSender<Piece>,
) {
    let mut buffer = Vec::new();
    while from.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        let fault = *fault.borrow();
        while let Some(length) = reply_length(&buffer) {
            let rest = buffer.split_off(length);
            let reply = mem::replace(&mut buffer, rest);
            if fault != LinkFault::NoNotices || !reply.starts_with(NOTICE) {
                pieces.send((fault.due(), reply)).ok();
            }
        }
    }
}

/// Writes it to the other side when it is due.
async fn give(
    mut to: OwnedWriteHalf,
    way: Way,
    mut fault: watch::Receiver<LinkFault>,
    mut pieces: mpsc::UnboundedReceiver<Piece>,
) {
    while let Some((due, bytes)) = pieces.recv().await {
        sleep_until(due).await;
        let is_open = fault.wait_for(|fault| !fault.holds(way)).await.is_ok();
        if !is_open || to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The beginning of an invalidation, as Redis and Valkey write it.
const NOTICE: &[u8] = b">2\r\n$10\r\ninvalidate\r\n";

/// The length of the first reply, RESP2 or RESP3, if it is whole.
fn reply_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|window| window == b"\r\n")?;
    let count = std::str::from_utf8(&bytes[1..line]).ok().and_then(|text| text.parse().ok());
    let (mut length, count) = (line + 2, count.unwrap_or(0_usize));
    let items = match bytes[0] {
        // No count at all: a null.
        b'$' | b'=' | b'!' if &bytes[1..line] == b"-1" => 0,
        b'$' | b'=' | b'!' => {
            length += count + 2;
            0
        }
        b'*' | b'~' | b'>' => count,
        b'%' => 2 * count,
        b'|' => 2 * count + 1,
        _ => 0,
    };
    for _ in 0..items {
        length += reply_length(bytes.get(length..)?)?;
    }
    (length <= bytes.len()).then_some(length)
}

#[test]
fn length_of_a_reply_is_known_when_it_is_whole() {
    let replies = [
        "+OK\r\n",
        "$-1\r\n",
        "_\r\n",
        "$3\r\na\r\n\r\n",
        ":-12\r\n",
        "*-1\r\n",
        "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        "%1\r\n+a\r\n~1\r\n#t\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n",
        ">2\r\n$10\r\ninvalidate\r\n_\r\n",
        "=5\r\ntxt:a\r\n",
    ];
    for reply in replies {
        let followed = format!("{reply}+OK\r\n");
        assert_eq!(reply_length(followed.as_bytes()), Some(reply.len()), "{reply:?}");
        for end in 0..reply.len() {
            assert_eq!(reply_length(&reply.as_bytes()[..end]), None, "{end} bytes of {reply:?}");
        }
    }
}
