//! `explain`: which route, which rule decides and why, and the headers that would be injected.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Method, Uri};
use serde_json::{Map, Value};

use crate::app::App;
use crate::app::explain::{Explanation, Question};
use crate::cli::{GOOD, NOT_ADMITTED, REFUSED, WRONG_USAGE, complain};
use crate::clock::Clock;
use crate::config::{Config, Problems, Source, Written};

/// The request that is asked about.
#[derive(Debug, clap::Args)]
pub struct Request {
    /// Where it goes; a path alone goes to `public_url`.
    #[arg(long)]
    url: Uri,
    /// Its method.
    #[arg(long, default_value_t = Method::GET)]
    method: Method,
    /// The claims of whoever is signed in, as an ID token has them; without it nobody is.
    #[arg(long, value_name = "FILE.json")]
    claims: Option<PathBuf>,
    /// The provider that makes these claims, where there are several.
    #[arg(long, value_name = "ID", requires = "claims")]
    provider: Option<String>,
    /// Where it comes from.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client_address: IpAddr,
}

/// Explains what a configuration makes of a request, and returns the exit code.
pub fn run(
    written: &Written,
    request: &Request,
    source: &Source,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let config = match written.load(source) {
        Ok((config, _)) => config,
        Err(Problems(problems)) => {
            for problem in &problems {
                complain(&problem.to_string());
            }
            return Ok(REFUSED);
        }
    };
    let app = match App::new(&config, &Clock::system(), &Arc::default(), usize::MAX) {
        Ok(app) => app,
        Err(error) => {
            complain(&format!("portcullis: {error}"));
            return Ok(REFUSED);
        }
    };
    match explain(&app, &config, request, source) {
        Ok(told) => {
            write!(out, "{told}")?;
            Ok(if told.admitted { GOOD } else { NOT_ADMITTED })
        }
        Err(wrong) => {
            complain(&format!("portcullis: {wrong}"));
            Ok(WRONG_USAGE)
        }
    }
}

/// The explanation, or what is wrong with the question.
fn explain(
    app: &App,
    config: &Config,
    request: &Request,
    source: &Source,
) -> Result<Explanation, String> {
    let target = request.url.path_and_query().map_or("", PathAndQuery::as_str);
    if !target.starts_with('/') {
        return Err("--url takes a URL such as https://wiki.example.com/page, or a path".into());
    }
    let claims = request.claims.as_deref().map(|file| claims(file, source)).transpose()?;
    let provider = match (&claims, config.providers.as_slice(), &request.provider) {
        (None, _, _) => "",
        (Some(_), _, Some(id)) => id,
        (Some(_), [only], None) => &only.id,
        (Some(_), several, None) => {
            let ids: Vec<_> = several.iter().map(|provider| &*provider.id).collect();
            return Err(format!("--claims needs --provider, to say whose: {}", ids.join(", ")));
        }
    };
    let question = Question {
        host: request.url.host(),
        target,
        method: &request.method,
        client_address: request.client_address,
        claims: claims.as_ref().map(|claims| (provider, claims)),
    };
    app.explain(&question).map_err(|error| error.to_string())
}

