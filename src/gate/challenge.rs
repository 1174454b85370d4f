//! What a visitor who is not signed in meets: a redirect where a person is looking, else 401.

use http::header::{ORIGIN, REFERER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, Method, Response};
use url::{Position, Url};

use crate::body::Body;
use crate::error::Error;
use crate::gate::Gate;
use crate::gate::route::{Route, Unauthenticated};
use crate::login::sign_in_options::SignInOptions;
use crate::origin::Origin;
use crate::pages::{Format, redirect};
use crate::random;
use crate::server::{Answered, ClientInfo};
use crate::session::cookie::{Name, Sent};
use crate::telemetry::access_log::{LoggedDecision, Outcome};

/// The parts of a request that a challenge looks at.
#[derive(Clone, Copy)]
pub struct Challenged<'a> {
    /// The route.
    pub route: &'a Route,
    /// The method; `None` where an asker did not tell it.
    pub method: Option<&'a Method>,
    /// The fields.
    pub headers: &'a HeaderMap,
    /// Path and query.
    pub target: &'a str,
    /// Who asks, at which origin.
    pub client: &'a ClientInfo,
}

/// What the proxy that asks at an auth endpoint makes of our answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubrequestMode {
    /// It looks at the status alone: 2xx, 401 or 403 (nginx).
    StatusOnly,
    /// Its visitor gets whatever is no 2xx as it stands (Traefik, Caddy, Envoy).
    Redirects,
}

/// What an asker's visitor meets who is not signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubrequestChallenge {
    /// 302 to this absolute URL.
    Redirect(String),
    /// 401, with an absolute URL to sign in at.
    Unauthorized(String),
}

impl Gate {
    /// A redirect to sign in, or the error that says where to.
    pub fn challenge(&self, asked: Challenged<'_>) -> Result<Response<Body>, Error> {
        let tossed = self.party.cookies().sent(asked.headers, Name::Session) == Sent::Conflict;
        let cookies = tossed.then(|| {
            let path = asked.target.split('?').next().unwrap_or("/");
            self.party.cookies().clear_tossed(asked.client.host(), path, random::turn())
        });
        if !may_redirect(asked.route, asked.method, asked.headers) {
            return Err(Error::NotSignedIn { login_url: self.login_url(asked), cookies });
        }
        let sign_in = self.sign_in_path(asked.route, asked.target);
        let location = self.party.site().own_path(&sign_in);
        redirect(location, cookies.into_iter().flatten()).map_err(|_| Error::Malformed)
    }

    /// The same for an asker in front of an application: our paths may not be on that host, so all is
    /// absolute; and no cookie goes along, which would not reach the browser everywhere.
    pub fn challenge_subrequest(
        &self,
        asked: Challenged<'_>,
        asker: SubrequestMode,
    ) -> SubrequestChallenge {
        let target = format!("{}{}", asked.client.origin(), asked.target);
        let sign_in = self.party.site().own_url(&self.start_path(asked.route, &target));
        match asker {
            SubrequestMode::Redirects if may_redirect(asked.route, asked.method, asked.headers) => {
                SubrequestChallenge::Redirect(sign_in)
            }
            SubrequestMode::Redirects | SubrequestMode::StatusOnly => {
                let page = is_navigation(asked.headers);
                SubrequestChallenge::Unauthorized(if page {
                    sign_in
                } else {
                    self.login_url(asked)
                })
            }
        }
    }

    /// Where to sign in for a target on this host, below the prefix.
    pub fn sign_in_path(&self, route: &Route, target: &str) -> String {
        if self.takes_several(route) {
            SignInOptions::default().sign_in(target)
        } else {
            self.start_path(route, target)
        }
    }

    /// The same where whoever follows it may not be a person yet: `start` leads to the choice itself.
    fn start_path(&self, route: &Route, target: &str) -> String {
        let providers = self.party.providers();
        let mut usable = providers.for_route(&route.providers);
        match (usable.next(), usable.next()) {
            (Some(only), None) if providers.all().len() > 1 => {
                SignInOptions::at(Some(only.id())).start(target)
            }
            (_, None | Some(_)) => SignInOptions::default().start(target),
        }
    }

    /// An absolute URL at which a script can send its page to sign in, and come back to that page.
    fn login_url(&self, asked: Challenged<'_>) -> String {
        let target = self.page_of_script(asked.headers, asked.client);
        self.party.site().own_url(&self.start_path(asked.route, &target))
    }

    /// The page of this origin that a script runs on, as `rd` at `public_url`.
    pub fn page_of_script(&self, headers: &HeaderMap, client: &ClientInfo) -> String {
        let origin = client.origin();
        let page = headers.get(REFERER).and_then(|value| Url::parse(value.to_str().ok()?).ok());
        let page = page.filter(|page| Origin::of(page).as_ref() == Some(&origin));
        let page =
            page.as_ref().map_or("/", |page| &page[Position::BeforePath..Position::AfterQuery]);
        self.party.site().return_to(&origin, page)
    }
}

/// A redirect of a challenge, as the log knows it; the other answer has a name in the log by its error.
pub fn answered(response: Response<Body>) -> Answered {
    Answered::new(
        response,
        Outcome { decision: Some(LoggedDecision::SignIn), ..Outcome::default() },
    )
}

/// Whether a challenge is a redirect; else it is 401.
pub fn may_redirect(route: &Route, method: Option<&Method>, headers: &HeaderMap) -> bool {
    // An upgrade cannot follow a redirect, and a POST would lose its body on the way (RFC 9110 §15.4.3).
    let safe = method.is_some_and(|it| *it == Method::GET || *it == Method::HEAD);
    if !safe || is_upgrade(headers) {
        return false;
    }
    match route.unauthenticated {
        Unauthenticated::Auto => is_navigation(headers),
        Unauthenticated::Redirect => true,
        Unauthenticated::Unauthorized => false,
    }
}

/// Whether a person is looking: by `Sec-Fetch-*` (Fetch Metadata) where the browser sends it, else by
/// `Accept`. Redirecting a script's request would only show it the provider's page.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    if headers.keys().any(|name| name.as_str().starts_with("sec-fetch-")) {
        return is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
    }
    Format::with_status(headers) == Format::Html && !headers.contains_key("x-requested-with")
}

/// Whether an upgrade is asked for.
// SECURITY: `Upgrade` is for one connection, so an asker may keep it to itself, as Traefik does; by the
// fields that only a handshake has it is known still.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| matches!(*name, UPGRADE | SEC_WEBSOCKET_KEY | SEC_WEBSOCKET_VERSION))
}

/// Whether an upgrade is asked for by a page of an origin that is neither this one nor listed.
pub fn is_foreign_handshake(route: &Route, headers: &HeaderMap, client: &ClientInfo) -> bool {
    if !is_upgrade(headers) {
        return false;
    }
    let mut sent = headers.get_all(ORIGIN).iter();
    match (sent.next(), sent.next()) {
        // No browser: only those send a visitor's cookie without being told to.
        (None, _) => false,
        (Some(value), None) => {
            let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
            let known =
                |sent: Origin| sent == client.origin() || route.websocket_origins.contains(&sent);
            !Origin::parse(&value).is_ok_and(known)
        }
        (Some(_), Some(_)) => true,
    }
}
