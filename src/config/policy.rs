//! `allow:` -> `policy::Policy`.
//! Invariant: deny is the default. A missing or empty value is an error, never a rule that allows a request.

use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use crate::config::address;
use crate::config::claim_names::warn_of_apparent_path;
use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::emails::{email, emails_file};
use crate::config::field::{Field, NOT_CHECKED};
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::rule_paths::{exact_path, path};
use crate::config::rule_values::warn_of_values;
use crate::config::rule_warnings::{warn_of_idle_rule, warn_of_letter_case};
use crate::config::section::Section;
use crate::config::suggest::nearest;
use crate::identity::claims::ClaimPath;
use crate::policy::Policy;
use crate::policy::rule::{EmailDomain, Rule};
use crate::routing::path::PathPrefix;

/// An item of `allow:`.
pub(super) const RULE: Type =
    Type::Either(&[Type::Choice(&["authenticated"]), Type::Section(KEYS)]);

const KEYS: &[KeySpec] = &[
    key(
        "public",
        Type::Flag,
        DefaultValue::Is("false"),
        "Matches without sign-in. Can only be combined with methods, paths, exact_paths and client_addresses.",
    ),
    rule_key("emails", "E-mail addresses, case-insensitive."),
    key(
        "emails_file",
        Type::Text,
        DefaultValue::Unset(NOT_CHECKED),
        "File with e-mail addresses, one a line; # begins a comment.",
    ),
    rule_key(
        "email_domains",
        "Domains of the e-mail address: example.com, or *.example.com for its subdomains.",
    ),
    rule_key("groups", "Groups, exactly as the provider spells them."),
    rule_key("users", "Values of the claim that is set in `claims.user` of the provider."),
    rule_key("providers", "Provider IDs."),
    key(
        "claims",
        Type::Map(&Type::OneOrMore(&Type::Scalar)),
        DefaultValue::Unset(NOT_CHECKED),
        "Claims, or JSON pointers, each with the accepted values.",
    ),
    rule_key("methods", "Methods; GET includes HEAD."),
    rule_key("paths", "Path prefixes, by whole segments."),
    rule_key("exact_paths", "Paths, compared as a whole: /a matches neither /a/ nor /a/b."),
    rule_key("client_addresses", "Client addresses: networks (CIDR) or single addresses."),
];

const fn rule_key(name: &'static str, about: &'static str) -> KeySpec {
    key(name, Type::List { of: &Type::Text, least: 1 }, DefaultValue::Unset(NOT_CHECKED), about)
}

/// Keys that are allowed together with `public: true`: they need no signed-in user.
const WITHOUT_USER: [&str; 5] = ["public", "methods", "paths", "exact_paths", "client_addresses"];

/// Keys whose values can belong to different users at different providers.
const OF_A_PROVIDER: [&str; 6] =
    ["groups", "users", "claims", "emails", "emails_file", "email_domains"];

const ONE_OF_THREE: &str = "write `allow: authenticated` for all signed-in users, \
    `allow: [{ email_domains: [example.com] }]` for some, or `allow: public` for everyone";

/// The route of a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfRoute<'a> {
    /// IDs of all providers, if they are known.
    pub(super) ids: Option<&'a [String]>,
    /// Providers of the route, if it sets them.
    pub(super) providers: Option<&'a [Arc<str>]>,
    /// Path of the route, if it is known.
    pub(super) path: Option<&'a PathPrefix>,
}

impl OfRoute<'_> {
    /// Whether the route accepts users of several providers.
    pub(super) fn accepts_several(&self) -> bool {
        let ids = self.ids.unwrap_or_default();
        let accepts = |id: &&String| {
            self.providers.is_none_or(|chosen| chosen.iter().any(|other| **other == **id))
        };
        ids.iter().filter(accepts).count() > 1
    }
}

