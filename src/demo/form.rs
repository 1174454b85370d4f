//! Parameters of a request, from its query or its form (RFC 6749 appendix B).
//! Invariant: no parameter is repeated (RFC 6749 §3.1, §3.2). An empty one counts as absent.

use std::collections::HashMap;

/// Parameters by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(HashMap<String, String>);

impl Form {
    /// Decodes `application/x-www-form-urlencoded` text; `None` if a parameter is repeated.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut parameters = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(parameters))
    }

    /// A parameter that is present and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same, owned.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }
}
