//! Prefixes by whole segments, and what an upstream may read in a path (RFC 3986 §6.2).
//! Upstreams differ in what they make of `%2f`, `;`, `//`, double encoding and letter case. A rule
//! that looks at one reading while the upstream takes another is a way around it; so all readings
//! are computed, and a path passes only where they agree.

use std::borrow::Cow;
use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use percent_encoding::percent_decode_str;

/// A path prefix by whole segments: `/a` matches `/a` and `/a/b`, not `/ab`.
/// Invariant: percent-decoded, starts with `/`, and ends without one, except as `/` alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix {
    text: String,
    folded: String,
}

/// Why a request's path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A byte that does not stand in a path, plain or encoded: a control, a blank, `\`, `#`.
    #[error("a character that does not stand in a path")]
    Character,
    /// `%` without two hexadecimal digits.
    #[error("an invalid percent-encoding")]
    Encoding,
    /// `.` or `..` as a segment, plain or encoded.
    #[error("a dot segment")]
    DotSegment,
    /// Bytes that are no UTF-8 once decoded.
    #[error("bytes that are no UTF-8")]
    Utf8,
    /// More readings than can be compared.
    #[error("too many ways to read it")]
    Ambiguous,
}

/// One way to read a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'p> {
    path: Cow<'p, str>,
    /// Read without letter case: prefixes are compared in lower case.
    folded: bool,
}

/// All ways to read a path; the plain one first.
#[derive(Clone, Debug)]
pub struct Readings<'p> {
    plain: Reading<'p>,
    others: Others<'p>,
}

/// The usual path is read in one other way, which needs no room of its own.
#[derive(Clone, Debug)]
enum Others<'p> {
    One([Reading<'p>; 1]),
    Many(Vec<Reading<'p>>),
}

impl PathPrefix {
    /// Parses a prefix in its decoded form. The error says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("must start with /".into());
        }
        if text.contains(['?', '#', '*']) {
            return Err("must be a prefix of the path: no ?, # or *".into());
        }
        if text.contains(['%', ';', '\\']) {
            return Err("is compared decoded: no %, ; or \\".into());
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("has a blank or a control character in it".into());
        }
        let text = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
        if text.len() > 1 && text.split('/').skip(1).any(|s| matches!(s, "" | "." | "..")) {
            return Err("must be normal: no //, no . or .. segment".into());
        }
        Ok(Self { text: text.to_owned(), folded: text.to_lowercase() })
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path, so read, lies at or below this prefix.
    pub fn matches(&self, reading: &Reading<'_>) -> bool {
        let prefix = if reading.folded { &self.folded } else { &self.text };
        rest(prefix, &reading.path).is_some()
    }

    /// Whether one of two prefixes lies at or below the other only to whoever does not tell capitals
    /// from small letters: to everyone else they have no path in common.
    pub fn clashes_with(&self, other: &Self) -> bool {
        (self.covers_folded(other) && !self.covers(other))
            || (other.covers_folded(self) && !other.covers(self))
    }

    /// A path that lies at or below this prefix but for letter case, in the letter case of the prefix.
    pub fn respelt(&self, reading: &Reading<'_>) -> Option<Reading<'static>> {
        if reading.folded || self.text == "/" || self.matches(reading) {
            return None;
        }
        let slash_behind = reading.path.match_indices('/').nth(self.text.matches('/').count());
        let end = slash_behind.map_or(reading.path.len(), |(at, _)| at);
        let (start, rest) = reading.path.split_at_checked(end)?;
        let alike = start.eq_ignore_ascii_case(&self.text) || start.to_lowercase() == self.folded;
        alike.then(|| Reading { path: Cow::Owned(format!("{}{rest}", self.text)), folded: false })
    }

    /// Whether a path lies at or below this prefix in any reading.
    pub fn matches_any(&self, readings: &Readings<'_>) -> bool {
        self.matches(&readings.plain)
            || readings.others().iter().any(|reading| self.matches(reading))
    }

    /// What is left of a path behind this prefix, as it stands there; `None` for a path elsewhere.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        rest(&self.text, path)
    }

    /// Whether another prefix lies at or below this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.rest(&other.text).is_some()
    }

    /// The same, to whoever does not tell capitals from small letters.
    pub fn covers_folded(&self, other: &Self) -> bool {
        rest(&self.folded, &other.folded).is_some()
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is left of a path behind a prefix, which ends with a segment.
fn rest<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    if prefix == "/" {
        return Some(path);
    }
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<'p> Reading<'p> {
    /// The path, so read.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is read without letter case.
    pub fn is_folded(&self) -> bool {
        self.folded
    }
}

impl<'p> Readings<'p> {
    /// Reads a path in every way; `raw` is the path of a request target, without its query.
    pub fn of(raw: &'p str) -> Result<Self, Malformed> {
        if is_simple(raw) {
            let plain = Reading { path: Cow::Borrowed(raw), folded: false };
            // SECURITY: also a path in lower case is one in capitals to an upstream that folds them.
            let folded = Reading { folded: true, ..plain.clone() };
            return Ok(Self { plain, others: Others::One([folded]) });
        }
        let decoded = decode_once(raw)?;
        let others = Others::Many(other_readings(&decoded)?);
        Ok(Self { plain: Reading { path: Cow::Owned(decoded), folded: false }, others })
    }

    /// The reading of the standard: decoded once, `%2F` left as data.
    pub fn plain(&self) -> &Reading<'p> {
        &self.plain
    }

    /// The readings that some upstreams take instead.
    pub fn others(&self) -> &[Reading<'p>] {
        match &self.others {
            Others::One(one) => one,
            Others::Many(many) => many,
        }
    }

    /// All of them in which letter case counts.
    pub fn unfolded(&self) -> impl Iterator<Item = &Reading<'p>> {
        let others = self.others().iter().filter(|reading| !reading.folded);
        std::iter::once(&self.plain).chain(others)
    }
}

