//! The answer to a visitor who is not signed in: a redirect to sign-in for a page that a person opens, else 401.

use http::header::{ORIGIN, REFERER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, Method, Response};
use url::{Position, Url};

use crate::body::Body;
use crate::error::{AtStake, Error};
use crate::gate::Gate;
use crate::gate::initiator::Initiator;
use crate::gate::route::{Route, Unauthenticated};
use crate::login::sign_in_options::SignInOptions;
use crate::origin::Origin;
use crate::pages::redirect;
use crate::random;
use crate::server::{Answered, ClientInfo};
use crate::session::cookie::{Name, Sent};
use crate::telemetry::access_log::{LoggedDecision, Outcome};

/// The parts of a request that the answer depends on.
#[derive(Clone, Copy)]
pub struct Challenged<'a> {
    /// The route.
    pub route: &'a Route,
    /// The method; `None` if an auth subrequest did not name it.
    pub method: Option<&'a Method>,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// Path and query.
    pub target: &'a str,
    /// The client, and the origin that it uses.
    pub client: &'a ClientInfo,
}

/// What a proxy does with the answer to its auth subrequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubrequestMode {
    /// It uses the status only: 2xx, 401 or 403 (nginx).
    StatusOnly,
    /// It sends every answer but a 2xx to its client unchanged (Traefik, Caddy, Envoy).
    Redirects,
}

/// The answer to an auth subrequest for a visitor who is not signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubrequestChallenge {
    /// 302 to this absolute URL.
    Redirect(String),
    /// 401.
    Unauthorized {
        /// An absolute URL for signing in.
        login_url: String,
        /// What the visitor would lose by leaving for it.
        at_stake: AtStake,
    },
}

impl Gate {
    /// A redirect to sign-in, or a 401 with the URL for it.
    pub fn challenge(&self, request: Challenged<'_>) -> Result<Response<Body>, Error> {
        // SECURITY: cookie tossing: another host of the domain may have set a second session cookie.
        let tossed = self.party.cookies().sent(request.headers, Name::Session) == Sent::Conflict;
        let cookies = tossed.then(|| {
            let path = request.target.split('?').next().unwrap_or("/");
            self.party.cookies().clear_tossed(request.client.host(), path, random::turn())
        });
        let initiator = Initiator::of(request.headers);
        if !may_redirect(request.route, request.method, request.headers, initiator) {
            let site = self.party.site();
            let own = || site.return_to(&request.client.origin(), request.target);
            let login_url = self.login_url(request, initiator, own);
            let at_stake = at_stake(request, initiator);
            return Err(Error::NotSignedIn { login_url, at_stake, cookies });
        }
        let sign_in = self.sign_in_path(request.route, request.target);
        let location = self.party.site().own_path(&sign_in);
        redirect(location, cookies.into_iter().flatten()).map_err(|_| Error::Malformed)
    }

    /// The same for an auth subrequest. All URLs are absolute, as the host of the application need not have the
    /// gateway's endpoints. It sets no cookie, as not every proxy passes it to the browser.
    pub fn challenge_subrequest(
        &self,
        request: Challenged<'_>,
        mode: SubrequestMode,
    ) -> SubrequestChallenge {
        let own = || request.client.origin().url(request.target);
        let initiator = Initiator::of(request.headers);
        match mode {
            SubrequestMode::Redirects
                if may_redirect(request.route, request.method, request.headers, initiator) =>
            {
                let sign_in = self.start_path(request.route, &own());
                SubrequestChallenge::Redirect(self.party.site().own_url(&sign_in))
            }
            SubrequestMode::Redirects | SubrequestMode::StatusOnly => {
                let login_url = self.login_url(request, initiator, own);
                let at_stake = at_stake(request, initiator);
                SubrequestChallenge::Unauthorized { login_url, at_stake }
            }
        }
    }

