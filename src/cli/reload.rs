//! `reload`: has a running gateway load its configuration again, for those who can send it no signal.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::cli::admin_client::{self, AdminAddress, AdminRequest, of_listener, printable};
use crate::cli::{INVALID_CONFIG, NO_ANSWER, SUCCESS, complain};
use crate::config::{self, HostEnv};
use crate::secret::Secret;

/// Parses `--url`.
pub(super) fn target(text: &str) -> Result<AdminAddress, String> {
    admin_client::target(text, PATH)
}

/// Sends the order to `url`, or to the admin listener that `run` opens with the same file and environment, with the
/// token that is configured there. Prints the result, and returns the exit code.
pub(super) fn order(
    url: Option<AdminAddress>,
    file: Option<&Path>,
    source: &HostEnv,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let settings = config::admin_settings(file, source);
    let (target, token) = match (url, settings) {
        (Some(url), settings) => (url, settings.ok().and_then(|settings| settings.token)),
        (None, Ok(settings)) => {
            let target = match settings.listen {
                Some(address) => of_listener(&address, PATH),
                None => Err(OFF.to_owned()),
            };
            match target {
                Ok(target) => (target, settings.token),
                Err(error) => {
                    complain(&format!("portcullis: admin.listen: {error}"));
                    return Ok(NO_ANSWER);
                }
            }
        }
        (None, Err(error)) => {
            complain(&error.to_string());
            return Ok(INVALID_CONFIG);
        }
    };
    send(&target, token.as_ref(), out)
}

fn send(target: &AdminAddress, token: Option<&Secret>, out: &mut dyn Write) -> io::Result<u8> {
    let call = AdminRequest { method: &Method::POST, path: PATH, token };
    let (code, text) = match admin_client::ask(target, call, TIMEOUT)? {
        Ok((StatusCode::OK, text)) => (SUCCESS, text),
        Ok((StatusCode::UNPROCESSABLE_ENTITY, text)) => {
            (INVALID_CONFIG, format!("not reloaded, so the configuration in effect stays:\n{text}"))
        }
        Ok((status, text)) => (NO_ANSWER, format!("not reloaded: {target}: {status}: {text}")),
        Err(why) => (NO_ANSWER, format!("not reloaded: {why}")),
    };
    writeln!(out, "{}", printable(&text, MOST_SHOWN))?;
    Ok(code)
}

/// Message if there is no admin listener.
const OFF: &str = "the admin listener is off: set admin.listen (PORTCULLIS_ADMIN_LISTEN), name another URL with \
                   --url, or send the process SIGHUP";

/// The path of the request.
const PATH: &str = "/reload";

/// Longer than an address takes to be looked up, and than a large configuration takes to be loaded.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Longest text that is printed, in characters.
const MOST_SHOWN: usize = 20_000;
