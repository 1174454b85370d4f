//! What happened to whom: one line for each sign-in, sign-out, refusal and end of a session.
//! Invariant: names and fixed words only: no token, code, cookie, query string, nor any text that a client
//! chose. A session is told by the first characters of its key's hash, a person by the provider's `sub`,
//! and by their e-mail where the provider vouches for one; a request by the reference that its page shows.

use std::fmt::Debug;

use super::target::AUDIT;
use crate::client_address::ClientAddress;

/// Whom an operator can tell by more than a number.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The provider's `sub`.
    pub subject: &'a str,
    /// Their e-mail, where there is one to go by.
    pub email: Option<&'a str>,
}

/// The request that it happened to.
#[derive(Clone, Copy, Debug)]
pub struct RequestRef<'a> {
    /// The address of the client; `-` where it is unknown.
    pub client: ClientAddress,
    /// The reference on its page, which its line in the access log has, too.
    pub request_id: &'a str,
}

/// Somebody signed in.
pub fn signed_in(provider: &str, who: Person<'_>, session: &impl Debug, asked: RequestRef<'_>) {
    let (Person { subject, email }, RequestRef { client, request_id }) = (who, asked);
    tracing::info!(
        target: AUDIT, event = "sign_in", provider, subject, email, ?session, %client, request_id
    );
}

/// Nobody signed in, and why.
pub fn sign_in_failed(provider: Option<&str>, reason: &str, asked: RequestRef<'_>) {
    let RequestRef { client, request_id } = asked;
    tracing::info!(target: AUDIT, event = "sign_in_failed", provider, reason, %client, request_id);
}

/// Somebody signed out of a session; `kind` is a `sign_outs_total` label.
pub fn signed_out(provider: &str, subject: &str, session: &impl Debug, kind: &str) {
    tracing::info!(target: AUDIT, event = "sign_out", provider, subject, ?session, kind);
}

/// A refresh ended a session, and why.
pub fn ended_by_refresh(provider: &str, subject: &str, session: &impl Debug, reason: &str) {
    tracing::info!(target: AUDIT, event = "session_ended", provider, subject, ?session, reason);
}

/// The rules refused a request; `who` asked, where known.
pub fn denied(route: &str, reason: &str, who: Option<Person<'_>>, asked: RequestRef<'_>) {
    let (subject, email) = (who.map(|who| who.subject), who.and_then(|who| who.email));
    let RequestRef { client, request_id } = asked;
    tracing::info!(
        target: AUDIT, event = "denied", route, reason, subject, email, %client, request_id
    );
}
