//! The bytes that a client without a session sends on a connection.
//! Invariants: the application receives only requests that it may receive in whichever way it reads their path;
//! their targets stand in what was sent, byte for byte; their framing is beyond doubt; and no field in them says
//! who the client is, or where it comes from, but by the gateway's word.

use http::Method;

use super::access::{ROUTES, Visitor, expected};
use super::upstreams::MODELS;
use super::wire::InProcessStack;

/// Takes all that is sent.
pub fn run(data: &[u8]) {
    STACK.with(|stack| {
        let exchange = stack.exchange(data);
        for head in &exchange.received {
            may_be_received(head, data);
        }
        let answer = exchange.answer.as_slice();
        let is_answer = answer.is_empty() || answer.starts_with(b"HTTP/1.");
        // Or HTTP/2, which begins with SETTINGS.
        assert!(is_answer || answer.get(3) == Some(&4), "{}", String::from_utf8_lossy(answer));
        let answered = String::from_utf8_lossy(answer);
        assert!(!answered.contains("HTTP/1.1 500"), "{answered}");
    });
}

fn may_be_received(head: &str, sent: &[u8]) {
    let (line, fields) = head.split_once("\r\n").unwrap();
    let [method, target, "HTTP/1.1"] = *line.split(' ').collect::<Vec<_>>() else {
        panic!("{line:?} is not a request line")
    };
    let path = target.split('?').next().unwrap_or_default();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    for (name, model, folds) in MODELS {
        let Some(read) = model(path) else { continue };
        let may = expected(&read, *folds, &method, Visitor::Stranger);
        assert!(may, "{line}: an application that {name} reads {read}");
    }
    // HTTP/2 compresses it.
    let is_there = sent.windows(target.len()).any(|part| part == target.as_bytes());
    assert!(is_there || sent.starts_with(b"PRI "), "{target} was not sent");
    fields_are_ours(fields);
}

fn fields_are_ours(fields: &str) {
    let fields: Vec<(String, &str)> = fields
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let values = |wanted: &str| -> Vec<&str> {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| *value).collect()
    };
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    assert!(fields.iter().all(|(name, _)| plain(name)), "{fields:?}");
    assert_eq!(values("host"), values("x-forwarded-host"), "{fields:?}");
    let [host] = *values("host") else { panic!("{fields:?} has not one host") };
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    assert!(name.eq_ignore_ascii_case("app.example.com"), "{fields:?}");
    assert_eq!(values("x-forwarded-for"), ["unknown"], "{fields:?}");
    assert_eq!(values("x-forwarded-proto"), ["https"], "{fields:?}");
    let lengths = (values("transfer-encoding"), values("content-length"));
    match (lengths.0.as_slice(), lengths.1.as_slice()) {
        ([], []) | (["chunked"], []) => {}
        ([], [length]) => assert!(length.parse::<u64>().is_ok(), "{fields:?}"),
        _ => panic!("{fields:?} has two lengths"),
    }
    for name in NEVER {
        assert!(values(name).is_empty(), "{name} arrives: {fields:?}");
    }
    let forged = |name: &str| {
        let known =
            ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"];
        (name.starts_with("x-forwarded-") && !known.contains(&name))
            || name.starts_with("x-auth-request-")
            || name.starts_with("x-original-")
            || name.starts_with("x-rewrite-")
            || name.starts_with("x-envoy-")
    };
    assert!(!fields.iter().any(|(name, _)| forged(name)), "{fields:?}");
    let ours = |pair: &str| {
        pair.split_once('=').is_some_and(|(name, _)| OURS.contains(&name.trim_matches([' ', '\t'])))
    };
    assert!(!values("cookie").iter().any(|value| value.split(';').any(ours)), "{fields:?}");
}

thread_local! {
    static STACK: InProcessStack = InProcessStack::start(&format!(
        "server: {{ listen: LISTEN, public_url: https://app.example.com }}\nadmin: {{ listen: \"off\" }}\n\
         telemetry: {{ access_log: false }}\n{}",
        ROUTES.replace("https://id.example.com", "https://id.invalid")
    ));
}

/// The gateway's cookies.
const OURS: [&str; 3] =
    ["__Host-portcullis", "__Host-portcullis-login", "__Host-portcullis-login-target"];

/// Fields that would tell the application something in the gateway's name, or belong to one connection.
const NEVER: [&str; 16] = [
    "x-real-ip",
    "true-client-ip",
    "forwarded",
    "remote-user",
    "remote-groups",
    "remote-email",
    "x-remote-user",
    "x-webauth-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-access-token",
    "x-original-url",
    "x-rewrite-url",
    "keep-alive",
    "proxy-connection",
    "te",
];
