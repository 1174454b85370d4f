//! Path prefixes by whole segments, and the ways in which upstreams interpret a path (RFC 3986 §6.2).
//! Upstreams differ in how they handle `%2f`, `;`, `//`, double encoding and letter case. If a rule is evaluated for one
//! interpretation and the upstream uses another, the rule is bypassed. So all interpretations are computed, and a
//! request is allowed only if the decision for all of them is the same.

use std::borrow::Cow;
use std::fmt;

use crate::routing::interpretations::{self, Budget, OverBudget, fold};

/// A path prefix by whole segments: `/a` matches `/a` and `/a/b`, not `/ab`.
/// Invariant: percent-decoded, starts with `/`, and ends without one, except as `/` alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix {
    text: String,
    folded: String,
}

/// Why the path of a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A character that is not allowed in a path, plain or encoded: a control character, a blank, `\` or `#`.
    #[error("a character that is not allowed in a path")]
    Character,
    /// `%` without two hexadecimal digits.
    #[error("an invalid percent-encoding")]
    Encoding,
    /// `.` or `..` as a segment, plain or encoded.
    #[error("a dot segment")]
    DotSegment,
    /// Bytes that are not UTF-8 when decoded.
    #[error("bytes that are not UTF-8")]
    Utf8,
    /// More interpretations than can be compared at a bounded cost.
    #[error("too many interpretations")]
    Ambiguous,
}

impl From<OverBudget> for Malformed {
    fn from(OverBudget: OverBudget) -> Self {
        Self::Ambiguous
    }
}

/// One interpretation of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInterpretation<'p> {
    path: Cow<'p, str>,
    /// Whether letter case is ignored, so that prefixes are compared in folded form.
    folded: bool,
}

/// All interpretations of a path.
#[derive(Clone, Debug)]
pub struct PathInterpretations<'p> {
    plain: PathInterpretation<'p>,
    others: Others<'p>,
    /// Those in which `;parameters` are part of a name. Empty, unless the others are by names.
    with_parameters: Vec<PathInterpretation<'p>>,
}

