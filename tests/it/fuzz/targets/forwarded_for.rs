//! The chain of `X-Forwarded-For` behind a trusted proxy.
//! Invariants: the client is the right-most entry that is not trusted, and unknown where an entry that is no
//! address stands before it; what stands to its left changes nothing; the application receives the same address
//! that the rules use.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderValue;
use ipnet::IpNet;

use super::wire::InProcessStack;

/// Takes fields, one a line.
pub fn run(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let fits = |line: &&[u8]| HeaderValue::from_bytes(line).is_ok();
    if lines.len() > 8 || !lines.iter().all(fits) {
        return;
    }
    let client = client(&lines);
    upstream_receives(&lines, client);
    decided(&lines, client);
    if client.is_some() && lines.len() < 8 {
        // SECURITY: what a client sends itself stands to the left (T36).
        let left = [&b"198.51.100.7"[..]].into_iter().chain(lines.iter().copied());
        let left: Vec<&[u8]> = left.collect();
        if self::client(&left) == client {
            decided(&left, client);
        } else {
            let all_trusted = client.is_some_and(is_trusted);
            assert!(all_trusted, "an entry to the left of the client is taken");
        }
    }
}

/// The address that the application receives.
fn upstream_receives(lines: &[&[u8]], client: Option<IpAddr>) {
    STACK.with(|stack| {
        let received = stack.exchange(&request("/open", lines)).received;
        let [head] = received.as_slice() else { panic!("{received:?} is not one request") };
        let field = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.map(|line| line[name.len()..].trim().to_owned())
        };
        let real_ip = field("x-real-ip:");
        assert_eq!(real_ip, client.map(|client| client.to_string()), "{head}");
    });
}

/// What a rule about addresses says.
fn decided(lines: &[&[u8]], client: Option<IpAddr>) {
    STACK.with(|stack| {
        let exchange = stack.exchange(&request("/net", lines));
        let opens = client.is_some_and(|client| is_in(&OPENS, client));
        assert_eq!(!exchange.received.is_empty(), opens, "{client:?}");
        let status: &[u8] = if opens { b"HTTP/1.1 200" } else { b"HTTP/1.1 403" };
        let answer = String::from_utf8_lossy(&exchange.answer);
        assert!(exchange.answer.starts_with(status), "{client:?}: {answer}");
    });
}

/// The chain, entry by entry from the right.
fn client(lines: &[&[u8]]) -> Option<IpAddr> {
    let chain: Vec<u8> = lines.join(&b","[..]);
    let mut client = None;
    for entry in chain.split(|byte| *byte == b',').rev() {
        let address = address(str::from_utf8(entry).ok()?.trim_matches([' ', '\t']))?;
        client = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address, with or without a port; IPv6 without one may be in brackets, too.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(with_port).or_else(|| bracketed().map(IpAddr::V6));
    address.map(|address| address.to_canonical())
}

fn is_trusted(address: IpAddr) -> bool {
    is_in(&TRUSTED, address)
}

fn is_in(networks: &[&str], address: IpAddr) -> bool {
    networks.iter().any(|text| text.parse::<IpNet>().unwrap().contains(&address))
}

fn request(path: &str, lines: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: app.example.com\r\n").into_bytes();
    for line in lines {
        request.extend_from_slice(b"X-Forwarded-For: ");
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

thread_local! {
    static STACK: InProcessStack = InProcessStack::start(
        "
server: { listen: LISTEN, public_url: https://app.example.com, trusted_proxies: [unix, 10.0.0.0/8, fd00::/8] }
admin: { listen: \"off\" }
telemetry: { access_log: false }
routes:
  - { path: /open, upstream: UPSTREAM, allow: public }
  - { path: /net, upstream: UPSTREAM, allow: [{ public: true, client_addresses: [198.51.100.0/24, 2001:db8::/32] }] }
",
    );
}

/// As in the configuration.
const TRUSTED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];
const OPENS: [&str; 2] = ["198.51.100.0/24", "2001:db8::/32"];
