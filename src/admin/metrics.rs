//! `/metrics`: the counters of the process and its current gauges, for Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::admin::Admin;
use crate::body::Body;
use crate::pages::plain_text;
use crate::providers::ProviderHealth;
use crate::telemetry::log;
use crate::telemetry::metrics::{self, Gauges};

impl Admin {
    /// `GET /metrics`
    pub(super) fn scrape(&self) -> Response<Body> {
        match self.metrics.exposition(self.interpretations()) {
            Ok(text) => {
                let mut response = plain_text(StatusCode::OK, text);
                let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
            Err(_) => {
                plain_text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n")
            }
        }
    }

    fn interpretations(&self) -> Gauges {
        let providers = self.party.providers().all().iter();
        let mut upstreams: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (target, connections) in self.upstreams.connections() {
            // A target with two TLS settings has two pools.
            let (idle, busy) = upstreams.entry(target.to_string()).or_default();
            *idle += connections.idle;
            *busy += connections.open.saturating_sub(connections.idle);
        }
        Gauges {
            connections: self.connections.count(),
            sessions: self.party.sessions().len(),
            providers_up: providers
                .map(|provider| {
                    (Arc::clone(provider.id()), provider.health() == ProviderHealth::Up)
                })
                .collect(),
            upstreams,
            log_lines_lost: log::lost(),
            certificates: self
                .certificates
                .iter()
                .map(|certificate| (certificate.name.clone(), certificate.not_after))
                .collect(),
        }
    }
}
