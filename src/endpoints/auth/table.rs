//! The headers in which each kind of proxy describes the original request, as a table.
//! Invariant: only the headers of the proxy's own kind are read.
// SECURITY: a proxy passes its visitor's fields on together with its own. Any other header may be the visitor's,
// who could choose host, method or path of the decision with it.

use crate::endpoints::auth::described::DescribingHeader;
use crate::server::ForwardAuthProxy;

/// Where one kind of proxy sends the parts of the original request. Every kind sends the visitor's address in
/// `X-Forwarded-For`.
#[derive(Debug)]
pub(super) struct ProxyHeaders {
    /// Path and query.
    pub(super) uri: UriSource,
    /// The method.
    pub(super) method: MethodSource,
    /// Host and port.
    pub(super) host: HostSource,
    /// The scheme.
    pub(super) scheme: SchemeSource,
}

/// The source of the URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UriSource {
    /// Path and query, in this header.
    Header(DescribingHeader),
    /// An absolute URL, in this header.
    Url(DescribingHeader),
    /// Path and query of the subrequest, after the endpoint's own path.
    Suffix,
}

/// The source of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodSource {
    /// In this header.
    Header(DescribingHeader),
    /// The method of the subrequest.
    Subrequest,
}

/// The source of host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostSource {
    /// `Host` or `:authority` of the subrequest.
    Subrequest,
    /// In this header.
    Header(DescribingHeader),
    /// In the absolute URL.
    Url,
}

/// The source of the scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemeSource {
    /// In this header; if it is missing, `public_url`'s.
    Header(DescribingHeader),
    /// In the absolute URL.
    Url,
    /// The scheme of `public_url`.
    PublicUrl,
}

/// A part of the original request that a proxy sends only if its operator configured the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The URI.
    Uri,
    /// The method.
    Method,
    /// The scheme.
    Scheme,
    /// The visitor's address.
    Address,
}

/// Every header in which some kind sends a URI.
pub(super) const URIS: [DescribingHeader; 4] = [
    DescribingHeader::OriginalUri,
    DescribingHeader::OriginalUrl,
    DescribingHeader::Path,
    DescribingHeader::ForwardedUri,
];

/// Every header in which some kind sends a method.
pub(super) const METHODS: [DescribingHeader; 3] =
    [DescribingHeader::OriginalMethod, DescribingHeader::Method, DescribingHeader::ForwardedMethod];

impl ProxyHeaders {
    /// The headers of a kind.
    pub(super) fn of(proxy: ForwardAuthProxy) -> &'static Self {
        match proxy {
            ForwardAuthProxy::Nginx => &NGINX,
            ForwardAuthProxy::IngressNginx => &INGRESS_NGINX,
            ForwardAuthProxy::NginxGatewayFabric => &NGINX_GATEWAY_FABRIC,
            ForwardAuthProxy::Traefik | ForwardAuthProxy::Caddy | ForwardAuthProxy::Haproxy => {
                &X_FORWARDED
            }
            ForwardAuthProxy::Envoy => &ENVOY,
        }
    }

    /// The header for a part; `None` if the part is not in a header of its own.
    pub(super) fn header(&self, part: Part) -> Option<DescribingHeader> {
        match part {
            Part::Uri => match self.uri {
                UriSource::Header(name) | UriSource::Url(name) => Some(name),
                UriSource::Suffix => None,
            },
            Part::Method => match self.method {
                MethodSource::Header(name) => Some(name),
                MethodSource::Subrequest => None,
            },
            Part::Scheme => match self.scheme {
                SchemeSource::Header(name) => Some(name),
                SchemeSource::Url | SchemeSource::PublicUrl => None,
            },
            Part::Address => Some(DescribingHeader::ForwardedFor),
        }
    }
}

static NGINX: ProxyHeaders = ProxyHeaders {
    uri: UriSource::Header(DescribingHeader::OriginalUri),
    method: MethodSource::Header(DescribingHeader::OriginalMethod),
    host: HostSource::Subrequest,
    scheme: SchemeSource::Header(DescribingHeader::ForwardedProto),
};
static INGRESS_NGINX: ProxyHeaders = ProxyHeaders {
    uri: UriSource::Url(DescribingHeader::OriginalUrl),
    method: MethodSource::Header(DescribingHeader::OriginalMethod),
    host: HostSource::Url,
    scheme: SchemeSource::Url,
};
static NGINX_GATEWAY_FABRIC: ProxyHeaders = ProxyHeaders {
    uri: UriSource::Header(DescribingHeader::Path),
    method: MethodSource::Header(DescribingHeader::Method),
    host: HostSource::Subrequest,
    scheme: SchemeSource::PublicUrl,
};
static X_FORWARDED: ProxyHeaders = ProxyHeaders {
    uri: UriSource::Header(DescribingHeader::ForwardedUri),
    method: MethodSource::Header(DescribingHeader::ForwardedMethod),
    host: HostSource::Header(DescribingHeader::ForwardedHost),
    scheme: SchemeSource::Header(DescribingHeader::ForwardedProto),
};
static ENVOY: ProxyHeaders = ProxyHeaders {
    uri: UriSource::Suffix,
    method: MethodSource::Subrequest,
    host: HostSource::Subrequest,
    scheme: SchemeSource::Header(DescribingHeader::ForwardedProto),
};

