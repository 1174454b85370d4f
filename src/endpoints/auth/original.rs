//! The original request of an auth subrequest: target, method and client, read from the headers that the kind of
//! the declared proxy sets.
//! Invariant: a header that a visitor adds is ignored, or the subrequest is denied.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, uri::PathAndQuery};

use crate::client_address::ClientAddress;
use crate::endpoints::Call;
use crate::endpoints::auth::clients::{DeclaredClient, DeclaredClients};
use crate::endpoints::auth::described::{Described, DescribingHeader};
use crate::endpoints::auth::table::{
    HostSource, METHODS, MethodSource, Part, ProxyHeaders, SchemeSource, URIS, UriSource, line,
    others_by_uri,
};
use crate::error::SubrequestError;
use crate::origin::Origin;
use crate::routing::host::normal;
use crate::server::{
    Authority, ClientInfo, ForwardAuthProxy, ForwardedFor, ForwardedProto, Scheme,
};

/// The request that the proxy received.
#[derive(Clone, Debug)]
pub(in crate::endpoints) struct Original<'a> {
    /// Its client and origin. Boxed, because it is large, and is moved and kept in futures.
    pub(in crate::endpoints) client: Box<ClientInfo>,
    /// Its method; `None` if the proxy did not send it.
    pub(in crate::endpoints) method: Option<Method>,
    /// Its path and query; or the error, if the decision depends on them and they are missing.
    pub(in crate::endpoints) target: Result<&'a str, SubrequestError>,
}

/// Path and query, and the origin if the URI has one.
struct Uri<'a> {
    target: &'a str,
    site: Option<(Scheme, Authority)>,
}

impl<'a> Original<'a> {
    /// Reads a subrequest. `suffix` is the path that follows the endpoint's own.
    pub(super) fn of(
        declared: &DeclaredClient,
        clients: &DeclaredClients,
        public_url: &Origin,
        suffix: Option<&'a str>,
        call: Call<'a>,
    ) -> Result<Self, SubrequestError> {
        let (described, row) = (Described::of(call.headers), ProxyHeaders::of(declared.proxy()));
        let uri = uri(row, suffix, call, &described)?;
        let authority = match (row.host, &uri) {
            (HostSource::Subrequest, _) => call.client.requested_authority().clone(),
            (HostSource::Header(header), uri) => {
                host(&described, header)?.ok_or_else(|| match uri {
                    Some(_) => SubrequestError::NoHost,
                    None => no_uri(declared, &described, suffix),
                })?
            }
            (HostSource::Url, Some(Uri { site: Some((_, authority)), .. })) => authority.clone(),
            (HostSource::Url, Some(_) | None) => return Err(no_uri(declared, &described, suffix)),
        };
        if uri.is_some() {
            ignore_missing(declared, row, &described);
        }
        let method = method(declared, row, call, &described)?;
        let own_scheme = if public_url.is_https() { Scheme::Https } else { Scheme::Http };
        let scheme = match (row.scheme, &uri) {
            (SchemeSource::Header(header), _) if declared.is_read(Part::Scheme) => {
                scheme(&described, header)?.unwrap_or(own_scheme)
            }
            (SchemeSource::Url, Some(Uri { site: Some((scheme, _)), .. })) => *scheme,
            (SchemeSource::Header(_) | SchemeSource::Url | SchemeSource::PublicUrl, _) => {
                own_scheme
            }
        };
        let address = address(declared, clients, call.headers);
        let client = Box::new(call.client.of_original(address, scheme, authority));
        let target = uri.map(|uri| uri.target);
        deny_contradiction(row, &described, &client, target, method.as_ref())?;
        let target = target.ok_or_else(|| no_uri(declared, &described, suffix));
        Ok(Self { client, method, target })
    }
}

/// The URI; `None` if the subrequest has none.
fn uri<'a>(
    row: &ProxyHeaders,
    suffix: Option<&'a str>,
    call: Call<'a>,
    described: &Described<'a>,
) -> Result<Option<Uri<'a>>, SubrequestError> {
    let (name, read) = match row.uri {
        UriSource::Suffix => {
            let Some(suffix) = suffix else { return Ok(None) };
            let target = call.uri.path_and_query().and_then(|own| behind(own, suffix));
            ("the path behind the endpoint", target.map(|target| Uri { target, site: None }))
        }
        UriSource::Header(header) | UriSource::Url(header) => {
            // Some configurations add a slash to every path.
            if suffix.is_some_and(|path| path != "/") {
                return Err(SubrequestError::Suffix);
            }
            let Some(text) = described.text(header)? else { return Ok(None) };
            let read = match row.uri {
                UriSource::Url(_) => split(text)?,
                UriSource::Header(_) | UriSource::Suffix => Some(Uri { target: text, site: None }),
            };
            (header.as_str(), read)
        }
    };
    let uri = read.ok_or(SubrequestError::Unclear(name))?;
    if is_target(uri.target) { Ok(Some(uri)) } else { Err(SubrequestError::Unclear(name)) }
}

