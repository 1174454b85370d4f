//! `CheckRequest` -> the request that Envoy has received, checked as if the gateway had received it.
//! Invariant: target, method, host and scheme come from the attributes. The header fields are the visitor's.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority as UriAuthority, PathAndQuery, Scheme as UriScheme};
use http::{Method, Request, StatusCode, Uri, Version};

use crate::client_address::ClientAddress;
use crate::endpoints::auth::clients::DeclaredClients;
use crate::endpoints::auth::original::is_target;
use crate::error::{Error, SubrequestError};
use crate::grpc::CheckRequest;
use crate::origin::Origin;
use crate::server::{ClientInfo, DroppedNames, ForwardedFor, Scheme};

/// A request that Envoy describes.
#[derive(Clone, Debug)]
pub struct DescribedRequest {
    /// Its client and origin.
    pub(super) client: ClientInfo,
    /// Its method; `None` if it is not named.
    pub(super) method: Option<Method>,
    /// Its path and query, byte by byte.
    pub(super) target: String,
    /// Its header fields.
    pub(super) headers: HeaderMap,
    /// Names of further fields, which are not plain and which the decision does not read.
    pub(super) dropped: Vec<HeaderName>,
}

impl DescribedRequest {
    /// Checks a described request. `caller` is the client of the call.
    pub(super) fn of(
        check: CheckRequest,
        clients: &DeclaredClients,
        public_url: &Origin,
        caller: &ClientInfo,
    ) -> Result<Self, Error> {
        if check.host.is_empty() {
            return Err(SubrequestError::NoHost.into());
        }
        let scheme = scheme(&check.scheme, public_url)?;
        let method = match &*check.method {
            "" => None,
            name => Some(name.parse().map_err(|_| SubrequestError::Unclear("the method"))?),
        };
        let mut request = request(&check, method.clone())?;
        // SECURITY: what the gateway would reject if it were sent here is denied: an ambiguous host, framing that
        // two programs could read differently, a head over the limits (T01, T53, T93).
        let authority = caller.check_original(&mut request).map_err(Error::Rejected)?;
        let (mut parts, ()) = request.into_parts();
        let dropped = parts.extensions.remove().map_or_else(Vec::new, |DroppedNames(it)| it);
        let address = address(check.source, clients, &parts.headers);
        let client = caller.of_original(address, scheme, authority);
        Ok(Self { client, method, target: check.path, headers: parts.headers, dropped })
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// The request as it would be received over HTTP/2.
fn request(check: &CheckRequest, method: Option<Method>) -> Result<Request<()>, Error> {
    let unclear = SubrequestError::Unclear;
    if !is_target(&check.path) {
        return Err(unclear("the path").into());
    }
    let target = PathAndQuery::try_from(&*check.path).map_err(|_| unclear("the path"))?;
    let host = UriAuthority::try_from(&*check.host).map_err(|_| unclear("the host"))?;
    let uri = Uri::builder().scheme(UriScheme::HTTP).authority(host).path_and_query(target).build();
    let mut request = Request::new(());
    *request.uri_mut() = uri.map_err(|_| unclear("the path"))?;
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = method.unwrap_or_default();
    let headers = request.headers_mut();
    for (name, value) in &check.fields {
        let field = HeaderName::try_from(name).ok().zip(HeaderValue::from_bytes(value).ok());
        let (name, value) = field.ok_or(unclear("a header field"))?;
        let too_many = |_| Error::Rejected(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        headers.try_append(name, value).map_err(too_many)?;
    }
    Ok(request)
}

/// The scheme; if Envoy does not know it, that of `public_url`.
fn scheme(text: &str, public_url: &Origin) -> Result<Scheme, SubrequestError> {
    match text {
        "" if public_url.is_https() => Ok(Scheme::Https),
        "" => Ok(Scheme::Http),
        known => Scheme::forwarded(known).ok_or(SubrequestError::Unclear("the scheme")),
    }
}

/// The address of Envoy's peer; if that is a trusted proxy, the right-most entry of its chain that is no proxy's.
fn address(
    source: Option<IpAddr>,
    clients: &DeclaredClients,
    headers: &HeaderMap,
) -> ClientAddress {
    let Some(source) = source else { return ClientAddress::Unknown };
    if !clients.is_trusted(source) {
        return ClientAddress::Known(source);
    }
    let fields = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    match ForwardedFor::read(fields, |address| clients.is_proxy(address)) {
        ForwardedFor::Client(address) => ClientAddress::Known(address),
        // SECURITY: a proxy's address must not count as the visitor's.
        ForwardedFor::Absent | ForwardedFor::AllTrusted(_) | ForwardedFor::Invalid => {
            ClientAddress::Unknown
        }
    }
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
