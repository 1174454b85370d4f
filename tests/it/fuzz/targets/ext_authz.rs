//! The message of an external authorization call, by an Envoy whose visitor is not signed in.
//! Invariants: every message gets a decision; one that allows is about a request that the visitor may send in
//! whichever way the application reads its path; and every spelling of an identity header in it is removed.

use portcullis::grpc::CheckRequest;
use prost::Message;

use super::access::{ROUTES, Visitor, expected};
use super::upstreams::MODELS;
use super::wire::InProcessStack;

/// Takes a message.
pub fn run(data: &[u8]) {
    let request = CheckRequest::decode(data);
    if let Ok(request) = &request {
        let plain = |name: &str| !name.starts_with(':') && name == name.to_ascii_lowercase();
        assert!(request.fields.iter().all(|(name, _)| plain(name)), "{request:?}");
    }
    if data.len() > LONGEST {
        return;
    }
    let answer = STACK.with(|stack| stack.call(CHECK, data));
    let response = CheckResponse::decode(&*answer).unwrap();
    match (response.status.unwrap_or_default().code, response.ok, response.denied) {
        (0, Some(allowed), None) => allows(&allowed, &request.unwrap()),
        (7 | 16, None, Some(denied)) => {
            let status = denied.status.as_ref().map_or(0, |status| status.code);
            assert!(matches!(status, 302 | 401 | 403), "{status}");
            let mut names = denied.headers.iter().map(HeaderValueOption::name);
            assert!(!names.any(|name| matches!(name, "cookie" | "set-cookie")), "{denied:?}");
        }
        other => panic!("{other:?}"),
    }
}

fn allows(allowed: &Allowed, request: &CheckRequest) {
    let method = request.method.parse().unwrap_or_default();
    let path = request.path.split('?').next().unwrap_or_default();
    for (name, model, folds) in MODELS {
        let Some(read) = model(path) else { continue };
        let may = expected(&read, *folds, &method, Visitor::Stranger);
        assert!(may, "{request:?}: an application that {name} reads {read}");
    }
    let host = request.host.split(':').next().unwrap_or_default().trim_end_matches('.');
    assert!(host.eq_ignore_ascii_case("app.example.com"), "{request:?}");
    let set: Vec<_> = allowed.headers.iter().map(HeaderValueOption::name).collect();
    assert!(set.iter().all(|name| *name == "cookie"), "{set:?} for a visitor without session");
    let folded = |name: &str| name.replace(|byte: char| !byte.is_ascii_alphanumeric(), "-");
    for (name, _) in &request.fields {
        let folded = folded(name);
        let identifies = IDENTITY.contains(&&*folded) || folded.starts_with("x-auth-request-");
        assert!(!identifies || allowed.headers_to_remove.contains(name), "{name} passes");
    }
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    ok: Option<Allowed>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
}

#[derive(Clone, PartialEq, Message)]
struct Allowed {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<Field>,
}

#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "1")]
    key: String,
}

impl HeaderValueOption {
    fn name(&self) -> &str {
        self.header.as_ref().map_or("", |header| &header.key)
    }
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const IDENTITY: [&str; 6] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-provider",
    "x-forwarded-access-token",
];
/// What fits into the window of a connection that has just begun.
const LONGEST: usize = 60_000;

thread_local! {
    static STACK: InProcessStack = InProcessStack::start(&format!(
        "server: {{ listen: LISTEN, public_url: https://app.example.com, forward_auth: {{ \
         clients: [{{ from: [unix], proxy: envoy }}] }} }}\nadmin: {{ listen: \"off\" }}\n\
         telemetry: {{ access_log: false }}\n{ROUTES}"
    ));
}
