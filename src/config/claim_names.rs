//! `providers.ID.claims:` -> `identity::claims::ClaimNames`.

use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::problem::KeyPath;
use crate::config::section::Section;
use crate::identity::claims::{ClaimNames, ClaimPath, GroupsPath};
use crate::providers::kinds::{ProviderKind, SignInProtocol};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "user",
        Type::Text,
        DefaultValue::Unset("by kind, else sub"),
        "Claim for {user} and for the rule key users.",
    ),
    key(
        "email",
        Type::Text,
        DefaultValue::Unset("by kind, else email"),
        "Claim for the e-mail address.",
    ),
    key(
        "groups",
        Type::Text,
        DefaultValue::Unset("by kind, else groups"),
        "Claim for the groups, such as /realm_access/roles, or /groups/*/name for a list of objects. With `access_token:` before it, in the access token.",
    ),
    key("name", Type::Text, DefaultValue::Unset("by kind, else name"), "Claim for the full name."),
    key(
        "preferred_username",
        Type::Text,
        DefaultValue::Unset("by kind, else preferred_username"),
        "Claim for the user name to display.",
    ),
];

/// Reads all claim names.
pub(super) fn read(section: &Section<'_>, kind: &ProviderKind) -> Result<ClaimNames, Reported> {
    let field = |name| {
        let field = section.field(name);
        if let Some(Node::Text(text)) = field.node {
            warn_of_apparent_path(section.diagnostics, &field.path, text);
        }
        field
    };
    let path = |name, default| {
        let path = field(name).optional(|text| {
            let path = ClaimPath::parse_with_source(text)?;
            check_source(&path, kind)?;
            Ok(path)
        })?;
        Ok(path.unwrap_or(ClaimPath::of_kind(default)))
    };
    let default = &kind.claims;
    let (user, email) = (path("user", default.user), path("email", default.email));
    let groups = field("groups").optional(|text| {
        let path = GroupsPath::parse(text)?;
        check_source(path.claim(), kind)?;
        Ok(path)
    });
    let name = path("name", default.name);
    let preferred_username = path("preferred_username", default.preferred_username);
    Ok(ClaimNames {
        user: user?,
        email: email?,
        groups: groups?.unwrap_or_else(|| GroupsPath::of_kind(default.groups)),
        name: name?,
        preferred_username: preferred_username?,
    })
}

/// Checks that a provider of this kind can have a claim in the access token.
fn check_source(path: &ClaimPath, kind: &ProviderKind) -> Result<(), Invalid> {
    match kind.protocol {
        SignInProtocol::OAuth(_) if path.in_access_token().is_some() => Err(Invalid::new(format!(
            "is in the access token, but the kind {} has no OpenID Connect, and so no keys to verify its access tokens with",
            kind.name
        ))
        .hint("name a member of the profile, without `access_token:`")),
        SignInProtocol::OAuth(_) | SignInProtocol::OpenId { .. } => Ok(()),
    }
}

/// Warns about `realm_access.roles` or the same with a slash. In other gateways these are paths; here they are names.
/// A name that is a URL has both characters.
pub(super) fn warn_of_apparent_path(diagnostics: &Diagnostics<'_>, path: &KeyPath, text: &str) {
    let (dots, slashes) = (text.contains('.'), text.contains('/'));
    let looks_like_a_path = dots != slashes && !text.starts_with('/') && !text.contains([':', '$']);
    if looks_like_a_path {
        let what = if dots { "." } else { "/" };
        let invalid =
            Invalid::new(format!("is the name of one claim that contains `{what}`, not a path"))
                .hint(format!(
                    "for a claim inside another claim, write /{}",
                    text.replace('.', "/")
                ));
        diagnostics.warning(path, &invalid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::settings_of;

    #[test]
    fn default_claims_are_those_of_the_identity_room() {
        let config = settings_of("");
        assert_eq!(config.providers.first().unwrap().claims, ClaimNames::default());
    }
}
