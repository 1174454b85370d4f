//! `session.max_bytes`: the most bytes of claims and tokens in one session, and what is dropped above it.
//! Invariant: a claim that a rule, a header or a page uses is never dropped, because its absence could change
//! a decision.

use std::collections::BTreeSet;

use crate::identity::Identity;
use crate::identity::refresh_baseline::{OwnClaims, RefreshBaseline};
use crate::session::data::{SessionData, Tokens};

/// The limit, and what must not be dropped.
#[derive(Clone, Debug, Default)]
pub struct SizeLimit {
    /// Bytes of claims and tokens.
    pub max_bytes: usize,
    /// Names of the claims that the configuration uses; other claims may be dropped.
    pub used_claims: BTreeSet<String>,
    /// Whether a header uses the ID token.
    pub id_token: TokenUse,
    /// Whether a header or a recheck uses the access token. Userinfo of the sign-in does not: it was requested before.
    pub access_token: TokenUse,
}

/// The use of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenUse {
    /// No header contains it.
    #[default]
    NoHeader,
    /// No header contains it, but a recheck sends it if there is no refresh token.
    Recheck,
    /// A header of some route contains it.
    Header,
}

/// The session is too large, and nothing more can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("claims and tokens have {bytes} bytes, but session.max_bytes is {max_bytes}")]
pub struct TooLarge {
    /// Bytes that are left after dropping.
    pub bytes: usize,
    /// The limit.
    pub max_bytes: usize,
}

/// Names of what was dropped, for the log; nearly always empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped(Vec<String>);

impl Dropped {
    /// Whether nothing was dropped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl SizeLimit {
    /// The part that a session stores. Drops the largest unused claims first, then the ID token (a sign-out at
    /// the provider is then without `id_token_hint`), then the access token.
    pub fn fit(
        &self,
        mut identity: Identity,
        mut baseline: RefreshBaseline,
        mut tokens: Tokens,
    ) -> Result<(SessionData, Dropped), TooLarge> {
        let mut dropped = Dropped::default();
        let names = self.claims_to_drop(&identity, bytes(&identity, &baseline, &tokens));
        if !names.is_empty() {
            identity.claims = identity.claims.without(&names);
            let own = baseline.id_token_claims;
            baseline.id_token_claims = own.map(|own| own.without(&names, &identity.claims));
            dropped.0.extend(names.iter().map(|name| format!("the claim {name:?}")));
        }
        let is_over = |tokens: &Tokens| bytes(&identity, &baseline, tokens) > self.max_bytes;
        if self.id_token == TokenUse::NoHeader
            && is_over(&tokens)
            && tokens.id_token.take().is_some()
        {
            dropped.0.push("the ID token".to_owned());
        }
        let is_needed = match self.access_token {
            TokenUse::NoHeader => false,
            TokenUse::Recheck => tokens.refresh_token.is_none(),
            TokenUse::Header => true,
        };
        if !is_needed && is_over(&tokens) && tokens.access_token.take().is_some() {
            dropped.0.push("the access token".to_owned());
        }
        let bytes = bytes(&identity, &baseline, &tokens);
        if bytes > self.max_bytes {
            return Err(TooLarge { bytes, max_bytes: self.max_bytes });
        }
        Ok((SessionData::new(identity, baseline, tokens), dropped))
    }

    /// The largest unused claims, as many as have to be dropped.
    fn claims_to_drop(&self, identity: &Identity, mut bytes: usize) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if bytes <= self.max_bytes {
            return names;
        }
        let mut unused = identity.claims.sizes();
        unused.retain(|(name, _)| !self.used_claims.contains(name));
        unused.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        for (name, size) in unused {
            if bytes <= self.max_bytes {
                break;
            }
            bytes = bytes.saturating_sub(size);
            names.insert(name);
        }
        names
    }
}

