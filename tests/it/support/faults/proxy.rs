//! A proxy in front of the provider: hyper reads each request, and its front answers.
//! Invariant: an answer is either HTTP or raw bytes that take the connection over, so that faults below
//! HTTP are possible without a second parser; every task ends with its `Proxy`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
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

/// Answers the requests.
pub(super) trait Front: Send + Sync + 'static {
    /// Answers one request. It runs to its end, even if the client leaves.
    fn answer(self: Arc<Self>, request: Request<Bytes>) -> impl Future<Output = Reply> + Send;
}

/// An answer.
pub(super) enum Reply {
    /// As in HTTP.
    Http(Response<Bytes>),
    /// The same, not before this.
    Late(CancellationToken, Response<Bytes>),
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

/// A running proxy; dropping it ends its connections.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Proxy {
    /// Serves `listener` from now on, with TLS if it is configured.
    pub(super) fn serve(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        front: Arc<impl Front>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (tls, ending, tracker) = (tls.map(TlsAcceptor::from), stop.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Some(accepted) = ending.run_until_cancelled(listener.accept()).await {
                let Ok((stream, _)) = accepted else {
                    // Out of file descriptors, most likely: others must close first.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let (tls, ending, front) = (tls.clone(), ending.clone(), Arc::clone(&front));
                tracker.spawn(async move {
                    let served = async move {
                        match tls {
                            Some(tls) => converse(tls.accept(stream).await?, front).await,
                            None => converse(stream, front).await,
                        }
                    };
                    // A connection that breaks is the client's affair.
                    ending.run_until_cancelled(Box::pin(served)).await
                });
            }
        });
        Self { address, stop, tasks }
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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves one connection until it ends or raw bytes take it over.
async fn converse(stream: impl Socket, front: Arc<impl Front>) -> io::Result<()> {
    let (take_over, mut taken_over) = mpsc::channel(1);
    let service = service_fn(move |request| {
        let (front, take_over) = (Arc::clone(&front), take_over.clone());
        async move {
            let Some(request) = collect(request).await else {
                return Ok::<_, Infallible>(empty(StatusCode::BAD_REQUEST).map(Full::new));
            };
            // A separate task, so that a client that leaves does not keep its request from being processed.
            let response = match tokio::spawn(front.answer(request)).await.unwrap() {
                Reply::Http(response) => response,
                Reply::Late(due, response) => {
                    due.cancelled().await;
                    response
                }
                Reply::Raw(raw) => {
                    take_over.send(raw).await.unwrap();
                    // The connection is taken from under this future, which thus never goes on.
                    std::future::pending().await
                }
            };
            Ok(response.map(Full::new))
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

/// What the server at `to` answers to a request; 502 if it does not.
pub(super) async fn forward(mut request: Request<Bytes>, to: SocketAddr) -> Response<Bytes> {
    // The lengths and the connections are those of the two sides.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        request.headers_mut().remove(name);
    }
    let answered = async {
        let stream = TcpStream::connect(to).await.ok()?;
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let (mut head, body) = sender.send_request(request.map(Full::new)).await.ok()?.into_parts();
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        Some(Response::from_parts(head, body.collect().await.ok()?.to_bytes()))
    };
    answered.await.unwrap_or_else(|| empty(StatusCode::BAD_GATEWAY))
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// The request with its whole body.
async fn collect(request: Request<Incoming>) -> Option<Request<Bytes>> {
    let (head, body) = request.into_parts();
    Some(Request::from_parts(head, body.collect().await.ok()?.to_bytes()))
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

/// A stream whose TCP connection can be reached through its layers.
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
