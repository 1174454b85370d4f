//! One request to the admin listener, for the commands that ask a running gateway.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use url::Url;

use crate::body::BodyError;
use crate::secret::Secret;
use crate::server::ListenAddress;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdminRequest<'a> {
    pub(super) method: &'a Method,
    /// The path on a unix socket.
    pub(super) path: &'a str,
    pub(super) token: Option<&'a Secret>,
}

/// Where the admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminAddress {
    /// On TCP.
    Url(Url),
    /// On this unix socket.
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Parses `--url`. `path` is that of the command.
pub(super) fn target(text: &str, path: &str) -> Result<AdminAddress, String> {
    match text.strip_prefix("unix:") {
        Some("") => return Err("write unix:PATH".to_owned()),
        Some(path) => return Ok(AdminAddress::Unix(path.into())),
        None if text.starts_with('/') => return Err(format!("write unix:{text}")),
        None => {}
    }
    if !text.contains("://") {
        let place = text.split('/').next().unwrap_or_default();
        return Err(match place {
            "" => format!("write {DEFAULT}{path}"),
            place => format!("write http://{place}{path}"),
        });
    }
    match Url::parse(text) {
        Ok(mut url) if url.scheme() == "http" && url.host().is_some() => {
            if url.path() == "/" {
                url.set_path(path);
            }
            Ok(AdminAddress::Url(url))
        }
        Ok(_) | Err(_) => {
            Err(format!("write http://HOST:PORT{path}: the admin listener uses plain HTTP"))
        }
    }
}

/// Returns the target for this listener.
pub(super) fn of_listener(address: &ListenAddress, path: &str) -> Result<AdminAddress, String> {
    match address {
        ListenAddress::Unix(socket) => Ok(AdminAddress::Unix(socket.path.clone())),
        ListenAddress::Passed(_) => {
            Err("systemd opens its socket: name the address with --url".to_owned())
        }
        // Connect to loopback if it listens on all addresses.
        ListenAddress::Tcp(place) => target(
            &match (place.strip_prefix("0.0.0.0:"), place.strip_prefix("[::]:")) {
                (Some(port), _) => format!("http://127.0.0.1:{port}"),
                (None, Some(port)) => format!("http://[::1]:{port}"),
                (None, None) => format!("http://{place}"),
            },
            path,
        ),
    }
}

/// Sends a request and waits for its response. The error says why there is none.
pub(super) fn ask(
    target: &AdminAddress,
    call: AdminRequest<'_>,
    limit: Duration,
) -> io::Result<Result<(StatusCode, String), String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let response = runtime.block_on(async { timeout(limit, request(target, call)).await });
    // Dropping it would wait for the lookup of a name, which takes longer than the timeout if no DNS server answers.
    runtime.shutdown_background();
    Ok(match response {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(format!("{target}: {error}")),
        Err(_) => Err(format!("{target}: no response within {limit:?}")),
    })
}

/// Makes a response fit for a terminal: a wrong URL can be that of a page. Shortens it to so many letters.
pub(super) fn printable(text: &str, most: usize) -> String {
    let text = text.trim_end().chars();
    let mut visible = text.filter(|letter| !letter.is_control() || *letter == '\n');
    let mut shown: String = visible.by_ref().take(most).collect();
    if visible.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Sends one request on a new connection, without an egress proxy.
async fn request(
    target: &AdminAddress,
    call: AdminRequest<'_>,
) -> Result<(StatusCode, String), BodyError> {
    match target {
        AdminAddress::Url(url) => {
            let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
            let authority = format!("{host}:{}", port.unwrap_or_default());
            let stream = TcpStream::connect(&authority).await?;
            let host = host_field(stream.peer_addr()?, &authority);
            exchange(stream, AdminRequest { path: url.path(), ..call }, &host).await
        }
        AdminAddress::Unix(path) => {
            exchange(UnixStream::connect(path).await?, call, "localhost").await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    call: AdminRequest<'_>,
    host: &str,
) -> Result<(StatusCode, String), BodyError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(call.method).uri(call.path).header(HOST, host);
    if let Some(token) = call.token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let response = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::select! {
        response = response => response,
        // The connection does not end before the response.
        Err(error) = connection => Err(error.into()),
    }
}

/// Returns the `Host` header. A listener on loopback accepts loopback hosts only, so other names are replaced.
fn host_field(peer: SocketAddr, authority: &str) -> String {
    if peer.ip().is_loopback() { peer.to_string() } else { authority.to_owned() }
}

/// Default address of the admin listener.
const DEFAULT: &str = "http://127.0.0.1:4181";

/// Longest response that is read.
const MOST_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::PassedSocketName;

    #[test]
    fn socket_of_systemd_has_no_address_that_a_command_could_find() {
        let address = ListenAddress::Passed(PassedSocketName::Only("admin".to_owned()));
        let error = of_listener(&address, "/readyz").unwrap_err();
        assert!(error.contains("--url"), "{error}");
    }

    #[test]
    fn host_field_of_a_loopback_peer_is_its_address() {
        let check = |peer: &str, expected| {
            assert_eq!(host_field(peer.parse().unwrap(), "ip6-localhost:4181"), expected);
        };
        check("[::1]:4181", "[::1]:4181");
        check("127.0.0.1:9", "127.0.0.1:9");
        check("192.0.2.7:4181", "ip6-localhost:4181");
    }
}
