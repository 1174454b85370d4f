//! `providers:` -> `providers::Settings`, in the order of the file.

use std::sync::Arc;

use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::pem;
use crate::config::problem::KeyPath;
use crate::config::section::Section;
use crate::config::server::http;
use crate::config::table::providers::KEYS;
use crate::config::urls::{self, Http};
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::providers::{AuthMethod, MAX_AGE, ProviderEndpoints, Settings, SignOut};
use crate::secret::Secret;

/// Parameters that the gateway itself sets (RFC 6749 §4.1.1, RFC 7636 §4.3, OIDC Core §3.1.2.1), and
/// those that would replace them all (RFC 9101 §5).
const RESERVED: [&str; 11] = [
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

/// The IDs that are written, whether what is below them is good or not.
pub(super) fn ids(root: &Section<'_>) -> Result<Vec<String>, Reported> {
    // Without reporting: `settings` reads the same field and does.
    let Some(Node::Map(entries)) = root.field("providers").node else { return Ok(Vec::new()) };
    let ids = entries.iter().filter(|(name, node)| !is_astray(name, Some(node)));
    Ok(ids.map(|(name, _)| name.clone()).collect())
}

/// Whether this is a key of a provider, where its ID should be.
fn is_astray(name: &str, node: Option<&Node>) -> bool {
    KEYS.iter().any(|key| key.name == name) && !matches!(node, Some(Node::Map(_) | Node::Null))
}

/// All providers.
pub(super) fn settings(root: &Section<'_>) -> Result<Vec<Settings>, Reported> {
    let field = root.field("providers");
    let entries = field.entries()?.unwrap_or_default();
    if let Some(astray) = entries.iter().find(|entry| is_astray(&entry.name, entry.node)) {
        let invalid = Invalid::new("stands where the ID of a provider should be").hint(format!(
            "give the provider a name of yours: `providers: {{ company: {{ {}: … }} }}`",
            astray.name
        ));
        return Err(astray.error(&invalid));
    }
    let providers: Vec<_> = entries.iter().map(provider).collect();
    providers.into_iter().collect()
}

fn provider(entry: &Field<'_>) -> Result<Settings, Reported> {
    let id = id(entry);
    let section = entry.section()?;
    let flag = section.field("danger_allow_http");
    let http = http(&flag);
    let kind = section.field("kind").choice(|text| (text == "oidc").then_some(()));
    let name = section.field("name").optional_text();
    let issuer = section.field("issuer").value(|text| urls::issuer(text, http));
    let endpoints = section.section("endpoints").and_then(|section| endpoints(&section, http));
    let client_id = section.field("client_id").text();
    let credentials = credentials(&section);
    let scopes = scopes(&section.field("scopes"));
    let authorization_parameters = parameters(&section.field("authorization_parameters"));
    let claims = section.section("claims").and_then(|section| claims(&section));
    let require_email_verified = section.field("require_email_verified").flag();
    let sign_out = section.field("sign_out").choice(|text| match text {
        "provider" => Some(SignOut::Provider),
        "local" => Some(SignOut::Local),
        _ => None,
    });
    let distinct_redirect_uri = section.field("distinct_redirect_uri").flag();
    let ca = pem::authorities(&section.field("ca"));
    let proxy = section.field("proxy").optional(urls::proxy);
    let timeout = section.field("timeout").duration();
    kind?;
    let (token_endpoint_auth_method, client_secret) = credentials?;
    Ok(Settings {
        id: id?,
        name: name?.unwrap_or_else(|| entry.name.clone()),
        issuer: issuer?,
        endpoints: endpoints?,
        client_id: client_id?,
        client_secret,
        token_endpoint_auth_method,
        scopes: scopes?,
        authorization_parameters: authorization_parameters?,
        claims: claims?,
        require_email_verified: require_email_verified?,
        sign_out: sign_out?,
        distinct_redirect_uri: distinct_redirect_uri?,
        ca: ca?,
        proxy: proxy?,
        timeout: timeout?,
        danger_allow_http: flag.flag()?,
    })
}

fn id(entry: &Field<'_>) -> Result<Arc<str>, Reported> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !entry.name.is_empty() && entry.name.len() <= 64 && entry.name.chars().all(plain) {
        return Ok(entry.name.as_str().into());
    }
    let invalid = Invalid::new("is not an ID: it stands in URLs")
        .hint("use a-z, 0-9 and -, at most 64 of them; `name` takes any text");
    Err(entry.error(&invalid))
}

