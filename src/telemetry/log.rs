//! The log: its destination, its level and its format. The last two can change while it runs.
//! Global state, so that every room can write log lines without a handle.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::set_global_default;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{self, FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use crate::clock::Clock;
use crate::telemetry::json::Json;
use crate::telemetry::metrics::LogLine;
use crate::telemetry::queue::Lost;
use crate::telemetry::writer::{self, Flush, Lines};
use crate::telemetry::{Level, LogFormat, Settings, access_log, bound};

/// The log of the process, once it has started.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    lines: Lines,
    level: reload::Handle<LevelFilter, Registry>,
    format: EventFormat,
    by_default: LogFormat,
}

/// Starts the log on standard error. The returned value writes the last lines when dropped.
pub fn start(settings: &Settings) -> io::Result<Flush> {
    let terminal = io::stderr().is_terminal();
    let by_default = if terminal { LogFormat::Text } else { LogFormat::Json };
    let (lines, flush) = writer::start(standard_error(), report_lost)?;
    let (log, subscriber) = Log::new(lines.clone(), by_default);
    log.apply(settings);
    access_log::can_write_directly(log.format.json.clone(), lines);
    access_log::follow(log.format.now(), filter(settings.level));
    // Fails if another log has started first, which then gets the lines.
    drop(LOG.set(log));
    set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(flush)
}

/// Changes level and format of the log that has started. Lines that are written at the same time have the old or the
/// new ones.
pub fn apply(settings: &Settings) {
    if let Some(log) = LOG.get() {
        log.apply(settings);
        access_log::follow(log.format.now(), filter(settings.level));
    }
}

/// Numbers of lost log lines, in the order of the kinds in [`LogLine`].
pub fn lost() -> [u64; 3] {
    LOG.get().map(|log| log.lines.lost().0).unwrap_or_default()
}

impl Log {
    /// A log that writes these lines, and the subscriber that makes them of events.
    fn new(lines: Lines, by_default: LogFormat) -> (Self, impl Subscriber + Send + Sync) {
        let (filter, level) = reload::Layer::new(LevelFilter::OFF);
        let format = EventFormat {
            json: Json::new(Clock::system()),
            text: Format::default(),
            is_json: Arc::default(),
        };
        let events = fmt::layer()
            .with_writer(lines.clone())
            .with_ansi(by_default == LogFormat::Text)
            .fmt_fields(fmt::format::debug_fn(bound::for_people).delimited(" "))
            .event_format(format.clone());
        let subscriber = Registry::default().with(filter).with(events);
        (Self { lines, level, format, by_default }, subscriber)
    }

    fn apply(&self, settings: &Settings) {
        let format = settings.format.unwrap_or(self.by_default);
        self.format.is_json.store(format == LogFormat::Json, Ordering::Relaxed);
        // Fails without the subscriber, and then there are no events. `tracing` keeps for each place in the code whether
        // its level is logged, and asks again after a change: a level that is off costs nothing more than before.
        drop(self.level.reload(filter(settings.level)));
    }
}

/// Both formats of a line, and which one is in effect.
#[derive(Clone)]
struct EventFormat {
    json: Json,
    text: Format,
    is_json: Arc<AtomicBool>,
}

impl EventFormat {
    fn now(&self) -> LogFormat {
        if self.is_json.load(Ordering::Relaxed) { LogFormat::Json } else { LogFormat::Text }
    }
}

impl<S, N> FormatEvent<S, N> for EventFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        out: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        match self.now() {
            LogFormat::Json => self.json.format_event(context, out, event),
            LogFormat::Text => self.text.format_event(context, out, event),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::json::tests::WrittenText;

    #[test]
    fn level_and_format_change_while_the_log_runs() {
        let kept = WrittenText::default();
        let (lines, flush) = writer::start(kept.clone(), |_| {}).unwrap();
        let (log, subscriber) = Log::new(lines, LogFormat::Json);
        tracing::subscriber::with_default(subscriber, || {
            for (format, level, step) in [
                (None, Level::Info, 1),
                (Some(LogFormat::Text), Level::Debug, 2),
                (Some(LogFormat::Text), Level::Error, 3),
                (Some(LogFormat::Json), Level::Warn, 4),
                (None, Level::Debug, 5),
            ] {
                log.apply(&Settings { format, level });
                tracing::warn!("warning {step}");
                tracing::debug!("detail {step}");
            }
        });
        drop(flush);
        let written = kept.text();
        let of = |line: &str| {
            let is_json = line.starts_with("{\"timestamp\":");
            let text = ["warning ", "detail "].into_iter().find_map(|text| line.split_once(text));
            (is_json, line.contains("WARN"), text.unwrap().1.chars().next().unwrap())
        };
        let lines: Vec<_> = written.lines().map(of).collect();
        let expected = [
            (true, true, '1'),
            (false, true, '2'),
            (false, false, '2'),
            (true, true, '4'),
            (true, true, '5'),
            (true, false, '5'),
        ];
        assert_eq!(lines, expected, "{written}");
    }
}
