//! The claims of a user of a provider without OpenID Connect: the profile of its API, and the e-mail addresses.
//! Invariant: `sub` is the ID that the kind names, and `email_verified` is what the kind takes for a verification. What the
//! profile has under these names is never used in their place.

use aws_lc_rs::hmac;
use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use crate::oauth::error::Error as OAuthError;
use crate::oauth::token::TokenSet;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::userinfo;
use crate::providers::Provider;
use crate::providers::fetch::{Fetch, FetchError};
use crate::providers::kinds::{AddressList, EmailTrust, OAuth};
use crate::secret::Secret;

impl Provider {
    /// The claims of the user that the access token belongs to.
    pub(super) async fn profile(
        &self,
        oauth: &OAuth,
        metadata: &Metadata,
        tokens: &TokenSet,
    ) -> Result<Map<String, Value>, OidcError> {
        let Some(endpoint) = &metadata.userinfo else {
            let (endpoint, fault) = ("userinfo_endpoint", "is missing");
            return Err(OidcError::Endpoint { endpoint, fault });
        };
        let token = &tokens.access_token;
        let url = self.with_secret_proof(oauth, endpoint, token);
        let profile = userinfo::profile(&self.http, &url, token).await;
        let profile = profile.map_err(|error| self.settings.kind.understood_of_resource(error))?;
        let mut claims = self.with_subject(oauth, profile);
        if let (Some(list), Some(_)) = (oauth.emails, &self.settings.api)
            && self.settings.scopes.iter().any(|scope| scope == list.scope)
        {
            match self.main_email(&list, tokens).await {
                Ok(Some(email)) => email.write_to(&mut claims),
                Ok(None) => {}
                Err(error) if error.is_temporary() => return Err(error.into()),
                Err(error) => self.hints.emails_failed(&error, &self.settings),
            }
        }
        Ok(claims)
    }

    /// The URL of the profile with the proof that this client has the secret, if the kind has one.
    fn with_secret_proof(&self, oauth: &OAuth, url: &Url, token: &Secret) -> Url {
        let mut url = url.clone();
        let secret = self.settings.client_auth.secret();
        if let (Some(parameter), Some(secret)) = (oauth.secret_proof, secret) {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
            let tag = hmac::sign(&key, token.expose().as_bytes());
            let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            url.query_pairs_mut().append_pair(parameter, &hex);
        }
        url
    }

    /// The profile with `sub` and without what says nothing at this kind of provider.
    fn with_subject(&self, oauth: &OAuth, mut profile: Map<String, Value>) -> Map<String, Value> {
        let id = match oauth.id {
            Some(name) => profile.get(name).cloned(),
            None => self.settings.claims.user.find(&profile).cloned(),
        };
        profile.remove("sub");
        match id {
            Some(Value::Number(id)) => drop(profile.insert("sub".into(), id.to_string().into())),
            Some(id) => drop(profile.insert("sub".into(), id)),
            None => {}
        }
        match self.settings.kind.verified {
            EmailTrust::Claim | EmailTrust::EntraDomain => {}
            EmailTrust::AddressList { .. } => {
                profile.remove("email");
                profile.remove("email_verified");
            }
            EmailTrust::Never => drop(profile.insert("email_verified".into(), false.into())),
        }
        profile
    }

    /// The main address in a list of the API.
    async fn main_email(
        &self,
        list: &AddressList,
        tokens: &TokenSet,
    ) -> Result<Option<Email>, FetchError> {
        let Some(base) = &self.settings.api else { return Ok(None) };
        let fetch = Fetch { path: list.path, list: list.list, item: "", paging: list.paging };
        let is_true = |item: &Value, name| item.get(name) == Some(&Value::Bool(true));
        // SECURITY: what a server of one's own calls verified may be what its user typed.
        let vouches = match self.settings.kind.verified {
            EmailTrust::AddressList { at_own_server } => {
                at_own_server || !self.settings.options.is_changed(self.settings.kind, "url")
            }
            EmailTrust::Claim | EmailTrust::EntraDomain | EmailTrust::Never => false,
        };
        let mut main = None;
        let mut api = self.api(base, &tokens.access_token);
        api.pages_of(&fetch, &[], |item| {
            let address = item.get(list.address)?.as_str()?.to_owned();
            if is_true(item, list.is_primary) {
                let is_verified = vouches && is_true(item, list.is_verified);
                main = Some(Email { address, is_verified });
            }
            Some(())
        })
        .await?;
        Ok(main)
    }
}

/// An e-mail address, and whether it is verified.
struct Email {
    address: String,
    is_verified: bool,
}

impl Email {
    fn write_to(self, claims: &mut Map<String, Value>) {
        claims.insert("email".into(), self.address.into());
        claims.insert("email_verified".into(), self.is_verified.into());
    }
}

impl From<FetchError> for OidcError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::OAuth(error) | FetchError::ServiceAccount(error) => Self::OAuth(error),
            FetchError::Rejected { .. } => Self::UserinfoRejected(None),
            FetchError::Limited { .. } => OAuthError::Status(StatusCode::TOO_MANY_REQUESTS).into(),
            FetchError::Status { status, .. } => OAuthError::Status(status).into(),
            FetchError::Form { fault, .. } => OAuthError::Garbage(fault).into(),
            FetchError::Foreign { .. } => OAuthError::Garbage("the next page is elsewhere").into(),
            FetchError::TooLong { .. } => OAuthError::Garbage("too many pages").into(),
        }
    }
}
