//! The configuration file, any text, with variables and files that hold secrets.
//! Invariants: it is accepted or rejected with an error, never a panic; a finding is one line that a terminal can
//! show, with a line of the file; it never contains a secret; nothing is public that the text
//! does not call so.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use portcullis::config::{Config, HostEnv, Problem, Problems, Severity, load};
use portcullis::policy::Policy;
use serde_json::Value;

/// Takes the text of `portcullis.yaml`.
pub fn run(data: &[u8]) {
    let said = said(data, Secrets::Ones);
    let text = String::from_utf8_lossy(data);
    let lower = text.to_lowercase();
    if let Ok((config, _)) = &said {
        nothing_is_public_by_itself(config, &text);
    }
    let findings = findings(&said);
    let rejected = findings.iter().any(|one| one.severity == Severity::Error);
    assert_eq!(rejected, said.is_err());
    for problem in findings {
        readable(problem, &text);
        let shown = problem.to_string().to_lowercase();
        for canary in CANARIES.iter().filter(|canary| !lower.contains(*canary)) {
            assert!(!shown.contains(canary), "a secret is printed: {shown}");
        }
    }
    if CANARIES.iter().all(|canary| !lower.contains(canary)) {
        let others = self::said(data, Secrets::Others);
        assert_eq!(texts(&said), texts(&others), "findings tell one secret from another");
    }
    written_secrets_are_not_printed(&said, &text);
}

type Said = Result<(Config, Vec<Problem>), Problems>;

fn said(text: &[u8], secrets: Secrets) -> Said {
    load(Path::new(FILE), &source(text, secrets))
}

fn findings(said: &Said) -> &[Problem] {
    match said {
        Ok((_, warnings)) => warnings,
        Err(Problems(problems)) => problems,
    }
}

fn texts(said: &Said) -> Vec<String> {
    findings(said).iter().map(Problem::to_string).collect()
}

fn readable(problem: &Problem, text: &str) {
    // YAML ends lines with a carriage return, too.
    let breaks = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    let line = problem.line.unwrap_or(1);
    // One more where the end is what is wrong.
    assert!((1..=breaks + 2).contains(&line), "{problem}");
    for part in [problem.sentence(), problem.hint.clone().unwrap_or_default()] {
        assert!(!part.chars().any(char::is_control), "{part:?}");
    }
    assert!(!problem.message.is_empty());
    let object = problem.to_json();
    assert_eq!(object["message"], problem.message.as_str());
}

/// `public` has to be one of the words of the text.
fn nothing_is_public_by_itself(config: &Config, text: &str) {
    assert!(!config.routes.is_empty());
    let may_say_it_otherwise = text.contains(['\\', '$']);
    let says = text.replace("public_url", "").contains("public");
    for route in &config.routes {
        let public = match &route.allow {
            Policy::Public => true,
            Policy::Authenticated => false,
            Policy::Rules(rules) => {
                assert!(!rules.is_empty());
                rules.iter().any(|rule| rule.public)
            }
        };
        assert!(!public || says || may_say_it_otherwise, "{} is public by itself", route.name);
    }
}

/// A secret that stands in the file is not printed more often than any other text in its place would be.
fn written_secrets_are_not_printed(said: &Said, text: &str) {
    let Ok(document) = serde_yaml::from_str::<Value>(text) else { return };
    let mut secrets = Vec::new();
    collect(&document, false, &mut secrets);
    secrets.retain(|secret| secret.len() > 7 && secret.bytes().all(|b| b.is_ascii_alphanumeric()));
    for secret in secrets {
        // Letter for letter, so that it has the same shape.
        let other: String = secret.chars().map(turned).collect();
        let replaced = self::said(text.replace(&secret, &other).as_bytes(), Secrets::Ones);
        let printed = |said: &Said| texts(said).concat().matches(&secret).count();
        // In the file it may be the name of a key, too.
        let elsewhere = text.matches(&secret).count() > 1;
        assert!(elsewhere || printed(said) <= printed(&replaced), "{secret} is printed");
    }
}

/// The texts under keys that hold secrets.
fn collect(value: &Value, is_secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret => found.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|one| collect(one, is_secret, found)),
        Value::Object(members) => {
            for (name, value) in members {
                let is_secret = matches!(name.as_str(), "client_secret" | "secret" | "key");
                collect(value, is_secret, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn turned(letter: char) -> char {
    match letter {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from(letter as u8 + 1),
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        other => other,
    }
}

/// Which secrets the variables and files hold; both kinds have the same shapes.
#[derive(Clone, Copy)]
enum Secrets {
    Ones,
    Others,
}

/// A configuration, variables in the shapes that parsers look for, and files.
fn source(text: &[u8], secrets: Secrets) -> HostEnv {
    let [one, other] = CANARIES;
    let canary = match secrets {
        Secrets::Ones => one,
        Secrets::Others => other,
    };
    let filled = |shape: &str| shape.replace('@', canary);
    let variables = SHAPES.iter().enumerate().map(|(at, shape)| (format!("X{at}"), filled(shape)));
    let files = [
        (FILE, text.to_vec()),
        ("secret.txt", filled("@@@@@@@@@\n").into_bytes()),
        ("tls.crt", pair().0.clone().into_bytes()),
        ("tls.key", pair().1.clone().into_bytes()),
        ("damaged.key", filled(DAMAGED).into_bytes()),
        ("style.css", filled("body { color: @ }").into_bytes()),
        ("evil.css", filled("</style><script>@").into_bytes()),
        ("logo.svg", filled("<svg>@</svg>").into_bytes()),
    ];
    HostEnv::fixed(files.map(|(name, content)| (PathBuf::from(name), content)), variables)
}

/// A certificate and its key, in PEM.
fn pair() -> &'static (String, String) {
    static PAIR: OnceLock<(String, String)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let names = ["wiki.example.com".to_owned()];
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    })
}

const FILE: &str = "portcullis.yaml";

/// Texts that no parser makes of anything else; of one length, and in one order with all that is near them.
const CANARIES: [&str; 2] = ["c4n4rybird", "c4n4rysong"];

/// `@` stands for the secret.
const SHAPES: [&str; 16] = [
    "@",
    "@@@@",
    "@:1",
    "@://@",
    "http://@/@",
    "https://@.example",
    "https://u:@:@example.com/",
    "@.example",
    ".@.example",
    "*.@.example",
    "/run/@.svg",
    "^/@/",
    "/oauth2/@",
    "12@",
    "[@]",
    "{ @: @ }",
];

const DAMAGED: &str = "-----BEGIN PRIVATE KEY-----\n@\n-----END PRIVATE KEY-----\n";
