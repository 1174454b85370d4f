//! What a server serves, and by which settings.
//! Invariant: both are of one configuration and replaced together. A request loads them once.

use std::sync::Arc;

use crate::server::active_settings::ActiveSettings;

/// The handler and the settings of one configuration.
#[derive(Debug)]
pub(super) struct Present<H> {
    pub(super) handler: Arc<H>,
    pub(super) settings: Arc<ActiveSettings>,
}
