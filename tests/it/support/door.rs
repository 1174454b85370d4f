//! Where a browser of the tests connects to.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::HOST;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use url::Url;

use super::browser::Answer;
use super::gateway::Gateway;

/// Where a connection is made to.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// An address, such as that of the gateway.
    Tcp(SocketAddr),
    /// One after the other for each request, as a load balancer does.
    RoundRobin(Arc<[SocketAddr]>, Arc<AtomicUsize>),
    /// The gateway's own paths at the first address, all others at the second one.
    ByPath { endpoints: SocketAddr, pages: SocketAddr },
    /// By port, whatever the host: published ports of containers.
    Published(Arc<BTreeMap<u16, SocketAddr>>),
    /// The same as `Tcp`, from another address of this machine.
    From(Ipv4Addr, SocketAddr),
    /// One connection of HTTP/2, which all tabs of a browser share.
    Http2(http2::SendRequest<Full<Bytes>>),
    /// A server of the test's own.
    Unix(PathBuf),
}

impl Door {
    /// A load balancer before these gateways.
    pub(crate) fn round_robin(gateways: [&Gateway; 2]) -> Self {
        Self::RoundRobin(gateways.map(|gateway| gateway.address).into(), Arc::default())
    }

    /// Opens a connection of HTTP/2 to a gateway.
    pub(crate) async fn http2(gateway: &Gateway) -> Self {
        let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// A connection from another address of this machine.
    pub(crate) async fn connect_from(here: Ipv4Addr, there: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((here, 0).into())?;
        socket.connect(there).await
    }

    /// One request with its answer.
    pub(super) async fn exchange(
        self,
        url: Url,
        mut request: Request<Full<Bytes>>,
    ) -> io::Result<Answer> {
        let address = match self {
            Self::Http2(mut connection) => {
                *request.uri_mut() = url.as_str().parse().unwrap();
                request.headers_mut().remove(HOST);
                connection.ready().await.map_err(io::Error::other)?;
                let response = connection.send_request(request).await;
                return answer(url, response.map_err(io::Error::other)?).await;
            }
            Self::From(here, there) => {
                return exchange(Self::connect_from(here, there).await?, url, request).await;
            }
            Self::Unix(path) => {
                return exchange(UnixStream::connect(path).await?, url, request).await;
            }
            Self::Tcp(address) => address,
            Self::RoundRobin(addresses, turn) => {
                addresses[turn.fetch_add(1, Ordering::Relaxed) % addresses.len()]
            }
            Self::ByPath { endpoints, pages } => {
                if url.path().starts_with("/oauth2/") {
                    endpoints
                } else {
                    pages
                }
            }
            Self::Published(ports) => ports[&url.port_or_known_default().unwrap()],
        };
        exchange(TcpStream::connect(address).await?, url, request).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: Url,
    request: Request<Full<Bytes>>,
) -> io::Result<Answer> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await;
    let answer = answer(url, response.map_err(io::Error::other)?).await;
    connection.abort();
    answer
}

async fn answer(url: Url, response: Response<Incoming>) -> io::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { url, status: head.status, headers: head.headers, body })
}