/// Whether there is one way to read a path, letter case aside: nearly every request, so one pass over its bytes.
fn is_simple(raw: &str) -> bool {
    let mut before = 0;
    let plain = raw.bytes().all(|byte| {
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'-' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' => true,
            b'+' | b',' | b'=' | b':' | b'@' => true,
            b'.' => before != b'/' && before != b'.',
            b'/' => before != b'/' && before != b'.',
            _ => false,
        };
        before = byte;
        plain
    });
    plain && raw.starts_with('/') && before != b'.'
}

/// The plain reading, checked. `%2F` stays encoded: it is data inside a segment.
fn decode_once(raw: &str) -> Result<String, Malformed> {
    if !raw.starts_with('/')
        || raw.bytes().any(|b| !(0x21..=0x7e).contains(&b) || b == b'\\' || b == b'#')
    {
        return Err(Malformed::Character);
    }
    let kept = raw.replace("%2f", "%252f").replace("%2F", "%252f");
    let decoded = decode(&kept).ok_or(Malformed::Encoding)?.map_err(|()| Malformed::Utf8)?;
    if decoded.bytes().any(|b| b.is_ascii_control()) {
        return Err(Malformed::Character);
    }
    if decoded.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Malformed::DotSegment);
    }
    Ok(decoded)
}

/// `None`: invalid escape; `Some(Err)`: no UTF-8.
fn decode(text: &str) -> Option<Result<String, ()>> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' && !(bytes.next()?.is_ascii_hexdigit() && bytes.next()?.is_ascii_hexdigit())
        {
            return None;
        }
    }
    Some(percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(drop))
}

/// Every other way to read a path.
fn other_readings(plain: &str) -> Result<Vec<Reading<'static>>, Malformed> {
    let mut others: Vec<Reading<'static>> = Vec::new();
    for path in closure(plain, &WAYS)? {
        others.push(Reading { path: Cow::Owned(path.to_lowercase()), folded: true });
        if path != plain {
            others.push(Reading { path: Cow::Owned(path), folded: false });
        }
    }
    Ok(others)
}

