//! The only room that knows YAML; produces each room's Settings.
//! Two types for configuration: what was written is a tree that is walked by one table of keys, so that
//! all problems come at once; what the program needs is [`Config`], in which nothing is left to check.
//! Invariant: no problem prints a secret, nor what came out of the environment or a file.

mod address;
mod admin;
mod authorization_parameters;
mod certificates;
mod claim_names;
mod config_source;
mod diagnostics;
mod document;
mod field;
mod flag_words;
mod flags;
mod forward_auth;
mod host_env;
mod host_names;
mod identity;
mod interpolate;
mod invalid;
mod key_rows;
mod key_spec;
mod line_of;
mod migration_hints;
mod pages;
mod pem;
mod plain_secret;
mod policy;
mod problem;
mod providers;
mod route_hosts;
mod routes;
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

use crate::origin::Origin;
use crate::policy::Policy;
use crate::routing::path::PathPrefix;
use diagnostics::{Diagnostics, Reported};
use document::Node;
use invalid::Invalid;
use key_spec::{DefaultValue, KeySpec, Type, key};
use section::Section;

/// The keys at the top of the file.
const ROOT: &[KeySpec] = &[
    key(
        "server",
        Type::Section(server::KEYS),
        DefaultValue::Required("server: { public_url: https://wiki.example.com }"),
        "Sockets, limits, deadlines, and the address that browsers see.",
    ),
    key(
        "providers",
        Type::Map(&Type::Section(providers::KEYS)),
        DefaultValue::Unset("needed unless every route is public"),
        "Where visitors sign in: an ID of a-z, 0-9 and - for each, in the order of the sign-in page.",
    ),
    key(
        "session",
        Type::Section(session::KEYS),
        DefaultValue::Unset("all defaults"),
        "How long a browser stays signed in, and its cookie.",
    ),
    key(
        "routes",
        Type::List { of: &Type::Section(routes::KEYS), least: 1 },
        DefaultValue::Required(
            "routes: [{ upstream: http://127.0.0.1:8080, allow: authenticated }]",
        ),
        "What is in front of what, and who may pass; the most specific host and path wins.",
    ),
    identity::AT_TOP,
    key(
        "pages",
        Type::Section(pages::KEYS),
        DefaultValue::Unset("all defaults"),
        "What people see.",
    ),
    key(
        "admin",
        Type::Section(admin::KEYS),
        DefaultValue::Unset("all defaults"),
        "The listener for health checks and metrics.",
    ),
    key("telemetry", Type::Section(telemetry::KEYS), DefaultValue::Unset("all defaults"), "Logs."),
];

/// A configuration that was found good.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sockets, limits, deadlines.
    pub server: crate::server::Settings,
    /// The origin at which browsers reach the gateway.
    pub public_url: Origin,
    /// The gateway's own paths; `/oauth2`. Starts with `/`, ends without one.
    pub endpoint_prefix: PathPrefix,
    /// Where visitors sign in, in the order of the sign-in page.
    pub providers: Vec<crate::providers::Settings>,
    /// The session table and its cookie.
    pub session: crate::session::Settings,
    /// What is in front of what; at least one.
    pub routes: Vec<crate::gate::route::Settings>,
    /// What pages look like.
    pub pages: crate::pages::Brand,
    /// The admin listener; `None`: off.
    pub admin: Option<crate::server::ListenAddress>,
    /// Logs.
    pub telemetry: crate::telemetry::Settings,
    /// Every other file that went into this.
    pub files: Vec<PathBuf>,
}

/// Where [`HostEnv::configuration_file`] looks.
const PLACES: &str = "the file is that of --config, else of PORTCULLIS_CONFIG, else portcullis.yaml in \
                      this folder, else /etc/portcullis/portcullis.yaml";

/// Reads a configuration: the result with its warnings, or all that is wrong with it.
pub fn load(file: &Path, source: &HostEnv) -> Result<(Config, Vec<Problem>), Problems> {
    let text = read(file, source)?;
    let root = document::parse(&text).map_err(|error| {
        refusal(file, error.line, error.message.to_owned(), error.hint.map(str::to_owned))
    })?;
    let line = |path: &KeyPath| (file.to_owned(), line_of::line_of(&text, &root, path));
    read_tree(&root, Diagnostics::new(source, file.parent().unwrap_or(Path::new(""))), line)
}

