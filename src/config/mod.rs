//! Configuration: reads YAML, or flags, into the `Settings` of each room. No other room knows YAML.
//! The file is first a tree of values, which is checked against the tables of keys so that all problems are reported
//! at once. The result is [`Config`], in which nothing is left to check. The table of a section's keys (`KEYS`) is on
//! top of the file that reads the section; the keys at the top level of the file are here.
//! Invariant: no message shows a secret, nor a value from the environment or another file.

mod address;
mod admin;
mod apple_key;
mod authorization_parameters;
mod certificates;
mod claim_names;
mod client_credentials;
mod config_source;
mod diagnostics;
mod document;
mod emails;
mod env_overrides;
mod field;
mod flag_values;
mod flag_words;
mod flags;
mod forward_auth;
mod header_names;
mod host_env;
mod host_names;
mod hosted_domain;
mod identity;
mod interpolate;
mod invalid;
mod key_rows;
mod key_spec;
mod kind_options;
mod line_of;
mod listeners;
mod migration_hints;
mod pages;
mod pem;
mod plain_secret;
mod policy;
mod problem;
mod provider_guide;
mod provider_server;
mod providers;
mod proxies;
mod redirect_uri;
mod route_hosts;
mod route_overlaps;
mod routes;
mod rule_paths;
mod rule_values;
mod rule_warnings;
mod scalar;
mod schema;
mod section;
mod server;
mod service_account;
mod session;
mod session_store;
mod suggest;
mod telemetry;
mod tenant;
#[cfg(test)]
mod tests;
mod units;
mod unmet_rules;
mod urls;
mod yaml_source;

use std::path::{Path, PathBuf};

pub use certificates::EXPIRES_SOON;
pub use client_credentials::keys_to_register;
pub use config_source::{ConfigSource, SourceConflict, SourceError, admin_settings};
pub use flags::Flags;
pub use host_env::{HostEnv, ReadError};
pub use problem::{KeyPath, Problem, Problems, Severity};
pub use provider_guide::{provider_guide, provider_kinds};
pub use schema::schema;
pub use yaml_source::YamlSource;

use crate::admin::AdminSettings;
use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::routing::path::PathPrefix;

/// Keys at the top level of the file.
const ROOT: &[KeySpec] = &[
    key(
        "server",
        Type::Section(server::KEYS),
        DefaultValue::Required("server: { public_url: https://wiki.example.com }"),
        "Listeners, limits, timeouts, and the URL that browsers use.",
    ),
    key(
        "providers",
        Type::Map(&Type::Section(providers::KEYS)),
        DefaultValue::Unset("none; required unless every route is public"),
        "Providers where users sign in, by ID (a-z, 0-9 and -), in the order of the sign-in page.",
    ),
    key(
        "session",
        Type::Section(session::KEYS),
        DefaultValue::Unset("all defaults"),
        "Lifetime of sessions, and their cookie.",
    ),
    key(
        "routes",
        Type::List { of: &Type::Section(routes::KEYS), least: 1 },
        DefaultValue::Required(
            "routes: [{ upstream: http://127.0.0.1:8080, allow: authenticated }]",
        ),
        "Applications behind the gateway, and who is allowed. The most specific host and path wins.",
    ),
    identity::AT_TOP,
    key(
        "pages",
        Type::Section(pages::KEYS),
        DefaultValue::Unset("all defaults"),
        "Appearance of the gateway's pages.",
    ),
    key(
        "admin",
        Type::Section(admin::KEYS),
        DefaultValue::Unset("all defaults"),
        "Listener for health checks and metrics.",
    ),
    key("telemetry", Type::Section(telemetry::KEYS), DefaultValue::Unset("all defaults"), "Logs."),
];

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listeners, limits, timeouts.
    pub server: crate::server::Settings,
    /// Origin at which browsers reach the gateway.
    pub public_url: Origin,
    /// Prefix of the gateway's own paths, such as `/oauth2`. It starts with `/` and does not end with it.
    pub endpoint_prefix: PathPrefix,
    /// Providers, in the order of the sign-in page.
    pub providers: Vec<crate::providers::Settings>,
    /// Session table and cookie.
    pub session: crate::session::Settings,
    /// Routes, at least one.
    pub routes: Vec<crate::gate::route::Settings>,
    /// Appearance of the pages.
    pub pages: crate::pages::Brand,
    /// The admin listener.
    pub admin: AdminSettings,
    /// Logs.
    pub telemetry: crate::telemetry::Settings,
    /// The access log.
    pub access_log: crate::server::AccessLog,
    /// All other files that were read.
    pub files: Vec<PathBuf>,
}