/// Whether a text is path and query of a request. A fragment would be part of the decision, but not of the request.
pub(in crate::endpoints) fn is_target(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Ignores headers that are missing in a subrequest with a URI.
fn ignore_missing(declared: &DeclaredClient, row: &ProxyHeaders, described: &Described<'_>) {
    for part in [Part::Method, Part::Scheme, Part::Address] {
        if row.header(part).is_some_and(|header| !described.has(header)) {
            declared.ignore(part);
        }
    }
}

fn method(
    declared: &DeclaredClient,
    row: &ProxyHeaders,
    call: Call<'_>,
    described: &Described<'_>,
) -> Result<Option<Method>, SubrequestError> {
    match row.method {
        MethodSource::Subrequest => Ok(Some(call.method.clone())),
        MethodSource::Header(_) if !declared.is_read(Part::Method) => Ok(None),
        MethodSource::Header(header) => {
            let Some(text) = described.text(header)? else { return Ok(None) };
            let method = Method::from_bytes(text.as_bytes());
            method.map(Some).map_err(|_| SubrequestError::Unclear(header.as_str()))
        }
    }
}

/// The host in a header. A proxy has none to send for a request over HTTP/1.0 without `Host`.
fn host(
    described: &Described<'_>,
    header: DescribingHeader,
) -> Result<Option<Authority>, SubrequestError> {
    match described.text(header)? {
        None | Some("") => Ok(None),
        Some(text) => {
            let value = HeaderValue::from_str(text).ok().and_then(Authority::parse);
            value.map(Some).ok_or(SubrequestError::Unclear(header.as_str()))
        }
    }
}

/// The scheme in a header. `None`: it is missing, or proxies in front of this one wrote another scheme than it did.
fn scheme(
    described: &Described<'_>,
    header: DescribingHeader,
) -> Result<Option<Scheme>, SubrequestError> {
    let Some(text) = described.text(header)? else { return Ok(None) };
    match ForwardedProto::read([text.as_bytes()].into_iter()) {
        ForwardedProto::Scheme(scheme) => Ok(Some(scheme)),
        ForwardedProto::Absent | ForwardedProto::Differing => Ok(None),
        ForwardedProto::Unknown => Err(SubrequestError::Unclear(header.as_str())),
    }
}

/// The right-most entry of the forwarded chain that is not a proxy's.
fn address(
    declared: &DeclaredClient,
    clients: &DeclaredClients,
    headers: &HeaderMap,
) -> ClientAddress {
    if !declared.is_read(Part::Address) {
        return ClientAddress::Unknown;
    }
    let fields = headers.get_all(&ADDRESS).iter().map(HeaderValue::as_bytes);
    match ForwardedFor::read(fields, |address| clients.is_proxy(address)) {
        ForwardedFor::Client(address) => ClientAddress::Known(address),
        // SECURITY: the visitor's address is missing, and a proxy's must not count as the visitor's.
        ForwardedFor::Absent | ForwardedFor::AllTrusted(_) | ForwardedFor::Invalid => {
            ClientAddress::Unknown
        }
    }
}

/// Denies a subrequest with a header of another kind of proxy that names another URI or method.
// SECURITY: that header may be the proxy's own, and those of the declared kind the visitor's.
fn deny_contradiction(
    row: &ProxyHeaders,
    described: &Described<'_>,
    client: &ClientInfo,
    target: Option<&str>,
    method: Option<&Method>,
) -> Result<(), SubrequestError> {
    let own = |part| row.header(part);
    for header in URIS.into_iter().filter(|header| own(Part::Uri) != Some(*header)) {
        // Without a URI there is nothing to contradict.
        let (Some(text), Some(target)) = (described.text(header)?, target) else { continue };
        let same = match split(text)? {
            None => text == target,
            Some(other) => {
                let site = other.site.is_none_or(|(scheme, authority)| {
                    let there = client.of_original(client.address(), scheme, authority);
                    scheme == client.scheme()
                        && normal(there.host()) == normal(client.host())
                        && there.port() == client.port()
                });
                site && other.target == target
            }
        };
        if !same {
            return Err(SubrequestError::Contradiction(header.as_str()));
        }
    }
    for header in METHODS.into_iter().filter(|header| own(Part::Method) != Some(*header)) {
        if let (Some(text), Some(method)) = (described.text(header)?, method)
            && text != method.as_str()
        {
            return Err(SubrequestError::Contradiction(header.as_str()));
        }
    }
    Ok(())
}

/// The error of a subrequest without URI: the header to send, and the other kinds of proxy that would describe the
/// request as this one does.
fn no_uri(
    declared: &DeclaredClient,
    described: &Described<'_>,
    suffix: Option<&str>,
) -> SubrequestError {
    let proxy = declared.proxy();
    let present = URIS.into_iter().filter(|header| described.has(*header));
    let mut others: Vec<_> = present.flat_map(|header| others_by_uri(proxy, header)).collect();
    // Other paths have a fault of their own.
    others.extend(suffix.map(|_| ForwardAuthProxy::Envoy.as_str()));
    SubrequestError::NoUri { write: line(proxy, Part::Uri), others: others.join(", ") }
}

/// Splits an absolute URL without changing a byte of path and query; `None` if it is not one.
fn split(url: &str) -> Result<Option<Uri<'_>>, SubrequestError> {
    let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.starts_with('/')) else {
        return Ok(None);
    };
    let Some((authority, target)) = rest.find('/').and_then(|at| rest.split_at_checked(at)) else {
        return Ok(None);
    };
    if authority.is_empty() {
        return Err(SubrequestError::NoHost);
    }
    let authority = HeaderValue::from_str(authority).ok().and_then(Authority::parse);
    let site = Scheme::forwarded(scheme).zip(authority);
    Ok(site.map(|site| Uri { target, site: Some(site) }))
}

