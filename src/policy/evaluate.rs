//! `Policy` + `PolicyInput` + `Identity`, if a user is signed in -> `Verdict`.

use http::Method;

use crate::client_address::ClientAddress;
use crate::identity::Identity;
use crate::identity::claim_set::Claim;
use crate::policy::Policy;
use crate::policy::rule::{Key, Rule};
use crate::routing::path::PathInterpretation;

/// The parts of a request that rules look at.
#[derive(Clone, Copy, Debug)]
pub struct PolicyInput<'a> {
    /// The method. `None`: an auth subrequest did not name it, so no `methods` match.
    pub method: Option<&'a Method>,
    /// The path, in one interpretation.
    pub path: &'a PathInterpretation<'a>,
    /// The address of the client. If it is unknown, no `client_addresses` match.
    pub client_address: ClientAddress,
}

/// The answer of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is allowed.
    Allow,
    /// The visitor is not signed in, and signing in may help.
    SignIn,
    /// The request is denied.
    Deny(Denial),
}

/// Why a request is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    /// For each rule, its keys that failed.
    pub rules: Vec<Vec<Key>>,
}

impl Denial {
    /// The keys that failed in the rules, each once, in the order of the rules.
    pub fn failed(&self) -> Vec<Key> {
        let mut failed = Vec::new();
        for key in self.rules.iter().flatten() {
            if !failed.contains(key) {
                failed.push(*key);
            }
        }
        failed
    }

    /// The failed key to name to the user: that of the rules with the fewest failed keys. `None` if these rules
    /// failed for different keys, because then no single key is the reason.
    pub fn decisive(&self) -> Option<Key> {
        // A rule about other requests says nothing about this user.
        let other = |keys: &[Key]| {
            keys.iter().any(|it| matches!(it, Key::Methods | Key::Paths | Key::ExactPaths))
        };
        let of_this: Vec<&[Key]> =
            self.rules.iter().map(Vec::as_slice).filter(|keys| !other(keys)).collect();
        let rules = match of_this.as_slice() {
            [] => self.rules.iter().map(Vec::as_slice).collect(),
            [_, ..] => of_this,
        };
        let least = rules.iter().map(|keys| keys.len()).min()?;
        // Another network alone would not help a user whose account is not allowed.
        let about_user = |key: &&Key| {
            !matches!(key, Key::Methods | Key::Paths | Key::ExactPaths | Key::ClientAddresses)
        };
        let nearest = rules.iter().filter(|keys| keys.len() == least);
        let mut keys = nearest.filter_map(|keys| keys.iter().find(about_user).or(keys.first()));
        let first = *keys.next()?;
        keys.try_fold(first, |one, other| match (one, other) {
            (Key::EmailUnverified, _) | (_, Key::EmailUnverified) => Some(Key::EmailUnverified),
            (one, other) => (one == *other).then_some(one),
        })
    }
}

/// The answer of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The rule matches, so the request is allowed.
    Allows,
    /// The rule depends on the user, and the visitor is not signed in.
    NeedsSignIn,
    /// These keys of the rule do not match.
    Fails(Vec<Key>),
}

impl Verdict {
    /// Whether another verdict is equal, apart from its reason.
    pub fn decides_as(&self, other: &Self) -> bool {
        match self {
            Self::Allow => matches!(other, Self::Allow),
            Self::SignIn => matches!(other, Self::SignIn),
            Self::Deny(_) => matches!(other, Self::Deny(_)),
        }
    }
}

impl Policy {
    /// Whether the request is allowed for every visitor, signed in or not.
    pub fn is_public_for(&self, input: PolicyInput<'_>) -> bool {
        match self {
            Self::Public => true,
            Self::Authenticated => false,
            Self::Rules(rules) => {
                rules.iter().any(|rule| rule.public && failed_of_request(rule, input).is_empty())
            }
        }
    }