/// Loads a configuration file; returns the configuration with warnings, or all problems.
pub fn load(file: &Path, source: &HostEnv) -> Result<(Config, Vec<Problem>), Problems> {
    YamlSource::File(file.to_owned()).load(source)
}

/// Reads a tree; `place` returns the file and line of a key.
fn read_tree(
    root: &Node,
    diagnostics: Diagnostics<'_>,
    place: impl Fn(&KeyPath) -> (PathBuf, Option<usize>),
) -> Result<(Config, Vec<Problem>), Problems> {
    let config = convert(&diagnostics, root);
    let (problems, files) = diagnostics.finish(place);
    let rejected = problems.iter().any(|problem| problem.severity == Severity::Error);
    match config {
        Ok(config) if !rejected => Ok((Config { files, ..config }, problems)),
        Ok(_) | Err(_) => Err(Problems(problems)),
    }
}

/// Converts all sections before the first error ends it, so that every error is reported.
fn convert(diagnostics: &Diagnostics<'_>, root: &Node) -> Result<Config, Reported> {
    let root = Section::root(diagnostics, root)?;
    let server = root.section("server");
    let public_url = server.as_ref().map_err(|r| *r).and_then(server::public_url);
    let endpoint_prefix = server.as_ref().map_err(|r| *r).and_then(server::endpoint_prefix);
    let server = server.and_then(|section| server::settings(&section, public_url.as_ref().ok()));
    let ids = providers::ids(&root);
    let providers = providers::settings(&root, public_url.as_ref().ok());
    let session = session::settings(&root, public_url.as_ref().ok());
    let surroundings = routes::Surroundings {
        public_url: public_url.as_ref().ok(),
        endpoint_prefix: endpoint_prefix.as_ref().ok(),
        server: server.as_ref().ok(),
        providers: ids.as_deref().ok(),
        cookie: session.as_ref().ok().map(|session| &session.cookie),
        identity_headers: identity::top(&root),
    };
    let routes = routes::settings(&root, &surroundings);
    let pages = pages::brand(&root);
    let admin = admin::settings(&root, server.as_ref().ok());
    let telemetry = telemetry::settings(&root);
    // Only without any entry: invalid entries have their own errors.
    if let (Ok([]), Ok(_), Ok(routes)) = (ids.as_deref(), &providers, &routes) {
        check_providers_exist(&root, routes)?;
    }
    if let (Ok(ids), Ok(routes)) = (&ids, &routes) {
        identity::warn_of_missing_provider(&root, routes, ids);
    }
    if let (Ok(providers), Ok(routes)) = (&providers, &routes) {
        hosted_domain::warn_of_private_accounts(&root, providers, routes);
        unmet_rules::warn(&root, providers, routes);
    }
    if let Ok(routes) = &routes {
        identity::warn_of_constants(&root, routes);
        route_hosts::warn_of_public_fallback(&root, routes);
        if let Ok(server) = &server {
            let public_url = public_url.as_ref().ok();
            route_hosts::warn_of_uncovered_hosts(&root, server, routes, public_url);
        }
    }
    // Not with errors: an upstream with a misspelt key would look like a missing upstream.
    if let (Ok(server), Ok(routes), false) = (&server, &routes, diagnostics.has_errors()) {
        forward_auth::warnings(&root, server, routes);
    }
    let (telemetry, access_log) = telemetry?;
    Ok(Config {
        server: server?,
        public_url: public_url?,
        endpoint_prefix: endpoint_prefix?,
        providers: providers?,
        session: session?,
        routes: routes?,
        pages: pages?,
        admin: admin?,
        telemetry,
        access_log,
        files: Vec::new(),
    })
}

/// Checks that no route needs sign-in if there are no providers.
fn check_providers_exist(
    root: &Section<'_>,
    routes: &[crate::gate::route::Settings],
) -> Result<(), Reported> {
    match routes.iter().position(|route| needs_sign_in(&route.allow)) {
        None => Ok(()),
        Some(at) => {
            let what = format!("is required: routes[{at}] needs sign-in");
            let hint = "add a provider: `providers: { company: { issuer: …, client_id: …, client_secret: … } }`";
            Err(root.field("providers").error(&Invalid::new(what).hint(hint)))
        }
    }
}

/// Whether a route can require sign-in.
fn needs_sign_in(allow: &Policy) -> bool {
    match allow {
        Policy::Public => false,
        Policy::Authenticated => true,
        Policy::Rules(rules) => rules.iter().any(|rule| !rule.public),
    }
}