/// Everything that these ways make of a path, one after another in any order; the path itself first.
fn closure(path: &str, ways: &[impl Fn(&str) -> String]) -> Result<Vec<String>, Malformed> {
    let (mut found, mut bytes) = (vec![path.to_owned()], path.len());
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        for way in ways {
            let read = way(&path);
            if found.contains(&read) {
                continue;
            }
            // SECURITY: each way is gone through once for each byte found, before anybody is known.
            bytes += read.len();
            if found.len() >= MOST_READINGS || bytes > MOST_BYTES {
                return Err(Malformed::Ambiguous);
            }
            found.push(read);
        }
        at += 1;
    }
    Ok(found)
}

/// What upstreams are known to make of a path. Each way is a function of the path alone.
const WAYS: [fn(&str) -> String; 11] = [
    // A second decoding. SECURITY: many decoders leave alone what they cannot decode, and do the rest; to
    // take that for no reading would hide `%2e%2e` behind one `%zz` (T45).
    |path| percent_decode_str(path).decode_utf8_lossy().into_owned(),
    |path| path.replace("%2f", "/").replace("%2F", "/"),
    |path| path.replace('\\', "/"),
    // Compatibility forms, such as full-width and circled letters (Unicode NFKC).
    |path| NFKC.normalize(path).into_owned(),
    // What looks like a slash (Windows calls that best fit).
    |path| path.replace(['\u{2044}', '\u{2215}'], "/"),
    |path| {
        rejoin(path, |segments| {
            let last = segments.len().saturating_sub(1);
            let mut at = 0;
            segments.retain(|segment| {
                at += 1;
                !segment.is_empty() || at == 1 || at - 1 == last
            });
        })
    },
    |path| {
        rejoin(path, |segments| {
            for segment in segments.iter_mut() {
                *segment = segment.split_once(';').map_or(*segment, |(name, _)| name);
            }
        })
    },
    |path| path.split(['\0', '#', '?']).next().unwrap_or_default().to_owned(),
    |path| {
        let mut kept: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "." => {}
                ".." => drop(kept.pop()),
                name => kept.push(name),
            }
        }
        format!("/{}", kept.join("/"))
    },
    // Blanks around a name, and dots behind it, are dropped by some systems, so `.. ` is `..`.
    |path| {
        rejoin(path, |segments| {
            segments.iter_mut().for_each(|segment| *segment = segment.trim_matches(' '));
        })
    },
    |path| {
        rejoin(path, |segments| {
            for segment in segments.iter_mut().filter(|segment| !is_dots(segment)) {
                *segment = segment.trim_end_matches(['.', ' ']);
            }
        })
    },
];

const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();

/// Whether a segment is one step along the path, with or without blanks around it.
fn is_dots(segment: &str) -> bool {
    matches!(segment.trim_matches(' '), "." | "..")
}

fn rejoin(path: &str, change: impl Fn(&mut Vec<&str>)) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    change(&mut segments);
    let joined = segments.join("/");
    if joined.starts_with('/') { joined } else { format!("/{joined}") }
}