    /// Decides about a request. A list of rules allows it if any rule matches.
    pub fn evaluate(&self, input: PolicyInput<'_>, identity: Option<&Identity>) -> Verdict {
        match (self, identity) {
            (Self::Public, _) | (Self::Authenticated, Some(_)) => Verdict::Allow,
            (Self::Authenticated, None) => Verdict::SignIn,
            (Self::Rules(rules), identity) => {
                sum(rules.iter().map(|rule| rule.judge(input, identity)))
            }
        }
    }
}

impl Rule {
    /// Evaluates this rule alone.
    pub fn judge(&self, input: PolicyInput<'_>, identity: Option<&Identity>) -> Ruling {
        let mut failed = failed_of_request(self, input);
        match identity {
            _ if self.public => {}
            Some(identity) => failed.extend(failed_of_user(self, identity)),
            None if failed.is_empty() => return Ruling::NeedsSignIn,
            None => {}
        }
        if failed.is_empty() { Ruling::Allows } else { Ruling::Fails(failed) }
    }
}

/// The verdict of a list of rules: one that allows is enough; without one, a sign-in that may help goes before
/// a denial.
fn sum(rulings: impl Iterator<Item = Ruling>) -> Verdict {
    let (mut denial, mut sign_in) = (Denial::default(), false);
    for ruling in rulings {
        match ruling {
            Ruling::Allows => return Verdict::Allow,
            Ruling::NeedsSignIn => sign_in = true,
            Ruling::Fails(keys) => denial.rules.push(keys),
        }
    }
    if sign_in { Verdict::SignIn } else { Verdict::Deny(denial) }
}

/// The keys about the request that do not match.
fn failed_of_request(rule: &Rule, input: PolicyInput<'_>) -> Vec<Key> {
    let mut failed = Vec::new();
    if !any(&rule.methods, |allowed| input.method.is_some_and(|method| covers(allowed, method))) {
        failed.push(Key::Methods);
    }
    if !any(&rule.paths, |path| path.matches(input.path)) {
        failed.push(Key::Paths);
    }
    if !any(&rule.exact_paths, |path| path.matches(input.path)) {
        failed.push(Key::ExactPaths);
    }
    let networks = rule.client_addresses.as_deref();
    if networks.is_some_and(|networks| !input.client_address.is_in(networks)) {
        failed.push(Key::ClientAddresses);
    }
    failed
}

/// The keys about the user that do not match.
// SECURITY: letter case of e-mail addresses is ignored for ASCII letters only. With all of Unicode, the Kelvin
// sign U+212A would be a k.
fn failed_of_user(rule: &Rule, identity: &Identity) -> Vec<Key> {
    let email = identity.email.as_deref();
    let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
    let of_email = |key| if identity.email_withheld { Key::EmailUnverified } else { key };
    let matches = [
        (
            of_email(Key::Emails),
            any(&rule.emails, |wanted| {
                email.is_some_and(|email| email.eq_ignore_ascii_case(wanted))
            }),
        ),
        (
            of_email(Key::EmailsFile),
            rule.emails_file.as_ref().is_none_or(|list| email.is_some_and(|it| list.contains(it))),
        ),
        (
            of_email(Key::EmailDomains),
            any(&rule.email_domains, |wanted| domain.is_some_and(|domain| wanted.matches(domain))),
        ),
        (
            Key::Groups,
            rule.groups.as_ref().is_none_or(|wanted| {
                identity.groups().any(|held| wanted.iter().any(|wanted| *wanted == held))
            }),
        ),
        (Key::Users, any(&rule.users, |wanted| identity.user.as_deref() == Some(wanted))),
        (Key::Providers, any(&rule.providers, |wanted| *wanted == identity.provider)),
        // All of the claims must match.
        (
            Key::Claims,
            rule.claims.iter().flatten().all(|(path, wanted)| {
                let mut held = identity.claims.find(path).into_iter().flat_map(Claim::texts);
                held.any(|held| wanted.iter().any(|wanted| *wanted == held))
            }),
        ),
    ];
    let mut failed: Vec<Key> =
        matches.into_iter().filter(|(_, matches)| !matches).map(|(key, _)| key).collect();
    failed.dedup();
    failed
}

