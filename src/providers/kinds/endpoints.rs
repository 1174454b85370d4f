//! The URLs of a provider by its kind and options.

use url::Url;

use crate::oidc::discovery::ProviderEndpoints;
use crate::origin::Origin;
use crate::providers::kinds::{
    IssuerSource, KindOptions, KnownEndpoint, ProviderKind, SignInProtocol,
};

impl ProviderKind {
    /// The issuer identifier by the options. `None`: it has to be configured.
    pub fn issuer(&self, options: &KindOptions) -> Option<String> {
        match self.protocol {
            SignInProtocol::OpenId { issuer: IssuerSource::Required, .. } => None,
            SignInProtocol::OpenId { issuer: IssuerSource::Template(text), .. } => {
                Some(options.fill(text))
            }
            SignInProtocol::OpenId { issuer: IssuerSource::Tenants(text), .. } => {
                options.one("tenant").map(|_| options.fill(text))
            }
            SignInProtocol::OAuth(_) => None,
        }
    }

    /// The endpoints, where none is configured, and the base URL of the API. A configured profile URL
    /// (`endpoints.userinfo`) moves the API to its place, and a configured issuer moves what is at the origin of the kind's
    /// own. What this gateway requests at the origin of the authorization endpoint is at the internal origin, if there is
    /// one.
    pub fn endpoints(
        &self,
        options: &KindOptions,
        issuer: Option<&str>,
        configured: ProviderEndpoints,
        internal: Option<&Origin>,
    ) -> (ProviderEndpoints, Option<Url>) {
        let origin_of = |issuer: &str| Url::parse(issuer).ok().as_ref().and_then(Origin::of);
        let usual = self.issuer(options).as_deref().and_then(origin_of);
        let issuer = issuer.and_then(origin_of);
        // SECURITY: the tokens of another issuer must not go to the provider's own service.
        let moved_with_issuer = |url: Url| match &issuer {
            Some(issuer) if usual.is_some() && Origin::of(&url) == usual => issuer.at(&url),
            Some(_) | None => Some(url),
        };
        // Without the option that a template names, there is no such URL.
        let url = |template| {
            let text = options.fill(template);
            let url = Url::parse(&text).ok().filter(|_| !text.contains('{'));
            url.and_then(moved_with_issuer)
        };
        let own = |kind: &Self| kind.api.and_then(|api| api.own);
        let template = match own(self) {
            Some(own) if options.is_changed(self, "url") => Some(own),
            Some(_) | None => self.api.map(|api| api.base),
        };
        let mut api = template.and_then(url);
        let mut endpoints = configured;
        if let Some(api) = &mut api {
            self.move_with_userinfo(api, &endpoints);
        }
        for (endpoint, template) in self.endpoints {
            let place = match endpoint {
                KnownEndpoint::Userinfo => &mut endpoints.userinfo,
                KnownEndpoint::EndSession => &mut endpoints.end_session,
                KnownEndpoint::Revocation => &mut endpoints.revocation,
            };
            *place = place.take().or_else(|| url(template));
        }
        let SignInProtocol::OAuth(oauth) = self.protocol else { return (endpoints, api) };
        endpoints.authorization =
            endpoints.authorization.or_else(|| oauth.authorization.and_then(url));
        let public = endpoints.authorization.as_ref().and_then(Origin::of);
        let own = |url: Url| match internal {
            Some(internal) if Origin::of(&url) == public => internal.at(&url).unwrap_or(url),
            Some(_) | None => url,
        };
        endpoints.token = endpoints.token.or_else(|| oauth.token.and_then(url).map(own));
        if let Some(path) = oauth.profile {
            match &mut endpoints.userinfo {
                Some(configured) => api = api.map(|_| moved(configured, path)),
                none => {
                    api = api.map(own);
                    *none = api.as_ref().and_then(|base| below(base, path));
                }
            }
        }
        (endpoints, api)
    }

    /// Moves the base of the API to where userinfo is configured, if it is a part of the API.
    fn move_with_userinfo(&self, api: &mut Url, configured: &ProviderEndpoints) {
        let known = self.endpoints.iter().find(|(name, _)| *name == KnownEndpoint::Userinfo);
        let path = known.and_then(|(_, url)| url.strip_prefix(self.api?.base));
        if let (Some(path), Some(userinfo)) = (path, &configured.userinfo) {
            *api = moved(&mut userinfo.clone(), path);
        }
    }
}

/// The base of an API whose profile, at this path below it, is at this URL. The query of the path is added to a URL
/// without one.
fn moved(profile: &mut Url, path: &str) -> Url {
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    if profile.query().is_none() {
        profile.set_query(query);
    }
    let mut base = profile.clone();
    base.set_query(None);
    let below = base.path().strip_suffix(path).unwrap_or_default().to_owned();
    base.set_path(&below);
    base
}

