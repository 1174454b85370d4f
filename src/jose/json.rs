//! Strict parser of one JSON object.
//! Invariant: no member is repeated (RFC 7515 §4, RFC 7519 §4), nothing follows the object, and nesting has at
//! most `serde_json`'s 128 levels, so that a deep document cannot exhaust the stack.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Reads `bytes` as one JSON object without duplicate members at its top level.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice(bytes).map(|Object(members)| members)
}

struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members).map(Self)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            // SECURITY: two parsers that pick different duplicates see two different tokens.
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, accepted: bool) {
        assert_eq!(object(text.as_bytes()).is_ok(), accepted, "{text:.80}");
    }

    #[test]
    fn an_object_is_read() {
        check("{}", true);
        check(r#" {"a":1,"b":{"a":1}} "#, true);
        check(&format!(r#"{{"a":{}{}}}"#, "[".repeat(120), "]".repeat(120)), true);
    }

    #[test]
    fn text_that_is_not_one_object_is_rejected() {
        for text in ["", "[]", "1", "null", r#""a""#, "{} {}", "{", "\u{feff}{}", r#"{"a":NaN}"#] {
            check(text, false);
        }
    }

    #[test]
    fn duplicate_members_are_rejected_in_every_spelling() {
        check(r#"{"sub":"a","sub":"a"}"#, false);
        check(r#"{"sub":"a","\u0073ub":"b"}"#, false);
    }

    #[test]
    fn deep_nesting_is_rejected() {
        check(&format!(r#"{{"a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000)), false);
    }

    #[test]
    fn numbers_beyond_a_double_are_rejected() {
        check(r#"{"exp":1e300}"#, true);
        check(r#"{"exp":1e999}"#, false);
    }
}
