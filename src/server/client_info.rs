//! The client of a request: its address, scheme and host, from the connection or from a trusted proxy.
//! Invariant: `X-Forwarded-*` and `client_address_header` of a peer that is not trusted have no effect, `Forwarded` is
//! never read, and an IPv4-mapped IPv6 address counts as its IPv4 address.

use std::any::Any;
use std::mem;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, StatusCode};

use crate::client_address::ClientAddress;
use crate::origin::Origin;
use crate::server::active_settings::ActiveSettings;
use crate::server::authority::Authority;
use crate::server::connection_info::ConnectionInfo;
use crate::server::forwarded_for::{self, ForwardedFor};
use crate::server::open_parts::{OpenParts, RequestBinding};
use crate::server::peer::{Peer, TrustedProxies};
use crate::server::protocol::{ForwardedProto, Scheme};
use crate::server::request_head::{self, HeadError};
use crate::server::request_id::RequestId;
use crate::server::request_line::RequestLine;
#[cfg(test)]
use crate::server::settings::Settings;
use crate::server::settings::{Limits, ListenerKind};
use crate::server::shutdown::Tasks;
use crate::telemetry::audit;
use crate::telemetry::metrics::RouteMeter;

/// The client of a request, and the request's effective scheme and host.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    connected: Arc<ConnectionInfo>,
    address: ClientAddress,
    scheme: Scheme,
    authority: Authority,
    /// The request's own authority, if a trusted proxy forwarded another one.
    requested: Option<Authority>,
    line: RequestLine,
    /// Whether the peer was a trusted proxy when the request arrived.
    trusted: bool,
    /// The chain of a trusted proxy and the peer, if there is a chain.
    chain: Option<HeaderValue>,
    request_id: RequestId,
    route: OnceLock<Arc<RouteMeter>>,
    open_parts: OpenParts,
}

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

impl ClientInfo {
    /// Reads the forwarding fields, if the peer is one of these trusted proxies, which the settings in effect name.
    pub(super) fn of(
        connected: Arc<ConnectionInfo>,
        authority: Authority,
        line: RequestLine,
        headers: &HeaderMap,
        request_id: RequestId,
        (current, proxies): (&ActiveSettings, Option<&TrustedProxies>),
    ) -> Result<Self, HeadError> {
        let (address, scheme) = (connected.peer().address(), connected.scheme(current));
        let open_parts = OpenParts::of(connected.activity());
        let mut client = Self {
            connected,
            address,
            scheme,
            authority,
            requested: None,
            line,
            trusted: proxies.is_some(),
            chain: None,
            request_id,
            route: OnceLock::new(),
            open_parts,
        };
        if let Some(proxies) = proxies {
            client.read_forwarding(current, proxies, headers)?;
        }
        Ok(client)
    }

    /// A client that is connected directly, for tests.
    #[cfg(test)]
    pub(crate) fn direct(
        address: std::net::IpAddr,
        scheme: Scheme,
        authority: &'static str,
    ) -> Self {
        let connected =
            ConnectionInfo::fixed(Peer::Ip(address), scheme, &Settings::listening_nowhere());
        let authority = Authority::parse(HeaderValue::from_static(authority)).unwrap();
        let settings = Arc::clone(connected.settings());
        let (line, id, of) = (RequestLine::default(), RequestId::of(0, 0), (&*settings, None));
        Self::of(connected, authority, line, &HeaderMap::new(), id, of).unwrap()
    }

    /// The same for a peer on a listener of this kind, for tests.
    #[cfg(test)]
    pub(crate) fn at(
        peer: Peer,
        listener: ListenerKind,
        scheme: Scheme,
        authority: HeaderValue,
    ) -> Option<Self> {
        let authority = Authority::parse(authority)?;
        let connected =
            ConnectionInfo::fixed_at(peer, listener, scheme, &Settings::listening_nowhere());
        let settings = Arc::clone(connected.settings());
        let (line, id, of) = (RequestLine::default(), RequestId::of(0, 0), (&*settings, None));
        Self::of(connected, authority, line, &HeaderMap::new(), id, of).ok()
    }

    /// The same with the line of this request, for tests.
    #[cfg(test)]
    pub(crate) fn sending<B>(self, request: &Request<B>) -> Self {
        Self { line: RequestLine::of(request), ..self }
    }

