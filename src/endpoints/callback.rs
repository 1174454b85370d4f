//! `callback`: the provider sends the browser back (RFC 6749 §4.1.2), by a redirect or by a form of its page (OAuth 2.0
//! Form Post Response Mode).

use http::{Method, Response, StatusCode};

use crate::body::Body;
use crate::endpoints::{Call, Endpoints, form, redirect};
use crate::error::Error;
use crate::login::complete::Callback;
use crate::providers::ResponseMode;

impl Endpoints {
    /// `GET, POST callback` or `GET, POST callback/ID`
    // SECURITY: a POST comes from a page of the provider, whose origin need not be the issuer's and may be `null`, so
    // neither `Origin` nor `Sec-Fetch-Site` can be checked. The `state` ties the response to this browser.
    pub(super) async fn callback(
        &self,
        path_id: Option<&str>,
        call: Call<'_>,
        body: Body,
    ) -> Result<Response<Body>, Error> {
        let (mode, text) = match *call.method {
            Method::POST => (ResponseMode::FormPost, Some(form::read(call.headers, body).await?)),
            _ => (ResponseMode::Query, None),
        };
        let callback = Callback {
            mode,
            parameters: text.as_deref().or(call.uri.query()).unwrap_or_default(),
            path_id,
            headers: call.headers,
            place: call.place(),
            request: call.client.for_audit(),
            has_left: &|| call.client.has_left(),
        };
        let mut response = redirect(self.login.complete(callback).await.map_err(Box::new)?)?;
        if mode == ResponseMode::FormPost {
            // With 302, a client may repeat the POST at the application (RFC 9110 §15.4.3).
            *response.status_mut() = StatusCode::SEE_OTHER;
        }
        Ok(response)
    }
}
