//! Every way in which upstreams are known to interpret a decoded path, applied one after another in any order, within
//! a budget.
//! Invariant: the work for a path is at most `PLAIN_PATHS` times that for a plain path of its length, counted in bytes
//! processed. A path that needs more is rejected, never interpreted in part.

use std::borrow::Cow;
use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::DefaultIgnorableCodePoint;
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed};
use percent_encoding::percent_decode_str;

/// The bytes that may still be processed for one path.
// SECURITY: paths are interpreted before the client is known, so a client must not choose what a path costs. Without
// a limit, 4.5 KiB took as long as a hundred requests.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

/// A path needs more work than its budget.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

impl Budget {
    /// The budget of a path of this many bytes, as sent.
    pub(super) fn of(length: usize) -> Self {
        Self { left: PLAIN_PATHS * (REQUEST + length) }
    }

    /// Takes bytes that are about to be processed.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.left = self.left.checked_sub(bytes).ok_or(OverBudget)?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.left
    }
}

/// All interpretations of a decoded path; the path itself is the first.
pub(super) fn all(path: &str, budget: &mut Budget) -> Result<Vec<String>, OverBudget> {
    let mut found = vec![path.to_owned()];
    // For each of them, the signs whose way changes nothing any more.
    let mut settled = vec![0];
    let mut at = 0;
    while let (Some(path), Some(mut done)) = (found.get(at).cloned(), settled.get(at).copied()) {
        budget.spend(path.len())?;
        let signs = signs(&path) & !done;
        for way in WAYS.iter().filter(|way| signs & way.sign != 0) {
            let Cow::Owned(read) = way.read(&path, budget)? else {
                done |= way.sign;
                continue;
            };
            if is_among(&found, &read, budget)? {
                continue;
            }
            if found.len() >= MOST {
                return Err(OverBudget);
            }
            found.push(read);
            settled.push(if way.sign & OF_CHARACTERS == 0 { done & OF_CHARACTERS } else { 0 });
        }
        at += 1;
    }
    Ok(found)
}

/// [`fold`], within a budget.
pub(super) fn folded(path: &str, budget: &mut Budget) -> Result<String, OverBudget> {
    let not_ascii = path.bytes().filter(|byte| !byte.is_ascii()).count();
    budget.spend(path.len() + FOLDING * not_ascii)?;
    Ok(fold(path))
}

/// The form in which paths and prefixes are compared if letter case is ignored.
///
/// Letters are first made upper case: some upstreams compare in upper case, where `ı` (U+0131) is an `I` and `ſ`
/// (U+017F) an `S`. This is done for each character, as `String::to_lowercase` changes `Σ` by its position.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if character.is_ascii() => folded.push(character.to_ascii_lowercase()),
            // `İ`: in some libraries the capital of `i`, in others an `i` with a combining dot.
            '\u{130}' => folded.push('i'),
            _ => folded.extend(character.to_uppercase().flat_map(char::to_lowercase)),
        }
    }
    folded
}

/// A path without the `;parameters` of its segments (RFC 3986 §3.3).
pub(super) fn without_parameters(path: &str) -> Cow<'_, str> {
    rejoin(path, |_, segment| segment.split(';').next())
}

