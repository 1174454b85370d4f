//! `explain`: prints how a request would be handled: route, rules, decision and identity headers.

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
use crate::cli::{INVALID_CONFIG, NOT_ALLOWED, SUCCESS, USAGE_ERROR, complain};
use crate::client_address::ClientAddress;
use crate::clock::Clock;
use crate::config::{Config, ConfigSource, HostEnv, Problems};
use crate::origin::Origin;
use crate::server::Authority;

/// The request to explain.
#[derive(Debug, clap::Args)]
pub(super) struct Request {
    /// URL of the request, or a path below `public_url`.
    #[arg(long, value_parser = url)]
    url: Uri,
    /// Method of the request.
    #[arg(long, default_value_t = Method::GET, value_parser = method)]
    method: Method,
    /// `Destination` header of a WebDAV request: a URL or a path.
    #[arg(long, value_name = "URL")]
    destination: Option<HeaderValue>,
    /// JSON file with the claims of the user, as in an ID token [default: not signed in]
    #[arg(long, value_name = "FILE.json")]
    claims: Option<PathBuf>,
    /// Provider of these claims; required if there are several providers.
    #[arg(long, value_name = "ID", requires = "claims")]
    provider: Option<String>,
    /// Address of the client.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client_address: IpAddr,
}

/// Parses `--url`. Accepts only what the gateway would accept in a request.
fn url(text: &str) -> Result<Uri, String> {
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(
            "it contains a space or a character that is not ASCII: percent-encode it as browsers \
                    do, a space as %20"
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
        return Err("only http:// and https:// are supported (400 Bad Request)".to_owned());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(
            "a request with a user name or password in its URL is rejected (400 Bad Request)"
                .to_owned(),
        );
    }
    if HeaderValue::from_str(authority).ok().and_then(Authority::parse).is_none() {
        return Err("a request with an invalid host or port is rejected (400 Bad Request): write \
                    https://HOST/PATH"
            .to_owned());
    }
    text.parse().map_err(|error: InvalidUri| error.to_string())
}

/// Parses `--method`.
fn method(text: &str) -> Result<Method, String> {
    let method = text.parse().map_err(|_| "it is not a method: write GET, POST, PUT, …".to_owned());
    let upper = text.to_ascii_uppercase();
    // RFC 9110 §9.1: methods are case-sensitive.
    if method.is_ok() && upper != text {
        return Err(format!("methods are in upper case: did you mean `{upper}`?"));
    }
    method
}

/// Explains a request, and returns the exit code.
pub(super) fn run(
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
            return Ok(INVALID_CONFIG);
        }
    };
    let app = match App::new(&config, &Lasting::new(&Clock::system(), &Arc::default(), usize::MAX))
    {
        Ok(app) => app,
        Err(error) => {
            complain(&format!("portcullis: {error}"));
            return Ok(INVALID_CONFIG);
        }
    };
    match explain(&app, &config, request, source) {
        Ok(explanation) => {
            write!(out, "{explanation}")?;
            Ok(if explanation.allowed { SUCCESS } else { NOT_ALLOWED })
        }
        Err(error) => {
            complain(&format!("portcullis: {error}"));
            Ok(USAGE_ERROR)
        }
    }
}

