//! The claims and tokens that a configuration uses: sessions may drop others above `session.max_bytes`.
//! Invariant: a claim that a rule, a header or a page reads is in the list.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Config;
use crate::gate::route;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::identity::headers::Template;
use crate::identity::incomplete::MARKS;
use crate::policy::Policy;
use crate::session::size_limit::{SizeLimit, TokenUse};

/// The size limit of a configuration's sessions.
pub(super) fn size_limit(config: &Config) -> SizeLimit {
    let templates = || {
        let rules = config.routes.iter().flat_map(|route| &route.identity_headers);
        rules.map(|rule| &rule.template)
    };
    let has_id_token = templates().any(Template::uses_id_token);
    let names = config.providers.iter().flat_map(|provider| of_identity(&provider.claims));
    let rules = config.routes.iter().flat_map(|route| of_policy(&route.allow));
    let headers = templates().flat_map(Template::claims);
    let paths = names.chain(rules).chain(headers);
    let paths = paths.map(|path| path.claim().into());
    let others = ["sub"].into_iter().chain(MARKS).map(str::to_owned);
    let used_claims: BTreeSet<String> = paths.chain(others).collect();
    SizeLimit {
        max_bytes: config.session.max_bytes,
        used_claims,
        id_token: if has_id_token { TokenUse::Header } else { TokenUse::NoHeader },
        access_token: if templates().any(Template::uses_access_token) {
            TokenUse::Header
        } else if config.session.recheck.is_some() {
            TokenUse::Recheck
        } else {
            TokenUse::NoHeader
        },
    }
}

/// Claims that rules and headers of this provider's routes read, apart from those of its identities.
pub(super) fn claims_of(config: &Config, provider: &str) -> Vec<ClaimPath> {
    let signs_in = |ids: &Vec<Arc<str>>| ids.iter().any(|id| **id == *provider);
    let routes = config.routes.iter().filter(|route| route.providers.as_ref().is_none_or(signs_in));
    let of_route = |route: &'_ route::Settings| {
        let headers = route.identity_headers.iter().flat_map(|rule| rule.template.claims());
        of_policy(&route.allow).chain(headers).cloned().collect::<Vec<_>>()
    };
    routes.flat_map(of_route).collect()
}

/// Claims that an identity is made of. Pages show them.
fn of_identity(names: &ClaimNames) -> [&ClaimPath; 5] {
    let ClaimNames { user, email, groups, name, preferred_username } = names;
    [user, email, groups.claim(), name, preferred_username]
}

fn of_policy(allow: &Policy) -> impl Iterator<Item = &ClaimPath> {
    let rules = match allow {
        Policy::Public | Policy::Authenticated => &[],
        Policy::Rules(rules) => rules.as_slice(),
    };
    rules.iter().flat_map(|rule| rule.claims.iter().flatten()).map(|(path, _)| path)
}
