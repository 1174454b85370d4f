//! `health`: requests `/readyz` from the admin listener, for health checks in containers without an HTTP client.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use url::Url;

use crate::body::BodyError;
use crate::cli::{NOT_READY, SUCCESS, complain};
use crate::config::{self, HostEnv};
use crate::server::ListenAddress;

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

/// Parses `--url`.
pub(super) fn target(text: &str) -> Result<AdminAddress, String> {
    match text.strip_prefix("unix:") {
        Some("") => return Err("write unix:PATH".to_owned()),
        Some(path) => return Ok(AdminAddress::Unix(path.into())),
        None if text.starts_with('/') => return Err(format!("write unix:{text}")),
        None => {}
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
            Ok(AdminAddress::Url(url))
        }
        Ok(_) | Err(_) => {
            Err("write http://HOST:PORT/readyz: the admin listener uses plain HTTP".to_owned())
        }
    }
}

/// Returns the target for this listener.
fn of_listener(address: &ListenAddress) -> Result<AdminAddress, String> {
    match address {
        ListenAddress::Unix(socket) => Ok(AdminAddress::Unix(socket.path.clone())),
        ListenAddress::Passed(_) => {
            Err("systemd opens its socket: name the address with --url".to_owned())
        }
        // Connect to loopback if it listens on all addresses.
        ListenAddress::Tcp(place) => {
            target(&match (place.strip_prefix("0.0.0.0:"), place.strip_prefix("[::]:")) {
                (Some(port), _) => format!("http://127.0.0.1:{port}"),
                (None, Some(port)) => format!("http://[::1]:{port}"),
                (None, None) => format!("http://{place}"),
            })
        }
    }
}

/// Asks at `url`, or at the admin listener that `run` opens with the same file and environment. Prints the response,
/// or why there is none, and returns the exit code: container runtimes know only 0 and 1.
pub(super) fn check(
    url: Option<AdminAddress>,
    file: Option<&Path>,
    source: &HostEnv,
    out: &mut dyn Write,
) -> io::Result<u8> {
    if let Some(target) = url {
        return run(&target, TIMEOUT, out);
    }
    let target = match config::admin_listen(file, source) {
        Ok(Some(address)) => of_listener(&address),
        Ok(None) => Err(OFF.to_owned()),
        Err(error) => {
            complain(&error.to_string());
            return Ok(NOT_READY);
        }
    };
    match target {
        Ok(target) => run(&target, TIMEOUT, out),
        Err(error) => {
            complain(&format!("portcullis: admin.listen: {error}"));
            Ok(NOT_READY)
        }
    }
}

/// Sends the request, prints the response, and returns the exit code.
fn run(target: &AdminAddress, limit: Duration, out: &mut dyn Write) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let response = runtime.block_on(async { timeout(limit, request(target)).await });
    // Dropping it would wait for the lookup of a name, which takes longer than the timeout if no DNS server answers.
    runtime.shutdown_background();
    let (code, text) = match response {
        Ok(Ok((StatusCode::OK, text))) => (SUCCESS, text),
        Ok(Ok((status, text))) => (NOT_READY, format!("not ready: {status}: {text}")),
        Ok(Err(error)) => (NOT_READY, format!("not ready: {target}: {error}")),
        Err(_) => (NOT_READY, format!("not ready: {target}: no response within {limit:?}")),
    };
    writeln!(out, "{}", shown(&text))?;
    Ok(code)
}

