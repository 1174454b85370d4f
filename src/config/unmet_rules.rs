//! Warnings about rules that no user of a provider can satisfy, because it gives no groups or no e-mail addresses.

use std::sync::Arc;

use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::gate::route;
use crate::identity::claims::ClaimNames;
use crate::policy::Policy;
use crate::policy::rule::Rule;
use crate::providers::Settings;
use crate::providers::kinds::{EmailTrust, Groups, SignInProtocol};

/// Warns about each provider at the key that would help.
pub(super) fn warn(root: &Section<'_>, providers: &[Settings], routes: &[route::Settings]) {
    for provider in providers {
        let names_groups = rules_for(provider, routes).any(|rule| rule.groups.is_some());
        let names_emails = rules_for(provider, routes).any(|rule| {
            rule.emails.is_some() || rule.emails_file.is_some() || rule.email_domains.is_some()
        });
        let reasons = [
            (names_groups, without_groups(provider), "groups"),
            (names_emails, without_emails(provider), "e-mail addresses"),
        ];
        for (is_named, reason, what) in reasons {
            if let (true, Some(Reason { key, fault, hint })) = (is_named, reason) {
                let message = format!(
                    "{fault}, so users of this provider have no {what}, and there are rules about {what}"
                );
                let path = root.field("providers").path.key(&provider.id).key(key);
                root.diagnostics.warning(&path, &Invalid::new(message).hint(hint));
            }
        }
    }
}

/// The rules that users of a provider can meet.
pub(super) fn rules_for<'r>(
    provider: &'r Settings,
    routes: &'r [route::Settings],
) -> impl Iterator<Item = &'r Rule> {
    let accepts = |ids: Option<&[Arc<str>]>| ids.is_none_or(|ids| ids.contains(&provider.id));
    let routes = routes.iter().filter(move |route| accepts(route.providers.as_deref()));
    let rules = routes.flat_map(|route| match &route.allow {
        Policy::Public | Policy::Authenticated => &[],
        Policy::Rules(rules) => rules.as_slice(),
    });
    rules.filter(move |rule| accepts(rule.providers.as_deref()))
}

/// Why users have no value, and the key of the provider that would change it.
struct Reason {
    key: &'static str,
    fault: String,
    hint: String,
}

/// Why no user of a provider has groups; `None` if some can have them, as far as the configuration says.
fn without_groups(provider: &Settings) -> Option<Reason> {
    if provider.claims.groups != ClaimNames::default().groups {
        return None;
    }
    match provider.kind.groups {
        Groups::Claim | Groups::Overage(_) => None,
        Groups::ServiceAccount { .. } => provider.service_account.is_none().then(|| Reason {
            key: "service_account",
            fault: "is not set".to_owned(),
            hint: "set it: no token of the provider has groups".to_owned(),
        }),
        Groups::Api { lists } => {
            let scopes: Vec<_> = lists.iter().map(|list| list.scope).collect();
            without_scope(provider, &scopes)
        }
    }
}

/// Why no user of a provider has an e-mail address.
fn without_emails(provider: &Settings) -> Option<Reason> {
    let Settings { kind, options, require_email_verified, .. } = provider;
    let verifies = match kind.verified {
        EmailTrust::Never => false,
        EmailTrust::AddressList { at_own_server } => {
            at_own_server || !options.is_changed(kind, "url")
        }
        EmailTrust::Claim | EmailTrust::EntraDomain => true,
    };
    if *require_email_verified && !verifies {
        return Some(Reason {
            key: "require_email_verified",
            fault: "is true, and the provider does not say which addresses are verified".to_owned(),
            hint: "name users by their ID in `users`, or, if every address there belongs to its user, write \
                   `require_email_verified: false`"
                .to_owned(),
        });
    }
    let SignInProtocol::OAuth(oauth) = kind.protocol else { return None };
    let list = oauth.emails.filter(|_| provider.claims.email == ClaimNames::default().email)?;
    without_scope(provider, &[list.scope])
}

/// What is missing if none of these scopes is requested.
fn without_scope(provider: &Settings, needed: &[&'static str]) -> Option<Reason> {
    let is_requested = |scope: &&str| provider.scopes.iter().any(|requested| requested == scope);
    let scope = needed.first().filter(|_| !needed.iter().any(is_requested))?;
    let option = provider.kind.option_scopes.iter().find(|(_, scopes)| scopes.contains(scope));
    Some(match option {
        Some((option, _)) => Reason {
            key: option,
            fault: "is not set".to_owned(),
            hint: format!("set it: then the scope {scope} is requested, too"),
        },
        None => Reason {
            key: "scopes",
            fault: format!("does not contain {scope}"),
            hint: format!("add {scope}"),
        },
    })
}
