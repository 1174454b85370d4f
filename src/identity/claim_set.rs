//! All claims of a person, kept small: sessions are many, and few configurations ask for more than what an
//! [`Identity`](super::Identity) has already.
//! Invariant: what is read is what was given, to the last digit of a number.

use std::sync::OnceLock;

use serde_json::{Map, Value};

/// A claims set (RFC 7519 §4) as JSON text, a fraction of what its values would take.
#[derive(Clone, Debug)]
pub struct ClaimSet {
    text: Box<str>,
    /// Made where a rule or a header asks for a claim, for the next request will ask again.
    values: OnceLock<Box<Map<String, Value>>>,
}

impl ClaimSet {
    /// The claims, to be asked for again soon.
    pub fn values(&self) -> &Map<String, Value> {
        self.values.get_or_init(|| Box::new(self.read()))
    }

    /// The claims, for one look at them.
    pub fn read(&self) -> Map<String, Value> {
        // It was written here, out of claims that came as JSON.
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl From<Map<String, Value>> for ClaimSet {
    fn from(claims: Map<String, Value>) -> Self {
        Self { text: Value::Object(claims).to_string().into(), values: OnceLock::new() }
    }
}

impl Default for ClaimSet {
    fn default() -> Self {
        Map::new().into()
    }
}

impl PartialEq for ClaimSet {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ClaimSet {}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they come from a provider: as text.
    #[track_caller]
    fn check(text: &str) {
        let claims: Map<String, Value> = serde_json::from_str(text).unwrap();
        let kept = ClaimSet::from(claims.clone());
        assert_eq!(kept.read(), claims, "{text}");
        assert_eq!(*kept.values(), claims, "{text}");
        assert_eq!(kept.clone(), kept);
    }

    #[test]
    fn claims_are_read_as_they_came() {
        check("{}");
        check(
            r#"{"sub": "1", "groups": ["a", null, {"b": [true]}], "n\u0000\"\\": "\ud83d\ude00"}"#,
        );
        check(r#"{"n": [0, -1, 18446744073709551615, -9223372036854775808, 1e300, 5e-324]}"#);
        let deep = format!(r#"{{"deep": {}{}}}"#, "[".repeat(120), "]".repeat(120));
        check(&deep);
    }

    /// The nearest of their texts is not always read back without care.
    #[test]
    fn fractions_keep_their_last_digit() {
        let mut bits = 0x3ff0_0000_0000_0001_u64;
        for _ in 0..10_000 {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let claims = Map::from_iter([("n".to_owned(), Value::from(number))]);
                assert_eq!(ClaimSet::from(claims.clone()).read(), claims, "{number:e}");
            }
        }
    }
}
