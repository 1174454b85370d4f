//! `sign_in`: a page with a button for each provider. With one provider it redirects to `start`.

use http::{Response, StatusCode};
use url::Url;

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::Error;
use crate::gate::route::Route;
use crate::login::return_to::ReturnTo;
use crate::login::sign_in_options::SignInOptions;
use crate::login::{self, FailedSignIn};
use crate::pages::{Choice, Page};
use crate::providers::{AllowedProviders, Provider};

impl Endpoints {
    /// `GET sign_in?rd=`, and the parameters of `start` without `provider`.
    pub(super) fn sign_in(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
        let query = Query::parse(call.uri.query().unwrap_or_default());
        let options = query.options();
        if let Some(target) = self.target_of_public_url(call, &query) {
            let options = self.redirected(call, &query, &target)?;
            return redirect(self.party.site().own_url(&options.sign_in(target.as_str())).into());
        }
        let target = self.target(call, &query);
        let start = |provider: &Provider| {
            let start =
                SignInOptions { provider: Some(provider.id()), ..options }.start(target.as_str());
            self.party.site().own_path(&start)
        };
        let providers = self.providers_for(&target);
        let buttons: Vec<(&Provider, String)> =
            providers.map(|provider| (provider, start(provider))).collect();
        match buttons.as_slice() {
            [(_, only)] => redirect(only.clone().into()),
            [] => {
                let error = login::Error::UnknownProvider;
                Err(Box::new(FailedSignIn { error, target, provider: None, cookies: Vec::new() })
                    .into())
            }
            _ => {
                let choices: Vec<Choice<'_>> = buttons
                    .iter()
                    .map(|(provider, href)| Choice {
                        name: provider.name(),
                        icon: provider.icon(),
                        href,
                        is_down: provider.is_down(),
                    })
                    .collect();
                let site = self.site_of(&target);
                Ok(self.pages.respond(
                    &call.context(),
                    StatusCode::OK,
                    &Page::SignIn { choices: &choices, site: &site },
                ))
            }
        }
    }

    /// The providers that may sign in for a target, in the order of the page.
    pub fn providers_for(&self, target: &ReturnTo) -> impl Iterator<Item = &Provider> {
        let allowed =
            self.route_of(target).map_or(&AllowedProviders::All, |route| &route.providers);
        self.party.providers().for_route(allowed).map(AsRef::as_ref)
    }

    /// The host of a target.
    fn site_of(&self, target: &ReturnTo) -> String {
        let url = Url::parse(target.as_str()).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.unwrap_or_else(|| self.party.site().public_url().host()).to_owned()
    }

    /// The route of a target.
    fn route_of(&self, target: &ReturnTo) -> Option<&Route> {
        let base = Url::parse(&self.party.site().public_url().to_string()).ok()?;
        let url = base.join(target.as_str()).ok()?;
        let (host, path) = (url.host_str()?, url.path());
        let interpretations = self.routes.interpret(host, path).ok()?.by_names(path);
        self.routes.find(host, &interpretations).ok()
    }
}
