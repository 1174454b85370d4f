//! Checks of a request's head that hyper and h2 do not make (RFC 9112 §3, §6; RFC 9113 §8).
//! Invariant: an accepted request has one well-formed authority, an origin-form target of visible ASCII,
//! unambiguous framing, plain field names, and at most one `Cookie` field. An ambiguous request is rejected.

use http::header::{
    CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri, Version};

use crate::server::authority::Authority;
use crate::server::settings::Limits;

/// The reason why a request's head is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    /// CONNECT, TRACE, TRACK or PRI.
    #[error("a method that is not served here")]
    Method,
    /// Neither `/…` nor an absolute `http` URL, or not visible ASCII.
    #[error("a malformed request target")]
    Target,
    /// Over `target_bytes`.
    #[error("a request target that is too long")]
    TargetTooLong,
    /// Over `header_bytes` or `header_count`.
    #[error("a head that is too large")]
    HeadTooLarge,
    /// No `Host`, several, a malformed one, or one that the target contradicts.
    #[error("a missing, repeated, malformed or contradicted host")]
    Host,
    /// A `Transfer-Encoding` or `Content-Length` that two programs could read differently.
    #[error("ambiguous message framing")]
    Framing,
    /// Two different values from a trusted proxy.
    #[error("contradictory forwarding fields from a trusted proxy")]
    Forwarded,
}

impl HeadError {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Target | Self::Host | Self::Framing | Self::Forwarded => StatusCode::BAD_REQUEST,
        }
    }
}

/// Names of fields that were dropped because they are not plain. An extension of requests that had such fields.
#[derive(Clone, Debug, Default)]
pub struct DroppedNames(pub Vec<HeaderName>);

/// Checks and normalizes a request. Returns its authority. An HTTP/1.0 request may come without one to a path for
/// which `needs_no_host` is true: load balancers send such probes.
pub(super) fn check<B>(
    request: &mut Request<B>,
    limits: &Limits,
    needs_no_host: impl FnOnce(&str) -> bool,
) -> Result<Authority, HeadError> {
    check_method(request.method().as_str())?;
    let fields = Fields::of(request.method(), request.headers(), limits)?;
    check_length(&fields)?;
    let (authority, cookies) = (check_host(request, &fields, needs_no_host)?, fields.cookies);
    if fields.is_odd {
        let dropped = drop_odd(request.headers_mut());
        request.extensions_mut().insert(dropped);
    }
    if cookies > 1 {
        join_cookies(request.headers_mut());
    }
    check_target(request.uri_mut(), limits)?;
    Ok(authority)
}

fn check_method(method: &str) -> Result<(), HeadError> {
    if is_served(method) { Ok(()) } else { Err(HeadError::Method) }
}

/// Whether a method is served; the others get 405.
// SECURITY: TRACE shows cookies to scripts, CONNECT would open a tunnel, PRI is the preface of HTTP/2.
pub fn is_served(method: &str) -> bool {
    !matches!(method, "CONNECT" | "TRACE" | "TRACK" | "PRI")
}

/// The fields to be checked, collected in one pass.
#[derive(Default)]
struct Fields<'h> {
    host: Field<'h>,
    transfer_encoding: Field<'h>,
    content_length: Field<'h>,
    cookies: usize,
    /// Whether some names are not plain.
    is_odd: bool,
}

/// A field that may occur once.
#[derive(Clone, Copy, Default)]
enum Field<'h> {
    #[default]
    Absent,
    Once(&'h HeaderValue),
    Repeated,
}

impl<'h> Fields<'h> {
    /// Collects the fields and checks the limits of the head.
    fn of(method: &Method, headers: &'h HeaderMap, limits: &Limits) -> Result<Self, HeadError> {
        if headers.len() > limits.header_count {
            return Err(HeadError::HeadTooLarge);
        }
        // The length of a method is not limited otherwise. The target has its own limit.
        let (mut fields, mut bytes) = (Self::default(), method.as_str().len());
        for (name, value) in headers {
            // Each field has a colon, a space and a line end.
            bytes += name.as_str().len() + value.len() + 4;
            match *name {
                HOST => fields.host.add(value),
                TRANSFER_ENCODING => fields.transfer_encoding.add(value),
                CONTENT_LENGTH => fields.content_length.add(value),
                COOKIE => fields.cookies += 1,
                _ => fields.is_odd |= !is_plain(name),
            }
        }
        if bytes > limits.header_bytes { Err(HeadError::HeadTooLarge) } else { Ok(fields) }
    }
}

impl<'h> Field<'h> {
    fn add(&mut self, value: &'h HeaderValue) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }

    /// The field's value, if there is one; `error` if there are several.
    fn once(self, error: HeadError) -> Result<Option<&'h HeaderValue>, HeadError> {
        match self {
            Self::Absent => Ok(None),
            Self::Once(value) => Ok(Some(value)),
            Self::Repeated => Err(error),
        }
    }
}

