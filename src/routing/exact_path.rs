//! One path of a rule, compared as a whole: `exact_paths`.
//! Invariant: compared in every interpretation of a request's path, as prefixes are (see `path`).

use std::fmt;

use crate::routing::interpretations::fold;
use crate::routing::path::{PathInterpretation, PathPrefix};

/// A path, compared as a whole: `/a` matches neither `/a/` nor `/a/b`.
/// Invariant: percent-decoded, starts with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactPath {
    text: String,
    folded: String,
    prefix: PathPrefix,
}

impl ExactPath {
    /// Parses a path in its decoded form. The error continues a sentence and does not quote the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let prefix = PathPrefix::parse(text)?;
        if text.contains("//") {
            return Err("contains an empty segment (//)".into());
        }
        Ok(Self { text: text.to_owned(), folded: fold(text), prefix })
    }

    /// Whether a path in this interpretation is this path.
    pub fn matches(&self, interpretation: &PathInterpretation<'_>) -> bool {
        let path = if interpretation.is_folded() { &self.folded } else { &self.text };
        *path == interpretation.path()
    }

    /// The prefix of everything at and below this path.
    pub fn as_prefix(&self) -> &PathPrefix {
        &self.prefix
    }
}

impl fmt::Display for ExactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::path::PathInterpretations;

    #[track_caller]
    fn check(exact: &str, path: &str, plain: bool, others: bool) {
        let interpretations = PathInterpretations::of(path).unwrap();
        let exact = ExactPath::parse(exact).unwrap();
        let any_other = interpretations.others().iter().any(|other| exact.matches(other));
        assert_eq!((exact.matches(interpretations.plain()), any_other), (plain, others), "{path}");
    }

    #[test]
    fn exact_path_matches_only_itself() {
        check("/a", "/a", true, true);
        check("/a", "/%61", true, true);
        check("/a", "/a/", false, false);
        check("/a", "/a/b", false, false);
        check("/a", "/ab", false, false);
        check("/a", "/", false, false);
        check("/a/", "/a/", true, true);
        check("/a/", "/a", false, false);
        check("/", "/", true, true);
        check("/", "/a", false, false);
    }

    #[test]
    fn exact_path_matches_other_interpretations_of_a_path() {
        check("/a", "/A", false, true);
        check("/A", "/A", true, true);
        check("/a", "//a", false, true);
        check("/a", "/a;x=1", false, true);
        check("/a", "/x/..%2fa", false, true);
    }

    #[test]
    fn exact_path_that_is_not_in_normal_form_is_rejected() {
        for wrong in ["", "a", "//", "/a//", "/a/..", "/a?b", "/%61", "/a;b", "/*", "/a."] {
            assert!(ExactPath::parse(wrong).is_err(), "{wrong}");
        }
    }
}
