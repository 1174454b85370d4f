//! "Did you mean": the known word nearest to one that is not known.

/// The nearest of these words, if it is near enough to be a slip of the finger.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let most = (word.chars().count() / 4).clamp(1, 2);
    let word = normal(word);
    let near = known.into_iter().map(|known| (distance(&word, &normal(known)), known));
    near.filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The first of these words that holds this one, or is held by it: `domain`, `email_domains`.
pub(super) fn within<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let holds = |one: &str, other: &str| other.len() >= 4 && one.contains(other);
    known.into_iter().find(|known| holds(known, word) || holds(word, known))
}

/// Whether two words differ in their spelling only.
pub(super) fn same(a: &str, b: &str) -> bool {
    normal(a) == normal(b)
}

/// `Client-ID`, `clientId` and `client_id` are one word.
fn normal(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

/// How many letters to insert, remove, replace or swap with their neighbour (Damerau 1964, restricted).
fn distance(a: &[char], b: &[char]) -> usize {
    // Three rows of the table: for two letters ago, for the letter before, and for this one.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &other) in b.iter().enumerate() {
            let replaced = at(&above, j) + usize::from(letter != other);
            let mut least = replaced.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped =
                j > 0 && i > 0 && a.get(i - 1) == Some(&other) && b.get(j - 1) == Some(&letter);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    at(&above, b.len())
}

fn at(row: &[usize], index: usize) -> usize {
    row.get(index).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Option<&str>) {
        assert_eq!(nearest(word, ["issuer", "client_id", "path", "name"]), expected, "{word}");
    }

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        check("isuer", Some("issuer"));
        check("isseur", Some("issuer"));
        check("clientId", Some("client_id"));
        check("CLIENT-ID", Some("client_id"));
        check("pth", Some("path"));
        check("paths", Some("path"));
        check("headers", None);
        check("x", None);
    }

    #[test]
    fn a_word_may_hold_another() {
        let known = ["id", "client_secret", "email_domains"];
        assert_eq!(within("domain", known), Some("email_domains"));
        assert_eq!(within("oidc_client_secret", known), Some("client_secret"));
        assert_eq!(within("idp", known), None);
    }

    #[test]
    fn distances_are_counted_in_letters() {
        let distance = |a: &str, b: &str| {
            distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }
}
