//! A log line as one JSON object: `timestamp`, `level`, `message`, the event's fields, `target`.
//! Written without a serializer, because a general one would cost as much per request as forwarding it.

use std::cell::RefCell;
use std::fmt::{self, Write as _};

use cookie::time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;
use crate::telemetry::bound;

/// Formats each event as a line of JSON.
#[derive(Clone, Debug)]
pub struct Json(Clock);

impl Json {
    /// A formatter with this clock.
    pub fn new(clock: Clock) -> Self {
        Self(clock)
    }
}

thread_local! {
    /// The buffer of a thread, and the second of its last line.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

struct Scratch {
    line: String,
    second: i64,
    /// `2026-11-20T10:05:24`.
    stamp: String,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let level = metadata.level().as_str();
        self.line(
            level,
            metadata.target(),
            |members| event.record(members),
            |line| out.write_str(line),
        )
    }
}

impl Json {
    /// Builds a line from the members that `add` adds, and passes it to `take`.
    pub(super) fn line<T>(
        &self,
        level: &str,
        target: &str,
        add: impl FnOnce(&mut Members<'_>),
        take: impl FnOnce(&str) -> T,
    ) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.begin(&self.0);
            let line = &mut scratch.line;
            line.push_str(level);
            line.push('"');
            let mut members = Members(line);
            add(&mut members);
            members.plain(key!("target"), target);
            line.push_str("}\n");
            take(line)
        })
    }
}

impl Scratch {
    const fn new() -> Self {
        Self { line: String::new(), second: i64::MIN, stamp: String::new() }
    }

    /// Starts a line, up to its level.
    fn begin(&mut self, clock: &Clock) {
        let now = clock.since_epoch();
        let second = i64::try_from(now.as_secs()).unwrap_or_default();
        if second != self.second {
            self.second = second;
            self.stamp.clear();
            stamp(&mut self.stamp, second);
        }
        self.line.clear();
        self.line.push_str("{\"timestamp\":\"");
        self.line.push_str(&self.stamp);
        self.line.push('.');
        // The added seventh digit keeps leading zeros.
        let mut digits = itoa::Buffer::new();
        let micros = digits.format(1_000_000 + now.subsec_micros());
        self.line.push_str(micros.get(1..).unwrap_or_default());
        self.line.push_str("Z\",\"level\":\"");
    }
}

/// Writes a second in RFC 3339 format, without fraction and time zone.
fn stamp(out: &mut String, second: i64) {
    let time = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let month = u8::from(month);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}").ok();
}

/// Builds a [`JsonKey`] at compile time.
macro_rules! key {
    ($name:literal) => {
        $crate::telemetry::json::JsonKey(concat!(",\"", $name, "\":"))
    };
}
pub(super) use key;

/// The name of a member with comma, quotes and colon, made by [`key!`].
#[derive(Clone, Copy)]
pub(super) struct JsonKey(pub(super) &'static str);

/// Adds members to a line. Writing to a `String` cannot fail, so results are ignored.
pub(super) struct Members<'l>(&'l mut String);

impl Members<'_> {
    /// Adds a text.
    pub(super) fn text(&mut self, key: JsonKey, value: &str) {
        self.0.push_str(key.0);
        self.quoted(value, bound::FIELD);
    }

    /// Adds a text that needs no escapes, as its caller ensures.
    pub(super) fn plain(&mut self, key: JsonKey, value: &str) {
        debug_assert!(!value.bytes().any(is_special), "{value:?}");
        let (beginning, is_cut) = bound::cut(value, bound::FIELD);
        self.0.push_str(key.0);
        self.0.push('"');
        self.0.push_str(beginning);
        self.0.extend(is_cut.then_some(bound::MARK));
        self.0.push('"');
    }

    /// Adds a number.
    pub(super) fn number(&mut self, key: JsonKey, value: impl itoa::Integer) {
        let mut digits = itoa::Buffer::new();
        self.0.push_str(key.0);
        self.0.push_str(digits.format(value));
    }

    fn quoted(&mut self, value: &str, most: usize) {
        let (beginning, is_cut) = bound::cut(value, most);
        self.0.push('"');
        escape(self.0, beginning);
        self.0.extend(is_cut.then_some(bound::MARK));
        self.0.push('"');
    }

    fn name(&mut self, name: &str) -> &mut String {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field.name());
        self.quoted(value, bound::of(field.name()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let line = self.name(field.name());
        line.push('"');
        bound::write_debug(Escaped(line), bound::of(field.name()), value).ok();
        line.push('"');
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        write!(self.name(field.name()), "{value}").ok();
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        write!(self.name(field.name()), "{value}").ok();
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field.name()).push_str(if value { "true" } else { "false" });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let line = self.name(field.name());
        if value.is_finite() {
            write!(line, "{value}").ok();
        } else {
            // JSON has no infinities (RFC 8259 §6).
            line.push_str("null");
        }
    }
}

