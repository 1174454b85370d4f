//! Limits on the length of texts in log lines.
//! Invariant: no text in a line is longer than its limit and a mark, so that neither clients nor providers determine
//! how fast the log grows. Both formats of the log use these limits.

use std::fmt::{self, Write};

use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

/// Limit of a field, in bytes.
pub(super) const FIELD: usize = 256;
/// Limit of a message, an error or a hint, in bytes.
pub(super) const SENTENCE: usize = 2048;
/// Marks a text that was cut.
pub(super) const MARK: char = '…';

/// The limit of a field.
pub(super) fn of(field: &str) -> usize {
    if matches!(field, "message" | "error" | "hint") { SENTENCE } else { FIELD }
}

/// The text up to a limit, and whether it was cut.
pub(super) fn cut(text: &str, most: usize) -> (&str, bool) {
    if text.len() <= most {
        return (text, false);
    }
    let beginning = (0..=most).rev().find_map(|length| text.get(..length)).unwrap_or_default();
    (beginning, true)
}

/// Writes a value up to a limit, with a mark if it was cut.
pub(super) fn write_debug(out: impl Write, most: usize, value: &dyn fmt::Debug) -> fmt::Result {
    let mut bounded = Bounded { out, left: most, is_cut: false };
    let written = write!(bounded, "{value:?}");
    if bounded.is_cut { bounded.out.write_char(MARK) } else { written }
}

/// Writes up to a limit.
struct Bounded<W> {
    out: W,
    left: usize,
    is_cut: bool,
}

impl<W: Write> Write for Bounded<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (beginning, is_cut) = cut(text, self.left);
        self.left -= beginning.len();
        self.is_cut |= is_cut;
        self.out.write_str(beginning)?;
        // Stops the formatting of a long text.
        if is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Writes a field of a line in text format.
pub(super) fn for_people(
    out: &mut Writer<'_>,
    field: &Field,
    value: &dyn fmt::Debug,
) -> fmt::Result {
    let (name, ansi) = (field.name(), out.has_ansi_escapes());
    match name {
        "message" => {}
        name if ansi => write!(out, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        name => write!(out, "{name}=")?,
    }
    write_debug(Printable(out), of(name), value)
}

/// Escapes control characters.
// SECURITY: a text with a line break or a cursor movement could forge another line.
struct Printable<W>(W);

impl<W: Write> Write for Printable<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(char::is_control) {
            match piece.chars().next_back().filter(|last| last.is_control()) {
                Some(control) => {
                    self.0.write_str(piece.strip_suffix(control).unwrap_or_default())?;
                    write!(self.0, "{}", control.escape_default())?;
                }
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_two_characters() {
        let whole = "/".repeat(FIELD);
        assert_eq!(cut(&whole, FIELD), (&*whole, false));
        assert_eq!(cut(&format!("{whole}x"), FIELD), (&*whole, true));
        let head = "/".repeat(FIELD - 1);
        assert_eq!(cut(&format!("{head}{}", "ä".repeat(9000)), FIELD), (&*head, true));
    }

    #[test]
    fn long_value_is_cut_and_marked_once() {
        let shown = |value: &dyn fmt::Debug| {
            let mut out = String::new();
            write_debug(&mut out, 8, value).unwrap();
            out
        };
        assert_eq!(shown(&"abcdef"), "\"abcdef\"");
        assert_eq!(shown(&"abcdefg"), "\"abcdefg…");
        assert_eq!(shown(&format_args!("{}{}", "abcdefgh", "i")), "abcdefgh…");
        assert_eq!(shown(&vec![1; 9000]), "[1, 1, 1…");
    }

    #[test]
    fn control_characters_are_escaped() {
        let mut out = String::new();
        Printable(&mut out).write_str("a\nb\x1b[1mc\u{85}ä").unwrap();
        assert_eq!(out, "a\\nb\\u{1b}[1mc\\u{85}ä");
    }
}
