//! The answer on `server.redirect_http`: 308 to the same URL over https.
//! Invariant: the target is `public_url`'s host or a host that a route has, whatever `Host` the client sends. Nothing is
//! served over plain HTTP, and no cookie is set.

use http::{HeaderMap, StatusCode, Uri};

use crate::app::App;
use crate::error::Error;
use crate::origin::Origin;
use crate::pages::redirect;
use crate::routing::host::normal;
use crate::server::{Answered, ClientInfo, Scheme};

impl App {
    /// Redirects a request to https. Method and body stay the same (RFC 9110 §15.4.9). A request that is at the target
    /// already would be redirected without end.
    pub(super) fn redirect_to_https(
        &self,
        client: &ClientInfo,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Answered, Error> {
        let public_url = self.party.site().public_url();
        // SECURITY: a redirect to any other host would serve attackers' links, and poison caches.
        let host = match client.host() {
            host if !host.is_empty() && self.routes.has_host(host) => normal(host),
            _ => public_url.host().into(),
        };
        // All hosts have the same listener, so they have its port.
        let port = public_url.is_https().then(|| public_url.port());
        let to = Origin::of_host(true, &host, port);
        let is_there = to.host() == client.origin().host()
            // Many proxies leave the port out (`Host $host` of nginx).
            && client.authority().port().is_none_or(|port| port == to.port());
        if is_there && client.forwarded_scheme(headers) == Some(Scheme::Https) {
            if self.redirect_loop.allow() {
                tracing::warn!(
                    request_id = %client.request_id(),
                    "{}: a redirect would lead back to it without end. Let the proxy forward https requests to \
                     server.listen, and only plain http to server.redirect_http",
                    Error::RedirectLoop
                );
            }
            return Err(Error::RedirectLoop);
        }
        let location = to.url(uri.path_and_query().map_or("/", |target| target.as_str()));
        let mut response = redirect(location, []).map_err(|_| Error::Malformed)?;
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        Ok(response.into())
    }
}