/// The interpretations apart from the plain one. A usual path has one, for which no list is allocated.
#[derive(Clone, Debug)]
enum Others<'p> {
    One([PathInterpretation<'p>; 1]),
    Many(Vec<PathInterpretation<'p>>),
}

impl PathPrefix {
    /// Parses a prefix in its decoded form. The error continues a sentence and does not quote the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("must start with /".into());
        }
        if text.contains(['?', '#', '*']) {
            return Err("is not a path prefix: remove ?, # and *".into());
        }
        if text.contains(['%', ';', '\\']) {
            return Err(
                "contains %, ; or \\: write the decoded path, without these characters".into()
            );
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("contains a space or a control character".into());
        }
        let text = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
        if text.len() > 1 && text.split('/').skip(1).any(|s| matches!(s, "" | "." | "..")) {
            return Err("contains an empty segment (//) or a . or .. segment".into());
        }
        let prefix = Self { text: text.to_owned(), folded: fold(text) };
        let mut interpretations = interpretations::all(text, &mut Budget::of(text.len()))
            .map_err(|OverBudget| "can be read in too many ways")?
            .into_iter();
        // Every request for such a prefix would be rejected as ambiguous.
        if interpretations
            .any(|path| !prefix.matches(&PathInterpretation { path: path.into(), folded: false }))
        {
            return Err("is read as another path by some applications: no dot, space or colon at the \
                        end of a segment, no :$, and no character that Unicode normalizes (NFKC) or \
                        that is invisible"
                .into());
        }
        Ok(prefix)
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The prefix without letter case.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether a path in this interpretation is at or below this prefix.
    pub fn matches(&self, interpretation: &PathInterpretation<'_>) -> bool {
        let prefix = if interpretation.folded { &self.folded } else { &self.text };
        rest(prefix, &interpretation.path).is_some()
    }

    /// Whether a path in this interpretation is this prefix with an extension: `/admin.json` for `/admin`, with or
    /// without a slash at the end.
    pub fn matches_but_for_extension(&self, interpretation: &PathInterpretation<'_>) -> bool {
        let prefix = if interpretation.folded { &self.folded } else { &self.text };
        let extension =
            interpretation.path.strip_prefix(&**prefix).and_then(|rest| rest.strip_prefix('.'));
        prefix != "/" && extension.is_some_and(|it| !it.trim_end_matches('/').contains('/'))
    }

    /// Whether one of two prefixes is at or below the other only if letter case is ignored.
    pub fn clashes_with(&self, other: &Self) -> bool {
        (self.covers_folded(other) && !self.covers(other))
            || (other.covers_folded(self) && !other.covers(self))
    }

    /// A path that is at or below this prefix only if letter case is ignored, in the letter case of the prefix.
    pub fn respelt(
        &self,
        interpretation: &PathInterpretation<'_>,
    ) -> Option<PathInterpretation<'static>> {
        if interpretation.folded || self.text == "/" || self.matches(interpretation) {
            return None;
        }
        let slashes = self.text.matches('/').count();
        // A letter has at most three times as many bytes in one letter case as in the other: `K` (U+212A) and `k`.
        let mut near = interpretation.path.bytes().take(3 * self.folded.len() + 1).enumerate();
        let slash_behind = near.by_ref().filter(|(_, byte)| *byte == b'/').nth(slashes);
        let end = match slash_behind {
            Some((at, _)) => at,
            None if interpretation.path.len() <= 3 * self.folded.len() => interpretation.path.len(),
            None => return None,
        };
        let (start, rest) = interpretation.path.split_at_checked(end)?;
        let alike = start.eq_ignore_ascii_case(&self.text) || fold(start) == self.folded;
        alike.then(|| PathInterpretation {
            path: Cow::Owned(format!("{}{rest}", self.text)),
            folded: false,
        })
    }

    /// Whether a path is at or below this prefix in any interpretation.
    pub fn matches_any(&self, interpretations: &PathInterpretations<'_>) -> bool {
        self.matches(&interpretations.plain)
            || interpretations.others().iter().any(|interpretation| self.matches(interpretation))
    }

    /// Whether the path of a request target is at or below this prefix in every interpretation in which letter case
    /// counts. It costs one pass over the path.
    pub fn surely_matches(&self, raw: &str) -> bool {
        self.rest(raw).is_some() && is_simple(raw)
    }

    /// Whether a path is above this prefix in any interpretation: a proper prefix of it by segments.
    pub fn lies_below_any(&self, interpretations: &PathInterpretations<'_>) -> bool {
        std::iter::once(&interpretations.plain)
            .chain(interpretations.others())
            .any(|interpretation| self.lies_below(interpretation))
    }

    fn lies_below(&self, interpretation: &PathInterpretation<'_>) -> bool {
        let prefix = if interpretation.folded { &self.folded } else { &self.text };
        let above = interpretation.path.trim_end_matches('/');
        prefix != "/" && prefix.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The rest of a path behind this prefix, unchanged; `None` if the path is not at or below the prefix.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        rest(&self.text, path)
    }

    /// Whether another prefix is at or below this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.rest(&other.text).is_some()
    }

    /// Whether another prefix is at or below this one if letter case is ignored.
    pub fn covers_folded(&self, other: &Self) -> bool {
        rest(&self.folded, &other.folded).is_some()
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The rest of a path behind a prefix. The prefix ends at the end of a segment.
fn rest<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    if prefix == "/" {
        return Some(path);
    }
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<'p> PathInterpretation<'p> {
    /// The path in this interpretation.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether letter case is ignored.
    pub fn is_folded(&self) -> bool {
        self.folded
    }
}

impl<'p> PathInterpretations<'p> {
    /// Interprets a path in every way. `raw` is the path of a request target, without its query.
    pub fn of(raw: &'p str) -> Result<Self, Malformed> {
        Self::within(raw, &mut Budget::of(raw.len()))
    }

    /// Interprets a path whose decoded bytes may be in any encoding. Those that are not UTF-8 become U+FFFD, so this
    /// is only for a host where every path leads to one route and no rule looks at the path.
    pub fn of_any_encoding(raw: &'p str) -> Result<Self, Malformed> {
        let mut budget = Budget::of(raw.len());
        let decoded = decode_once(raw, &mut budget)?;
        let decoded = checked(String::from_utf8_lossy(&decoded).into_owned())?;
        Self::of_decoded(decoded, &mut budget)
    }

    /// The same interpretations, with those apart in which the `;parameters` of a segment are part of its name. `raw`
    /// is the path as it was sent.
    // SECURITY: an encoded `;` is data to some upstreams, so a path with one keeps all interpretations.
    #[must_use]
    pub fn by_names(self, raw: &str) -> Self {
        let semicolons = |text: &str| text.bytes().filter(|byte| *byte == b';').count();
        let sent = semicolons(raw);
        let Others::Many(others) = self.others else { return self };
        let has_encoded = |it: &PathInterpretation<'_>| semicolons(&it.path) > sent;
        let name = interpretations::without_parameters(&self.plain.path).into_owned();
        if sent == 0 || others.iter().any(has_encoded) || checked(name.clone()).is_err() {
            return Self { others: Others::Many(others), ..self };
        }
        let (others, mut with_parameters): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|it| semicolons(&it.path) == 0);
        with_parameters.push(self.plain);
        let plain = PathInterpretation { path: Cow::Owned(name), folded: false };
        Self { plain, others: Others::Many(others), with_parameters }
    }

    fn within(raw: &'p str, budget: &mut Budget) -> Result<Self, Malformed> {
        budget.spend(raw.len())?;
        if is_simple(raw) {
            let plain = PathInterpretation { path: Cow::Borrowed(raw), folded: false };
            // SECURITY: to a case-insensitive upstream, a path in lower case is also one in upper case.
            let folded = PathInterpretation { folded: true, ..plain.clone() };
            let (others, with_parameters) = (Others::One([folded]), Vec::new());
            return Ok(Self { plain, others, with_parameters });
        }
        let decoded = decode_once(raw, budget)?;
        let decoded = checked(String::from_utf8(decoded).map_err(|_| Malformed::Utf8)?)?;
        Self::of_decoded(decoded, budget)
    }

    fn of_decoded(decoded: String, budget: &mut Budget) -> Result<Self, Malformed> {
        let others = Others::Many(other_interpretations(&decoded, budget)?);
        let plain = PathInterpretation { path: Cow::Owned(decoded), folded: false };
        Ok(Self { plain, others, with_parameters: Vec::new() })
    }

    /// The interpretation by the standard: decoded once, with `%2F` kept as data.
    pub fn plain(&self) -> &PathInterpretation<'p> {
        &self.plain
    }

    /// The interpretations that some upstreams use instead.
    pub fn others(&self) -> &[PathInterpretation<'p>] {
        match &self.others {
            Others::One(one) => one,
            Others::Many(many) => many,
        }
    }

    /// The interpretations in which `;parameters` are part of a name, where the others are by names.
    pub fn with_parameters(&self) -> &[PathInterpretation<'p>] {
        &self.with_parameters
    }

    /// All interpretations in which letter case counts.
    pub fn unfolded(&self) -> impl Iterator<Item = &PathInterpretation<'p>> {
        let others = self.others().iter().filter(|interpretation| !interpretation.folded);
        std::iter::once(&self.plain).chain(others)
    }
}

