//! `providers.ID.kind:` and the options that only some kinds have.

use std::collections::BTreeMap;

use url::Url;

use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::hosted_domain::{self, HOSTED_DOMAIN};
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::config::service_account::{ADMIN_EMAIL, SERVICE_ACCOUNT};
use crate::config::suggest::nearest;
use crate::config::tenant::{self, ALLOWED_TENANTS, TENANT};
use crate::config::urls::{self, PlainHttp};
use crate::providers::kinds::{self, KindOptions, Nonce, Pkce, ProviderKind, SignInProtocol};

/// Keys of options, for the table of a provider.
pub(super) const URL: KeySpec = key(
    "url",
    Type::Text,
    DefaultValue::Unset("the provider's own service"),
    "Address of one's own server, for kinds github and gitlab: https://github.example.com.",
);

/// See [`URL`].
pub(super) const DOMAIN: KeySpec = key(
    "domain",
    Type::Text,
    DefaultValue::Unset("from discovery"),
    "Domain of the user pool, for kind cognito: example.auth.eu-central-1.amazoncognito.com.",
);

/// See [`URL`].
pub(super) const GRAPH_VERSION: KeySpec = key(
    "graph_version",
    Type::Text,
    DefaultValue::Is("v25.0"),
    "Version of the Graph API, for kind facebook.",
);

/// See [`URL`].
pub(super) const WORKSPACES: KeySpec = key(
    "workspaces",
    Type::List { of: &Type::Text, least: 1 },
    DefaultValue::Unset("none"),
    "Slugs of workspaces, for kind bitbucket: the user's permission in each becomes a group (example:owner). At most 10.",
);

/// See [`URL`].
pub(super) const GUILDS: KeySpec = key(
    "guilds",
    Type::List { of: &Type::Text, least: 1 },
    DefaultValue::Unset("none"),
    "IDs of guilds, for kind discord: the user's roles in each become groups (GUILD:ROLE). At most 10.",
);

/// See [`URL`].
pub(super) const TEAM: KeySpec = key(
    "team",
    Type::Text,
    DefaultValue::Unset("members of every workspace can sign in"),
    "ID of the workspace whose members can sign in, for kind slack: T0123ABCD.",
);

/// See [`URL`].
pub(super) const RESOURCE: KeySpec = key(
    "resource",
    Type::Text,
    DefaultValue::Unset("urn:microsoft:userinfo"),
    "Identifier of the web API, for kind adfs: https://wiki.example.com.",
);

/// See [`URL`].
pub(super) const TEAM_ID: KeySpec = key(
    "team_id",
    Type::Text,
    DefaultValue::Unset("required for kind apple"),
    "ID of the developer team, for kind apple: A1B2C3D4E5.",
);

/// See [`URL`].
pub(super) const KEY_ID: KeySpec = key(
    "key_id",
    Type::Text,
    DefaultValue::Unset("required for kind apple"),
    "ID of client_key at Apple, for kind apple: F6G7H8J9K0.",
);

/// All of them.
const ALL: [&KeySpec; 14] = [
    &URL,
    &DOMAIN,
    &HOSTED_DOMAIN,
    &SERVICE_ACCOUNT,
    &ADMIN_EMAIL,
    &TENANT,
    &ALLOWED_TENANTS,
    &GRAPH_VERSION,
    &WORKSPACES,
    &GUILDS,
    &TEAM,
    &RESOURCE,
    &TEAM_ID,
    &KEY_ID,
];

