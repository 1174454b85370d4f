//! `callback`: the provider sends the browser back (RFC 6749 §4.1.2).

use http::Response;

use crate::body::Body;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::Error;
use crate::login::complete::Callback;

impl Endpoints {
    /// `GET callback` or `GET callback/ID`
    pub(super) async fn callback(
        &self,
        path_id: Option<&str>,
        call: Call<'_>,
    ) -> Result<Response<Body>, Error> {
        let callback = Callback {
            query: call.uri.query().unwrap_or_default(),
            path_id,
            headers: call.headers,
            place: call.place(),
            request: call.client.for_audit(),
            has_left: &|| call.client.has_left(),
        };
        redirect(self.login.complete(callback).await.map_err(Box::new)?)
    }
}
