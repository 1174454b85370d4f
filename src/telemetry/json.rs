//! A log line as one JSON object: `timestamp`, `level`, `message`, the event's fields, `target`.
//! By hand, because it is written for every request: a general serializer costs as much as forwarding.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats events as JSON, a line each.
#[derive(Clone, Copy, Debug)]
pub struct Json;

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
        out.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut out)?;
        out.write_str("\",\"level\":\"")?;
        out.write_str(event.metadata().level().as_str())?;
        out.write_char('"')?;
        let mut members = Members { out, result: Ok(()) };
        event.record(&mut members);
        let Members { mut out, result } = members;
        result?;
        out.write_str(",\"target\":\"")?;
        Escaped(&mut out).write_str(event.metadata().target())?;
        out.write_str("\"}\n")
    }
}

/// Writes each field as a member.
struct Members<'w> {
    out: Writer<'w>,
    /// The first failure; after it nothing more is written.
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let out = &mut self.out;
        self.result = self.result.and_then(|()| {
            out.write_str(",\"")?;
            out.write_str(field.name())?;
            out.write_str("\":")?;
            value(out)
        });
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |out| {
            out.write_char('"')?;
            Escaped(out).write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinities (RFC 8259 §6).
        self.member(field, |out| {
            if value.is_finite() { write!(out, "{value}") } else { out.write_str("null") }
        });
    }
}

/// Escapes what may not stand in a JSON text (RFC 8259 §7).
// SECURITY: a visitor's path or host cannot end the text and forge a line or a member.
struct Escaped<'w, 'o>(&'w mut Writer<'o>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let special = |c: char| c < ' ' || c == '"' || c == '\\' || c == '\u{7f}';
        let mut rest = text;
        while let Some(at) = rest.find(special) {
            let (plain, from) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "\\u{:04x}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(event: impl FnOnce()) -> Value {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, event);
        let lines = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
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
    fn nothing_ends_a_text_but_its_end() {
        let hostile = "\"},\n{\"level\":\"\\x\u{0}\u{7f}ä";
        let line = logged(|| tracing::info!(path = hostile, shown = %hostile, "x"));
        assert_eq!(line["path"], json!(hostile));
        assert_eq!(line["shown"], json!(hostile));
    }

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        assert_eq!(logged(|| tracing::info!(f = f64::NAN, "x"))["f"], Value::Null);
    }
}
