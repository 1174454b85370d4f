//! What a configuration uses of a session's claims and tokens: the rest may be dropped above
//! `session.max_bytes`.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::identity::headers::Template;
use crate::policy::Policy;
use crate::session::size_limit::{SizeLimit, TokenUse};

/// The limit of a configuration.
pub(super) fn size_limit(config: &Config) -> SizeLimit {
    let templates = || {
        let rules = config.routes.iter().flat_map(|route| &route.identity_headers);
        rules.map(|rule| &rule.template)
    };
    let usage = |uses: fn(&Template) -> bool| {
        if templates().any(uses) { TokenUse::Header } else { TokenUse::NoHeader }
    };
    let names = config.providers.iter().flat_map(|provider| of_identity(&provider.claims));
    let rules = config.routes.iter().flat_map(|route| of_policy(&route.allow));
    let headers = templates().flat_map(Template::claims);
    let paths = names.chain(rules).chain(headers);
    let sub = ["sub".to_owned()];
    let used_claims: BTreeSet<String> = paths.map(|path| path.claim().into()).chain(sub).collect();
    SizeLimit {
        max_bytes: config.session.max_bytes,
        used_claims,
        id_token: usage(Template::uses_id_token),
        access_token: usage(Template::uses_access_token),
    }
}

/// Pages show these.
fn of_identity(names: &ClaimNames) -> [&ClaimPath; 5] {
    let ClaimNames { user, email, groups, name, preferred_username } = names;
    [user, email, groups, name, preferred_username]
}

fn of_policy(allow: &Policy) -> impl Iterator<Item = &ClaimPath> {
    let rules = match allow {
        Policy::Public | Policy::Authenticated => &[],
        Policy::Rules(rules) => rules.as_slice(),
    };
    rules.iter().flat_map(|rule| rule.claims.iter().flatten()).map(|(path, _)| path)
}
