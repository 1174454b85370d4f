//! `providers.ID.service_account` and `admin_email` -> the service account that reads groups.
//! Invariant: the file is the key of a service account as Google's console makes it; anything else is an error. Nothing of its
//! content is in a message.

use serde_json::{Map, Value};

use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::emails;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::pem;
use crate::config::section::Section;
use crate::config::urls::{self, PlainHttp};
use crate::providers::ServiceAccount;
use crate::providers::kinds::{Groups, ProviderKind};

pub(super) const SERVICE_ACCOUNT: KeySpec = key(
    "service_account",
    Type::Pem,
    DefaultValue::Unset("users have no groups"),
    "Key of the service account that reads the groups of users, for kind google: the path of a JSON file, or its content.",
);

pub(super) const ADMIN_EMAIL: KeySpec = key(
    "admin_email",
    Type::Text,
    DefaultValue::Unset("the service account acts for itself, in the Cloud Identity API"),
    "Administrator for whom the service account reads groups in the Directory API, for kind google.",
);

/// The service account, if one is set. Other kinds have none, which is reported elsewhere.
pub(super) fn read(
    section: &Section<'_>,
    kind: &ProviderKind,
    http: PlainHttp,
) -> Result<Option<ServiceAccount>, Reported> {
    if !matches!(kind.groups, Groups::ServiceAccount { .. }) {
        return Ok(None);
    }
    let (field, admin) = (section.field("service_account"), section.field("admin_email"));
    let account = field.optional(|text| account(text, field.diagnostics, http));
    let admin_email = admin.optional(emails::email);
    if field.node.is_none() && admin.node.is_some() {
        let invalid = Invalid::new("has no effect without service_account")
            .hint("write `service_account: /run/secrets/service-account.json`, or remove the key");
        return Err(admin.error(&invalid));
    }
    check_claim(section, &field)?;
    let (account, admin_email) = (account?, admin_email?);
    Ok(account.map(|account| account.acting_for(admin_email)))
}

/// A claim that `claims.groups` names would replace the groups.
fn check_claim(section: &Section<'_>, field: &Field<'_>) -> Result<(), Reported> {
    let is_other = |(name, node): &(String, Node)| {
        name == "groups" && !matches!(node, Node::Text(text) if text == "groups")
    };
    match section.field("claims").node {
        Some(Node::Map(claims)) if field.node.is_some() && claims.iter().any(is_other) => {
            let invalid = Invalid::new("has no effect: claims.groups names a claim in its place")
                .hint("remove one of the two keys");
            Err(field.error(&invalid))
        }
        Some(_) | None => Ok(()),
    }
}

fn account(
    value: &str,
    diagnostics: &Diagnostics<'_>,
    http: PlainHttp,
) -> Result<ServiceAccount, Invalid> {
    if value.trim_start().starts_with('{') {
        return parsed(value.as_bytes(), http).map_err(|what| Invalid::new(what).hint(WANTED));
    }
    if value.contains("-----BEGIN ") {
        return Err(Invalid::new("is a private key alone").hint(WANTED));
    }
    let content =
        diagnostics.file(value).map_err(|invalid| match pem::looks_like_a_path(value) {
            true => invalid,
            false => Invalid::new("is neither JSON text nor the path of a readable file"),
        })?;
    let file = diagnostics.at(value).display().to_string();
    parsed(&content, http).map_err(|what| Invalid::of_file(file, what).hint(WANTED))
}

/// The account of a key file. The error says what is wrong with the file.
fn parsed(content: &[u8], http: PlainHttp) -> Result<ServiceAccount, String> {
    // Some editors write a byte order mark.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let file: Map<String, Value> =
        serde_json::from_slice(content).map_err(|_| "is no JSON object".to_owned())?;
    let member = |name: &str| match file.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.as_str()),
        Some(_) => Err(format!("has a `{name}` that is no text")),
        None => Err(format!("has no `{name}`")),
    };
    if member("type")? != "service_account" {
        return Err("is not the key of a service account: its `type` is another one".to_owned());
    }
    let email = emails::email(member("client_email")?)
        .map_err(|invalid| format!("has a `client_email` that {}", invalid.what))?;
    let token_uri = urls::endpoint(member("token_uri")?, http)
        .map_err(|invalid| format!("has a `token_uri` that {}", invalid.what))?;
    let (key, key_id) = (member("private_key")?, member("private_key_id")?);
    ServiceAccount::new(email, token_uri, key, key_id)
        .ok_or_else(|| "has a `private_key` that is no RSA key in PEM".to_owned())
}

const WANTED: &str = "create a key of the service account in the Google Cloud console (Keys, Add key, JSON), and keep the \
                      file as it is";
