//! The header fields of an answer that allows an auth subrequest: prepared once for a route, and filled once for a
//! session.
//! Invariant: every identity header is in them, empty if it has no value.
// SECURITY: some proxies leave a header that is absent here as their visitor sent it (CVE-2026-30851).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::headers::{
    HeaderRule, Known, Rendered, auth_request_rules, constants, default_rules, is_impersonation,
    is_spelling_of, render,
};

/// The fields of the answers on one route.
#[derive(Debug)]
pub struct AnswerHeaders {
    /// All fields, with the values that do not depend on the user.
    fields: HeaderMap,
    /// The rules for `X-Auth-Request-*`, without those that the route has rules of its own for.
    auth_request: Vec<HeaderRule>,
    /// The rules of the route for headers with a token that is withheld.
    withheld: Vec<HeaderName>,
}

/// The values of all fields for one session, in the order of the fields.
#[derive(Debug)]
pub struct AnswerValues {
    values: Box<[HeaderValue]>,
    /// Names of headers that were left out because all together were too long.
    pub left_out: Vec<HeaderName>,
}

/// Whether the answers contain tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokensInAnswers {
    /// In the headers whose rules name them.
    Sent,
    /// Nowhere: these headers are empty.
    Withheld,
}

impl AnswerHeaders {
    /// The fields of the answers on a route with these rules: `fixed`, and all `names`.
    pub fn new(
        fixed: HeaderMap,
        names: &AnswerNames,
        rules: &[HeaderRule],
        tokens: TokensInAnswers,
    ) -> Self {
        let mut fields = fixed;
        for name in names.names.iter() {
            fields.insert(name.clone(), HeaderValue::from_static(""));
        }
        for (name, value) in constants(rules) {
            fields.insert(name, value);
        }
        let is_own = |name: &HeaderName| rules.iter().any(|rule| rule.name == *name);
        let mut auth_request = auth_request_rules();
        // Under these names the route's value counts, even if it is empty.
        auth_request.retain(|rule| !is_own(&rule.name));
        let with_token =
            |rule: &&HeaderRule| tokens == TokensInAnswers::Withheld && rule.template.uses_token();
        let withheld = rules.iter().filter(with_token).map(|rule| rule.name.clone()).collect();
        Self { fields, auth_request, withheld }
    }

    /// The fields for a visitor who is not signed in.
    pub fn anonymous(&self) -> HeaderMap {
        self.fields.clone()
    }

    /// The fields with these values, which belong to them.
    pub fn filled(&self, values: &AnswerValues) -> HeaderMap {
        let mut fields = self.fields.clone();
        for (field, value) in fields.values_mut().zip(&values.values) {
            field.clone_from(value);
        }
        fields
    }

    /// The values for a user. `own` are the headers by the rules of the route, and `most` the most bytes of the others.
    pub fn values(&self, known: Known<'_>, own: &Rendered, most: usize) -> AnswerValues {
        let others = render(&self.auth_request, known, most);
        let mut fields = self.fields.clone();
        let is_withheld = |name: &HeaderName| self.withheld.contains(name);
        let own_always = own.always.iter().filter(|(name, _)| !is_withheld(name));
        for (name, value) in own_always.chain(&others.always) {
            // No name is new, so the order of the fields stays as it is.
            if let Some(field) = fields.get_mut(name) {
                field.clone_from(value);
            }
        }
        let left_out = own.left_out.iter().chain(&others.left_out).cloned().collect();
        AnswerValues { values: fields.into_iter().map(|(_, value)| value).collect(), left_out }
    }

    /// The headers whose values are withheld.
    pub fn withheld(&self) -> &[HeaderName] {
        &self.withheld
    }
}

/// The names of all identity headers in answers to auth subrequests, of every route.
#[derive(Clone, Debug)]
pub struct AnswerNames {
    names: Arc<[HeaderName]>,
    /// One bit for each length of a name.
    lengths: u128,
    /// Whether one of them is a header with which a Kubernetes client acts as another user.
    impersonates: bool,
}

