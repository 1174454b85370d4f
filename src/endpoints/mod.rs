//! Our own paths, under `endpoint_prefix`, on every host and before any route.
//! Each file parses, calls one room, renders. Nothing under the prefix ever reaches an upstream.

pub mod admin;
pub mod callback;
pub mod health;
pub mod metrics;
pub mod query;
pub mod sign_in;
pub mod sign_out;
pub mod start;
pub mod userinfo;

use std::sync::Arc;

use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};

use crate::body::Body;
use crate::error::Error;
use crate::gate::Gate;
use crate::gate::route::Route;
use crate::login::{Login, Redirect};
use crate::pages::{Asked, Pages, harden};
use crate::routing::Table;
use crate::server::Client;

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
}

/// Answers our own paths.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Signs in and out.
    pub login: Arc<Login>,
    /// Knows the sessions.
    pub gate: Arc<Gate>,
    /// What is in front of what.
    pub routes: Arc<Table<Route>>,
    /// What people see.
    pub pages: Arc<Pages>,
}

/// A request for one of our paths.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub client: &'a Client,
    /// Its target.
    pub uri: &'a Uri,
    /// How the answer is given.
    pub asked: Asked<'a>,
}

impl<'p> Endpoint<'p> {
    /// The endpoint at a path below the prefix; compared exactly.
    pub fn at(path: &'p str) -> Option<Self> {
        Some(match path {
            "/sign_in" => Self::SignIn,
            "/start" => Self::Start,
            "/callback" => Self::Callback(None),
            "/sign_out" => Self::SignOut,
            "/signed_out" => Self::SignedOut,
            "/userinfo" => Self::Userinfo,
            "/ping" => Self::Ping,
            _ => {
                let id = path.strip_prefix("/callback/")?;
                return (!id.is_empty() && !id.contains('/')).then_some(Self::Callback(Some(id)));
            }
        })
    }

    /// The methods it has, as they stand in `Allow` (RFC 9110 §10.2.1).
    fn allow(self) -> &'static str {
        match self {
            // A HEAD of the callback would spend the code.
            Self::Callback(_) => "GET",
            Self::SignOut => "GET, HEAD, POST",
            Self::SignIn | Self::Start | Self::SignedOut | Self::Userinfo | Self::Ping => {
                "GET, HEAD"
            }
        }
    }
}

impl Endpoints {
    /// Answers.
    pub async fn answer(
        &self,
        endpoint: Endpoint<'_>,
        call: Call<'_>,
    ) -> Result<Response<Body>, Error> {
        let allow = endpoint.allow();
        if !allow.split(", ").any(|allowed| allowed == call.method.as_str()) {
            return Err(Error::Method { allow });
        }
        match endpoint {
            Endpoint::SignIn => self.sign_in(call),
            Endpoint::Start => self.start(call).await,
            Endpoint::Callback(id) => self.callback(id, call).await,
            Endpoint::SignOut => self.sign_out(call),
            Endpoint::SignedOut => Ok(self.signed_out(call)),
            Endpoint::Userinfo => self.userinfo(call),
            Endpoint::Ping => Ok(ping()),
        }
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
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let location = HeaderValue::try_from(redirect.location).map_err(|_| Error::Malformed)?;
    let headers = response.headers_mut();
    harden(headers);
    headers.insert(LOCATION, location);
    for cookie in redirect.cookies {
        headers.append(SET_COOKIE, cookie);
    }
    Ok(response)
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
        for path in
            ["", "/", "/start/", "/Start", "/callback/", "/callback/a/b", "/error", "/starts"]
        {
            check(path, None);
        }
    }
}
