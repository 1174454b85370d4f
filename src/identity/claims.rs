//! A provider's claims -> `Identity`, by configured paths.
//! Invariant: a claim with the wrong type counts as absent, and so does a text with a control character or with
//! whitespace at its start or end.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::identity::Identity;

/// A claim's name, or a JSON pointer (RFC 6901) if it starts with `/`. After [`ACCESS_TOKEN`], the same in the access
/// token: the whole path is then the name under which its value is in the claims of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath(Arc<str>);

/// Where the groups are: in a claim, or in a member of each object of a list (`/groups/*/name`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupsPath {
    claim: ClaimPath,
    member: Option<ClaimPath>,
}

/// The claims that an identity is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// `{user}`; by default `sub`.
    pub user: ClaimPath,
    /// The e-mail address; by default `email`.
    pub email: ClaimPath,
    /// The groups; by default `groups`.
    pub groups: GroupsPath,
    /// The full name; by default `name`.
    pub name: ClaimPath,
    /// The preferred user name; by default `preferred_username`.
    pub preferred_username: ClaimPath,
}

/// The beginning of paths that lead into the access token.
// SECURITY: no claim of an ID token, userinfo or profile keeps a name that begins so, so that none can imitate one of the
// access token: see `remove_imitations`.
pub const ACCESS_TOKEN: &str = "access_token:";

/// Why claims identify no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `sub` is absent, empty or not a usable text (OIDC Core §2).
    #[error("the claims have no usable `sub`")]
    NoSubject,
}

/// Makes an identity from the claims of an ID token, and of userinfo if it was requested.
pub fn identity(
    provider: &Arc<str>,
    names: &ClaimNames,
    require_email_verified: bool,
    mut claims: Map<String, Value>,
) -> Result<Identity, Error> {
    let subject: Arc<str> = claims.get("sub").and_then(text).ok_or(Error::NoSubject)?.into();
    // SECURITY: an unverified address must not grant access in any form: as {email}, as {claim:email}, as {user}, or
    // in a rule on claims. So it is removed from the claims before they are read.
    let unverified = require_email_verified && !email_is_verified(&claims, &names.email);
    let email_withheld = unverified && names.email.find(&claims).is_some();
    if unverified {
        names.email.remove_from(&mut claims);
        if !is_email_verified_true(&claims) {
            ClaimNames::default().email.remove_from(&mut claims);
        }
    }
    // Nearly always the same text: keep it once.
    let user = names
        .user
        .find(&claims)
        .and_then(name)
        .map(|user| if *user == *subject { Arc::clone(&subject) } else { user.into() });
    Ok(Identity {
        provider: Arc::clone(provider),
        subject,
        user,
        email: names.email.find(&claims).and_then(text).filter(|email| is_address(email)),
        email_withheld,
        groups_missing: false,
        most_groups: None,
        groups_claim: names.groups.clone(),
        name: names.name.find(&claims).and_then(name),
        preferred_username: names.preferred_username.find(&claims).and_then(name),
        claims: claims.into(),
    })
}

