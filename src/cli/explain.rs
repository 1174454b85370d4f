//! `explain`: which route, which rule decides and why, and the headers that would be injected.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::uri::{InvalidUri, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri};
use serde_json::{Map, Value};

use crate::app::App;
use crate::app::explain::{Explanation, Question};
use crate::app::lasting::Lasting;
use crate::cli::{GOOD, NOT_ADMITTED, REFUSED, WRONG_USAGE, complain};
use crate::client_address::ClientAddress;
use crate::clock::Clock;
use crate::config::{Config, ConfigSource, HostEnv, Problems};
use crate::origin::Origin;
use crate::server::Authority;

/// The request that is asked about.
#[derive(Debug, clap::Args)]
pub struct Request {
    /// Where it goes; a path alone goes to `public_url`.
    #[arg(long, value_parser = url)]
    url: Uri,
    /// Its method.
    #[arg(long, default_value_t = Method::GET, value_parser = method)]
    method: Method,
    /// The `Destination` of a WebDAV request: a URL or a path.
    #[arg(long, value_name = "URL")]
    destination: Option<HeaderValue>,
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

/// Reads `--url`: what a request could be for, else why none could.
fn url(text: &str) -> Result<Uri, String> {
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(
            "it has a blank, or a letter that is not ASCII: percent-encode it as a browser \
                    does, a blank as %20"
                .to_owned(),
        );
    }
    let Some((scheme, rest)) = text.split_once("://").filter(|_| !text.starts_with('/')) else {
        return match text.starts_with('/') {
            true => text.parse().map_err(|error: InvalidUri| error.to_string()),
            false => Err(format!("write https://{text}, or a path that begins with /")),
        };
    };
    if !matches!(scheme, "http" | "https") {
        return Err("only http:// and https:// are served (400 Bad Request)".to_owned());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(
            "a request with a user or password before its host is refused (400 Bad Request)"
                .to_owned(),
        );
    }
    if HeaderValue::from_str(authority).ok().and_then(Authority::parse).is_none() {
        return Err("a request whose host or port is none is refused (400 Bad Request): write \
                    https://HOST/PATH"
            .to_owned());
    }
    text.parse().map_err(|error: InvalidUri| error.to_string())
}

/// Reads `--method`.
fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    // RFC 9110 §9.1: methods are compared with case.
    if upper != text {
        return Err(format!("methods are in upper case: did you mean {upper}?"));
    }
    text.parse().map_err(|_| "it is none: write GET, POST, PUT, …".to_owned())
}

