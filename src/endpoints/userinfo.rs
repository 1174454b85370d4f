//! `userinfo`: the user of the session, as JSON.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde::Serialize;

use crate::body::Body;
use crate::endpoints::{Call, Endpoints};
use crate::error::{AtStake, Error};
use crate::gate::identify::{Authentication, Member};
use crate::login::sign_in_options::SignInOptions;
use crate::pages::harden;

/// What the pages of an application can learn about their user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Userinfo<'a> {
    user: Option<&'a str>,
    email: Option<&'a str>,
    groups: Vec<Cow<'a, str>>,
    preferred_username: Option<&'a str>,
    provider: &'a str,
    /// The latest end of the session, in seconds since 1970.
    expires: i64,
}

impl Endpoints {
    /// `GET userinfo`: the user that a route with sign-in would see.
    pub(super) async fn userinfo(&self, call: Call<'_>) -> Result<Response<Body>, Error> {
        let visitor = self.gate.identify(Authentication::Required, call.headers).await?;
        let Some(Member { session, data }) = visitor.member() else {
            let page = self.gate.referring_page(call.headers, call.client);
            let login_url = self.party.site().own_url(&SignInOptions::default().start(&page));
            return Err(Error::NotSignedIn {
                login_url,
                at_stake: AtStake::Nothing,
                cookies: None,
            });
        };
        let clock = self.party.clock();
        let left = session.ends().since(clock.moment()).as_secs();
        let identity = &data.identity;
        let body = serde_json::to_vec(&Userinfo {
            user: identity.user.as_deref(),
            email: identity.email.as_deref(),
            groups: identity.groups().collect(),
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
}