    fn read_forwarding(
        &mut self,
        current: &ActiveSettings,
        proxies: &TrustedProxies,
        headers: &HeaderMap,
    ) -> Result<(), HeadError> {
        let fields = headers.get_all(&FORWARDED_PROTO).iter().map(HeaderValue::as_bytes);
        match ForwardedProto::read(fields) {
            ForwardedProto::Scheme(scheme) => self.scheme = scheme,
            ForwardedProto::Differing => {
                self.scheme = current.context.plain_scheme;
            }
            ForwardedProto::Absent | ForwardedProto::Unknown => {}
        }
        if let Some(host) = forwarded_for::single_value(headers, &FORWARDED_HOST)?
            && let Some(authority) = HeaderValue::from_bytes(host).ok().and_then(Authority::parse)
        {
            self.requested = Some(mem::replace(&mut self.authority, authority));
        }
        let connected = &self.connected;
        let name = &current.address_header;
        let fields = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let address = match ForwardedFor::read(fields, |address| proxies.contains(address)) {
            ForwardedFor::Absent => return Ok(()),
            ForwardedFor::Client(address) | ForwardedFor::AllTrusted(address) => {
                ClientAddress::Known(address)
            }
            ForwardedFor::Invalid => ClientAddress::Unknown,
        };
        // SECURITY: if another field has the address, `X-Forwarded-For` may be the client's own.
        self.chain = forwarded_for::chain(headers, name, connected.peer(), connected.peer_text());
        self.address = address;
        Ok(())
    }

    /// The client of the request that an auth subrequest is about: its address and the origin that it requested. The
    /// rest is the subrequest's, also [`Self::line`].
    #[must_use]
    pub fn of_original(
        &self,
        address: ClientAddress,
        scheme: Scheme,
        authority: Authority,
    ) -> Self {
        // Not from a clone: it would have what is replaced, too.
        Self {
            connected: Arc::clone(&self.connected),
            address,
            scheme,
            authority,
            requested: None,
            line: self.line.clone(),
            trusted: self.trusted,
            chain: self.chain.clone(),
            request_id: self.request_id,
            route: self.route.clone(),
            open_parts: self.open_parts.clone(),
        }
    }

    /// Checks the head of the request that an auth subrequest is about, as if the server had received it. Returns
    /// its authority; the error is the status with which the server rejects such a request.
    pub fn check_original(&self, request: &mut Request<()>) -> Result<Authority, StatusCode> {
        request_head::check(request, self.limits(), |_| false).map_err(HeadError::status)
    }

    /// From the start of the drain until open requests are cut.
    pub fn drain_time(&self) -> Duration {
        self.connected.settings().timeouts.drain
    }

    /// The limits of the connection's requests.
    pub fn limits(&self) -> &Limits {
        &self.connected.settings().limits
    }

    /// The listener that accepted the connection.
    pub fn listener(&self) -> ListenerKind {
        self.connected.listener()
    }

    /// The host and port of the request itself, before `X-Forwarded-Host`.
    pub fn requested_authority(&self) -> &Authority {
        self.requested.as_ref().unwrap_or(&self.authority)
    }

    /// The other end of the socket.
    pub fn peer(&self) -> Peer {
        self.connected.peer()
    }

    /// The scheme that a trusted proxy says, if the proxies in front of it say no other one.
    pub fn forwarded_scheme(&self, headers: &HeaderMap) -> Option<Scheme> {
        let fields = headers.get_all(&FORWARDED_PROTO).iter().map(HeaderValue::as_bytes);
        match ForwardedProto::read(fields) {
            ForwardedProto::Scheme(scheme) => Some(scheme).filter(|_| self.trusted),
            ForwardedProto::Differing | ForwardedProto::Absent | ForwardedProto::Unknown => None,
        }
    }

    /// Whether the client has closed its side of the connection. A browser that does so has left; some API clients
    /// still wait for the response.
    pub fn has_left(&self) -> bool {
        self.connected.activity().is_half_closed()
    }

    /// Whether the peer is a trusted proxy.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Reports a peer that sends the field with the client's address and is not trusted.
    pub fn note_untrusted_chain(&self, headers: &HeaderMap) {
        let connected = &self.connected;
        if !self.trusted
            && !connected.has_noted_chain()
            && headers.contains_key(&connected.settings().address_header)
        {
            connected.note_untrusted_chain();
        }
    }

