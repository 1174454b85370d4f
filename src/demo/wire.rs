//! The small HTTP/1.1 server under the demo: hyper reads each request, a handler answers it at once.
//! Invariant: an answer is either HTTP or raw bytes that take the connection over, so that faults below
//! HTTP are possible without a second parser; every task ends with its `Running`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Body;

/// Who answers.
pub(super) trait Handler: Send + Sync + 'static {
    /// Answers one request from what is in memory; nothing here waits.
    fn handle(&self, request: &Request<Bytes>) -> Reply;
}

/// An answer.
pub(super) enum Reply {
    /// As HTTP has it.
    Http(Response<Body>),
    /// The same, not before this.
    Late(CancellationToken, Response<Body>),
    /// As HTTP does not have it; the connection ends with it.
    Raw(Raw),
}

/// Bytes for the wire, and what happens to the connection behind them.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) bytes: Vec<u8>,
    pub(super) then: Then,
}

/// The end of a raw answer.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// An orderly end.
    Close,
    /// A TCP reset.
    Reset,
    /// Silence until this, or until the peer gives up.
    Wait(CancellationToken),
    /// A byte, a pause, a byte, until the peer gives up.
    Drip,
    /// 256 MiB of spaces.
    Flood,
}

/// A server at work; dropping it ends its connections.
#[derive(Debug)]
pub(super) struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Serves `listener`, with TLS if asked, from now on.
    pub(super) fn serve(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: Arc<impl Handler>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let acceptor = Acceptor { tls: tls.map(TlsAcceptor::from), stop: stop.clone() };
        tasks.spawn(acceptor.run(listener, handler, tasks.clone()));
        Ok(Self { address, stop, tasks })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and waits until that is done.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Acceptor {
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
}

impl Acceptor {
    async fn run(self, listener: TcpListener, handler: Arc<impl Handler>, tasks: TaskTracker) {
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, most likely: others must close first.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (tls, stop, handler) = (self.tls.clone(), self.stop.clone(), handler.clone());
            tasks.spawn(async move {
                let served = async move {
                    match tls {
                        Some(tls) => converse(tls.accept(stream).await?, handler).await,
                        None => converse(stream, handler).await,
                    }
                };
                if let Some(Err(error)) = stop.run_until_cancelled(Box::pin(served)).await {
                    tracing::debug!(%error, "demo connection");
                }
            });
        }
    }
}

/// Serves one connection until it ends or raw bytes take it over.
async fn converse(stream: impl Socket, handler: Arc<impl Handler>) -> io::Result<()> {
    let (take_over, mut taken_over) = mpsc::channel(1);
    let service = service_fn(move |request| {
        let (handler, take_over) = (handler.clone(), take_over.clone());
        async move {
            let Some(request) = collect(request).await else {
                let mut refusal = Response::new(Body::empty());
                *refusal.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                return Ok::<_, Infallible>(refusal);
            };
            match handler.handle(&request) {
                Reply::Http(response) => Ok(response),
                Reply::Late(due, response) => {
                    due.cancelled().await;
                    Ok(response)
                }
                Reply::Raw(raw) => match take_over.send(raw).await {
                    // The connection is taken from under this future, which thus never goes on.
                    Ok(()) => std::future::pending().await,
                    Err(_) => Ok(Response::new(Body::empty())),
                },
            }
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let raw = tokio::select! {
        served = &mut connection => return served.map_err(io::Error::other),
        Some(raw) = taken_over.recv() => raw,
    };
    raw.play(connection.into_parts().io.into_inner()).await
}

async fn collect(request: Request<Incoming>) -> Option<Request<Bytes>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_BYTES).collect().await.ok()?;
    Some(Request::from_parts(head, body.to_bytes()))
}

impl Raw {
    async fn play(self, mut stream: impl Socket) -> io::Result<()> {
        stream.write_all(&self.bytes).await?;
        match self.then {
            Then::Close => stream.shutdown().await,
            Then::Reset => stream.tcp().set_zero_linger(),
            Then::Wait(over) => {
                let mut nowhere = tokio::io::sink();
                let waiting = tokio::io::copy(&mut stream, &mut nowhere);
                over.run_until_cancelled(waiting).await.unwrap_or(Ok(0)).map(|_bytes| ())
            }
            Then::Drip => loop {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                tokio::time::sleep(DRIP_PAUSE).await;
            },
            Then::Flood => {
                let spaces = vec![b' '; 64 * 1024];
                for _ in 0..4096 {
                    stream.write_all(&spaces).await?;
                }
                stream.shutdown().await
            }
        }
    }
}

/// A stream whose TCP connection can be reached through whatever is around it.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const DRIP_PAUSE: Duration = Duration::from_millis(200);
const REQUEST_BYTES: usize = 1024 * 1024;