/// The path that follows the endpoint's own, with the query.
fn behind<'a>(own: &'a PathAndQuery, path: &str) -> Option<&'a str> {
    own.as_str().get(own.path().len().checked_sub(path.len())?..)
}

/// The chain with the visitor's address.
static ADDRESS: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::auth::ignored_headers::IgnoredHeaders;
    use crate::server::{ForwardAuth, ForwardAuthClient, TrustedProxies};

    /// A proxy at 192.0.2.1, behind a load balancer at 192.0.2.8.
    struct Proxy {
        clients: DeclaredClients,
    }

    /// Origin, address, method, and path and query of the original request.
    type Read =
        Result<(String, String, Option<Method>, Result<String, SubrequestError>), SubrequestError>;

    impl Proxy {
        fn of(proxy: ForwardAuthProxy) -> Self {
            Self::with(proxy, &IgnoredHeaders::default())
        }

        fn with(proxy: ForwardAuthProxy, ignored: &IgnoredHeaders) -> Self {
            let network = "192.0.2.1/32".parse().unwrap();
            let client = ForwardAuthClient { networks: vec![network], unix: false, proxy };
            let networks = vec!["192.0.2.8/32".parse().unwrap()];
            let trusted = TrustedProxies { networks, unix: false };
            let settings = ForwardAuth { clients: vec![client], listen: None };
            Self { clients: DeclaredClients::new(&settings, &trusted, ignored) }
        }

        fn read(&self, target: &str, fields: &[(&str, &str)]) -> Read {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let (uri, address) = (target.parse().unwrap(), "192.0.2.1".parse().unwrap());
            let client = ClientInfo::direct(address, Scheme::Http, "wiki.example");
            let declared = self.clients.of_peer(client.peer()).unwrap();
            let (headers, dropped, method) = (&headers, &[][..], &Method::POST);
            let call = Call { method, headers, dropped, client: &client, uri: &uri };
            let suffix = uri.path().strip_prefix("/auth").filter(|rest| !rest.is_empty());
            let public_url = Origin::parse("https://wiki.example").unwrap();
            let original = Original::of(declared, &self.clients, &public_url, suffix, call)?;
            let (client, target) = (original.client, original.target.map(str::to_owned));
            let address = client.address().to_string();
            Ok((client.origin().to_string(), address, original.method, target))
        }

        #[track_caller]
        fn check(&self, target: &str, fields: &[(&str, &str)], origin: &str, method: &str) {
            let expected = (
                origin.to_owned(),
                "203.0.113.9".to_owned(),
                Some(method.parse().unwrap()),
                Ok("/a%20b?c=d,e".to_owned()),
            );
            assert_eq!(self.read(target, fields), Ok(expected), "{target} {fields:?}");
        }

        #[track_caller]
        fn deny(&self, target: &str, fields: &[(&str, &str)], fault: SubrequestError) {
            assert_eq!(self.read(target, fields), Err(fault), "{target} {fields:?}");
        }
    }

    /// The usual spelling of a header name.
    fn usual(name: &str) -> &'static str {
        DescribingHeader::named(&name.parse().unwrap()).unwrap().as_str()
    }

    const TARGET: &str = "/a%20b?c=d,e";
    const HERE: &str = "https://wiki.example";
    const ADDRESS: (&str, &str) =
        ("x-forwarded-for", "198.51.100.1, 203.0.113.9, 192.0.2.8, 192.0.2.1");
    const NGINX: [(&str, &str); 4] = [
        ("x-original-uri", TARGET),
        ("x-original-method", "PUT"),
        ("x-forwarded-proto", "https"),
        ADDRESS,
    ];

    #[test]
    fn request_of_each_kind_of_proxy_is_read_from_its_headers() {
        Proxy::of(ForwardAuthProxy::Nginx).check("/auth", &NGINX, HERE, "PUT");
        Proxy::of(ForwardAuthProxy::Nginx).check("/auth/?x", &NGINX, HERE, "PUT");
        Proxy::of(ForwardAuthProxy::IngressNginx).check(
            "/auth",
            &[
                ("x-original-url", "http://other.example:81/a%20b?c=d,e"),
                ("x-original-method", "PUT"),
                ADDRESS,
            ],
            "http://other.example:81",
            "PUT",
        );
        let fabric = [("path", TARGET), ("method", "PUT"), ADDRESS];
        Proxy::of(ForwardAuthProxy::NginxGatewayFabric).check("/auth", &fabric, HERE, "PUT");
        let forwarded = [
            ("x-forwarded-uri", TARGET),
            ("x-forwarded-method", "PUT"),
            ("x-forwarded-host", "other.example:8080"),
            ("x-forwarded-proto", "http"),
            ADDRESS,
        ];
        for proxy in [ForwardAuthProxy::Traefik, ForwardAuthProxy::Caddy, ForwardAuthProxy::Haproxy]
        {
            Proxy::of(proxy).check("/auth", &forwarded, "http://other.example:8080", "PUT");
        }
        let envoy = [("x-forwarded-proto", "http"), ADDRESS];
        let target = format!("/auth{TARGET}");
        Proxy::of(ForwardAuthProxy::Envoy).check(&target, &envoy, "http://wiki.example", "POST");
        Proxy::of(ForwardAuthProxy::Envoy).check(&target, &envoy[1..], HERE, "POST");
    }

    #[test]
    fn header_of_another_kind_of_proxy_is_ignored_if_equal_and_denied_if_not() {
        let nginx = Proxy::of(ForwardAuthProxy::Nginx);
        let with = |name, value| [&NGINX[..], &[(name, value)]].concat();
        for ignored in [
            ("x-forwarded-host", "status.example"),
            ("x-forwarded-uri", TARGET),
            ("path", TARGET),
            ("x-original-url", "https://wiki.example/a%20b?c=d,e"),
            ("x-forwarded-method", "PUT"),
            ("method", "PUT"),
            ("forwarded", "for=10.1.2.3;host=status.example"),
            ("x-real-ip", "10.1.2.3"),
        ] {
            nginx.check("/auth", &with(ignored.0, ignored.1), HERE, "PUT");
        }
        for (name, value) in [
            ("x-forwarded-uri", "/open"),
            ("path", "/a%20b"),
            ("x-original-url", "https://status.example/a%20b?c=d,e"),
            ("x-original-url", "http://wiki.example/a%20b?c=d,e"),
            ("x-original-url", "/"),
            ("x-forwarded-method", "OPTIONS"),
            ("method", "put"),
        ] {
            let fault = SubrequestError::Contradiction(usual(name));
            nginx.deny("/auth", &with(name, value), fault);
        }
    }

    #[test]
    fn header_with_two_different_values_is_denied() {
        let nginx = Proxy::of(ForwardAuthProxy::Nginx);
        for (name, value) in NGINX.into_iter().take(3) {
            nginx.check("/auth", &[&NGINX[..], &[(name, value)]].concat(), HERE, "PUT");
            for other in ["/open", "OPTIONS", "http", ""] {
                let twice = [&[(name, other)], &NGINX[..]].concat();
                nginx.deny("/auth", &twice, SubrequestError::Unclear(usual(name)));
            }
        }
        let traefik = Proxy::of(ForwardAuthProxy::Traefik);
        let hosts = [("x-forwarded-host", "a.example"), ("x-forwarded-host", "b.example")];
        traefik.deny("/auth", &hosts, SubrequestError::Unclear("X-Forwarded-Host"));
    }

    #[test]
    fn differing_schemes_in_one_header_give_that_of_public_url() {
        let nginx = Proxy::of(ForwardAuthProxy::Nginx);
        for differing in ["https, http", "http,https"] {
            let proto = ("x-forwarded-proto", differing);
            nginx.check("/auth", &[NGINX[0], NGINX[1], proto, NGINX[3]], HERE, "PUT");
        }
    }

    #[test]
    fn header_that_was_missing_once_is_ignored() {
        for lacking in ["x-original-method", "x-forwarded-proto", "x-forwarded-for"] {
            let nginx = Proxy::of(ForwardAuthProxy::Nginx);
            let fields: Vec<_> = NGINX.into_iter().filter(|(name, _)| *name != lacking).collect();
            // A subrequest without a URI or a host has no effect.
            drop(nginx.read("/auth", &[("x-forwarded-proto", "http")]));
            let http = [("x-forwarded-proto", "http"), NGINX[0], NGINX[1], NGINX[3]];
            nginx.check("/auth", &http, "http://wiki.example", "PUT");
            assert!(nginx.read("/auth", &fields).is_ok());
            let (origin, address, method, _) = nginx.read("/auth", &http).unwrap();
            let (no_method, no_address) =
                (lacking == "x-original-method", lacking == "x-forwarded-for");
            let scheme = if lacking == "x-forwarded-proto" { HERE } else { "http://wiki.example" };
            assert_eq!(origin, scheme, "{lacking}");
            assert_eq!(method.is_none(), no_method, "{lacking}");
            assert_eq!(address == "-", no_address, "{lacking}");
        }
    }

    #[test]
    fn header_that_was_missing_once_is_ignored_by_the_next_configuration_until_it_is_forgotten() {
        let ignored = IgnoredHeaders::default();
        let method = |nginx: &Proxy| nginx.read("/auth", &NGINX).unwrap().2;
        let first = Proxy::with(ForwardAuthProxy::Nginx, &ignored);
        let fields: Vec<_> =
            NGINX.into_iter().filter(|(name, _)| *name != "x-original-method").collect();
        assert!(method(&first).is_some() && first.read("/auth", &fields).is_ok());
        drop(first);
        // As if a reload had removed the entry in between.
        drop(Proxy::with(ForwardAuthProxy::Traefik, &ignored));
        let second = Proxy::with(ForwardAuthProxy::Nginx, &ignored);
        assert_eq!(method(&second), None);
        ignored.forget();
        assert_eq!(method(&second), Some(Method::PUT));
    }

    #[test]
    fn subrequest_without_host_is_denied_and_has_no_other_effect() {
        let traefik = Proxy::of(ForwardAuthProxy::Traefik);
        let uri = ("x-forwarded-uri", TARGET);
        traefik.deny("/auth", &[uri], SubrequestError::NoHost);
        traefik.deny("/auth", &[uri, ("x-forwarded-host", "")], SubrequestError::NoHost);
        let fields = [
            uri,
            ("x-forwarded-method", "PUT"),
            ("x-forwarded-host", "wiki.example"),
            ("x-forwarded-proto", "https"),
            ADDRESS,
        ];
        traefik.check("/auth", &fields, HERE, "PUT");
        let ingress = Proxy::of(ForwardAuthProxy::IngressNginx);
        ingress.deny("/auth", &[("x-original-url", "http:///x")], SubrequestError::NoHost);
    }

    #[test]
    fn address_is_unknown_if_the_chain_has_no_visitor() {
        let address = |fields: &[(&str, &str)]| {
            let nginx = Proxy::of(ForwardAuthProxy::Nginx);
            nginx.read("/auth", &[&NGINX[..3], fields].concat()).unwrap().1
        };
        for (chain, expected) in [
            ("10.1.2.3, 203.0.113.9", "203.0.113.9"),
            ("\u{ff}, 203.0.113.9", "203.0.113.9"),
            ("203.0.113.9, unix:", "-"),
            ("203.0.113.9, \u{ff}", "-"),
            ("192.0.2.8, 192.0.2.1", "-"),
            ("203.0.113.9,", "-"),
            ("", "-"),
        ] {
            assert_eq!(address(&[("x-forwarded-for", chain)]), expected, "{chain}");
        }
        assert_eq!(address(&[]), "-");
        let two = [("x-forwarded-for", "10.1.2.3"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(address(&two), "203.0.113.9");
    }

    #[test]
    fn subrequest_without_uri_names_the_line_to_write() {
        let nginx = Proxy::of(ForwardAuthProxy::Nginx);
        let fields = [("x-forwarded-uri", "/a"), ("x-original-url", "https://wiki.example/a")];
        let (.., target) = nginx.read("/auth", &fields).unwrap();
        let error = target.unwrap_err().to_string();
        for text in [
            "proxy_set_header X-Original-URI $request_uri;",
            "traefik, caddy, haproxy",
            "ingress-nginx",
        ] {
            assert!(error.contains(text), "{error}");
        }
        let (.., target) = Proxy::of(ForwardAuthProxy::Envoy).read("/auth?x", &[]).unwrap();
        assert!(target.unwrap_err().to_string().contains("path_prefix"));
    }

    #[test]
    fn subrequest_of_another_kind_of_proxy_names_its_word() {
        let nginx = &[("x-original-uri", "/a")][..];
        let forwarded = &[("x-forwarded-uri", "/a"), ("x-forwarded-host", "wiki.example")][..];
        let url = &[("x-original-url", "https://wiki.example/a")][..];
        for (declared, target, fields, word) in [
            (ForwardAuthProxy::Nginx, "/auth", forwarded, "traefik, caddy, haproxy"),
            (ForwardAuthProxy::Nginx, "/auth", url, "ingress-nginx"),
            (ForwardAuthProxy::Nginx, "/auth", &[("path", "/a")], "nginx-gateway-fabric"),
            (ForwardAuthProxy::Nginx, "/auth/", &[], "envoy"),
            (ForwardAuthProxy::Nginx, "/auth/a", &[], "envoy"),
            (ForwardAuthProxy::Traefik, "/auth", nginx, "nginx"),
            (ForwardAuthProxy::Haproxy, "/auth/", &[], "envoy"),
            (ForwardAuthProxy::IngressNginx, "/auth", nginx, "nginx"),
            (ForwardAuthProxy::Envoy, "/auth", nginx, "nginx"),
            (ForwardAuthProxy::Envoy, "/auth", forwarded, "traefik, caddy, haproxy"),
        ] {
            let read = Proxy::of(declared).read(target, fields);
            let error = read.and_then(|(.., target)| target).unwrap_err().to_string();
            assert!(error.ends_with(&format!("`proxy`: {word}")), "{declared:?} {target}: {error}");
        }
        let own = Proxy::of(ForwardAuthProxy::Nginx).read("/auth", &[]).unwrap().3.unwrap_err();
        assert!(!own.to_string().contains("`proxy`"), "{own}");
    }

    #[test]
    fn malformed_target_host_or_scheme_is_denied() {
        let nginx = Proxy::of(ForwardAuthProxy::Nginx);
        for wrong in ["", "a", "*", "http://wiki.example/", "/a b", "/\t", "/a#b", "/\u{e4}"] {
            let fields = [("x-original-uri", wrong)];
            nginx.deny("/auth", &fields, SubrequestError::Unclear("X-Original-URI"));
        }
        nginx.deny("/auth/a", &NGINX, SubrequestError::Suffix);
        let ingress = Proxy::of(ForwardAuthProxy::IngressNginx);
        for wrong in
            ["/a", "https://wiki.example", "https://u@wiki.example/", "ftp://a/", "wiki", ""]
        {
            let fields = [("x-original-url", wrong)];
            ingress.deny("/auth", &fields, SubrequestError::Unclear("X-Original-URL"));
        }
        let traefik = Proxy::of(ForwardAuthProxy::Traefik);
        let uri = ("x-forwarded-uri", TARGET);
        for wrong in ["a@b", "a, b", "a/b"] {
            let fields = [uri, ("x-forwarded-host", wrong)];
            traefik.deny("/auth", &fields, SubrequestError::Unclear("X-Forwarded-Host"));
        }
        for wrong in ["gopher", ""] {
            let fields = [uri, ("x-forwarded-host", "a"), ("x-forwarded-proto", wrong)];
            traefik.deny("/auth", &fields, SubrequestError::Unclear("X-Forwarded-Proto"));
        }
    }
}
