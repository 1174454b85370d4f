//! The query of a request for one of our paths.
//! Invariant: a parameter that stands twice has no value, for two readers could each take another.

use url::form_urlencoded;

use crate::login::sign_in_options::{Prompt, SignInOptions};

/// Parameters, decoded once.
#[derive(Clone, Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query as it stands in a request target.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// All names, as often as they stand there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// How a visitor wants to sign in.
    pub fn options(&self) -> SignInOptions<'_> {
        SignInOptions {
            provider: self.one("provider").filter(|id| !id.is_empty()),
            prompt: self.one("prompt").and_then(Prompt::parse),
            login_hint: self.one("login_hint"),
            ui_locales: self.one("ui_locales"),
            restarted: self.one("restarted").is_some(),
        }
    }

    /// The one value of a parameter.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_stands_twice_has_no_value() {
        let query = Query::parse("rd=%2Fa&x=1&rd=//evil&y=%252f");
        assert_eq!((query.one("rd"), query.one("x"), query.one("z")), (None, Some("1"), None));
        assert_eq!(query.one("y"), Some("%2f"));
    }

    #[test]
    fn what_was_asked_for_goes_on_and_nothing_else_does() {
        let query = Query::parse("rd=//evil&prompt=login&x=1&provider=a&login_hint=a%26b");
        let onward = SignInOptions { provider: Some("b"), ..query.options() }.start("/");
        assert_eq!(onward, "/start?rd=%2F&provider=b&prompt=login&login_hint=a%26b");
        let twice = Query::parse("prompt=login&prompt=none");
        assert_eq!(twice.options().start("/"), "/start?rd=%2F");
    }
}
