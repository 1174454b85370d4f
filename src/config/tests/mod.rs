//! Tests of the whole room: the output of `check` for the files in `tests/config`, and the examples in `config/`.
//! A case is a YAML file and an `.out` file with the output. To accept a new output, run the tests with
//! `PORTCULLIS_BLESS=1` and read the difference.

mod secrecy;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use proptest::prelude::*;

use super::document::{Node, parse};
use super::key_rows::rows;
use super::key_spec::DefaultValue;
use super::{Config, ConfigSource, HostEnv, Problems, ROOT, Severity, load};
use crate::cli::check::{OutputFormat, run};
use crate::gate::route::Unauthenticated;
use crate::identity::claims::ClaimPath;
use crate::identity::headers::Template;
use crate::policy::Policy;
use crate::policy::rule::EmailDomain;
use crate::providers::{AuthMethod, SignOut};
use crate::routing::host::HostPattern;
use crate::routing::path::PathPrefix;
use crate::server::AccessLog;
use crate::server::ListenAddress::{Tcp, Unix};
use crate::server::UnixSocket;
use crate::session::{Persistence, SameSite};
use crate::telemetry::Level;
use crate::upstream::Target;

/// Configuration with one provider, one route and these lines.
#[track_caller]
pub(super) fn settings_of(lines: &str) -> Config {
    let text = format!(
        "{lines}\n\
         server: {{ public_url: https://wiki.example.com }}\n\
         providers: {{ company: {{ issuer: https://id.example.com, client_id: wiki, \
         client_secret: \"${{S:-s}}\" }} }}\n\
         routes: [{{ upstream: http://wiki:8080, allow: authenticated }}]\n"
    );
    let source = HostEnv::fixed([(PathBuf::from("a.yaml"), text.into_bytes())], []);
    load(Path::new("a.yaml"), &source).unwrap().0
}

#[test]
fn valid_files_are_accepted() {
    check_folder("accepted", 0);
}

#[test]
fn invalid_files_are_rejected_with_hints() {
    check_folder("rejected", 78);
}

#[test]
fn output_contains_no_secret() {
    for folder in ["accepted", "rejected"] {
        for file in yaml_files(&root().join("tests/config").join(folder)) {
            let (_, output) = output_of(&file);
            for secret in ["hunter2", "s3cr3t", "MIIEvQ", "0123456789abcdef"] {
                assert!(!output.contains(secret), "{}: {output}", file.display());
            }
        }
    }
}

#[test]
fn all_files_that_were_read_are_listed() {
    let text = "server: { public_url: https://a.example }\n\
                pages: { style: style.css, message: \"${file:/run/message}\" }\n\
                routes: [{ upstream: http://a:1, allow: public }]\n";
    let config = load(Path::new("/etc/a.yaml"), &source("/etc/a.yaml", text)).unwrap().0;
    assert_eq!(config.files, [Path::new("/etc/style.css"), Path::new("/run/message")]);
}

#[test]
fn file_that_is_not_utf8_is_rejected_with_the_line() {
    let bytes = b"server:\n  public_url: \xff\n".to_vec();
    let source = HostEnv::fixed([(PathBuf::from("a.yaml"), bytes)], []);
    let Problems(problems) = load(Path::new("a.yaml"), &source).unwrap_err();
    assert_eq!(problems[0].to_string(), "a.yaml:2: error: the file is not UTF-8 text");
}

#[test]
fn byte_order_mark_is_ignored() {
    let text = "\u{feff}server: { public_url: https://a.example }\n\
                routes: [{ upstream: http://a:1, allow: public }]\n";
    assert_eq!(load(Path::new("a.yaml"), &source("a.yaml", text)).unwrap().1, []);
}

