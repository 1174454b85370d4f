//! The audit log: one line for each sign-in, sign-out, denied request and ended session.
//! Invariant: no line has a token, code, cookie, query string or other text that a client chose. A session is
//! identified by the first characters of the hash of its key, a user by `sub`, and by a verified e-mail address,
//! a request by the ID that its error page shows.

use std::fmt::Debug;

use crate::client_address::ClientAddress;
use crate::telemetry::target::AUDIT;

/// A user, as the audit log identifies one.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The provider's `sub`.
    pub subject: &'a str,
    /// The e-mail address, if it is verified.
    pub email: Option<&'a str>,
}

/// The request of an event.
#[derive(Clone, Copy, Debug)]
pub struct RequestRef<'a> {
    /// The client address; `-` if it is unknown.
    pub client: ClientAddress,
    /// The request ID, which is also in the access log and on the error page.
    pub request_id: &'a str,
}

/// Reports a sign-in.
pub fn signed_in(provider: &str, who: Person<'_>, session: &impl Debug, request: RequestRef<'_>) {
    let (Person { subject, email }, RequestRef { client, request_id }) = (who, request);
    tracing::info!(
        target: AUDIT, event = "sign_in", provider, subject, email, ?session, %client, request_id
    );
}

/// Reports a failed sign-in and its reason.
pub fn sign_in_failed(provider: Option<&str>, reason: &str, request: RequestRef<'_>) {
    let RequestRef { client, request_id } = request;
    tracing::info!(target: AUDIT, event = "sign_in_failed", provider, reason, %client, request_id);
}

/// Reports a sign-out; `kind` is a label of `sign_outs_total`.
pub fn signed_out(
    provider: &str,
    subject: &str,
    session: &impl Debug,
    kind: &str,
    request: RequestRef<'_>,
) {
    let RequestRef { client, request_id } = request;
    tracing::info!(
        target: AUDIT, event = "sign_out", provider, subject, ?session, kind, %client, request_id
    );
}

/// Reports a session that a refresh or recheck ended, and the reason.
pub fn ended_by_refresh(provider: &str, subject: &str, session: &impl Debug, reason: &str) {
    tracing::info!(target: AUDIT, event = "session_ended", provider, subject, ?session, reason);
}

/// The claims because of which rules may have denied a request: their names, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeniedClaims {
    /// Those that the rules name and the user does not have.
    pub absent: Option<String>,
    /// Those of which the user does not have all values.
    pub incomplete: Option<String>,
}

/// Reports a request that the rules denied, and its user if known.
pub fn denied(
    route: &str,
    reason: &str,
    claims: &DeniedClaims,
    who: Option<Person<'_>>,
    request: RequestRef<'_>,
) {
    let (subject, email) = (who.map(|who| who.subject), who.and_then(|who| who.email));
    let RequestRef { client, request_id } = request;
    let (absent_claims, incomplete_claims) =
        (claims.absent.as_deref(), claims.incomplete.as_deref());
    tracing::info!(
        target: AUDIT, event = "denied", route, reason, absent_claims, incomplete_claims, subject, email,
        %client, request_id
    );
}
