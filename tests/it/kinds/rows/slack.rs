//! Slack: one workspace, errors with status 200, and refresh tokens only with token rotation.

use crate::kinds::row::{Deviation, Outcome, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN\", team: T0R7GR123",
    authorization: &[("scope", Some("openid email profile")), ("team", Some("T0R7GR123"))],
    user: "U0R7MFMJM",
    refreshing: &["rotation"],
    deviations: &[Deviation {
        what: "with a user of another workspace",
        at: "slack",
        variants: &["other_team"],
        keys: "issuer: \"ORIGIN\", team: T0R7GR123",
        outcome: Outcome::Failed,
    }],
    ..Row::of("slack")
};
