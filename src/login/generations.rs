//! A map by browser that forgets what is old.
//! Invariant: an entry is kept for at least the window, unless half of [`MAX`] newer ones replace it; at most `MAX` are
//! kept.

use std::collections::HashMap;
use std::time::Duration;

/// The hash of a login cookie.
pub(super) type BrowserHash = [u8; 16];

/// Two generations, each of a window or of half of `MAX` browsers: the older one is dropped as a whole.
#[derive(Debug)]
pub(super) struct Generations<V> {
    newer: HashMap<BrowserHash, V>,
    older: HashMap<BrowserHash, V>,
    /// When the newer one began, since 1970.
    began: Duration,
}

impl<V> Default for Generations<V> {
    fn default() -> Self {
        Self { newer: HashMap::new(), older: HashMap::new(), began: Duration::ZERO }
    }
}

impl<V> Generations<V> {
    /// The last entry of a browser.
    pub(super) fn get(&self, browser: &BrowserHash) -> Option<&V> {
        self.newer.get(browser).or_else(|| self.older.get(browser))
    }

    /// Inserts an entry in place of the browser's last one.
    pub(super) fn insert(
        &mut self,
        browser: BrowserHash,
        value: V,
        now: Duration,
        window: Duration,
    ) {
        if self.newer.len() >= MAX / 2 || now.saturating_sub(self.began) > window {
            self.older = std::mem::take(&mut self.newer);
            self.began = now;
        }
        self.newer.insert(browser, value);
    }
}

const MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(number: u32) -> BrowserHash {
        let mut browser = [0; 16];
        browser[..4].copy_from_slice(&number.to_be_bytes());
        browser
    }

    const WINDOW: Duration = Duration::from_secs(60);

    /// The browsers that are kept after the insertion of one at each of these times.
    #[track_caller]
    fn check(seconds: &[u64], expected: &[u32]) {
        let mut kept = Generations::default();
        for (number, second) in (0..).zip(seconds) {
            kept.insert(browser(number), number, Duration::from_secs(*second), WINDOW);
        }
        let of = (0..).take(seconds.len()).filter_map(|number| kept.get(&browser(number)));
        assert_eq!(of.copied().collect::<Vec<u32>>(), expected, "{seconds:?}");
    }

    #[test]
    fn entry_is_kept_for_its_window_and_dropped_after_two() {
        check(&[100, 160], &[0, 1]);
        check(&[100, 161], &[0, 1]);
        check(&[100, 161, 221], &[0, 1, 2]);
        check(&[100, 161, 222], &[1, 2]);
    }

    #[test]
    fn number_of_entries_is_bounded() {
        let mut kept = Generations::default();
        for number in 0..2 * u32::try_from(MAX).unwrap() {
            kept.insert(browser(number), (), Duration::from_secs(1), WINDOW);
            assert!(kept.newer.len() + kept.older.len() <= MAX);
        }
        assert!(kept.newer.len() + kept.older.len() >= MAX / 2);
    }
}