#[test]
fn secret_that_was_copied_with_more_has_a_warning_and_loses_a_byte_order_mark() {
    let check = |secret: &str, expected: &str, messages: &[&str]| {
        let text = "server: { public_url: https://a.example }\n\
                    session: { secret: \"${file:/run/s}\" }\n\
                    routes: [{ upstream: http://a:1, allow: public }]\n";
        let files = [("a.yaml", text), ("/run/s", secret)];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let (config, warnings) = load(Path::new("a.yaml"), &HostEnv::fixed(files, [])).unwrap();
        assert_eq!(config.session.secrets[0].expose(), expected);
        assert_eq!(warnings.len(), messages.len(), "{warnings:?}");
        for (warning, message) in warnings.iter().zip(messages) {
            assert!(warning.message.contains(message), "{warning}");
            assert!(!warning.to_string().contains("0123"), "{warning}");
        }
    };
    let secret = "0123456789abcdef0123456789abcdef0123456789ab";
    check(&format!("{secret}\n"), secret, &[]);
    check(&format!("\u{feff}{secret}\n"), secret, &["begins with a byte order mark"]);
    let (blank, quoted) = (format!("{secret} "), format!("\"{secret}\""));
    check(&blank, &blank, &["begins or ends with a space"]);
    check(&quoted, &quoted, &["is in quotes"]);
    let both = ["begins with a byte order mark", "is in quotes"];
    check(&format!("\u{feff}{quoted}"), &quoted, &both);
}

#[test]
fn missing_file_is_reported_with_the_search_order() {
    let Problems(problems) = load(Path::new("a.yaml"), &HostEnv::fixed([], [])).unwrap_err();
    let message = problems[0].to_string();
    let places = ["--config", "PORTCULLIS_CONFIG", "portcullis.yaml in", "/etc/portcullis/"];
    assert!(message.starts_with("a.yaml: error: the file does not exist"), "{message}");
    assert!(places.iter().all(|place| message.contains(place)), "{message}");
}

#[test]
fn minimal_file_has_only_a_warning_about_the_secret() {
    let text = read("config/minimal.yaml");
    let file = PathBuf::from("minimal.yaml");
    let source = HostEnv::fixed([(file.clone(), text.into_bytes())], []);
    let warnings = load(&file, &source).unwrap().1;
    let messages: Vec<&str> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(messages, ["is an example secret, which is publicly known"]);
}

#[test]
fn expired_certificate_is_an_error_to_check_and_a_warning_to_run() {
    let file = root().join("tests/config/rejected/certificate_expired.yaml");
    let text = String::from_utf8(HostEnv::system().read(&file).unwrap()).unwrap();
    let (_, warnings) = load(Path::new("a.yaml"), &source("a.yaml", &text)).unwrap();
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains("warning: server.tls.certificates[0]"), "{warnings:?}");
    assert_eq!(output_of(&file).0, 78);
}

#[test]
fn full_file_is_valid_as_it_is_and_with_every_key() {
    let text = read("config/full.yaml");
    for text in [text.clone(), with_every_key(&text)] {
        let (_, warnings) = load(Path::new("full.yaml"), &source("full.yaml", &text))
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn full_file_has_every_key_with_its_default() {
    let text = read("config/full.yaml");
    let root = parse(&with_every_key(&text)).unwrap();
    let as_it_is = parse(&text).unwrap();
    for row in rows(ROOT) {
        let path = row.path();
        let written = values_at(&root, &path);
        assert!(!written.is_empty(), "config/full.yaml has no {path}");
        let here = values_at(&as_it_is, &path);
        match row.key.default {
            DefaultValue::Is(yaml) if !here.is_empty() => {
                let default = parse(yaml).unwrap();
                assert!(here.contains(&&default), "{path} is not {yaml}: {here:?}");
            }
            DefaultValue::Is(_) | DefaultValue::Unset(_) | DefaultValue::Required(_) => {}
        }
    }
}

#[test]
fn every_key_of_the_full_file_has_a_comment() {
    let text = read("config/full.yaml");
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let same_line = line.contains(" # ");
        let above = at > 0 && lines[at - 1].trim_start().starts_with("# ");
        let comment = line.trim_start().starts_with("# ") || line.trim().is_empty();
        assert!(same_line || above || comment || line.trim() == "#", "line {}: {line}", at + 1);
    }
}

#[test]
fn warnings_do_not_reject_a_file() {
    let text = read("tests/config/accepted/warning_secret_in_the_file.yaml");
    let (_, warnings) = load(Path::new("a.yaml"), &source("a.yaml", &text)).unwrap();
    assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning));
    assert_eq!(warnings.len(), 2);
}

