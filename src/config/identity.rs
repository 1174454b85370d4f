//! `identity_headers:` -> `identity::headers`.

use http::HeaderName;

use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::header_names;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::policy::OfRoute;
use crate::config::problem::KeyPath;
use crate::config::section::Section;
use crate::gate::route::Settings;
use crate::identity::headers::{HeaderRule, Template, default_rules, provider_rule};

/// The key at the top level of the file.
pub(super) const AT_TOP: KeySpec = key(
    NAME,
    Type::Map(&Type::Text),
    DefaultValue::Is(
        "{X-Forwarded-User: \"{user}\", X-Forwarded-Email: \"{email}\", \
         X-Forwarded-Groups: \"{groups}\", X-Forwarded-Preferred-Username: \"{preferred_username}\"}",
    ),
    "Headers that identify the user to upstreams: names, and values with the placeholders {user} {subject} {email} \
     {groups} {name} {preferred_username} {provider} {access_token} {id_token} {claim:/pointer}. A map that you \
     set replaces the default.",
);

/// The key of a route.
pub(super) const OF_ROUTE: KeySpec = key(
    NAME,
    Type::Map(&Type::Text),
    DefaultValue::Unset("the map of the same name at the top level"),
    "Replaces the map of the same name at the top level for this route.",
);

const NAME: &str = "identity_headers";

/// Reads the map at the top level of the file, if it is set.
pub(super) fn top(root: &Section<'_>) -> Result<Option<Vec<HeaderRule>>, Reported> {
    rules(&root.field(NAME))
}

/// Returns the headers of a route for which no map is set.
pub(super) fn default_of(route: OfRoute<'_>) -> Vec<HeaderRule> {
    let mut rules = default_rules();
    if route.accepts_several() {
        rules.push(provider_rule());
    }
    rules
}

/// Warns about maps without the provider, on routes that accept users of several providers.
pub(super) fn warn_of_missing_provider(root: &Section<'_>, routes: &[Settings], ids: &[String]) {
    let lacks_provider = |route: &Settings| {
        let rules = &route.identity_headers;
        let identifies = rules.iter().any(|rule| rule.template.describes_user());
        let names_provider = rules.iter().any(|rule| rule.template.names_provider());
        let providers = route.providers.as_deref();
        let of_route = OfRoute { ids: Some(ids), providers, path: None };
        of_route.accepts_several() && identifies && !names_provider
    };
    for path in maps(root, routes, lacks_provider) {
        let invalid = Invalid::new(
            "has no {provider}, but there are several providers: the upstream cannot tell apart users of different \
             providers with the same name or e-mail address",
        )
        .hint("add `X-Forwarded-Provider: \"{provider}\"`, or set `providers` of the route to one ID");
        root.diagnostics.warning(&path, &invalid);
    }
}

/// Warns about headers without a placeholder on routes that anonymous visitors can use.
// SECURITY: an application that takes such a header for the proof of a sign-in would accept everyone.
pub(super) fn warn_of_constants(root: &Section<'_>, routes: &[Settings]) {
    let sends_constants = |route: &Settings| {
        let is_constant = |rule: &HeaderRule| !rule.template.describes_user();
        route.allow.allows_anonymous() && route.identity_headers.iter().any(is_constant)
    };
    for path in maps(root, routes, sends_constants) {
        let invalid = Invalid::new(
            "has a value without a placeholder, which is sent for visitors who are not signed in, too: some of the \
             routes are public",
        )
        .hint("if the application takes this header for a sign-in, set `identity_headers` on the public routes");
        root.diagnostics.warning(&path, &invalid);
    }
}

/// Paths of the maps of the routes for which `concerns` is true, each once: routes share the map at the top level.
fn maps(
    root: &Section<'_>,
    routes: &[Settings],
    concerns: impl Fn(&Settings) -> bool,
) -> Vec<KeyPath> {
    let field = root.field("routes");
    let Some(Node::List(items)) = field.node else { return Vec::new() };
    let mut paths = Vec::new();
    for (at, (route, item)) in routes.iter().zip(items).enumerate() {
        if concerns(route) {
            let own = matches!(item, Node::Map(keys) if keys.iter().any(|(key, _)| key == NAME));
            let above = if own { field.path.item(at) } else { root.path.clone() };
            let path = above.key(NAME);
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

/// Reads a map of headers, if it is set; it can be empty.
pub(super) fn rules(field: &Field<'_>) -> Result<Option<Vec<HeaderRule>>, Reported> {
    let Some(entries) = field.entries()? else { return Ok(None) };
    let rules: Vec<_> = entries.iter().map(rule).collect();
    let rules = rules.into_iter().collect::<Result<Vec<HeaderRule>, Reported>>()?;
    for (at, rule) in rules.iter().enumerate() {
        if rules.iter().take(at).any(|before| before.name == rule.name)
            && let Some(entry) = entries.get(at)
        {
            return Err(entry.error(&"is set twice: header names are case-insensitive".into()));
        }
    }
    Ok(Some(rules))
}

fn rule(entry: &Field<'_>) -> Result<HeaderRule, Reported> {
    let name = name(&entry.name).map_err(|invalid| entry.error(&invalid));
    if let Some(Node::Text(text)) = entry.node
        && let Some(meant) = without_dollar(text)
    {
        let invalid = Invalid::new("has a `$` before a placeholder").suggest(meant);
        return Err(entry.diagnostics.error(&entry.path, &invalid, Some(text)));
    }
    let template = entry.value(|text| Ok(Template::parse(text)?));
    Ok(HeaderRule { name: name?, template: template? })
}

/// Returns the template without `$`, if that was probably meant: `${user}` is an environment variable.
fn without_dollar(text: &str) -> Option<String> {
    let meant = text.replace("${", "{");
    let differs = meant != text && !text.contains("$$");
    (differs && Template::parse(&meant).is_ok()).then_some(meant)
}

/// Parses a header name that all upstreams read in the same way and that the operator can set.
fn name(text: &str) -> Result<HeaderName, Invalid> {
    let name = header_names::plain(text)?;
    if header_names::is_in_use(&name) {
        return Err(Invalid::new(
            "cannot be an identity header: HTTP or the gateway uses this name",
        )
        .hint("choose another name, such as X-Forwarded-User"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::tests::settings_of;

    #[test]
    fn default_headers_are_those_of_the_identity_room() {
        let DefaultValue::Is(text) = AT_TOP.default else { panic!("it has a default") };
        let written = settings_of(&format!("identity_headers: {text}"));
        assert_eq!(written.routes.first().unwrap().identity_headers, default_rules());
        assert_eq!(settings_of("").routes.first().unwrap().identity_headers, default_rules());
    }

    #[test]
    fn default_headers_include_the_provider_if_there_are_several() {
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
