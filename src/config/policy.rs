//! `allow:` -> `policy::Policy`. Deny is the default: what is not written lets nobody in, and what is
//! written but empty is a problem instead of a guess.

use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use crate::config::address;
use crate::config::claim_names::warn_of_apparent_path;
use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::config::suggest::nearest;
use crate::identity::claims::ClaimPath;
use crate::policy::Policy;
use crate::policy::rule::{EmailDomain, Rule};
use crate::routing::path::PathPrefix;

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "public",
        Type::Flag,
        DefaultValue::Is("false"),
        "Asks for no signed-in visitor; beside it only methods, paths and client_addresses.",
    ),
    rule_key("emails", "E-mail addresses, compared without case."),
    rule_key("email_domains", "Their domains: example.com, or *.example.com for those below it."),
    rule_key("groups", "Groups, exactly as the provider names them."),
    rule_key("users", "Values of the claim that is configured as user."),
    rule_key("providers", "IDs of providers."),
    key(
        "claims",
        Type::Map(&Type::OneOrMore(&Type::Scalar)),
        DefaultValue::Unset("not asked for"),
        "A claim or JSON pointer, and the values of which it must have one.",
    ),
    rule_key("methods", "Methods; GET includes HEAD."),
    rule_key("paths", "Path prefixes by whole segments."),
    rule_key("client_addresses", "Networks, or single addresses, of clients."),
];

const fn rule_key(name: &'static str, about: &'static str) -> KeySpec {
    key(name, Type::List { of: &Type::Text, least: 1 }, DefaultValue::Unset("not asked for"), about)
}

/// Beside `public: true`, only what a request tells without anybody's sign-in.
const OF_THE_REQUEST: [&str; 4] = ["public", "methods", "paths", "client_addresses"];

/// What means somebody else at another provider.
const ISSUED: [&str; 5] = ["groups", "users", "claims", "emails", "email_domains"];

/// What a rule stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfRoute<'a> {
    /// The IDs of all providers, where known.
    pub(super) ids: Option<&'a [String]>,
    /// The route's own choice among them, where it was made.
    pub(super) providers: Option<&'a [Arc<str>]>,
    /// The route's path, where known.
    pub(super) path: Option<&'a PathPrefix>,
}

impl OfRoute<'_> {
    /// Whether several providers sign in on the route.
    pub(super) fn takes_several(&self) -> bool {
        let ids = self.ids.unwrap_or_default();
        let takes = |id: &&String| {
            self.providers.is_none_or(|chosen| chosen.iter().any(|other| **other == **id))
        };
        ids.iter().filter(takes).count() > 1
    }
}