/// Drops fields with names that another program could confuse with others.
// SECURITY: programs that turn fields into variables, like CGI, take `Transfer_Encoding` and `X_Forwarded_User` for
// `Transfer-Encoding` and `X-Forwarded-User`.
#[cold]
fn drop_odd(headers: &mut HeaderMap) -> DroppedNames {
    let odd: Vec<HeaderName> = headers.keys().filter(|name| !is_plain(name)).cloned().collect();
    for name in &odd {
        headers.remove(name);
    }
    DroppedNames(odd)
}

/// Whether a name, which is in lower case, consists of letters, digits and hyphens. Letters are checked first, because
/// this is done for each byte of nearly all names.
fn is_plain(name: &HeaderName) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.as_str().bytes().all(plain)
}

/// One `Transfer-Encoding: chunked`, or one canonical `Content-Length`, or neither (RFC 9112 §6).
fn check_length(fields: &Fields<'_>) -> Result<(), HeadError> {
    // SECURITY: hyper accepts any list that ends in `chunked`, and an upstream may read such a list differently.
    if let Some(coding) = fields.transfer_encoding.once(HeadError::Framing)?
        && !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
    {
        return Err(HeadError::Framing);
    }
    if let Some(length) = fields.content_length.once(HeadError::Framing)? {
        match length.as_bytes() {
            b"0" => {}
            [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {}
            _ => return Err(HeadError::Framing),
        }
    }
    Ok(())
}

/// The one well-formed authority, from the place that the HTTP version defines (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn check_host<B>(
    request: &Request<B>,
    fields: &Fields<'_>,
    needs_no_host: impl FnOnce(&str) -> bool,
) -> Result<Authority, HeadError> {
    let parse = |value| Authority::parse(value).ok_or(HeadError::Host);
    let host = fields.host.once(HeadError::Host)?.cloned();
    let target = match request.uri().authority() {
        Some(authority) => {
            Some(parse(HeaderValue::from_str(authority.as_str()).map_err(|_| HeadError::Host)?)?)
        }
        None => None,
    };
    match (target, host) {
        (Some(target), Some(host)) => {
            // SECURITY: we would route by one, and the upstream might route by the other.
            if target.agrees_with(&parse(host)?) { Ok(target) } else { Err(HeadError::Host) }
        }
        (Some(target), None) if request.version() == Version::HTTP_2 => Ok(target),
        (None, Some(host)) if request.version() != Version::HTTP_2 => parse(host),
        (None, None)
            if request.version() == Version::HTTP_10 && needs_no_host(request.uri().path()) =>
        {
            Ok(Authority::absent())
        }
        (Some(_) | None, None) | (None, Some(_)) => Err(HeadError::Host),
    }
}

/// Accepts origin-form, and turns absolute-form into it (RFC 9112 §3.2). hyper has removed a fragment.
fn check_target(uri: &mut Uri, limits: &Limits) -> Result<(), HeadError> {
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.len() > limits.target_bytes {
        return Err(HeadError::TargetTooLong);
    }
    let known =
        uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let visible = target.bytes().all(|byte| byte.is_ascii_graphic());
    if !known || !visible || !target.starts_with('/') {
        return Err(HeadError::Target);
    }
    if uri.authority().is_some() {
        *uri = match uri.path_and_query() {
            Some(target) if uri.path() != "/" || uri.query().is_some() => Uri::from(target.clone()),
            Some(_) | None => Uri::default(),
        };
    }
    Ok(())
}

