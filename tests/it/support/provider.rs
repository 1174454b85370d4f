//! The demo's identity provider with the gateway as its client, and how somebody signs in there.

use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::demo::{Client, IdentityProvider, RefreshTokens, Settings};
use portcullis::secret::Secret;

use super::browser::{Answer, Browser};
use super::gateway::PUBLIC_URL;

/// An honest provider. Its refresh tokens work once; a second use of one ends the session there.
pub(crate) async fn start(access_token_lifetime: Duration) -> IdentityProvider {
    let client = Client {
        id: "wiki".to_owned(),
        secret: Some(Secret::new("wiki-and-company")),
        redirect_uris: vec![format!("{PUBLIC_URL}/oauth2/callback")],
        post_logout_redirect_uris: vec![format!("{PUBLIC_URL}/oauth2/signed_out")],
    };
    let settings = Settings {
        clients: vec![client],
        access_token_lifetime,
        refresh_tokens: RefreshTokens::RotatingStrictly,
        ..Settings::default()
    };
    IdentityProvider::start(settings, Clock::system()).await.unwrap()
}

/// The section of a configuration that names it.
pub(crate) fn section(provider: &IdentityProvider) -> String {
    format!(
        "providers:\n  company: {{ name: Company, issuer: \"{}\", client_id: wiki, client_secret: wiki-and-company }}\n",
        provider.issuer()
    )
}

/// Opens a page of the gateway, signs in at the provider on the way, and tells where that ended.
pub(crate) async fn sign_in(browser: &mut Browser, path: &str, username: &str) -> Answer {
    let page = browser.open(path).await;
    assert_ne!(page.url.host_str(), Some("wiki.localhost"), "not asked to sign in: {page:?}");
    browser.fill(&page, &[("username", username), ("password", username)]).await
}
