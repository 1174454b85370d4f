//! All claims of a user as one JSON text. There are many sessions, so each keeps little more than the bytes that the
//! provider sent; a claim is read from its place in the text.
//! Invariant: claims are read unchanged, to the last digit of a number.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, RwLock};

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Map, Value};

use crate::identity::claims::{ClaimPath, is_usable};
use crate::lock::unpoisoned;

/// A claims set (RFC 7519 §4) as compact JSON text. A clone shares the text.
#[derive(Debug)]
pub struct ClaimSet {
    text: Arc<str>,
    /// The places of claims that were looked up, because the next request needs the same.
    found: RwLock<Vec<(ClaimPath, Option<Range<usize>>)>>,
}

/// The value of a claim: its JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'c>(&'c str);

impl ClaimSet {
    /// The value at this path; `null` is none.
    pub fn find(&self, path: &ClaimPath) -> Option<Claim<'_>> {
        let place = self.known(path).unwrap_or_else(|| {
            let place = locate(&self.text, path);
            let mut found = unpoisoned(self.found.write());
            // A configuration uses few claims, mostly one: the groups.
            found.reserve_exact(1);
            found.push((path.clone(), place.clone()));
            place
        });
        self.text.get(place?).map(Claim)
    }

    /// The value of the claim of this name. The next call looks for it again.
    pub fn named(&self, name: &str) -> Option<Claim<'_>> {
        let place = entries(&self.text, 0).find(|(known, _)| known == name)?.1;
        self.text.get(place).map(Claim)
    }

    fn known(&self, path: &ClaimPath) -> Option<Option<Range<usize>>> {
        let found = unpoisoned(self.found.read());
        found.iter().find(|(known, _)| known == path).map(|(_, place)| place.clone())
    }

    /// All claims, parsed.
    pub fn read(&self) -> Map<String, Value> {
        // The text was serialised here from JSON.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The text, for a store.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The claims whose [`text`](Self::text) was stored.
    pub fn stored(text: &str) -> Self {
        Self { text: text.into(), found: RwLock::default() }
    }

    /// Bytes of the text.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The name of each claim and the bytes that the claim takes in the text.
    pub fn sizes(&self) -> Vec<(String, usize)> {
        let entries = entries(&self.text, 0);
        entries.map(|(name, place)| (name.to_string(), name.len() + 3 + place.len())).collect()
    }

    /// The claims without those with these names.
    pub fn without(&self, names: &BTreeSet<String>) -> Self {
        let mut claims = self.read();
        claims.retain(|name, _| !names.contains(name));
        claims.into()
    }
}

impl<'c> Claim<'c> {
    /// Whether the value is a list.
    pub fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    /// The groups that the value has: the texts of a list or one text, or the names in an object; or, with `member`,
    /// the text at this path in each object of a list.
    pub fn groups(self, member: Option<&'c ClaimPath>) -> impl Iterator<Item = Cow<'c, str>> {
        let (object, list, plain) = match member {
            Some(_) if self.is_list() => ("", self.0, None),
            Some(_) => ("", "", None),
            None if self.is_object() => (self.0, "", None),
            None => ("", "", Some(self)),
        };
        let names = entries(object, 0).map(|(name, _)| name).filter(|name| is_usable(name));
        let of_item = move |place| {
            let item: &str = list.get(place)?;
            text_of(item.get(locate(item, member?)?)?)
        };
        names
            .chain(items(list, 0).filter_map(of_item))
            .chain(plain.into_iter().flat_map(Claim::texts))
    }

    /// Whether the value is an object with a member of this name.
    pub fn has_member(self, name: &str) -> bool {
        let object = if self.is_object() { self.0 } else { "" };
        entries(object, 0).any(|(known, _)| known == name)
    }

    /// How many groups or texts the value could have.
    pub fn count(self) -> usize {
        if self.is_list() {
            items(self.0, 0).count()
        } else if self.is_object() {
            entries(self.0, 0).count()
        } else {
            1
        }
    }

    fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The texts of the value: those of a list, or the one text. Numbers and booleans are their JSON text; other
    /// values, and texts that are not usable, are left out.
    pub fn texts(self) -> impl Iterator<Item = Cow<'c, str>> {
        let (list, one) = if self.is_list() { (self.0, None) } else { ("", Some(self.0)) };
        items(list, 0).filter_map(|place| list.get(place)).chain(one).filter_map(text_of)
    }
}

impl From<Map<String, Value>> for ClaimSet {
    fn from(claims: Map<String, Value>) -> Self {
        Self { text: Value::Object(claims).to_string().into(), found: RwLock::default() }
    }
}

impl Default for ClaimSet {
    fn default() -> Self {
        Map::new().into()
    }
}

impl Clone for ClaimSet {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), found: RwLock::default() }
    }
}

