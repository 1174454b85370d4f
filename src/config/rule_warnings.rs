//! Warnings about rules that are valid and probably meant otherwise.

use std::sync::Arc;

use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::problem::KeyPath;
use crate::config::section::Section;
use crate::policy::rule::Rule;
use crate::routing::exact_path::ExactPath;
use crate::routing::path::PathPrefix;

/// Warns about a rule that can never match.
pub(super) fn warn_of_idle_rule(
    section: &Section<'_>,
    rule: &Rule,
    route_path: Option<&PathPrefix>,
    route_providers: Option<&[Arc<str>]>,
) {
    if let (Some(mine), Some(of_route)) = (&rule.providers, route_providers)
        && !mine.iter().any(|id| of_route.contains(id))
    {
        let invalid = Invalid::new("never matches: the route accepts none of these providers");
        section.diagnostics.warning(&section.path.key("providers"), &invalid);
    }
    for written in written_paths(&section.path, rule) {
        let WrittenPath { prefix, exact, .. } = written;
        if let Some(of_route) = route_path
            && !of_route.covers(prefix)
            && (exact || !prefix.covers(of_route))
        {
            let invalid = Invalid::new("never matches: it is outside the path of the route")
                .hint("write the whole path, from the root of the host");
            section.diagnostics.warning(&written.place, &invalid);
        }
        if let (true, Some(paths)) = (exact, &rule.paths)
            && !paths.iter().any(|other| other.covers(prefix))
        {
            let invalid = Invalid::new("never matches: `paths` of the same rule does not match it")
                .hint("write two rules, one with `paths` and one with `exact_paths`");
            section.diagnostics.warning(&written.place, &invalid);
        }
    }
    if rule.emails.is_some() && rule.emails_file.is_some() {
        let invalid = Invalid::new("matches only addresses that are in `emails` too")
            .hint("to allow both, write two rules, one with `emails` and one with `emails_file`");
        section.diagnostics.warning(&section.path.key("emails_file"), &invalid);
    }
}

/// A path of a rule, with its place in the file.
struct WrittenPath<'a> {
    prefix: &'a PathPrefix,
    exact: bool,
    place: KeyPath,
}

impl WrittenPath<'_> {
    /// Whether two paths are alike only if letter case is ignored, so that a request can be for both.
    fn clashes_with(&self, other: &Self) -> bool {
        self.prefix.clashes_with(other.prefix)
            && (!self.exact || other.prefix.covers_folded(self.prefix))
            && (!other.exact || self.prefix.covers_folded(other.prefix))
    }
}

fn written_paths<'a>(at: &KeyPath, rule: &'a Rule) -> impl Iterator<Item = WrittenPath<'a>> {
    let (paths, exact_paths) = (at.key("paths"), at.key("exact_paths"));
    let prefixes = rule.paths.iter().flatten().enumerate();
    let prefixes = prefixes.map(move |(at, prefix)| WrittenPath {
        prefix,
        exact: false,
        place: paths.item(at),
    });
    let exact = rule.exact_paths.iter().flatten().map(ExactPath::as_prefix).enumerate();
    prefixes.chain(exact.map(move |(at, prefix)| WrittenPath {
        prefix,
        exact: true,
        place: exact_paths.item(at),
    }))
}

/// Warns about rules whose paths differ only in letter case: an upstream can treat them as the same path.
pub(super) fn warn_of_letter_case(items: &[Field<'_>], rules: &[Rule]) {
    for (at, (item, rule)) in items.iter().zip(rules).enumerate() {
        for path in written_paths(&item.path, rule) {
            let clashes = |other: &Rule| {
                written_paths(&item.path, other).any(|other| other.clashes_with(&path))
            };
            let Some(before) = rules.iter().take(at).position(clashes) else { continue };
            let what = format!(
                "overlaps with a path of allow[{before}] if letter case is ignored. Upstreams can be case-insensitive, so \
                 a request for the common paths is allowed only if both rules match"
            );
            item.diagnostics.warning(&path.place, &Invalid::new(what));
        }
    }
}
