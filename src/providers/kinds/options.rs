//! The options of one provider: the keys that only its kind has, such as `tenant` or `url`.

use std::collections::BTreeMap;

use crate::providers::kinds::ProviderKind;

impl ProviderKind {
    /// The scopes that an option needs, with the option, of those that are set.
    pub fn scopes_of_options(
        &self,
        options: &KindOptions,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let set = self.option_scopes.iter().filter(|(name, _)| !options.all(name).is_empty());
        set.flat_map(|(name, scopes)| scopes.iter().map(|scope| (*name, *scope)))
    }
}

/// Values of the options of a kind, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindOptions(BTreeMap<&'static str, Vec<String>>);

impl KindOptions {
    /// The configured options of a kind, and the defaults of the others.
    pub fn new(
        kind: &'static ProviderKind,
        configured: BTreeMap<&'static str, Vec<String>>,
    ) -> Self {
        let default =
            |option: &super::KindOption| Some((option.name, vec![option.default?.into()]));
        let mut values: BTreeMap<_, _> = kind.options.iter().filter_map(default).collect();
        values.extend(configured);
        Self(values)
    }

    /// All values of an option; none if it is not set.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The only value of an option.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// A text in which each `{NAME}` is replaced by the value of an option.
    pub fn fill(&self, template: &str) -> String {
        self.0.iter().fold(template.to_owned(), |text, (name, values)| {
            let value = values.first().map_or("", String::as_str);
            text.replace(&format!("{{{name}}}"), value.trim_end_matches('/'))
        })
    }

    /// The value of a parameter: `{NAME}` stands for the only value of an option. `None` if it has none, or several.
    pub fn parameter<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        match option_of(text) {
            None => Some(text),
            Some(name) => match self.all(name) {
                [value] => Some(value),
                [] | [_, _, ..] => None,
            },
        }
    }

    /// Whether an option has another value than its default.
    pub fn is_changed(&self, kind: &ProviderKind, name: &str) -> bool {
        let default = kind.options.iter().find(|option| option.name == name);
        self.one(name) != default.and_then(|option| option.default)
    }
}

/// The option that stands for a whole text, `{NAME}`.
pub(super) fn option_of(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_is_the_one_value_of_an_option_as_it_is_configured() {
        let kind = ProviderKind::by_name("adfs").unwrap();
        let options = |values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            KindOptions::new(kind, [("resource", values)].into())
        };
        let slash = options(&["https://wiki.example.com/"]);
        assert_eq!(slash.parameter("{resource}"), Some("https://wiki.example.com/"));
        assert_eq!(options(&["a:b", "c:d"]).parameter("{resource}"), None);
        assert_eq!(KindOptions::default().parameter("{resource}"), None);
        assert_eq!(KindOptions::default().parameter("offline"), Some("offline"));
    }
}
