//! What the turn to refresh a session comes to: why there is none, and what became of what a refresh stores.

/// Why there is nothing to refresh now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// Another instance has refreshed the session, which holds that now.
    Refreshed,
    /// The session has ended.
    Ended,
    /// What a refresh brings could not be stored.
    Unavailable,
}

/// What became of new data of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// The session holds it.
    Stored,
    /// Another instance has stored newer data, which the session holds.
    Superseded,
    /// The session had ended.
    Ended,
}

/// What became of a session that the provider rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// It has ended.
    Ended,
    /// Another instance has refreshed it since.
    Superseded,
    /// Whether another instance has refreshed it cannot be found out now.
    InDoubt,
}
