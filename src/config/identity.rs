//! `identity_headers:` -> `identity::headers`.

use http::HeaderName;

use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::reading::Reported;
use crate::config::section::Section;
use crate::config::wrong::Wrong;
use crate::identity::headers::{HeaderRule, Template, default_rules};

/// Fields that frame a message, belong to one connection, or are set by the gateway itself.
const RESERVED: [&str; 24] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "cookie",
    "set-cookie",
    "date",
    "forwarded",
    "origin",
    "referer",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-real-ip",
    "x-request-id",
];

/// The map at the top of the file, or the default.
pub(super) fn top(root: &Section<'_>) -> Result<Vec<HeaderRule>, Reported> {
    Ok(rules(&root.field("identity_headers"))?.unwrap_or_else(default_rules))
}

/// A map of headers, where it is written; one without entries is written too.
pub(super) fn rules(field: &Field<'_>) -> Result<Option<Vec<HeaderRule>>, Reported> {
    let Some(entries) = field.entries()? else { return Ok(None) };
    let rules: Vec<_> = entries.iter().map(rule).collect();
    let rules = rules.into_iter().collect::<Result<Vec<HeaderRule>, Reported>>()?;
    for (at, rule) in rules.iter().enumerate() {
        if rules.iter().take(at).any(|before| before.name == rule.name)
            && let Some(entry) = entries.get(at)
        {
            return Err(
                entry.error(&"stands here twice, as names are compared without case".into())
            );
        }
    }
    Ok(Some(rules))
}

fn rule(entry: &Field<'_>) -> Result<HeaderRule, Reported> {
    let name = name(&entry.name).map_err(|wrong| entry.error(&wrong));
    if let Some(Node::Text(text)) = entry.node
        && let Some(meant) = without_dollar(text)
    {
        let wrong = Wrong::new("has a $ before a placeholder").suggest(meant);
        return Err(entry.reading.error(&entry.path, &wrong, Some(text)));
    }
    let template = entry.value(|text| Ok(Template::parse(text)?));
    Ok(HeaderRule { name: name?, template: template? })
}

/// What `${user}` was meant to be: as a reference it would be an environment variable.
fn without_dollar(text: &str) -> Option<String> {
    let meant = text.replace("${", "{");
    let differs = meant != text && !text.contains("$$");
    (differs && Template::parse(&meant).is_ok()).then_some(meant)
}

/// A name that every upstream reads alike, and that is the author's to set.
fn name(text: &str) -> Result<HeaderName, Wrong> {
    // SECURITY: some upstreams take `X_User` and `X.User` for `X-User`; so only the plain spelling.
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(Wrong::new("is not a header's name").hint("use letters, digits and -"));
    }
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| "is not a header's name")?;
    let text = name.as_str();
    let framing = text.starts_with("content-") || text.starts_with("sec-");
    if framing || RESERVED.contains(&text) {
        return Err(Wrong::new("cannot carry an identity: it has a meaning of its own in HTTP"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::settings_of;

    #[test]
    fn the_tables_default_is_that_of_the_room() {
        let text = crate::config::table::rows()
            .into_iter()
            .find_map(|row| match (row.path().as_str(), row.key.default) {
                ("identity_headers", crate::config::table::Default::Is(yaml)) => Some(yaml),
                _ => None,
            })
            .unwrap();
        let written = settings_of(&format!("identity_headers: {text}"));
        assert_eq!(written.routes.first().unwrap().identity_headers, default_rules());
        assert_eq!(settings_of("").routes.first().unwrap().identity_headers, default_rules());
    }
}
