//! Routes with the same host and path, and routes whose paths overlap only if letter case is ignored.
//! Invariant: each route is looked up, not compared with all others, so that thousands of routes load fast.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::gate::route::Settings;
use crate::routing::host::HostPattern;
use crate::routing::path::PathPrefix;

/// Reports every route that repeats or overlaps an earlier one. `items` are the fields of the routes.
pub(super) fn check(
    items: &[Field<'_>],
    routes: &[Result<Settings, Reported>],
) -> Result<(), Reported> {
    let (mut exact, mut overlaps) = (HashMap::new(), Overlaps::default());
    let mut result = Ok(());
    for (at, (item, route)) in items.iter().zip(routes).enumerate() {
        let Ok(Settings { host, path, .. }) = route else { continue };
        match exact.entry((host, path.as_str())) {
            Entry::Occupied(before) => {
                let what = format!("has the same host and path as routes[{}]", before.get());
                let remedy = "change the host or the path of one of them";
                result = Err(item.error(&Invalid::new(what).hint(remedy)));
                continue;
            }
            Entry::Vacant(free) => free.insert(at),
        };
        if let Some(before) = overlaps.find(host, path) {
            let what = format!(
                "overlaps with the path of routes[{before}] if letter case is ignored. Upstreams can be \
                 case-insensitive, so requests for the common paths are rejected"
            );
            item.diagnostics.warning(&item.path.key("path"), &Invalid::new(what));
        }
        overlaps.add(host, path, at);
    }
    result
}

/// The routes so far, by host and by each path at or above theirs without letter case.
#[derive(Default)]
struct Overlaps<'r> {
    /// Routes at this path.
    at: HashMap<(&'r HostPattern, &'r str), Spellings<'r>>,
    /// Routes at or below this path.
    below: HashMap<(&'r HostPattern, &'r str), Spellings<'r>>,
}

/// The first route with a path, and the first one with another spelling of it.
struct Spellings<'r> {
    spelling: &'r str,
    first: usize,
    other: Option<usize>,
}

impl<'r> Overlaps<'r> {
    /// The first route whose path is at, above or below this one only if letter case is ignored.
    fn find(&self, host: &'r HostPattern, path: &'r PathPrefix) -> Option<usize> {
        let above = ancestors(path)
            .filter_map(|(spelling, folded)| self.at.get(&(host, folded))?.other_than(spelling));
        let below = self.below.get(&(host, path.folded()));
        above.chain(below.and_then(|spellings| spellings.other_than(path.as_str()))).min()
    }

    fn add(&mut self, host: &'r HostPattern, path: &'r PathPrefix, at: usize) {
        Spellings::note(&mut self.at, (host, path.folded()), path.as_str(), at);
        for (spelling, folded) in ancestors(path) {
            Spellings::note(&mut self.below, (host, folded), spelling, at);
        }
    }
}

impl<'r> Spellings<'r> {
    fn note<K: std::hash::Hash + Eq>(
        all: &mut HashMap<K, Self>,
        key: K,
        spelling: &'r str,
        at: usize,
    ) {
        match all.entry(key) {
            Entry::Vacant(free) => {
                free.insert(Self { spelling, first: at, other: None });
            }
            Entry::Occupied(mut present) => {
                let present = present.get_mut();
                if present.spelling != spelling {
                    present.other.get_or_insert(at);
                }
            }
        }
    }

    fn other_than(&self, spelling: &str) -> Option<usize> {
        if self.spelling == spelling { self.other } else { Some(self.first) }
    }
}

/// The paths at and above a prefix, as written and without letter case. `/`, which has one spelling, is left out.
fn ancestors(path: &PathPrefix) -> impl Iterator<Item = (&str, &str)> {
    above(path.as_str()).zip(above(path.folded()))
}

fn above(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/').map(|(at, _)| at).skip(1);
    slashes.chain([path.len()]).filter_map(|end| path.get(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks whether the second of two paths overlaps the first, in both orders.
    #[track_caller]
    fn check(one: &str, other: &str, expected: bool) {
        let host = HostPattern::parse("a.example").unwrap();
        let paths = [one, other].map(|text| PathPrefix::parse(text).unwrap());
        for [first, second] in [[&paths[0], &paths[1]], [&paths[1], &paths[0]]] {
            let mut overlaps = Overlaps::default();
            overlaps.add(&host, first, 0);
            assert_eq!(overlaps.find(&host, second).is_some(), expected, "{first} {second}");
        }
    }

    #[test]
    fn paths_that_differ_in_letter_case_only_overlap() {
        check("/App", "/app", true);
        check("/App/x", "/app", true);
        check("/\u{c4}", "/\u{e4}/x", true);
        check("/a/B", "/A/b", true);
        check("/app/X", "/app", false);
        check("/App", "/App", false);
        check("/App", "/apple", false);
        check("/App", "/", false);
        check("/App/a", "/app/b", false);
    }

    #[test]
    fn overlap_is_with_the_first_of_all_routes() {
        let host = HostPattern::parse("a.example").unwrap();
        let paths = ["/x", "/Docs/a", "/docs", "/DOCS", "/Docs"];
        let paths = paths.map(|text| PathPrefix::parse(text).unwrap());
        let mut overlaps = Overlaps::default();
        let found: Vec<_> = paths
            .iter()
            .enumerate()
            .map(|(at, path)| {
                let found = overlaps.find(&host, path);
                overlaps.add(&host, path, at);
                found
            })
            .collect();
        assert_eq!(found, [None, None, Some(1), Some(1), Some(2)]);
    }
}