    /// Counts the connections to upstreams that requests of this connection hold.
    pub fn upstream_connections(&self) -> &Arc<AtomicUsize> {
        self.connected.upstream_connections()
    }

    /// The value that is kept for this connection, if there is one.
    pub fn attached<T: Any>(&self) -> Option<&T> {
        self.connected.attached().get()
    }

    /// The value that is kept for this connection, made if it does not exist. It is dropped with the connection.
    pub fn attach<T: Any + Send + Sync + Default>(&self) -> Option<&T> {
        self.connected.attached().get_or_default()
    }

    /// The effective address: the right-most entry of a trusted proxy's chain that is not a trusted proxy;
    /// without a chain, the peer's.
    pub fn address(&self) -> ClientAddress {
        self.address
    }

    /// The effective scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The effective host without port; an IPv6 address is in brackets. Compare case-insensitively.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The effective host and port in their original spelling.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The effective origin: scheme, host and port, normalized.
    // Normalized, because `$host:$server_port` of nginx writes a default port, which browsers leave out.
    pub fn origin(&self) -> Origin {
        let https = self.scheme == Scheme::Https;
        Origin::of_host(https, self.authority.host(), self.authority.port())
    }

    /// The effective port, by default that of the scheme: `X-Forwarded-Port`.
    pub fn port(&self) -> u16 {
        self.authority.port().unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// Method and target of the request.
    pub fn line(&self) -> &RequestLine {
        &self.line
    }

    /// The request's ID.
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The request, for the audit log.
    pub fn for_audit(&self) -> audit::RequestRef<'_> {
        audit::RequestRef { client: self.address, request_id: self.request_id.as_str() }
    }

    /// Records the route by which the request is counted and logged. Only the first call has an effect.
    pub fn note_route(&self, route: &Arc<RouteMeter>) {
        self.route.get_or_init(|| Arc::clone(route));
    }

    /// The route by which the request is counted and logged, once it is recorded.
    pub fn route(&self) -> Option<&RouteMeter> {
        self.route.get().map(AsRef::as_ref)
    }

    /// `X-Forwarded-For` for the upstream: a trusted proxy's chain and the peer, else the peer.
    pub fn forwarded_for(&self) -> HeaderValue {
        self.chain.as_ref().unwrap_or(self.connected.peer_text()).clone()
    }

    /// `X-Real-IP` for the upstream: the effective address; `None` if it is unknown.
    pub fn real_ip(&self) -> Option<HeaderValue> {
        self.connected.text_of(self.address)
    }

    /// Starts tasks that outlive the response.
    pub fn tasks(&self) -> &Tasks {
        self.connected.tasks()
    }

    /// Marks the response as open-ended: an end is not in sight.
    pub fn answers_without_end(&self) {
        self.open_parts.mark_open_ended();
    }

    /// Binds the request to its session. Returns whether it was bound before.
    pub fn bind(&self) -> RequestBinding {
        self.open_parts.bind()
    }

    /// Whether the request's body has more to come, or the response is open-ended. Hold it by a `Weak`, which is
    /// dead once the request is over.
    pub fn is_open(&self) -> bool {
        self.open_parts.are_open()
    }

    /// Cuts the request: its stream on HTTP/2, its connection on HTTP/1.
    pub fn cut(&self) {
        self.open_parts.cut(self.connected.activity());
    }

    pub(super) fn open_parts(&self) -> &OpenParts {
        &self.open_parts
    }