/// Whether a path was found before.
fn is_among(found: &[String], path: &str, budget: &mut Budget) -> Result<bool, OverBudget> {
    for known in found.iter().filter(|known| known.len() == path.len()) {
        budget.spend(path.len())?;
        if known == path {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One way to interpret a path: a function of the path only.
struct Way {
    /// What a path must contain for the way to change it.
    sign: u16,
    read: Read,
}

enum Read {
    /// A function of one pass. Borrowed if it changes nothing.
    Pass(fn(&str) -> Cow<'_, str>),
    /// Compatibility forms, such as full-width and circled letters (Unicode NFKC).
    Normalization,
}

impl Way {
    const fn pass(sign: u16, read: fn(&str) -> Cow<'_, str>) -> Self {
        Self { sign, read: Read::Pass(read) }
    }

    fn read<'p>(&self, path: &'p str, budget: &mut Budget) -> Result<Cow<'p, str>, OverBudget> {
        budget.spend(path.len())?;
        match self.read {
            Read::Pass(read) => {
                let read = read(path);
                if let Cow::Owned(read) = &read {
                    budget.spend(read.len())?;
                }
                Ok(read)
            }
            Read::Normalization => normalized(path, budget),
        }
    }
}

/// A path in compatibility form, in which one character may become eighteen.
fn normalized<'p>(path: &'p str, budget: &mut Budget) -> Result<Cow<'p, str>, OverBudget> {
    /// Stops the normalization at the end of the budget.
    struct Within<'b>(String, &'b mut Budget);

    impl fmt::Write for Within<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.1.spend(NORMALIZATION * text.len()).map_err(|OverBudget| fmt::Error)?;
            self.0.push_str(text);
            Ok(())
        }
    }

    let (normal, rest) = NFKC.split_normalized(path);
    if rest.is_empty() {
        return Ok(path.into());
    }
    budget.spend(normal.len())?;
    let mut out = Within(normal.to_owned(), budget);
    match NFKC.normalize_to(rest, &mut out) {
        Ok(()) => Ok(out.0.into()),
        Err(fmt::Error) => Err(OverBudget),
    }
}

/// The ways in which upstreams are known to interpret a path.
///
/// Removing accents is not among them. The file functions of Windows with 8-bit names and some databases read `ä` as
/// `a`, but then a prefix `/büro` would be ambiguous with itself.
const WAYS: [Way; 12] = [
    // A second decoding. SECURITY: many decoders skip what they cannot decode and decode the rest. Without this, one
    // `%zz` would hide `%2e%2e`.
    Way::pass(PERCENT, |path| match percent_decode_str(path).decode_utf8_lossy() {
        Cow::Borrowed(_) => Cow::Borrowed(path),
        Cow::Owned(decoded) => Cow::Owned(decoded),
    }),
    Way::pass(ENCODED_SLASH, |path| {
        let encoded = path.contains("%2f") || path.contains("%2F");
        if encoded { path.replace("%2f", "/").replace("%2F", "/").into() } else { path.into() }
    }),
    // Characters similar to a slash or backslash become one where Windows converts names to 8 bits ("best fit"). The
    // yen and won signs are backslashes in Japanese and Korean code pages.
    Way::pass(SLASH_ALIKE, |path| {
        const SLASHES: [char; 5] = ['\u{2044}', '\u{2215}', '\u{2216}', '\u{a5}', '\u{20a9}'];
        if path.contains(SLASHES) { path.replace(SLASHES, "/").into() } else { path.into() }
    }),
    Way { sign: NOT_NORMAL, read: Read::Normalization },
    // Invisible characters: HFS+ and Unicode's case folding for identifiers (NFKC_Casefold) drop them.
    Way::pass(INVISIBLE, |path| {
        let ignorable = |c: char| !c.is_ascii() && IGNORABLE.contains(c);
        if path.contains(ignorable) { path.replace(ignorable, "").into() } else { path.into() }
    }),
    Way::pass(BACKSLASH, |path| path.replace('\\', "/").into()),
    Way::pass(EMPTY_SEGMENT, |path| {
        let last = path.matches('/').count();
        rejoin(path, |at, segment| {
            (at == 0 || at == last || !segment.is_empty()).then_some(segment)
        })
    }),
    Way::pass(SEMICOLON, without_parameters),
    Way::pass(CUT, |path| {
        path.split(['\0', '#', '?']).next().unwrap_or_default().to_owned().into()
    }),
    Way::pass(DOT_SEGMENT, |path| {
        let mut kept: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                ".." => drop(kept.pop()),
                name => kept.push(name),
            }
        }
        format!("/{}", kept.join("/")).into()
    }),
    // Some systems drop blanks around a name, and dots and colons after it: `.. ` is `..`, and on Windows `name.` is
    // `name`.
    Way::pass(BLANK, |path| rejoin(path, |_, segment| Some(segment.trim_matches(' ')))),
    // Streams of a file on Windows: `name::$DATA` is the file itself, `name:$I30:$INDEX_ALLOCATION` the folder.
    // A colon alone is not handled as a stream, because honest names have it (`Special:Search`, `items:batch`).
    Way::pass(TAIL, |path| {
        rejoin(path, |_, segment| {
            let name = match segment.contains(":$") {
                true => segment.split(':').next().unwrap_or_default(),
                false => segment,
            };
            let is_dots = matches!(name.trim_matches(' '), "." | "..");
            Some(if is_dots { name } else { name.trim_end_matches(['.', ' ', ':']) })
        })
    }),
];

