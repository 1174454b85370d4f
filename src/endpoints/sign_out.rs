//! `sign_out` and `signed_out`.

use http::{Method, Response, StatusCode};
use url::form_urlencoded::Serializer;

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::same_origin::is_same_origin;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::Error;
use crate::gate::initiator::Initiator;
use crate::pages::Page;

impl Endpoints {
    /// `GET, POST sign_out?rd=`
    pub(super) fn sign_out(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
        let query = Query::parse(call.uri.query().unwrap_or_default());
        let targets = self.login.targets();
        // A path on another host means that host, also after the redirect through the provider.
        let target = query.one("rd").map(|rd| {
            let elsewhere = self.target_from_elsewhere(call.client, Some(rd));
            let elsewhere = elsewhere.map(|target| targets.absolute(&target));
            elsewhere.unwrap_or_else(|| targets.parse_or_root(Some(rd)))
        });
        let (origin, domain) = (call.client.origin(), self.party.cookies().domain());
        let own = [self.party.site().public_url(), &origin];
        // A GET changes something only if a person opens it. Frameworks prefetch links by scripts, too.
        let is_opened = match *call.method {
            Method::POST => true,
            Method::GET => {
                matches!(Initiator::of(call.headers), Initiator::Person | Initiator::Unknown)
            }
            _ => false,
        };
        // SECURITY: this applies without a session too. A form on another site is sent without the `Lax` session
        // cookie, but the answer would still clear that cookie (T88).
        if !is_opened || !is_same_origin(call.headers, &own, domain) {
            let query = target.as_ref().map(|target| {
                Serializer::new(String::from("?")).append_pair("rd", target.as_str()).finish()
            });
            let action =
                self.party.site().own_path(&format!("/sign_out{}", query.unwrap_or_default()));
            let page = Page::ConfirmSignOut { action: &action };
            return Ok(self.pages.respond(&call.context, StatusCode::OK, &page));
        }
        let request = call.client.for_audit();
        redirect(self.login.sign_out(call.headers, call.place(), target.as_ref(), request))
    }

    /// `GET signed_out`
    pub(super) fn signed_out(&self, call: Call<'_>) -> Response<Body> {
        let query = Query::parse(call.uri.query().unwrap_or_default());
        let target = query.one("state").and_then(|state| self.login.signed_out_target(state));
        if let Some(target) = target
            && let Ok(response) = redirect(target.into())
        {
            return response;
        }
        let sign_in = self.party.site().own_path("/sign_in");
        // If the applications are on other hosts, there is nothing to return to on this one.
        let sign_in = self.routes.has_host(call.client.host()).then_some(&*sign_in);
        self.pages.respond(&call.context, StatusCode::OK, &Page::SignedOut { sign_in })
    }
}
