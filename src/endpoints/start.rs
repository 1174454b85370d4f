//! `start`: sends the browser to the provider's authorization endpoint.

use http::Response;

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::{AtStake, Error};
use crate::gate::initiator::Initiator;
use crate::login::begin::Start;
use crate::login::return_to::ReturnTo;
use crate::login::sign_in_options::SignInOptions;
use crate::login::{self, FailedSignIn, Redirect};
use crate::routing::host;
use crate::server::ClientInfo;

impl Endpoints {
    /// `GET start?rd=&provider=&prompt=&login_hint=&ui_locales=`
    pub(super) async fn start(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
        let query = Query::parse(call.uri.query().unwrap_or_default());
        let options = query.options();
        match Initiator::of(call.headers) {
            Initiator::Person | Initiator::Script | Initiator::Unknown => {}
            // SECURITY: a page could begin sign-ins in the browsers of its visitors.
            Initiator::Prefetch | Initiator::Frame | Initiator::Subresource => {
                return Err(self.not_opened(call, &query));
            }
        }
        if let Some(target) = self.target_of_public_url(call, &query) {
            let options = self.redirected(call, &query, &target)?;
            let location = self.party.site().own_url(&options.start(target.as_str()));
            let (host, path) = call.place();
            let cookies = self.party.cookies().clear_conflict(call.headers, host, path);
            return redirect(Redirect { location, cookies });
        }
        let target = self.target(call, &query);
        let start = Start {
            options,
            target: &target,
            requested: wanted(call, &query).unwrap_or_default(),
            headers: call.headers,
            place: call.place(),
            request: call.client.for_audit(),
        };
        match self.login.begin(start).await {
            Ok(there) => redirect(there),
            Err(FailedSignIn { error: login::Error::ChoiceNeeded, .. }) => {
                let choice = options.sign_in(target.as_str());
                redirect(self.party.site().own_path(&choice).into())
            }
            Err(failure) => Err(Box::new(failure).into()),
        }
    }

    /// The answer to a `start` that no person opened: 401, with the link to open.
    fn not_opened(&self, call: Call<'_>, query: &Query) -> Error {
        let start = |target: &str| query.options().start(target);
        let link = match wanted(call, query) {
            None => start(&self.gate.referring_page(call.headers, call.client)),
            Some(_) => {
                let elsewhere = self.target_of_public_url(call, query);
                start(elsewhere.unwrap_or_else(|| self.target(call, query)).as_str())
            }
        };
        let login_url = self.party.site().own_url(&link);
        Error::NotSignedIn { login_url, at_stake: AtStake::Nothing, cookies: None }
    }

    /// The target of the browser after the sign-in.
    pub(super) fn target(&self, call: Call<'_>, query: &Query) -> ReturnTo {
        self.login.targets().parse_or_root(wanted(call, query))
    }

    /// The target, if the request is on another host than `public_url`'s. The browser has to go to `public_url`
    /// first, because the login cookie belongs to that host.
    pub(super) fn target_of_public_url(&self, call: Call<'_>, query: &Query) -> Option<ReturnTo> {
        self.target_from_elsewhere(call.client, wanted(call, query))
    }

    /// The options of a sign-in that goes on at `public_url`.
    // A proxy in front that changes `Host` makes every request one for another host. Without the parameter, the
    // redirect would lead to itself without end.
    pub(super) fn redirected<'q>(
        &self,
        call: Call<'_>,
        query: &'q Query,
        target: &ReturnTo,
    ) -> Result<SignInOptions<'q>, Error> {
        if query.is_redirected() {
            let (host, request) = (call.client.host(), call.client.for_audit());
            return Err(Box::new(self.login.changed_host(host, target.clone(), request)).into());
        }
        Ok(SignInOptions { redirected: true, ..query.options() })
    }

    /// The target that `rd` names on a host other than `public_url`'s, as `rd` at `public_url`.
    pub(super) fn target_from_elsewhere(
        &self,
        client: &ClientInfo,
        rd: Option<&str>,
    ) -> Option<ReturnTo> {
        let targets = self.login.targets();
        // For browsers, the same name with a trailing dot is another host, with other cookies.
        let is_dotted = client.host().ends_with('.');
        if !is_dotted && host::normal(client.host()) == self.party.site().public_url().host() {
            return None;
        }
        let authority = client.authority().as_str();
        match rd {
            Some(rd) if !rd.starts_with('/') => Some(targets.parse_or_root(Some(rd))),
            rd => rd
                .and_then(|rd| targets.on_host(authority, rd))
                .or_else(|| targets.on_host(authority, "/"))
                // No route has this host, so there is nothing to return to. But a trusted proxy may not forward
                // the host that the browser sees; that may be `public_url`, and a redirect there would never end.
                .or_else(|| (!client.is_trusted()).then(ReturnTo::root)),
        }
    }
}

/// The requested target: `rd`, or the header of a trusted proxy. Not every proxy can encode a URL into a query.
fn wanted<'q>(call: Call<'q>, query: &'q Query) -> Option<&'q str> {
    let by_proxy = || {
        let mut fields = call.headers.get_all("x-auth-request-redirect").iter();
        let only = fields.next()?;
        // The bytes of a path may be UTF-8. Of two fields, one is not the proxy's.
        fields.next().is_none().then(|| str::from_utf8(only.as_bytes()).ok())?
    };
    query.one("rd").or_else(|| call.client.is_trusted().then(by_proxy).flatten())
}
