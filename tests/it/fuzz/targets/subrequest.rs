//! Auth subrequests: those of a declared proxy, for the request of a visitor who adds headers of any kind.
//! Invariants: no header that a visitor adds turns a denial into an allowing answer, not even if the proxy's
//! operator forgot one of the lines that overwrite them; an answer that allows a visitor without session has no
//! identity; and a denial shows no cookie.

use std::cell::RefCell;
use std::collections::HashMap;

use http::{HeaderName, HeaderValue};

use super::access::ROUTES;
use super::wire::InProcessStack;

/// Takes four characters that choose proxy, forgotten header, page and endpoint, and fields, one a line.
pub fn run(data: &[u8]) {
    let [proxy, forgotten, page, endpoint, b'\n', fields @ ..] = data else { return };
    let choose = |byte: &u8, count: usize| usize::from(byte.wrapping_sub(b'0')) % count;
    let proxy = &PROXIES[choose(proxy, PROXIES.len())];
    let forgotten = [None, proxy.method, proxy.scheme, Some(CHAIN)][choose(forgotten, 4)];
    let page = &PAGES[choose(page, PAGES.len())];
    let endpoint = ["auth", "forward_auth"][choose(endpoint, 2)];
    let subrequest = Subrequest { proxy, forgotten, page, endpoint };
    let added: Vec<&[u8]> = fields
        .split(|byte| *byte == b'\n')
        .filter(|line| subrequest.passes_on(line))
        .take(16)
        .collect();
    STACKS.with_borrow_mut(|stacks| {
        let stack = stacks.entry((proxy.name, forgotten)).or_insert_with(|| subrequest.stack());
        let without = is_allowed(stack, &subrequest.question(&[]));
        // The decision of the routes, if the proxy sets all headers.
        assert!(forgotten.is_some() || without == page.allows, "{subrequest:?}: {without}");
        let with = is_allowed(stack, &subrequest.question(&added));
        assert!(without || !with, "{subrequest:?} is allowed by a header of the visitor");
    });
}

/// An auth subrequest of a proxy.
#[derive(Debug)]
struct Subrequest {
    proxy: &'static Proxy,
    /// The header that the proxy does not set, as its operator forgot it.
    forgotten: Option<&'static str>,
    page: &'static Page,
    endpoint: &'static str,
}

impl Subrequest {
    /// A gateway that declares this proxy, and that has learned which header the proxy never sets.
    fn stack(&self) -> InProcessStack {
        let stack = InProcessStack::start(&format!(
            "server: {{ listen: LISTEN, public_url: https://app.example.com, forward_auth: {{ \
             clients: [{{ from: [unix], proxy: {} }}] }} }}\nadmin: {{ listen: \"off\" }}\n\
             telemetry: {{ access_log: false }}\n{ROUTES}{MORE_ROUTES}",
            self.proxy.name
        ));
        stack.exchange(&self.question(&[]));
        stack
    }

