//! `providers.ID.claims:` -> `identity::claims::ClaimNames`.

use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::problem::KeyPath;
use crate::config::section::Section;
use crate::identity::claims::{ClaimNames, ClaimPath};

pub(super) const KEYS: &[KeySpec] = &[
    key("user", Type::Text, DefaultValue::Is("sub"), "What {user} and the rule key users mean."),
    key("email", Type::Text, DefaultValue::Is("email"), "The e-mail."),
    key(
        "groups",
        Type::Text,
        DefaultValue::Is("groups"),
        "The groups, such as /realm_access/roles.",
    ),
    key("name", Type::Text, DefaultValue::Is("name"), "The full name."),
    key(
        "preferred_username",
        Type::Text,
        DefaultValue::Is("preferred_username"),
        "The name that the person prefers.",
    ),
];

/// All of them.
pub(super) fn read(section: &Section<'_>) -> Result<ClaimNames, Reported> {
    let path = |name| {
        let field = section.field(name);
        if let Some(Node::Text(text)) = field.node {
            warn_of_apparent_path(section.diagnostics, &field.path, text);
        }
        field.value(|text| Ok(ClaimPath::parse(text)?))
    };
    let (user, email, groups) = (path("user"), path("email"), path("groups"));
    let (name, preferred_username) = (path("name"), path("preferred_username"));
    Ok(ClaimNames {
        user: user?,
        email: email?,
        groups: groups?,
        name: name?,
        preferred_username: preferred_username?,
    })
}

/// Other gateways take `realm_access.roles`, or the same with a slash, for a way through claims; names that are
/// URLs have both, too.
pub(super) fn warn_of_apparent_path(diagnostics: &Diagnostics<'_>, path: &KeyPath, text: &str) {
    let (dots, slashes) = (text.contains('.'), text.contains('/'));
    let is_a_way = dots != slashes && !text.starts_with('/') && !text.contains([':', '$']);
    if is_a_way {
        let what = if dots { "dots" } else { "slashes" };
        let invalid = Invalid::new(format!("is the name of a single claim, {what} and all"))
            .hint(format!("for a claim inside of another write /{}", text.replace('.', "/")));
        diagnostics.warning(path, &invalid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::settings_of;

    #[test]
    fn the_tables_claims_are_those_of_the_room() {
        let config = settings_of("");
        assert_eq!(config.providers.first().unwrap().claims, ClaimNames::default());
    }
}
