//! One configuration at run time: all rooms, built and connected.

pub mod build;
mod check;
#[cfg(test)]
mod check_tests;
mod dispatch;
mod error_page;
pub mod expiry;
pub mod explain;
pub mod file_watch;
mod fixed_settings;
mod gateway;
mod https_redirect;
mod kept_fresh;
pub mod kept_sessions;
pub mod lasting;
pub mod probe;
pub mod reload;
pub mod serve;
#[cfg(test)]
mod tests;
mod used;

use std::sync::Arc;

use crate::endpoints::Endpoints;
use crate::gate::Gate;
use crate::gate::routes::Routes;
use crate::login::relying_party::RelyingParty;
use crate::pages::Pages;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Metrics;

/// The gateway under one configuration.
#[derive(Debug)]
pub struct App {
    routes: Arc<Routes>,
    gate: Arc<Gate>,
    party: Arc<RelyingParty>,
    endpoints: Endpoints,
    pages: Arc<Pages>,
    metrics: Arc<Metrics>,
    /// Throttles the log line about https requests at the redirect to https.
    redirect_loop: LogThrottle,
}
