//! One JSON object, read strictly.
//! Invariant: no member is there twice (RFC 7515 §4, RFC 7519 §4), nothing follows the object, and
//! nesting ends at `serde_json`'s 128 levels, so that depth costs the sender and not our stack.

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
            // SECURITY: two readers that pick different duplicates see two different tokens.
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
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
    fn anything_else_is_refused() {
        for text in ["", "[]", "1", "null", r#""a""#, "{} {}", "{", "\u{feff}{}", r#"{"a":NaN}"#] {
            check(text, false);
        }
    }

    #[test]
    fn duplicate_members_are_refused_however_they_are_spelled() {
        check(r#"{"sub":"a","sub":"a"}"#, false);
        check(r#"{"sub":"a","\u0073ub":"b"}"#, false);
    }

    #[test]
    fn deep_nesting_is_refused() {
        check(&format!(r#"{{"a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000)), false);
    }

    #[test]
    fn numbers_beyond_a_double_are_refused() {
        check(r#"{"exp":1e300}"#, true);
        check(r#"{"exp":1e999}"#, false);
    }
}