/// `allow:` of a route.
pub(super) fn policy(field: &Field<'_>, route: OfRoute<'_>) -> Result<Policy, Reported> {
    match field.node {
        None => Err(field.error(
            &Invalid::new("is required: nobody passes unless a rule says so")
                .hint("say who may pass: `allow: authenticated`, `allow: [{ email_domains: [example.com] }]`, or `allow: public`"),
        )),
        Some(Node::Text(_)) => field.choice(|text| match text {
            "public" => Some(Policy::Public),
            "authenticated" => Some(Policy::Authenticated),
            _ => None,
        }),
        Some(Node::Map(_)) => Err(field.error(
            &Invalid::new("must be a list of rules, not a mapping")
                .hint("put it in [ ]: `allow: [{ email_domains: [example.com] }]`"),
        )),
        Some(Node::Flag(_) | Node::Number(_)) => Err(field.error(
            &Invalid::new("does not say who may pass")
                .hint("write `authenticated`, `public`, or a list of rules: `[{ … }]`"),
        )),
        Some(Node::Null | Node::List(_) | Node::Tagged) => {
            let items = field.items()?;
            let rules: Vec<_> = items
                .iter()
                .map(|item| mapping(item).and_then(|section| rule(&section, route)))
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
        "authenticated" | "public" => format!("write `allow: {text}`, without a list"),
        text if text.contains('@') => "write a rule: `{ emails: [ada@example.com] }`".to_owned(),
        _ => "say what it is: `{ groups: [staff] }`, `{ email_domains: [example.com] }`, `{ users: [ada] }`"
            .to_owned(),
    };
    Err(item.error(&Invalid::new("must be a rule, which is a mapping, not a text").hint(hint)))
}

fn rule(section: &Section<'_>, route: OfRoute<'_>) -> Result<Rule, Reported> {
    let public = section.field("public").flag();
    let emails = section.field("emails").optional_list(email);
    let email_domains = section.field("email_domains").optional_list(email_domain);
    let groups = section.field("groups").optional_list(exact);
    let users = section.field("users").optional_list(exact);
    let providers = providers(&section.field("providers"), route.ids);
    let claims = claims(&section.field("claims"));
    let methods = section.field("methods").optional_list(method);
    let paths = section.field("paths").optional_list(path);
    let client_addresses = client_addresses(&section.field("client_addresses"));
    let rule = Rule {
        public: public?,
        emails: emails?,
        email_domains: email_domains?,
        groups: groups?,
        users: users?,
        providers: providers?,
        claims: claims?,
        methods: methods?,
        paths: paths?,
        client_addresses: client_addresses?,
    };
    check_keys(section, rule.public)?;
    check_issuers_of_names(section, &rule, route)?;
    warn_of_idle_rule(section, &rule, route);
    Ok(rule)
}

/// That a rule says something, and `public: true` nothing about a visitor.
fn check_keys(section: &Section<'_>, public: bool) -> Result<(), Reported> {
    let says_something = public || section.written().any(|key| key != "public");
    if !says_something {
        let invalid =
            Invalid::new("is a rule without a key, which would let everybody in who signs in")
                .hint("write `allow: authenticated` if that is meant");
        return Err(section.diagnostics.error(&section.path, &invalid, None));
    }
    if !public {
        return Ok(());
    }
    match section.written().find(|key| !OF_THE_REQUEST.contains(key)) {
        None => Ok(()),
        Some(key) => {
            let invalid = Invalid::new(
                "cannot stand beside `public: true`, which asks nobody to sign in",
            )
            .hint("beside it stand only methods, paths and client_addresses; make two rules of it");
            Err(section.diagnostics.error(&section.path.key(key), &invalid, None))
        }
    }
}

// SECURITY: a group, user, claim or e-mail is only worth as much as the provider that says so: anyone
// may found an organisation named `staff` somewhere, and a provider may call any address verified.
fn check_issuers_of_names(
    section: &Section<'_>,
    rule: &Rule,
    route: OfRoute<'_>,
) -> Result<(), Reported> {
    if !route.takes_several() || route.providers.is_some() || rule.providers.is_some() {
        return Ok(());
    }
    match section.written().find(|key| ISSUED.contains(key)) {
        None => Ok(()),
        Some(key) => {
            let ids = route.ids.unwrap_or_default();
            let what = format!(
                "does not say of which provider ({}): a stranger may have the same value at another",
                ids.join(", ")
            );
            let first = ids.first().map_or("", String::as_str);
            let hint = format!(
                "put `providers: [{first}]`, or whichever is meant, on this rule or on the route"
            );
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

/// A rule that can never match locks someone out whom its author wanted to let in.
fn warn_of_idle_rule(section: &Section<'_>, rule: &Rule, route: OfRoute<'_>) {
    if let (Some(mine), Some(of_route)) = (&rule.providers, route.providers)
        && !mine.iter().any(|id| of_route.contains(id))
    {
        let invalid = Invalid::new("never matches: none of these signs in on this route");
        section.diagnostics.warning(&section.path.key("providers"), &invalid);
    }
    for (at, path) in rule.paths.iter().flatten().enumerate() {
        if let Some(of_route) = route.path
            && !of_route.covers(path)
            && !path.covers(of_route)
        {
            let invalid = Invalid::new("never matches: it lies outside of the route's own path")
                .hint("paths are written whole, from the root of the host");
            section.diagnostics.warning(&section.path.key("paths").item(at), &invalid);
        }
    }
}

/// Two rules whose paths letter case alone tells apart are one to an upstream without it.
fn warn_of_letter_case(items: &[Field<'_>], rules: &[Rule]) {
    for (at, (item, rule)) in items.iter().zip(rules).enumerate() {
        for (of_rule, path) in rule.paths.iter().flatten().enumerate() {
            let clashes =
                |other: &Rule| other.paths.iter().flatten().any(|it| it.clashes_with(path));
            let Some(before) = rules.iter().take(at).position(clashes) else { continue };
            let what = format!(
                "has paths in common with allow[{before}] but for letter case: only who passes by both \
                 gets there, as an upstream may not tell capitals from small letters"
            );
            let place = item.path.key("paths").item(of_rule);
            item.diagnostics.warning(&place, &Invalid::new(what));
        }
    }
}

/// A list of IDs of providers, each of which there is.
pub(super) fn providers(
    field: &Field<'_>,
    ids: Option<&[String]>,
) -> Result<Option<Vec<Arc<str>>>, Reported> {
    field.optional_list(|text| {
        let Some(ids) = ids else { return Ok(text.into()) };
        if ids.iter().any(|id| id == text) {
            return Ok(text.into());
        }
        let invalid = Invalid::new("is not a provider of this file");
        Err(match nearest(text, ids.iter().map(String::as_str)) {
            Some(near) => invalid.suggest(near),
            None if ids.is_empty() => invalid,
            None => invalid.hint(format!("providers here are {}", ids.join(", "))),
        })
    })
}

/// A claim and the values that satisfy it.
type Claim = (ClaimPath, Vec<String>);

fn claims(field: &Field<'_>) -> Result<Option<Vec<Claim>>, Reported> {
    let Some(entries) = field.entries()? else { return Ok(None) };
    if entries.is_empty() {
        return Err(field.error(&"is empty: name a claim and its values".into()));
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

/// A text that is compared as it is.
fn exact(text: &str) -> Result<String, Invalid> {
    match text.is_empty() {
        true => Err("is empty".into()),
        false => Ok(text.to_owned()),
    }
}

/// Reads a prefix of paths, of a rule or of a route.
pub(super) fn path(text: &str) -> Result<PathPrefix, Invalid> {
    PathPrefix::parse(text).map_err(|what| {
        if let Some((_, rest)) = text.split_once("://").filter(|_| !text.starts_with('/')) {
            let invalid = Invalid::new("is a URL, where only a path can stand");
            return invalid.suggest(rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
        }
        if let Some(expression) = text.strip_prefix('^') {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
            let end = expression.find(|c| !plain(c)).unwrap_or(expression.len());
            let meant = expression.get(..end).unwrap_or_default();
            let invalid = Invalid::new("is a regular expression, where only a prefix can stand");
            return if meant.starts_with('/') { invalid.suggest(meant) } else { invalid };
        }
        match text.starts_with('/') {
            true if text.ends_with("/*") => {
                Invalid::new(what).suggest(text.trim_end_matches("/*").to_owned() + "/")
            }
            true => what.into(),
            false => Invalid::new(what).suggest(format!("/{text}")),
        }
    })
}

fn email_domain(text: &str) -> Result<EmailDomain, Invalid> {
    // oauth2-proxy means every domain below it; here it would match nobody.
    match text.strip_prefix('.') {
        Some(bare) => Err(Invalid::new("begins with a dot, which no domain of an e-mail does")
            .suggest(format!("*.{bare}"))),
        None => Ok(EmailDomain::parse(text)?),
    }
}

fn email(text: &str) -> Result<String, Invalid> {
    let mut parts = text.split('@');
    let (local, domain) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if parts.next().is_some() {
        return Err("is not an e-mail address: it has more than one @".into());
    }
    if local.is_empty() && !domain.is_empty() {
        return Err(Invalid::new("is not an e-mail address")
            .hint("for everybody of a domain write `email_domains`"));
    }
    if domain.is_empty() || text.contains('*') || text.contains(char::is_whitespace) {
        return Err(Invalid::new("is not an e-mail address")
            .hint("write one such as ada@example.com; for a domain, `email_domains`"));
    }
    Ok(text.to_ascii_lowercase())
}

fn method(text: &str) -> Result<Method, Invalid> {
    let upper = text.to_ascii_uppercase();
    // RFC 9110 §9.1: methods are compared with case.
    if upper != text {
        return Err(Invalid::new("is not a method, which is in upper case").suggest(upper));
    }
    let plain = text.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if plain => Ok(method),
        Ok(_) | Err(_) => Err(Invalid::new("is not a method").hint("write GET, POST, PUT, …")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_at_sign() {
        assert_eq!(email("Ada@Example.com").unwrap(), "ada@example.com");
        assert_eq!(email("\u{212a}@a.example").unwrap(), "\u{212a}@a.example");
        for invalid in
            ["", "ada", "@example.com", "ada@", "a@evil.example@example.com", "*@a.example"]
        {
            assert!(email(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn methods_are_in_upper_case() {
        assert_eq!(method("GET").unwrap(), Method::GET);
        assert_eq!(method("M-SEARCH").unwrap().as_str(), "M-SEARCH");
        assert_eq!(method("get").unwrap_err().suggestion(), Some("GET"));
        for invalid in ["", "GET POST", "*"] {
            assert!(method(invalid).is_err(), "{invalid}");
        }
    }
}
