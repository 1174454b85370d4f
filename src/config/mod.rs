//! Configuration: reads YAML, or flags, into the `Settings` of each room. No other room knows YAML.
//! The file is first a tree of values, which is checked against the tables of keys so that all problems are reported
//! at once. The result is [`Config`], in which nothing is left to check. The table of a section's keys (`KEYS`) is on
//! top of the file that reads the section; the keys at the top level of the file are here.
//! Invariant: no message shows a secret, nor a value from the environment or another file.

mod address;
mod admin;
mod authorization_parameters;
mod certificates;
mod claim_names;
mod config_source;
mod diagnostics;
mod document;
mod emails;
mod field;
mod flag_words;
mod flags;
mod forward_auth;
mod header_names;
mod host_env;
mod host_names;
mod identity;
mod interpolate;
mod invalid;
mod key_rows;
mod key_spec;
mod line_of;
mod listeners;
mod migration_hints;
mod pages;
mod pem;
mod plain_secret;
mod policy;
mod problem;
mod providers;
mod proxies;
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
mod session;
mod suggest;
mod telemetry;
#[cfg(test)]
mod tests;
mod units;
mod urls;

use std::path::{Path, PathBuf};

pub use config_source::{ConfigSource, SourceConflict};
pub use flags::Flags;
pub use host_env::{HostEnv, ReadError};
pub use problem::{KeyPath, Problem, Problems, Severity};
pub use schema::schema;

use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::document::Node;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::line_of::LineFinder;
use crate::config::section::Section;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::routing::path::PathPrefix;
use crate::server::ListenAddress;

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
    /// Address of the admin listener; `None`: off.
    pub admin: Option<ListenAddress>,
    /// Logs.
    pub telemetry: crate::telemetry::Settings,
    /// The access log.
    pub access_log: crate::server::AccessLog,
    /// All other files that were read.
    pub files: Vec<PathBuf>,
}

/// Search order of [`HostEnv::configuration_file`], for messages.
const PLACES: &str = "the configuration file is --config, or PORTCULLIS_CONFIG, or portcullis.yaml in \
                      this folder, or /etc/portcullis/portcullis.yaml";

/// Loads a configuration file; returns the configuration with warnings, or all problems.
pub fn load(file: &Path, source: &HostEnv) -> Result<(Config, Vec<Problem>), Problems> {
    let text = read(file, source)?;
    let root = parse(file, &text)?;
    let lines = LineFinder::new(&text, &root);
    let place = |path: &KeyPath| match flags::override_of(path, source) {
        Some(variable) => (variable.into(), None),
        None => (file.to_owned(), lines.of(path)),
    };
    let overridden = flags::overridden(&root, source);
    read_tree(overridden.as_ref().unwrap_or(&root), diagnostics_of(file, source), place)
}

fn parse(file: &Path, text: &str) -> Result<Node, Problems> {
    document::parse(text).map_err(|error| {
        rejected(file, error.line, error.message.to_owned(), error.hint.map(str::to_owned))
    })
}

fn diagnostics_of<'a>(file: &'a Path, source: &'a HostEnv) -> Diagnostics<'a> {
    Diagnostics::new(source, file.parent().unwrap_or(Path::new("")))
}

/// Returns the address of the admin listener that `run` opens with this file, or with the variables in its place;
/// `None` if it is off. Other keys of the file may be wrong.
pub fn admin_listen(
    given: Option<&Path>,
    source: &HostEnv,
) -> Result<Option<ListenAddress>, Problems> {
    let file = source.configuration_file(given);
    let is_named = given.is_some() || source.named_file().is_some();
    let is_replaced = !is_named && (flags::are_in_environment(source) || !source.exists(&file));
    let (text, root) = if is_replaced {
        (String::new(), Node::Map(Vec::new()))
    } else {
        let text = read(&file, source)?;
        let root = parse(&file, &text)?;
        (text, root)
    };
    let root = flags::overridden(&root, source).unwrap_or(root);
    let diagnostics = diagnostics_of(&file, source);
    let address = Section::root(&diagnostics, &root).and_then(|root| admin::listen(&root, None));
    let place = |path: &KeyPath| match flags::override_of(path, source) {
        Some(variable) => (variable.into(), None),
        None => (file.clone(), line_of::line_of(&text, &root, path)),
    };
    address.map_err(|_| {
        let (mut problems, _) = diagnostics.finish(place);
        problems.retain(|problem| problem.severity == Severity::Error);
        Problems(problems)
    })
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

/// Returns the line of a key in a file.
fn line(file: &Path, source: &HostEnv, path: &KeyPath) -> Option<usize> {
    let text = read(file, source).ok()?;
    let root = document::parse(&text).ok()?;
    line_of::line_of(&text, &root, path)
}

fn read(file: &Path, source: &HostEnv) -> Result<String, Problems> {
    let bytes = source.read(file).map_err(|why| {
        let hint = match why {
            ReadError::PermissionDenied => {
                "allow this user to read the file and its folders, with `chmod` or `chgrp`"
            }
            ReadError::Missing | ReadError::Folder | ReadError::TooLong | ReadError::Other(_) => {
                PLACES
            }
        };
        rejected(file, None, format!("the file {why}"), Some(hint.to_owned()))
    })?;
    // Some editors write a byte order mark, which the parser reads as a document.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        rejected(file, Some(line), "the file is not UTF-8 text".to_owned(), None)
    })
}

fn rejected(file: &Path, line: Option<usize>, message: String, hint: Option<String>) -> Problems {
    let (severity, path, file) = (Severity::Error, KeyPath::default(), file.to_owned());
    Problems(vec![Problem { severity, file, line, path, message, hint }])
}

/// Converts all sections before the first error ends it, so that every error is reported.
fn convert(diagnostics: &Diagnostics<'_>, root: &Node) -> Result<Config, Reported> {
    let root = Section::root(diagnostics, root)?;
    let server = root.section("server");
    let public_url = server.as_ref().map_err(|r| *r).and_then(server::public_url);
    let endpoint_prefix = server.as_ref().map_err(|r| *r).and_then(server::endpoint_prefix);
    let server = server.and_then(|section| server::settings(&section, public_url.as_ref().ok()));
    let ids = providers::ids(&root);
    let providers = providers::settings(&root);
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
    let admin = admin::listen(&root, server.as_ref().ok());
    let telemetry = telemetry::settings(&root);
    // Only without any entry: invalid entries have their own errors.
    if let (Ok([]), Ok(_), Ok(routes)) = (ids.as_deref(), &providers, &routes) {
        check_providers_exist(&root, routes)?;
    }
    if let (Ok(ids), Ok(routes)) = (&ids, &routes) {
        identity::warn_of_missing_provider(&root, routes, ids);
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