/// Whether any value of a key matches. A key that is not set always matches.
fn any<T>(values: &Option<Vec<T>>, matches: impl FnMut(&T) -> bool) -> bool {
    values.as_ref().is_none_or(|values| values.iter().any(matches))
}

/// Whether a value of `methods` allows a request's method. GET includes HEAD.
fn covers(allowed: &Method, method: &Method) -> bool {
    allowed == method || (allowed == Method::GET && method == Method::HEAD)
}

#[cfg(test)]
mod tests {

    use serde_json::json;

    use super::*;
    use crate::identity::claims::ClaimPath;
    use crate::identity::tests::person;
    use crate::policy::rule::{EmailDomain, EmailList};
    use crate::routing::exact_path::ExactPath;
    use crate::routing::path::{PathInterpretations, PathPrefix};

    fn alice() -> Identity {
        let claims = json!({"groups": ["staff"], "roles": ["x"], "level": 3});
        Identity {
            email: Some("Alice@Example.com".into()),
            claims: claims.as_object().unwrap().clone().into(),
            ..person("1")
        }
    }

    fn evaluate(rules: Vec<Rule>, identity: Option<&Identity>) -> Verdict {
        let interpretations = PathInterpretations::of("/docs/a").unwrap();
        let input = PolicyInput {
            method: Some(&Method::HEAD),
            path: interpretations.plain(),
            client_address: ClientAddress::Known("::ffff:10.1.2.3".parse().unwrap()),
        };
        Policy::Rules(rules).evaluate(input, identity)
    }

    fn denied(keys: &[Key]) -> Verdict {
        Verdict::Deny(Denial { rules: vec![keys.to_vec()] })
    }

    fn strings(text: &str) -> Option<Vec<String>> {
        Some(vec![text.to_owned()])
    }

    #[track_caller]
    fn check(rule: Rule, expected: Verdict) {
        assert_eq!(evaluate(vec![rule.clone()], Some(&alice())), expected, "{rule:?}");
    }

    #[test]
    fn key_matches_only_the_values_that_it_names() {
        let domain = |text| Some(vec![EmailDomain::parse(text).unwrap()]);
        let claim = |path, value: &str| {
            Some(vec![(ClaimPath::parse(path).unwrap(), vec![value.to_owned()])])
        };
        let network = |text: &str| Some(vec![text.parse().unwrap()]);
        let path = |text| Some(vec![PathPrefix::parse(text).unwrap()]);
        let rule = Rule::default;
        check(Rule { emails: strings("alice@example.com"), ..rule() }, Verdict::Allow);
        check(Rule { emails: strings("bob@example.com"), ..rule() }, denied(&[Key::Emails]));
        let file = |text: &str| Some(EmailList::new(vec![text.to_owned()]));
        check(Rule { emails_file: file("alice@EXAMPLE.com"), ..rule() }, Verdict::Allow);
        check(Rule { emails_file: file("bob@example.com"), ..rule() }, denied(&[Key::EmailsFile]));
        check(
            Rule { emails_file: Some(EmailList::default()), ..rule() },
            denied(&[Key::EmailsFile]),
        );
        check(Rule { email_domains: domain("example.com"), ..rule() }, Verdict::Allow);
        check(Rule { email_domains: domain("ample.com"), ..rule() }, denied(&[Key::EmailDomains]));
        check(Rule { groups: strings("staff"), ..rule() }, Verdict::Allow);
        check(Rule { groups: strings("Staff"), ..rule() }, denied(&[Key::Groups]));
        check(Rule { users: strings("1"), ..rule() }, Verdict::Allow);
        check(Rule { users: strings("2"), ..rule() }, denied(&[Key::Users]));
        check(Rule { providers: Some(vec!["other".into()]), ..rule() }, denied(&[Key::Providers]));
        check(Rule { claims: claim("/roles", "x"), ..rule() }, Verdict::Allow);
        check(Rule { claims: claim("level", "3"), ..rule() }, Verdict::Allow);
        check(Rule { claims: claim("roles", "y"), ..rule() }, denied(&[Key::Claims]));
        check(Rule { methods: Some(vec![Method::GET]), ..rule() }, Verdict::Allow);
        check(Rule { methods: Some(vec![Method::POST]), ..rule() }, denied(&[Key::Methods]));
        check(Rule { paths: path("/docs"), ..rule() }, Verdict::Allow);
        check(Rule { paths: path("/doc"), ..rule() }, denied(&[Key::Paths]));
        let exact = |text| Some(vec![ExactPath::parse(text).unwrap()]);
        check(Rule { exact_paths: exact("/docs/a"), ..rule() }, Verdict::Allow);
        check(Rule { exact_paths: exact("/docs"), ..rule() }, denied(&[Key::ExactPaths]));
        let both = Rule { paths: path("/docs"), exact_paths: exact("/docs/b"), ..rule() };
        check(both, denied(&[Key::ExactPaths]));
        check(Rule { client_addresses: network("10.0.0.0/8"), ..rule() }, Verdict::Allow);
        check(
            Rule { client_addresses: network("11.0.0.0/8"), ..rule() },
            denied(&[Key::ClientAddresses]),
        );
    }

