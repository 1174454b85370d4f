//! Sign-ins, codes, access tokens and refresh tokens of the demo provider.
//! Invariant: all tokens of one authorization are one family and end together. A code is valid once, and its second
//! use ends the tokens of the first one (RFC 6749 §4.1.2).

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::{Moment, UnixTime};
use crate::random;

/// How refresh tokens behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokens {
    /// None are issued.
    Never,
    /// One, which is valid until revoked and not sent again.
    Fixed,
    /// A new one at each use. The previous one stays valid, in case the response was lost.
    Rotating,
    /// A new one at each use. The use of an older one ends the family (RFC 9700 §4.14.2).
    RotatingStrictly,
}

/// A grant type of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// `authorization_code`.
    SignIn,
    /// `refresh_token`.
    Refresh,
}

impl GrantType {
    /// The grant type with this name.
    pub fn of_type(grant_type: &str) -> Option<Self> {
        match grant_type {
            "authorization_code" => Some(Self::SignIn),
            "refresh_token" => Some(Self::Refresh),
            _ => None,
        }
    }
}

/// Why a code or refresh token is rejected, as `error_description` of `invalid_grant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidGrant(pub(super) &'static str);

/// A browser that is signed in at the provider.
#[derive(Clone, Debug)]
pub(super) struct SignIn {
    pub(super) username: String,
    pub(super) sid: String,
    pub(super) auth_time: UnixTime,
}

/// The authorization of a client by a user.
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    pub(super) sign_in: SignIn,
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) acr: Option<String>,
}

/// The redirect URI and PKCE challenge of a code.
#[derive(Clone, Debug)]
pub(super) struct CodeBinding {
    pub(super) redirect_uri: String,
    /// `code_challenge`, method S256.
    pub(super) challenge: Option<String>,
}

/// Identifies all tokens of one authorization.
pub(super) type FamilyId = u64;

/// All sign-ins, codes and tokens.
#[derive(Debug, Default)]
pub(super) struct Grants {
    sign_ins: HashMap<String, SignIn>,
    codes: HashMap<String, Code>,
    access: HashMap<String, (FamilyId, Moment)>,
    refresh: HashMap<String, (FamilyId, u64)>,
    families: HashMap<FamilyId, Family>,
    next_family: FamilyId,
}

#[derive(Debug)]
struct Code {
    authorization: Authorization,
    binding: CodeBinding,
    expires: Moment,
    used_for: Option<FamilyId>,
}

#[derive(Debug)]
struct Family {
    authorization: Authorization,
    /// How often the refresh token was replaced.
    generation: u64,
}

impl Grants {
    /// Signs a browser in. Returns its cookie value and the sign-in.
    pub(super) fn sign_in(&mut self, username: &str, now: UnixTime) -> (String, SignIn) {
        let sign_in =
            SignIn { username: username.to_owned(), sid: random::text::<16>(), auth_time: now };
        let cookie = random::text::<32>();
        self.sign_ins.insert(cookie.clone(), sign_in.clone());
        (cookie, sign_in)
    }

    /// The sign-in of a browser with this cookie.
    pub(super) fn signed_in(&self, cookie: &str) -> Option<&SignIn> {
        self.sign_ins.get(cookie)
    }

    /// The `sid` of the latest sign-in of a user.
    pub(super) fn sid_of(&self, username: &str) -> Option<&str> {
        self.sign_ins
            .values()
            .filter(|sign_in| sign_in.username == username)
            .max_by_key(|sign_in| sign_in.auth_time)
            .map(|sign_in| sign_in.sid.as_str())
    }

    /// Issues a code, which is valid once.
    pub(super) fn issue_code(
        &mut self,
        authorization: Authorization,
        binding: CodeBinding,
        now: Moment,
    ) -> String {
        // Codes are kept for a while after they expire, to detect a second use.
        self.codes.retain(|_, code| code.expires.after(CODE_MEMORY) > now);
        let (code, expires) = (random::text::<32>(), now.after(CODE_LIFETIME));
        let issued = Code { authorization, binding, expires, used_for: None };
        self.codes.insert(code.clone(), issued);
        code
    }

    /// Exchanges a code for a new family (RFC 6749 §4.1.3, RFC 7636 §4.6).
    pub(super) fn exchange_code(
        &mut self,
        code: &str,
        client_id: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        now: Moment,
    ) -> Result<FamilyId, InvalidGrant> {
        let code = self.codes.get_mut(code).ok_or(InvalidGrant("unknown code"))?;
        if let Some(family) = code.used_for {
            self.families.remove(&family);
            return Err(InvalidGrant("the code was already used"));
        }
        if code.authorization.client_id != client_id {
            return Err(InvalidGrant("the code belongs to another client"));
        }
        self.next_family += 1;
        // The code is used up, even if a check below fails.
        code.used_for = Some(self.next_family);
        if code.expires <= now {
            return Err(InvalidGrant("the code has expired"));
        }
        if redirect_uri != Some(code.binding.redirect_uri.as_str()) {
            return Err(InvalidGrant(
                "redirect_uri differs from that of the authorization request",
            ));
        }
        if verifier.map(challenge_of) != code.binding.challenge {
            return Err(InvalidGrant("code_verifier does not match"));
        }
        let family = Family { authorization: code.authorization.clone(), generation: 0 };
        self.families.insert(self.next_family, family);
        Ok(self.next_family)
    }