/// Shortens a response: a wrong URL can be that of a page, and container runtimes keep the output of every check.
fn shown(text: &str) -> String {
    let text = text.trim_end().chars();
    let mut visible = text.filter(|letter| !letter.is_control() || *letter == '\n');
    let mut shown: String = visible.by_ref().take(MOST_SHOWN).collect();
    if visible.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Sends one request on a new connection, without an egress proxy.
async fn request(target: &AdminAddress) -> Result<(StatusCode, String), BodyError> {
    match target {
        AdminAddress::Url(url) => {
            let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
            let authority = format!("{host}:{}", port.unwrap_or_default());
            let stream = TcpStream::connect(&authority).await?;
            let host = host_field(stream.peer_addr()?, &authority);
            exchange(stream, url.path(), &host).await
        }
        AdminAddress::Unix(path) => {
            exchange(UnixStream::connect(path).await?, "/readyz", "localhost").await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
    host: &str,
) -> Result<(StatusCode, String), BodyError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new())?;
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

/// Message if there is no admin listener.
const OFF: &str = "the admin listener is off, so there is no health check: set admin.listen \
                   (PORTCULLIS_ADMIN_LISTEN), or name another URL with --url";

/// Default URL of the admin listener.
const DEFAULT: &str = "http://127.0.0.1:4181/readyz";

/// Shorter than the timeout of usual health checks, so that the reason is printed.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest response that is read.
const MOST_BYTES: usize = 64 * 1024;
/// Longest text that is printed, in characters.
const MOST_SHOWN: usize = 1000;

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use crate::server::PassedSocketName;

    #[track_caller]
    fn check(set: &[(&str, &str)], file: Option<&str>, expected: Result<Option<&str>, &str>) {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let files = file.map(|text| ("portcullis.yaml".into(), text.as_bytes().to_vec()));
        let found = config::admin_listen(None, &HostEnv::fixed(files, set));
        let found = found.map(|address| address.map(|it| of_listener(&it).unwrap().to_string()));
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{file:?}"),
            (Err(error), Err(begin)) => {
                assert!(error.to_string().starts_with(begin), "{error}");
            }
            _ => panic!("{file:?}: {found:?}"),
        }
    }

    /// Asks a server that sends this, or nothing; returns exit code and output.
    fn ask(response: Option<String>, limit: Duration) -> (u8, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            match response {
                // Until the client gives up.
                None => drop(stream.read_to_end(&mut request)),
                Some(response) => {
                    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
                    stream.write_all(response.as_bytes()).unwrap();
                }
            }
        });
        let mut out = Vec::new();
        let code = run(&target(&url).unwrap(), limit, &mut out).unwrap();
        server.join().unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn server_that_does_not_answer_is_not_ready_after_the_timeout() {
        let (code, out) = ask(None, Duration::from_millis(20));
        assert_eq!(code, NOT_READY);
        assert!(out.starts_with("not ready: http://127.0.0.1:"), "{out}");
        assert!(out.ends_with("/readyz: no response within 20ms\n"), "{out}");
    }

    #[test]
    fn long_response_is_shortened() {
        let page = "\u{1b}[2J<p>".repeat(2000);
        let head = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n", page.len());
        let (code, out) = ask(Some(head + &page), TIMEOUT);
        assert_eq!(code, NOT_READY);
        assert!(out.starts_with("not ready: 404 Not Found: [2J<p>[2J"), "{out}");
        assert!(out.ends_with("…\n") && out.chars().count() == MOST_SHOWN + 2, "{out}");
    }

    #[test]
    fn socket_of_systemd_has_no_address_that_health_could_find() {
        let address = ListenAddress::Passed(PassedSocketName::Only("admin".to_owned()));
        let error = of_listener(&address).unwrap_err();
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

    #[test]
    fn admin_listener_is_found_as_run_finds_it() {
        let variable = |value| [("PORTCULLIS_ADMIN_LISTEN", value)];
        check(&[], None, Ok(Some(DEFAULT)));
        check(&variable(""), None, Ok(Some(DEFAULT)));
        check(&variable("127.0.0.1:31198"), None, Ok(Some("http://127.0.0.1:31198/readyz")));
        check(&variable("0.0.0.0:9"), None, Ok(Some("http://127.0.0.1:9/readyz")));
        check(&variable("[::]:9"), None, Ok(Some("http://[::1]:9/readyz")));
        check(&variable("off"), None, Ok(None));
        check(&variable("unix:/run/a.sock"), None, Ok(Some("unix:/run/a.sock")));
        // Other keys may be wrong, and the variable overrides the file.
        let file = Some("server: { public_url: x }\nadmin: { listen: \"unix:/run/b.sock\" }\n");
        check(&[], file, Ok(Some("unix:/run/b.sock")));
        check(&variable("127.0.0.1:9"), file, Ok(Some("http://127.0.0.1:9/readyz")));
        // Flags of the environment replace the file.
        check(&[("PORTCULLIS_UPSTREAM", "http://a:1")], file, Ok(Some(DEFAULT)));
        // So does the text in a variable, with any other key wrong.
        let text = ("PORTCULLIS_CONFIG_TEXT", "admin: { listen: 127.0.0.1:8 }\nx: 1\n");
        check(&[text], file, Ok(Some("http://127.0.0.1:8/readyz")));
        check(&[text, ("PORTCULLIS_ADMIN_LISTEN", "off")], file, Ok(None));
        let secret = ("PORTCULLIS_CLIENT_SECRET", "s3cr3t");
        check(&[secret], file, Ok(Some("unix:/run/b.sock")));
        let conflict =
            "portcullis: PORTCULLIS_CONFIG_TEXT cannot be used together with PORTCULLIS_SCOPE: ";
        check(&[text, ("PORTCULLIS_SCOPE", "openid")], file, Err(conflict));
        let wrong = "PORTCULLIS_ADMIN_LISTEN: error: admin.listen: \"4181\"";
        check(&variable("4181"), None, Err(wrong));
        let wrong = "PORTCULLIS_CONFIG_TEXT:2: error: admin.listen: \"4181\"";
        check(&[("PORTCULLIS_CONFIG_TEXT", "\nadmin: { listen: 4181 }\n")], None, Err(wrong));
        let wrong = "portcullis.yaml:1: error: admin.listen: \"4181\"";
        check(&[], Some("admin: { listen: 4181 }\n"), Err(wrong));
    }

    #[test]
    fn url_is_http_or_a_unix_socket() {
        let check = |text, expected: Result<&str, &str>| {
            let found = target(text).map(|target| target.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        };
        check("unix:/run/a.sock", Ok("unix:/run/a.sock"));
        check("/run/a.sock", Err("write unix:/run/a.sock"));
        check("http://127.0.0.1:9", Ok("http://127.0.0.1:9/readyz"));
        check("127.0.0.1:9", Err("write http://127.0.0.1:9/readyz"));
        check(
            "https://a",
            Err("write http://HOST:PORT/readyz: the admin listener uses plain HTTP"),
        );
    }
}
