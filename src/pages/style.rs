//! The style of pages, and the policy that allows it and nothing else.
//! Invariant: the policy has the hash of the style as the browser computes it.
//! Source: CSP Level 3.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::origin::Origin;
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

/// Where the forms of a page may lead. Browsers apply the directive to redirects too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormAction<'a> {
    /// The page has no form.
    None,
    /// Anywhere: a sign-out redirects to the provider, and from there to any address.
    Any,
    /// To these origins. The form has a token.
    Only(&'a [Origin]),
}

/// The Content-Security-Policy of each page.
#[derive(Debug)]
pub(super) struct Policies {
    /// The directives that all pages have.
    common: String,
    without_form: HeaderValue,
    with_form: HeaderValue,
}

impl Policies {
    pub(super) fn new(style: &str) -> Self {
        let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let common = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'"
        );
        let of = |forms| value(&common, forms, "'self'");
        Self { without_form: of("'none'"), with_form: of("*"), common }
    }

    pub(super) fn of(&self, forms: FormAction<'_>) -> HeaderValue {
        match forms {
            FormAction::None => self.without_form.clone(),
            FormAction::Any => self.with_form.clone(),
            FormAction::Only(origins) => {
                let sources: Vec<String> = origins.iter().map(source).collect();
                // SECURITY: a script of an application on this origin could read the token in a frame.
                value(&self.common, &sources.join(" "), "'none'")
            }
        }
    }
}

fn value(common: &str, forms: &str, ancestors: &str) -> HeaderValue {
    let policy = format!("{common}; form-action {forms}; frame-ancestors {ancestors}");
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// An origin in a policy; only its scheme if the policy has no notation for the host, such as an IPv6 address.
fn source(origin: &Origin) -> String {
    // SECURITY: a `;` in a host would begin another directive.
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if origin.host().bytes().all(of_name) {
        origin.to_string()
    } else {
        format!("{}:", origin.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_in_a_policy_cannot_begin_a_directive() {
        let check = |origin, expected: &str| {
            assert_eq!(source(&Origin::parse(origin).unwrap()), expected);
        };
        check("https://op.example", "https://op.example");
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080");
        check("http://[::1]:8080", "http:");
        check("https://op.example;script-src", "https:");
        check("https://op.example,a", "https:");
    }
}
