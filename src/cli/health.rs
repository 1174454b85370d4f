//! `health`: requests `/readyz` from the admin listener, for health checks in containers without an HTTP client.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::cli::admin_client::{self, AdminAddress, AdminRequest, of_listener, printable};
use crate::cli::{NOT_READY, SUCCESS, complain};
use crate::config::{self, HostEnv};

/// Parses `--url`.
pub(super) fn target(text: &str) -> Result<AdminAddress, String> {
    admin_client::target(text, PATH)
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
    let settings = config::admin_settings(file, source);
    let target = match settings.map(|settings| settings.listen) {
        Ok(Some(address)) => of_listener(&address, PATH),
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
    let call = AdminRequest { method: &Method::GET, path: PATH, token: None };
    let response = admin_client::ask(target, call, limit)?;
    let (code, text) = match response {
        Ok((StatusCode::OK, text)) => (SUCCESS, text),
        Ok((status, text)) => (NOT_READY, format!("not ready: {status}: {text}")),
        Err(why) => (NOT_READY, format!("not ready: {why}")),
    };
    // Container runtimes keep the output of every check.
    writeln!(out, "{}", printable(&text, MOST_SHOWN))?;
    Ok(code)
}

/// Message if there is no admin listener.
const OFF: &str = "the admin listener is off, so there is no health check: set admin.listen \
                   (PORTCULLIS_ADMIN_LISTEN), or name another URL with --url";

/// The path of the request.
const PATH: &str = "/readyz";

/// Shorter than the timeout of usual health checks, so that the reason is printed.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest text that is printed, in characters.
const MOST_SHOWN: usize = 1000;

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    const DEFAULT: &str = "http://127.0.0.1:4181/readyz";

    #[track_caller]
    fn check(set: &[(&str, &str)], file: Option<&str>, expected: Result<Option<&str>, &str>) {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let files = file.map(|text| ("portcullis.yaml".into(), text.as_bytes().to_vec()));
        let found = config::admin_settings(None, &HostEnv::fixed(files, set));
        let found =
            found.map(|found| found.listen.map(|it| of_listener(&it, PATH).unwrap().to_string()));
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