impl ClaimPath {
    /// Parses a claim's name or a JSON pointer. The error describes the fault without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(
                "is empty: write a claim's name, or a JSON pointer that starts with /".into()
            );
        }
        if text.chars().any(char::is_control) {
            return Err("contains a control character".into());
        }
        // It would be the literal name of a claim, which no provider has.
        if text.starts_with(ACCESS_TOKEN) {
            return Err(
                "begins with `access_token:`, which is possible in `providers.ID.claims` only"
                    .into(),
            );
        }
        let mut rest = text.strip_prefix('/').unwrap_or_default().chars();
        while let Some(character) = rest.next() {
            if character == '~' && !matches!(rest.next(), Some('0' | '1')) {
                return Err(
                    "is not a JSON pointer: ~ must be followed by 0 or 1 (RFC 6901 §3)".into()
                );
            }
        }
        Ok(Self(text.into()))
    }

    /// Parses the same, or one in the access token.
    pub fn parse_with_source(text: &str) -> Result<Self, String> {
        Self::parse(text.strip_prefix(ACCESS_TOKEN).unwrap_or(text))?;
        Ok(Self(text.into()))
    }

    /// The path of a kind of provider, which is valid.
    pub fn of_kind(text: &'static str) -> Self {
        Self(text.into())
    }

    /// The path in the claims of the access token, if it leads there.
    pub fn in_access_token(&self) -> Option<Self> {
        self.0.strip_prefix(ACCESS_TOKEN).map(|path| Self(path.into()))
    }

    /// The path as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value at this path; `null` is none.
    pub fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (claim, below) = self.split();
        claims.get(&*claim)?.pointer(below).filter(|value| !value.is_null())
    }

    /// Removes the value that [`find`](Self::find) finds. It follows the same path, so that they cannot differ.
    fn remove_from(&self, claims: &mut Map<String, Value>) {
        let (claim, below) = self.split();
        if let Some(value) = claims.get_mut(&*claim).and_then(|value| value.pointer_mut(below)) {
            value.take();
        }
    }

    /// The name of the claim, and the names or numbers that lead on from its value.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (claim, below) = self.split();
        std::iter::once(claim).chain(below.split('/').skip(1).map(unescape))
    }

    /// The name of the claim that the path leads into.
    pub fn claim(&self) -> Cow<'_, str> {
        self.split().0
    }

    /// A claim's name, and the JSON pointer that leads on from its value.
    fn split(&self) -> (Cow<'_, str>, &str) {
        let Some(pointer) = self.0.strip_prefix('/') else { return (Cow::Borrowed(&self.0), "") };
        let end = pointer.find('/').unwrap_or(pointer.len());
        let (claim, below) = pointer.split_at(end);
        (unescape(claim), below)
    }
}

impl GroupsPath {
    /// Parses a claim's name, or a JSON pointer in which `*` stands for each item of a list. A name of a list is no
    /// number, so that no pointer has two meanings. It may lead into the access token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_pointer = text.strip_prefix(ACCESS_TOKEN).unwrap_or(text).starts_with('/');
        let (claim, member) = match text.split_once("/*").filter(|_| is_pointer) {
            Some((claim, "")) => (claim, None),
            Some((claim, member)) if member.starts_with('/') => (claim, Some(member)),
            Some(_) | None => (text, None),
        };
        let member = member.map(ClaimPath::parse).transpose()?;
        Ok(Self { claim: ClaimPath::parse_with_source(claim)?, member })
    }

    /// The claim of a kind of provider, which is valid.
    pub fn of_kind(claim: &'static str) -> Self {
        Self { claim: ClaimPath::of_kind(claim), member: None }
    }

    /// The paths of the claim and of the member: for a store.
    pub fn parts(&self) -> (&str, Option<&str>) {
        (self.claim.as_str(), self.member.as_ref().map(ClaimPath::as_str))
    }

    /// The reverse of [`Self::parts`]; `None` if these are no paths.
    pub fn of_parts(claim: &str, member: Option<&str>) -> Option<Self> {
        let member = member.map(ClaimPath::parse).transpose().ok()?;
        Some(Self { claim: ClaimPath::parse_with_source(claim).ok()?, member })
    }

    /// The claim: a list, one text, or an object.
    pub fn claim(&self) -> &ClaimPath {
        &self.claim
    }

    /// The member of each object in the list.
    pub fn member(&self) -> Option<&ClaimPath> {
        self.member.as_ref()
    }
}

impl ClaimNames {
    /// Those that are not the default, by their keys in the configuration.
    pub fn chosen(&self) -> impl Iterator<Item = (&'static str, &ClaimPath)> {
        let default = Self::default();
        let all = [
            ("user", &self.user, default.user),
            ("email", &self.email, default.email),
            ("groups", &self.groups.claim, default.groups.claim),
            ("name", &self.name, default.name),
            ("preferred_username", &self.preferred_username, default.preferred_username),
        ];
        let chosen = all.into_iter().filter(|(_, path, default)| *path != default);
        chosen.map(|(key, path, _)| (key, path))
    }

