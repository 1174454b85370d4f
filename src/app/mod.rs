//! One configuration at run time: all rooms, built and connected.

pub mod build;
mod check;
#[cfg(test)]
mod check_tests;
mod dispatch;
mod error_page;
pub mod expiry;
pub mod explain;
mod https_redirect;
pub mod kept_sessions;
pub mod lasting;
pub mod probe;
pub mod serve;
#[cfg(test)]
mod tests;
mod used;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::endpoints::Endpoints;
use crate::gate::Gate;
use crate::gate::routes::Routes;
use crate::login::relying_party::RelyingParty;
use crate::pages::Pages;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Metrics;
use crate::upstream::TargetPools;

/// The gateway under one configuration.
#[derive(Debug)]
pub struct App {
    routes: Arc<Routes>,
    gate: Arc<Gate>,
    party: Arc<RelyingParty>,
    endpoints: Endpoints,
    pages: Arc<Pages>,
    /// Connections to upstreams.
    upstreams: TargetPools,
    /// Owns what runs without a request: refreshes, revocations, keeping providers fresh.
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
    /// Throttles the log line about https requests at the redirect to https.
    redirect_loop: LogThrottle,
}
