//! Who asks, by which scheme and host: the connection's own word, or that of a trusted proxy.
//! Invariant: `X-Forwarded-*` of a peer that is not trusted changes nothing, `Forwarded` is never read, and
//! addresses are compared and shown with IPv4-mapped IPv6 unmapped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::authority::Authority;
use super::deadlines::Pulse;
use super::framing::Flaw;
use super::request_id::RequestId;
use super::shutdown::Tasks;
use super::{Scheme, TrustedProxies};
use crate::origin::Origin;
use crate::telemetry::audit;
use crate::telemetry::metrics::RouteMeter;

/// Who is at the other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address, unmapped.
    Ip(IpAddr),
    /// A process on this machine, by a unix socket.
    Unix,
}

/// What holds for a whole connection, made once.
#[derive(Debug)]
pub(super) struct Connected {
    peer: Peer,
    /// The peer as `X-Forwarded-For` names it.
    peer_text: HeaderValue,
    trusted: bool,
    /// What the connection itself says; without TLS, what `public_url` says.
    scheme: Scheme,
    /// The networks, kept only where they are needed.
    proxies: Option<Arc<TrustedProxies>>,
    pulse: Pulse,
    tasks: Tasks,
}

impl Connected {
    pub(super) fn new(
        peer: Peer,
        scheme: Scheme,
        proxies: &Arc<TrustedProxies>,
        tasks: Tasks,
    ) -> Self {
        let (trusted, peer_text) = match peer {
            Peer::Ip(address) => (
                proxies.contains(address),
                HeaderValue::try_from(address.to_string()).unwrap_or(UNKNOWN),
            ),
            Peer::Unix => (proxies.unix, UNKNOWN),
        };
        let proxies = trusted.then(|| Arc::clone(proxies));
        let pulse = Pulse::new(Instant::now());
        Self { peer, peer_text, trusted, scheme, proxies, pulse, tasks }
    }

    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The peer's address as text.
    pub(super) fn text(&self) -> HeaderValue {
        self.peer_text.clone()
    }

