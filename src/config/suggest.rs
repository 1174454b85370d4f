//! "Did you mean": finds the known word that is nearest to an unknown one.

use strsim::osa_distance;

/// Returns the nearest of these words, if the difference is small enough for a typo.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let most = (word.chars().count() / 4).clamp(1, 2);
    let word = singular(normal(word));
    let near =
        known.into_iter().map(|known| (osa_distance(&word, &singular(normal(known))), known));
    near.filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Returns the first of these words that contains this one or is contained in it: `domain`, `email_domains`.
pub(super) fn within<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let holds = |one: &str, other: &str| other.len() >= 4 && one.contains(other);
    known.into_iter().find(|known| holds(known, word) || holds(word, known))
}

/// Whether two words differ only in letter case, `_` and `-`.
pub(super) fn same(a: &str, b: &str) -> bool {
    normal(a) == normal(b)
}

/// `trusted_proxy` and `trusted_proxies` are nearly the same word.
fn singular(word: String) -> String {
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').map(str::to_owned).unwrap_or(word),
    }
}

/// `Client-ID`, `clientId` and `client_id` are the same word.
fn normal(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Option<&str>) {
        assert_eq!(nearest(word, ["issuer", "client_id", "path", "name"]), expected, "{word}");
    }

    #[test]
    fn nearest_finds_typos_and_no_other_words() {
        check("isuer", Some("issuer"));
        check("isseur", Some("issuer"));
        check("clientId", Some("client_id"));
        check("CLIENT-ID", Some("client_id"));
        check("pth", Some("path"));
        check("paths", Some("path"));
        assert_eq!(nearest("trusted_proxy", ["trusted_proxies"]), Some("trusted_proxies"));
        check("headers", None);
        check("x", None);
    }

    #[test]
    fn within_finds_a_word_inside_another() {
        let known = ["id", "client_secret", "email_domains"];
        assert_eq!(within("domain", known), Some("email_domains"));
        assert_eq!(within("oidc_client_secret", known), Some("client_secret"));
        assert_eq!(within("idp", known), None);
    }
}
