//! `telemetry:` -> `telemetry::Settings`.

use crate::config::diagnostics::Reported;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::telemetry::{Level, LogFormat, Settings};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "log",
        Type::Section(LOG),
        DefaultValue::Unset("all defaults"),
        "Format and level of the log.",
    ),
    key("access_log", Type::Flag, DefaultValue::Is("true"), "Whether to log every request."),
];

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
pub(super) fn settings(root: &Section<'_>) -> Result<Settings, Reported> {
    let section = root.section("telemetry")?;
    let access_log = section.field("access_log").flag();
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
    Ok(Settings { format: format?, level: level?, access_log: access_log? })
}