impl PartialEq for ClaimSet {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ClaimSet {}

/// The place of the value at a path: the value that [`ClaimPath::find`] finds in parsed claims.
fn locate(text: &str, path: &ClaimPath) -> Option<Range<usize>> {
    let mut place = 0..text.len();
    for token in path.tokens() {
        place = match text.as_bytes().get(place.start)? {
            b'{' => entries(text, place.start).find(|(name, _)| *name == token)?.1,
            b'[' => items(text, place.start).nth(index(&token)?)?,
            _ => return None,
        };
    }
    (text.get(place.clone())? != "null").then_some(place)
}

/// RFC 6901 §4: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (token == "0" || !token.starts_with('0'))).then(|| token.parse().ok())?
}

/// The items of the list that begins here.
fn items(text: &str, begin: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = begin;
    // `[` or one comma is before each item, as `Value` writes it.
    std::iter::from_fn(move || {
        let item = value(text, at + 1)?;
        at = item.end;
        Some(item)
    })
}

/// The names and values of the object that begins here.
fn entries(text: &str, begin: usize) -> impl Iterator<Item = (Cow<'_, str>, Range<usize>)> {
    let mut at = begin;
    std::iter::from_fn(move || {
        let name = value(text, at + 1)?;
        let entry = value(text, name.end + 1)?;
        at = entry.end;
        Some((string(text.get(name)?)?, entry))
    })
}

/// The value that begins here; `None` after the end of a container.
fn value(text: &str, begin: usize) -> Option<Range<usize>> {
    let mut values = Deserializer::from_str(text.get(begin..)?).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(begin..begin + values.byte_offset())
}

/// A JSON value as a usable text, if it is one.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => string(json).filter(|text| is_usable(text)),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// The text of a JSON string; nearly always without an escape.
fn string(json: &str) -> Option<Cow<'_, str>> {
    if json.contains('\\') {
        return serde_json::from_str::<String>(json).ok().map(Cow::Owned);
    }
    json.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn names() -> impl Strategy<Value = String> {
        "[ab0-1/~\"\\\\é]{0,2}"
    }

    /// JSON with nested containers, and with characters that have to be escaped.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ab,\\[\\]{}\"\\\\\n é]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                btree_map(names(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    /// The texts of a parsed value.
    fn texts(value: &Value) -> Vec<String> {
        let scalar = |value: &Value| match value {
            Value::String(text) => is_usable(text).then(|| text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        value.as_array().map_or_else(
            || scalar(value).into_iter().collect(),
            |items| items.iter().filter_map(scalar).collect(),
        )
    }

    proptest! {
        #[test]
        fn claim_in_the_text_equals_the_claim_in_parsed_values(
            claims in btree_map(names(), values(), 0..4),
            path in "/?[ab0-1/~\"\\\\é]{0,8}",
        ) {
            let claims: Map<String, Value> = claims.into_iter().collect();
            let kept = ClaimSet::from(claims.clone());
            let mut paths: Vec<String> = claims.keys().cloned().collect();
            paths.push(path);
            for path in paths.iter().filter_map(|path| ClaimPath::parse(path).ok()) {
                let expected = path.find(&claims);
                for _ in 0..2 {
                    let found = kept.find(&path);
                    let json = found.map(|Claim(json)| serde_json::from_str::<Value>(json).unwrap());
                    prop_assert_eq!(json.as_ref(), expected, "{:?}", path);
                    let found_texts: Vec<_> = found.into_iter().flat_map(Claim::texts).collect();
                    prop_assert_eq!(found_texts, expected.map(texts).unwrap_or_default());
                    prop_assert_eq!(
                        found.is_some_and(Claim::is_list), expected.is_some_and(Value::is_array)
                    );
                }
            }
            let sum: usize = kept.sizes().iter().map(|(_, bytes)| bytes + 1).sum();
            prop_assert!(sum <= kept.bytes() + 1);
        }
    }

    #[test]
    fn claims_without_names_keep_the_others() {
        let claims = json!({"sub": "1", "a": ["x"], "b": {"c": 1}});
        let kept = ClaimSet::from(claims.as_object().unwrap().clone());
        let path = |text| ClaimPath::parse(text).unwrap();
        assert!(kept.find(&path("/b/c")).is_some());
        let left = kept.without(&BTreeSet::from(["a".to_owned()]));
        assert_eq!(Value::from(left.read()), json!({"sub": "1", "b": {"c": 1}}));
        assert!(left.find(&path("a")).is_none() && left.find(&path("/b/c")).is_some());
    }

    /// Checks claims in a provider's text.
    #[track_caller]
    fn check(text: &str) {
        let claims: Map<String, Value> = serde_json::from_str(text).unwrap();
        let kept = ClaimSet::from(claims.clone());
        assert_eq!(kept.read(), claims, "{text}");
        assert_eq!(kept.bytes(), Value::from(claims).to_string().len());
        assert_eq!(kept.clone(), kept);
    }

    #[test]
    fn claims_are_read_unchanged() {
        check("{}");
        check(
            r#"{"sub": "1", "groups": ["a", null, {"b": [true]}], "n\u0000\"\\": "\ud83d\ude00"}"#,
        );
        check(r#"{"n": [0, -1, 18446744073709551615, -9223372036854775808, 1e300, 5e-324]}"#);
        let deep = format!(r#"{{"deep": {}{}}}"#, "[".repeat(120), "]".repeat(120));
        check(&deep);
    }

    /// A parser that is not exact changes the last digit.
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