/// Returns the explanation, or what is wrong with the arguments.
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
            return Err(format!(
                "--claims needs --provider, because there are several providers: {}",
                ids.join(", ")
            ));
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
    serde_json::from_slice(&bytes).map_err(|error| format!("{name} is not a JSON object: {error}"))
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

    /// Entra sends no groups for a user who has more than 200.
    const CAROL: &str = r#"{"sub": "3", "_claim_names": {"groups": "src1"}}"#;

    fn explain(config: &str, arguments: &str) -> (u8, String) {
        let files = [
            ("a.yaml", config),
            ("alice", ALICE),
            ("bob", BOB),
            ("carol", CAROL),
            ("broken", "[]"),
        ];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let arguments = ["explain"].into_iter().chain(arguments.split(' '));
        let request = Arguments::try_parse_from(arguments).unwrap().request;
        let (source, mut out) = (HostEnv::fixed(files, []), Vec::new());
        let code = run(&ConfigSource::file("a.yaml"), &request, &source, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[track_caller]
    fn check(arguments: &str, code: u8, lines: &[&str]) {
        let (ended, text) = explain(CONFIG, arguments);
        let printed: Vec<_> = text.lines().collect();
        assert_eq!((ended, printed.as_slice()), (code, lines), "{arguments}\n{text}");
    }

    #[test]
    fn allowed_request_is_printed_with_its_headers() {
        check(
            "--url https://wiki.example/staff/x?y --claims alice",
            0,
            &[
                "request    GET wiki.example/staff/x?y",
                "visitor    user 1, e-mail alice@wiki.example, groups staff, by company",
                "route      staff",
                "allow[0]   matches",
                "allow[1]   does not match: users",
                "decision   allow, by allow[0]",
                "           the route has no upstream: an auth subrequest is allowed, a request to the gateway gets 404",
                "header     x-who: alice@wiki.example of staff",
                "header     x-name is not set: no value",
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
                "decision   allow",
                "           the route has no upstream: an auth subrequest is allowed, a request to the gateway gets 404",
                "header     x-forwarded-user is not set: no value",
                "header     x-forwarded-email is not set: no value",
                "header     x-forwarded-groups is not set: no value",
                "header     x-forwarded-preferred-username is not set: no value",
            ],
        );
    }

    #[test]
    fn denied_request_is_printed_with_the_reason() {
        check(
            "--url /staff --method POST --claims bob",
            1,
            &[
                "request    POST wiki.example/staff",
                "visitor    user 2, e-mail not verified, groups none, by company",
                "route      staff",
                "allow[0]   does not match: methods, groups",
                "allow[1]   does not match: users",
                "           the user has no claim groups",
                "decision   deny: no rule matches (403 Forbidden)",
            ],
        );
        check(
            "--url /staff --claims carol",
            1,
            &[
                "request    GET wiki.example/staff",
                "visitor    user 3, e-mail none, groups none, by company",
                "route      staff",
                "allow[0]   does not match: groups",
                "allow[1]   does not match: users",
                "           the claim groups is incomplete: the provider sent a reference in place of its values, \
                 because there are too many",
                "decision   deny: no rule matches (403 Forbidden)",
            ],
        );
    }

    #[test]
    fn request_without_a_session_is_printed_with_the_sign_in_url() {
        check(
            "--url /staff?a=b --method POST",
            1,
            &[
                "request    POST wiki.example/staff?a=b",
                "visitor    not signed in",
                "route      staff",
                "allow[0]   does not match: methods",
                "allow[1]   needs sign-in",
                "decision   sign in: a rule can match after sign-in",
                "           401 Unauthorized, with the sign-in URL in login_url",
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
                "decision   sign in: a rule can match after sign-in",
                "           302 Found to https://wiki.example/oauth2/start?rd=%2F%3Fa%3Db",
                "           if a browser opens a page; an API client gets 401 Unauthorized",
            ],
        );
    }

    #[test]
    fn sign_in_follows_the_key_unauthenticated() {
        let with = |unauthenticated: &str| {
            CONFIG.replace("{ allow", &format!("{{ unauthenticated: {unauthenticated}, allow"))
        };
        let last = |config: &str| {
            let (_, text) = explain(config, "--url /");
            text.lines().next_back().unwrap().trim().to_owned()
        };
        assert!(last(&with("unauthorized")).starts_with("401 "));
        assert!(last(&with("redirect")).starts_with("302 "));
        assert!(last(&with("auto")).starts_with("if a browser opens a page"));
    }

    #[test]
    fn header_without_value_differs_from_one_that_is_too_long() {
        let config = CONFIG.replace("{groups}\"", "{groups}\", X-Long: \"{claim:long}\"");
        let carol = format!("{{\"sub\": \"9\", \"long\": \"{}\"}}", "x".repeat(9_000));
        let files = [("a.yaml", config.as_str()), ("carol", carol.as_str())];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let request = ["explain", "--url", "/staff", "--claims", "carol"];
        let request = Arguments::try_parse_from(request).unwrap().request;
        let (source, mut out) = (HostEnv::fixed(files, []), Vec::new());
        run(&ConfigSource::file("a.yaml"), &request, &source, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("x-long is not set: all identity headers together are longer than"),
            "{text}"
        );
        assert!(text.contains("x-name is not set: no value"), "{text}");
    }

    /// Checks the last line, with the decision.
    #[track_caller]
    fn ends(arguments: &str, code: u8, last: &str) {
        let (ended, text) = explain(CONFIG, arguments);
        assert_eq!((ended, text.lines().next_back()), (code, Some(last)), "{arguments}\n{text}");
    }

    #[test]
    fn request_that_is_not_forwarded_is_explained() {
        ends(
            "--url https://other.example/",
            1,
            "decision   reject: no route has this host (421 Misdirected Request)",
        );
        ends("--url /app/x", 0, "decision   allow");
        ends("--url /a/../b", 1, "decision   reject: the path has a dot segment (400 Bad Request)");
        ends(
            "--url /open/..%2fstaff",
            1,
            "decision   reject: the path can be read as \"/staff\" too, which has another answer (400 Bad Request)",
        );
        ends(
            "--url /open --method TRACE",
            1,
            "decision   reject: the method is not supported (405 Method Not Allowed)",
        );
        ends(
            "--url /oauth2/start",
            1,
            "decision   none: the gateway itself answers paths below server.endpoint_prefix",
        );
    }

    #[test]
    fn destination_is_part_of_the_decision() {
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
        let deny = |why: &str| format!("decision   deny: {why} (403 Forbidden)");
        ends(
            format!("{alice} MOVE"),
            1,
            &deny("the method needs a Destination header on a route with `paths` rules"),
        );
        ends(
            format!("{alice} MOVE --destination /open/b"),
            1,
            &deny("Destination is not on the route of the request"),
        );
        ends(
            format!("{alice} MOVE --destination /staff/b"),
            1,
            &deny("the rules do not allow the path in Destination"),
        );
        ends(
            format!("{alice} COPY --destination http://wiki.example/staff/x/y"),
            1,
            "decision   reject: Destination names another origin (502 Bad Gateway)",
        );
        ends(
            "--claims alice --url /staff --method DELETE".to_owned(),
            1,
            "decision   deny: no rule matches (403 Forbidden)",
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
    fn path_interpretation_with_another_decision_is_printed() {
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
    fn exact_path_that_does_not_match_is_printed() {
        let config = CONFIG.replace("users: [\"9\"]", "exact_paths: [/staff/all]");
        let (code, text) = explain(&config, "--url /staff/all --claims bob");
        assert_eq!(code, 0, "{text}");
        let (code, text) = explain(&config, "--url /staff/all/x --claims bob");
        assert_eq!(code, 1);
        assert!(text.contains("allow[1]   does not match: exact_paths\n"), "{text}");
    }

    #[test]
    fn session_of_a_provider_that_the_route_does_not_accept_is_ignored() {
        let config = CONFIG.replace(
            "routes:\n  - {",
            "  other: { issuer: https://other.example, client_id: wiki, client_secret: s }\nroutes:\n  - { providers: [company],",
        );
        let config = config.replace("name: staff", "name: staff\n    providers: [company]");
        let (code, text) = explain(&config, "--url / --claims alice --provider other");
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains(
                "\n           the route does not accept provider other: treated as not signed in\n"
            ),
            "{text}"
        );
        assert!(text.contains("decision   sign in"), "{text}");
        assert_eq!(explain(&config, "--url / --claims alice").0, 64);
    }

    #[test]
    fn unusable_claims_are_a_usage_error() {
        for arguments in [
            "--url / --claims absent",
            "--url / --claims broken",
            "--url / --claims alice --provider absent",
        ] {
            assert_eq!(explain(CONFIG, arguments), (64, String::new()), "{arguments}");
        }
        assert_eq!(explain("routes: []", "--url /").0, 78);
    }

    #[test]
    fn impossible_request_is_a_usage_error_with_a_hint() {
        for (arguments, message) in [
            (["--url", "wiki.example/x"], "write https://wiki.example/x, or a path"),
            (["--url", "*"], "or a path that begins with /"),
            (["--url", "/a b"], "a space as %20"),
            (["--url", "/é"], "percent-encode"),
            (["--url", "ftp://wiki.example/"], "only http:// and https://"),
            (["--url", "http://u:p@wiki.example/"], "user name or password"),
            (["--url", "http://wiki.example:99999/"], "host or port"),
            (["--url", "http:///x"], "host or port"),
            (["--method", "get"], "did you mean `GET`?"),
            (["--method", "GET POST"], "write GET, POST"),
        ] {
            let error =
                Arguments::try_parse_from(["explain"].iter().chain(&arguments)).unwrap_err();
            assert!(error.use_stderr() && error.to_string().contains(message), "{error}");
        }
        assert!(Arguments::try_parse_from(["explain", "--url", "/a?b=http://c"]).is_ok());
        let long = format!("--url /{}", "a".repeat(17_000));
        assert!(explain(CONFIG, &long).1.ends_with("(414 URI Too Long)\n"));
    }
}
