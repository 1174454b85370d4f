//! What the operator sees. A leaf: everyone may record, it calls nobody.

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

/// What `telemetry:` says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None`: text on a terminal, else JSON.
    pub format: Option<LogFormat>,
    /// The least severe level that is logged.
    pub level: Level,
    /// Whether each request gets a line.
    pub access_log: bool,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// `error`, `warn`, `info`, `debug` or `trace`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Something is lost.
    Error,
    /// Something is wrong, or soon will be.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: None, level: Level::default(), access_log: true }
    }
}
