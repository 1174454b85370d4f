//! The decision -> `CheckResponse`.
//! Invariants: there are two ways to make one, and no default. A denial has a code other than 0 and one of three
//! statuses, and sets no cookie. Every field replaces the one that is there, and none is added to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, SET_COOKIE};
use http::{HeaderName, StatusCode};
use prost::Message as _;

use crate::grpc::wire;

/// The answer to a `CheckRequest`.
// SECURITY: an empty message has the code 0, with which Envoy forwards the request.
#[derive(Clone, Debug)]
pub struct CheckResponse(wire::CheckResponse);

/// What Envoy changes in a request that is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// Fields that replace those of the request.
    pub set: Vec<(HeaderName, String)>,
    /// Names of fields to remove.
    pub remove: Vec<HeaderName>,
}

/// The status of a request that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialStatus {
    /// 302 to sign-in.
    Found,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
}

/// What Envoy can write in its access log, under the name of its filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionMetadata {
    /// The user, if known.
    pub user: Option<String>,
    /// The name of the route, if there is one.
    pub route: Option<String>,
    /// What decided: `public`, `authenticated`, the rule that allows (`allow[0]`), or why the request is denied.
    pub rule: Option<String>,
}

impl CheckResponse {
    /// The request is allowed, with these changes.
    pub fn allowed(changes: HeaderChanges, metadata: DecisionMetadata) -> Self {
        let HeaderChanges { set, remove } = changes;
        let headers = set.into_iter().map(|(name, value)| field(name.as_str(), value)).collect();
        let headers_to_remove = remove.iter().map(HeaderName::to_string).collect();
        Self(wire::CheckResponse {
            status: Some(wire::Status { code: OK }),
            denied_response: None,
            ok_response: Some(wire::OkHttpResponse { headers, headers_to_remove }),
            dynamic_metadata: Some(metadata.into_wire()),
        })
    }

    /// The request is not allowed. Envoy sends status, header fields and body to its client.
    pub fn denied(
        status: DenialStatus,
        headers: &HeaderMap,
        body: &Bytes,
        metadata: DecisionMetadata,
    ) -> Self {
        // SECURITY: `start` sets the cookies of a sign-in. The application's are for no one who is not allowed.
        let own = headers.iter().filter(|(name, _)| **name != SET_COOKIE && **name != COOKIE);
        let headers = own.map(|(name, value)| {
            field(name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let denied = wire::DeniedHttpResponse {
            status: Some(wire::HttpStatus { code: i32::from(status.http().as_u16()) }),
            headers: headers.collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        };
        Self(wire::CheckResponse {
            status: Some(wire::Status { code: status.code() }),
            denied_response: Some(denied),
            ok_response: None,
            dynamic_metadata: Some(metadata.into_wire()),
        })
    }

    /// The message.
    pub fn encode(&self) -> Bytes {
        self.0.encode_to_vec().into()
    }
}

impl DenialStatus {
    /// The denial with this status. Every other status is that of a fault, with which a request is denied.
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::FOUND => Self::Found,
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            _ => Self::Forbidden,
        }
    }

    /// The status that the client of Envoy gets.
    pub fn http(self) -> StatusCode {
        match self {
            Self::Found => StatusCode::FOUND,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }

    /// `status.code`, which is never 0.
    fn code(self) -> i32 {
        match self {
            Self::Found | Self::Unauthorized => UNAUTHENTICATED,
            Self::Forbidden => PERMISSION_DENIED,
        }
    }
}

impl DecisionMetadata {
    fn into_wire(self) -> wire::Struct {
        let Self { user, route, rule } = self;
        let all = [("user", user), ("route", route), ("rule", rule)];
        let known = all.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let value = |text| wire::Value { kind: Some(wire::Kind::Text(text)) };
        let fields: BTreeMap<_, _> =
            known.map(|(name, text)| (name.to_owned(), value(text))).collect();
        wire::Struct { fields }
    }
}

/// A field that replaces the one that is there.
// SECURITY: without `append`, some versions of Envoy overwrite, and others add the value to the visitor's own.
// `append_action` says the same to versions that no longer read `append`.
fn field(name: &str, value: String) -> wire::HeaderValueOption {
    let header = wire::HeaderValue { key: name.to_owned(), value, raw_value: Vec::new() };
    wire::HeaderValueOption {
        header: Some(header),
        append: Some(wire::BoolValue { value: false }),
        append_action: OVERWRITE_IF_EXISTS_OR_ADD,
    }
}

const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;
const UNAUTHENTICATED: i32 = 16;
const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;

/// A `CheckResponse` as Envoy reads it.
#[cfg(test)]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) code: i32,
    /// The status of a denial; 0 for none.
    pub(crate) status: i32,
    /// The fields to set, or those of a denial.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) remove: Vec<String>,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) body: String,
}

#[cfg(test)]
impl Read {
    pub(crate) fn of(message: &[u8]) -> Self {
        let read = wire::CheckResponse::decode(message).unwrap();
        assert!(read.ok_response.is_some() != read.denied_response.is_some(), "{read:?}");
        let ok = read.ok_response.unwrap_or_default();
        let denied = read.denied_response.unwrap_or_default();
        let headers = ok.headers.into_iter().chain(denied.headers).map(|field| {
            assert_eq!(field.append, Some(wire::BoolValue { value: false }), "{field:?}");
            assert_eq!(field.append_action, OVERWRITE_IF_EXISTS_OR_ADD, "{field:?}");
            let header = field.header.unwrap();
            (header.key, header.value)
        });
        let metadata = read.dynamic_metadata.unwrap_or_default().fields.into_iter();
        let metadata = metadata.map(|(name, value)| {
            let wire::Kind::Text(text) = value.kind.unwrap();
            (name, text)
        });
        Self {
            code: read.status.unwrap_or_default().code,
            status: denied.status.unwrap_or_default().code,
            headers: headers.collect(),
            remove: ok.headers_to_remove,
            metadata: metadata.collect(),
            body: denied.body,
        }
    }
}
