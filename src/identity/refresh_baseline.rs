//! The refresh baseline: what the claims of a refresh are compared with (OIDC Core §12.2).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::identity::claim_set::ClaimSet;

/// What a refresh needs from the sign-in or the refresh before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshBaseline {
    /// What later ID tokens must have in common with the first one.
    pub binding: IdTokenBinding,
    /// The claims of the ID token alone, if others were added to them: a claim that its source no longer contains must not
    /// stay after a refresh.
    pub id_token_claims: Option<OwnClaims>,
    /// Whether userinfo was requested. A refresh then requests it again.
    pub has_userinfo: bool,
    /// Since when claims or groups cannot be fetched for now. Until then they were those that the provider had.
    pub stale_since: Option<UnixTime>,
}

impl RefreshBaseline {
    /// The baseline of a sign-in whose ID token had all claims.
    pub fn of(binding: IdTokenBinding) -> Self {
        Self { binding, id_token_claims: None, has_userinfo: false, stale_since: None }
    }
}

/// The claims of the ID token alone, stored as their difference to the claims of the identity, whose text is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnClaims {
    all: ClaimSet,
    /// Names of those that userinfo has too.
    confirmed: BTreeSet<String>,
    /// Names of claims that came from userinfo.
    added: BTreeSet<String>,
    /// Claims of the ID token that the identity has not, or with another value.
    differing: ClaimSet,
}

impl OwnClaims {
    /// `own` are the claims of the ID token, `confirmed` the names of those that userinfo has too, `all` the claims of
    /// the identity.
    pub fn new(own: Map<String, Value>, confirmed: BTreeSet<String>, all: &ClaimSet) -> Self {
        let claims = all.read();
        let added = claims.keys().filter(|name| !own.contains_key(*name)).cloned().collect();
        let differs = |(name, value): &(String, Value)| claims.get(name) != Some(value);
        let differing: Map<String, Value> = own.into_iter().filter(differs).collect();
        Self { all: all.clone(), confirmed, added, differing: differing.into() }
    }

    /// For a store: the claims of the identity, the names of the ID token that userinfo has too, those that the ID token
    /// has not, and the claims that differ.
    pub fn parts(&self) -> (&ClaimSet, [&BTreeSet<String>; 2], &ClaimSet) {
        (&self.all, [&self.confirmed, &self.added], &self.differing)
    }

    /// The reverse of [`Self::parts`].
    pub fn of_parts(all: ClaimSet, names: [BTreeSet<String>; 2], differing: ClaimSet) -> Self {
        let [confirmed, added] = names;
        Self { all, confirmed, added, differing }
    }

    /// The claims of the ID token.
    pub fn read(&self) -> Map<String, Value> {
        let mut claims = self.all.read();
        claims.retain(|name, _| !self.added.contains(name));
        claims.extend(self.differing.read());
        claims
    }

    /// The claims that only the ID token has: what became of the others since, a newer userinfo says.
    pub fn read_unconfirmed(&self) -> Map<String, Value> {
        let mut claims = self.read();
        claims.retain(|name, _| !self.confirmed.contains(name));
        claims
    }

    /// Bytes in addition to those of the identity's claims.
    pub fn bytes(&self) -> usize {
        let names = self.added.iter().chain(&self.confirmed);
        self.differing.bytes() + names.map(String::len).sum::<usize>()
    }

    /// The same without the claims with these names; `all` are the claims of the identity without them.
    #[must_use]
    pub fn without(&self, names: &BTreeSet<String>, all: &ClaimSet) -> Self {
        let [confirmed, added] =
            [&self.confirmed, &self.added].map(|kept| kept.difference(names).cloned().collect());
        Self { all: all.clone(), confirmed, added, differing: self.differing.without(names) }
    }
}

/// What the ID token of a refresh must have in common with that of the sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenBinding {
    /// `sub`.
    pub subject: Arc<str>,
    /// `nonce`.
    pub nonce: String,
    /// `auth_time`, if it was present.
    pub auth_time: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn own_claims_are_those_of_the_id_token() {
        let own = object(json!({"sub": "1", "email": "a@b.c", "big": "x", "n": [1]}));
        let all = object(json!({"sub": "1", "email": null, "big": "x", "n": [1], "groups": ["g"]}));
        let all = ClaimSet::from(all);
        let confirmed = BTreeSet::from(["n".to_owned()]);
        let kept = OwnClaims::new(own.clone(), confirmed, &all);
        assert_eq!(kept.read(), own);
        let unconfirmed = json!({"sub": "1", "email": "a@b.c", "big": "x"});
        assert_eq!(Value::from(kept.read_unconfirmed()), unconfirmed);
        assert!(kept.bytes() < 40, "{kept:?}");
        let names = BTreeSet::from(["big".to_owned(), "email".to_owned()]);
        let left = kept.without(&names, &all.without(&names));
        assert_eq!(Value::from(left.read()), json!({"sub": "1", "n": [1]}));
    }
}