/// Escapes characters that JSON strings cannot contain (RFC 8259 §7).
// SECURITY: a path or host of a visitor cannot end the string and forge a line or a member.
fn escape(line: &mut String, text: &str) {
    // A loop without an early exit can check several bytes at a time.
    if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        line.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            _ if u8::try_from(character).is_ok_and(is_special) => {
                write!(line, "\\u{:04x}", u32::from(character)).ok();
            }
            _ => line.push(character),
        }
    }
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\') | (byte == 0x7f)
}

struct Escaped<'l>(&'l mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct WrittenText(Arc<Mutex<Vec<u8>>>);

    impl WrittenText {
        pub(in crate::telemetry) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for WrittenText {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::telemetry) fn logged(event: impl FnOnce()) -> Value {
        let kept = WrittenText::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt()
            .event_format(Json::new(Clock::system()))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, event);
        let lines = kept.text();
        assert_eq!(lines.matches('\n').count(), 1, "one line: {lines}");
        serde_json::from_str(&lines).unwrap()
    }

    #[test]
    fn fields_keep_their_types() {
        let name: Option<&str> = None;
        let line = logged(|| {
            tracing::info!(n = 3_u64, i = -3_i64, f = 0.5, b = true, name, x = %1, "hello {}", "you");
        });
        assert_eq!(line["message"], "hello you");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["n"], 3);
        assert_eq!(line["i"], -3);
        assert_eq!(line["f"], 0.5);
        assert_eq!(line["b"], true);
        assert_eq!(line["x"], "1");
        assert_eq!(line["name"], Value::Null);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(line["target"].as_str().unwrap().contains("json"));
    }

    #[test]
    fn special_characters_are_escaped() {
        let hostile = "\"},\n{\"level\":\"\\x\u{0}\u{7f}ä";
        let line = logged(|| tracing::info!(path = hostile, shown = %hostile, "x"));
        assert_eq!(line["path"], json!(hostile));
        assert_eq!(line["shown"], json!(hostile));
    }

    #[test]
    fn quotation_mark_backslash_and_line_break_stay_readable() {
        let mut line = String::new();
        escape(&mut line, "a \"b\" \\ c\nd\u{1b}");
        assert_eq!(line, r#"a \"b\" \\ c\nd\u001b"#);
    }

    #[test]
    fn long_texts_are_cut_in_every_field() {
        let long = "ä\"".repeat(9000);
        let line = logged(|| {
            tracing::info!(text = long, shown = %long, debug = ?long, error = %long, "x{long}");
        });
        for (field, most) in
            [("text", 256), ("shown", 256), ("debug", 256), ("error", 2048), ("message", 2048)]
        {
            let text = line[field].as_str().unwrap();
            let beginning = text.strip_suffix('…').unwrap();
            assert!((most - 1..=most).contains(&beginning.len()), "{field}: {}", beginning.len());
        }
    }

    #[test]
    fn nan_is_null() {
        assert_eq!(logged(|| tracing::info!(f = f64::NAN, "x"))["f"], Value::Null);
    }
}