/// What to write in the configuration of a proxy, so that it sends a part.
pub(super) fn line(proxy: ForwardAuthProxy, part: Part) -> String {
    let name = ProxyHeaders::of(proxy).header(part).map_or("", DescribingHeader::as_str);
    match proxy {
        ForwardAuthProxy::Nginx
        | ForwardAuthProxy::IngressNginx
        | ForwardAuthProxy::NginxGatewayFabric => {
            let value = match part {
                Part::Uri if proxy == ForwardAuthProxy::IngressNginx => {
                    "$scheme://$http_host$request_uri"
                }
                Part::Uri => "$request_uri",
                Part::Method => "$request_method",
                Part::Scheme => "$scheme",
                Part::Address => "$proxy_add_x_forwarded_for",
            };
            format!("`proxy_set_header {name} {value};`, in the location of the auth request")
        }
        ForwardAuthProxy::Traefik => {
            format!("the middleware `forwardAuth` itself, so that {name} arrives here")
        }
        ForwardAuthProxy::Caddy => {
            let value = match part {
                Part::Uri => "{uri}",
                Part::Method => "{method}",
                Part::Scheme => "{scheme}",
                Part::Address => "{remote_host}",
            };
            format!("`header_up {name} {value}`, in `forward_auth`")
        }
        ForwardAuthProxy::Haproxy => {
            let value = match part {
                Part::Uri => "%[pathq]",
                Part::Method => "%[method]",
                Part::Scheme => "%[ssl_fc,iif(https,http)]",
                Part::Address => "%[src]",
            };
            format!(
                "`http-request set-header {name} {value}`, before the script sends the auth subrequest"
            )
        }
        ForwardAuthProxy::Envoy => match part {
            Part::Uri => "`path_prefix: /oauth2/auth` in `http_service`".to_owned(),
            Part::Method | Part::Scheme | Part::Address => {
                let exact = name.to_ascii_lowercase();
                format!("`{{ exact: {exact} }}`, in `allowed_headers` of ext_authz")
            }
        },
    }
}

/// The kinds other than `proxy` that send the URI in this header.
pub(super) fn others_by_uri(
    proxy: ForwardAuthProxy,
    header: DescribingHeader,
) -> Vec<&'static str> {
    let named =
        |other: &ForwardAuthProxy| ProxyHeaders::of(*other).header(Part::Uri) == Some(header);
    let others = ForwardAuthProxy::ALL.into_iter().filter(|other| *other != proxy);
    others.filter(named).map(ForwardAuthProxy::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_for_uri_and_method_is_compared() {
        for proxy in ForwardAuthProxy::ALL {
            let headers = ProxyHeaders::of(proxy);
            assert!(headers.header(Part::Uri).is_none_or(|name| URIS.contains(&name)), "{proxy:?}");
            let method = headers.header(Part::Method);
            assert!(method.is_none_or(|name| METHODS.contains(&name)), "{proxy:?}");
        }
    }

    #[test]
    fn line_to_write_names_the_header_of_the_part() {
        for proxy in ForwardAuthProxy::ALL {
            for part in [Part::Uri, Part::Method, Part::Scheme, Part::Address] {
                let Some(name) = ProxyHeaders::of(proxy).header(part) else { continue };
                let (line, name) = (line(proxy, part), name.as_str());
                assert!(
                    line.to_ascii_lowercase().contains(&name.to_ascii_lowercase()),
                    "{proxy:?} {part:?}"
                );
            }
        }
    }

    #[test]
    fn other_kinds_are_found_by_the_header_of_their_uri() {
        let others = |header| others_by_uri(ForwardAuthProxy::Nginx, header);
        assert_eq!(others(DescribingHeader::ForwardedUri), ["traefik", "caddy", "haproxy"]);
        assert_eq!(others(DescribingHeader::OriginalUrl), ["ingress-nginx"]);
        assert_eq!(others(DescribingHeader::OriginalUri), [""; 0]);
    }
}
