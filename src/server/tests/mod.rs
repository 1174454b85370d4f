//! The server as clients see it: raw bytes over real sockets, or in memory where the clock is paused.

mod access_log;
mod client_certificates;
mod deadlines;
mod drain;
mod frames;
mod full;
mod proxy_protocol;
mod reload;
mod tls;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::body::{Body, BodyError};
use crate::server::transport::Accepted;
use crate::telemetry::access_log::{LoggedDecision, Outcome};
use crate::telemetry::metrics::Metrics;

/// Longer than any step of a test, shorter than the default deadline of a head.
const SOON: Duration = Duration::from_secs(9);
/// A deadline that a whole head meets on a busy machine, too.
const UNHURRIED: Duration = Duration::from_secs(2);

/// Answers by path, and records the requested paths.
#[derive(Default)]
struct App {
    seen: Mutex<Vec<String>>,
    /// `/wait` is requested.
    waiting: Notify,
    /// `/wait` may answer.
    go: Notify,
    /// `/wait` was dropped without a response.
    gone: Notify,
    /// The body of `/take` has ended.
    taken: Arc<Notify>,
}

impl App {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn wait(&self) -> Response<Body> {
        struct Guard<'a>(&'a Notify);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let guard = Guard(&self.gone);
        self.waiting.notify_one();
        self.go.notified().await;
        std::mem::forget(guard);
        text("waited")
    }

    fn tunnel(mut incoming: Incoming) -> Response<Body> {
        let upgrade = hyper::upgrade::on(&mut *incoming.request);
        let tasks = incoming.tasks().clone();
        incoming.tasks().spawn(async move {
            let mut tunnel = TokioIo::new(upgrade.await.unwrap());
            let mut line = [0; 4];
            loop {
                tokio::select! {
                    read = tunnel.read_exact(&mut line) => match read {
                        Ok(_) => tunnel.write_all(&line).await.unwrap(),
                        Err(_) => return,
                    },
                    () = tasks.leaving() => {
                        tunnel.write_all(b"bye!").await.unwrap();
                        return;
                    }
                }
            }
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "websocket");
        response.body(Body::empty()).unwrap()
    }
}

impl Handler for App {
    async fn handle(&self, incoming: Incoming) -> Answered {
        let path = incoming.request.uri().path().to_owned();
        self.seen.lock().unwrap().push(path.clone());
        match path.as_str() {
            "/panic" => panic!("a panic for the test"),
            "/deny" => {
                let mut denied = text("denied");
                *denied.status_mut() = StatusCode::UNAUTHORIZED;
                incoming.client.note_route(&Metrics::default().route(&"wiki".into()));
                let decision = Some(LoggedDecision::Deny);
                let outcome = Outcome { decision, ..Outcome::default() };
                return Answered::new(denied, outcome);
            }
            "/wait" => self.wait().await,
            "/take" => {
                let taken = Arc::clone(&self.taken);
                // As with an upstream, whose connection is a separate task.
                incoming.tasks().clone().spawn(async move {
                    drop(incoming.request.into_body().collect().await);
                    taken.notify_one();
                });
                self.wait().await
            }
            "/tunnel" => Self::tunnel(incoming),
            "/broken" => Response::new(Body::streamed(Broken)),
            "/large" => text("x".repeat(32 * 1024 * 1024)),
            "/body" => match incoming.request.into_body().collect().await {
                Ok(body) => {
                    let trailers = body.trailers().is_some();
                    text(format!("{} bytes, trailers {trailers}", body.to_bytes().len()))
                }
                Err(error) => text(format!("broken: {error}")),
            },
            _ => {
                let client = &incoming.client;
                let mut names: Vec<_> =
                    incoming.request.headers().keys().map(|name| name.as_str()).collect();
                names.sort_unstable();
                text(format!(
                    "{}://{}{} for {} fields {}",
                    client.scheme().as_str(),
                    client.host(),
                    incoming.request.uri(),
                    client.address(),
                    names.join(" "),
                ))
            }
        }
        .into()
    }

    fn reject(&self, rejected: RejectedRequest<'_>) -> Answered {
        let mut response = text("rejected");
        *response.status_mut() = rejected.status;
        response.into()
    }
}

/// A body that fails at once.
struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        Poll::Ready(Some(Err("an error for the test".into())))
    }
}

fn text(text: impl Into<String>) -> Response<Body> {
    Response::new(Body::full(text.into()))
}

fn settings() -> Settings {
    let listen = vec![ListenAddress::Tcp("127.0.0.1:0".to_owned())];
    Settings { listen, ..Settings::listening_nowhere() }
}

fn context() -> ServerContext {
    ServerContext { access_log: AccessLog::On, ..ServerContext::unlogged() }
}

/// A server with an [`App`] behind it.
struct Running {
    app: Arc<App>,
    address: SocketAddr,
    shutdown: Shutdown,
    connections: OpenConnections,
    server: Arc<crate::server::Running<App>>,
    tasks: Tasks,
    limit: ConnectionLimit,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(settings: Settings) -> Self {
        let bound = Server::bind(&settings, context(), &PassedSockets::default()).await.unwrap();
        let addresses = bound.local_addresses(ListenerKind::Public);
        let address = addresses.iter().find_map(|address| match address {
            LocalAddress::Tcp(address) => Some(*address),
            LocalAddress::Unix(_) => None,
        });
        let (app, shutdown) = (Arc::<App>::default(), Shutdown::new());
        let (tasks, limit) = (bound.tasks.clone(), bound.limit.clone());
        let server = Arc::new(bound.start(Arc::clone(&app)));
        let (connections, stopped) = (server.open_connections(), Arc::clone(&server));
        let order = shutdown.clone();
        let serving = tokio::spawn(async move { stopped.stopped(&order).await });
        let address = address.unwrap_or(([127, 0, 0, 1], 0).into());
        Self { app, address, shutdown, connections, server, tasks, limit, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Connects in memory, for tests whose clock is paused.
    async fn connect_in_memory(&self) -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        let accepted = Accepted::Memory(server);
        let slot = self.limit.slot().await;
        let connections = self.server.connections();
        let connected = connections.introduce(&accepted, ListenerKind::Public, &self.tasks);
        let guard = self.limit.claim(slot, &connected).unwrap();
        let serving = Arc::clone(connections).serve(accepted, connected, guard);
        self.tasks.track(serving);
        client
    }

    /// Sends bytes on a new connection, keeps it open, and reads until the server closes.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        until_closed(&mut stream).await
    }

    async fn stopped(self) {
        timeout(SOON, self.serving).await.expect("the server ends").unwrap();
    }
}

/// What comes until the other side closes.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is a close, too.
    drop(timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server closes"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// One answer with a `Content-Length` from a connection that stays open.
async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut answer = Vec::new();
    let read = async {
        loop {
            answer.push(stream.read_u8().await.expect("an answer"));
            let text = std::str::from_utf8(&answer).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).unwrap_or("0");
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    return;
                }
            }
        }
    };
    timeout(SOON, read).await.expect("an answer in time");
    String::from_utf8(answer).unwrap()
}