/// Joins cookies: HTTP/2 may send each in its own field, applications expect one field (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, uri: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[track_caller]
    fn check_one(mut request: Request<()>, expected: Result<&str, HeadError>) {
        let limits = Limits { target_bytes: 40, ..Limits::default() };
        let authority =
            check(&mut request, &limits, |_| false).map(|authority| authority.as_str().to_owned());
        assert_eq!(authority, expected.map(str::to_owned), "{request:?}");
        if expected.is_ok() {
            assert_eq!((request.uri().authority(), request.uri().scheme()), (None, None));
        }
    }

    #[test]
    fn http1_request_needs_one_host_that_matches_its_target() {
        let check = |uri, hosts: &[&str], expected| {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            check_one(request(Version::HTTP_11, uri, &fields), expected);
        };
        check("/", &["a.example"], Ok("a.example"));
        check("/", &[], Err(HeadError::Host));
        check("/", &["a.example", "a.example"], Err(HeadError::Host));
        check("/", &["u@a.example"], Err(HeadError::Host));
        check("/", &[""], Err(HeadError::Host));
        check("http://A.example/x?y", &["a.example"], Ok("A.example"));
        check("HTTP://a.example", &["a.example"], Ok("a.example"));
        check("http://b.example/", &["a.example"], Err(HeadError::Host));
        check("http://u@a.example/", &["a.example"], Err(HeadError::Host));
        check("http://a.example/", &[], Err(HeadError::Host));
        check("ftp://a.example/", &["a.example"], Err(HeadError::Target));
        check("http://a.example?x", &["a.example"], Err(HeadError::Target));
        check("*", &["a.example"], Err(HeadError::Target));
        check("a.example:80", &["a.example:80"], Err(HeadError::Target));
    }

    #[test]
    fn http10_request_needs_no_host_for_a_probe() {
        let check = |version, uri, fields: &[(&str, &str)]| {
            let mut request = request(version, uri, fields);
            let checked = check(&mut request, &Limits::default(), |path| path == "/ping");
            checked.map(|authority| authority.as_str().to_owned())
        };
        assert_eq!(check(Version::HTTP_10, "/ping?x", &[]), Ok(String::new()));
        assert_eq!(check(Version::HTTP_10, "/ping", &[("host", "a")]), Ok("a".to_owned()));
        assert_eq!(check(Version::HTTP_10, "/ping", &[("host", "")]), Err(HeadError::Host));
        assert_eq!(check(Version::HTTP_10, "/", &[]), Err(HeadError::Host));
        assert_eq!(check(Version::HTTP_11, "/ping", &[]), Err(HeadError::Host));
        assert_eq!(check(Version::HTTP_2, "/ping", &[]), Err(HeadError::Host));
    }

    #[test]
    fn http2_request_needs_an_authority_that_matches_its_host() {
        let check = |uri, hosts: &[&str], expected| {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            check_one(request(Version::HTTP_2, uri, &fields), expected);
        };
        check("https://a.example/", &[], Ok("a.example"));
        check("https://a.example/", &["A.EXAMPLE"], Ok("a.example"));
        check("https://a.example/", &["b.example"], Err(HeadError::Host));
        check("https://u@a.example/", &[], Err(HeadError::Host));
        check("/", &["a.example"], Err(HeadError::Host));
        check("/", &[], Err(HeadError::Host));
    }

    #[test]
    fn target_must_be_visible_ascii_and_within_its_limit() {
        let check = |uri: &str, expected| {
            check_one(request(Version::HTTP_11, uri, &[("host", "a")]), expected);
        };
        check("/\u{e4}", Err(HeadError::Target));
        check(&format!("/{}", "x".repeat(39)), Ok("a"));
        check(&format!("/{}", "x".repeat(40)), Err(HeadError::TargetTooLong));
    }

    #[test]
    fn ambiguous_framing_is_rejected() {
        let check = |fields: &[(&str, &str)], expected| {
            let fields = [&[("host", "a")], fields].concat();
            check_one(request(Version::HTTP_11, "/", &fields), expected);
        };
        let (te, cl) = ("transfer-encoding", "content-length");
        check(&[(te, "chunked")], Ok("a"));
        check(&[(te, "Chunked")], Ok("a"));
        for ambiguous in
            ["gzip, chunked", "chunked, chunked", "identity", "\"chunked\"", ", chunked", ""]
        {
            check(&[(te, ambiguous)], Err(HeadError::Framing));
        }
        check(&[(te, "chunked"), (te, "chunked")], Err(HeadError::Framing));
        check(&[(cl, "0")], Ok("a"));
        check(&[(cl, "10")], Ok("a"));
        for ambiguous in ["010", "00", "+1", "0x1", "1_0", "5, 5", "", "-0"] {
            check(&[(cl, ambiguous)], Err(HeadError::Framing));
        }
        check(&[(cl, "1"), (cl, "1")], Err(HeadError::Framing));
    }

    #[test]
    fn connect_and_trace_are_rejected() {
        for method in ["CONNECT", "TRACE", "TRACK", "PRI"] {
            let mut request = request(Version::HTTP_11, "/", &[("host", "a")]);
            *request.method_mut() = method.parse().unwrap();
            check_one(request, Err(HeadError::Method));
        }
    }

    #[test]
    fn head_is_limited_by_bytes_and_count() {
        let large = "x".repeat(Limits::default().header_bytes);
        check_one(
            request(Version::HTTP_2, "https://a/", &[("x", &large)]),
            Err(HeadError::HeadTooLarge),
        );
        let mut long_method = request(Version::HTTP_11, "/", &[("host", "a")]);
        *long_method.method_mut() = large.parse().unwrap();
        check_one(long_method, Err(HeadError::HeadTooLarge));
        let many = vec![("cookie", "a=b"); Limits::default().header_count + 1];
        check_one(request(Version::HTTP_2, "https://a/", &many), Err(HeadError::HeadTooLarge));
    }

    #[test]
    fn ambiguous_names_are_dropped() {
        let fields = [
            ("host", "a"),
            ("x_forwarded_user", "admin"),
            ("x_forwarded_user", "root"),
            ("x.forwarded.user", "admin"),
            ("transfer.encoding", "x"),
            ("content_length", "7"),
            ("x-a!", "1"),
            ("x-ok", "1"),
        ];
        let mut request = request(Version::HTTP_11, "/", &fields);
        check(&mut request, &Limits::default(), |_| false).unwrap();
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["host", "x-ok"]);
    }

    #[test]
    fn cookie_crumbs_are_joined() {
        let fields = [("cookie", "a=1"), ("cookie", "b=2; c=3")];
        let mut request = request(Version::HTTP_2, "https://a/", &fields);
        check(&mut request, &Limits::default(), |_| false).unwrap();
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }
}
