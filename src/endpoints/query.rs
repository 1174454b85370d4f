//! The query of a request to an endpoint.
//! Invariant: a parameter that occurs twice has no value, because two readers could take different ones.

use url::form_urlencoded;

use crate::login::sign_in_options::{Prompt, SignInOptions};

/// The decoded parameters.
#[derive(Clone, Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the query of a request target.
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// All names, repeated ones too.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The options of a sign-in.
    pub(super) fn options(&self) -> SignInOptions<'_> {
        SignInOptions {
            provider: self.one("provider").filter(|id| !id.is_empty()),
            prompt: self.one("prompt").and_then(Prompt::parse),
            login_hint: self.one("login_hint"),
            ui_locales: self.one("ui_locales"),
            restarted: self.one("restarted").is_some(),
            // It is about this request, and not passed on.
            redirected: false,
        }
    }

    /// Whether the browser comes from another host.
    pub(super) fn is_redirected(&self) -> bool {
        self.names().any(|name| name == "redirected")
    }

    /// The value of a parameter that occurs once.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_that_occurs_twice_has_no_value() {
        let query = Query::parse("rd=%2Fa&x=1&rd=//evil&y=%252f");
        assert_eq!((query.one("rd"), query.one("x"), query.one("z")), (None, Some("1"), None));
        assert_eq!(query.one("y"), Some("%2f"));
    }

    #[test]
    fn sign_in_options_are_passed_on_and_other_parameters_are_not() {
        let query = Query::parse("rd=//evil&prompt=login&x=1&provider=a&login_hint=a%26b");
        let onward = SignInOptions { provider: Some("b"), ..query.options() }.start("/");
        assert_eq!(onward, "/start?rd=%2F&provider=b&prompt=login&login_hint=a%26b");
        let twice = Query::parse("prompt=login&prompt=none");
        assert_eq!(twice.options().start("/"), "/start?rd=%2F");
    }
}
