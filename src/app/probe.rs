//! Checks the providers of a configuration against what they answer, before a user signs in.

use std::sync::Arc;

pub use crate::providers::ProbeResult;

use crate::clock::Clock;
use crate::config::Config;
use crate::providers::{ProbeReport, Provider, ProviderStates};
use crate::routing::Site;
use crate::telemetry::metrics::Metrics;

/// Probes each provider, one after the other.
pub async fn probe(config: &Config) -> Vec<(Arc<str>, ProbeReport)> {
    let site = Site::new(config.public_url.clone(), config.endpoint_prefix.clone());
    let states = ProviderStates::new(&Clock::system(), &Arc::new(Metrics::default()));
    let mut all = Vec::new();
    for settings in &config.providers {
        let report = match Provider::new(settings.clone(), &states) {
            Ok(provider) => {
                let redirect_uri = provider.redirect_uri(site.own_url("/callback"));
                let signed_out = site.own_url("/signed_out");
                let several = config.providers.len() > 1;
                let mut report = provider.probe(&redirect_uri, &signed_out, several).await;
                if config.session.recheck.is_some() {
                    provider.probe_recheck(&mut report);
                }
                report
            }
            Err(error) => ProbeReport::unusable(&error),
        };
        all.push((Arc::clone(&settings.id), report));
    }
    all
}
