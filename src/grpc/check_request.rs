//! Bytes -> `CheckRequest`: the request that Envoy has received and not forwarded yet.
//! Invariant: every header field of the request is in it, whichever of the two forms Envoy uses.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use prost::Message as _;

use crate::grpc::wire;

/// A request that Envoy describes. Nothing in it is checked but its encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckRequest {
    /// The address of Envoy's peer; `None` if it is not an IP address.
    pub source: Option<IpAddr>,
    /// The method.
    pub method: String,
    /// Path and query, as received.
    pub path: String,
    /// Host and port.
    pub host: String,
    /// `http` or `https`; empty if Envoy does not know it.
    pub scheme: String,
    /// Names, in lower case, and values. Pseudo-header fields are left out: they are the attributes above.
    pub fields: Vec<(String, Vec<u8>)>,
}

/// Why bytes are no `CheckRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// They are no message of this kind.
    #[error("the message is not a CheckRequest")]
    Malformed,
    /// The message describes no HTTP request.
    #[error("the CheckRequest describes no HTTP request")]
    NoRequest,
}

impl CheckRequest {
    /// Decodes a message.
    pub fn decode(message: &[u8]) -> Result<Self, Undecodable> {
        let request = wire::CheckRequest::decode(message).map_err(|_| Undecodable::Malformed)?;
        let attributes = request.attributes.ok_or(Undecodable::NoRequest)?;
        let http = attributes.request.and_then(|it| it.http).ok_or(Undecodable::NoRequest)?;
        let source = attributes.source.and_then(|it| it.address?.socket_address);
        Ok(Self {
            source: source
                .and_then(|it| it.address.parse::<IpAddr>().ok())
                .map(|it| it.to_canonical()),
            method: http.method,
            path: http.path,
            host: http.host,
            scheme: http.scheme,
            fields: fields(http.headers, http.header_map.unwrap_or_default()),
        })
    }
}

/// The fields of both forms.
// SECURITY: Envoy sends one form. If a message has both, no field of either may be overlooked. A field that is the
// same in both is one field.
fn fields(map: BTreeMap<String, String>, list: wire::HeaderMap) -> Vec<(String, Vec<u8>)> {
    let field = |name: String, value| (name.to_ascii_lowercase(), value);
    let of_list = list.headers.into_iter().map(|it| {
        field(it.key, if it.raw_value.is_empty() { it.value.into_bytes() } else { it.raw_value })
    });
    let of_map = map.into_iter().map(|(name, value)| field(name, value.into_bytes()));
    let is_field = |(name, _): &(String, Vec<u8>)| !name.starts_with(':');
    let mut fields: Vec<_> = of_list.filter(is_field).collect();
    let of_map: Vec<_> = of_map.filter(is_field).collect();
    if fields.is_empty() {
        return of_map;
    }
    let known: HashSet<_> = fields.iter().collect();
    let others: Vec<_> = of_map.into_iter().filter(|field| !known.contains(field)).collect();
    fields.extend(others);
    fields
}

#[cfg(test)]
impl CheckRequest {
    /// The message, in the form of `encode_raw_headers` or in the other one.
    pub(crate) fn encode(&self, form: FieldForm) -> Vec<u8> {
        let mut http = wire::HttpRequest {
            method: self.method.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            scheme: self.scheme.clone(),
            ..wire::HttpRequest::default()
        };
        match form {
            FieldForm::Raw => {
                let field = |(key, raw): &(String, Vec<u8>)| wire::HeaderValue {
                    key: key.clone(),
                    value: String::new(),
                    raw_value: raw.clone(),
                };
                let headers = self.fields.iter().map(field).collect();
                http.header_map = Some(wire::HeaderMap { headers });
            }
            FieldForm::Text => {
                for (name, value) in &self.fields {
                    let value = String::from_utf8_lossy(value);
                    let joint = if name == "cookie" { "; " } else { "," };
                    let joined = http.headers.entry(name.clone()).or_default();
                    joined.push_str(if joined.is_empty() { "" } else { joint });
                    joined.push_str(&value);
                }
            }
        }
        let address = self.source.map_or_else(String::new, |source| source.to_string());
        let socket_address = Some(wire::SocketAddress { address });
        let source = Some(wire::PeerAttributes { address: Some(wire::Address { socket_address }) });
        let request = Some(wire::RequestAttributes { http: Some(http) });
        let attributes = Some(wire::AttributeContext { source, request });
        wire::CheckRequest { attributes }.encode_to_vec()
    }
}

/// The form of the header fields in a message.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldForm {
    /// `header_map`.
    Raw,
    /// `headers`.
    Text,
}
