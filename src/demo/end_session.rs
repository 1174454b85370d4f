//! The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0).
//! Invariant: a browser is redirected only to a URI that its client has registered: that in
//! `id_token_hint`, else that in `client_id`.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use url::Url;

use crate::demo::authorization::{cookie, see_other};
use crate::demo::form::Form;
use crate::demo::html::message;
use crate::demo::identity_provider::DemoProvider;
use crate::jose::{self, Algorithm};

impl DemoProvider {
    pub(super) fn end_session(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let parameters = match *request.method() {
            Method::GET => request.uri().query().unwrap_or_default().as_bytes(),
            _ => request.body(),
        };
        match self.sign_out(request, parameters) {
            Ok(Some(url)) => see_other(url.as_str()),
            Ok(None) => {
                self.message(StatusCode::OK, "Signed out", "You are signed out at this provider.")
            }
            Err(text) => self.message(StatusCode::BAD_REQUEST, "This request is not valid", text),
        }
    }

    /// Signs out. Returns the redirect, if the request has one.
    fn sign_out(
        &self,
        request: &Request<Bytes>,
        parameters: &[u8],
    ) -> Result<Option<Url>, &'static str> {
        let form = Form::parse(parameters).ok_or("A parameter is repeated.")?;
        let hint = form.get("id_token_hint").map(|token| self.parse_hint(token)).transpose()?;
        let mut state = self.state();
        let target = match form.get("post_logout_redirect_uri") {
            None => None,
            Some(uri) => {
                let of_hint = hint.as_ref().map(|(client_id, _)| client_id.as_str());
                let client_id = of_hint.or_else(|| form.get("client_id")).ok_or(
                    "A post_logout_redirect_uri requires an id_token_hint or a client_id.",
                )?;
                let registered = state.client(client_id).is_some_and(|client| {
                    client.post_logout_redirect_uris.iter().any(|registered| registered == uri)
                });
                let url = Url::parse(uri).ok().filter(|_| registered);
                Some(url.ok_or("The post_logout_redirect_uri is not registered.")?)
            }
        };
        let of_cookie = cookie(request).and_then(|cookie| state.grants.signed_in(cookie));
        let sids = [of_cookie.map(|sign_in| sign_in.sid.clone()), hint.map(|(_, sid)| sid)];
        for sid in sids.iter().flatten() {
            state.grants.sign_out(sid);
        }
        Ok(target.map(|mut url| {
            if let Some(state) = form.get("state") {
                url.query_pairs_mut().append_pair("state", state);
            }
            url
        }))
    }

    /// Client and `sid` of an ID token of this provider, which may have expired (§2).
    fn parse_hint(&self, token: &str) -> Result<(String, String), &'static str> {
        const INVALID: &str = "The id_token_hint is not an ID token of this provider.";
        let keys = self.state().keys.accepted().map_err(|_| INVALID)?;
        let verified = jose::verify(token, &keys, &Algorithm::ALL).map_err(|_| INVALID)?;
        let claim = |name: &str| verified.claims.get(name).and_then(Value::as_str);
        match (claim("iss"), claim("aud"), claim("sid")) {
            (Some(issuer), Some(client_id), Some(sid)) if issuer == self.issuer => {
                Ok((client_id.to_owned(), sid.to_owned()))
            }
            _ => Err(INVALID),
        }
    }

    fn message(&self, status: StatusCode, title: &str, text: &str) -> Response<Bytes> {
        message(&self.style(), status, title, text)
    }
}