/// The kind.
pub(super) fn kind(section: &Section<'_>) -> Result<&'static ProviderKind, Reported> {
    section.field("kind").value(|text| {
        ProviderKind::by_name(text).ok_or_else(|| match meant(text) {
            Some(meant) => Invalid::new("is not a kind").suggest(meant),
            None if text == "saml" => Invalid::new("is not supported")
                .hint("put an OpenID Connect provider between, such as Keycloak or Dex"),
            None => Invalid::new("is not a kind").hint(
                "for OpenID Connect remove the key and set `issuer`; for OAuth 2.0 write `kind: oauth2` and set \
                 `endpoints`",
            ),
        })
    })
}

/// The kind that was probably meant by an unknown one, by which the other keys are read. Without an idea of it, OpenID
/// Connect.
pub(super) fn probable(section: &Section<'_>) -> &'static ProviderKind {
    let Some(Node::Text(text)) = section.field("kind").node else { return kinds::GENERIC };
    meant(text).and_then(ProviderKind::by_name).unwrap_or(kinds::GENERIC)
}

fn meant(text: &str) -> Option<&'static str> {
    ProviderKind::meant_by(text).or_else(|| nearest(text, kinds::NAMES))
}

/// Warns about a kind whose sign-ins have no other binding to the browser than the login cookie and `state`.
pub(super) fn warn_of_weak_binding(section: &Section<'_>, kind: &ProviderKind) {
    let has_no_nonce = match kind.protocol {
        SignInProtocol::OpenId { nonce, .. } => nonce == Nonce::MayBeAbsent,
        SignInProtocol::OAuth(_) => true,
    };
    if has_no_nonce && kind.pkce == Pkce::Rejected {
        let field = section.field("kind");
        let invalid = Invalid::new(format!(
            "{} has neither `nonce` nor PKCE: the login cookie and the one-time state are the only binding of a sign-in \
             to its browser",
            kind.label
        ));
        field.diagnostics.warning(&field.path, &invalid);
    }
}

/// The options of this kind. Those of other kinds are errors.
pub(super) fn read(
    section: &Section<'_>,
    kind: &'static ProviderKind,
    http: PlainHttp,
) -> Result<KindOptions, Reported> {
    let mut values = BTreeMap::new();
    let mut reported = None;
    for name in ALL.map(|key| key.name) {
        let field = section.field(name);
        let option = kind.options.iter().find(|option| option.name == name);
        match option {
            None if field.node.is_some() => {
                let invalid = Invalid::new(format!("has no effect for kind {}", kind.name))
                    .hint(format!("remove it; it belongs to kind {}", owners(name)));
                reported = Some(field.error(&invalid));
            }
            None => {}
            // SECURITY: their content is no text to keep: see `config::service_account`.
            Some(_) if [SERVICE_ACCOUNT.name, ADMIN_EMAIL.name].contains(&name) => {}
            Some(option) => match field.optional_list(|text| checked(name, text, http)) {
                Ok(Some(list)) if list.len() > MOST_VALUES => {
                    let invalid = Invalid::new(format!("has more than {MOST_VALUES} values"))
                        .hint("each needs a request at every sign-in and refresh");
                    reported = Some(field.error(&invalid));
                }
                Ok(Some(list)) => drop(values.insert(option.name, list)),
                Ok(None) => {
                    if let Some(example) = option.required {
                        reported = Some(field.missing(Some(example)));
                    }
                    if let Some(unset) = option.unset {
                        field.diagnostics.warning(&field.path, &Invalid::new(unset));
                    }
                }
                Err(error) => reported = Some(error),
            },
        }
    }
    match reported {
        Some(reported) => Err(reported),
        None => Ok(KindOptions::new(kind, values)),
    }
}

/// The kinds that have an option.
fn owners(name: &str) -> String {
    let has = |kind: &&&ProviderKind| kind.options.iter().any(|option| option.name == name);
    kinds::ALL.iter().filter(has).map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

fn checked(name: &str, text: &str, http: PlainHttp) -> Result<String, Invalid> {
    if name == URL.name {
        let url = urls::endpoint(text, http)?;
        return Ok(url.as_str().trim_end_matches('/').to_owned());
    }
    match name {
        name if name == HOSTED_DOMAIN.name => return hosted_domain::domain(text),
        name if name == TENANT.name => return tenant::tenant(text),
        name if name == ALLOWED_TENANTS.name => return tenant::allowed_tenant(text),
        _ => {}
    }
    if name == GRAPH_VERSION.name {
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let parts = text.strip_prefix('v').and_then(|text| text.split_once('.'));
        return match parts.is_some_and(|(major, minor)| number(major) && number(minor)) {
            true => Ok(text.to_owned()),
            false => Err(Invalid::new("is not a version of the Graph API").hint("such as v25.0")),
        };
    }
    if name == GUILDS.name && !(text.len() > 1 && text.bytes().all(|b| b.is_ascii_digit())) {
        let invalid = Invalid::new("is not the ID of a guild");
        return Err(
            invalid.hint("turn on Developer Mode in Discord, and copy the ID of the server")
        );
    }
    if name == RESOURCE.name {
        return match Url::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(Invalid::new("is not a URI").hint("copy the identifier of the web API")),
        };
    }
    if name == DOMAIN.name && text.contains("://") {
        return Err(Invalid::new("is a URL").hint("write the domain alone, without https://"));
    }
    // It becomes a part of a URL.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => {
            Err(Invalid::new("contains a character other than A-Z, a-z, 0-9, `.`, `-` and `_`"))
        }
    }
}

/// Of one option.
const MOST_VALUES: usize = 10;
