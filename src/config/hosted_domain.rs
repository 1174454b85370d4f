//! `providers.ID.hosted_domain`: whose accounts may sign in at Google.

use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::config::unmet_rules::rules_for;
use crate::gate::route;
use crate::policy::rule::{EmailDomain, Rule};
use crate::providers::Settings;

/// For the table of a provider.
pub(super) const HOSTED_DOMAIN: KeySpec = key(
    "hosted_domain",
    Type::OneOrMore(&Type::Text),
    DefaultValue::Unset("every Google account can sign in"),
    "Google Workspace domain whose users can sign in, or several, for kind google: example.com.",
);

/// A domain, as the claim `hd` has it.
pub(super) fn domain(text: &str) -> Result<String, Invalid> {
    let domain = text.to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    match domain.contains('.') && domain.chars().all(is_plain) {
        true => Ok(domain),
        false => Err(Invalid::new("is not a domain")
            .hint("write the domain of the Workspace account, such as example.com")),
    }
}

/// Warns about rules that name e-mail domains, where private accounts can sign in.
// SECURITY: Google verifies an address once. A private account keeps the address of a company that its user has left.
pub(super) fn warn_of_private_accounts(
    root: &Section<'_>,
    providers: &[Settings],
    routes: &[route::Settings],
) {
    for provider in providers.iter().filter(|provider| has_private_accounts(provider)) {
        if rules_for(provider, routes).any(relies_on_domains) {
            let invalid = Invalid::new(
                "is not set, so private accounts can sign in, and there are rules about e-mail domains: a private account \
                 keeps the address of a company that its user has left",
            )
            .hint("write `hosted_domain: example.com`, or add `claims: { hd: [example.com] }` to these rules");
            let path = root.field("providers").path.key(&provider.id).key(HOSTED_DOMAIN.name);
            root.diagnostics.warning(&path, &invalid);
        }
    }
}

fn has_private_accounts(provider: &Settings) -> bool {
    let is_known = provider.kind.options.iter().any(|option| option.name == HOSTED_DOMAIN.name);
    is_known && provider.options.all(HOSTED_DOMAIN.name).is_empty()
}

/// Whether a rule takes an e-mail domain, other than that of Google's own addresses, for a company.
fn relies_on_domains(rule: &Rule) -> bool {
    let is_of_company = |domain: &EmailDomain| !domain.matches("gmail.com");
    let names_domain = rule.claims.iter().flatten().any(|(claim, _)| claim.as_str() == "hd");
    rule.email_domains.iter().flatten().any(is_of_company) && !names_domain
}
