//! Codes and tokens that an engine has issued.

use std::collections::{HashMap, HashSet};

/// What a user has granted in one sign-in.
#[derive(Clone, Debug, Default)]
pub(super) struct Grant {
    pub(super) redirect_uri: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    /// `code_challenge`.
    pub(super) challenge: Option<String>,
    pub(super) has_refresh_token: bool,
}

/// All of them, by code and by token.
#[derive(Debug, Default)]
pub(super) struct Grants {
    all: Vec<Grant>,
    codes: HashMap<String, usize>,
    spent: HashSet<String>,
    access_tokens: HashMap<String, usize>,
    refresh_tokens: HashMap<String, usize>,
    issued: usize,
}

impl Grants {
    /// A new grant, with its number.
    pub(super) fn add(&mut self, grant: Grant) -> (usize, Grant) {
        self.all.push(grant.clone());
        (self.all.len() - 1, grant)
    }

    /// A code for a new grant.
    pub(super) fn code_for(&mut self, grant: Grant) -> String {
        let code = self.name("code");
        let (at, _) = self.add(grant);
        self.codes.insert(code.clone(), at);
        code
    }

    /// Takes a code, which works once.
    pub(super) fn take_code(&mut self, code: &str) -> Option<(usize, Grant)> {
        let at = self.codes.remove(code)?;
        self.spent.insert(code.to_owned());
        Some((at, self.all[at].clone()))
    }

    pub(super) fn is_spent(&self, code: &str) -> bool {
        self.spent.contains(code)
    }

    /// The grant of a refresh token, which works once if it `rotates`.
    pub(super) fn take_refresh_token(
        &mut self,
        token: &str,
        rotates: bool,
    ) -> Option<(usize, Grant)> {
        let at = *self.refresh_tokens.get(token)?;
        if rotates {
            self.refresh_tokens.remove(token);
        }
        Some((at, self.all[at].clone()))
    }

    /// Whether a refresh token works.
    pub(super) fn has_refresh_token(&self, token: &str) -> bool {
        self.refresh_tokens.contains_key(token)
    }

    /// A number for the next token, which no other has.
    pub(super) fn name(&mut self, what: &str) -> String {
        self.issued += 1;
        format!("{what}-{}", self.issued)
    }

    pub(super) fn add_access_token(&mut self, token: &str, at: usize) {
        self.access_tokens.insert(token.to_owned(), at);
    }

    pub(super) fn add_refresh_token(&mut self, token: &str, at: usize) {
        self.refresh_tokens.insert(token.to_owned(), at);
    }

    /// The grant of an access token.
    pub(super) fn of_access_token(&self, token: &str) -> Option<&Grant> {
        self.access_tokens.get(token).map(|at| &self.all[*at])
    }

    /// Takes a token back.
    pub(super) fn revoke(&mut self, token: &str) {
        self.access_tokens.remove(token);
        self.refresh_tokens.remove(token);
    }
}
