//! A TCP proxy in front of a server, which a test makes fail.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    /// Connections end, and new ones are closed at once.
    Closed,
    /// Requests wait until it is open again; what the server sends by itself arrives.
    RequestsHeld,
    /// Clients do not learn from the server that a key has changed.
    NoticesLost,
}

/// The proxy. It ends with this.
pub(super) struct Interruption {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    task: JoinHandle<()>,
}

impl Interruption {
    /// A proxy in front of this server, open.
    pub(super) async fn of(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (passage, watched)) =
            (listener.local_addr().unwrap(), watch::channel(Passage::Open));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(connection(client, server, watched.clone()));
            }
        });
        Self { address, passage, task }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends when one side ends it, which is no fault here.
async fn connection(
    client: TcpStream,
    server: SocketAddr,
    mut passage: watch::Receiver<Passage>,
) -> io::Result<()> {
    if *passage.borrow() == Passage::Closed {
        return Ok(());
    }
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = TcpStream::connect(server).await?.into_split();
    let (up, down) = (passage.clone(), passage.clone());
    tokio::select! {
        ended = requests(client_reads, server_writes, up) => ended,
        ended = answers(server_reads, client_writes, down) => ended,
        _ = passage.wait_for(|passage| *passage == Passage::Closed) => Ok(()),
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passage: watch::Receiver<Passage>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let not_held = passage.wait_for(|passage| *passage != Passage::RequestsHeld).await;
        drop(not_held.map_err(io::Error::other)?);
        to.write_all(&buffer[..length]).await?;
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passage: watch::Receiver<Passage>,
) -> io::Result<()> {
    let (mut buffer, mut waiting) = (vec![0; BUFFER], Vec::new());
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        waiting.extend_from_slice(&buffer[..length]);
        if *passage.borrow() == Passage::NoticesLost {
            lose_notices(&mut waiting);
        }
        // The beginning of a notice waits for the rest.
        let held = (1..NOTICE.len()).rev().find(|held| waiting.ends_with(&NOTICE[..*held]));
        let ready = waiting.len() - held.unwrap_or(0);
        to.write_all(&waiting[..ready]).await?;
        waiting.drain(..ready);
    }
}

/// Gives each notice a name that no client knows.
fn lose_notices(bytes: &mut [u8]) {
    while let Some(at) = bytes.windows(NOTICE.len()).position(|part| part == NOTICE) {
        bytes[at..at + NOTICE.len()].copy_from_slice(b"$10\r\ninvalidity");
    }
}

const NOTICE: &[u8] = b"$10\r\ninvalidate";
const BUFFER: usize = 64 * 1024;