    /// The peer's address; a unix peer has none, which `0.0.0.0` stands for.
    pub(super) fn address(&self) -> IpAddr {
        match self.peer {
            Peer::Ip(address) => address,
            Peer::Unix => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

/// Who asked, and how the request reached the first proxy that is ours.
#[derive(Clone, Debug)]
pub struct Client {
    connected: Arc<Connected>,
    address: IpAddr,
    scheme: Scheme,
    authority: Authority,
    /// Set where a trusted proxy sent a chain: the chain and the peer.
    chain: Option<HeaderValue>,
    request_id: RequestId,
    route: OnceLock<&'static RouteMeter>,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const UNKNOWN: HeaderValue = HeaderValue::from_static("unknown");

impl Client {
    /// Reads the forwarding fields of a trusted peer; of others, nothing.
    pub(super) fn of(
        connected: Arc<Connected>,
        authority: Authority,
        headers: &HeaderMap,
        request_id: RequestId,
    ) -> Result<Self, Flaw> {
        let (address, scheme, route) = (connected.address(), connected.scheme, OnceLock::new());
        let mut client =
            Self { connected, address, scheme, authority, chain: None, request_id, route };
        if let Some(proxies) = client.connected.proxies.clone() {
            client.believe(&proxies, headers)?;
        }
        Ok(client)
    }

    /// A client without a proxy before it, for the tests of other rooms.
    #[cfg(test)]
    pub(crate) fn direct(address: IpAddr, scheme: Scheme, authority: &'static str) -> Self {
        let (nobody, peer) = (Arc::default(), Peer::Ip(address));
        let connected = Arc::new(Connected::new(peer, scheme, &nobody, Tasks::default()));
        let authority = Authority::parse(HeaderValue::from_static(authority)).unwrap();
        let request_id = RequestId::of(0, 0);
        let route = OnceLock::new();
        Self { connected, address, scheme, authority, chain: None, request_id, route }
    }

    fn believe(&mut self, proxies: &TrustedProxies, headers: &HeaderMap) -> Result<(), Flaw> {
        if let Some(proto) = the_one(headers, &FORWARDED_PROTO)? {
            let proto = str::from_utf8(proto).unwrap_or_default();
            self.scheme = Scheme::forwarded(proto).unwrap_or(self.scheme);
        }
        if let Some(host) = the_one(headers, &FORWARDED_HOST)?
            && let Some(authority) = HeaderValue::from_bytes(host).ok().and_then(Authority::parse)
        {
            self.authority = authority;
        }
        if headers.contains_key(&FORWARDED_FOR) {
            self.address = nearest_stranger(proxies, headers).unwrap_or(self.address);
            self.chain = chain(headers, &self.connected);
        }
        Ok(())
    }

    /// The same client, at the origin that a trusted proxy names in a field of its own.
    #[must_use]
    pub fn at(self, scheme: Scheme, authority: Authority) -> Self {
        Self { scheme, authority, ..self }
    }

    /// Who is at the other end of the socket.
    pub fn peer(&self) -> Peer {
        self.connected.peer
    }

    /// Whether the peer is a trusted proxy.
    pub fn is_trusted(&self) -> bool {
        self.connected.trusted
    }

    /// The effective address: the right-most of the chain that is no trusted proxy, else the peer's.
    /// For a unix peer that names nobody `0.0.0.0`.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The effective scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The effective host without port; an IPv6 address stands in brackets. Compare without case.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The effective host and port, as written.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Where a browser is that asks so: the effective scheme, host and port in normal form.
    // Compared as values: behind `$host:$server_port` a default port is written that no browser writes.
    pub fn origin(&self) -> Origin {
        let https = self.scheme == Scheme::Https;
        Origin::of_host(https, self.authority.host(), self.authority.port())
    }

    /// The port, written or by the scheme: `X-Forwarded-Port`.
    pub fn port(&self) -> u16 {
        self.authority.port().unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// The request's name.
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The request, as the audit log tells of it.
    pub fn for_audit(&self) -> audit::Asked<'_> {
        audit::Asked { client: self.address, request_id: self.request_id.as_str() }
    }

    /// Notes the route of the request, for the log of a client that leaves before its answer.
    pub fn routed(&self, route: &'static RouteMeter) {
        // The first one found counts.
        let (Ok(()) | Err(_)) = self.route.set(route);
    }

    pub(super) fn route(&self) -> Option<&'static RouteMeter> {
        self.route.get().copied()
    }

    /// What the upstream is told in `X-Forwarded-For`: a trusted proxy's chain and the peer, else the peer.
    pub fn forwarded_for(&self) -> HeaderValue {
        self.chain.as_ref().unwrap_or(&self.connected.peer_text).clone()
    }

    /// What the upstream is told in `X-Real-IP`: the effective address.
    pub fn real_ip(&self) -> HeaderValue {
        if self.address == self.connected.address() {
            return self.connected.peer_text.clone();
        }
        HeaderValue::try_from(self.address.to_string()).unwrap_or(UNKNOWN)
    }

    pub(super) fn tasks(&self) -> &Tasks {
        self.connected.tasks()
    }
}

/// The one value of a field, which may be listed more than once if it stays the same.
// SECURITY: two answers to the question which host was asked are one too many: one of them is the client's.
fn the_one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Flaw> {
    let mut fields = headers.get_all(name).iter();
    let Some(first) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Flaw::Forwarded);
    }
    let mut entries = first.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let entry = entries.next().unwrap_or_default();
    if entries.any(|other| other != entry) {
        return Err(Flaw::Forwarded);
    }
    Ok(Some(entry))
}

/// The right-most entry that is no trusted proxy; the left-most where all are.
/// An entry that is no address ends the search without a result: what stands left of it is anybody's word.
fn nearest_stranger(proxies: &TrustedProxies, headers: &HeaderMap) -> Option<IpAddr> {
    let mut nearest = None;
    for field in headers.get_all(FORWARDED_FOR).iter().rev() {
        for entry in field.to_str().ok()?.rsplit(',') {
            let address = address(entry.trim())?;
            nearest = Some(address);
            if !proxies.contains(address) {
                return nearest;
            }
        }
    }
    nearest
}

/// An address, alone or with the port that some load balancers add.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = match bare.parse() {
        Ok(address) => address,
        Err(_) => entry.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

/// All fields as one list, with the peer behind it.
fn chain(headers: &HeaderMap, connected: &Connected) -> Option<HeaderValue> {
    let mut chain = Vec::with_capacity(64);
    for field in headers.get_all(FORWARDED_FOR) {
        chain.extend_from_slice(field.as_bytes());
        chain.extend_from_slice(if field.is_empty() { b"" } else { b", " });
    }
    if chain.is_empty() {
        return None;
    }
    match connected.peer {
        Peer::Ip(_) => chain.extend_from_slice(connected.peer_text.as_bytes()),
        // The proxy is on this machine and has no address to add.
        Peer::Unix => chain.truncate(chain.len().saturating_sub(2)),
    }
    HeaderValue::from_maybe_shared(Bytes::from(chain)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: Peer, fields: &[(&'static str, &'static str)]) -> Result<Client, Flaw> {
        let networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let proxies = Arc::new(TrustedProxies { networks, unix: true });
        let connected = Connected::new(peer, Scheme::Http, &proxies, Tasks::default());
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let authority = Authority::parse(HeaderValue::from_static("own.example:8080")).unwrap();
        Client::of(Arc::new(connected), authority, &headers, RequestId::of(1, 1))
    }

    fn proxy() -> Peer {
        Peer::Ip("10.0.0.1".parse().unwrap())
    }

    fn stranger() -> Peer {
        Peer::Ip("192.0.2.9".parse().unwrap())
    }

    #[track_caller]
    fn check(peer: Peer, chain: &'static str, address: &str, forwarded: &str) {
        let client = client(peer, &[("x-forwarded-for", chain)]).unwrap();
        assert_eq!(client.address().to_string(), address, "{chain}");
        assert_eq!(client.forwarded_for(), forwarded, "{chain}");
    }

    #[test]
    fn the_right_most_entry_that_is_not_trusted_is_the_client() {
        check(proxy(), "198.51.100.1", "198.51.100.1", "198.51.100.1, 10.0.0.1");
        check(
            proxy(),
            "1.1.1.1, 198.51.100.1, 10.2.3.4",
            "198.51.100.1",
            "1.1.1.1, 198.51.100.1, 10.2.3.4, 10.0.0.1",
        );
        check(proxy(), "10.9.9.9, 10.2.3.4", "10.9.9.9", "10.9.9.9, 10.2.3.4, 10.0.0.1");
        check(proxy(), "::ffff:198.51.100.1", "198.51.100.1", "::ffff:198.51.100.1, 10.0.0.1");
        check(proxy(), "2001:db8::1", "2001:db8::1", "2001:db8::1, 10.0.0.1");
        check(proxy(), "198.51.100.1:4711", "198.51.100.1", "198.51.100.1:4711, 10.0.0.1");
        check(proxy(), "[2001:db8::1]:4711", "2001:db8::1", "[2001:db8::1]:4711, 10.0.0.1");
        check(Peer::Unix, "198.51.100.1", "198.51.100.1", "198.51.100.1");
    }

    #[test]
    fn an_entry_that_is_no_address_leaves_the_peer() {
        check(proxy(), "198.51.100.1, unknown", "10.0.0.1", "198.51.100.1, unknown, 10.0.0.1");
        check(proxy(), "", "10.0.0.1", "10.0.0.1");
    }

    #[test]
    fn strangers_are_not_believed() {
        check(stranger(), "10.0.0.5", "192.0.2.9", "192.0.2.9");
        let fields = [("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example")];
        let client = client(stranger(), &fields).unwrap();
        assert_eq!(
            (client.scheme(), client.host(), client.port()),
            (Scheme::Http, "own.example", 8080)
        );
        assert!(!client.is_trusted());
    }

    #[test]
    fn a_mapped_peer_is_its_ipv4_self() {
        let proxies =
            Arc::new(TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], unix: false });
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let peer = Peer::Ip(mapped.to_canonical());
        assert!(Connected::new(peer, Scheme::Http, &proxies, Tasks::default()).is_trusted());
    }

    #[test]
    fn trusted_scheme_and_host_are_effective() {
        let fields = [("x-forwarded-proto", "https"), ("x-forwarded-host", "App.Example")];
        let told = client(proxy(), &fields).unwrap();
        assert_eq!((told.scheme(), told.host(), told.port()), (Scheme::Https, "App.Example", 443));
        let wrong =
            [("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a@b"), ("forwarded", "host=x")];
        let told = client(proxy(), &wrong).unwrap();
        assert_eq!((told.scheme(), told.host()), (Scheme::Http, "own.example"));
        for https in ["https, https", "HTTPS", "wss"] {
            let told = client(proxy(), &[("x-forwarded-proto", https)]).unwrap();
            assert_eq!(told.scheme(), Scheme::Https, "{https}");
        }
    }

    #[test]
    fn disagreeing_fields_of_a_trusted_proxy_are_refused() {
        for name in ["x-forwarded-proto", "x-forwarded-host"] {
            assert_eq!(
                client(proxy(), &[(name, "http"), (name, "https")]).err(),
                Some(Flaw::Forwarded)
            );
            assert_eq!(client(proxy(), &[(name, "https, http")]).err(), Some(Flaw::Forwarded));
        }
        // Proxies add to the chain by a field of their own.
        let two = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "10.1.1.1")];
        let client = client(proxy(), &two).unwrap();
        assert_eq!(client.address().to_string(), "198.51.100.1");
        assert_eq!(client.forwarded_for(), "198.51.100.1, 10.1.1.1, 10.0.0.1");
    }

    #[test]
    fn the_port_is_written_or_by_scheme() {
        let address = "192.0.2.9".parse().unwrap();
        assert_eq!(Client::direct(address, Scheme::Https, "a.example").port(), 443);
        assert_eq!(Client::direct(address, Scheme::Http, "a.example").port(), 80);
        assert_eq!(Client::direct(address, Scheme::Http, "a.example:8080").port(), 8080);
    }

    #[test]
    fn the_real_ip_is_the_effective_address() {
        assert_eq!(client(stranger(), &[]).unwrap().real_ip(), "192.0.2.9");
        let told = client(proxy(), &[("x-forwarded-for", "198.51.100.1")]).unwrap();
        assert_eq!(told.real_ip(), "198.51.100.1");
    }
}