    pub(super) fn connected(&self) -> &ConnectionInfo {
        &self.connected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = &'a [(&'static str, &'a [u8])];

    fn client(peer: Peer, fields: Fields<'_>) -> Result<ClientInfo, HeadError> {
        client_over(Scheme::Http, peer, fields)
    }

    /// A client on a connection with this scheme; that of `public_url` is `http`.
    fn client_over(
        scheme: Scheme,
        peer: Peer,
        fields: Fields<'_>,
    ) -> Result<ClientInfo, HeadError> {
        client_of(peer, None, scheme, fields)
    }

    /// The same, where proxies send the client's address in this header.
    fn client_of(
        peer: Peer,
        client_address_header: Option<HeaderName>,
        scheme: Scheme,
        fields: Fields<'_>,
    ) -> Result<ClientInfo, HeadError> {
        let networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let trusted_proxies = TrustedProxies { networks, unix: true };
        let settings =
            Settings { trusted_proxies, client_address_header, ..Settings::listening_nowhere() };
        let connected = ConnectionInfo::fixed(peer, scheme, &settings);
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let authority = Authority::parse(HeaderValue::from_static("own.example:8080")).unwrap();
        let current = connected.settings();
        let of = (&**current, connected.trusted_proxies(current));
        let (line, id) = (RequestLine::default(), RequestId::of(1, 1));
        ClientInfo::of(Arc::clone(&connected), authority, line, &headers, id, of)
    }

    fn proxy() -> Peer {
        Peer::Ip("10.0.0.1".parse().unwrap())
    }

    fn stranger() -> Peer {
        Peer::Ip("192.0.2.9".parse().unwrap())
    }

    #[track_caller]
    fn check(peer: Peer, chain: &[u8], address: &str, forwarded: &[u8]) {
        let client = client(peer, &[("x-forwarded-for", chain)]).unwrap();
        assert_eq!(client.address().to_string(), address, "{chain:?}");
        assert_eq!(client.forwarded_for().as_bytes(), forwarded, "{chain:?}");
        let real_ip = client.real_ip().map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(real_ip.as_deref(), Some(address).filter(|it| *it != "-"), "{chain:?}");
    }

    #[test]
    fn client_behind_a_trusted_proxy_is_read_from_the_chain() {
        check(proxy(), b"198.51.100.1", "198.51.100.1", b"198.51.100.1, 10.0.0.1");
        let long = b"\xff, 198.51.100.1, 10.2.3.4";
        check(proxy(), long, "198.51.100.1", b"\xff, 198.51.100.1, 10.2.3.4, 10.0.0.1");
        check(proxy(), b"10.9.9.9, 10.2.3.4", "10.9.9.9", b"10.9.9.9, 10.2.3.4, 10.0.0.1");
        check(Peer::Unix, b"198.51.100.1", "198.51.100.1", b"198.51.100.1");
    }

    #[test]
    fn client_is_unknown_where_the_chain_names_no_address() {
        check(proxy(), b"198.51.100.1, unix:", "-", b"198.51.100.1, unix:, 10.0.0.1");
        check(proxy(), b"\xff", "-", b"\xff, 10.0.0.1");
        check(proxy(), b"198.51.100.1,", "-", b"198.51.100.1,, 10.0.0.1");
        check(proxy(), b"", "-", b"10.0.0.1");
        check(Peer::Unix, b"", "-", b"unknown");
    }

    #[test]
    fn client_without_a_chain_is_the_peer() {
        let address = |peer| client(peer, &[]).unwrap().address();
        assert_eq!(address(proxy()).to_string(), "10.0.0.1");
        assert_eq!(address(stranger()).to_string(), "192.0.2.9");
        assert_eq!(address(Peer::Unix), ClientAddress::Unknown);
        assert_eq!(client(Peer::Unix, &[]).unwrap().real_ip(), None);
    }

    #[test]
    fn address_is_read_from_the_configured_header_only() {
        let header = Some(HeaderName::from_static("x-real-ip"));
        let check = |peer, fields: Fields<'_>, address: &str, chain: &str| {
            let client = client_of(peer, header.clone(), Scheme::Http, fields).unwrap();
            let (known, forwarded) = (client.address().to_string(), client.forwarded_for());
            assert_eq!(
                (known.as_str(), forwarded.to_str().unwrap()),
                (address, chain),
                "{fields:?}"
            );
        };
        let one = ("x-real-ip", &b"198.51.100.1"[..]);
        let forged = ("x-forwarded-for", &b"203.0.113.9"[..]);
        check(proxy(), &[one, forged], "198.51.100.1", "198.51.100.1, 10.0.0.1");
        check(proxy(), &[forged], "10.0.0.1", "10.0.0.1");
        check(stranger(), &[one, forged], "192.0.2.9", "192.0.2.9");
        let list = ("x-real-ip", &b"203.0.113.9, [2001:db8::1]:80, 10.1.1.1"[..]);
        let expected = "203.0.113.9, [2001:db8::1]:80, 10.1.1.1, 10.0.0.1";
        check(proxy(), &[list], "2001:db8::1", expected);
        // Several fields are one list, whose right-most entries the proxy has added.
        check(
            proxy(),
            &[forged, list, one],
            "198.51.100.1",
            "203.0.113.9, [2001:db8::1]:80, 10.1.1.1, 198.51.100.1, 10.0.0.1",
        );
        check(proxy(), &[one, ("x-real-ip", b"")], "-", "198.51.100.1, 10.0.0.1");
        check(
            proxy(),
            &[("x-real-ip", b"198.51.100.1, unknown")],
            "-",
            "198.51.100.1, unknown, 10.0.0.1",
        );
    }

