//! The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0).
//! Invariant: a browser only leaves for an address that the client named by `id_token_hint` has registered.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::authorization::{cookie, see_other};
use super::form::Form;
use super::html::message;
use super::identity_provider::DemoProvider;
use crate::jose::{self, Algorithm};

impl DemoProvider {
    pub(super) fn end_session(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let parameters = match *request.method() {
            Method::GET => request.uri().query().unwrap_or_default().as_bytes(),
            _ => request.body(),
        };
        match self.sign_out(request, parameters) {
            Ok(Some(url)) => see_other(url.as_str()),
            Ok(None) => self.say(StatusCode::OK, "Signed out", "You are signed out here."),
            Err(text) => self.say(StatusCode::BAD_REQUEST, "This request is not valid", text),
        }
    }

    /// Where to go, if anywhere.
    fn sign_out(
        &self,
        request: &Request<Bytes>,
        parameters: &[u8],
    ) -> Result<Option<Url>, &'static str> {
        let form = Form::parse(parameters).ok_or("A parameter is there twice.")?;
        let hint = form.get("id_token_hint").map(|token| self.hinted(token)).transpose()?;
        let mut state = self.state();
        let target = match form.get("post_logout_redirect_uri") {
            None => None,
            Some(uri) => {
                let (client_id, _) =
                    hint.as_ref().ok_or("To go elsewhere, an id_token_hint is needed.")?;
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

    /// Client and `sid` of an ID Token that we issued; it may have expired since (§2).
    fn hinted(&self, token: &str) -> Result<(String, String), &'static str> {
        const WHY: &str = "The id_token_hint is not an ID Token of this provider.";
        let keys = self.state().keys.recognised().map_err(|_| WHY)?;
        let verified = jose::verify(token, &keys, &Algorithm::ALL).map_err(|_| WHY)?;
        let claim = |name: &str| verified.claims.get(name).and_then(Value::as_str);
        match (claim("iss"), claim("aud"), claim("sid")) {
            (Some(issuer), Some(client_id), Some(sid)) if issuer == self.issuer => {
                Ok((client_id.to_owned(), sid.to_owned()))
            }
            _ => Err(WHY),
        }
    }

    fn say(&self, status: StatusCode, title: &str, text: &str) -> Response<Bytes> {
        message(&self.style(), status, title, text)
    }
}
