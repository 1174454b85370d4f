//! The demo's identity provider with the gateway as its client, and how somebody signs in there.

use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::demo::{Account, Client, IdentityProvider, RefreshTokens, Settings};
use portcullis::secret::Secret;

use super::browser::{Answer, Browser};
use super::gateway::{Gateway, PUBLIC_URL};

/// An honest provider. Its refresh tokens work once; a second use of one ends the session there.
pub(crate) async fn start(access_token_lifetime: Duration) -> IdentityProvider {
    start_with(Settings { access_token_lifetime, ..Settings::default() }).await
}

/// The same, where these people can sign in.
pub(crate) async fn start_for(accounts: Vec<Account>) -> IdentityProvider {
    start_with(Settings { accounts, ..Settings::default() }).await
}

async fn start_with(settings: Settings) -> IdentityProvider {
    let client = Client {
        id: "wiki".to_owned(),
        secret: Some(Secret::new("wiki-and-company")),
        redirect_uris: vec![format!("{PUBLIC_URL}/oauth2/callback")],
        post_logout_redirect_uris: vec![format!("{PUBLIC_URL}/oauth2/signed_out")],
    };
    let settings = Settings {
        clients: vec![client],
        refresh_tokens: RefreshTokens::RotatingStrictly,
        ..settings
    };
    IdentityProvider::start(settings, Clock::system()).await.unwrap()
}

/// The section of a configuration that names it.
pub(crate) fn section(provider: &IdentityProvider) -> String {
    format!("providers:\n{}", entry("company", "Company", provider))
}

/// One line of that section.
pub(crate) fn entry(id: &str, name: &str, provider: &IdentityProvider) -> String {
    format!(
        "  {id}: {{ name: {name}, issuer: \"{}\", client_id: wiki, client_secret: wiki-and-company }}\n",
        provider.issuer()
    )
}

/// Opens a page of the gateway, signs in at the provider on the way, and tells where that ended.
pub(crate) async fn sign_in(browser: &mut Browser, path: &str, username: &str) -> Answer {
    let page = browser.open(path).await;
    assert_ne!(page.url.host_str(), Some("wiki.localhost"), "not asked to sign in: {page:?}");
    browser.fill(&page, &[("username", username), ("password", username)]).await
}

/// Signs somebody in, and returns the `Cookie` field that says so.
pub(crate) async fn cookie_of(gateway: &Gateway, provider: &str, username: &str) -> String {
    let mut browser = Browser::new(gateway);
    let page = browser.open(&format!("/oauth2/start?rd=/oauth2/none&provider={provider}")).await;
    browser.fill(&page, &[("username", username), ("password", username)]).await;
    let id = browser.cookie("/", "portcullis").unwrap_or_else(|| panic!("{username}: {page:?}"));
    format!("Cookie: portcullis={id}\r\n")
}