    /// Those in the access token, each with the path in its claims.
    pub fn of_access_token(&self) -> impl Iterator<Item = (&ClaimPath, ClaimPath)> {
        self.chosen().filter_map(|(_, path)| Some((path, path.in_access_token()?)))
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        let path = |name: &str| ClaimPath(name.into());
        Self {
            user: path("sub"),
            email: path("email"),
            groups: GroupsPath { claim: path("groups"), member: None },
            name: path("name"),
            preferred_username: path("preferred_username"),
        }
    }
}

/// Removes the claims of an ID token, userinfo or profile that have the name of a path into the access token.
pub fn remove_imitations(claims: &mut Map<String, Value>) {
    claims.retain(|name, _| !name.starts_with(ACCESS_TOKEN));
}

/// Whether a text is one address: text, one `@`, text, and no whitespace.
// SECURITY: with two `@` the domain is ambiguous (`a@evil.com@example.com`).
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain =
        |part: &str| !part.is_empty() && !part.contains('@') && !part.contains(char::is_whitespace);
    plain(local) && plain(domain)
}

/// Whether the e-mail address at this path is verified: `email_verified` describes the claim `email` only (OIDC Core
/// §5.1), so an address in another claim is verified only if `email` is the same.
// SECURITY: otherwise a name that a user can choose, such as `preferred_username`, would count as an address that
// belongs to the user.
fn email_is_verified(claims: &Map<String, Value>, path: &ClaimPath) -> bool {
    let same = match (path.find(claims), ClaimNames::default().email.find(claims)) {
        (Some(Value::String(used)), Some(Value::String(verified))) => {
            used.eq_ignore_ascii_case(verified)
        }
        (used, verified) => used == verified,
    };
    same && is_email_verified_true(claims)
}

/// `email_verified`. Some providers send the boolean as a text.
fn is_email_verified_true(claims: &Map<String, Value>) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(verified)) => verified == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

/// Whether a text can be a value of a claim.
// SECURITY: servers trim header values (RFC 9110 §5.5), so "admin " would be another user in the rules and "admin" at
// the upstream.
pub fn is_usable(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| is_usable(text)).map(str::to_owned)
}

/// A user's name: a text, or a number, because many directories number users.
fn name(value: &Value) -> Option<String> {
    if value.is_number() { Some(value.to_string()) } else { text(value) }
}