    #[test]
    fn unverified_email_is_reported_as_the_failed_key() {
        let rule = Rule {
            emails: strings("alice@example.com"),
            email_domains: Some(vec![EmailDomain::parse("example.com").unwrap()]),
            users: strings("2"),
            ..Rule::default()
        };
        let withheld = Identity { email: None, email_withheld: true, ..alice() };
        let expected = denied(&[Key::EmailUnverified, Key::Users]);
        assert_eq!(evaluate(vec![rule.clone()], Some(&withheld)), expected);
        let without = Identity { email: None, ..alice() };
        let expected = denied(&[Key::Emails, Key::EmailDomains, Key::Users]);
        assert_eq!(evaluate(vec![rule], Some(&without)), expected);
    }

    #[test]
    fn letter_that_only_looks_the_same_is_another_address() {
        let rule = Rule { emails: strings("kim@example.com"), ..Rule::default() };
        let kim = |email: &str| Identity { email: Some(email.into()), ..alice() };
        let check = |email, verdict| {
            assert_eq!(evaluate(vec![rule.clone()], Some(&kim(email))), verdict, "{email}");
        };
        check("KIM@example.com", Verdict::Allow);
        check("\u{212a}im@example.com", denied(&[Key::Emails]));
        let list = EmailList::new(vec!["Kim@example.com".to_owned()]);
        assert!(list.contains("kIM@example.com") && !list.contains("\u{212a}im@example.com"));
    }

    #[test]
    fn rule_matches_with_all_its_keys_and_one_rule_is_enough() {
        let both = Rule { groups: strings("staff"), users: strings("2"), ..Rule::default() };
        assert_eq!(evaluate(vec![both.clone()], Some(&alice())), denied(&[Key::Users]));
        let other = Rule { users: strings("1"), ..Rule::default() };
        assert_eq!(evaluate(vec![both, other], Some(&alice())), Verdict::Allow);
    }

    #[test]
    fn decisive_key_is_that_of_the_rules_that_lack_least() {
        let check = |rules: &[&[Key]], expected| {
            let denial = Denial { rules: rules.iter().map(|keys| keys.to_vec()).collect() };
            assert_eq!(denial.decisive(), expected, "{rules:?}");
        };
        check(&[&[Key::Groups]], Some(Key::Groups));
        check(&[&[Key::Groups], &[Key::Groups]], Some(Key::Groups));
        // Either would be enough.
        check(&[&[Key::Groups], &[Key::Emails]], None);
        check(&[&[Key::Groups, Key::Users], &[Key::Emails]], Some(Key::Emails));
        // Rules about other requests.
        check(&[&[Key::Groups], &[Key::Paths], &[Key::Methods]], Some(Key::Groups));
        check(&[&[Key::Methods], &[Key::Methods, Key::Groups]], Some(Key::Methods));
        check(&[&[Key::ClientAddresses]], Some(Key::ClientAddresses));
        check(&[&[Key::ClientAddresses, Key::Groups]], Some(Key::Groups));
        // The user can change that.
        check(&[&[Key::Groups], &[Key::EmailUnverified]], Some(Key::EmailUnverified));
        check(&[], None);
    }

