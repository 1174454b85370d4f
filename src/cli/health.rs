//! `health`: requests `/readyz` from the admin listener, for health checks in containers without an HTTP client.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::body::BodyError;
use crate::cli::{NOT_READY, SUCCESS};
use crate::config::HostEnv;

/// Parses `--url`.
pub fn address(text: &str) -> Result<Url, String> {
    if text.starts_with("unix:") || text.starts_with('/') {
        return Err("unix sockets are not supported here: use \
                    `curl --unix-socket PATH http://localhost/readyz`"
            .to_owned());
    }
    if !text.contains("://") {
        let place = text.split('/').next().unwrap_or_default();
        return Err(match place {
            "" => format!("write {DEFAULT}"),
            place => format!("write http://{place}/readyz"),
        });
    }
    match Url::parse(text) {
        Ok(mut url) if url.scheme() == "http" && url.host().is_some() => {
            if url.path() == "/" {
                url.set_path("/readyz");
            }
            Ok(url)
        }
        Ok(_) | Err(_) => {
            Err("write http://HOST:PORT/readyz: the admin listener uses plain HTTP".to_owned())
        }
    }
}

/// Returns the URL of the admin listener that `run` opens with the same environment.
pub fn address_here(source: &HostEnv) -> Result<Url, String> {
    let Some(place) = source.admin_listen() else { return address(DEFAULT) };
    if matches!(place.as_str(), "off" | "false") {
        return Err("the admin listener is off, so there is no health check".to_owned());
    }
    if place.starts_with("unix:") {
        return address(&place);
    }
    // Connect to loopback if it listens on all addresses.
    let place = place.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    address(&format!("http://{place}"))
}

/// Sends the request, prints the response, and returns the exit code.
pub fn run(url: &Url, out: &mut dyn Write) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (code, text) = match runtime.block_on(async { timeout(TIMEOUT, request(url)).await }) {
        Ok(Ok((StatusCode::OK, text))) => (SUCCESS, text),
        Ok(Ok((status, text))) => (NOT_READY, format!("not ready: {status}: {text}")),
        Ok(Err(error)) => (NOT_READY, format!("not ready: {url}: {error}")),
        Err(_) => (NOT_READY, format!("not ready: {url}: no response within {TIMEOUT:?}")),
    };
    writeln!(out, "{}", text.trim_end())?;
    Ok(code)
}

/// Sends one request on a new connection, without an egress proxy.
async fn request(url: &Url) -> Result<(StatusCode, String), BodyError> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
    let authority = format!("{host}:{}", port.unwrap_or_default());
    let stream = TcpStream::connect(&authority).await?;
    let host = host_field(stream.peer_addr()?, &authority);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(url.path()).header(HOST, host).body(Empty::<Bytes>::new())?;
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

/// Default URL of the admin listener.
const DEFAULT: &str = "http://127.0.0.1:4181/readyz";

/// Shorter than the timeout of usual health checks.
const TIMEOUT: Duration = Duration::from_secs(3);
const MOST_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variable: Option<&str>, expected: Result<&str, &str>) {
        let set = variable.map(|value| ("PORTCULLIS_ADMIN_LISTEN".to_owned(), value.to_owned()));
        match (address_here(&HostEnv::fixed([], set)), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected, "{variable:?}"),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (found, _) => panic!("{variable:?}: {found:?}"),
        }
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

    #[test]
    fn default_url_is_that_of_the_environment() {
        check(None, Ok(DEFAULT));
        check(Some(""), Ok(DEFAULT));
        check(Some("127.0.0.1:31198"), Ok("http://127.0.0.1:31198/readyz"));
        check(Some("0.0.0.0:9"), Ok("http://127.0.0.1:9/readyz"));
        check(Some("[::]:9"), Ok("http://[::1]:9/readyz"));
        check(Some("off"), Err("is off"));
        check(Some("unix:/run/a.sock"), Err("curl --unix-socket"));
    }
}