fn claims(file: &Path, source: &Source) -> Result<Map<String, Value>, String> {
    let name = file.display();
    let bytes = source.read(file).map_err(|why| format!("{name}: {why}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{name} is no JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        request: Request,
    }

    const CONFIG: &str = r#"
server: { public_url: https://wiki.example }
providers:
  company: { issuer: https://id.example, client_id: wiki, client_secret: s }
routes:
  - { allow: authenticated }
  - { path: /open, allow: public }
  - { path: /app, allow: public, upstream: "http://wiki:1", identity_headers: {} }
  - path: /staff
    name: staff
    identity_headers: { X-Who: "{email} of {groups}", X-Name: "{name}", Authorization: "Bearer {access_token}" }
    allow: [{ groups: [staff], methods: [GET] }, { users: ["9"] }]
"#;
    const ALICE: &str = r#"{"sub": "1", "email": "alice@wiki.example", "email_verified": true, "groups": ["staff"]}"#;
    const BOB: &str = r#"{"sub": "2", "email": "bob@wiki.example", "email_verified": false}"#;

    fn explain(config: &str, arguments: &str) -> (u8, String) {
        let files = [("a.yaml", config), ("alice", ALICE), ("bob", BOB), ("broken", "[]")];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let arguments = ["explain"].into_iter().chain(arguments.split(' '));
        let request = Arguments::try_parse_from(arguments).unwrap().request;
        let (source, mut out) = (Source::fixed(files, []), Vec::new());
        let code =
            run(&Written::File(PathBuf::from("a.yaml")), &request, &source, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[track_caller]
    fn check(arguments: &str, code: u8, lines: &[&str]) {
        let (ended, text) = explain(CONFIG, arguments);
        let told: Vec<_> = text.lines().collect();
        assert_eq!((ended, told.as_slice()), (code, lines), "{arguments}\n{text}");
    }

    #[test]
    fn who_is_admitted_is_told_with_the_headers() {
        check(
            "--url https://wiki.example/staff/x?y --claims alice",
            0,
            &[
                "request    GET wiki.example/staff/x?y",
                "visitor    user 1, e-mail alice@wiki.example, groups staff, by company",
                "route      staff",
                "allow[0]   admits",
                "allow[1]   users fails",
                "decision   admit by allow[0]",
                "           without an upstream: a proxy that asks is told so, a request here gets 404",
                "header     x-who: alice@wiki.example of staff",
                "header     x-name is left out: it has no value",
                "header     authorization: Bearer <access token>",
            ],
        );
        check(
            "--url /open",
            0,
            &[
                "request    GET wiki.example/open",
                "visitor    not signed in",
                "route      wiki.example/open",
                "allow      public",
                "decision   admit",
                "           without an upstream: a proxy that asks is told so, a request here gets 404",
                "header     x-forwarded-user is left out: it has no value",
                "header     x-forwarded-email is left out: it has no value",
                "header     x-forwarded-groups is left out: it has no value",
                "header     x-forwarded-preferred-username is left out: it has no value",
            ],
        );
    }

    #[test]
    fn who_is_refused_is_told_why() {
        check(
            "--url /staff --method POST --claims bob",
            1,
            &[
                "request    POST wiki.example/staff",
                "visitor    user 2, e-mail not verified, groups none, by company",
                "route      staff",
                "allow[0]   methods, groups fail",
                "allow[1]   users fails",
                "decision   refuse: no rule admits; methods, groups, users fail",
            ],
        );
    }

    #[test]
    fn who_is_not_signed_in_is_told_where() {
        check(
            "--url /staff?a=b --method POST",
            1,
            &[
                "request    POST wiki.example/staff?a=b",
                "visitor    not signed in",
                "route      staff",
                "allow[0]   methods fails",
                "allow[1]   asks who it is",
                "decision   sign in: a rule may admit whoever signs in",
                "           https://wiki.example/oauth2/start?rd=%2Fstaff%3Fa%3Db",
            ],
        );
    }

    /// The last line, which says how it ends.
    #[track_caller]
    fn ends(arguments: &str, code: u8, last: &str) {
        let (ended, text) = explain(CONFIG, arguments);
        assert_eq!((ended, text.lines().next_back()), (code, Some(last)), "{arguments}\n{text}");
    }

    #[test]
    fn a_path_without_an_answer_is_told_as_a_request_would_be() {
        ends(
            "--url https://other.example/",
            1,
            "decision   refuse: no route has this host (421 Misdirected Request)",
        );
        ends("--url /app/x", 0, "decision   admit");
        ends("--url /a/../b", 1, "decision   refuse: the path has a dot segment (400 Bad Request)");
        ends(
            "--url /open/..%2fstaff",
            1,
            "decision   refuse: the path can be read as \"/staff\" too, which has another answer (400 Bad Request)",
        );
        ends(
            "--url /open --method TRACE",
            1,
            "decision   refuse: the method is not served (405 Method Not Allowed)",
        );
        ends(
            "--url /oauth2/start",
            1,
            "decision   none: paths under this prefix are the gateway's own",
        );
    }

    #[test]
    fn a_reading_with_another_decision_is_named() {
        let config = CONFIG.replace("users: [\"9\"]", "paths: [/staff/all]");
        let (code, text) = explain(&config, "--url /staff/all/..;/x --claims bob");
        assert_eq!(code, 1);
        let last = text.lines().next_back().unwrap();
        assert!(
            last.contains("read as \"/staff/all/../x\"") || last.contains("read as \"/staff/x\""),
            "{text}"
        );
    }

    #[test]
    fn a_session_of_a_provider_that_is_not_taken_counts_as_none() {
        let config = CONFIG.replace(
            "routes:\n  - {",
            "  other: { issuer: https://other.example, client_id: wiki, client_secret: s }\nroutes:\n  - { providers: [company],",
        );
        let config = config.replace("name: staff", "name: staff\n    providers: [company]");
        let (code, text) = explain(&config, "--url / --claims alice --provider other");
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains("\n           provider other does not sign in here: not signed in\n"),
            "{text}"
        );
        assert!(text.contains("decision   sign in"), "{text}");
        assert_eq!(explain(&config, "--url / --claims alice").0, 64);
    }

    #[test]
    fn what_cannot_be_asked_is_wrong_usage() {
        for arguments in [
            "--url wiki.example",
            "--url *",
            "--url / --claims absent",
            "--url / --claims broken",
            "--url / --claims alice --provider nobody",
        ] {
            assert_eq!(explain(CONFIG, arguments), (64, String::new()), "{arguments}");
        }
        assert_eq!(explain("routes: []", "--url /").0, 78);
    }
}
