//! Where log lines go and what they look like.
//! The one piece of global state: whoever logs does not know where to.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

use crate::telemetry::{Level, LogFormat, Settings};

/// Starts the log on standard error; a second start changes nothing.
pub fn start(settings: &Settings) {
    let terminal = std::io::stderr().is_terminal();
    let format =
        settings.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let lines = fmt().with_writer(std::io::stderr).with_max_level(filter(settings.level));
    let started = match format {
        LogFormat::Json => tracing::subscriber::set_global_default(
            lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
        LogFormat::Text => {
            tracing::subscriber::set_global_default(lines.with_ansi(terminal).finish())
        }
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
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