/// Explains what a configuration makes of a request, and returns the exit code.
pub fn run(
    written: &ConfigSource,
    request: &Request,
    source: &HostEnv,
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
    let app = match App::new(&config, &Lasting::new(&Clock::system(), &Arc::default(), usize::MAX))
    {
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
    source: &HostEnv,
) -> Result<Explanation, String> {
    let target = request.url.path_and_query().map_or("", PathAndQuery::as_str);
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
    let origin = request.url.host().map(|host| {
        let https = request.url.scheme() == Some(&Scheme::HTTPS);
        Origin::of_host(https, host, request.url.port_u16())
    });
    let question = Question {
        origin: origin.as_ref(),
        target,
        method: &request.method,
        destination: request.destination.as_ref(),
        longest_target: config.server.limits.target_bytes,
        client_address: ClientAddress::Known(request.client_address),
        claims: claims.as_ref().map(|claims| (provider, claims)),
    };
    app.explain(&question).map_err(|error| error.to_string())
}

fn claims(file: &Path, source: &HostEnv) -> Result<Map<String, Value>, String> {
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
        let (source, mut out) = (HostEnv::fixed(files, []), Vec::new());
        let code =
            run(&ConfigSource::File(PathBuf::from("a.yaml")), &request, &source, &mut out).unwrap();
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
                "           401 Unauthorized, with the login_url for a script's page",
            ],
        );
        check(
            "--url /?a=b --method HEAD",
            1,
            &[
                "request    HEAD wiki.example/?a=b",
                "visitor    not signed in",
                "route      wiki.example/",
                "allow      authenticated",
                "decision   sign in: a rule may admit whoever signs in",
                "           302 Found to https://wiki.example/oauth2/start?rd=%2F%3Fa%3Db",
                "           taken for a page that a browser opens: a script gets 401",
            ],
        );
    }

    #[test]
    fn a_challenge_is_told_as_the_route_has_it() {
        let with = |unauthenticated: &str| {
            CONFIG.replace("{ allow", &format!("{{ unauthenticated: {unauthenticated}, allow"))
        };
        let last = |config: &str| {
            let (_, text) = explain(config, "--url /");
            text.lines().next_back().unwrap().trim().to_owned()
        };
        assert!(last(&with("unauthorized")).starts_with("401 "));
        assert!(last(&with("redirect")).starts_with("302 "));
        assert!(last(&with("auto")).starts_with("taken for a page"));
    }

    #[test]
    fn a_header_that_is_too_long_is_told_from_one_without_value() {
        let config = CONFIG.replace("{groups}\"", "{groups}\", X-Long: \"{claim:long}\"");
        let carol = format!("{{\"sub\": \"9\", \"long\": \"{}\"}}", "x".repeat(9_000));
        let files = [("a.yaml", config.as_str()), ("carol", carol.as_str())];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let request = ["explain", "--url", "/staff", "--claims", "carol"];
        let request = Arguments::try_parse_from(request).unwrap().request;
        let (source, mut out) = (HostEnv::fixed(files, []), Vec::new());
        run(&ConfigSource::File(PathBuf::from("a.yaml")), &request, &source, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("x-long is left out: all of them together are too long"), "{text}");
        assert!(text.contains("x-name is left out: it has no value"), "{text}");
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
    fn destination_is_decided_as_a_request_would_be() {
        let alice = "--claims alice --url https://wiki.example/staff/a --method";
        let config = CONFIG.replace("methods: [GET]", "paths: [/staff/x/y, /staff/a]");
        let ends = |arguments: String, code, last: &str| {
            let (ended, text) = explain(&config, &arguments);
            assert_eq!(
                (ended, text.lines().next_back()),
                (code, Some(last)),
                "{arguments}\n{text}"
            );
        };
        let refuse = |why: &str| format!("decision   refuse: {why} (403 Forbidden)");
        ends(
            format!("{alice} MOVE"),
            1,
            &refuse("the method needs a Destination header on a route with `paths` rules"),
        );
        ends(
            format!("{alice} MOVE --destination /open/b"),
            1,
            &refuse("Destination is not on the route of the request"),
        );
        ends(
            format!("{alice} MOVE --destination /staff/b"),
            1,
            &refuse("the rules do not allow the path in Destination"),
        );
        ends(
            format!("{alice} COPY --destination http://wiki.example/staff/x/y"),
            1,
            "decision   refuse: Destination names another origin (502 Bad Gateway)",
        );
        ends(
            "--claims alice --url /staff --method DELETE".to_owned(),
            1,
            "decision   refuse: no rule admits; paths, users fail",
        );
        let (code, text) =
            explain(&config, &format!("{alice} MOVE --destination https://wiki.example/staff/x/y"));
        assert_eq!(code, 0, "{text}");
        assert!(
            text.contains("\n           Destination: https://wiki.example/staff/x/y\n"),
            "{text}"
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
            "--url / --claims absent",
            "--url / --claims broken",
            "--url / --claims alice --provider nobody",
        ] {
            assert_eq!(explain(CONFIG, arguments), (64, String::new()), "{arguments}");
        }
        assert_eq!(explain("routes: []", "--url /").0, 78);
    }

    #[test]
    fn what_no_request_could_be_is_told_with_what_was_meant() {
        for (arguments, told) in [
            (["--url", "wiki.example/x"], "write https://wiki.example/x, or a path"),
            (["--url", "*"], "or a path that begins with /"),
            (["--url", "/a b"], "a blank as %20"),
            (["--url", "/é"], "percent-encode"),
            (["--url", "ftp://wiki.example/"], "only http:// and https://"),
            (["--url", "http://u:p@wiki.example/"], "user or password"),
            (["--url", "http://wiki.example:99999/"], "host or port"),
            (["--url", "http:///x"], "host or port"),
            (["--method", "get"], "did you mean GET?"),
            (["--method", "GET POST"], "write GET, POST"),
        ] {
            let error =
                Arguments::try_parse_from(["explain"].iter().chain(&arguments)).unwrap_err();
            assert!(error.use_stderr() && error.to_string().contains(told), "{error}");
        }
        assert!(Arguments::try_parse_from(["explain", "--url", "/a?b=http://c"]).is_ok());
        let long = format!("--url /{}", "a".repeat(17_000));
        assert!(explain(CONFIG, &long).1.ends_with("(414 URI Too Long)\n"));
    }
}
