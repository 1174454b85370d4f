//! What the providers of a configuration say to it, before anybody signs in.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::providers::{ProbeReport, Provider};
use crate::routing::Site;
use crate::telemetry::metrics::Metrics;

pub use crate::providers::ProbeResult;

/// Asks each provider, one after the other.
pub async fn probe(config: &Config) -> Vec<(Arc<str>, ProbeReport)> {
    let site = Site::new(config.public_url.clone(), config.endpoint_prefix.clone());
    let mut all = Vec::new();
    for settings in &config.providers {
        let meter = Metrics::default().provider(&settings.id);
        let examined = match Provider::new(settings.clone(), Clock::system(), meter) {
            Ok(provider) => {
                let redirect_uri = provider.redirect_uri(site.own_url("/callback"));
                provider.probe(&redirect_uri, config.providers.len() > 1).await
            }
            Err(error) => ProbeReport::unusable(&error),
        };
        all.push((Arc::clone(&settings.id), examined));
    }
    all
}
