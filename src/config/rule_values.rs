//! Warnings about values of a rule that are valid and match other requests than was probably meant, or none.
//! Invariant: a value is only shown if it is written in the file, not if it comes from the environment.

use http::Method;

use crate::config::field::Field;
use crate::config::host_names::is_public_suffix;
use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::config::suggest::nearest;
use crate::policy::rule::{EmailDomain, Rule};

/// Warns about the values of a rule.
pub(super) fn warn_of_values(section: &Section<'_>, rule: &Rule) {
    stars(section, "groups", rule.groups.as_deref());
    stars(section, "users", rule.users.as_deref());
    if let Some(domains) = &rule.email_domains {
        broad_domains(&section.field("email_domains"), domains);
        addresses_elsewhere(section, rule, domains);
    }
    unknown_methods(&section.field("methods"), rule.methods.as_deref().unwrap_or_default());
}

/// Warns about `*` in a list whose values are compared exactly.
fn stars(section: &Section<'_>, key: &str, values: Option<&[String]>) {
    let field = section.field(key);
    for (at, _) in values.unwrap_or_default().iter().enumerate().filter(|(_, it)| it.contains('*'))
    {
        let invalid =
            Invalid::new("has a `*`, which only matches itself: the values are compared exactly");
        // SECURITY: a rule with other keys allows fewer users than `authenticated`.
        let is_only_key = section.written().all(|written| written == key);
        let invalid = match is_only_key {
            true => invalid.hint(format!(
                "list the {key}; for every signed-in user, write `authenticated` in place of the rule"
            )),
            false => invalid.hint(format!("list the {key}")),
        };
        field.diagnostics.warning(&field.path.item(at), &invalid);
    }
}

/// Warns about domains that belong to everyone or to no mail server.
fn broad_domains(field: &Field<'_>, domains: &[EmailDomain]) {
    for (at, domain) in domains.iter().enumerate() {
        let invalid = match domain {
            // SECURITY: anyone can register a domain there, and so have an address that matches.
            EmailDomain::Below(name) if is_public_suffix(name) => Invalid::new(
                "matches every domain below a public suffix, where anyone can register one",
            )
            .hint("write your own domains, such as example.com or *.example.com"),
            EmailDomain::Exact(name) if !name.contains('.') => {
                Invalid::new("has no dot, and addresses at such a domain are rare")
                    .hint("write the whole domain, such as example.com")
            }
            EmailDomain::Below(_) | EmailDomain::Exact(_) => continue,
        };
        field.diagnostics.warning(&field.path.item(at), &invalid);
    }
}

/// Warns about addresses that never match, because `email_domains` of the same rule does not match them.
fn addresses_elsewhere(section: &Section<'_>, rule: &Rule, domains: &[EmailDomain]) {
    let is_inside = |email: &str| {
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        domains.iter().any(|it| it.matches(domain))
    };
    let hint = |key| {
        format!("to allow both, write two rules, one with `{key}` and one with `email_domains`")
    };
    for (at, _) in rule.emails.iter().flatten().enumerate().filter(|(_, email)| !is_inside(email)) {
        let what = "never matches: `email_domains` of the same rule does not match it";
        let invalid = Invalid::new(what).hint(hint("emails"));
        section.diagnostics.warning(&section.path.key("emails").item(at), &invalid);
    }
    if let Some(list) = &rule.emails_file
        && list.iter().next().is_some()
        && !list.iter().any(is_inside)
    {
        let what = "never matches: `email_domains` of the same rule matches no address of the file";
        let invalid = Invalid::new(what).hint(hint("emails_file"));
        section.diagnostics.warning(&section.path.key("emails_file"), &invalid);
    }
}

/// Warns about methods that are probably misspelt.
fn unknown_methods(field: &Field<'_>, methods: &[Method]) {
    for (at, method) in methods.iter().enumerate() {
        if METHODS.contains(&method.as_str()) {
            continue;
        }
        let invalid = Invalid::new("is not a registered method, so probably no request has it");
        let invalid = match nearest(method.as_str(), METHODS) {
            Some(near) if field.is_literal() => invalid.hint(format!("did you mean `{near}`?")),
            Some(_) | None => invalid,
        };
        field.diagnostics.warning(&field.path.item(at), &invalid);
    }
}

/// The registered methods (<https://www.iana.org/assignments/http-methods>), those of UPnP, and PURGE of caches.
const METHODS: [&str; 46] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "PRI",
    "MKADDRESSBOOK",
];