/// An honest path has a handful; a path made to have more is refused.
const MOST_READINGS: usize = 64;
/// Of all readings together: two of the longest target, or as many as there may be of an ordinary one.
const MOST_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    fn reads_as(raw: &str, meaning: &str) -> bool {
        let readings = Readings::of(raw).unwrap();
        readings.plain().path() == meaning
            || readings.others().iter().any(|reading| reading.path() == meaning)
    }

    #[test]
    fn prefixes_match_whole_segments() {
        let check = |prefix: &str, path: &str, expected: bool| {
            let readings = Readings::of(path).unwrap();
            let prefix = PathPrefix::parse(prefix).unwrap();
            assert_eq!(prefix.matches(readings.plain()), expected, "{path}");
        };
        check("/a", "/a", true);
        check("/a/", "/a/b", true);
        check("/a", "/ab", false);
        check("/", "/anything", true);
        check("/a b".replace(' ', "").as_str(), "/%61b", true);
        check("/a", "/a%2fb", false);
    }

    #[test]
    fn prefixes_cover_whole_segments() {
        let check = |prefix: &str, other: &str, expected: bool| {
            let [prefix, other] = [prefix, other].map(|text| PathPrefix::parse(text).unwrap());
            assert_eq!(prefix.covers(&other), expected, "{prefix} {other}");
        };
        check("/", "/a", true);
        check("/a", "/a", true);
        check("/a", "/a/b", true);
        check("/a", "/ab", false);
        check("/a/b", "/a", false);
    }

    #[test]
    fn prefixes_that_letter_case_alone_tells_apart_clash() {
        let check = |one: &str, other: &str, expected: bool| {
            let [one, other] = [one, other].map(|text| PathPrefix::parse(text).unwrap());
            let clash = (one.clashes_with(&other), other.clashes_with(&one));
            assert_eq!(clash, (expected, expected), "{one} {other}");
        };
        check("/App", "/app", true);
        check("/App/x", "/app", true);
        check("/\u{c4}", "/\u{e4}/x", true);
        check("/app/X", "/app", false);
        check("/App", "/App", false);
        check("/App", "/apple", false);
        check("/App", "/", false);
    }

    #[test]
    fn a_path_is_spelt_as_a_prefix_that_it_lies_below_without_letter_case() {
        let check = |prefix: &str, path: &str, expected: Option<&str>| {
            let readings = Readings::of(path).unwrap();
            let spelt = PathPrefix::parse(prefix).unwrap().respelt(readings.plain());
            assert_eq!(spelt.as_ref().map(Reading::path), expected, "{prefix} {path}");
        };
        check("/app", "/App", Some("/app"));
        check("/app", "/App/X/y", Some("/app/X/y"));
        check("/app/x", "/APP/X/Y", Some("/app/x/Y"));
        check("/\u{e4}", "/%C3%84/X", Some("/\u{e4}/X"));
        check("/app", "/app/X", None);
        check("/app", "/Apple", None);
        check("/app/x", "/App", None);
        check("/", "/App", None);
    }

    #[test]
    fn prefixes_are_written_in_normal_form() {
        for wrong in ["", "a", "/a//b", "/a/../b", "/a?b", "/a#b", "/%61", "/a;b", "/a b", "/*"] {
            assert!(PathPrefix::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_plain_path_has_one_reading_beside_that_without_letter_case() {
        for path in ["/", "/a/b.c", "/a-b_c~d", "/a,b=c:d@e"] {
            let readings = Readings::of(path).unwrap();
            let others: Vec<_> = readings.others().iter().map(Reading::path).collect();
            assert_eq!(others, [path]);
        }
    }

    #[test]
    fn a_prefix_in_capitals_is_found_by_whoever_folds_them() {
        let prefix = PathPrefix::parse("/Admin").unwrap();
        for path in ["/admin/x", "/aDMIN/x", "//admin", "/x/..;/admin", "/%61dmin"] {
            let readings = Readings::of(path).unwrap();
            assert!(!prefix.matches(readings.plain()), "{path}");
            assert!(readings.others().iter().any(|reading| prefix.matches(reading)), "{path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        let check = |path: &str, wrong: Malformed| {
            assert_eq!(Readings::of(path).err(), Some(wrong), "{path}")
        };
        for path in ["/a/../b", "/a/%2e%2e/b", "/a/.%2e", "/.", "/a/./b", "/%2E"] {
            check(path, Malformed::DotSegment);
        }
        for path in ["/a\\b", "/a#b", "/a%00", "/a%0d%0a", "/a%7f", "/a b", "relative", ""] {
            check(path, Malformed::Character);
        }
        for path in ["/%", "/%4", "/%zz", "/%u002e"] {
            check(path, Malformed::Encoding);
        }
        for path in ["/%c0%ae", "/%ff"] {
            check(path, Malformed::Utf8);
        }
    }

    #[test]
    fn every_known_trick_has_the_reading_it_is_after() {
        for (raw, meaning) in [
            ("/open/..%2fprivate/page", "/private/page"),
            ("/open/..;/private/page", "/private/page"),
            ("/open/..;x=y/private/page", "/private/page"),
            ("/open/%252e%252e/private/page", "/private/page"),
            ("/open/..%5cprivate/page", "/private/page"),
            ("/open/..%252fprivate/page", "/private/page"),
            ("//private/page", "/private/page"),
            ("/;/private/page", "/private/page"),
            ("/x/..//private/page".replace("/..", "/..;").as_str(), "/private/page"),
            ("/PRIVATE/page", "/private/page"),
            ("/private%2fpage", "/private/page"),
            ("/private/page%23/open", "/private/page"),
            ("/private/page%3fx", "/private/page"),
            ("/private./page", "/private/page"),
            ("/open/..%20/private", "/private"),
            ("/open/%20../private", "/private"),
            ("/private;x/page", "/private/page"),
            ("/open/%ef%bc%8e%ef%bc%8e/private", "/private"),
            ("/open/%e2%80%a5%ef%bc%8fprivate", "/private"),
            // Circled, mathematical and long letters, and a slash that only looks like one.
            ("/%e2%93%9frivate/x", "/private/x"),
            ("/%f0%9d%93%b9rivate", "/private"),
            ("/%c5%bfecret", "/secret"),
            ("/open/..%e2%88%95private", "/private"),
            ("/%ef%bd%90rivate", "/private"),
            ("/open/%252e%252e/private/%25zz", "/private/%zz"),
            ("/open/%252e%252e%2fprivate/%25ff", "/private/\u{fffd}"),
            ("/private../%20../page", "/private/ ../page"),
        ] {
            assert!(reads_as(raw, meaning), "{raw}");
        }
    }

    /// How many bytes the ways go through until a path is read or refused, and which of it.
    fn work(raw: &str) -> (usize, Option<Malformed>) {
        let gone_through = Cell::new(0);
        let counting = WAYS.map(|way| {
            let gone_through = &gone_through;
            move |path: &str| {
                gone_through.set(gone_through.get() + path.len());
                way(path)
            }
        });
        let wrong = decode_once(raw).and_then(|plain| closure(&plain, &counting)).err();
        (gone_through.get(), wrong)
    }

    #[test]
    fn a_path_made_to_be_read_in_many_ways_is_refused_before_it_costs_much() {
        let layers = "25".repeat(58);
        for start in [
            format!("/%{layers}"),
            format!("/%{layers}2f"),
            format!("//;%{layers}3b"),
            "/%2525;%252f%255c//".repeat(4),
        ] {
            let raw = format!("{start}{}", "/a".repeat(8_000));
            let (gone_through, wrong) = work(&raw);
            assert_eq!(wrong, Some(Malformed::Ambiguous), "{start}");
            assert!(gone_through <= WAYS.len() * MOST_BYTES, "{start}: {gone_through}");
        }
    }

    #[test]
    fn a_long_path_of_an_honest_client_is_read() {
        for segment in ["/a%20b", "/%C3%A4", "/a%2Fb", "/a;v=1"] {
            let raw = segment.repeat(16 * 1024 / segment.len());
            assert!(Readings::of(&raw).is_ok(), "{segment}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(raw in "\\PC{0,64}") {
            drop(Readings::of(&raw));
            drop(PathPrefix::parse(&raw));
        }

        #[test]
        fn readings_are_few_and_together_short(
            raw in "(/|%2f|%252f|;|\\.\\.|%2e|A|b|%5c|%20|%25){0,40}",
            times in 1_usize..200,
        ) {
            let raw = format!("/{}", raw.repeat(times));
            if let Ok(readings) = Readings::of(&raw) {
                let others = readings.others();
                prop_assert!(others.len() <= 2 * MOST_READINGS);
                let bytes: usize = others.iter().map(|reading| reading.path().len()).sum();
                prop_assert!(bytes <= 2 * MOST_BYTES);
            }
        }
    }
}
