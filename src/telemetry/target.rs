//! Targets of log lines, and the kind of line that each makes.
//! Invariant: a target is named here only, so that the writer knows lines without knowing who writes them.

use super::metrics::LogLine;

/// The access log's.
pub(super) const ACCESS: &str = "access";
/// The audit log's.
pub(super) const AUDIT: &str = "audit";

/// The kind of a line with this target.
pub(super) fn kind_of(target: &str) -> LogLine {
    match target {
        ACCESS => LogLine::Access,
        AUDIT => LogLine::Audit,
        _ => LogLine::Log,
    }
}