/// What a tree says; `place` tells where each of its keys was written.
fn read_tree(
    root: &Node,
    diagnostics: Diagnostics<'_>,
    place: impl Fn(&KeyPath) -> (PathBuf, Option<usize>),
) -> Result<(Config, Vec<Problem>), Problems> {
    let config = convert(&diagnostics, root);
    let (problems, files) = diagnostics.finish(place);
    let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
    match config {
        Ok(config) if !refused => Ok((Config { files, ..config }, problems)),
        Ok(_) | Err(_) => Err(Problems(problems)),
    }
}

/// The line of a key in a file that was loaded.
fn line(file: &Path, source: &HostEnv, path: &KeyPath) -> Option<usize> {
    let text = read(file, source).ok()?;
    let root = document::parse(&text).ok()?;
    line_of::line_of(&text, &root, path)
}

fn read(file: &Path, source: &HostEnv) -> Result<String, Problems> {
    let bytes = source.read(file).map_err(|why| {
        let hint = match why {
            ReadError::Forbidden => {
                "let this user read it: `chmod` or `chgrp` the file and its folders"
            }
            ReadError::Missing | ReadError::Folder | ReadError::TooLong | ReadError::Other(_) => {
                PLACES
            }
        };
        refusal(file, None, why.to_string(), Some(hint.to_owned()))
    })?;
    // Some editors begin a file with a byte order mark, which the parser takes for a document.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        refusal(file, Some(line), "is not a text in UTF-8".to_owned(), None)
    })
}

fn refusal(file: &Path, line: Option<usize>, message: String, hint: Option<String>) -> Problems {
    let (severity, path, file) = (Severity::Error, KeyPath::default(), file.to_owned());
    Problems(vec![Problem { severity, file, line, path, message, hint }])
}

/// Every section is read, whatever the others say, before the first failure ends it.
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
    // Without any entry, not with entries that are wrong, of which more is said already.
    if let (Ok([]), Ok(_), Ok(routes)) = (ids.as_deref(), &providers, &routes) {
        someone_signs_in(&root, routes)?;
    }
    if let (Ok(ids), Ok(routes)) = (&ids, &routes) {
        identity::warn_of_missing_provider(&root, routes, ids);
    }
    if let Ok(routes) = &routes {
        route_hosts::warn_of_public_fallback(&root, routes);
        if let Ok(server) = &server {
            let public_url = public_url.as_ref().ok();
            route_hosts::warn_of_uncovered_hosts(&root, server, routes, public_url);
        }
    }
    // An upstream under a misspelt key is no upstream that is not written.
    if let (Ok(server), Ok(routes), false) = (&server, &routes, diagnostics.is_refused()) {
        forward_auth::warnings(&root, server, routes);
    }
    Ok(Config {
        server: server?,
        public_url: public_url?,
        endpoint_prefix: endpoint_prefix?,
        providers: providers?,
        session: session?,
        routes: routes?,
        pages: pages?,
        admin: admin?,
        telemetry: telemetry?,
        files: Vec::new(),
    })
}

/// Without providers, no route may ask for sign-in.
fn someone_signs_in(
    root: &Section<'_>,
    routes: &[crate::gate::route::Settings],
) -> Result<(), Reported> {
    match routes.iter().position(|route| asks_for_sign_in(&route.allow)) {
        None => Ok(()),
        Some(at) => {
            let what = format!("is required: routes[{at}] asks visitors to sign in");
            let hint = "name a provider: `providers: { company: { issuer: …, client_id: …, client_secret: … } }`, or write `allow: public` on every route";
            Err(root.field("providers").error(&Invalid::new(what).hint(hint)))
        }
    }
}

/// Whether some visitor of a route would be asked to sign in.
fn asks_for_sign_in(allow: &Policy) -> bool {
    match allow {
        Policy::Public => false,
        Policy::Authenticated => true,
        Policy::Rules(rules) => rules.iter().any(|rule| !rule.public),
    }
}