/// `allow:` of a route.
pub(super) fn policy(field: &Field<'_>, route: OfRoute<'_>) -> Result<Policy, Reported> {
    match field.node {
        None => Err(field.error(
            &Invalid::new("is required: without it, every request would be denied")
                .hint(ONE_OF_THREE),
        )),
        Some(Node::Text(_)) => field.value(|text| match text {
            "public" => Ok(Policy::Public),
            "authenticated" => Ok(Policy::Authenticated),
            _ => {
                let invalid = Invalid::new("is not `authenticated`, `public` or a list of rules")
                    .hint(ONE_OF_THREE);
                Err(match nearest(text, ["public", "authenticated"]) {
                    Some(word) => invalid.suggest(word),
                    None if address::network(text).is_ok() => {
                        invalid.suggest(format!("allow: [{{ client_addresses: [{text}] }}]"))
                    }
                    None => invalid,
                })
            }
        }),
        Some(Node::Map(_)) => {
            let invalid = Invalid::new("must be a list of rules, not a mapping")
                .hint("put the rule in [ ]: `allow: [{ email_domains: [example.com] }]`");
            let reported = field.error(&invalid);
            // It is probably a rule, which may have problems of its own.
            let inside = Field { kind: &RULE, ..field.clone() };
            drop(Section::of(&inside).and_then(|section| rule(&section, route)));
            Err(reported)
        }
        Some(Node::Flag(_) | Node::Number(_)) => Err(field.error(
            &Invalid::new("must be `authenticated`, `public`, or a list of rules")
                .hint(ONE_OF_THREE),
        )),
        Some(Node::Null | Node::List(_) | Node::Tagged) => {
            let items = field.items()?;
            let rules: Vec<_> = items
                .iter()
                .map(|item| match item.node {
                    // A rule without keys matches every signed-in user.
                    Some(Node::Text(text)) if text == "authenticated" => Ok(Rule::default()),
                    _ => mapping(item).and_then(|section| rule(&section, route)),
                })
                .collect();
            let rules = rules.into_iter().collect::<Result<Vec<Rule>, Reported>>()?;
            warn_of_letter_case(&items, &rules);
            Ok(Policy::Rules(rules))
        }
    }
}

fn mapping<'r>(item: &Field<'r>) -> Result<Section<'r>, Reported> {
    let Some(Node::Text(text)) = item.node else { return Section::of(item) };
    let hint = match text.as_str() {
        "public" => {
            "write `allow: public`, without a list, or a rule: `{ public: true, paths: [/open] }`".to_owned()
        }
        text if text.contains('@') => "write the key too: `{ emails: [ada@example.com] }`".to_owned(),
        _ => "write the key too: `{ groups: [staff] }`, `{ email_domains: [example.com] }` or `{ users: [ada] }`"
            .to_owned(),
    };
    Err(item.error(&Invalid::new("must be a rule (a mapping), not a string").hint(hint)))
}

fn rule(section: &Section<'_>, route: OfRoute<'_>) -> Result<Rule, Reported> {
    let public = section.field("public").flag();
    let emails = section.field("emails").optional_list(email);
    let emails_file = emails_file(&section.field("emails_file"));
    let email_domains = section.field("email_domains").optional_list(email_domain);
    let groups = section.field("groups").optional_list(exact);
    let users = section.field("users").optional_list(exact);
    let providers = providers(&section.field("providers"), route.ids);
    let claims = claims(&section.field("claims"));
    let methods = section.field("methods").optional_list(method);
    let paths = section.field("paths").optional_list(path);
    let exact_paths = section.field("exact_paths").optional_list(exact_path);
    let client_addresses = client_addresses(&section.field("client_addresses"));
    let rule = Rule {
        public: public?,
        emails: emails?,
        emails_file: emails_file?,
        email_domains: email_domains?,
        groups: groups?,
        users: users?,
        providers: providers?,
        claims: claims?,
        methods: methods?,
        paths: paths?,
        exact_paths: exact_paths?,
        client_addresses: client_addresses?,
    };
    check_keys(section, rule.public)?;
    check_issuers_of_names(section, &rule, route)?;
    warn_of_idle_rule(section, &rule, route.path, route.providers);
    warn_of_values(section, &rule);
    Ok(rule)
}

/// Checks that a rule has a key, and that a rule with `public: true` has no key about a user.
fn check_keys(section: &Section<'_>, public: bool) -> Result<(), Reported> {
    let has_a_key = public || section.written().any(|key| key != "public");
    if !has_a_key {
        let invalid =
            Invalid::new("is a rule without a key, which would allow every signed-in user")
                .hint("to allow every signed-in user, write `authenticated` in its place");
        return Err(section.diagnostics.error(&section.path, &invalid, None));
    }
    if !public {
        return Ok(());
    }
    match section.written().find(|key| !WITHOUT_USER.contains(key)) {
        None => Ok(()),
        Some(key) => {
            let invalid = Invalid::new(
                "cannot be combined with `public: true`, which needs no sign-in",
            )
            .hint("write two rules; a rule with `public: true` can only have methods, paths, exact_paths and client_addresses");
            Err(section.diagnostics.error(&section.path.key(key), &invalid, None))
        }
    }
}

