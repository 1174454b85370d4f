//! `identity_headers:` -> `identity::headers`.

use http::HeaderName;

use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::policy::OfRoute;
use crate::config::section::Section;
use crate::gate::route::Settings;
use crate::identity::headers::{HeaderRule, Template, default_rules, provider_rule};

/// The key at the top of the file.
pub(super) const AT_TOP: KeySpec = key(
    NAME,
    Type::Map(&Type::Text),
    DefaultValue::Is(
        "{X-Forwarded-User: \"{user}\", X-Forwarded-Email: \"{email}\", \
         X-Forwarded-Groups: \"{groups}\", X-Forwarded-Preferred-Username: \"{preferred_username}\"}",
    ),
    "Tells upstreams who asks: a header's name and its text with {user} {subject} {email} {groups} {name} \
     {preferred_username} {provider} {access_token} {id_token} {claim:/pointer}; a written map replaces the \
     default.",
);

/// The key of a route.
pub(super) const OF_ROUTE: KeySpec = key(
    NAME,
    Type::Map(&Type::Text),
    DefaultValue::Unset("the map of the same name at the top"),
    "Replaces the map of the same name at the top for this route.",
);

const NAME: &str = "identity_headers";

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

/// The map at the top of the file, where it is written.
pub(super) fn top(root: &Section<'_>) -> Result<Option<Vec<HeaderRule>>, Reported> {
    rules(&root.field(NAME))
}

/// The headers of a route for which no map is written.
pub(super) fn default_of(route: OfRoute<'_>) -> Vec<HeaderRule> {
    let mut rules = default_rules();
    if route.takes_several() {
        rules.push(provider_rule());
    }
    rules
}

/// Warns about written maps that leave out the provider on routes where several sign in.
pub(super) fn warn_of_missing_provider(root: &Section<'_>, routes: &[Settings], ids: &[String]) {
    let field = root.field("routes");
    let Some(Node::List(items)) = field.node else { return };
    let mut paths = Vec::new();
    for (at, (route, item)) in routes.iter().zip(items).enumerate() {
        let rules = &route.identity_headers;
        let identifies = rules.iter().any(|rule| rule.template.describes_user());
        let names_provider = rules.iter().any(|rule| rule.template.names_provider());
        let providers = route.providers.as_deref();
        let of_route = OfRoute { ids: Some(ids), providers, path: None };
        if of_route.takes_several() && identifies && !names_provider {
            let own = matches!(item, Node::Map(keys) if keys.iter().any(|(key, _)| key == NAME));
            let above = if own { field.path.item(at) } else { root.path.clone() };
            let path = above.key(NAME);
            // Many routes share the map at the top.
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    for path in paths {
        let invalid = Invalid::new(
            "has no {provider}, and several providers sign in: the same user or e-mail at another \
             provider looks the same to the upstream",
        )
        .hint("add `X-Forwarded-Provider: \"{provider}\"`, or put `providers` with one ID on the route");
        root.diagnostics.warning(&path, &invalid);
    }
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
    let name = name(&entry.name).map_err(|invalid| entry.error(&invalid));
    if let Some(Node::Text(text)) = entry.node
        && let Some(meant) = without_dollar(text)
    {
        let invalid = Invalid::new("has a $ before a placeholder").suggest(meant);
        return Err(entry.diagnostics.error(&entry.path, &invalid, Some(text)));
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
fn name(text: &str) -> Result<HeaderName, Invalid> {
    // SECURITY: some upstreams take `X_User` and `X.User` for `X-User`; so only the plain spelling.
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(Invalid::new("is not a header's name").hint("use letters, digits and -"));
    }
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| "is not a header's name")?;
    let text = name.as_str();
    let framing = text.starts_with("content-") || text.starts_with("sec-");
    if framing || RESERVED.contains(&text) {
        return Err(Invalid::new("cannot carry an identity: it has a meaning of its own in HTTP"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::tests::settings_of;

    #[test]
    fn the_tables_default_is_that_of_the_room() {
        let DefaultValue::Is(text) = AT_TOP.default else { panic!("it has a default") };
        let written = settings_of(&format!("identity_headers: {text}"));
        assert_eq!(written.routes.first().unwrap().identity_headers, default_rules());
        assert_eq!(settings_of("").routes.first().unwrap().identity_headers, default_rules());
    }

    #[test]
    fn default_headers_gain_the_provider_where_several_sign_in() {
        let ids = ["company", "partner"].map(str::to_owned);
        let check = |ids: &[String], chosen: Option<&[Arc<str>]>, expected: usize| {
            let route = OfRoute { ids: Some(ids), providers: chosen, path: None };
            assert_eq!(default_of(route).len(), expected, "{ids:?} {chosen:?}");
        };
        let (company, partner) = (Arc::from("company"), Arc::from("partner"));
        check(&ids, None, 5);
        check(&ids[..1], None, 4);
        check(&ids, Some(&[Arc::clone(&company), partner]), 5);
        check(&ids, Some(&[Arc::clone(&company)]), 4);
        check(&ids, Some(&[Arc::clone(&company), company]), 4);
    }
}