    /// The link for signing in and returning to a target on this host, below the endpoint prefix.
    pub fn sign_in_path(&self, route: &Route, target: &str) -> String {
        if self.has_several_providers(route) {
            SignInOptions::default().sign_in(target)
        } else {
            self.start_path(route, target)
        }
    }

    /// The link of [`Self::sign_in_path`] for a program, which may request it before a browser does: always `start`,
    /// which redirects to the choice of a provider if there are several.
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

    /// An absolute URL for signing in and returning to the page: to the request's `own` URL if it is for a page, else
    /// to the page that it was sent from.
    fn login_url(
        &self,
        request: Challenged<'_>,
        initiator: Initiator,
        own: impl FnOnce() -> String,
    ) -> String {
        // An auth subrequest that names no method is most likely about a GET.
        let is_page = request.method.is_none_or(is_safe) && initiator == Initiator::Person;
        let page =
            if is_page { own() } else { self.referring_page(request.headers, request.client) };
        self.party.site().own_url(&self.start_path(request.route, &page))
    }

    /// The page of this origin that a request was sent from, by `Referer`, as a value of `rd` at `public_url`.
    pub fn referring_page(&self, headers: &HeaderMap, client: &ClientInfo) -> String {
        let origin = client.origin();
        let page = headers.get(REFERER).and_then(|value| Url::parse(value.to_str().ok()?).ok());
        let page = page.filter(|page| Origin::of(page).as_ref() == Some(&origin));
        let page =
            page.as_ref().map_or("/", |page| &page[Position::BeforePath..Position::AfterQuery]);
        self.party.site().return_to(&origin, page)
    }
}

/// A redirect to sign-in with its outcome for the log. The outcome of a 401 is that of its error.
pub fn answered(response: Response<Body>) -> Answered {
    Answered::new(
        response,
        Outcome { decision: Some(LoggedDecision::SignIn), ..Outcome::default() },
    )
}

/// Whether the answer is a redirect; else it is 401.
pub fn may_redirect(
    route: &Route,
    method: Option<&Method>,
    headers: &HeaderMap,
    initiator: Initiator,
) -> bool {
    // A WebSocket client does not follow redirects, and a POST would lose its body (RFC 9110 §15.4.3).
    if !method.is_some_and(is_safe) || is_upgrade(headers) {
        return false;
    }
    match route.unauthenticated {
        // A script that is redirected would receive the provider's page, which it cannot use. Nor can a
        // frame: providers forbid framing of their sign-in page.
        Unauthenticated::Auto => initiator == Initiator::Person,
        Unauthenticated::Redirect => true,
        Unauthenticated::Unauthorized => false,
    }
}

fn is_safe(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// The answer to a form replaces the page with the form, so what the person entered is lost.
fn at_stake(request: Challenged<'_>, initiator: Initiator) -> AtStake {
    match initiator {
        Initiator::Person | Initiator::Frame if request.method == Some(&Method::POST) => {
            AtStake::Form
        }
        Initiator::Person
        | Initiator::Frame
        | Initiator::Prefetch
        | Initiator::Subresource
        | Initiator::Script
        | Initiator::Unknown => AtStake::Nothing,
    }
}

/// Whether a request is an upgrade.
// SECURITY: `Upgrade` is a hop-by-hop header, so a proxy may leave it out of its auth subrequest, as Traefik does. The
// headers that only a WebSocket handshake has show it too.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| matches!(*name, UPGRADE | SEC_WEBSOCKET_KEY | SEC_WEBSOCKET_VERSION))
}

/// Whether a request is an upgrade by a page of an origin that is neither the request's own nor listed.
pub fn is_foreign_handshake(route: &Route, headers: &HeaderMap, client: &ClientInfo) -> bool {
    if !is_upgrade(headers) {
        return false;
    }
    let mut sent = headers.get_all(ORIGIN).iter();
    match (sent.next(), sent.next()) {
        // Not a browser. Only browsers add a cookie to a request that a foreign page makes.
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
