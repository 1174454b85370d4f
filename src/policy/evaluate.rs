//! `Policy` + what was asked + `Identity`, if any -> `Verdict`.

use http::Method;

use crate::client_address::ClientAddress;
use crate::identity::Identity;
use crate::identity::claim_set::Claim;
use crate::policy::Policy;
use crate::policy::rule::{Key, Rule};
use crate::routing::path::PathInterpretation;

/// What a visitor asks for.
#[derive(Clone, Copy, Debug)]
pub struct PolicyInput<'a> {
    /// The method; `None` where an asker did not tell it: it satisfies no `methods`.
    pub method: Option<&'a Method>,
    /// The path, in one reading.
    pub path: &'a PathInterpretation<'a>,
    /// The address of the client; unknown: it satisfies no `client_addresses`.
    pub client_address: ClientAddress,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request passes.
    Admit,
    /// Nobody is signed in, and signing in may help.
    SignIn,
    /// The request does not pass.
    Deny(Denial),
}

/// Why a request does not pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    /// The keys that failed in the rules, each once, in the order of the rules.
    pub failed: Vec<Key>,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The request passes.
    Admits,
    /// It depends on who asks, and nobody is signed in.
    AsksForSignIn,
    /// These of its keys fail.
    Fails(Vec<Key>),
}

impl Verdict {
    /// Whether another one has the same decision, for whatever reason.
    pub fn decides_as(&self, other: &Self) -> bool {
        match self {
            Self::Admit => matches!(other, Self::Admit),
            Self::SignIn => matches!(other, Self::SignIn),
            Self::Deny(_) => matches!(other, Self::Deny(_)),
        }
    }
}

impl Policy {
    /// Whether whoever asks this passes, so that nobody has to be known for it.
    pub fn is_public_for(&self, asked: PolicyInput<'_>) -> bool {
        match self {
            Self::Public => true,
            Self::Authenticated => false,
            Self::Rules(rules) => {
                rules.iter().any(|rule| rule.public && failed_of_request(rule, asked).is_empty())
            }
        }
    }

    /// Decides; the first rule that passes admits.
    pub fn evaluate(&self, asked: PolicyInput<'_>, identity: Option<&Identity>) -> Verdict {
        match (self, identity) {
            (Self::Public, _) | (Self::Authenticated, Some(_)) => Verdict::Admit,
            (Self::Authenticated, None) => Verdict::SignIn,
            (Self::Rules(rules), identity) => {
                sum(rules.iter().map(|rule| rule.judge(asked, identity)))
            }
        }
    }
}

impl Rule {
    /// What this rule alone says.
    pub fn judge(&self, asked: PolicyInput<'_>, identity: Option<&Identity>) -> Ruling {
        let mut failed = failed_of_request(self, asked);
        match identity {
            _ if self.public => {}
            Some(identity) => failed.extend(failed_of_person(self, identity)),
            None if failed.is_empty() => return Ruling::AsksForSignIn,
            None => {}
        }
        if failed.is_empty() { Ruling::Admits } else { Ruling::Fails(failed) }
    }
}

/// One rule that admits is enough; without one, signing in comes before a denial.
fn sum(rulings: impl Iterator<Item = Ruling>) -> Verdict {
    let (mut denial, mut sign_in) = (Denial::default(), false);
    for ruling in rulings {
        match ruling {
            Ruling::Admits => return Verdict::Admit,
            Ruling::AsksForSignIn => sign_in = true,
            Ruling::Fails(keys) => denial.note(keys),
        }
    }
    if sign_in { Verdict::SignIn } else { Verdict::Deny(denial) }
}

impl Denial {
    fn note(&mut self, keys: Vec<Key>) {
        for key in keys {
            if !self.failed.contains(&key) {
                self.failed.push(key);
            }
        }
    }
}

/// The keys about the request that are written and do not pass.
fn failed_of_request(rule: &Rule, asked: PolicyInput<'_>) -> Vec<Key> {
    let mut failed = Vec::new();
    if !any(&rule.methods, |method| asked.method.is_some_and(|asked| covers(method, asked))) {
        failed.push(Key::Methods);
    }
    if !any(&rule.paths, |path| path.matches(asked.path)) {
        failed.push(Key::Paths);
    }
    let networks = rule.client_addresses.as_deref();
    if networks.is_some_and(|networks| !asked.client_address.is_in(networks)) {
        failed.push(Key::ClientAddresses);
    }
    failed
}

