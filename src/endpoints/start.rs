//! `start`: sends the browser to the provider's authorization endpoint.

use http::Response;

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::Error;
use crate::login::begin::Start;
use crate::login::return_to::ReturnTo;
use crate::login::{self, Failure};
use crate::routing::host;
use crate::server::ClientInfo;

impl Endpoints {
    /// `GET start?rd=&provider=&prompt=&login_hint=&ui_locales=`
    pub(super) async fn start(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
        let query = Query::parse(call.uri.query().unwrap_or_default());
        let options = query.options();
        if let Some(target) = self.target_of_public_url(call, &query) {
            return redirect(self.party.site().own_url(&options.start(target.as_str())).into());
        }
        let target = self.target(call, &query);
        let start = Start {
            options,
            target: &target,
            headers: call.headers,
            request: call.client.for_audit(),
        };
        match self.login.begin(start).await {
            Ok(there) => redirect(there),
            Err(Failure { error: login::Error::ChoiceNeeded, .. }) => {
                let choice = options.sign_in(target.as_str());
                redirect(self.party.site().own_path(&choice).into())
            }
            Err(failure) => Err(Box::new(failure).into()),
        }
    }

    /// Where to go after signing in.
    pub(super) fn target(&self, call: Call<'_>, query: &Query) -> ReturnTo {
        self.login.targets().parse_or_root(wanted(call, query))
    }

    /// The login cookie belongs to the host of `public_url`: asked on another host, the browser
    /// goes there first, with this target.
    pub(super) fn target_of_public_url(&self, call: Call<'_>, query: &Query) -> Option<ReturnTo> {
        self.target_from_elsewhere(call.client, wanted(call, query))
    }

    /// The place that `rd` names on a host that is not `public_url`'s, as seen from there.
    pub(super) fn target_from_elsewhere(
        &self,
        client: &ClientInfo,
        rd: Option<&str>,
    ) -> Option<ReturnTo> {
        let targets = self.login.targets();
        // To browsers the same name with a dot behind it is another host, with cookies of its own.
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
                // On a host that is none of ours there is nothing to come back to. But a proxy may keep the
                // host that its visitor sees to itself: to send that visitor where they are already would
                // never end.
                .or_else(|| (!client.is_trusted()).then(ReturnTo::root)),
        }
    }
}

/// The place that is asked for. Without `rd`, a trusted proxy may name the one that its visitor asked for,
/// for not every proxy can encode it into a query.
fn wanted<'q>(call: Call<'q>, query: &'q Query) -> Option<&'q str> {
    let told = || {
        let mut fields = call.headers.get_all("x-auth-request-redirect").iter();
        let only = fields.next()?;
        // Raw bytes of a path may be UTF-8; of two fields one is not the proxy's.
        fields.next().is_none().then(|| str::from_utf8(only.as_bytes()).ok())?
    };
    query.one("rd").or_else(|| call.client.is_trusted().then(told).flatten())
}
