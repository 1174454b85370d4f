//! The endpoints that every authorization server has.
//! Source: RFC 6749, RFC 7009, RFC 7636, OpenID Connect Core, RP-Initiated Logout.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use portcullis::jose::{Algorithm, SigningKey};
use serde_json::{Map, Value, json};
use url::Url;

use super::Fault;
use super::answer::{Answer, empty, form_answer, form_page, json_answer, redirect};
use super::client::{CLIENT_ID, authenticates, is_basic, scope_of_service_account};
use super::data::{Pkce, RefreshToken, fill, fill_members};
use super::engine::{Received, State};
use super::grants::Grant;

impl State {
    /// Values for the texts of the data.
    pub(super) fn known(&self, grant: Option<&Grant>) -> BTreeMap<&'static str, Value> {
        let lifetime = self.data.token.body.get("expires_in").and_then(Value::as_i64);
        let nonce = grant.and_then(|grant| grant.nonce.clone());
        BTreeMap::from([
            ("origin", json!(self.origin)),
            ("client_id", json!(CLIENT_ID)),
            ("now", json!(self.now)),
            ("exp", json!(self.now + lifetime.unwrap_or(3600))),
            ("nonce", json!(nonce)),
            ("scope", json!(grant.map(|grant| &grant.scope))),
            ("100 groups", (1..=100).map(|number| format!("group-{number:03}")).collect()),
        ])
    }

    /// RFC 6749 §4.1.1, OIDC Core §3.1.2.1.
    pub(super) fn authorization(&mut self, request: &Received) -> Answer {
        let data = self.data.clone();
        let of = |name| request.query(name).unwrap_or_default().to_owned();
        let (state, redirect_uri, scope) = (of("state"), of("redirect_uri"), of("scope"));
        self.check_authorization(request);
        let Ok(mut to) = Url::parse(&redirect_uri) else { return empty(400) };
        let state = match data.authorization.decodes_state_twice {
            true => percent_decode_str(&state.replace('+', " ")).decode_utf8_lossy().into_owned(),
            false => state,
        };
        let mut fields = vec![("state".to_owned(), state)];
        let refused = |scope: &str| data.authorization.refused_scopes.iter().any(|it| it == scope);
        if scope.split(' ').any(refused) {
            fields.push(("error".to_owned(), "invalid_scope".to_owned()));
        } else {
            let has_refresh_token = match &data.token.refresh_token {
                RefreshToken::Always => true,
                RefreshToken::Never => false,
                RefreshToken::Scope(wanted) => scope.split(' ').any(|scope| scope == wanted),
                RefreshToken::Parameter(name, value) => request.query(name) == Some(value),
            };
            let code = self.grants.code_for(Grant {
                redirect_uri: redirect_uri.clone(),
                nonce: request.query("nonce").map(str::to_owned),
                scope,
                challenge: request.query("code_challenge").map(str::to_owned),
                has_refresh_token,
            });
            fields.push(("code".to_owned(), code));
        }
        let known = self.known(None);
        for (name, value) in &data.authorization.answer {
            let value = fill(&json!(value), &known).unwrap();
            fields.push((name.clone(), value.as_str().unwrap().to_owned()));
        }
        if of("response_mode") == "form_post" {
            return form_page(&redirect_uri, &fields);
        }
        if data.authorization.form_post {
            return self.data.error("invalid_request").answer();
        }
        to.query_pairs_mut().extend_pairs(fields);
        redirect(&to)
    }

    /// What every authorization request must have.
    fn check_authorization(&mut self, request: &Received) {
        let of = |name| request.query(name).unwrap_or_default();
        let has_nonce =
            self.data.id_token.is_some() && of("scope").split(' ').any(|it| it == "openid");
        let has_pkce = self.data.token.pkce != Pkce::Rejected;
        let is_s256 = of("code_challenge_method") == "S256" && of("code_challenge").len() == 43;
        for (what, is_right) in [
            ("response_type", of("response_type") == "code"),
            ("client_id", of("client_id") == CLIENT_ID),
            ("state", (43..=800).contains(&of("state").len())),
            ("redirect_uri", of("redirect_uri").contains("/oauth2/callback")),
            ("nonce", !has_nonce || of("nonce").len() >= 22),
            ("PKCE", !has_pkce || is_s256),
        ] {
            if !is_right {
                self.complain(format!("authorization request: {what}: {:?}", request.query));
            }
        }
    }

    pub(super) fn token(&mut self, request: &Received) -> Answer {
        let data = self.data.clone();
        let (status, body) = match self.grant_of(request) {
            Ok((at, grant)) => (200, self.tokens(at, &grant, request.form("grant_type")).into()),
            Err(name) => {
                let error = data.error(name);
                (error.status, error.body)
            }
        };
        let accepts_json =
            request.header("accept").is_some_and(|accept| accept.contains("application/json"));
        if data.token.json_is_asked_for && !accepts_json {
            return form_answer(status, &body);
        }
        json_answer(status, &body)
    }

    /// The grant for which a token request asks, or the name of the error.
    fn grant_of(&mut self, request: &Received) -> Result<(usize, Grant), &'static str> {
        let token = self.data.token.clone();
        if let (Some(assertion), Some(account)) =
            (request.form("assertion"), &token.service_account)
        {
            let audience = format!("{}{}", self.origin, token.path);
            let scope = scope_of_service_account(assertion, account, &audience);
            return scope
                .map(|scope| self.grants.add(Grant { scope, ..Grant::default() }))
                .ok_or("invalid_grant");
        }
        if !authenticates(&token, request) {
            return Err("invalid_client");
        }
        if token.pkce == Pkce::Rejected && request.form("code_verifier").is_some() {
            return Err("invalid_client");
        }
        match request.form("grant_type") {
            Some("authorization_code") if self.has_fault(Fault::CodeSpent, TOKEN) => {
                Err("invalid_grant")
            }
            Some("authorization_code") => {
                let code = request.form("code").unwrap_or_default();
                if self.grants.is_spent(code) {
                    self.complain("a code was sent twice");
                }
                let (at, grant) = self.grants.take_code(code).ok_or("invalid_grant")?;
                if request.form("redirect_uri") != Some(&grant.redirect_uri) {
                    self.complain("another redirect_uri in the token request");
                }
                let challenge = request
                    .form("code_verifier")
                    .map(|verifier| URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())));
                if token.pkce == Pkce::Checked && challenge != grant.challenge {
                    return Err("invalid_grant");
                }
                Ok((at, grant))
            }
            Some("refresh_token") if self.has_fault(Fault::RefreshRefused, TOKEN) => {
                Err("refresh_refused")
            }
            Some("refresh_token") => {
                let refresh_token = request.form("refresh_token").unwrap_or_default();
                let found = self.grants.take_refresh_token(refresh_token, token.rotates);
                found.ok_or("refresh_refused")
            }
            _ => Err("unsupported_grant_type"),
        }
    }

    /// A good answer.
    fn tokens(&mut self, at: usize, grant: &Grant, grant_type: Option<&str>) -> Map<String, Value> {
        let data = self.data.clone();
        let mut known = self.known(Some(grant));
        let is_refresh = grant_type == Some("refresh_token");
        let access_token = match &data.access_token {
            Some(claims) => KEY.sign("JWT", &fill_members(claims, &known)).unwrap(),
            None => self.grants.name("access"),
        };
        self.grants.add_access_token(&access_token, at);
        let new_refresh_token = grant.has_refresh_token && (data.token.rotates || !is_refresh);
        let refresh_token = new_refresh_token.then(|| self.grants.name("refresh"));
        if let Some(token) = &refresh_token {
            self.grants.add_refresh_token(token, at);
        }
        let half = &digest(&SHA256, access_token.as_bytes()).as_ref()[..16].to_owned();
        known.insert("at_hash", json!(URL_SAFE_NO_PAD.encode(half)));
        known.insert("access_token", json!(access_token));
        known.insert("refresh_token", json!(refresh_token));
        let is_openid = grant.scope.split(' ').any(|scope| scope == "openid");
        let id_token = data.id_token.filter(|_| is_openid).map(|mut claims| {
            if is_refresh {
                // A refresh may leave it out (OIDC Core §12.2).
                claims.remove("nonce");
            }
            KEY.sign("JWT", &fill_members(&claims, &known)).unwrap()
        });
        known.insert("id_token", json!(id_token));
        let of_refresh = data.token.body_of_refresh.filter(|_| is_refresh);
        fill_members(&of_refresh.unwrap_or(data.token.body), &known)
    }

    /// RFC 7009.
    pub(super) fn revocation(&mut self, request: &Received) -> Answer {
        if !authenticates(&self.data.token, request) {
            return self.data.error("invalid_client").answer();
        }
        self.grants.revoke(request.form("token").unwrap_or_default());
        empty(200)
    }

    /// GitHub, "Delete an app token".
    pub(super) fn github_revocation(&mut self, request: &Received) -> Answer {
        let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        match (basic.is_some_and(is_basic), body["access_token"].as_str()) {
            (true, Some(token)) => {
                self.grants.revoke(token);
                empty(204)
            }
            _ => json_answer(404, &json!({ "message": "Not Found" })),
        }
    }

    /// RP-Initiated Logout, or what this provider has in its place.
    pub(super) fn end_session(&mut self, request: &Received) -> Answer {
        let Some(end_session) = self.data.end_session.clone() else { return empty(404) };
        let missing = end_session.required.iter().find(|name| request.query(name).is_none());
        if let Some(name) = missing {
            self.complain(format!("end of the session: no {name}: {:?}", request.query));
            return empty(400);
        }
        match request.query(&end_session.back).map(Url::parse) {
            Some(Ok(mut back)) => {
                if let Some(state) = request.query("state") {
                    back.query_pairs_mut().append_pair("state", state);
                }
                redirect(&back)
            }
            _ => empty(200),
        }
    }
}

/// The token endpoint, among the resources of a fault.
pub(crate) const TOKEN: &str = "token";

/// Signs the ID tokens of all engines. To make an RSA key takes a while.
pub(super) static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::RS256).unwrap());
