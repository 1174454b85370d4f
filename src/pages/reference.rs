//! What a page ends with, so that an operator finds its request in the log.
//! Invariant: both parts are as in the log, so that a search finds them.

use cookie::time::OffsetDateTime;

use crate::clock::UnixTime;

/// The end of a request's ID, which is enough to find it in the log: the beginning is that of its connection.
pub(super) fn short(request_id: &str) -> &str {
    let start = request_id.len().saturating_sub(REFERENCE_LENGTH);
    request_id.get(start..).unwrap_or(request_id)
}

/// `2026-01-31 23:59:59 UTC`, like the times in the log.
pub(super) fn time(time: UnixTime) -> String {
    let time = OffsetDateTime::from_unix_timestamp(time.0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = time.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", time.date())
}

/// Short enough to be read out on the telephone.
const REFERENCE_LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_is_the_end_of_the_request_id() {
        assert_eq!(short("0123456789abcdef0123456789abcdef"), "89abcdef");
        assert_eq!((short("req-1"), short("")), ("req-1", ""));
    }

    #[test]
    fn time_is_in_utc() {
        assert_eq!(time(UnixTime(1_769_903_999)), "2026-01-31 23:59:59 UTC");
    }
}
