//! `response_mode`, and whether the provider accepts the redirect URI: both are about how the browser comes back.

use crate::config::diagnostics::Reported;
use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::origin::Origin;
use crate::providers::ResponseMode;
use crate::providers::kinds::{ProviderKind, RedirectUris};

/// `response_mode`; by default, that which the kind has with these scopes. `None` of a URL or of scopes is a wrong one, which is
/// reported elsewhere.
pub(super) fn response_mode(
    section: &Section<'_>,
    kind: &ProviderKind,
    public_url: Option<&Origin>,
    scopes: Option<&[String]>,
) -> Result<ResponseMode, Reported> {
    let field = section.field("response_mode");
    let configured = field.optional_choice(|text| match text {
        "query" => Some(ResponseMode::Query),
        "form_post" => Some(ResponseMode::FormPost),
        _ => None,
    })?;
    check_public_url(section, kind, public_url)?;
    let is_posted = |scope: &&String| kind.form_post_scopes.contains(&scope.as_str());
    let posted = scopes.and_then(|scopes| scopes.iter().find(is_posted));
    let mode = match (configured, posted) {
        (Some(ResponseMode::Query), Some(scope)) => {
            let what =
                format!("cannot be query: with the scope {scope}, {} posts its answer", kind.label);
            let invalid = Invalid::new(what).hint("remove it");
            return Err(field.error(&invalid));
        }
        (Some(mode), _) => mode,
        (None, Some(_)) => ResponseMode::FormPost,
        (None, None) => ResponseMode::Query,
    };
    // RFC 6265bis §5.6: browsers drop `SameSite=None` without `Secure`.
    if mode == ResponseMode::FormPost && public_url.is_some_and(|url| !url.is_https()) {
        let invalid = Invalid::new(
            "cannot be form_post with an http:// public_url: the POST of the provider's page comes without the login cookie",
        )
        .hint("use an https:// public_url, or remove the key to have the answer in a redirect");
        return Err(field.error(&invalid));
    }
    Ok(mode)
}

/// Checks that the kind accepts redirect URIs below `server.public_url`.
fn check_public_url(
    section: &Section<'_>,
    kind: &ProviderKind,
    public_url: Option<&Origin>,
) -> Result<(), Reported> {
    let (RedirectUris::HttpsDomain, Some(url)) = (kind.redirect_uris, public_url) else {
        return Ok(());
    };
    let fault = match url {
        url if url.is_loopback() => "is this machine only",
        url if url.is_address() => "has an IP address",
        url if !url.is_https() => "is not https",
        _ => return Ok(()),
    };
    let invalid = Invalid::new(format!(
        "{} cannot be used here: server.public_url is {url}, which {fault}",
        kind.name
    ))
    .hint(format!(
        "{} sends browsers back to https:// with a domain only; set such a public_url",
        kind.label
    ));
    Err(section.field("kind").error(&invalid))
}
