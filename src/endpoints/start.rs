//! `start`: sends the browser to the provider's authorization endpoint.

use http::Response;

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::Error;
use crate::login::begin::{Prompt, Start};
use crate::login::return_to::ReturnTo;
use crate::login::{self, Failure, Redirect};
use crate::routing::host;

impl Endpoints {
    /// `GET start?rd=&provider=&prompt=&login_hint=&ui_locales=`
    pub(super) async fn start(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
        let query = Query::parse(call.uri.query().unwrap_or_default());
        if let Some(there) = self.at_public_url(call, &query, "start") {
            return redirect(there);
        }
        let target = self.target(call, &query);
        let start = Start {
            provider: query.one("provider"),
            target: &target,
            restarted: query.one("restarted").is_some(),
            prompt: query.one("prompt").and_then(Prompt::parse),
            login_hint: query.one("login_hint"),
            ui_locales: query.one("ui_locales"),
            headers: call.headers,
            client_address: call.client.address(),
        };
        match self.login.begin(start).await {
            Ok(there) => redirect(there),
            Err(Failure { error: login::Error::ChoiceNeeded, target, .. }) => {
                let onward = query.onward(&target, None);
                let location = format!("{}/sign_in?{onward}", self.login.prefix);
                redirect(Redirect { location, cookies: Vec::new() })
            }
            Err(failure) => Err(Box::new(failure).into()),
        }
    }

    /// Where to go after signing in.
    pub(super) fn target(&self, call: Call<'_>, query: &Query) -> ReturnTo {
        self.login.places.parse_or_root(wanted(call, query))
    }

    /// The login cookie belongs to the host of `public_url`: asked on another host of ours, the browser
    /// goes there first, with the target made absolute.
    pub(super) fn at_public_url(
        &self,
        call: Call<'_>,
        query: &Query,
        path: &str,
    ) -> Option<Redirect> {
        let client = call.client;
        if host::normal(client.host()) == self.login.public_url.host() {
            return None;
        }
        let authority = client.authority().as_str();
        let target = match wanted(call, query) {
            Some(rd) if !rd.starts_with('/') => self.login.places.parse_or_root(Some(rd)),
            rd => match self.login.places.on_host(authority, rd.unwrap_or("/")) {
                Some(target) => target,
                // A proxy may keep the host that its visitor sees to itself: to send that visitor where
                // they are already would never end.
                None if client.is_trusted() => return None,
                // On a host that is none of ours there is nothing to come back to.
                None => ReturnTo::root(),
            },
        };
        let onward = query.onward(&target, query.one("provider"));
        let location = format!("{}?{onward}", self.login.own_url(&format!("/{path}")));
        Some(Redirect { location, cookies: Vec::new() })
    }
}

/// The place that is asked for. Without `rd`, a trusted proxy may name the one that its visitor asked for,
/// for not every proxy can encode it into a query.
fn wanted<'q>(call: Call<'q>, query: &'q Query) -> Option<&'q str> {
    let told = || call.headers.get("x-auth-request-redirect")?.to_str().ok();
    query.one("rd").or_else(|| call.client.is_trusted().then(told).flatten())
}
