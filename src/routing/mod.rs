//! Host and path -> T, for any T.
//! Invariant: of all entries that match, the most specific wins: exact host before wildcard host before `*`, then the
//! longest path.

pub mod exact_path;
pub mod host;
mod interpretations;
pub mod path;
mod site;

use std::collections::BTreeMap;

pub use crate::routing::site::Site;

use crate::routing::host::{HostPattern, is_below};
use crate::routing::path::{PathInterpretation, PathPrefix};

/// Entries by host and path.
#[derive(Clone, Debug)]
pub struct Table<T> {
    exact: BTreeMap<String, Paths<T>>,
    /// Longest name first.
    below: Vec<(String, Paths<T>)>,
    any: Paths<T>,
}

/// Longest prefix first.
type Paths<T> = Vec<(PathPrefix, T)>;

/// The result of a lookup by host and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'t, T> {
    /// One entry.
    Entry(&'t T),
    /// Two entries whose paths differ in letter case only, which this interpretation ignores.
    Either,
    /// No entry, but some upstreams serve this path, without its extension, as the path of an entry.
    WithExtension(&'t PathPrefix),
    /// Entries have this host, but not this path.
    NoPath,
    /// No entry has this host.
    NoHost,
}

impl<T> Table<T> {
    /// Sorts entries by how specific they are.
    pub fn new(entries: impl IntoIterator<Item = (HostPattern, PathPrefix, T)>) -> Self {
        let mut table = Self { exact: BTreeMap::new(), below: Vec::new(), any: Vec::new() };
        for (host, path, entry) in entries {
            let paths = match host {
                HostPattern::Exact(name) => table.exact.entry(name).or_default(),
                HostPattern::Below(name) => table.below_mut(name),
                HostPattern::Any => &mut table.any,
            };
            paths.push((path, entry));
        }
        table.below.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let below = table.below.iter_mut().map(|(_, paths)| paths);
        for paths in table.exact.values_mut().chain(below).chain([&mut table.any]) {
            paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_str().len()));
        }
        table
    }

    /// Finds the entry for a host in normal form and one interpretation of a path.
    pub fn find(&self, host: &str, interpretation: &PathInterpretation<'_>) -> Found<'_, T> {
        let mut found = Found::NoHost;
        for paths in self.of_host(host) {
            found = Found::NoPath;
            let mut longest_first = paths.iter();
            while let Some((path, entry)) = longest_first.next() {
                // SECURITY: Rails, Spring's suffix patterns and others serve `/admin.json` as `/admin`. An
                // entry for the path with its extension is longer, so it is found first.
                // The `paths` of rules need no such check: rules only allow, so a path with an extension is
                // allowed more than the one without only by a rule that names it with its extension.
                // The cost: next to an entry `/app`, a request for `/app.js` is rejected without its own entry.
                if path.matches_but_for_extension(interpretation) {
                    return Found::WithExtension(path);
                }
                if path.matches(interpretation) {
                    // SECURITY: a case-insensitive upstream serves one of the two, but it is unknown which one.
                    let either = interpretation.is_folded()
                        && longest_first
                            .any(|(other, _)| other.matches(interpretation) && !other.covers(path));
                    return if either { Found::Either } else { Found::Entry(entry) };
                }
            }
        }
        found
    }

    /// Whether an entry has this host.
    pub fn has_host(&self, host: &str) -> bool {
        self.of_host(host).next().is_some()
    }

    /// The only entry of a host, if it is at `/`, so that every path leads to it.
    pub fn only_of(&self, host: &str) -> Option<&T> {
        match self.of_host(host).next()?.as_slice() {
            [(path, entry)] if path.as_str() == "/" => Some(entry),
            _ => None,
        }
    }

    /// The lists of entries for a host, most specific first.
    fn of_host(&self, host: &str) -> impl Iterator<Item = &Paths<T>> {
        let below = self.below.iter().filter(move |(name, _)| is_below(host, name));
        let any = (!self.any.is_empty()).then_some(&self.any);
        self.exact.get(host).into_iter().chain(below.map(|(_, paths)| paths)).chain(any)
    }

    fn below_mut(&mut self, name: String) -> &mut Paths<T> {
        let at = self.below.iter().position(|(known, _)| *known == name);
        let at = at.unwrap_or_else(|| {
            self.below.push((name, Vec::new()));
            self.below.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just now")]
        &mut self.below[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::path::PathInterpretations;

    fn table() -> Table<&'static str> {
        let entry = |host: &str, path: &str, name| {
            (HostPattern::parse(host).unwrap(), PathPrefix::parse(path).unwrap(), name)
        };
        Table::new([
            entry("*", "/", "any"),
            entry("*.example.com", "/", "below"),
            entry("*.b.example.com", "/", "further below"),
            entry("a.example.com", "/docs", "exact docs"),
            entry("a.example.com", "/docs/api", "exact api"),
        ])
    }

    #[track_caller]
    fn check(host: &str, path: &str, expected: Found<'_, &'static str>) {
        let interpretations = PathInterpretations::of(path).unwrap();
        assert_eq!(table().find(host, interpretations.plain()), expected, "{host}{path}");
    }

    #[test]
    fn most_specific_entry_wins() {
        check("a.example.com", "/docs/api/x", Found::Entry(&"exact api"));
        check("a.example.com", "/docs/apis", Found::Entry(&"exact docs"));
        check("a.example.com", "/", Found::Entry(&"below"));
        check("a.b.example.com", "/", Found::Entry(&"further below"));
        check("example.com", "/", Found::Entry(&"any"));
    }

    #[test]
    fn entries_that_differ_in_letter_case_only_are_both_found_if_it_is_ignored() {
        let entry = |path: &str| {
            (HostPattern::parse("a.example").unwrap(), PathPrefix::parse(path).unwrap(), path.len())
        };
        let table = Table::new(["/Docs", "/docs", "/a/Docs", "/A", "/a/b"].map(entry));
        let find = |path| {
            let interpretations = PathInterpretations::of(path).unwrap();
            let [plain, folded] =
                [interpretations.plain(), interpretations.others().first().unwrap()]
                    .map(|it| table.find("a.example", it));
            (plain, folded)
        };
        for path in ["/Docs/x", "/docs"] {
            assert_eq!(find(path), (Found::Entry(&5), Found::Either), "{path}");
        }
        assert_eq!(find("/a/Docs/x"), (Found::Entry(&7), Found::Either));
        assert_eq!(find("/A/x"), (Found::Entry(&2), Found::Entry(&2)));
        assert_eq!(find("/x"), (Found::NoPath, Found::NoPath));
    }

    #[test]
    fn path_of_an_entry_with_an_extension_is_found_only_where_it_has_an_entry() {
        let entry = |host: &str, path: &str, name| {
            (HostPattern::parse(host).unwrap(), PathPrefix::parse(path).unwrap(), name)
        };
        let table = Table::new([
            entry("a.example", "/", "root"),
            entry("a.example", "/admin", "admin"),
            entry("a.example", "/app", "app"),
            entry("a.example", "/app.js", "script"),
            entry("*", "/", "any"),
            entry("*", "/other", "other"),
        ]);
        let check = |path: &str, expected: Result<&str, &str>| {
            let interpretations = PathInterpretations::of(path).unwrap();
            let found = match table.find("a.example", interpretations.plain()) {
                Found::Entry(name) => Ok(*name),
                Found::WithExtension(path) => Err(path.as_str()),
                Found::Either | Found::NoPath | Found::NoHost => Err("nothing"),
            };
            assert_eq!(found, expected, "{path}");
        };
        check("/admin.json", Err("/admin"));
        check("/admin.json/x", Ok("root"));
        check("/admin/users.json", Ok("admin"));
        check("/readme.txt", Ok("root"));
        check("/app.js", Ok("script"));
        check("/app.css", Err("/app"));
        // The entries of a host hide those of every host.
        check("/other.json", Ok("root"));
    }

    #[test]
    fn unknown_host_differs_from_unknown_path() {
        let entry = (HostPattern::parse("a.example").unwrap(), PathPrefix::parse("/x").unwrap(), 1);
        let table = Table::new([entry]);
        let root = PathInterpretations::of("/").unwrap();
        assert_eq!(table.find("a.example", root.plain()), Found::NoPath);
        assert_eq!(table.find("b.example", root.plain()), Found::NoHost);
        assert!(table.has_host("a.example") && !table.has_host("b.example"));
    }
}
