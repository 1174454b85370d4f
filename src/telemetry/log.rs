//! Where log lines go and what they look like.
//! Global state, for whoever logs does not know where to.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_subscriber::fmt;

use crate::clock::Clock;
use crate::telemetry::access_log;
use crate::telemetry::json::Json;
use crate::telemetry::writer::{self, Flush};
use crate::telemetry::{Level, LogFormat, Settings};

/// Starts the log on standard error; what is returned writes the last lines when dropped.
pub fn start(settings: &Settings) -> io::Result<Flush> {
    let terminal = io::stderr().is_terminal();
    let by_default = if terminal { LogFormat::Text } else { LogFormat::Json };
    let (lines, flush) =
        writer::start(io::stderr(), |count| tracing::warn!(count, "log lines dropped"))?;
    let filter = filter(settings.level);
    let events = fmt().with_writer(lines.clone()).with_max_level(filter);
    let started: Result<(), SetGlobalDefaultError> = match settings.format.unwrap_or(by_default) {
        LogFormat::Json => {
            let json = Json::new(Clock::system());
            if filter >= LevelFilter::INFO {
                access_log::go_straight(json.clone(), lines);
            }
            set_global_default(events.event_format(json).finish())
        }
        LogFormat::Text => set_global_default(events.with_ansi(terminal).finish()),
    };
    started.map_err(io::Error::other)?;
    Ok(flush)
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