    #[test]
    fn forwarding_fields_of_an_untrusted_peer_have_no_effect() {
        check(stranger(), b"10.0.0.5", "192.0.2.9", b"192.0.2.9");
        check(stranger(), b"\xff", "192.0.2.9", b"192.0.2.9");
        let fields = [("x-forwarded-proto", &b"https"[..]), ("x-forwarded-host", b"evil.example")];
        let client = client(stranger(), &fields).unwrap();
        assert_eq!(
            (client.scheme(), client.host(), client.port()),
            (Scheme::Http, "own.example", 8080)
        );
        assert!(!client.is_trusted());
    }

    #[test]
    fn scheme_and_host_of_a_trusted_proxy_are_effective() {
        let fields = [("x-forwarded-proto", &b"https"[..]), ("x-forwarded-host", b"App.Example")];
        let parsed = client(proxy(), &fields).unwrap();
        assert_eq!(
            (parsed.scheme(), parsed.host(), parsed.port()),
            (Scheme::Https, "App.Example", 443)
        );
        let wrong = [
            ("x-forwarded-proto", &b"gopher"[..]),
            ("x-forwarded-host", b"a@b"),
            ("forwarded", b"host=x"),
        ];
        let parsed = client(proxy(), &wrong).unwrap();
        assert_eq!((parsed.scheme(), parsed.host()), (Scheme::Http, "own.example"));
        for https in [&b"https, https"[..], b"HTTPS", b"wss"] {
            let parsed = client(proxy(), &[("x-forwarded-proto", https)]).unwrap();
            assert_eq!(parsed.scheme(), Scheme::Https, "{https:?}");
        }
    }

    #[test]
    fn differing_schemes_of_a_trusted_proxy_give_that_of_public_url() {
        let name = "x-forwarded-proto";
        let differing = [
            &[(name, &b"https,http"[..])][..],
            &[(name, b"https"), (name, b"http")],
            &[(name, b"http"), (name, b"wss, http")],
        ];
        for fields in differing {
            let client = client_over(Scheme::Https, proxy(), fields).unwrap();
            assert_eq!(client.scheme(), Scheme::Http, "{fields:?}");
        }
    }

    #[test]
    fn contradictory_fields_of_a_trusted_proxy_are_rejected() {
        let name = "x-forwarded-host";
        for fields in [&[(name, &b"a.example"[..]), (name, b"b.example")][..], &[(name, b"a, b")]] {
            assert_eq!(client(proxy(), fields).err(), Some(HeadError::Forwarded));
        }
        let equal = [(name, &b"a.example"[..]), (name, b"a.example")];
        assert_eq!(client(proxy(), &equal).unwrap().host(), "a.example");
        // Proxies add to the chain by a field of their own.
        let two = [("x-forwarded-for", &b"198.51.100.1"[..]), ("x-forwarded-for", b"10.1.1.1")];
        let client = client(proxy(), &two).unwrap();
        assert_eq!(client.address().to_string(), "198.51.100.1");
        assert_eq!(client.forwarded_for(), "198.51.100.1, 10.1.1.1, 10.0.0.1");
    }

    #[test]
    fn port_defaults_to_that_of_the_scheme() {
        let address = "192.0.2.9".parse().unwrap();
        assert_eq!(ClientInfo::direct(address, Scheme::Https, "a.example").port(), 443);
        assert_eq!(ClientInfo::direct(address, Scheme::Http, "a.example").port(), 80);
        assert_eq!(ClientInfo::direct(address, Scheme::Http, "a.example:8080").port(), 8080);
    }
}