const PERCENT: u16 = 1;
const ENCODED_SLASH: u16 = 1 << 1;
const SLASH_ALIKE: u16 = 1 << 2;
const NOT_NORMAL: u16 = 1 << 3;
const INVISIBLE: u16 = 1 << 4;
/// Signs of characters. The ways of all other signs remove whole segments or their ends, or make a slash, so they add
/// none of these to a path.
const OF_CHARACTERS: u16 = PERCENT | ENCODED_SLASH | SLASH_ALIKE | NOT_NORMAL | INVISIBLE;
const BACKSLASH: u16 = 1 << 5;
const EMPTY_SEGMENT: u16 = 1 << 6;
const SEMICOLON: u16 = 1 << 7;
const CUT: u16 = 1 << 8;
/// A segment that begins with a dot.
const DOT_SEGMENT: u16 = 1 << 9;
/// A blank at an edge of a segment.
const BLANK: u16 = 1 << 10;
/// A dot, a blank or a colon at the end of a segment, or `:$`.
const TAIL: u16 = 1 << 11;

/// The signs in a path, found in one pass.
fn signs(path: &str) -> u16 {
    let (mut signs, mut before) = (0, 0);
    for byte in path.bytes() {
        signs |= match byte {
            b'%' => PERCENT | ENCODED_SLASH,
            b'\\' => BACKSLASH,
            b';' => SEMICOLON,
            b'\0' | b'#' | b'?' => CUT,
            b'.' if before == b'/' => DOT_SEGMENT,
            b' ' if before == b'/' => BLANK,
            b'$' if before == b':' => TAIL,
            b'/' if before == b'/' => EMPTY_SEGMENT,
            b'/' => at_end(before),
            0x80.. => SLASH_ALIKE | NOT_NORMAL | INVISIBLE,
            _ => 0,
        };
        before = byte;
    }
    signs | at_end(before)
}

/// The signs of the last byte of a segment.
fn at_end(last: u8) -> u16 {
    match last {
        b' ' => BLANK | TAIL,
        b'.' | b':' => TAIL,
        _ => 0,
    }
}

/// A path with each segment changed or dropped, by its position and text.
fn rejoin(path: &str, change: impl Fn(usize, &str) -> Option<&str>) -> Cow<'_, str> {
    let mut joined = String::with_capacity(path.len());
    for (at, segment) in path.split('/').enumerate() {
        if let Some(segment) = change(at, segment) {
            if at > 0 {
                joined.push('/');
            }
            joined.push_str(segment);
        }
    }
    if !joined.starts_with('/') {
        joined.insert(0, '/');
    }
    joined.into()
}

const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();
const IGNORABLE: CodePointSetDataBorrowed<'static> =
    CodePointSetData::new::<DefaultIgnorableCodePoint>();

/// The limit of work for a path, in plain paths of its length.
const PLAIN_PATHS: usize = 20;
/// The work for a request apart from its path, in bytes processed; a low estimate.
const REQUEST: usize = 64;
/// The most interpretations in which letter case counts. Each is looked up among the routes and decided on, and once
/// more with letter case ignored, as for a plain path.
pub(super) const MOST: usize = PLAIN_PATHS;
/// The work to normalize a byte, in plain passes; measured.
const NORMALIZATION: usize = 8;
/// The work to fold a byte that is not ASCII, in plain passes.
const FOLDING: usize = 8;