/// `token_endpoint_auth_method` and the secret that it needs.
fn credentials(section: &Section<'_>) -> Result<(Option<AuthMethod>, Option<Secret>), Reported> {
    let field = section.field("client_secret");
    let method = section.field("token_endpoint_auth_method").optional_choice(|text| match text {
        "client_secret_basic" => Some(AuthMethod::ClientSecretBasic),
        "client_secret_post" => Some(AuthMethod::ClientSecretPost),
        "none" => Some(AuthMethod::None),
        _ => None,
    });
    let secret = field.secret();
    let (method, secret) = (method?, secret?);
    if method == Some(AuthMethod::None) {
        if secret.is_some() {
            let invalid = Invalid::new("is not used: token_endpoint_auth_method is none")
                .hint("remove one of the two");
            section.diagnostics.warning(&field.path, &invalid);
        }
        return Ok((method, None));
    }
    if secret.is_none() {
        let invalid = Invalid::new("is required")
            .hint("write `client_secret: ${file:/run/secrets/client_secret}`; for a public client, `token_endpoint_auth_method: none`");
        return Err(field.error(&invalid));
    }
    Ok((method, secret))
}

fn endpoints(section: &Section<'_>, http: Http) -> Result<ProviderEndpoints, Reported> {
    let url = |name| section.field(name).optional(|text| urls::endpoint(text, http));
    let (authorization, token, userinfo) = (url("authorization"), url("token"), url("userinfo"));
    let (jwks, end_session, revocation) = (url("jwks"), url("end_session"), url("revocation"));
    Ok(ProviderEndpoints {
        authorization: authorization?,
        token: token?,
        userinfo: userinfo?,
        jwks: jwks?,
        end_session: end_session?,
        revocation: revocation?,
    })
}

fn scopes(field: &Field<'_>) -> Result<Vec<String>, Reported> {
    let scopes = field.list(|text| {
        if text.contains(' ') {
            let meant = format!("[{}]", text.split_whitespace().collect::<Vec<_>>().join(", "));
            return Err(Invalid::new("is more than one scope").suggest(meant));
        }
        // RFC 6749 §3.3: scope-token.
        let token = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        match !text.is_empty() && text.chars().all(token) {
            true => Ok(text.to_owned()),
            false => Err("is not a scope".into()),
        }
    })?;
    // OIDC Core §3.1.2.1: without `openid` there is no ID token, so nobody is known.
    if !scopes.iter().any(|scope| scope == "openid") {
        let invalid = Invalid::new("must contain openid, or the provider sends no ID token");
        return Err(field.error(&invalid));
    }
    Ok(scopes)
}

fn parameters(field: &Field<'_>) -> Result<Vec<(String, String)>, Reported> {
    let entries = field.entries()?.unwrap_or_default();
    let parameters: Vec<_> = entries.iter().map(parameter).collect();
    parameters.into_iter().collect()
}

fn parameter(entry: &Field<'_>) -> Result<(String, String), Reported> {
    let name = entry.name.as_str();
    if name == "scope" {
        return Err(
            entry.error(&Invalid::new("is set by the gateway").hint("write it as `scopes`"))
        );
    }
    // SECURITY: a fixed `state` or `nonce` would undo what protects the sign-in.
    if RESERVED.contains(&name) {
        return Err(entry.error(&"is set by the gateway".into()));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(entry.error(&"is not the name of a parameter".into()));
    }
    if name == "prompt" && matches!(entry.node, Some(Node::Text(text)) if text == "none") {
        let invalid =
            Invalid::new("lets nobody sign in who is not signed in at the provider already")
                .hint("remove it, unless that is meant");
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
            Err(Invalid::new("is not a number of seconds").hint("write 3600 for an hour"))
        }
    }
}

fn claims(section: &Section<'_>) -> Result<ClaimNames, Reported> {
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
