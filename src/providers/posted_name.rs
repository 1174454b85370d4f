//! The user's name in `user` of an authorization response, which Apple sends at the first sign-in.
//! Invariant: nothing else of `user` is read, least of all its e-mail address: it comes through the browser, unsigned.
//! Source: developer.apple.com, "Request an authorization to the Sign in with Apple server".

use serde_json::Value;

use crate::identity::claims::is_usable;
use crate::oauth::authorization::AuthorizationResponse;
use crate::providers::Provider;
use crate::providers::kinds::NameSource;
use crate::providers::session_before::SessionBefore;

impl Provider {
    /// The name in a response, if names of this kind are there.
    pub(super) fn name_in(&self, response: &AuthorizationResponse) -> Option<String> {
        match self.settings.kind.name_source {
            NameSource::Claim => None,
            NameSource::FirstResponse => response.user.as_deref().and_then(name),
        }
    }

    /// The name of the sign-in, at a refresh: it is not sent again.
    pub(super) fn kept_name(&self, held: Option<SessionBefore<'_>>) -> Option<String> {
        match self.settings.kind.name_source {
            NameSource::Claim => None,
            NameSource::FirstResponse => held.and_then(|held| held.identity.name.clone()),
        }
    }
}

fn name(user: &str) -> Option<String> {
    let user: Value = serde_json::from_str(user).ok()?;
    let part = |part: &str| Some(user.get("name")?.get(part)?.as_str()?.trim());
    let parts = [part("firstName"), part("lastName")].into_iter().flatten();
    let name = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    (name.len() <= MOST_BYTES && is_usable(&name)).then_some(name)
}

const MOST_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_has_both_parts_and_no_control_characters() {
        for (user, expected) in [
            (r#"{"name":{"firstName":"Alice","lastName":"Adams"}}"#, Some("Alice Adams")),
            (r#"{"name":{"firstName":" 앨리스 ","lastName":""},"email":"m@x"}"#, Some("앨리스")),
            (r#"{"name":{"firstName":"A\r\nX-Y: b","lastName":"c"}}"#, None),
            (r#"{"name":{"firstName":"","lastName":" "}}"#, None),
            (r#"{"name":"Alice","email":"m@x"}"#, None),
            (r#"{"email":"m@x"}"#, None),
            ("Alice", None),
        ] {
            assert_eq!(name(user).as_deref(), expected, "{user}");
        }
        let long = format!(r#"{{"name":{{"firstName":"{}"}}}}"#, "a".repeat(300));
        assert_eq!(name(&long), None);
    }
}
