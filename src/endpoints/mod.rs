//! Our own paths, under `endpoint_prefix`, on every host and before any route.
//! Each file parses, calls one room, renders. Nothing under the prefix ever reaches an upstream.

pub mod auth;
pub mod callback;
pub mod query;
mod same_origin;
pub mod sign_in;
pub mod sign_out;
pub mod start;
pub mod userinfo;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Response, Uri};

use crate::body::Body;
use crate::error::Error;
use crate::gate::Gate;
use crate::gate::challenge::SubrequestMode;
use crate::gate::routes::Routes;
use crate::identity::headers::HeaderRule;
use crate::login::relying_party::RelyingParty;
use crate::login::{Login, Redirect};
use crate::pages::{self, Pages, ResponseContext, harden};
use crate::server::{Answered, ClientInfo};
use crate::telemetry::metrics::RouteMeter;

/// One of our paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'p> {
    /// `/sign_in`.
    SignIn,
    /// `/start`.
    Start,
    /// `/callback`, or `/callback/ID`.
    Callback(Option<&'p str>),
    /// `/sign_out`.
    SignOut,
    /// `/signed_out`.
    SignedOut,
    /// `/userinfo`.
    Userinfo,
    /// `/ping`.
    Ping,
    /// `/auth` or `/forward_auth`, alone or with the path that is asked about behind it.
    Auth(SubrequestMode, Option<&'p str>),
}

/// Answers our own paths.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The site, its providers and its sessions.
    pub party: Arc<RelyingParty>,
    /// Signs in and out.
    pub login: Arc<Login>,
    /// Knows the sessions.
    pub gate: Arc<Gate>,
    /// What is in front of what.
    pub routes: Arc<Routes>,
    /// What people see.
    pub pages: Arc<Pages>,
    /// What askers are told beside a route's own headers.
    pub auth_request: Arc<[HeaderRule]>,
    /// Every name under which askers are told an identity, by whatever route.
    pub identity_names: Arc<[HeaderName]>,
    /// Who may ask at the auth endpoints.
    pub clients: Arc<auth::clients::DeclaredClients>,
}

/// A request for one of our paths.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Names of fields that it had, too, and that are dropped from every request.
    pub dropped: &'a [HeaderName],
    /// Who asks.
    pub client: &'a ClientInfo,
    /// Its target.
    pub uri: &'a Uri,
    /// How the answer is given.
    pub asked: ResponseContext<'a>,
}

impl<'p> Endpoint<'p> {
    /// The endpoint at a path below the prefix, as it was sent: ours have one spelling.
    pub fn at(path: &'p str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let (name, below) = path.split_at_checked(path.find('/').unwrap_or(path.len()))?;
        Some(match (name, below) {
            ("sign_in", "") => Self::SignIn,
            ("start", "") => Self::Start,
            ("callback", "") => Self::Callback(None),
            ("callback", below) => Self::Callback(Some(provider_id(below)?)),
            ("sign_out", "") => Self::SignOut,
            ("signed_out", "") => Self::SignedOut,
            ("userinfo", "") => Self::Userinfo,
            ("ping", "") => Self::Ping,
            ("auth", below) => Self::Auth(SubrequestMode::StatusOnly, suffix(below)),
            ("forward_auth", below) => Self::Auth(SubrequestMode::Redirects, suffix(below)),
            _ => return None,
        })
    }

    /// The methods it has, as they stand in `Allow` (RFC 9110 §10.2.1); `None`: any.
    fn allow(self) -> Option<&'static str> {
        match self {
            // A HEAD of the callback would spend the code.
            Self::Callback(_) => Some("GET"),
            Self::SignOut => Some("GET, HEAD, POST"),
            Self::SignIn | Self::Start | Self::SignedOut | Self::Userinfo | Self::Ping => {
                Some("GET, HEAD")
            }
            // An asker may use the method that it asks about.
            Self::Auth(..) => None,
        }
    }
}

fn provider_id(below: &str) -> Option<&str> {
    let id = below.strip_prefix('/')?;
    let of_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!id.is_empty() && id.bytes().all(of_id)).then_some(id)
}

fn suffix(below: &str) -> Option<&str> {
    (!below.is_empty()).then_some(below)
}

impl Endpoints {
    /// Answers; tells where it is counted, too, if an asker's question was about a route.
    pub async fn answer(
        &self,
        endpoint: Endpoint<'_>,
        call: Call<'_>,
    ) -> (Option<&'static RouteMeter>, Result<Answered, Error>) {
        if let Some(allow) = endpoint.allow()
            && !allow.split(", ").any(|allowed| allowed == call.method.as_str())
        {
            return (None, Err(Error::Method { allow }));
        }
        let answer = match endpoint {
            Endpoint::SignIn => self.sign_in(call),
            Endpoint::Start => self.start(call).await,
            Endpoint::Callback(id) => self.callback(id, call).await,
            Endpoint::SignOut => self.sign_out(call),
            Endpoint::SignedOut => Ok(self.signed_out(call)),
            Endpoint::Userinfo => self.userinfo(call).await,
            Endpoint::Ping => Ok(ping()),
            Endpoint::Auth(asker, suffix) => return self.auth(asker, suffix, call).await,
        };
        (None, answer.map(Answered::from))
    }
}

/// 200, to whoever asks whether we are there.
pub fn ping() -> Response<Body> {
    let mut response = Response::new(Body::full("OK"));
    harden(response.headers_mut());
    response
}

/// A redirect of ours.
fn redirect(redirect: Redirect) -> Result<Response<Body>, Error> {
    let Redirect { location, cookies } = redirect;
    pages::redirect(location, cookies).map_err(|_| Error::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Endpoint<'_>>) {
        assert_eq!(Endpoint::at(path), expected, "{path}");
    }

    #[test]
    fn paths_are_exact() {
        check("/start", Some(Endpoint::Start));
        check("/callback", Some(Endpoint::Callback(None)));
        check("/callback/company", Some(Endpoint::Callback(Some("company"))));
        check("/auth", Some(Endpoint::Auth(SubrequestMode::StatusOnly, None)));
        check("/auth/", Some(Endpoint::Auth(SubrequestMode::StatusOnly, Some("/"))));
        check("/forward_auth//a", Some(Endpoint::Auth(SubrequestMode::Redirects, Some("//a"))));
        for path in [
            "",
            "/",
            "/start/",
            "/Start",
            "/callback/",
            "/callback/a/b",
            "/callback/..",
            "/starts",
            "/authx",
        ] {
            check(path, None);
        }
    }
}
