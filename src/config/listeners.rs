//! `server.listen` and `server.redirect_http`: the listeners for browsers, and their conflicts.

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::origin::Origin;
use crate::server::{CertifiedPair, ListenAddress};

/// `server.listen`.
pub(super) fn listen(field: &Field<'_>) -> Result<Vec<ListenAddress>, Reported> {
    let addresses = field.list(|text| address::listen(text, field.diagnostics))?;
    for (at, one) in addresses.iter().enumerate() {
        if let Some(other) = addresses.iter().take(at).position(|other| address::clash(one, other))
        {
            let what =
                format!("conflicts with {}: both need the same address", field.path.item(other));
            return Err(field.diagnostics.error(&field.path.item(at), &what.into(), None));
        }
    }
    Ok(addresses)
}

/// `server.redirect_http`; `listen` are the other public listeners, if they are known.
pub(super) fn redirect_http(
    server: &Section<'_>,
    listen: Option<&[ListenAddress]>,
    public_url: Option<&Origin>,
) -> Result<Option<ListenAddress>, Reported> {
    let field = server.field("redirect_http");
    let address = field.optional(|text| address::listen(text, field.diagnostics))?;
    let Some(own) = address else { return Ok(None) };
    if let ListenAddress::Unix(_) = own {
        let invalid = Invalid::new("is a unix socket, which browsers cannot reach")
            .hint("write HOST:PORT, such as 0.0.0.0:80");
        return Err(field.error(&invalid));
    }
    if listen.is_some_and(|all| all.iter().any(|other| address::clash(&own, other))) {
        let invalid = Invalid::new("conflicts with server.listen: both need the same address")
            .hint("choose another port");
        return Err(field.error(&invalid));
    }
    if public_url.is_some_and(|url| !url.is_https()) {
        let invalid = Invalid::new("redirects to https, but public_url is http://")
            .hint("write https:// in public_url, or remove `redirect_http`");
        field.diagnostics.warning(&field.path, &invalid);
    }
    Ok(Some(own))
}

/// All listeners for browsers, as far as they are known.
pub(super) fn all(
    listen: Option<&[ListenAddress]>,
    redirect_http: Option<&Option<ListenAddress>>,
) -> Vec<ListenAddress> {
    let redirect = redirect_http.and_then(Option::as_ref);
    listen.unwrap_or_default().iter().chain(redirect).cloned().collect()
}

/// With certificates, every TCP listener accepts TLS only.
pub(super) fn warn_of_http(
    server: &Section<'_>,
    listen: &[ListenAddress],
    pairs: &[CertifiedPair],
    public_url: &Origin,
) {
    let tcp = listen.iter().any(|address| matches!(address, ListenAddress::Tcp(_)));
    if tcp && !pairs.is_empty() && !public_url.is_https() {
        let invalid = Invalid::new(
            "is http://, but with `tls.certificates` the listeners accept https only, so browsers cannot connect",
        )
        .hint("write https://, or remove `tls.certificates`");
        server.diagnostics.warning(&server.path.key("public_url"), &invalid);
    }
}