/// The keys about the person that are written and do not pass.
// SECURITY: addresses are folded in ASCII only; else the Kelvin sign U+212A would be a k.
fn failed_of_person(rule: &Rule, identity: &Identity) -> Vec<Key> {
    let email = identity.email.as_deref();
    let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
    let of_email = |key| if identity.email_withheld { Key::EmailUnverified } else { key };
    let passes = [
        (
            of_email(Key::Emails),
            any(&rule.emails, |wanted| {
                email.is_some_and(|email| email.eq_ignore_ascii_case(wanted))
            }),
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
        // Each claim that is named is a key of its own: all of them must pass.
        (
            Key::Claims,
            rule.claims.iter().flatten().all(|(path, wanted)| {
                let mut held = identity.claims.find(path).into_iter().flat_map(Claim::texts);
                held.any(|held| wanted.iter().any(|wanted| *wanted == held))
            }),
        ),
    ];
    let mut failed: Vec<Key> =
        passes.into_iter().filter(|(_, passes)| !passes).map(|(key, _)| key).collect();
    failed.dedup();
    failed
}

/// A key that was not written passes.
fn any<T>(values: &Option<Vec<T>>, passes: impl FnMut(&T) -> bool) -> bool {
    values.as_ref().is_none_or(|values| values.iter().any(passes))
}

fn covers(allowed: &Method, asked: &Method) -> bool {
    allowed == asked || (allowed == Method::GET && asked == Method::HEAD)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::identity::claims::ClaimPath;
    use crate::policy::rule::EmailDomain;
    use crate::routing::path::{PathInterpretations, PathPrefix};

    fn alice() -> Identity {
        Identity {
            provider: Arc::from("company"),
            subject: Arc::from("1"),
            user: Some("1".into()),
            email: Some("Alice@Example.com".into()),
            email_withheld: false,
            groups_claim: ClaimPath::parse("groups").unwrap(),
            name: None,
            preferred_username: None,
            claims: json!({"groups": ["staff"], "roles": ["x"], "level": 3})
                .as_object()
                .unwrap()
                .clone()
                .into(),
        }
    }

    fn evaluate(rules: Vec<Rule>, identity: Option<&Identity>) -> Verdict {
        let interpretations = PathInterpretations::of("/docs/a").unwrap();
        let asked = PolicyInput {
            method: Some(&Method::HEAD),
            path: interpretations.plain(),
            client_address: ClientAddress::Known("::ffff:10.1.2.3".parse().unwrap()),
        };
        Policy::Rules(rules).evaluate(asked, identity)
    }

    fn denied(keys: &[Key]) -> Verdict {
        Verdict::Deny(Denial { failed: keys.to_vec() })
    }

    fn strings(text: &str) -> Option<Vec<String>> {
        Some(vec![text.to_owned()])
    }

    #[track_caller]
    fn check(rule: Rule, expected: Verdict) {
        assert_eq!(evaluate(vec![rule.clone()], Some(&alice())), expected, "{rule:?}");
    }

    #[test]
    fn each_key_asks_for_what_it_says() {
        let domain = |text| Some(vec![EmailDomain::parse(text).unwrap()]);
        let claim = |path, value: &str| {
            Some(vec![(ClaimPath::parse(path).unwrap(), vec![value.to_owned()])])
        };
        let network = |text: &str| Some(vec![text.parse().unwrap()]);
        let path = |text| Some(vec![PathPrefix::parse(text).unwrap()]);
        let rule = Rule::default;
        check(Rule { emails: strings("alice@example.com"), ..rule() }, Verdict::Admit);
        check(Rule { emails: strings("bob@example.com"), ..rule() }, denied(&[Key::Emails]));
        check(Rule { email_domains: domain("example.com"), ..rule() }, Verdict::Admit);
        check(Rule { email_domains: domain("ample.com"), ..rule() }, denied(&[Key::EmailDomains]));
        check(Rule { groups: strings("staff"), ..rule() }, Verdict::Admit);
        check(Rule { groups: strings("Staff"), ..rule() }, denied(&[Key::Groups]));
        check(Rule { users: strings("1"), ..rule() }, Verdict::Admit);
        check(Rule { users: strings("2"), ..rule() }, denied(&[Key::Users]));
        check(Rule { providers: Some(vec!["other".into()]), ..rule() }, denied(&[Key::Providers]));
        check(Rule { claims: claim("/roles", "x"), ..rule() }, Verdict::Admit);
        check(Rule { claims: claim("level", "3"), ..rule() }, Verdict::Admit);
        check(Rule { claims: claim("roles", "y"), ..rule() }, denied(&[Key::Claims]));
        check(Rule { methods: Some(vec![Method::GET]), ..rule() }, Verdict::Admit);
        check(Rule { methods: Some(vec![Method::POST]), ..rule() }, denied(&[Key::Methods]));
        check(Rule { paths: path("/docs"), ..rule() }, Verdict::Admit);
        check(Rule { paths: path("/doc"), ..rule() }, denied(&[Key::Paths]));
        check(Rule { client_addresses: network("10.0.0.0/8"), ..rule() }, Verdict::Admit);
        check(
            Rule { client_addresses: network("11.0.0.0/8"), ..rule() },
            denied(&[Key::ClientAddresses]),
        );
    }

    #[test]
    fn an_email_that_is_not_verified_is_named_as_the_cause() {
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
    fn a_letter_that_only_looks_alike_is_another_address() {
        let rule = Rule { emails: strings("kim@example.com"), ..Rule::default() };
        let kim = |email: &str| Identity { email: Some(email.into()), ..alice() };
        let check = |email, verdict| {
            assert_eq!(evaluate(vec![rule.clone()], Some(&kim(email))), verdict, "{email}");
        };
        check("KIM@example.com", Verdict::Admit);
        check("\u{212a}im@example.com", denied(&[Key::Emails]));
    }

    #[test]
    fn all_keys_of_a_rule_must_pass_and_one_rule_is_enough() {
        let both = Rule { groups: strings("staff"), users: strings("2"), ..Rule::default() };
        assert_eq!(evaluate(vec![both.clone()], Some(&alice())), denied(&[Key::Users]));
        let other = Rule { users: strings("1"), ..Rule::default() };
        assert_eq!(evaluate(vec![both, other], Some(&alice())), Verdict::Admit);
    }

    #[test]
    fn signing_in_is_asked_for_only_where_it_may_help() {
        let members = Rule { groups: strings("staff"), ..Rule::default() };
        assert_eq!(evaluate(vec![members], None), Verdict::SignIn);
        let posts = Rule { methods: Some(vec![Method::POST]), ..Rule::default() };
        assert_eq!(evaluate(vec![posts], None), denied(&[Key::Methods]));
        let public = Rule { public: true, methods: Some(vec![Method::GET]), ..Rule::default() };
        assert_eq!(evaluate(vec![public], None), Verdict::Admit);
    }

    #[test]
    fn what_a_public_rule_admits_is_public_and_nothing_else() {
        let interpretations = PathInterpretations::of("/docs/a").unwrap();
        let asked = PolicyInput {
            method: Some(&Method::GET),
            path: interpretations.plain(),
            client_address: ClientAddress::Known("10.1.2.3".parse().unwrap()),
        };
        let paths = |path| Some(vec![PathPrefix::parse(path).unwrap()]);
        let open = |path| Rule { public: true, paths: paths(path), ..Rule::default() };
        let staff = || Rule { groups: strings("staff"), ..Rule::default() };
        let check = |policy: Policy, expected| {
            assert_eq!(policy.is_public_for(asked), expected, "{policy:?}");
            assert_eq!(policy.evaluate(asked, None) == Verdict::Admit, expected, "{policy:?}");
        };
        check(Policy::Public, true);
        check(Policy::Authenticated, false);
        check(Policy::Rules(vec![staff()]), false);
        check(Policy::Rules(vec![staff(), open("/docs")]), true);
        check(Policy::Rules(vec![staff(), open("/assets")]), false);
    }

    #[test]
    fn each_rule_says_what_it_makes_of_a_request() {
        let interpretations = PathInterpretations::of("/docs/a").unwrap();
        let asked = PolicyInput {
            method: Some(&Method::POST),
            path: interpretations.plain(),
            client_address: ClientAddress::Known("10.1.2.3".parse().unwrap()),
        };
        let check = |rule: Rule, stranger: Ruling, alice_s: Ruling| {
            assert_eq!(rule.judge(asked, None), stranger, "{rule:?}");
            assert_eq!(rule.judge(asked, Some(&alice())), alice_s, "{rule:?}");
        };
        let fails = |keys: &[Key]| Ruling::Fails(keys.to_vec());
        let gets = Some(vec![Method::GET]);
        let staff = Rule { groups: strings("staff"), ..Rule::default() };
        check(staff, Ruling::AsksForSignIn, Ruling::Admits);
        let open = Rule { public: true, ..Rule::default() };
        check(open, Ruling::Admits, Ruling::Admits);
        let open_gets = Rule { public: true, methods: gets.clone(), ..Rule::default() };
        check(open_gets, fails(&[Key::Methods]), fails(&[Key::Methods]));
        let both = Rule { methods: gets, users: strings("2"), ..Rule::default() };
        check(both, fails(&[Key::Methods]), fails(&[Key::Methods, Key::Users]));
    }

    #[test]
    fn an_unknown_method_satisfies_no_methods() {
        let interpretations = PathInterpretations::of("/").unwrap();
        let asked = PolicyInput {
            method: None,
            path: interpretations.plain(),
            client_address: ClientAddress::Known("::1".parse().unwrap()),
        };
        let rule = Rule { methods: Some(vec![Method::GET]), ..Rule::default() };
        let verdict = Policy::Rules(vec![rule]).evaluate(asked, Some(&alice()));
        assert_eq!(verdict, denied(&[Key::Methods]));
    }
}