#[test]
fn every_value_is_read() {
    let text = read("tests/config/accepted/every_value.yaml");
    let config = load(Path::new("a.yaml"), &source("a.yaml", &text)).unwrap().0;
    let server = &config.server;
    let mut socket = UnixSocket::at("p.sock".into());
    (socket.mode, socket.group) = (0o600, Some(33));
    assert_eq!(server.listen, [Tcp("0.0.0.0:443".into()), Unix(socket)]);
    assert_eq!((server.workers, server.limits.connections), (3, 7));
    assert_eq!((server.limits.header_bytes, server.limits.header_count), (65_536, 50));
    assert_eq!(server.limits.response_header_bytes, 131_072);
    assert_eq!(server.limits.identity_header_bytes, 4096);
    assert_eq!(server.timeouts.drain, Duration::from_millis(250));
    assert!(server.trusted_proxies.unix);
    assert_eq!(server.trusted_proxies.networks, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(server.certificates[0].name, "tls.crt");
    assert_eq!(config.endpoint_prefix.as_str(), "/-/gate");
    assert_eq!(config.admin, Some(Tcp("[::1]:9000".into())));

    let [one, two] = config.providers.as_slice() else { panic!("{:?}", config.providers) };
    assert_eq!((one.id.as_ref(), two.id.as_ref()), ("zeta", "alpha"));
    assert_eq!((one.name.as_str(), two.name.as_str()), ("Zeta Inc.", "alpha"));
    assert_eq!(one.issuer, "https://id.example.com/");
    assert_eq!(one.client_secret.as_ref().unwrap().expose(), "s3cr3t");
    assert_eq!(one.scopes, ["openid", "groups"]);
    let parameters = [("prompt", "login"), ("max_age", "3600")];
    assert_eq!(one.authorization_parameters, parameters.map(|(k, v)| (k.into(), v.into())));
    assert_eq!(one.claims.groups.claim().as_str(), "/realm_access/roles");
    assert_eq!(one.endpoints.jwks.as_ref().unwrap().as_str(), "https://keys.example.com/");
    assert!(!one.require_email_verified && one.distinct_redirect_uri);
    assert_eq!((one.sign_out, two.sign_out), (SignOut::Local, SignOut::Provider));
    assert_eq!(two.token_endpoint_auth_method, Some(AuthMethod::None));
    assert!(two.client_secret.is_none());

    let session = &config.session;
    assert_eq!(session.idle_timeout, Some(Duration::from_secs(1800)));
    assert_eq!((session.max_sessions, session.max_sessions_per_user), (10, 2));
    assert_eq!(session.secrets[0].expose(), "s".repeat(32));
    assert_eq!(session.cookie.domain.as_deref(), Some("example.com"));
    assert_eq!(session.cookie.same_site, SameSite::None);
    assert_eq!(session.cookie.persistence, Persistence::Browser);
    assert_eq!(config.pages.message.as_deref(), Some("costs $5"));
    assert!(format!("{:?}", config.pages.texts).contains("Weiter mit {provider}"));
    assert_eq!(config.pages.logo.as_ref().unwrap().content_type, "image/svg+xml");
    assert_eq!(config.telemetry.level, Level::Debug);
    assert!(matches!(config.access_log, AccessLog::Off));
}

#[test]
fn routes_are_read_with_their_rules() {
    let text = read("tests/config/accepted/every_value.yaml");
    let config = load(Path::new("a.yaml"), &source("a.yaml", &text)).unwrap().0;
    let [wiki, hooks, auth_only] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert_eq!((wiki.name.as_ref(), hooks.name.as_ref()), ("wiki", "*.dev.example.com/hooks"));
    assert_eq!(wiki.request_body, Some(10 << 20));
    assert_eq!(wiki.unauthenticated, Unauthenticated::Unauthorized);
    assert_eq!(wiki.identity_headers[0].name, "x-remote-user");
    assert_eq!(hooks.identity_headers[0].name, "x-user");
    let upstream = wiki.upstream.as_ref().unwrap();
    assert!(!upstream.preserve_host && upstream.tls.client.is_some());
    assert_eq!(upstream.timeouts.connect, Duration::from_secs(1));
    assert_eq!(hooks.upstream.as_ref().unwrap().target, Target::Unix("dev.sock".into()));
    assert!(auth_only.upstream.is_none() && matches!(auth_only.allow, Policy::Authenticated));

    let Policy::Rules(rules) = &wiki.allow else { panic!("{:?}", wiki.allow) };
    let [preflight, people, staff] = rules.as_slice() else { panic!("{rules:?}") };
    assert!(preflight.public && !people.public);
    assert_eq!(preflight.methods.as_deref(), Some([Method::OPTIONS].as_slice()));
    assert_eq!(people.emails.as_deref(), Some(["ada@example.com".to_owned()].as_slice()));
    assert_eq!(people.client_addresses.as_ref().unwrap()[0].to_string(), "192.0.2.7/32");
    assert_eq!(staff.providers.as_ref().unwrap()[0].as_ref(), "zeta");
    let claims: Vec<_> = staff.claims.iter().flatten().collect();
    assert_eq!(claims[0].1, ["3", "true", "gold"]);
    assert_eq!((claims[1].0.as_str(), claims[1].1.len()), ("tenant", 1));
}

proptest! {
    /// With any damaged line, the result is a configuration, or problems with lines of the file.
    #[test]
    fn damaged_file_has_problems_with_lines(at in 0..400_usize, instead in "[ -~]{0,30}") {
        let text = with_every_key(&read("config/full.yaml"));
        let lines: Vec<&str> = text.lines().collect();
        let at = at % lines.len();
        let damaged = [&lines[..at], &[instead.as_str()], &lines[at + 1..]].concat().join("\n");
        let source = HostEnv::fixed([(PathBuf::from("a.yaml"), damaged.clone().into_bytes())], []);
        if let Err(Problems(problems)) = load(Path::new("a.yaml"), &source) {
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            for problem in problems {
                let line = problem.line.unwrap_or(1);
                prop_assert!((1..=lines.len() + 1).contains(&line), "{}\n{}", problem, damaged);
            }
        }
    }

    #[test]
    fn parsers_do_not_panic_on_any_text(text in ".{0,30}", start in "[/*{@.]{0,2}") {
        let text = start + &text;
        drop((Template::parse(&text), ClaimPath::parse(&text), PathPrefix::parse(&text)));
        drop((HostPattern::parse(&text), EmailDomain::parse(&text)));
    }
}

/// Checks the exit code and the output of every file in a folder.
#[track_caller]
fn check_folder(folder: &str, code: u8) {
    let bless = HostEnv::system().variable("PORTCULLIS_BLESS").is_some();
    let mut complaints = Vec::new();
    for file in yaml_files(&root().join("tests/config").join(folder)) {
        let (actual_code, output) = output_of(&file);
        let expected = file.with_extension("out");
        if bless {
            std::fs::write(&expected, &output).unwrap();
        }
        let golden = HostEnv::system().read(&expected).unwrap_or_default();
        if actual_code != code || output.as_bytes() != golden {
            let golden = String::from_utf8_lossy(&golden);
            complaints.push(format!(
                "{}\n--- expected ({code})\n{golden}--- actual ({actual_code})\n{output}",
                file.display()
            ));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Returns the exit code and the output of `check` for a file.
fn output_of(file: &Path) -> (u8, String) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let text = String::from_utf8(HostEnv::system().read(file).unwrap()).unwrap();
    let mut out = Vec::new();
    let code = run(
        &ConfigSource::File(name.into()),
        false,
        OutputFormat::Human,
        &source(name, &text),
        &mut out,
    )
    .unwrap();
    (code, String::from_utf8(out).unwrap())
}

/// Environment of the cases: one configuration, the files that it can name, a few variables.
fn source(name: &str, text: &str) -> HostEnv {
    source_with(name, text, Vec::new())
}

/// The same with additional variables.
fn source_with(name: &str, text: &str, more: Vec<(String, String)>) -> HostEnv {
    let [pair, other] = [(); 2]
        .map(|()| rcgen::generate_simple_self_signed(["wiki.example.com".to_owned()]).unwrap());
    let folder = Path::new(name).parent().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["other.example.com".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2025, 12, 31);
    let expired = parameters.self_signed(&other.signing_key).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2026, 1, 9);
    let soon = parameters.self_signed(&other.signing_key).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 2);
    let early = parameters.self_signed(&other.signing_key).unwrap();
    let pem = |what| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
    let files = [
        (folder.join("tls.crt"), pair.cert.pem()),
        (folder.join("tls.key"), pair.signing_key.serialize_pem()),
        (folder.join("other.key"), other.signing_key.serialize_pem()),
        (folder.join("expired.crt"), expired.pem()),
        (folder.join("soon.crt"), soon.pem()),
        (folder.join("early.crt"), early.pem()),
        (folder.join("passphrase.key"), pem("ENCRYPTED PRIVATE KEY")),
        (folder.join("damaged.key"), pem("PRIVATE KEY")),
        (folder.join("style.css"), "body { color: red }".to_owned()),
        (folder.join("evil.css"), "</style><script>".to_owned()),
        (folder.join("logo.svg"), "<svg/>".to_owned()),
        (folder.join("logo.gif"), "GIF89a".to_owned()),
        (folder.join("staff.txt"), "# staff\nada@example.com\n".to_owned()),
        (folder.join("none.txt"), "# none yet\n".to_owned()),
        (folder.join("secret.txt"), "s3cr3t\n".to_owned()),
        ("/run/message".into(), "hello\n".to_owned()),
        (name.into(), text.to_owned()),
    ];
    let variables = [
        ("CLIENT_SECRET", "s3cr3t"),
        ("SESSION_SECRET", "ssssssssssssssssssssssssssssssss"),
        ("SECRET_IN_WRONG_PLACE", "s3cr3t"),
        ("SHORT_SECRET", "s3cr3t"),
        ("LONG_SECRET", "ssssssssssssssssssssssssssssssss"),
        ("PUBLIC_URL", "https://wiki.example.com"),
    ];
    HostEnv::fixed(
        files.map(|(path, text)| (path, text.into_bytes())),
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(more),
    )
}

fn yaml_files(folder: &Path) -> BTreeSet<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

/// Activates every key that is commented out as `#key`; comments are `# text`.
fn with_every_key(text: &str) -> String {
    let line = |line: &str| match line.split_once('#') {
        Some((indent, key)) if indent.trim().is_empty() && !key.starts_with(' ') => {
            format!("{indent}{key}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Returns all values at a path such as `routes[].allow[].emails` or `providers.ID.issuer`.
fn values_at<'n>(root: &'n Node, path: &str) -> Vec<&'n Node> {
    let mut nodes = vec![root];
    for step in path.split('.') {
        let (name, item) = match step.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (step, false),
        };
        nodes = nodes.into_iter().flat_map(|node| values_in(node, name, item)).collect();
    }
    nodes
}

fn values_in<'n>(node: &'n Node, name: &str, items: bool) -> Vec<&'n Node> {
    let Node::Map(entries) = node else { return Vec::new() };
    let named = entries.iter().filter(|(key, _)| name == "ID" || key == name).map(|(_, node)| node);
    if !items {
        return named.collect();
    }
    let lists =
        named.filter_map(|node| if let Node::List(inner) = node { Some(inner) } else { None });
    lists.flatten().collect()
}

fn read(file: &str) -> String {
    String::from_utf8(HostEnv::system().read(&root().join(file)).unwrap()).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
