//! Warnings about certificates that expire while the gateway runs.
//! Invariant: a certificate causes at most one warning a day. The configuration warns when it is read, so the first one
//! here comes a day later, or when the time begins in which certificates cause warnings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Clock, UnixTime};
use crate::config::EXPIRES_SOON;
use crate::server::CertificateExpiry;

/// Warns each day about each certificate in use that expires soon, or has expired. Never returns. `certificates`
/// returns those that are in use now.
pub async fn watch(clock: Clock, certificates: impl Fn() -> Vec<CertificateExpiry>) {
    let mut warnings = Warnings::default();
    loop {
        for certificate in warnings.due(certificates(), clock.unix()) {
            warn(&certificate, clock.unix());
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}

fn warn(certificate: &CertificateExpiry, now: UnixTime) {
    let CertificateExpiry { name, not_after } = certificate;
    let left = not_after.0.saturating_sub(now.0);
    if left < 0 {
        tracing::warn!(%name, %not_after, "a certificate has expired: clients reject it. Renew it");
    } else {
        let days = left / A_DAY;
        tracing::warn!(%name, %not_after, "a certificate expires in {days} days: renew it");
    }
}

/// When the last warning about each certificate came, here or from the configuration; `None` before the first one.
#[derive(Debug, Default)]
struct Warnings(BTreeMap<(String, UnixTime), Option<UnixTime>>);

impl Warnings {
    /// The certificates that cause a warning now. Forgets those that are no longer in use.
    fn due(&mut self, in_use: Vec<CertificateExpiry>, now: UnixTime) -> Vec<CertificateExpiry> {
        let (mut known, mut due) = (BTreeMap::new(), Vec::new());
        for certificate in in_use {
            let is_soon = certificate.not_after.0.saturating_sub(now.0) < EXPIRES_SOON;
            let key = (certificate.name.clone(), certificate.not_after);
            // One file can be named twice.
            if known.contains_key(&key) {
                continue;
            }
            let last = match self.0.get(&key) {
                // The configuration that brought it warned of it.
                None => is_soon.then_some(now),
                Some(Some(last)) if is_on_one_day(*last, now) => Some(*last),
                Some(_) if is_soon => {
                    due.push(certificate);
                    Some(now)
                }
                Some(last) => *last,
            };
            known.insert(key, last);
        }
        self.0 = known;
        due
    }
}

/// Whether less than a day has passed. If the clock was set back, it has passed.
fn is_on_one_day(last: UnixTime, now: UnixTime) -> bool {
    (0..A_DAY).contains(&now.0.saturating_sub(last.0))
}

const A_DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn certificate(name: &str, not_after: UnixTime) -> CertificateExpiry {
        CertificateExpiry { name: name.to_owned(), not_after }
    }

    /// The hours from `from` until the warnings about `certificate`, in a list that each hour gives again.
    fn hours(warnings: &mut Warnings, certificate: &CertificateExpiry, from: i64) -> Vec<i64> {
        let due = |hour: &i64| {
            let now = UnixTime(from + hour * 3600);
            !warnings.due(vec![certificate.clone()], now).is_empty()
        };
        (0..=72).filter(due).collect()
    }

    #[test]
    fn certificate_causes_a_warning_each_day_from_14_days_before_its_expiry() {
        let from = 1_800_000_000;
        let soon = from + 14 * A_DAY;
        for (not_after, expected) in [
            // Read with more time left.
            (soon + 5 * 3600, vec![6, 30, 54]),
            // Read with a warning.
            (soon - 3600, vec![24, 48, 72]),
            (from - 1, vec![24, 48, 72]),
            (soon + 4 * A_DAY, vec![]),
        ] {
            let of = certificate("a.pem", UnixTime(not_after));
            assert_eq!(hours(&mut Warnings::default(), &of, from), expected, "{not_after}");
        }
    }

    #[test]
    fn renewed_certificate_causes_none_and_is_forgotten_with_the_last_configuration() {
        let (mut warnings, now) = (Warnings::default(), 1_800_000_000);
        let old = certificate("a.pem", UnixTime(now + 3 * A_DAY));
        assert_eq!(hours(&mut warnings, &old, now), [24, 48, 72]);
        let new = certificate("a.pem", UnixTime(now + 90 * A_DAY));
        assert!(hours(&mut warnings, &new, now + 3 * A_DAY).is_empty());
        assert_eq!(warnings.0.len(), 1);
        assert!(warnings.due(Vec::new(), UnixTime(now)).is_empty() && warnings.0.is_empty());
    }

    #[test]
    fn clock_that_is_set_back_silences_no_warning() {
        let (mut warnings, now) = (Warnings::default(), 1_800_000_000);
        let of = certificate("a.pem", UnixTime(now + A_DAY));
        assert!(warnings.due(vec![of.clone()], UnixTime(now)).is_empty());
        assert_eq!(warnings.due(vec![of.clone()], UnixTime(now - 5)), [of]);
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_in_use_are_checked_each_hour() {
        let (clock, asked) = (Clock::manual(), Cell::new(0));
        let certificates = || {
            asked.set(asked.get() + 1);
            Vec::new()
        };
        let watching = watch(clock, certificates);
        let day = Duration::from_secs(24 * 3600 - 1);
        assert!(tokio::time::timeout(day, watching).await.is_err());
        assert_eq!(asked.get(), 24);
    }
}