fn below(base: &Url, path: &str) -> Option<Url> {
    Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::providers::kinds::ALL;

    fn github(url: Option<&str>, userinfo: Option<&str>) -> Vec<String> {
        let kind = ProviderKind::by_name("github").unwrap();
        let url = url.map(|url| ("url", vec![url.to_owned()]));
        let options = KindOptions::new(kind, url.into_iter().collect());
        let userinfo = userinfo.map(|url| Url::parse(url).unwrap());
        let configured = ProviderEndpoints { userinfo, ..ProviderEndpoints::default() };
        let (endpoints, api) = kind.endpoints(&options, None, configured, None);
        let urls = [endpoints.authorization, endpoints.token, endpoints.userinfo, api];
        urls.into_iter().flatten().map(String::from).collect()
    }

    #[test]
    fn github_is_at_its_service_or_at_a_server_of_ones_own() {
        let expected = [
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
            "https://api.github.com/user",
            "https://api.github.com/",
        ];
        assert_eq!(github(None, None), expected);
        let own = [
            "https://git.example/login/oauth/authorize",
            "https://git.example/login/oauth/access_token",
            "https://git.example/api/v3/user",
            "https://git.example/api/v3",
        ];
        assert_eq!(github(Some("https://git.example/"), None), own);
    }

    #[test]
    fn configured_profile_moves_the_api() {
        let moved = github(None, Some("http://localhost:1/api/v3/user"));
        assert_eq!(moved[2..], ["http://localhost:1/api/v3/user", "http://localhost:1/api/v3"]);
        let elsewhere = github(None, Some("http://localhost:1/me"));
        assert_eq!(elsewhere[3], "http://localhost:1/");
    }

    #[test]
    fn configured_userinfo_moves_the_api_of_discord() {
        let kind = ProviderKind::by_name("discord").unwrap();
        let options = KindOptions::new(kind, BTreeMap::new());
        let of = |userinfo: Option<&str>| {
            let userinfo = userinfo.map(|url| Url::parse(url).unwrap());
            let configured = ProviderEndpoints { userinfo, ..ProviderEndpoints::default() };
            let (endpoints, api) = kind.endpoints(&options, None, configured, None);
            [endpoints.userinfo, api].map(|url| url.unwrap().to_string())
        };
        let own = ["https://discord.com/api/oauth2/userinfo", "https://discord.com/api"];
        assert_eq!(of(None), own);
        let moved = ["http://localhost:1/api/oauth2/userinfo", "http://localhost:1/api"];
        assert_eq!(of(Some(moved[0])), moved);
    }

    #[test]
    fn configured_issuer_moves_what_is_at_the_origin_of_the_kind_s_own() {
        let of = |name: &str, issuer: &str| {
            let kind = ProviderKind::by_name(name).unwrap();
            let options = KindOptions::new(kind, BTreeMap::new());
            let none = ProviderEndpoints::default();
            let (endpoints, api) = kind.endpoints(&options, Some(issuer), none, None);
            [endpoints.userinfo, api].map(|url| url.map(String::from))
        };
        let at = |origin: &str| {
            ["userinfo", ""].map(|path| match path {
                "" => Some(format!("{origin}/api")),
                path => Some(format!("{origin}/api/oauth2/{path}")),
            })
        };
        assert_eq!(of("discord", "http://localhost:1"), at("http://localhost:1"));
        assert_eq!(of("discord", "https://discord.com"), at("https://discord.com"));
        assert_eq!(of("oidc", "http://localhost:1"), [None, None]);
    }

    #[test]
    fn internal_origin_stands_for_the_public_one_in_requests_of_the_gateway() {
        let kind = ProviderKind::by_name("github").unwrap();
        let url = [("url", vec!["https://git.example".to_owned()])];
        let options = KindOptions::new(kind, url.into());
        let internal = Origin::parse("http://git:8080").unwrap();
        let configured = ProviderEndpoints::default();
        let (endpoints, api) = kind.endpoints(&options, None, configured.clone(), Some(&internal));
        let urls = [endpoints.authorization, endpoints.token, endpoints.userinfo, api];
        let expected = [
            "https://git.example/login/oauth/authorize",
            "http://git:8080/login/oauth/access_token",
            "http://git:8080/api/v3/user",
            "http://git:8080/api/v3",
        ];
        assert_eq!(urls.map(|url| url.unwrap().to_string()), expected);
        // The API of the service is at another origin.
        let options = KindOptions::new(kind, BTreeMap::new());
        let (_, api) = kind.endpoints(&options, None, configured, Some(&internal));
        assert_eq!(api.unwrap().as_str(), "https://api.github.com/");
    }

    #[test]
    fn templates_of_every_kind_are_urls() {
        for kind in ALL {
            let values =
                kind.options.iter().map(|option| (option.name, vec!["x.example".to_owned()]));
            let values: BTreeMap<_, _> = values.filter(|(name, _)| *name != "url").collect();
            let options = KindOptions::new(kind, values);
            if let Some(issuer) = kind.issuer(&options) {
                assert!(Url::parse(&issuer).is_ok() && !issuer.contains('{'), "{issuer}");
            }
            let (endpoints, api) =
                kind.endpoints(&options, None, ProviderEndpoints::default(), None);
            let SignInProtocol::OAuth(oauth) = kind.protocol else { continue };
            assert_eq!(endpoints.authorization.is_some(), oauth.authorization.is_some());
            assert_eq!(endpoints.token.is_some(), oauth.token.is_some());
            assert_eq!(api.is_some(), kind.api.is_some());
        }
    }
}
