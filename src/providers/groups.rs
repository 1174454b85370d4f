//! Groups that are not in a claim, but in the API of the provider. They become the claim `groups`.
//! Invariants: a list that failed gives no groups, never a part of them. Only at a refresh, and for as long as
//! `session.outage_grace` from the first failure, do the groups from before stay if the API fails for now.

use http::StatusCode;
use serde_json::{Map, Value};
use tracing::warn;
use url::Url;

use crate::identity::claims::ClaimNames;
use crate::identity::incomplete::{has_mark_for_groups, remove_marks_for_groups};
use crate::oauth::token::TokenSet;
use crate::origin::Origin;
use crate::providers::fetch::{ApiRequests, Fetch, FetchError, text_of};
use crate::providers::fetch_state::FetchState;
use crate::providers::kinds::{GroupList, Groups};
use crate::providers::session_before::SessionBefore;
use crate::providers::{Provider, Settings};
use crate::secret::Secret;

impl Provider {
    /// Replaces the claim `groups` by the groups of the API, if the kind has one. `held` is the session of a refresh.
    pub(super) async fn with_groups(
        &self,
        claims: &mut Map<String, Value>,
        tokens: &TokenSet,
        held: Option<SessionBefore<'_>>,
    ) -> FetchState {
        let Some(fetched) = self.groups_of_api(claims, tokens).await else {
            return FetchState::Complete;
        };
        let error = match fetched {
            Ok(groups) => {
                self.hints.groups.works();
                remove_marks_for_groups(claims);
                claims.insert(GROUPS.into(), groups.into());
                return FetchState::Complete;
            }
            Err(error) => error,
        };
        self.meter.groups_failed();
        claims.remove(GROUPS);
        let (id, now) = (self.id(), self.clock.unix());
        let may_stay = |held: &SessionBefore<'_>| {
            error.is_temporary() && !held.identity.groups_missing && held.is_within_grace(now)
        };
        let before = held.filter(may_stay);
        let effect = match before {
            Some(_) => "the groups of a user cannot be fetched, and stay as they were",
            None => "the groups of a user cannot be fetched, so the user has none",
        };
        if self.hints.groups.is_news(&error, effect) {
            warn!(provider = %id, %error, "{effect}");
        }
        match before {
            Some(held) => {
                let groups: Vec<_> = held.identity.groups().collect();
                remove_marks_for_groups(claims);
                claims.insert(GROUPS.into(), groups.into());
                FetchState::Kept
            }
            None if error.is_temporary() => FetchState::MissingForNow,
            None => FetchState::Missing,
        }
    }

    /// The groups of the API; `None` if there is none, or it is not used.
    async fn groups_of_api(
        &self,
        claims: &Map<String, Value>,
        tokens: &TokenSet,
    ) -> Option<Result<Vec<String>, FetchError>> {
        if !self.has_groups_by_api() {
            return None;
        }
        match self.settings.kind.groups {
            Groups::Claim => None,
            Groups::Overage(list) => match has_mark_for_groups(claims) {
                true => Some(self.groups_of_overage(&list, tokens).await),
                false => None,
            },
            Groups::ServiceAccount { .. } => self.groups_by_account(claims).await,
            Groups::Api { lists } => {
                let base = self.settings.api.as_ref()?;
                let lists = lists.iter().filter(|list| self.requests_scope(list.scope));
                let lists: Vec<_> = lists.collect();
                if lists.is_empty() {
                    return None;
                }
                let mut api = self.api(base, &tokens.access_token);
                Some(self.groups_of(&lists, &mut api).await)
            }
        }
    }

    /// The items of all lists.
    async fn groups_of(
        &self,
        lists: &[&GroupList],
        api: &mut ApiRequests<'_>,
    ) -> Result<Vec<String>, FetchError> {
        let mut all: Vec<String> = Vec::new();
        let has_whole_list = lists.iter().any(|list| list.for_each.is_none());
        for GroupList { fetch, for_each, .. } in lists {
            let Some(option) = for_each else {
                all.extend(api.items(fetch, &[]).await?);
                continue;
            };
            for value in self.settings.options.all(option) {
                if has_whole_list && !all.contains(value) {
                    continue;
                }
                match api.items(fetch, &[(option, value)]).await {
                    // The user is not a member.
                    Err(FetchError::Status { status: StatusCode::NOT_FOUND, .. }) => {}
                    items => all.extend(items?),
                }
            }
        }
        Ok(all)
    }

    /// The groups of a list at the origin of userinfo, without the directory roles between them.
    async fn groups_of_overage(
        &self,
        list: &Fetch,
        tokens: &TokenSet,
    ) -> Result<Vec<String>, FetchError> {
        let metadata = self.server.known();
        let userinfo = metadata.as_ref().and_then(|metadata| metadata.userinfo.clone());
        let fault = "the metadata has no userinfo endpoint, at whose origin it is";
        let no_api = || FetchError::Form { path: list.path.to_owned(), fault };
        let mut base = userinfo.ok_or_else(no_api)?;
        base.set_path("/");
        base.set_query(None);
        let mut groups = Vec::new();
        let mut api = self.api(&base, &tokens.access_token);
        api.pages_of(list, &[], |item| {
            if item.get(TYPE).is_none_or(|found| found == GROUP) {
                groups.push(text_of(list.item, item, &[])?);
            }
            Some(())
        })
        .await?;
        Ok(groups)
    }

    /// Whether groups come from the API: the kind has one, and `claims.groups` names no claim in its place.
    pub(super) fn has_groups_by_api(&self) -> bool {
        let is_default = self.settings.claims.groups == ClaimNames::default().groups;
        let has_api = match self.settings.kind.groups {
            Groups::Claim => false,
            Groups::Api { .. } | Groups::Overage(_) => true,
            Groups::ServiceAccount { .. } => self.account_groups.is_some(),
        };
        has_api && is_default
    }

    /// Requests to the API with this access token.
    pub(super) fn api<'a>(&'a self, base: &'a Url, access_token: &'a Secret) -> ApiRequests<'a> {
        let Settings { kind, internal_origin, issuer, .. } = &self.settings;
        let api = ApiRequests::new(&self.http, base, access_token, kind.api_headers);
        match (Origin::parse(issuer), internal_origin) {
            (Ok(public), Some(internal)) => api.at_internal(public, internal),
            (Ok(_) | Err(_), _) => api,
        }
    }

    fn requests_scope(&self, scope: &str) -> bool {
        self.settings.scopes.iter().any(|requested| requested == scope)
    }
}

/// The claim that the groups of an API become.
const GROUPS: &str = "groups";
/// The type of an object of Microsoft Graph.
const TYPE: &str = "@odata.type";
const GROUP: &str = "#microsoft.graph.group";
