//! `sign_out` and `signed_out`.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{HeaderValue, Method, Response, StatusCode};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::same_origin::is_same_origin;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::Error;
use crate::gate::initiator::{Initiator, opens_unseen_by_scripts};
use crate::login::Redirect;
use crate::login::sign_out::SignedOut;
use crate::origin::Origin;
use crate::pages::{Format, Page, SignOutAtProvider, SignOutUnconfirmed};
use crate::providers::{AnswerKind, Logout, Provider};

impl Endpoints {
    /// `GET, POST sign_out?rd=`
    pub(super) async fn sign_out(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
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
        // Frameworks prefetch links by scripts, too.
        let is_opened =
            matches!(Initiator::of(call.headers), Initiator::Person | Initiator::Unknown);
        // A GET changes something only if a person opens it.
        let is_meant = match *call.method {
            Method::POST => true,
            Method::GET => is_opened,
            _ => false,
        };
        // SECURITY: this applies without a session too. A form on another site is sent without the `Lax` session
        // cookie, but the answer would still clear that cookie.
        if !is_meant || !is_same_origin(call.headers, &own, domain) {
            let query = target.as_ref().map(|target| {
                Serializer::new(String::from("?")).append_pair("rd", target.as_str()).finish()
            });
            let action =
                self.party.site().own_path(&format!("/sign_out{}", query.unwrap_or_default()));
            let page = Page::ConfirmSignOut { action: &action };
            return Ok(self.pages.respond(&call.context(), StatusCode::OK, &page));
        }
        // SECURITY: a script of an application on this origin, or its service worker, could read the token in a page
        // that it fetches.
        let is_page =
            opens_unseen_by_scripts(call.headers) && call.context().format == Format::Html;
        let answer = if is_page { AnswerKind::Any } else { AnswerKind::Redirect };
        let request = call.client.for_audit();
        let (headers, target) = (call.headers, target.as_ref());
        let signed_out = self.login.sign_out(headers, call.place(), target, answer, request).await;
        self.after_sign_out(call, signed_out)
    }

    /// The redirect to the provider or back, or the form that leads to the provider.
    fn after_sign_out(
        &self,
        call: Call<'_>,
        signed_out: SignedOut,
    ) -> Result<Response<Body>, Error> {
        let SignedOut { cookies, here, first, is_confirmed } = signed_out;
        if !is_confirmed {
            return Ok(self.unconfirmed(call, cookies, first));
        }
        let (provider, form) = match first {
            None => return redirect(Redirect { location: here, cookies }),
            Some((_, Logout::Redirect(url))) => {
                return redirect(Redirect { location: url.into(), cookies });
            }
            Some((provider, Logout::Form(form))) => (provider, form),
        };
        // `signed_out` redirects to a target, which may be on another host.
        let public_url = self.party.site().public_url();
        let target = Url::parse(&here).ok().and_then(|url| Origin::of(&url));
        let target = target.filter(|target| target != public_url);
        let origins: Vec<Origin> = Origin::of(&form.action)
            .into_iter()
            .chain([public_url.clone()])
            .chain(target)
            .collect();
        let page = Page::SignOutAtProvider(SignOutAtProvider {
            provider: provider.name(),
            action: form.action.as_str(),
            fields: &form.fields,
            origins: &origins,
            skip: &here,
        });
        Ok(with_cookies(self.pages.respond(&call.context(), StatusCode::OK, &page), cookies))
    }

    /// The page of a sign-out that not every instance obeys yet.
    fn unconfirmed(
        &self,
        call: Call<'_>,
        cookies: Vec<HeaderValue>,
        first: Option<(Arc<Provider>, Logout)>,
    ) -> Response<Body> {
        let at_provider = first.as_ref().and_then(|(provider, logout)| match logout {
            Logout::Redirect(url) => Some((provider.name(), url.as_str())),
            Logout::Form(_) => None,
        });
        let page = Page::SignOutUnconfirmed(SignOutUnconfirmed { at_provider });
        let status = StatusCode::SERVICE_UNAVAILABLE;
        with_cookies(self.pages.respond(&call.context(), status, &page), cookies)
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
        self.pages.respond(&call.context(), StatusCode::OK, &Page::SignedOut { sign_in })
    }
}

fn with_cookies(mut response: Response<Body>, cookies: Vec<HeaderValue>) -> Response<Body> {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