    /// Uses a refresh token (RFC 6749 §6).
    pub(super) fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        kind: RefreshTokens,
    ) -> Result<FamilyId, InvalidGrant> {
        let (id, generation) =
            *self.refresh.get(token).ok_or(InvalidGrant("unknown refresh token"))?;
        let family = self.families.get_mut(&id).ok_or(InvalidGrant("the grant was revoked"))?;
        if family.authorization.client_id != client_id {
            return Err(InvalidGrant("the refresh token belongs to another client"));
        }
        match kind {
            RefreshTokens::Never => {
                return Err(InvalidGrant("this provider issues no refresh tokens"));
            }
            RefreshTokens::Fixed => return Ok(id),
            RefreshTokens::Rotating if generation + 1 >= family.generation => {}
            RefreshTokens::RotatingStrictly if generation == family.generation => {}
            RefreshTokens::Rotating => return Err(InvalidGrant("the refresh token was replaced")),
            RefreshTokens::RotatingStrictly => {
                self.families.remove(&id);
                return Err(InvalidGrant("the refresh token was already used"));
            }
        }
        family.generation += 1;
        Ok(id)
    }

    /// Issues an access token of a family.
    pub(super) fn issue_access_token(
        &mut self,
        family: FamilyId,
        now: Moment,
        lifetime: Duration,
    ) -> String {
        self.access.retain(|_, (_, expires)| *expires > now);
        let token = random::text::<32>();
        self.access.insert(token.clone(), (family, now.after(lifetime)));
        token
    }

    /// Issues a refresh token of the current generation of a family.
    pub(super) fn issue_refresh_token(&mut self, family: FamilyId) -> String {
        let generation = self.families.get(&family).map_or(0, |family| family.generation);
        let token = random::text::<32>();
        self.refresh.insert(token.clone(), (family, generation));
        token
    }

    /// The authorization of a family.
    pub(super) fn authorization(&self, family: FamilyId) -> Option<&Authorization> {
        self.families.get(&family).map(|family| &family.authorization)
    }

    /// The authorization of a valid access token.
    pub(super) fn accessed(&self, token: &str, now: Moment) -> Option<&Authorization> {
        let (family, expires) = self.access.get(token)?;
        (*expires > now).then(|| self.authorization(*family))?
    }

    /// Revokes an access token, or the family of a refresh token (RFC 7009 §2.1).
    pub(super) fn revoke(&mut self, token: &str, client_id: &str) {
        let of_client = |grants: &Self, family| {
            grants.authorization(family).is_some_and(|granted| granted.client_id == client_id)
        };
        if let Some((family, _)) = self.refresh.get(token).copied() {
            if of_client(self, family) {
                self.end_families(|id, _| id == family);
            }
        } else if let Some((family, _)) = self.access.get(token).copied()
            && of_client(self, family)
        {
            self.access.remove(token);
        }
    }

    /// Ends a sign-in and its tokens.
    pub(super) fn sign_out(&mut self, sid: &str) {
        self.sign_ins.retain(|_, sign_in| sign_in.sid != sid);
        self.end_families(|_, authorization| authorization.sign_in.sid == sid);
    }

    /// Ends all sign-ins and tokens of a user.
    pub(super) fn forget(&mut self, username: &str) {
        self.sign_ins.retain(|_, sign_in| sign_in.username != username);
        self.end_families(|_, authorization| authorization.sign_in.username == username);
    }

    /// Ends all codes and tokens. Browsers stay signed in.
    pub(super) fn revoke_all(&mut self) {
        self.end_families(|_, _| true);
        self.codes.clear();
    }

    fn end_families(&mut self, ends: impl Fn(FamilyId, &Authorization) -> bool) {
        self.families.retain(|id, family| !ends(*id, &family.authorization));
        let alive = &self.families;
        self.access.retain(|_, (family, _)| alive.contains_key(family));
        self.refresh.retain(|_, (family, _)| alive.contains_key(family));
    }
}

/// BASE64URL(SHA256(code_verifier)) (RFC 7636 §4.2).
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

const CODE_LIFETIME: Duration = Duration::from_secs(60);
const CODE_MEMORY: Duration = Duration::from_secs(600);
