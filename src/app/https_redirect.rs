//! The answer on `server.redirect_http`: 308 to the same URL over https.
//! Invariant: the target is `public_url`'s host or a host that a route has, whatever `Host` the client sends. Nothing is
//! served over plain HTTP, and no cookie is set.

use http::{StatusCode, Uri};

use crate::app::App;
use crate::error::Error;
use crate::pages::redirect;
use crate::routing::host::normal;
use crate::server::{Answered, ClientInfo};

impl App {
    /// Redirects a request to https. Method and body stay the same (RFC 9110 §15.4.9).
    pub(super) fn redirect_to_https(
        &self,
        client: &ClientInfo,
        uri: &Uri,
    ) -> Result<Answered, Error> {
        let public_url = self.party.site().public_url();
        // SECURITY: a redirect to any other host would serve attackers' links, and poison caches.
        let host = match client.host() {
            host if !host.is_empty() && self.routes.has_host(host) => normal(host),
            _ => public_url.host().into(),
        };
        let mut location = format!("https://{host}");
        // All hosts have the same listener, so they have its port.
        match public_url.port() {
            443 => {}
            port if public_url.is_https() => location.push_str(&format!(":{port}")),
            _ => {}
        }
        location.push_str(uri.path_and_query().map_or("/", |target| target.as_str()));
        let mut response = redirect(location, []).map_err(|_| Error::Malformed)?;
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        Ok(response.into())
    }
}
