//! `providers.ID.authorization_parameters:` -> additional parameters of the authorization request.

use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::providers::MAX_AGE;
use crate::providers::kinds::{KindOptions, ProviderKind};

/// Parameters that the gateway sets (RFC 6749 §4.1.1, RFC 7636 §4.3, OIDC Core §3.1.2.1), and those that would
/// replace all others (RFC 9101 §5).
const RESERVED: [&str; 10] = [
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

/// Reads all parameters, in the order of the file, and then those of the kind that are not in it.
pub(super) fn read(
    field: &Field<'_>,
    kind: &ProviderKind,
    options: Option<&KindOptions>,
) -> Result<Vec<(String, String)>, Reported> {
    let entries = field.entries()?.unwrap_or_default();
    let parameters: Vec<_> = entries.iter().map(parameter).collect();
    let mut parameters: Vec<(String, String)> = parameters.into_iter().collect::<Result<_, _>>()?;
    for (name, value) in kind.parameters {
        let value = options.and_then(|options| options.parameter(value));
        if let Some(value) = value
            && !parameters.iter().any(|(configured, _)| configured == name)
        {
            parameters.push(((*name).to_owned(), value.to_owned()));
        }
    }
    Ok(parameters)
}

fn parameter(entry: &Field<'_>) -> Result<(String, String), Reported> {
    let name = entry.name.as_str();
    let own_key = match name {
        "scope" => Some("scopes"),
        "response_mode" => Some("response_mode"),
        _ => None,
    };
    if let Some(key) = own_key {
        let hint = format!("use the key `{key}` of the provider");
        return Err(entry.error(&Invalid::new("is set by the gateway").hint(hint)));
    }
    // SECURITY: a fixed `state` or `nonce` would remove the protection against forged responses.
    if RESERVED.contains(&name) {
        return Err(entry.error(&Invalid::new("is set by the gateway").hint("remove it")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(entry.error(&"is not a valid parameter name".into()));
    }
    if name == "prompt" && matches!(entry.node, Some(Node::Text(text)) if text == "none") {
        let invalid =
            Invalid::new("makes sign-in fail for users who have no session at the provider")
                .hint("remove it, unless you want this");
        entry.diagnostics.warning(&entry.path, &invalid);
    }
    if name == MAX_AGE {
        return entry.value(seconds).map(|text| (name.to_owned(), text));
    }
    Ok((entry.name.clone(), entry.text()?))
}

fn seconds(text: &str) -> Result<String, Invalid> {
    match text.parse::<u32>() {
        Ok(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            Err(Invalid::new("is not a number of seconds").hint("write 3600 for one hour"))
        }
    }
}