/// Whether a path has one interpretation apart from letter case, as in nearly every request. One pass over its bytes.
fn is_simple(raw: &str) -> bool {
    let mut before = 0;
    let plain = raw.bytes().all(|byte| {
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'-' | b'_' | b'~' | b'!' | b'&' | b'\'' | b'(' | b')' | b'*' => true,
            b'+' | b',' | b'=' | b':' | b'@' => true,
            b'$' => before != b':',
            b'.' => before != b'/' && before != b'.',
            b'/' => !matches!(before, b'/' | b'.' | b':'),
            _ => false,
        };
        before = byte;
        plain
    });
    plain && raw.starts_with('/') && !matches!(before, b'.' | b':')
}

/// The bytes of the plain interpretation. `%2F` stays encoded: it is data inside a segment.
fn decode_once(raw: &str, budget: &mut Budget) -> Result<Vec<u8>, Malformed> {
    budget.spend(raw.len())?;
    if !raw.starts_with('/') {
        return Err(Malformed::Character);
    }
    let (mut decoded, mut bytes) = (Vec::with_capacity(raw.len()), raw.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match escaped(&mut bytes).ok_or(Malformed::Encoding)? {
                b'/' => decoded.extend_from_slice(b"%2f"),
                byte if byte.is_ascii_control() => return Err(Malformed::Character),
                byte => decoded.push(byte),
            },
            b'\\' | b'#' => return Err(Malformed::Character),
            0x21..=0x7e => decoded.push(byte),
            _ => return Err(Malformed::Character),
        }
    }
    budget.spend(2 * decoded.len())?;
    Ok(decoded)
}

/// A decoded path without dot segments.
fn checked(decoded: String) -> Result<String, Malformed> {
    match decoded.split('/').any(|segment| matches!(segment, "." | "..")) {
        true => Err(Malformed::DotSegment),
        false => Ok(decoded),
    }
}

