//! Who may use the admin listener, and for what.
//! Invariants: on loopback it answers to loopback hosts only. What is more than health and metrics needs the token, or
//! without one a listener that no other machine reaches.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::pages::plain_text;
use crate::secret::Secret;
use crate::server::{ClientInfo, ListenAddress, LocalAddress};

/// The settings of the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Its address; `None`: off.
    pub listen: Option<ListenAddress>,
    /// The bearer token of operators.
    pub token: Option<Secret>,
}

/// Which requests the listener answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    hosts: AllowedHosts,
    token: Option<Secret>,
    /// Whether other machines cannot reach it.
    is_local: bool,
}

/// The hosts that a request to an admin listener may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AllowedHosts {
    /// All: other machines reach the listener, by names that only the operator knows.
    Any,
    /// `localhost`, names below it, and loopback addresses.
    Loopback,
}

impl Access {
    /// The access by these settings to a listener at these addresses.
    pub fn of(settings: &AdminSettings, addresses: &[LocalAddress]) -> Self {
        let is_local = addresses.iter().all(|address| match address {
            LocalAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            LocalAddress::Unix(_) => true,
        });
        Self { hosts: AllowedHosts::of(addresses), token: settings.token.clone(), is_local }
    }

    /// Whether a request may name its host.
    pub(super) fn has_host(&self, client: &ClientInfo) -> bool {
        self.hosts.contains(client)
    }

    /// Checks that an operator sends these fields.
    pub(super) fn check_operator(&self, headers: &HeaderMap) -> Result<(), NoOperator> {
        match &self.token {
            Some(token) if bearer(headers).is_some_and(|sent| sent == *token) => Ok(()),
            Some(_) => Err(NoOperator::WrongToken),
            None if self.is_local => Ok(()),
            None => Err(NoOperator::NoTokenConfigured),
        }
    }
}

/// Why a request is not an operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoOperator {
    /// It has another token than the configured one, or none.
    WrongToken,
    /// It may come from another machine, and no token is configured.
    NoTokenConfigured,
}

impl NoOperator {
    /// The answer to it.
    pub(super) fn response(self) -> Response<Body> {
        match self {
            Self::WrongToken => {
                let text = "this needs the header `Authorization: Bearer TOKEN` with the token of admin.token\n";
                let mut response = plain_text(StatusCode::UNAUTHORIZED, text);
                let challenge = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::NoTokenConfigured => {
                let text = "beyond loopback this needs a token: set admin.token\n";
                plain_text(StatusCode::FORBIDDEN, text)
            }
        }
    }
}

/// The token of the request (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

impl AllowedHosts {
    /// The hosts for a listener at these addresses.
    // SECURITY: an attacker's page can resolve its own name to 127.0.0.1, so that the listener is of the page's
    // origin (DNS rebinding). Browsers cannot reach a Unix socket.
    fn of(addresses: &[LocalAddress]) -> Self {
        let loopback = |address: &LocalAddress| match address {
            LocalAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            LocalAddress::Unix(_) => false,
        };
        if addresses.iter().all(loopback) { Self::Loopback } else { Self::Any }
    }

    fn contains(self, client: &ClientInfo) -> bool {
        match self {
            Self::Any => true,
            // A browser always sends a host.
            Self::Loopback => client.host().is_empty() || client.origin().is_loopback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> LocalAddress {
        LocalAddress::Tcp(text.parse().unwrap())
    }

    #[test]
    fn listener_on_loopback_addresses_answers_only_loopback_hosts() {
        let check = |addresses: &[LocalAddress], expected| {
            assert_eq!(AllowedHosts::of(addresses), expected, "{addresses:?}");
        };
        check(&[tcp("127.0.0.1:4181")], AllowedHosts::Loopback);
        check(&[tcp("127.0.0.2:4181"), tcp("[::1]:4181")], AllowedHosts::Loopback);
        check(&[tcp("[::ffff:127.0.0.1]:4181")], AllowedHosts::Loopback);
        check(&[tcp("0.0.0.0:4181")], AllowedHosts::Any);
        check(&[tcp("127.0.0.1:4181"), tcp("192.0.2.7:4181")], AllowedHosts::Any);
        check(&[LocalAddress::Unix("/run/admin.sock".into())], AllowedHosts::Any);
    }

    #[test]
    fn operator_has_the_token_or_is_on_this_machine() {
        let unix = LocalAddress::Unix("/run/admin.sock".into());
        let check = |token: Option<&str>, address: &LocalAddress, sent: Option<&str>, expected| {
            let token = token.map(Secret::new);
            let settings = AdminSettings { listen: None, token };
            let access = Access::of(&settings, std::slice::from_ref(address));
            let mut headers = HeaderMap::new();
            headers.extend(sent.map(|sent| (AUTHORIZATION, sent.parse().unwrap())));
            let status = access.check_operator(&headers).err().map(|no| no.response().status());
            assert_eq!(status.map(|status| status.as_u16()), expected, "{address:?} {sent:?}");
        };
        let anywhere = tcp("0.0.0.0:4181");
        for local in [&tcp("127.0.0.1:4181"), &unix] {
            check(None, local, None, None);
            check(Some("t"), local, None, Some(401));
            check(Some("t"), local, Some("bearer t"), None);
        }
        check(None, &anywhere, None, Some(403));
        check(None, &anywhere, Some("Bearer "), Some(403));
        for wrong in ["Bearer u", "Basic t", "t", "Bearer", "Bearer tt"] {
            check(Some("t"), &anywhere, Some(wrong), Some(401));
        }
        check(Some("t"), &anywhere, Some("Bearer t"), None);
    }
}