    /// Whether the proxy passes a visitor's field on: one that is well-formed, and that it does not set itself.
    fn passes_on(&self, line: &[u8]) -> bool {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let own = self.fields();
        let replaced = |name: &str| {
            own.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
                || OF_THE_CONNECTION.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        HeaderValue::from_bytes(value).is_ok()
            && HeaderName::from_bytes(name).is_ok_and(|name| !replaced(name.as_str()))
    }

    fn question(&self, added: &[&[u8]]) -> Vec<u8> {
        let (proxy, page) = (self.proxy, self.page);
        let (method, path) =
            if proxy.uri.is_some() { ("GET", "") } else { (page.method, page.path) };
        let host = if proxy.host.is_some() { "app.example.com" } else { page.host };
        let mut question =
            format!("{method} /oauth2/{}{path} HTTP/1.1\r\nHost: {host}\r\n", self.endpoint)
                .into_bytes();
        for (name, value) in self.fields() {
            question.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        for line in added {
            question.extend_from_slice(line);
            question.extend_from_slice(b"\r\n");
        }
        question.extend_from_slice(b"\r\n");
        question
    }

    /// The fields that the proxy sets itself, and which replace those of the visitor.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let (proxy, page) = (self.proxy, self.page);
        let uri = match proxy.uri {
            Some(ABSOLUTE) => format!("https://{}{}", page.host, page.path),
            Some(_) | None => page.path.to_owned(),
        };
        let all = [
            (proxy.uri, uri),
            (proxy.method, page.method.to_owned()),
            (proxy.host, page.host.to_owned()),
            (proxy.scheme, "https".to_owned()),
            (Some(CHAIN), "203.0.113.9".to_owned()),
        ];
        let set = all.into_iter().filter_map(|(name, value)| Some((name?, value)));
        set.filter(|(name, _)| Some(*name) != self.forgotten).collect()
    }
}

/// Whether the gateway allows, in an answer that keeps the rules of all answers.
fn is_allowed(stack: &InProcessStack, question: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(&stack.exchange(question).answer).to_lowercase();
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let lines: Vec<String> = head.lines().map(str::to_owned).collect();
    let status =
        lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    assert!(matches!(&*status, "200" | "202" | "302" | "400" | "401" | "403" | "431"), "{answer}");
    let allows = status.starts_with('2');
    let has = |name: &str| lines.iter().any(|line| line.starts_with(name));
    assert!(!has("set-cookie:"), "{answer}");
    assert!(allows || !has("cookie:"), "a denial shows a cookie: {answer}");
    for name in ["x-forwarded-user:", "x-forwarded-email:", "x-forwarded-groups:"] {
        let values: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix(name)).collect();
        let empty = values.len() == 1 && values[0].trim().is_empty();
        assert!(empty || !allows, "{name} keeps the visitor's value: {answer}");
    }
    let named = lines.iter().filter_map(|line| line.strip_prefix("x-auth-request-"));
    let is_empty =
        |field: &str| field.split_once(':').is_none_or(|(_, value)| value.trim().is_empty());
    assert!(named.into_iter().all(is_empty), "{answer}");
    allows
}

/// Which headers a proxy sets: the table of the auth endpoints.
#[derive(Debug)]
struct Proxy {
    name: &'static str,
    /// `None`: the path of the question.
    uri: Option<&'static str>,
    /// `None`: the question's own.
    method: Option<&'static str>,
    /// `None`: `Host`, or that of an absolute URI.
    host: Option<&'static str>,
    scheme: Option<&'static str>,
}

const PROXIES: [Proxy; 7] = [
    of_nginx("nginx", "X-Original-URI", "X-Original-Method", Some("X-Forwarded-Proto")),
    of_nginx("ingress-nginx", ABSOLUTE, "X-Original-Method", None),
    of_nginx("nginx-gateway-fabric", "Path", "Method", None),
    of_traefik("traefik"),
    of_traefik("caddy"),
    of_traefik("haproxy"),
    Proxy { name: "envoy", uri: None, method: None, host: None, scheme: Some("X-Forwarded-Proto") },
];

const fn of_nginx(
    name: &'static str,
    uri: &'static str,
    method: &'static str,
    scheme: Option<&'static str>,
) -> Proxy {
    Proxy { name, uri: Some(uri), method: Some(method), host: None, scheme }
}

const fn of_traefik(name: &'static str) -> Proxy {
    Proxy {
        name,
        uri: Some("X-Forwarded-Uri"),
        method: Some("X-Forwarded-Method"),
        host: Some("X-Forwarded-Host"),
        scheme: Some("X-Forwarded-Proto"),
    }
}

/// A request of a visitor who is not signed in, from 203.0.113.9.
#[derive(Debug)]
struct Page {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    allows: bool,
}

const PAGES: [Page; 6] = [
    page("GET", "app.example.com", "/private/x?y", false),
    page("POST", "app.example.com", "/read", false),
    page("GET", "app.example.com", "/read", true),
    page("GET", "app.example.com", "/net", false),
    page("GET", "app.example.com", "/", false),
    page("GET", "status.example.com", "/private", true),
];

const fn page(method: &'static str, host: &'static str, path: &'static str, allows: bool) -> Page {
    Page { method, host, path, allows }
}

const MORE_ROUTES: &str = "
  - { path: /net, upstream: UPSTREAM, allow: [{ public: true, client_addresses: [198.51.100.0/24] }] }
  - { host: status.example.com, upstream: UPSTREAM, allow: public }
";

const CHAIN: &str = "X-Forwarded-For";
/// The one that is an absolute URL.
const ABSOLUTE: &str = "X-Original-URL";

/// Fields that no proxy passes on.
const OF_THE_CONNECTION: [&str; 10] = [
    "Host",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Content-Length",
    "Upgrade",
    "Expect",
];

type Stacks = HashMap<(&'static str, Option<&'static str>), InProcessStack>;

thread_local! {
    static STACKS: RefCell<Stacks> = RefCell::default();
}