/// RFC 6901 §4.
fn unescape(token: &str) -> Cow<'_, str> {
    match token.contains('~') {
        true => Cow::Owned(token.replace("~1", "/").replace("~0", "~")),
        false => Cow::Borrowed(token),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(claims: Value, names: &ClaimNames) -> Result<Identity, Error> {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        identity(&Arc::from("company"), names, true, claims)
    }

    fn alice(extra: Value) -> Identity {
        let mut claims = json!({"sub": "1", "email": "alice@example.com", "email_verified": true});
        for (name, value) in extra.as_object().unwrap() {
            claims[name] = value.clone();
        }
        read(claims, &ClaimNames::default()).unwrap()
    }

    #[test]
    fn claims_without_a_usable_subject_are_rejected() {
        for claims in [json!({}), json!({"sub": ""}), json!({"sub": 7}), json!({"sub": null})] {
            assert_eq!(read(claims, &ClaimNames::default()), Err(Error::NoSubject));
        }
    }

    #[test]
    fn unverified_email_is_removed_from_identity_and_claims() {
        for verified in [json!(false), json!("false"), json!(1), Value::Null] {
            let names = ClaimNames { user: ClaimPath("email".into()), ..ClaimNames::default() };
            let claims = json!({"sub": "1", "email": "a@example.com", "email_verified": verified});
            let identity = read(claims, &names).unwrap();
            assert_eq!((identity.email, identity.user), (None, None));
            assert!(identity.email_withheld);
            assert_eq!(identity.claims.read()["email"], Value::Null);
        }
    }

    #[test]
    fn email_of_another_claim_is_verified_only_where_it_is_the_verified_email() {
        let names = |path| ClaimNames { email: ClaimPath(path), ..ClaimNames::default() };
        let check = |path: &str, other: Value, email: Value, verified: bool, expected: bool| {
            let claims = json!({"sub": "1", "email": email, "email_verified": verified,
                                "preferred_username": other, "emails": [other]});
            let identity = read(claims, &names(path.into())).unwrap();
            let ceo = expected.then_some("ceo@example.com");
            assert_eq!(identity.email.as_deref(), ceo, "{path} {other} {email} {verified}");
            assert_eq!(identity.email_withheld, !expected, "{path} {other} {email} {verified}");
            let claims = identity.claims.read();
            let found = ClaimPath(path.into()).find(&claims).cloned();
            assert_eq!(found, expected.then_some(other), "a claim with the address stays");
            assert_eq!(claims["email"].is_null(), !verified || email.is_null());
        };
        let (ceo, mallory) = (json!("ceo@example.com"), json!("mallory@evil.example"));
        for path in ["preferred_username", "/emails/0"] {
            check(path, ceo.clone(), mallory.clone(), true, false);
            check(path, ceo.clone(), Value::Null, true, false);
            check(path, ceo.clone(), json!(["ceo@example.com"]), true, false);
            check(path, ceo.clone(), ceo.clone(), false, false);
            check(path, ceo.clone(), ceo.clone(), true, true);
            check(path, ceo.clone(), json!("CEO@example.com"), true, true);
        }
        check("email", ceo.clone(), ceo, true, true);
    }

    #[test]
    fn unverified_email_is_removed_at_every_path_where_it_is_found() {
        let claims = json!({"sub": "1", "emails": ["a@b.c", "d@e.f"], "a/b": [{"": "a@b.c"}],
                            "contact": {"mail": "a@b.c"}, "deep": [[{"m~": "a@b.c"}]]});
        for path in ["/emails/0", "/emails/1", "/a~1b/0/", "/contact/mail", "/deep/0/0/m~0"] {
            let email = ClaimPath::parse(path).unwrap();
            assert!(email.find(claims.as_object().unwrap()).is_some(), "{path}");
            let names = ClaimNames { email: email.clone(), ..ClaimNames::default() };
            let identity = read(claims.clone(), &names).unwrap();
            assert_eq!(identity.email, None, "{path}");
            assert_eq!(email.find(&identity.claims.read()), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn removed_value_is_not_found(path in "/a[/ab01+]{0,6}") {
            let claims = json!({"a": [["x"], {"": [1], "a": {"b": 0}}], "ab": "x"});
            let mut claims = claims.as_object().unwrap().clone();
            let path = ClaimPath::parse(&path).unwrap();
            path.remove_from(&mut claims);
            prop_assert_eq!(path.find(&claims), None);
        }
    }

    #[test]
    fn email_needs_exactly_one_at_sign() {
        for email in ["a@evil.com@example.com", "example.com", "@example.com", "a@", "a b@c.d"] {
            assert_eq!(alice(json!({ "email": email })).email, None, "{email}");
        }
        assert_eq!(alice(json!({})).email.as_deref(), Some("alice@example.com"));
    }

    #[test]
    fn claims_with_wrong_types_count_as_absent() {
        let identity = alice(json!({"email": {"a": 1}, "groups": "staff", "name": null}));
        assert!(identity.groups().eq(["staff"]));
        assert_eq!((identity.email, identity.name), (None, None));
        let names = ClaimNames { user: ClaimPath("number".into()), ..ClaimNames::default() };
        for (number, user) in [(json!(4711), Some("4711")), (json!(true), None), (json!([1]), None)]
        {
            let identity = read(json!({"sub": "1", "number": number}), &names).unwrap();
            assert_eq!(identity.user.as_deref(), user);
        }
        let identity = alice(json!({"groups": ["a", 1, null, ["x"], "b\r\nX: y"], "name": "a\nb"}));
        assert!(identity.groups().eq(["a", "1"]) && identity.name.is_none());
    }

    #[test]
    fn groups_are_read_from_every_form_that_providers_use() {
        let check = |path: &str, groups: Value, expected: &[&str]| {
            let names =
                ClaimNames { groups: GroupsPath::parse(path).unwrap(), ..ClaimNames::default() };
            let identity =
                read(json!({"sub": "1", "groups": groups, "a": {"groups": groups}}), &names);
            let identity = identity.unwrap();
            let found: Vec<_> = identity.groups().collect();
            assert_eq!(found, expected, "{path} {groups}");
        };
        for path in ["groups", "/groups", "/a/groups"] {
            check(path, json!(["a", "b"]), &["a", "b"]);
            check(path, json!("a"), &["a"]);
            check(
                path,
                json!({"admin": {"1": "x.example"}, "us er": {}, " b": 1}),
                &["admin", "us er"],
            );
            check(path, json!([{"name": "a"}]), &[]);
        }
        let objects =
            json!([{"name": "a", "id": 7}, {"name": " b"}, {"id": 8}, "c", {"name": ["d"]}]);
        check("/groups/*/name", objects.clone(), &["a"]);
        check("/a/groups/*/id", objects, &["7", "8"]);
        check("/groups/*/of/name", json!([{"of": {"name": "a"}}]), &["a"]);
        check("/groups/*", json!(["a", "b"]), &["a", "b"]);
        check("/groups/*/name", json!({"*": {"name": "a"}}), &[]);
        check("/groups/*/name", json!("a"), &[]);
        assert!(GroupsPath::parse("/groups/*/a~b").is_err() && GroupsPath::parse("").is_err());
    }

    #[test]
    fn text_that_a_server_would_trim_counts_as_absent() {
        for text in ["admin ", " admin", "\u{a0}admin", " "] {
            let identity = alice(json!({"name": text, "groups": ["staff", text], "role": text}));
            assert!(identity.groups().eq(["staff"]) && identity.name.is_none());
            let role = identity.claims.find(&ClaimPath("role".into())).unwrap();
            assert_eq!(role.texts().count(), 0);
            assert_eq!(read(json!({ "sub": text }), &ClaimNames::default()), Err(Error::NoSubject));
        }
        assert_eq!(alice(json!({"name": "A B"})).name.as_deref(), Some("A B"));
    }

    #[test]
    fn pointers_find_nested_claims() {
        let claims = json!({"realm_access": {"roles": ["x", "y"]}, "a/b": 1, "https://e/g": 2});
        let claims = claims.as_object().unwrap();
        let find = |path: &str| ClaimPath::parse(path).unwrap().find(claims).cloned();
        assert_eq!(find("/realm_access/roles/1"), Some(json!("y")));
        assert_eq!(find("/a~1b"), Some(json!(1)));
        assert_eq!(find("https://e/g"), Some(json!(2)));
        for nothing in ["/realm_access/none", "/realm_access/roles/+0", "/realm_access/roles/00"] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
        for wrong in ["", "/a~2", "a\nb", "access_token:/realm_access/roles"] {
            assert!(ClaimPath::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn paths_into_the_access_token_are_parsed_where_a_source_is_possible() {
        let path = ClaimPath::parse_with_source("access_token:/a/b").unwrap();
        assert_eq!(path.in_access_token(), Some(ClaimPath("/a/b".into())));
        assert_eq!(ClaimPath::parse_with_source("/a/b").unwrap().in_access_token(), None);
        let groups = GroupsPath::parse("access_token:/a/*/name").unwrap();
        assert_eq!(groups.claim().as_str(), "access_token:/a");
        assert_eq!(groups.member().map(ClaimPath::as_str), Some("/name"));
        assert_eq!(GroupsPath::parse("access_token:a/*").unwrap().member(), None);
        for wrong in ["access_token:", "access_token:/a~2", "access_token:access_token:a"] {
            assert!(ClaimPath::parse_with_source(wrong).is_err(), "{wrong}");
            assert!(GroupsPath::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn claims_with_names_of_paths_into_the_access_token_are_removed() {
        let mut claims = object(json!({"sub": "1", "access_token": "a", "access_token:": true,
                                       "access_token:/realm_access/roles": ["admin"]}));
        remove_imitations(&mut claims);
        assert_eq!(Value::from(claims), json!({"sub": "1", "access_token": "a"}));
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }
}
