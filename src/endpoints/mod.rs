//! The gateway's own paths, under `endpoint_prefix`, on every host and before any route.
//! Each file parses a request, calls one room, and renders the answer.
//! Invariant: no request under the prefix reaches an upstream.

pub mod auth;
pub mod callback;
pub mod ext_authz;
mod form;
mod query;
mod same_origin;
mod sign_in;
mod sign_out;
pub mod start;
mod userinfo;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};

use crate::body::Body;
use crate::error::Error;
use crate::gate::Gate;
use crate::gate::challenge::SubrequestMode;
use crate::gate::routes::Routes;
use crate::identity::answer_headers::AnswerNames;
use crate::login::relying_party::RelyingParty;
use crate::login::{Login, Redirect};
use crate::pages::{self, Format, Language, Pages, ResponseContext, harden};
use crate::providers::ResponseMode;
use crate::server::{Answered, ClientInfo};

/// A path of the gateway.
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
    /// `/ready`, which is not below the prefix.
    Ready,
    /// `/auth` or `/forward_auth`, alone or followed by the path of the original request.
    Auth(SubrequestMode, Option<&'p str>),
}

/// Answers requests to the gateway's own paths.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The site, its providers and its sessions.
    pub party: Arc<RelyingParty>,
    /// Sign-in and sign-out.
    pub login: Arc<Login>,
    /// The decision on auth subrequests, and the visitor of a request.
    pub gate: Arc<Gate>,
    /// The routes.
    pub routes: Arc<Routes>,
    /// The pages.
    pub pages: Arc<Pages>,
    /// The names of all identity headers in answers to auth subrequests, of every route.
    pub answer_names: AnswerNames,
    /// The proxies that may send auth subrequests.
    pub clients: Arc<auth::clients::DeclaredClients>,
}

/// A request to one of these paths.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// Names of header fields that were removed from it, as from every request.
    pub dropped: &'a [HeaderName],
    /// Its client.
    pub client: &'a ClientInfo,
    /// Its target.
    pub uri: &'a Uri,
}

impl<'a> Call<'a> {
    /// Its host and path, to which its cookies belong.
    fn place(self) -> (&'a str, &'a str) {
        (self.client.host(), self.uri.path())
    }

    /// Format and reference of its page. A page of the gateway offers what fits, so it has no button to try again.
    fn context(self) -> ResponseContext<'a> {
        let format = Format::with_status(self.headers);
        let language = Language::of_page(format, self.headers);
        ResponseContext {
            format,
            language,
            request_id: self.client.request_id().as_str(),
            retry: None,
        }
    }
}

impl<'p> Endpoint<'p> {
    /// The endpoint at a path below the prefix, as it was sent: an endpoint has one spelling.
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

    /// The value of `Allow` (RFC 9110 §10.2.1); `None`: any method is allowed. `callback` is that of `callback`.
    fn allow(self, callback: &'static str) -> Option<&'static str> {
        match self {
            Self::Callback(_) => Some(callback),
            Self::SignOut => Some("GET, HEAD, POST"),
            Self::SignIn
            | Self::Start
            | Self::SignedOut
            | Self::Userinfo
            | Self::Ping
            | Self::Ready => Some("GET, HEAD"),
            // The proxy may use the method of the original request.
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
    /// Answers a request.
    pub async fn answer(
        &self,
        endpoint: Endpoint<'_>,
        call: Call<'_>,
        body: Body,
    ) -> Result<Answered, Error> {
        // A HEAD would use up the code.
        let callback = match self.party.providers().any_uses(ResponseMode::FormPost) {
            true => "GET, POST",
            false => "GET",
        };
        if let Some(allow) = endpoint.allow(callback)
            && !allow.split(", ").any(|allowed| allowed == call.method.as_str())
        {
            return Err(Error::Method { allow });
        }
        let answer = match endpoint {
            Endpoint::SignIn => self.sign_in(call),
            // Boxed: they are rare and large, and would enlarge the future of every auth subrequest.
            Endpoint::Start => Box::pin(self.start(call)).await,
            Endpoint::Callback(id) => Box::pin(self.callback(id, call, body)).await,
            Endpoint::SignOut => Box::pin(self.sign_out(call)).await,
            Endpoint::SignedOut => Ok(self.signed_out(call)),
            Endpoint::Userinfo => Box::pin(self.userinfo(call)).await,
            Endpoint::Ping => Ok(ping()),
            Endpoint::Ready => Ok(ready(call.client)),
            Endpoint::Auth(mode, suffix) => return self.auth(mode, suffix, call).await,
        };
        answer.map(Answered::from)
    }
}

/// 200, to any client.
pub fn ping() -> Response<Body> {
    let mut response = Response::new(Body::full("OK"));
    harden(response.headers_mut());
    response
}

/// 200, or 503 once the process has got the order to stop, as `/readyz` of the admin listener.
fn ready(client: &ClientInfo) -> Response<Body> {
    if !client.tasks().is_stopping() {
        return ping();
    }
    let mut response = Response::new(Body::full("draining"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    harden(response.headers_mut());
    response
}

/// The response to a redirect of the sign-in or sign-out.
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
    fn endpoint_has_one_exact_path() {
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
