//! Groups that a service account of Google reads: in the Directory API for an administrator, else in Cloud Identity.
//! Invariant: no list is requested for an address that may not belong to the user, and the user's own access token is not
//! used.
//! Source: developers.google.com, "Directory API: groups.list"; cloud.google.com, "groups.memberships.searchTransitiveGroups".

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::oauth::http::Http;
use crate::oauth::jwt_bearer::{AccountKey, AccountToken, JwtBearerGrant};
use crate::origin::Origin;
use crate::providers::fetch::{ApiRequests, FetchError};
use crate::providers::kinds::{AccountList, Groups};
use crate::providers::{Provider, Settings};
use crate::secret::Secret;

/// A service account, and whether it acts for an administrator.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    email: String,
    admin_email: Option<String>,
    token_uri: Url,
    key: AccountKey,
}

impl ServiceAccount {
    /// The account with this address, whose private key is in PEM and has this ID. `None`: it is no RSA key.
    pub fn new(email: String, token_uri: Url, private_key: &str, key_id: &str) -> Option<Self> {
        let key = AccountKey::from_pem(private_key, key_id)?;
        Some(Self { email, admin_email: None, token_uri, key })
    }

    /// The same, if it acts for this administrator.
    #[must_use]
    pub fn acting_for(self, admin_email: Option<String>) -> Self {
        Self { admin_email, ..self }
    }

    /// The administrator for whom it acts.
    pub fn admin_email(&self) -> Option<&str> {
        self.admin_email.as_deref()
    }

    /// A user of whom it can list groups, if anyone: the administrator, or itself.
    pub(super) fn known_user(&self) -> &str {
        self.admin_email.as_deref().unwrap_or(&self.email)
    }
}

/// The service account of a provider, with its list and its access token.
#[derive(Debug)]
pub(super) struct AccountGroups {
    list: &'static AccountList,
    base: Url,
    token: AccountToken,
}

impl AccountGroups {
    /// `None`: the kind has none, or no service account is set.
    pub(super) fn new(settings: &Settings, http: &Arc<Http>, clock: &Clock) -> Option<Self> {
        let Groups::ServiceAccount { delegated, own } = &settings.kind.groups else { return None };
        let account = settings.service_account.as_ref()?;
        let list = if account.admin_email.is_some() { delegated } else { own };
        let grant = JwtBearerGrant {
            issuer: account.email.clone(),
            subject: account.admin_email.clone(),
            scope: list.scope,
            token_endpoint: account.token_uri.clone(),
            key: account.key.clone(),
        };
        let token = AccountToken::new(grant, Arc::clone(http), clock.clone());
        Some(Self { list, base: base_of(list, settings)?, token })
    }

    /// What it reads.
    pub(super) fn list(&self) -> &'static AccountList {
        self.list
    }

    /// The base URL of the API.
    #[cfg(test)]
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// An access token, other than one that was `rejected`.
    pub(super) async fn access_token(
        &self,
        rejected: Option<&Secret>,
        until: Instant,
    ) -> Result<Secret, FetchError> {
        self.token.get(rejected, until).await.map_err(FetchError::ServiceAccount)
    }

    /// The first page of the groups of a user.
    pub(super) fn first_page(
        &self,
        http: &Http,
        token: &Secret,
        email: &str,
    ) -> Result<Url, FetchError> {
        let quoted = quoted(email);
        ApiRequests::new(http, &self.base, token, &[])
            .url(self.list.fetch.path, &values(email, &quoted))
    }

    /// The groups of a user.
    async fn groups_of(&self, http: &Http, email: &str) -> Result<Vec<String>, FetchError> {
        let (deadline, quoted) = (http.deadline(), quoted(email));
        let mut rejected = None;
        loop {
            let token = self.access_token(rejected.as_ref(), deadline).await?;
            let mut api = ApiRequests::new(http, &self.base, &token, &[]).until(deadline);
            match api.items(&self.list.fetch, &values(email, &quoted)).await {
                // The token of earlier sign-ins may have been revoked. The next one is new.
                Err(FetchError::Rejected { .. }) if rejected.is_none() => rejected = Some(token),
                Err(FetchError::Status {
                    path, status: status @ StatusCode::FORBIDDEN, ..
                }) => {
                    return Err(FetchError::Status { path, status, advice: ADVICE });
                }
                items => return items,
            }
        }
    }
}

impl Provider {
    /// The groups that the service account reads for the user with these claims; `None` if there is no account.
    pub(super) async fn groups_by_account(
        &self,
        claims: &Map<String, Value>,
    ) -> Option<Result<Vec<String>, FetchError>> {
        let account = self.account_groups.as_ref()?;
        // SECURITY: an address that is not verified may be that of another user.
        let email = self.identity(claims.clone()).ok().and_then(|identity| identity.email);
        Some(match email {
            Some(email) => account.groups_of(&self.http, &email).await,
            None => {
                let path = account.list.fetch.path.split('?').next().unwrap_or_default().to_owned();
                let fault = "the user has no verified e-mail address, by which it knows users";
                Err(FetchError::Form { path, fault })
            }
        })
    }
}

/// The base of an API: the service, or, with another issuer than the kind's, the origin of this issuer.
fn base_of(list: &AccountList, settings: &Settings) -> Option<Url> {
    let Settings { kind, options, issuer, internal_origin, .. } = settings;
    if kind.issuer(options).as_ref() == Some(issuer) {
        return Url::parse(list.base).ok();
    }
    let mut base = Url::parse(issuer).ok()?;
    base.set_path("/");
    match internal_origin {
        Some(internal) => Origin::at(internal, &base),
        None => Some(base),
    }
}

fn values<'v>(email: &'v str, quoted: &'v str) -> [(&'static str, &'v str); 2] {
    [("email", email), ("quoted_email", quoted)]
}

/// The inside of a text between single quotes.
// SECURITY: an address with a quote must not change the query.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

const ADVICE: &str = ": `portcullis check --online` says what the service account needs";
