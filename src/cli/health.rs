//! `health`: asks the admin listener whether this process should be sent requests; for health checks in
//! containers that have no other program to ask with.

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
use crate::cli::{GOOD, NOT_READY};
use crate::config::HostEnv;

/// Reads `--url`.
pub fn address(text: &str) -> Result<Url, String> {
    if text.starts_with("unix:") || text.starts_with('/') {
        return Err("a Unix socket is not asked here: write \
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
            Err("this is not http://HOST:PORT/readyz, as the admin listener speaks".to_owned())
        }
    }
}

/// Where the listener is that the same environment would make `run` open.
pub fn address_here(source: &HostEnv) -> Result<Url, String> {
    let Some(place) = source.admin_listen() else { return address(DEFAULT) };
    if matches!(place.as_str(), "off" | "false") {
        return Err("the admin listener is off, so nothing can be asked".to_owned());
    }
    if place.starts_with("unix:") {
        return address(&place);
    }
    // Every address is no address to ask at.
    let place = place.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    address(&format!("http://{place}"))
}

/// Asks, prints what was said, and returns the exit code.
pub fn run(url: &Url, out: &mut dyn Write) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (code, says) = match runtime.block_on(async { timeout(PATIENCE, ask(url)).await }) {
        Ok(Ok((StatusCode::OK, text))) => (GOOD, text),
        Ok(Ok((status, text))) => (NOT_READY, format!("not ready: {status}: {text}")),
        Ok(Err(error)) => (NOT_READY, format!("not ready: {url}: {error}")),
        Err(_) => (NOT_READY, format!("not ready: {url}: no answer within {PATIENCE:?}")),
    };
    writeln!(out, "{}", says.trim_end())?;
    Ok(code)
}

/// One request on a connection of its own, without any proxy.
async fn ask(url: &Url) -> Result<(StatusCode, String), BodyError> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
    let authority = format!("{host}:{}", port.unwrap_or_default());
    let stream = TcpStream::connect(&authority).await?;
    let host = host_field(stream.peer_addr()?, &authority);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(url.path()).header(HOST, host).body(Empty::<Bytes>::new())?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::select! {
        answer = answer => answer,
        // The connection ends with the answer at the earliest.
        Err(error) = connection => Err(error.into()),
    }
}

/// What `Host` says: a listener on loopback answers to loopback hosts only, whatever name leads there.
fn host_field(peer: SocketAddr, authority: &str) -> String {
    if peer.ip().is_loopback() { peer.to_string() } else { authority.to_owned() }
}

/// Where the admin listener is unless it is told otherwise.
const DEFAULT: &str = "http://127.0.0.1:4181/readyz";

/// A health check runs every few seconds, with a patience of its own around it.
const PATIENCE: Duration = Duration::from_secs(3);
const MOST_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variable: Option<&str>, expected: Result<&str, &str>) {
        let set = variable.map(|value| ("PORTCULLIS_ADMIN_LISTEN".to_owned(), value.to_owned()));
        match (address_here(&HostEnv::fixed([], set)), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected, "{variable:?}"),
            (Err(wrong), Err(expected)) => assert!(wrong.contains(expected), "{wrong}"),
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
    fn the_listener_of_the_same_environment_is_asked() {
        check(None, Ok(DEFAULT));
        check(Some(""), Ok(DEFAULT));
        check(Some("127.0.0.1:31198"), Ok("http://127.0.0.1:31198/readyz"));
        check(Some("0.0.0.0:9"), Ok("http://127.0.0.1:9/readyz"));
        check(Some("[::]:9"), Ok("http://[::1]:9/readyz"));
        check(Some("off"), Err("is off"));
        check(Some("unix:/run/a.sock"), Err("curl --unix-socket"));
    }
}
