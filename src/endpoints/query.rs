//! The query of a request for one of our paths.
//! Invariant: a parameter that stands twice has no value, for two readers could each take another.

use url::form_urlencoded;

use crate::login::return_to::ReturnTo;

/// Parameters, decoded once.
#[derive(Clone, Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query as it stands in a request target.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The query that goes on to another step of the sign-in: where to and by which provider, and all
    /// that was asked for with it.
    pub fn onward(&self, target: &ReturnTo, provider: Option<&str>) -> String {
        let mut onward = form_urlencoded::Serializer::new(String::new());
        onward.append_pair("rd", target.as_str());
        let asked = ["prompt", "login_hint", "ui_locales", "restarted"];
        let asked = asked.into_iter().filter_map(|name| Some((name, self.one(name)?)));
        onward.extend_pairs(provider.map(|id| ("provider", id)));
        onward.extend_pairs(asked);
        onward.finish()
    }

    /// All names, as often as they stand there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
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
        let onward = query.onward(&ReturnTo::root(), Some("b"));
        assert_eq!(onward, "rd=%2F&provider=b&prompt=login&login_hint=a%26b");
        let twice = Query::parse("prompt=login&prompt=none").onward(&ReturnTo::root(), None);
        assert_eq!(twice, "rd=%2F");
    }
}