impl AnswerNames {
    /// The names of these rules, and the defaults.
    pub fn new<'r>(rules: impl IntoIterator<Item = &'r HeaderRule>) -> Self {
        let defaults = auth_request_rules().into_iter().chain(default_rules());
        let mut names: Vec<HeaderName> = Vec::new();
        for name in
            defaults.map(|rule| rule.name).chain(rules.into_iter().map(|it| it.name.clone()))
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let lengths = names.iter().fold(0, |lengths, name| lengths | length(name));
        let impersonates = names.iter().any(|name| is_impersonation(name.as_str()));
        Self { names: names.into(), lengths, impersonates }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &HeaderName> {
        self.names.iter()
    }

    /// Whether an application could trust a request's header with this name, and an answer cannot remove it: it is
    /// one of these in another spelling.
    // SECURITY: CGI and its successors read `X_Forwarded_User` as `X-Forwarded-User`.
    pub fn is_forged(&self, name: &HeaderName) -> bool {
        let (text, names) = (name.as_str(), &self.names);
        let misspelt = self.lengths & length(name) != 0
            && names.iter().any(|own| is_spelling_of(text, own.as_str()) && own != name);
        // SECURITY: a visitor must not add `Impersonate-Group` to the gateway's `Impersonate-User` (Kubernetes).
        misspelt || self.impersonates && is_impersonation(text) && !names.contains(name)
    }
}

/// The bit of a name's length.
fn length(name: &HeaderName) -> u128 {
    1 << (name.as_str().len() & 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::headers::Template;
    use crate::identity::headers::tests::alice;
    use crate::secret::Secret;

    fn rule(name: &'static str, template: &str) -> HeaderRule {
        let template = Template::parse(template).unwrap();
        HeaderRule { name: HeaderName::from_static(name), template }
    }

    fn filled(rules: &[HeaderRule], tokens: TokensInAnswers) -> HeaderMap {
        let identity = alice();
        let token = Secret::new("secret-token");
        let known = Known { identity: &identity, access_token: None, id_token: Some(&token) };
        let own = render(rules, known, 1000);
        let answer = AnswerHeaders::new(HeaderMap::new(), &AnswerNames::new(rules), rules, tokens);
        answer.filled(&answer.values(known, &own, 1000))
    }

    #[test]
    fn every_name_is_in_an_answer_with_its_own_value() {
        let rules =
            [rule("x-user", "{user}"), rule("x-none", "{claim:none}"), rule("x-team", "wiki")];
        let headers = filled(&rules, TokensInAnswers::Sent);
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        for (name, expected) in [
            ("x-user", "1"),
            ("x-none", ""),
            ("x-team", "wiki"),
            ("x-forwarded-user", ""),
            ("x-auth-request-user", "1"),
            ("x-auth-request-email", "alice@example.com"),
        ] {
            assert_eq!(value(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn rule_of_the_route_replaces_a_default_also_without_a_value() {
        let headers = filled(&[rule("x-auth-request-user", "{claim:none}")], TokensInAnswers::Sent);
        assert_eq!(headers.get("x-auth-request-user").unwrap(), "");
    }

    #[test]
    fn token_that_is_withheld_leaves_its_header_empty() {
        let rules = [rule("x-id-token", "{id_token}")];
        assert_eq!(filled(&rules, TokensInAnswers::Withheld).get("x-id-token").unwrap(), "");
        let sent = filled(&rules, TokensInAnswers::Sent);
        assert_eq!(sent.get("x-id-token").unwrap(), "secret-token");
    }

    #[test]
    fn forged_names_are_other_spellings_of_identity_headers() {
        let forged = |rules: &[HeaderRule], name: &'static str| {
            AnswerNames::new(rules).is_forged(&HeaderName::from_static(name))
        };
        for name in ["x_forwarded_user", "x.forwarded-user", "x-auth-request_email"] {
            assert!(forged(&[], name), "{name}");
        }
        for name in ["x-forwarded-user", "x-forwarded-users", "accept", "impersonate-group"] {
            assert!(!forged(&[], name), "{name}");
        }
        let user = [rule("impersonate-user", "{user}")];
        assert!(forged(&user, "impersonate-group"));
        assert!(!forged(&user, "impersonate-user"));
    }
}