fn bytes(identity: &Identity, baseline: &RefreshBaseline, tokens: &Tokens) -> usize {
    let Tokens { access_token, refresh_token, id_token, .. } = tokens;
    let tokens = [access_token, refresh_token, id_token].into_iter().flatten();
    identity.claims.bytes()
        + baseline.id_token_claims.as_ref().map_or(0, OwnClaims::bytes)
        + tokens.map(|token| token.expose().len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::tests::person;
    use crate::oauth::token::TokenSet;
    use crate::secret::Secret;
    use crate::session::tests::{baseline, token_set};
    use std::time::Duration;

    const KIB: usize = 1024;

    fn limit(max_bytes: usize) -> SizeLimit {
        let used_claims = ["sub", "groups"].map(str::to_owned).into();
        SizeLimit { max_bytes, used_claims, ..SizeLimit::default() }
    }

    /// Fits a session with 10 KiB of groups, 10 KiB of other claims, and three tokens of 4 KiB each.
    fn fit(limit: &SizeLimit) -> Result<(SessionData, String), TooLarge> {
        let claims = json!({"sub": "1", "groups": ["g".repeat(10 * KIB)],
                            "large": "l".repeat(8 * KIB), "small": "s".repeat(2 * KIB)});
        let claims = claims.as_object().unwrap().clone().into();
        let token = || Secret::new("t".repeat(4 * KIB));
        let set = TokenSet { id_token: Some(token()), ..token_set("", 60, None) };
        let set = TokenSet { access_token: token(), refresh_token: Some(token()), ..set };
        let tokens = Tokens::new(set, Duration::from_secs(60));
        let identity = Identity { claims, ..person("1") };
        let fitted = limit.fit(identity, baseline("1"), tokens);
        fitted.map(|(data, dropped)| (data, dropped.to_string()))
    }

    #[test]
    fn largest_unused_claims_are_dropped_first_then_id_token_then_access_token() {
        let check = |kib: usize, expected: &str| {
            let limit = limit(kib * KIB);
            let (held, dropped) = fit(&limit).unwrap();
            assert_eq!(dropped, expected, "{kib} KiB");
            let left = bytes(&held.identity, &held.baseline, &held.tokens);
            assert!(left <= limit.max_bytes, "{left}");
            assert_eq!(held.identity.groups().count(), 1);
            assert!(held.tokens.refresh_token.is_some());
        };
        check(33, "");
        check(31, "the claim \"large\"");
        check(23, "the claim \"large\", the claim \"small\"");
        check(19, "the claim \"large\", the claim \"small\", the ID token");
        check(15, "the claim \"large\", the claim \"small\", the ID token, the access token");
    }

    #[test]
    fn session_over_the_limit_without_droppable_parts_is_rejected() {
        let TooLarge { bytes, max_bytes } = fit(&limit(14 * KIB)).unwrap_err();
        assert!(bytes > max_bytes && max_bytes == 14 * KIB, "{bytes}");
        let id_token = SizeLimit { id_token: TokenUse::Header, ..limit(19 * KIB) };
        assert_eq!(
            fit(&id_token).unwrap().1,
            "the claim \"large\", the claim \"small\", the access token"
        );
        let both = SizeLimit { access_token: TokenUse::Header, ..id_token };
        assert!(fit(&both).is_err());
    }

    #[test]
    fn access_token_of_a_recheck_is_dropped_only_beyond_a_refresh_token() {
        let limit = SizeLimit { access_token: TokenUse::Recheck, ..limit(6 * KIB) };
        let fit = |refresh_token: Option<&str>| {
            let set = token_set(&"a".repeat(4 * KIB), 60, refresh_token);
            let tokens = Tokens::new(set, Duration::from_secs(60));
            limit.fit(person("1"), baseline("1"), tokens)
        };
        assert!(fit(None).unwrap().0.tokens.access_token.is_some());
        let (held, dropped) = fit(Some(&"r".repeat(4 * KIB))).unwrap();
        assert_eq!(dropped.to_string(), "the access token");
        assert!(held.tokens.access_token.is_none() && held.tokens.refresh_token.is_some());
    }

    #[test]
    fn claims_in_use_and_claims_below_the_limit_stay() {
        let mut limit = limit(31 * KIB);
        limit.used_claims.insert("large".to_owned());
        let (held, dropped) = fit(&limit).unwrap();
        assert_eq!(dropped, "the claim \"small\"");
        assert!(held.identity.claims.read().contains_key("large"));
        limit.max_bytes = usize::MAX;
        let (held, _) = fit(&limit).unwrap();
        assert_eq!(held.identity.claims.read()["small"], Value::from("s".repeat(2 * KIB)));
    }
}
