//! `userinfo`: who am I, as JSON.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde::Serialize;

use crate::body::Body;
use crate::endpoints::{Call, Endpoints};
use crate::error::Error;
use crate::gate::identify::{Member, Visitor};
use crate::login::wish::Wish;
use crate::pages::harden;

/// What a page may know of its visitor.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Userinfo<'a> {
    user: Option<&'a str>,
    email: Option<&'a str>,
    groups: &'a [String],
    preferred_username: Option<&'a str>,
    provider: &'a str,
    /// When the session ends at the latest, in seconds since 1970.
    expires: i64,
}

impl Endpoints {
    /// `GET userinfo`: no use of the session, and no refresh unless it would be told falsely otherwise.
    pub(super) async fn userinfo(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
        let Some(Member { session, holding }) = self.asks(call).await else {
            let page = self.gate.page_of_script(call.headers, call.client);
            let login_url = self.login.own_url(&Wish::default().start(&page));
            return Err(Error::NotSignedIn { login_url, cookies: None });
        };
        let clock = &self.login.clock;
        let left = session.ends().since(clock.moment()).as_secs();
        let identity = &holding.identity;
        let body = serde_json::to_vec(&Userinfo {
            user: identity.user.as_deref(),
            email: identity.email.as_deref(),
            groups: &identity.groups,
            preferred_username: identity.preferred_username.as_deref(),
            provider: &identity.provider,
            expires: clock.unix().0.saturating_add_unsigned(left),
        })
        .map_err(|_| Error::Malformed)?;
        let mut response = Response::new(Body::full(body));
        harden(response.headers_mut());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// Who asks; past the grace of an outage nobody, as everywhere.
    async fn asks(&self, call: Call<'_>) -> Option<Member> {
        let session = self.gate.session(call.headers)?;
        let holding = Arc::clone(&session.holding());
        if !holding.tokens.is_lapsed(self.gate.clock.moment(), self.gate.outage_grace) {
            return Some(Member { session, holding });
        }
        match self.gate.renewed(session, holding).await {
            Visitor::Member(member) => Some(member),
            Visitor::Stranger => None,
        }
    }
}
