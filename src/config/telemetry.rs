//! `telemetry:` -> `telemetry::Settings` and `server::AccessLog`.

use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::rule_paths::path;
use crate::config::section::Section;
use crate::server::AccessLog;
use crate::telemetry::{Level, LogFormat, Settings};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "log",
        Type::Section(LOG),
        DefaultValue::Unset("all defaults"),
        "Format and level of the log.",
    ),
    key(
        "access_log",
        Type::Either(&[Type::Flag, Type::Section(ACCESS_LOG)]),
        DefaultValue::Is("true"),
        "Whether to log every request.",
    ),
];

const ACCESS_LOG: &[KeySpec] = &[key(
    "exclude_paths",
    Type::List { of: &Type::Text, least: 1 },
    DefaultValue::Unset("none"),
    "Path prefixes, by whole segments, whose requests are not logged. Metrics count them.",
)];

const LOG: &[KeySpec] = &[
    key(
        "format",
        Type::Choice(&["json", "text"]),
        DefaultValue::Unset("text on a terminal, otherwise json"),
        "One JSON object a line, or text.",
    ),
    key(
        "level",
        Type::Choice(&["error", "warn", "info", "debug", "trace"]),
        DefaultValue::Is("info"),
        "Least severe level that is logged.",
    ),
];

/// `telemetry`.
pub(super) fn settings(root: &Section<'_>) -> Result<(Settings, AccessLog), Reported> {
    let section = root.section("telemetry")?;
    let access_log = access_log(&section.field("access_log"));
    let log = section.section("log")?;
    let format = log.field("format").optional_choice(|text| match text {
        "json" => Some(LogFormat::Json),
        "text" => Some(LogFormat::Text),
        _ => None,
    });
    let level = log.field("level").choice(|text| match text {
        "error" => Some(Level::Error),
        "warn" => Some(Level::Warn),
        "info" => Some(Level::Info),
        "debug" => Some(Level::Debug),
        "trace" => Some(Level::Trace),
        _ => None,
    });
    Ok((Settings { format: format?, level: level? }, access_log?))
}

fn access_log(field: &Field<'_>) -> Result<AccessLog, Reported> {
    match field.node {
        Some(Node::Map(_)) => {}
        Some(Node::List(_)) => {
            let invalid = Invalid::new("must be true, false or a mapping, not a list")
                .hint("write `access_log: { exclude_paths: [/healthz] }`");
            return Err(field.error(&invalid));
        }
        _ => return Ok(if field.flag()? { AccessLog::On } else { AccessLog::Off }),
    }
    let excluded = Section::of(field)?.field("exclude_paths").optional_list(path)?;
    Ok(excluded.map_or(AccessLog::On, |excluded| AccessLog::Except(excluded.into())))
}
