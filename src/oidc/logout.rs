//! Sending the browser to the provider's own sign-out.
//! Source: OpenID Connect RP-Initiated Logout 1.0 §2.

use url::Url;

use crate::secret::Secret;

/// What the provider is told.
#[derive(Clone, Debug)]
pub struct LogoutRequest<'a> {
    /// `end_session_endpoint`; its own query is kept.
    pub endpoint: &'a Url,
    /// The ID token of the session that ends.
    pub id_token_hint: Option<&'a Secret>,
    /// `client_id`, for the provider that cannot read the hint any more.
    pub client_id: &'a str,
    /// Where the browser goes afterwards.
    pub post_logout_redirect_uri: &'a str,
    /// Handed back with it.
    pub state: Option<&'a str>,
}

impl LogoutRequest<'_> {
    /// The URL to send the browser to.
    pub fn url(&self) -> Url {
        let mut url = self.endpoint.clone();
        let hint = self.id_token_hint.map(|hint| ("id_token_hint", hint.expose()));
        let state = self.state.map(|state| ("state", state));
        url.query_pairs_mut()
            .extend_pairs(hint)
            .append_pair("client_id", self.client_id)
            .append_pair("post_logout_redirect_uri", self.post_logout_redirect_uri)
            .extend_pairs(state);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_names_session_client_and_way_back() {
        let endpoint = Url::parse("https://op.example/logout?a=b").unwrap();
        let hint = Secret::new("id.to.ken");
        let mut request = LogoutRequest {
            endpoint: &endpoint,
            id_token_hint: Some(&hint),
            client_id: "us",
            post_logout_redirect_uri: "https://app.example/oauth2/signed_out",
            state: Some("s"),
        };
        assert_eq!(
            request.url().as_str(),
            "https://op.example/logout?a=b&id_token_hint=id.to.ken&client_id=us\
             &post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Foauth2%2Fsigned_out&state=s"
        );
        (request.id_token_hint, request.state) = (None, None);
        assert!(!request.url().as_str().contains("hint"));
        assert!(!request.url().as_str().contains("state"));
    }
}
