//! Tests of the whole room: the output of `check` for the files in `tests/config`, and the examples in `config/`.
//! A case is a YAML file and an `.out` file with the output. To accept a new output, run the tests with
//! `PORTCULLIS_BLESS=1` and read the difference.

mod every_value;
mod full_file;
mod redis_flags;
mod secrecy;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::cli::check::{OutputFormat, run};
use crate::config::{Config, ConfigSource, HostEnv, Problems, Severity, YamlSource, load};
use crate::identity::claims::ClaimPath;
use crate::identity::headers::Template;
use crate::policy::rule::EmailDomain;
use crate::routing::host::HostPattern;
use crate::routing::path::PathPrefix;

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
fn warnings_do_not_reject_a_file() {
    let text = read("tests/config/accepted/warning_secret_in_the_file.yaml");
    let (_, warnings) = load(Path::new("a.yaml"), &source("a.yaml", &text)).unwrap();
    assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning));
    assert_eq!(warnings.len(), 2);
}

proptest! {
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

/// Returns the exit code and the output of `check` for a file. It has to be the same for the text in the variable.
#[track_caller]
fn output_of(file: &Path) -> (u8, String) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let text = String::from_utf8(HostEnv::system().read(file).unwrap()).unwrap();
    let variable = ("PORTCULLIS_CONFIG_TEXT".to_owned(), text.clone());
    let source = source_with(name, &text, vec![variable]);
    let output = |written: &ConfigSource| {
        let mut out = Vec::new();
        let code = run(written, false, OutputFormat::Human, &source, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    };
    let by_file = output(&ConfigSource::file(name));
    let (code, text) = output(&ConfigSource::Yaml(YamlSource::Variable));
    assert_eq!((code, text.replace("PORTCULLIS_CONFIG_TEXT", name)), by_file, "{name}");
    by_file
}

/// Environment of the cases: one configuration, the files that it can name, a few variables.
fn source(name: &str, text: &str) -> HostEnv {
    source_with(name, text, Vec::new())
}

/// The key file of a service account, or of another `type`.
fn service_account(kind: &str) -> String {
    // To make an RSA key takes a while.
    static KEY: LazyLock<String> = LazyLock::new(|| {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem()
    });
    serde_json::json!({
        "type": kind,
        "private_key_id": "1234abcd",
        "private_key": *KEY,
        "client_email": "gateway@project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
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
        (folder.join("AuthKey_F6G7H8J9K0.p8"), pair.signing_key.serialize_pem()),
        (folder.join("other.key"), other.signing_key.serialize_pem()),
        (folder.join("expired.crt"), expired.pem()),
        (folder.join("soon.crt"), soon.pem()),
        (folder.join("early.crt"), early.pem()),
        (folder.join("passphrase.key"), pem("ENCRYPTED PRIVATE KEY")),
        (folder.join("damaged.key"), pem("PRIVATE KEY")),
        (folder.join("service-account.json"), service_account("service_account")),
        (folder.join("user-key.json"), service_account("authorized_user")),
        (folder.join("style.css"), "body { color: red }".to_owned()),
        (folder.join("evil.css"), "</style><script>".to_owned()),
        (folder.join("logo.svg"), "<svg/>".to_owned()),
        (folder.join("logo.gif"), "GIF89a".to_owned()),
        (folder.join("staff.txt"), "# staff\nada@example.com\n".to_owned()),
        (folder.join("none.txt"), "# none yet\n".to_owned()),
        (folder.join("secret.txt"), "s3cr3t\n".to_owned()),
        (folder.join("token.jwt"), "e30.e30.c2ln\n".to_owned()),
        // {"exp":1}
        (folder.join("old.jwt"), "e30.eyJleHAiOjF9.c2ln\n".to_owned()),
        ("/run/message".into(), "hello\n".to_owned()),
        (name.into(), text.to_owned()),
    ];
    let variables = [
        ("CLIENT_SECRET", "s3cr3t"),
        ("SESSION_SECRET", "ssssssssssssssssssssssssssssssss"),
        ("ADMIN_TOKEN", "tttttttttttttttttttttttttttttttt"),
        ("SECRET_IN_WRONG_PLACE", "s3cr3t"),
        ("SHORT_SECRET", "s3cr3t"),
        ("LONG_SECRET", "ssssssssssssssssssssssssssssssss"),
        ("REDIS_PASSWORD", "s3cr3t"),
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

fn read(file: &str) -> String {
    String::from_utf8(HostEnv::system().read(&root().join(file)).unwrap()).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