    #[test]
    fn sign_in_is_required_only_where_it_may_help() {
        let members = Rule { groups: strings("staff"), ..Rule::default() };
        assert_eq!(evaluate(vec![members], None), Verdict::SignIn);
        let posts = Rule { methods: Some(vec![Method::POST]), ..Rule::default() };
        assert_eq!(evaluate(vec![posts], None), denied(&[Key::Methods]));
        let public = Rule { public: true, methods: Some(vec![Method::GET]), ..Rule::default() };
        assert_eq!(evaluate(vec![public], None), Verdict::Allow);
    }

    #[test]
    fn only_requests_that_a_public_rule_allows_are_public() {
        let interpretations = PathInterpretations::of("/docs/a").unwrap();
        let input = PolicyInput {
            method: Some(&Method::GET),
            path: interpretations.plain(),
            client_address: ClientAddress::Known("10.1.2.3".parse().unwrap()),
        };
        let paths = |path| Some(vec![PathPrefix::parse(path).unwrap()]);
        let open = |path| Rule { public: true, paths: paths(path), ..Rule::default() };
        let staff = || Rule { groups: strings("staff"), ..Rule::default() };
        let check = |policy: Policy, expected| {
            assert_eq!(policy.is_public_for(input), expected, "{policy:?}");
            assert_eq!(policy.evaluate(input, None) == Verdict::Allow, expected, "{policy:?}");
        };
        check(Policy::Public, true);
        check(Policy::Authenticated, false);
        check(Policy::Rules(vec![staff()]), false);
        check(Policy::Rules(vec![staff(), open("/docs")]), true);
        check(Policy::Rules(vec![staff(), open("/assets")]), false);
    }

    #[test]
    fn ruling_names_the_failed_keys_of_its_rule() {
        let interpretations = PathInterpretations::of("/docs/a").unwrap();
        let input = PolicyInput {
            method: Some(&Method::POST),
            path: interpretations.plain(),
            client_address: ClientAddress::Known("10.1.2.3".parse().unwrap()),
        };
        let check = |rule: Rule, anonymous: Ruling, of_alice: Ruling| {
            assert_eq!(rule.judge(input, None), anonymous, "{rule:?}");
            assert_eq!(rule.judge(input, Some(&alice())), of_alice, "{rule:?}");
        };
        let fails = |keys: &[Key]| Ruling::Fails(keys.to_vec());
        let gets = Some(vec![Method::GET]);
        let staff = Rule { groups: strings("staff"), ..Rule::default() };
        check(staff, Ruling::NeedsSignIn, Ruling::Allows);
        let open = Rule { public: true, ..Rule::default() };
        check(open, Ruling::Allows, Ruling::Allows);
        let open_gets = Rule { public: true, methods: gets.clone(), ..Rule::default() };
        check(open_gets, fails(&[Key::Methods]), fails(&[Key::Methods]));
        let both = Rule { methods: gets, users: strings("2"), ..Rule::default() };
        check(both, fails(&[Key::Methods]), fails(&[Key::Methods, Key::Users]));
    }

    #[test]
    fn unknown_method_matches_no_methods() {
        let interpretations = PathInterpretations::of("/").unwrap();
        let input = PolicyInput {
            method: None,
            path: interpretations.plain(),
            client_address: ClientAddress::Known("::1".parse().unwrap()),
        };
        let rule = Rule { methods: Some(vec![Method::GET]), ..Rule::default() };
        let verdict = Policy::Rules(vec![rule]).evaluate(input, Some(&alice()));
        assert_eq!(verdict, denied(&[Key::Methods]));
    }
}
