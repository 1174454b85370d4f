//! What became of claims that are fetched in addition to those of the ID token or profile.

/// Whether they are there, and from when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchState {
    /// They are in the claims, or none are to be fetched.
    Complete,
    /// They are those from before, because they cannot be fetched for now.
    Kept,
    /// They are missing, because they cannot be fetched for now.
    MissingForNow,
    /// They are missing.
    Missing,
}

impl FetchState {
    /// Whether the user lacks them.
    pub(super) fn is_missing(self) -> bool {
        match self {
            Self::Complete | Self::Kept => false,
            Self::MissingForNow | Self::Missing => true,
        }
    }

    /// Whether the next refresh may have them.
    pub(super) fn is_stale(self) -> bool {
        match self {
            Self::Complete | Self::Missing => false,
            Self::Kept | Self::MissingForNow => true,
        }
    }
}