// SECURITY: a group, user, claim or e-mail address is only as reliable as its provider. Anyone can create a group
// `staff` at some providers, and a provider can call any address verified.
fn check_issuers_of_names(
    section: &Section<'_>,
    rule: &Rule,
    route: OfRoute<'_>,
) -> Result<(), Reported> {
    if !route.accepts_several() || route.providers.is_some() || rule.providers.is_some() {
        return Ok(());
    }
    match section.written().find(|key| OF_A_PROVIDER.contains(key)) {
        None => Ok(()),
        Some(key) => {
            let ids = route.ids.unwrap_or_default();
            let what = format!(
                "needs `providers`: there are several ({}), and users of different providers can have the same value",
                ids.join(", ")
            );
            let first = ids.first().map_or("", String::as_str);
            let hint =
                format!("add `providers: [{first}]`, or another ID, to this rule or to the route");
            let path = section.path.key(key);
            Err(section.diagnostics.error(&path, &Invalid::new(what).hint(hint), None))
        }
    }
}

fn client_addresses(field: &Field<'_>) -> Result<Option<Vec<IpNet>>, Reported> {
    let Some(networks) = field.optional_list(address::network)? else { return Ok(None) };
    let meant = |(at, network)| address::without_host(network, field, at);
    Ok(Some(networks.into_iter().enumerate().map(meant).collect()))
}

/// Parses a list of IDs of configured providers.
pub(super) fn providers(
    field: &Field<'_>,
    ids: Option<&[String]>,
) -> Result<Option<Vec<Arc<str>>>, Reported> {
    field.optional_list(|text| {
        let Some(ids) = ids else { return Ok(text.into()) };
        if ids.iter().any(|id| id == text) {
            return Ok(text.into());
        }
        let invalid = Invalid::new("is not a configured provider");
        Err(match nearest(text, ids.iter().map(String::as_str)) {
            Some(near) => invalid.suggest(near),
            None if ids.is_empty() => invalid,
            None => invalid.hint(format!("configured providers: {}", ids.join(", "))),
        })
    })
}

/// A claim and the values that satisfy it.
type Claim = (ClaimPath, Vec<String>);

fn claims(field: &Field<'_>) -> Result<Option<Vec<Claim>>, Reported> {
    let Some(entries) = field.entries()? else { return Ok(None) };
    if entries.is_empty() {
        return Err(field.error(
            &"has no claims: write a claim and its values, such as `{ tenant: main }`".into(),
        ));
    }
    let claim = |entry: &Field<'_>| {
        warn_of_apparent_path(entry.diagnostics, &entry.path, &entry.name);
        let path = ClaimPath::parse(&entry.name).map_err(|what| entry.error(&what.into()));
        let values = entry.list(exact);
        Ok((path?, values?))
    };
    let claims: Vec<_> = entries.iter().map(claim).collect();
    claims.into_iter().collect::<Result<Vec<_>, Reported>>().map(Some)
}

/// Parses a string that is compared exactly.
fn exact(text: &str) -> Result<String, Invalid> {
    match text.is_empty() {
        true => Err("is empty".into()),
        false => Ok(text.to_owned()),
    }
}

fn email_domain(text: &str) -> Result<EmailDomain, Invalid> {
    // In oauth2-proxy, this means every domain below it. Here it would never match.
    if let Some(bare) = text.strip_prefix('.') {
        return Err(
            Invalid::new("begins with a dot, so it never matches").suggest(format!("*.{bare}"))
        );
    }
    EmailDomain::parse(text).map_err(|what| {
        let invalid = Invalid::from(what);
        match text.split_once('@') {
            Some(("", domain)) if EmailDomain::parse(domain).is_ok() => invalid.suggest(domain),
            // SECURITY: its domain would allow more users than this one.
            Some(_) => invalid.hint("to allow one address, use `emails`"),
            None => invalid,
        }
    })
}

fn method(text: &str) -> Result<Method, Invalid> {
    let upper = text.to_ascii_uppercase();
    // RFC 9110 §9.1: methods are case-sensitive.
    if upper != text {
        return Err(Invalid::new("is not in upper case, as methods are").suggest(upper));
    }
    let plain = text.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if plain => Ok(method),
        Ok(_) | Err(_) => {
            Err(Invalid::new("is not a method")
                .hint("write one method per item: GET, POST, PUT, …"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_is_in_upper_case() {
        assert_eq!(method("GET").unwrap(), Method::GET);
        assert_eq!(method("M-SEARCH").unwrap().as_str(), "M-SEARCH");
        assert_eq!(method("get").unwrap_err().suggestion(), Some("GET"));
        for invalid in ["", "GET POST", "*"] {
            assert!(method(invalid).is_err(), "{invalid}");
        }
    }
}
