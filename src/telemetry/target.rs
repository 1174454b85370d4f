//! Targets of log lines, and the kind of line for each.
//! Invariant: targets are named only here.

use crate::telemetry::metrics::LogLine;

/// The target of the access log.
pub(super) const ACCESS: &str = "access";
/// The target of the audit log.
pub(super) const AUDIT: &str = "audit";

/// The kind of a line with this target.
pub(super) fn kind_of(target: &str) -> LogLine {
    match target {
        ACCESS => LogLine::Access,
        AUDIT => LogLine::Audit,
        _ => LogLine::Log,
    }
}
