//! The demo's identity provider with the gateway as its client, and sign-ins there.

use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::secret::Secret;
use url::Url;

use super::browser::{Answer, Browser};
use super::faults::{Account, IdentityProvider, RefreshTokens, RegisteredClient, Settings};
use super::gateway::{Gateway, PUBLIC_URL};

/// An honest provider. Its refresh tokens work once; a second use of one ends the session there.
pub(crate) async fn start(access_token_lifetime: Duration) -> IdentityProvider {
    let settings = Settings { access_token_lifetime, ..settings() };
    IdentityProvider::start(settings, Clock::system()).await.unwrap()
}

/// The same, where these people can sign in.
pub(crate) async fn start_for(accounts: Vec<Account>) -> IdentityProvider {
    let settings = Settings { accounts, ..settings() };
    IdentityProvider::start(settings, Clock::system()).await.unwrap()
}

/// What an honest provider is started with.
pub(crate) fn settings() -> Settings {
    let client = RegisteredClient {
        id: "wiki".to_owned(),
        secret: Some(Secret::new("wiki-and-company")),
        redirect_uris: ["", "/company"]
            .map(|id| format!("{PUBLIC_URL}/oauth2/callback{id}"))
            .into(),
        post_logout_redirect_uris: vec![format!("{PUBLIC_URL}/oauth2/signed_out")],
    };
    Settings {
        clients: vec![client],
        refresh_tokens: RefreshTokens::RotatingStrictly,
        ..Settings::default()
    }
}

/// The section of a configuration that names it.
pub(crate) fn section(provider: &IdentityProvider) -> String {
    section_with(provider.issuer(), "")
}

/// The same with more keys.
pub(crate) fn section_with(issuer: &str, more: &str) -> String {
    format!("providers:\n{}", entry("company", "Company", issuer, more))
}

/// One provider of that section.
pub(crate) fn entry(id: &str, name: &str, issuer: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!(
        "  {id}: {{ name: {name}, issuer: \"{issuer}\", client_id: wiki, \
         client_secret: wiki-and-company{comma}{more} }}\n"
    )
}

/// Opens a page of the gateway, signs in at the provider on the way, and tells where that ended.
pub(crate) async fn sign_in(browser: &mut Browser, path: &str, username: &str) -> Answer {
    let page = browser.open(path).await;
    assert_ne!(page.url.host_str(), Some("wiki.localhost"), "no sign-in form: {page:?}");
    browser.fill(&page, &[("username", username), ("password", username)]).await
}

/// Opens a page of the gateway and signs in at the provider, up to the callback, which stays unopened.
pub(crate) async fn callback(browser: &mut Browser, path: &str, username: &str) -> Url {
    let mut answer = browser.navigate(path).await;
    loop {
        answer = match answer.redirect() {
            Some(next) if next.path().starts_with("/oauth2/callback") => return next,
            Some(next) => browser.navigate(next.as_str()).await,
            None => {
                let (action, mut fields) = answer.form();
                fields.extend(
                    ["username", "password"].map(|name| (name.to_owned(), username.to_owned())),
                );
                let fields: Vec<_> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
                browser.submit(action.as_str(), &fields).await
            }
        };
    }
}

/// The callback of a sign-in that this browser began, with a code that was never issued.
pub(crate) async fn junk_callback(browser: &mut Browser) -> Url {
    let request = browser.navigate("/oauth2/start?rd=/").await.redirect().unwrap();
    let state = request.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let issuer = request.as_str().split_once("/authorize").unwrap().0.to_owned();
    let mut callback = Url::parse(&format!("{PUBLIC_URL}/oauth2/callback?code=junk")).unwrap();
    callback.query_pairs_mut().append_pair("state", &state).append_pair("iss", &issuer);
    callback
}

/// Signs a user in, and returns the `Cookie` field of the session.
pub(crate) async fn cookie_of(gateway: &Gateway, provider: &str, username: &str) -> String {
    let mut browser = Browser::new(gateway);
    // No place to return to: the visit ends at `/`.
    let page = browser.open(&format!("/oauth2/start?rd=/oauth2/none&provider={provider}")).await;
    browser.fill(&page, &[("username", username), ("password", username)]).await;
    let id = browser.cookie("/", "portcullis").unwrap_or_else(|| panic!("{username}: {page:?}"));
    format!("Cookie: portcullis={id}\r\n")
}