/// The byte that the two digits after a `%` encode.
fn escaped(digits: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(digits.next()?).to_digit(16);
    u8::try_from(digit()? << 4 | digit()?).ok()
}

/// Every other interpretation of a path.
fn other_interpretations(
    plain: &str,
    budget: &mut Budget,
) -> Result<Vec<PathInterpretation<'static>>, Malformed> {
    let mut others: Vec<PathInterpretation<'static>> = Vec::new();
    for path in interpretations::all(plain, budget)? {
        let folded = interpretations::folded(&path, budget)?;
        others.push(PathInterpretation { path: Cow::Owned(folded), folded: true });
        if path != plain {
            others.push(PathInterpretation { path: Cow::Owned(path), folded: false });
        }
    }
    Ok(others)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_interpreted_as(raw: &str, meaning: &str) -> bool {
        let interpretations = PathInterpretations::of(raw).unwrap();
        interpretations.plain().path() == meaning
            || interpretations
                .others()
                .iter()
                .any(|interpretation| interpretation.path() == meaning)
    }

    #[test]
    fn prefixes_match_whole_segments() {
        let check = |prefix: &str, path: &str, expected: bool| {
            let interpretations = PathInterpretations::of(path).unwrap();
            let prefix = PathPrefix::parse(prefix).unwrap();
            assert_eq!(prefix.matches(interpretations.plain()), expected, "{path}");
        };
        check("/a", "/a", true);
        check("/a/", "/a/b", true);
        check("/a", "/ab", false);
        check("/", "/anything", true);
        check("/a b".replace(' ', "").as_str(), "/%61b", true);
        check("/a", "/a%2fb", false);
    }

    #[test]
    fn prefix_surely_matches_only_paths_with_one_interpretation() {
        let probe = PathPrefix::parse("/healthz").unwrap();
        for path in ["/healthz", "/healthz/", "/healthz/live"] {
            assert!(probe.surely_matches(path), "{path}");
        }
        for path in [
            "/",
            "/healthzz",
            "/Healthz",
            "/%68ealthz",
            "/healthz/..",
            "/healthz/../admin",
            "/healthz/%2e%2e/admin",
            "/healthz/..%2fadmin",
            "/healthz/..;/admin",
            "/healthz//x",
        ] {
            assert!(!probe.surely_matches(path), "{path}");
        }
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
    fn prefixes_that_differ_in_letter_case_only_clash() {
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
    fn path_gets_the_letter_case_of_a_prefix_above_it() {
        let check = |prefix: &str, path: &str, expected: Option<&str>| {
            let interpretations = PathInterpretations::of(path).unwrap();
            let spelt = PathPrefix::parse(prefix).unwrap().respelt(interpretations.plain());
            assert_eq!(spelt.as_ref().map(PathInterpretation::path), expected, "{prefix} {path}");
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
    fn path_above_a_prefix_is_a_proper_prefix_of_it_by_segments() {
        let check = |prefix: &str, path: &str, expected: bool| {
            let prefix = PathPrefix::parse(prefix).unwrap();
            let interpretations = PathInterpretations::of(path).unwrap();
            assert_eq!(prefix.lies_below_any(&interpretations), expected, "{prefix} {path}");
        };
        for above in ["/", "/a", "/a/", "/A", "//a", "/a;x", "/%61", "/x/..%2fa", "/a%2f"] {
            check("/a/B", above, true);
        }
        for other in ["/a/B", "/a/b", "/a/B/", "/a/B/c", "/ab", "/x", "/a/bb"] {
            check("/a/B", other, false);
        }
        check("/", "/", false);
        check("/", "/a", false);
    }

    #[test]
    fn prefix_that_is_not_in_normal_form_is_rejected() {
        for wrong in ["", "a", "/a//b", "/a/../b", "/a?b", "/a#b", "/%61", "/a;b", "/a b", "/*"] {
            assert!(PathPrefix::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn prefix_with_another_interpretation_is_rejected() {
        for wrong in ["/a.", "/a./b", "/a:", "/a::$DATA", "/\u{2460}", "/a\u{ad}b", "/\u{2215}a"] {
            let error = PathPrefix::parse(wrong).unwrap_err();
            assert!(error.starts_with("is read as another path"), "{wrong}: {error}");
        }
        for right in ["/.well-known", "/a..b", "/w/Special:Search", "/b\u{fc}ro", "/\u{d55c}", "/A"]
        {
            assert!(PathPrefix::parse(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn path_of_a_prefix_with_an_extension_is_recognized() {
        let check = |prefix: &str, path: &str, expected: bool| {
            let interpretations = PathInterpretations::of(path).unwrap();
            let prefix = PathPrefix::parse(prefix).unwrap();
            let mut all = std::iter::once(interpretations.plain()).chain(interpretations.others());
            assert_eq!(all.any(|it| prefix.matches_but_for_extension(it)), expected, "{path}");
        };
        check("/admin", "/admin.json", true);
        check("/admin", "/ADMIN.json/", true);
        check("/admin", "/admin.tar.gz", true);
        check("/admin", "/admin.json;a=b", true);
        check("/admin", "/admin", false);
        check("/admin", "/admin/x.json", false);
        check("/admin", "/admin.json/x", false);
        check("/admin", "/admins.json", false);
        check("/", "/.json", false);
    }

    #[test]
    fn plain_path_has_one_interpretation_apart_from_letter_case() {
        for path in ["/", "/a/b.c", "/a-b_c~d", "/a,b=c:d@e"] {
            let interpretations = PathInterpretations::of(path).unwrap();
            let others: Vec<_> =
                interpretations.others().iter().map(PathInterpretation::path).collect();
            assert_eq!(others, [path]);
        }
    }

    #[test]
    fn prefix_in_capitals_matches_if_letter_case_is_ignored() {
        let prefix = PathPrefix::parse("/Admin").unwrap();
        for path in ["/admin/x", "/aDMIN/x", "//admin", "/x/..;/admin", "/%61dmin"] {
            let interpretations = PathInterpretations::of(path).unwrap();
            assert!(!prefix.matches(interpretations.plain()), "{path}");
            assert!(
                interpretations
                    .others()
                    .iter()
                    .any(|interpretation| prefix.matches(interpretation)),
                "{path}"
            );
        }
    }

    #[test]
    fn malformed_path_is_rejected() {
        let check = |path: &str, wrong: Malformed| {
            assert_eq!(PathInterpretations::of(path).err(), Some(wrong), "{path}")
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
    fn path_in_another_encoding_is_interpreted_only_where_that_is_asked_for() {
        for raw in ["/caf%e9", "/%83%5c", "/a/%ff%fe"] {
            assert_eq!(PathInterpretations::of(raw).err(), Some(Malformed::Utf8), "{raw}");
            let any = PathInterpretations::of_any_encoding(raw).unwrap();
            assert!(any.plain().path().contains('\u{fffd}'), "{raw}");
        }
        for (raw, wrong) in [
            ("/%ff/../a", Malformed::DotSegment),
            ("/%ff%00", Malformed::Character),
            ("/%ff%4", Malformed::Encoding),
        ] {
            assert_eq!(PathInterpretations::of_any_encoding(raw).err(), Some(wrong), "{raw}");
        }
    }

    #[test]
    fn parameters_of_a_segment_do_not_change_its_name() {
        let names = |raw: &str| {
            let all = PathInterpretations::of(raw).unwrap().by_names(raw);
            let mut names: Vec<_> = all.unfolded().map(|it| it.path().to_owned()).collect();
            names.dedup();
            (all.plain().path().to_owned(), names)
        };
        for (raw, name) in [
            ("/app;jsessionid=1", "/app"),
            ("/app;jsessionid=1/x;y", "/app/x"),
            ("/a%20b;v=1", "/a b"),
            ("/app/;x", "/app/"),
        ] {
            assert_eq!(names(raw), (name.to_owned(), vec![name.to_owned()]), "{raw}");
        }
        // Other ways to read the path stay.
        assert!(names("/x;a%2f..%2f..%2fprivate").1.contains(&"/private".to_owned()));
        assert!(names("//app;x").1.contains(&"/app".to_owned()));
        // A `;` that was encoded may be data, and `..;` may be a dot segment.
        for raw in ["/app%3bx", "/app;a%3bb", "/app;a%253bb", "/app;%EF%BC%9B", "/app/..;/b"] {
            let all = PathInterpretations::of(raw).unwrap();
            let (plain, _) = names(raw);
            assert_eq!(plain, all.plain().path(), "{raw}");
            assert!(names(raw).1.iter().any(|it| it.contains(';')), "{raw}");
        }
    }

    #[test]
    fn known_bypass_has_the_interpretation_that_it_aims_at() {
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
            // Streams of a file and invisible characters, on Windows and macOS.
            ("/private::$DATA", "/private"),
            ("/private:$I30:$INDEX_ALLOCATION/page", "/private/page"),
            ("/private:/page", "/private/page"),
            ("/pri%C2%ADvate", "/private"),
            ("/%E2%80%8Bpriv%EF%BB%BFate/page", "/private/page"),
            ("/open/.%E2%80%8D./private", "/private"),
            ("/open/..%C2%A5private", "/private"),
            // Letters that have another one's capital.
            ("/pr%C4%B1vate", "/private"),
            ("/PR%C4%B0VATE", "/private"),
            ("/%C5%BFecret", "/secret"),
        ] {
            assert!(is_interpreted_as(raw, meaning), "{raw}");
        }
    }

    /// The bytes processed until a path is accepted or rejected, and why it is rejected.
    fn work(raw: &str) -> (usize, Option<Malformed>) {
        let mut budget = Budget::of(raw.len());
        let before = budget.left();
        let malformed = PathInterpretations::within(raw, &mut budget).err();
        (before - budget.left(), malformed)
    }

    #[test]
    fn path_with_too_many_interpretations_is_rejected_within_the_work_of_twenty_plain_ones() {
        let layers = "25".repeat(58);
        let hard = [
            format!("/{}", "%e3%80%80.%EF%BC%8F//%EF%BC%8F///;".repeat(132)),
            format!("/%{layers}{}", "/a".repeat(8_000)),
            format!("/%{layers}2f{}", "/a".repeat(8_000)),
            format!("//;%{layers}3b{}", "/a".repeat(8_000)),
            format!("{}{}", "/%2525;%252f%255c//".repeat(4), "/a".repeat(8_000)),
            // The longest compatibility form there is.
            format!("/{}", "%EF%B7%BA".repeat(1_800)),
            format!("/{}", "a%CC%81%CC%96".repeat(1_200)),
        ];
        for raw in hard {
            let (work, _) = work(&raw);
            assert!(work <= 20 * (64 + raw.len()), "{work}: {raw:.80}");
        }
        let (_, malformed) = work(&format!("/{}", "%2525;%252f%255c//".repeat(100)));
        assert_eq!(malformed, Some(Malformed::Ambiguous));
    }

    #[test]
    fn long_path_of_an_honest_client_is_accepted() {
        for segment in [
            "/a%20b",
            "/%C3%A4",
            "/a%2Fb",
            "/a;v=1",
            "/%ED%95%9C%EA%B5%AD%EC%96%B4",
            "/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB%20%E2%9D%A4%EF%B8%8F",
            "/100%25%20caf%C3%A9%E2%80%A6",
            "/a%CC%88%20%EF%BC%A1%EF%BD%82.txt",
        ] {
            let raw = segment.repeat(16 * 1024 / segment.len());
            let (work, malformed) = work(&raw);
            assert_eq!(malformed, None, "{segment} {work} {}", raw.len());
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(raw in "\\PC{0,64}") {
            drop(PathInterpretations::of(&raw));
            drop(PathPrefix::parse(&raw));
        }

        #[test]
        fn path_that_looks_simple_has_one_interpretation(raw in "(/|\\.|:|\\$|a|=){0,8}") {
            let raw = format!("/{raw}");
            let all = interpretations::all(&raw, &mut Budget::of(raw.len()));
            prop_assert!(!is_simple(&raw) || all.unwrap() == [&*raw]);
        }

        #[test]
        fn no_path_costs_more_than_twenty_plain_ones(
            raw in "(/|%2f|%252f|;|\\.\\.|\\.|%2e|A|b|%5c|%255c|%20|%25|:\\$|%3f|%23|%EF%BC%8F|%E2%81%84\
                |%E3%80%80|%C2%AD|%EF%B7%BA|a%CC%81|%EF%BC%9B|%C4%B1|%ff){0,40}",
            times in 1_usize..400,
        ) {
            let raw: String = format!("/{}", raw.repeat(times)).chars().take(16 * 1024).collect();
            let plain = "/a".repeat(raw.len() / 2);
            let budget = 20 * (64 + work(&plain).0 + raw.len() % 2);
            prop_assert!(work(&raw).0 <= budget);
            if let Ok(interpretations) = PathInterpretations::of(&raw) {
                // Each of them is looked up and decided on. A plain path has two.
                prop_assert!(interpretations.others().len() < 20 * 2);
            }
        }
    }
}
