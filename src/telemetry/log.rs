//! The log: its destination and its format.
//! Global state, so that every room can write log lines without a handle.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt;

use crate::clock::Clock;
use crate::telemetry::json::Json;
use crate::telemetry::metrics::LogLine;
use crate::telemetry::queue::Lost;
use crate::telemetry::writer::{self, Flush, Lines};
use crate::telemetry::{Level, LogFormat, Settings, access_log, bound};

/// The writer of the process, once the log has started.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts the log on standard error. The returned value writes the last lines when dropped.
pub fn start(settings: &Settings) -> io::Result<Flush> {
    let terminal = io::stderr().is_terminal();
    let by_default = if terminal { LogFormat::Text } else { LogFormat::Json };
    let (lines, flush) = writer::start(standard_error(), report_lost)?;
    let filter = filter(settings.level);
    let events = fmt()
        .with_writer(lines.clone())
        .with_max_level(filter)
        .fmt_fields(fmt::format::debug_fn(bound::for_people).delimited(" "));
    // Fails if another log has started first, which then gets the lines.
    drop(LINES.set(lines.clone()));
    let started: Result<(), SetGlobalDefaultError> = match settings.format.unwrap_or(by_default) {
        LogFormat::Json => {
            let json = Json::new(Clock::system());
            if filter >= LevelFilter::INFO {
                access_log::write_directly(json.clone(), lines);
            }
            set_global_default(events.event_format(json).finish())
        }
        LogFormat::Text => set_global_default(events.with_ansi(terminal).finish()),
    };
    started.map_err(io::Error::other)?;
    Ok(flush)
}

/// Numbers of lost log lines, in the order of the kinds in [`LogLine`].
pub fn lost() -> [u64; 3] {
    LINES.get().map(|lines| lines.lost().0).unwrap_or_default()
}

fn report_lost(lost: Lost) {
    let [access, log, audit] =
        [LogLine::Access, LogLine::Log, LogLine::Audit].map(|kind| lost.of(kind));
    tracing::warn!(
        access,
        log,
        audit,
        "log lines lost: standard error did not accept them, or not fast enough"
    );
}

/// Standard error, written directly, because the handle of the standard library hides that it is closed.
enum StandardError {
    Open(File),
    /// Closed, or the null device, which the standard library opens instead when a process starts.
    Closed,
}

fn standard_error() -> StandardError {
    let open = || {
        let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let target = file.metadata()?;
        // Some containers have no null device. Then this is none.
        let is_null = target.file_type().is_char_device()
            && fs::metadata("/dev/null").is_ok_and(|null| target.rdev() == null.rdev());
        Ok::<_, io::Error>(if is_null { StandardError::Closed } else { StandardError::Open(file) })
    };
    open().unwrap_or(StandardError::Closed)
}

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.write(bytes),
            Self::Closed => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
