//! The token, userinfo and revocation endpoints (RFC 6749 §3.2, OIDC Core §3.1.3 and §5.3, RFC 7009).

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::demo::form::Form;
use crate::demo::grants::{Authorization, FamilyId, GrantType, InvalidGrant, RefreshTokens};
use crate::demo::identity_provider::{DemoProvider, ProviderState, RegisteredClient};
use crate::demo::json_response::JsonResponse;
use crate::jose::{Algorithm, Error};
use crate::secret::Secret;

impl DemoProvider {
    pub(super) fn token(&self, request: &Request<Bytes>) -> JsonResponse {
        let (form, client) = match self.authenticated(request) {
            Ok(authenticated) => authenticated,
            Err(error) => return error,
        };
        let mut state = self.state();
        let grants = &mut state.grants;
        let Some(grant_type) = form.get("grant_type") else {
            return bad_request("invalid_request", "no grant_type");
        };
        let Some(grant) = GrantType::of_type(grant_type) else {
            return bad_request("unsupported_grant_type", "unknown grant_type");
        };
        let family = match grant {
            GrantType::SignIn => grants.exchange_code(
                form.get("code").unwrap_or_default(),
                &client.id,
                form.get("redirect_uri"),
                form.get("code_verifier"),
                self.clock.moment(),
            ),
            GrantType::Refresh => {
                let token = form.get("refresh_token").unwrap_or_default();
                grants.refresh(token, &client.id, self.settings.refresh_tokens)
            }
        };
        match family {
            Ok(family) => self.issue(&mut state, grant, family),
            Err(InvalidGrant(why)) => bad_request("invalid_grant", why),
        }
    }

    /// The successful response (RFC 6749 §5.1, OIDC Core §3.1.3.3).
    fn issue(&self, state: &mut ProviderState, grant: GrantType, family: FamilyId) -> JsonResponse {
        let (now, lifetime) = (self.clock.moment(), self.settings.access_token_lifetime);
        let Some(authorization) = state.grants.authorization(family).cloned() else {
            return bad_request("invalid_grant", "the grant was revoked");
        };
        let access_token = state.grants.issue_access_token(family, now, lifetime);
        let Ok(id_token) = self.id_token(state, grant, &authorization, &access_token) else {
            return JsonResponse::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "cannot sign the ID token",
            );
        };
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put("access_token", json!(access_token));
        put("token_type", json!("Bearer"));
        put("expires_in", json!(lifetime.as_secs()));
        put("scope", json!(authorization.scope));
        put("id_token", json!(id_token));
        let first = grant == GrantType::SignIn;
        match self.settings.refresh_tokens {
            RefreshTokens::Never => {}
            RefreshTokens::Fixed if !first => {}
            RefreshTokens::Fixed | RefreshTokens::Rotating | RefreshTokens::RotatingStrictly => {
                put("refresh_token", json!(state.grants.issue_refresh_token(family)));
            }
        }
        JsonResponse::ok(members)
    }

    /// Claims of OIDC Core §2; after a refresh those of §12.2.
    fn id_token(
        &self,
        state: &ProviderState,
        grant: GrantType,
        authorization: &Authorization,
        access_token: &str,
    ) -> Result<String, Error> {
        let now = self.clock.unix().0;
        let sign_in = &authorization.sign_in;
        let account = state.account(&sign_in.username);
        let mut claims =
            account.map(|account| account.claims(&authorization.scope)).unwrap_or_default();
        let mut put = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        put("iss", json!(self.issuer));
        put("aud", json!(authorization.client_id));
        put("iat", json!(now));
        put("exp", json!(now + ID_TOKEN_SECONDS));
        put("auth_time", json!(sign_in.auth_time.0));
        put("sid", json!(sign_in.sid));
        put("at_hash", json!(half_hash(self.settings.algorithm, access_token)));
        if let Some(acr) = &authorization.acr {
            put("acr", json!(acr));
        }
        if let (GrantType::SignIn, Some(nonce)) = (grant, &authorization.nonce) {
            put("nonce", json!(nonce));
        }
        state.keys.main().sign("JWT", &claims)
    }

    pub(super) fn userinfo(&self, request: &Request<Bytes>) -> JsonResponse {
        let rejected = || {
            JsonResponse::error(StatusCode::UNAUTHORIZED, "invalid_token", "unknown access token")
                .challenge(r#"Bearer error="invalid_token""#)
        };
        let token = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let claims = token.and_then(|token| {
            let state = self.state();
            let authorization = state.grants.accessed(token, self.clock.moment())?;
            Some(state.account(&authorization.sign_in.username)?.claims(&authorization.scope))
        });
        claims.map_or_else(rejected, JsonResponse::ok)
    }

    /// Returns 200 for any token (RFC 7009 §2.2).
    pub(super) fn revocation(&self, request: &Request<Bytes>) -> JsonResponse {
        match self.authenticated(request) {
            Ok((form, client)) => {
                let token = form.get("token").unwrap_or_default();
                self.state().grants.revoke(token, &client.id);
                JsonResponse::ok(Map::new())
            }
            Err(error) => error,
        }
    }

    /// The form and the client that sent it (RFC 6749 §2.3).
    fn authenticated(
        &self,
        request: &Request<Bytes>,
    ) -> Result<(Form, RegisteredClient), JsonResponse> {
        let form = Form::parse(request.body())
            .ok_or_else(|| bad_request("invalid_request", "a parameter is repeated"))?;
        let basic = match request.headers().get(header::AUTHORIZATION) {
            Some(value) => {
                Some(basic(value.to_str().unwrap_or_default()).ok_or_else(unknown_client)?)
            }
            None => None,
        };
        let (id, secret) = match (basic, form.owned("client_secret")) {
            // One method only (RFC 6749 §2.3).
            (Some(_), Some(_)) => {
                return Err(bad_request(
                    "invalid_request",
                    "more than one client authentication method",
                ));
            }
            (Some((id, secret)), None) => (id, Some(secret)),
            (None, secret) => (form.owned("client_id").unwrap_or_default(), secret),
        };
        let secret = secret.map(Secret::new);
        let state = self.state();
        let client = state.client(&id).filter(|client| client.secret == secret);
        Ok((form, client.cloned().ok_or_else(unknown_client)?))
    }
}

/// Both halves are form-urlencoded before they are joined (RFC 6749 §2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let pair = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned()).ok()
    };
    Some((decoded(id)?, decoded(secret)?))
}

fn unknown_client() -> JsonResponse {
    JsonResponse::error(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "unknown client or wrong secret",
    )
    .challenge(r#"Basic realm="demo""#)
}

fn bad_request(code: &str, description: &str) -> JsonResponse {
    JsonResponse::error(StatusCode::BAD_REQUEST, code, description)
}

/// The left half of the hash, with the hash of the algorithm (OIDC Core §3.1.3.6).
fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::ES512 | Algorithm::EdDSA => &SHA512,
    };
    let full = digest::digest(hash, text.as_bytes());
    let half = full.as_ref().len() / 2;
    URL_SAFE_NO_PAD.encode(full.as_ref().get(..half).unwrap_or_default())
}

const ID_TOKEN_SECONDS: i64 = 300;
