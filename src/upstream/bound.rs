//! Connections to an upstream that are authenticated themselves: after `NTLM` or `Negotiate` the upstream takes
//! every request on a connection for one of the user who authenticated it (RFC 4559 §6).
//! Invariant: such a connection serves the requests of one client's connection, and is closed with it. If that may
//! carry several clients, it serves one request.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};

use crate::lock::lock;
use crate::upstream::pool::{Connection, Kept, Owner, Pool, remove};

/// The connections to upstreams that are bound to one client's connection. They close when the last copy is
/// dropped.
#[derive(Clone, Debug, Default)]
pub struct BoundConnections(Arc<Kept>);

/// The client's connection that a request came on. `B` makes the list of connections that are bound to it.
#[derive(Debug)]
pub enum Carrier<B> {
    /// It carries the requests of one client.
    OneClient {
        /// The connections that are bound to it: nearly always none.
        bound: Option<BoundConnections>,
        /// Called before the first connection is bound.
        bind: B,
    },
    /// It may carry those of several clients: HTTP/2, and proxies.
    SeveralClients,
}

impl BoundConnections {
    /// Closes those without a request under way.
    pub fn close(&self) {
        lock(&self.0).clear();
    }

    /// The connection to an upstream that is bound here.
    pub(super) async fn take(&self, pool: &Arc<Pool>) -> Option<Box<Connection>> {
        let mut connection = remove(&self.0, pool)?;
        connection.owner = Some(Owner::of(&self.0));
        // Its task may not have finished the request before.
        connection.is_ready_soon().await.then_some(connection)
    }

    /// Binds a connection.
    pub(super) fn bind(&self, pool: &Arc<Pool>, connection: &mut Connection) {
        pool.enlist(Owner::of(&self.0));
        connection.owner = Some(Owner::of(&self.0));
    }
}

/// Whether a field of credentials or challenges names a scheme that authenticates the connection.
pub(super) fn names_scheme(headers: &HeaderMap, field: &HeaderName) -> bool {
    let mut values = headers.get_all(field).iter();
    // A part of a quoted text may look like a scheme: binding one connection too many does no harm.
    values.any(|value| value.as_bytes().split(|byte| *byte == b',').any(authenticates_connection))
}

/// Removes the challenges of schemes that authenticate the connection. Returns whether there were any.
pub(super) fn remove_challenges(headers: &mut HeaderMap) -> bool {
    if !names_scheme(headers, &WWW_AUTHENTICATE) {
        return false;
    }
    let left: Vec<Option<HeaderValue>> =
        headers.get_all(WWW_AUTHENTICATE).iter().map(without_challenges).collect();
    headers.remove(WWW_AUTHENTICATE);
    for value in left.into_iter().flatten() {
        headers.append(WWW_AUTHENTICATE, value);
    }
    true
}

/// A list of challenges (RFC 9110 §11.6.1) without those of schemes that authenticate the connection.
fn without_challenges(value: &HeaderValue) -> Option<HeaderValue> {
    let mut dropping = false;
    let elements = elements(value.as_bytes());
    let left = elements.into_iter().filter(|element| {
        // A parameter belongs to the challenge before it.
        if !is_parameter(element) {
            dropping = authenticates_connection(element);
        }
        !dropping
    });
    let left = left.collect::<Vec<_>>().join(&b", "[..]);
    if left.is_empty() { None } else { HeaderValue::from_bytes(&left).ok() }
}

/// The elements of a list; a comma inside quotes separates nothing.
fn elements(list: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = list.split(|byte| {
        let parts = *byte == b',' && !quoted;
        quoted ^= *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && quoted && !escaped;
        parts
    });
    parts.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()).collect()
}

/// Whether an element of a list of challenges is `name=value` rather than the start of a challenge.
fn is_parameter(element: &[u8]) -> bool {
    let end = element.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'='));
    let rest = end.and_then(|end| element.get(end..)).unwrap_or_default();
    rest.trim_ascii_start().starts_with(b"=")
}

/// Whether credentials or a challenge are of a scheme that authenticates the connection: NTLM and Negotiate, and
/// those of WinRM.
fn authenticates_connection(element: &[u8]) -> bool {
    let element = element.trim_ascii_start();
    let scheme = element.split(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
    [&b"NTLM"[..], b"Negotiate", b"Kerberos", b"CredSSP"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(field: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (field.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn schemes_that_authenticate_the_connection_are_recognised() {
        for (values, expected) in [
            (&["NTLM"][..], true),
            (&["negotiate YII="], true),
            (&["Basic realm=\"x\"", "Negotiate"], true),
            (&["Basic realm=\"x\", NTLM"], true),
            (&["Bearer"], false),
            (&["NTLMX"], false),
            (&["Basic TlRMTQ=="], false),
            (&["Digest realm=\"NTLM\""], false),
            (&[], false),
        ] {
            let headers = headers(WWW_AUTHENTICATE, values);
            assert_eq!(names_scheme(&headers, &WWW_AUTHENTICATE), expected, "{values:?}");
        }
    }

    #[track_caller]
    fn check(values: &[&str], left: &[&str]) {
        let mut headers = headers(WWW_AUTHENTICATE, values);
        let removed = remove_challenges(&mut headers);
        let kept = headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap());
        let kept: Vec<_> = kept.collect();
        assert_eq!((kept.as_slice(), removed), (left, values != left), "{values:?}");
    }

    #[test]
    fn challenges_of_other_schemes_stay() {
        check(&["Negotiate", "NTLM", "Basic realm=\"a, b\""], &["Basic realm=\"a, b\""]);
        check(&["Negotiate, NTLM, Basic realm=\"x\""], &["Basic realm=\"x\""]);
        check(
            &["Digest realm=\"x\", nonce=\"1\" , qop = \"auth\",NTLM ,, Bearer"],
            &["Digest realm=\"x\", nonce=\"1\", qop = \"auth\", Bearer"],
        );
        check(
            &["Kerberos realm=\"x\", a=b, Basic realm=\"y\\\", NTLM\""],
            &["Basic realm=\"y\\\", NTLM\""],
        );
        check(&["ntlm TlRMTVNTUAAC=="], &[]);
        check(&["Bearer", "Basic realm=\"x\""], &["Bearer", "Basic realm=\"x\""]);
        check(&[], &[]);
    }
}
