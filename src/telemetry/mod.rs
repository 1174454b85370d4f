//! Logs and metrics. Every room can use it; it uses only the ground.

pub mod access_log;
pub mod audit;
mod bound;
pub mod json;
pub mod log;
pub mod log_throttle;
pub mod metrics;
mod queue;
mod target;
pub mod writer;

/// Settings of `telemetry:`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `None` means text on a terminal and JSON otherwise.
    pub format: Option<LogFormat>,
    /// The least severe level that is logged.
    pub level: Level,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for terminals.
    Text,
}

/// `error`, `warn`, `info`, `debug` or `trace`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Something failed and will not recover.
    Error,
    /// Something is wrong or will be soon.
    Warn,
    /// Information for operators.
    #[default]
    Info,
    /// Information for developers.
    Debug,
    /// Everything.
    Trace,
}
