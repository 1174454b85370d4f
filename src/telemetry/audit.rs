//! What happened to whom: one line for each sign-in, sign-out, refusal and end of a session.
//! Invariant: names and fixed words only: no token, code, cookie, query string, nor any text that a client
//! chose. A session is told by the first characters of its key's hash, a person by the provider's `sub`.

use std::fmt::Debug;
use std::net::IpAddr;

/// Somebody signed in.
pub fn signed_in(provider: &str, subject: &str, session: &impl Debug, client: IpAddr) {
    tracing::info!(target: TARGET, event = "sign_in", provider, subject, ?session, %client);
}

/// Nobody signed in, and why.
pub fn sign_in_failed(provider: Option<&str>, reason: &str, client: IpAddr) {
    tracing::info!(target: TARGET, event = "sign_in_failed", provider, reason, %client);
}

/// Somebody signed out of a session; `kind` is a `sign_outs_total` label.
pub fn signed_out(provider: &str, subject: &str, session: &impl Debug, kind: &str) {
    tracing::info!(target: TARGET, event = "sign_out", provider, subject, ?session, kind);
}

/// A refresh ended a session, and why.
pub fn ended_by_refresh(provider: &str, subject: &str, session: &impl Debug, reason: &str) {
    tracing::info!(target: TARGET, event = "session_ended", provider, subject, ?session, reason);
}

/// The rules refused a request; `subject` is who asked, where known.
pub fn denied(route: &str, reason: &str, subject: Option<&str>, client: IpAddr) {
    tracing::info!(target: TARGET, event = "denied", route, reason, subject, %client);
}

const TARGET: &str = "audit";
