//! The style of pages, and the policy that allows it and nothing else.
//! Invariant: the policy has the hash of the style as the browser computes it.
//! Source: CSP Level 3.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::pages::{Brand, Error};

/// The built-in style and the operator's, as the browser hashes them.
pub(super) fn style(brand: &Brand) -> Result<String, Error> {
    let own = brand.style.as_deref().unwrap_or_default();
    // SECURITY: the text is not escaped inside `<style>`; this tag is the only text that could end it.
    if own.to_ascii_lowercase().contains("</style") {
        return Err(Error::Style);
    }
    // The HTML parser changes line ends to LF, and NUL to U+FFFD, before the browser computes the hash.
    let own = own.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
    Ok(format!("\n{}{own}", include_str!("html/style.css")))
}

/// The Content-Security-Policy of a page. `form_action` is `*` on the page that has a form: browsers apply the
/// directive to redirects too, and a sign-out redirects to the provider, and from there to any address.
pub(super) fn policy(style: &str, form_action: &str) -> HeaderValue {
    let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action {form_action}; \
         frame-ancestors 'self'; base-uri 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
