//! The text of a scrape (OpenMetrics 1.0).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::registry::Registry;

use crate::clock::UnixTime;
use crate::telemetry::metrics::count::{Durations, Tally};
use crate::telemetry::metrics::label::{
    Label, Limit, LogLine, ProviderEndpoint, Refresh, Reload, SignIn, SignOut, SnapshotOutcome,
    StatusClass, StoreOperation, StoreOutcome,
};
use crate::telemetry::metrics::list::{self, Metric};
use crate::telemetry::metrics::process::ProcessUsage;
use crate::telemetry::metrics::{Metrics, ProviderMeter, RouteMeter, StoreMeter, lock};

/// The media type of a scrape.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Values that are read at a scrape instead of counted.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Open connections of clients.
    pub connections: usize,
    /// Sessions in the table.
    pub sessions: usize,
    /// Whether each provider is up, by its ID.
    pub providers_up: BTreeMap<Arc<str>, bool>,
    /// Idle and busy connections to each upstream, by its configured address.
    pub upstreams: BTreeMap<String, (usize, usize)>,
    /// When each certificate expires, by its file.
    pub certificates: BTreeMap<String, UnixTime>,
    /// Lost log lines, in the order of the kinds.
    pub log_lines_lost: [u64; LogLine::ALL.len()],
}

impl Metrics {
    /// The text of a scrape.
    pub fn exposition(self: &Arc<Self>, gauges: Gauges) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessUsage::read()));
        let own = registry.sub_registry_with_prefix("portcullis");
        own.register_collector(Box::new(Scrape { metrics: Arc::clone(self), gauges }));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Scrape {
    metrics: Arc<Metrics>,
    gauges: Gauges,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.requests(encoder, &self.metrics.routes.values())?;
        self.providers(encoder, &self.metrics.providers.values())?;
        // Without a server there is not even the name of its metrics.
        for store in self.metrics.session_store.values() {
            session_store(encoder, &store)?;
        }
        self.process(encoder)
    }
}

impl Scrape {
    fn requests(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        routes: &[Arc<RouteMeter>],
    ) -> fmt::Result {
        let mut family = Family::begin(encoder, &list::REQUESTS)?;
        for route in routes {
            for class in StatusClass::ALL {
                let of_class = route.ended.all().map(|shard| shard.statuses.get(*class)).sum();
                family.counter(&[&route.name, class.as_str()], of_class)?;
            }
        }
        let mut family = Family::begin(encoder, &list::REQUEST_DURATION)?;
        for route in routes {
            family.histogram(&[&route.name], route.ended.all().map(|shard| &shard.durations))?;
        }
        let mut family = Family::begin(encoder, &list::DENIALS)?;
        for route in routes {
            for (reason, count) in lock(&route.denials).iter() {
                family.counter(&[&route.name, reason], *count)?;
            }
        }
        Family::begin(encoder, &list::REQUESTS_IN_FLIGHT)?.gauge(&[], self.metrics.in_flight())
    }

    fn providers(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        providers: &[Arc<ProviderMeter>],
    ) -> fmt::Result {
        let mut family = Family::begin(encoder, &list::SIGN_INS)?;
        for provider in providers {
            for outcome in SignIn::ALL {
                let count = provider.sign_ins.get(*outcome);
                family.counter(&[&provider.id, outcome.as_str()], count)?;
            }
        }
        let mut family = Family::begin(encoder, &list::REFRESHES)?;
        for provider in providers {
            for outcome in Refresh::ALL {
                let count = provider.refreshes.get(*outcome);
                family.counter(&[&provider.id, outcome.as_str()], count)?;
            }
        }
        let mut family = Family::begin(encoder, &list::GROUP_FAILURES)?;
        for provider in providers {
            family.counter(&[&provider.id], provider.group_failures())?;
        }
        let mut family = Family::begin(encoder, &list::PROVIDER_REQUEST_DURATION)?;
        for provider in providers {
            for (endpoint, durations) in ProviderEndpoint::ALL.iter().zip(&provider.requests) {
                family.histogram(&[&provider.id, endpoint.as_str()], [durations])?;
            }
        }
        let mut family = Family::begin(encoder, &list::PROVIDER_UP)?;
        for (id, up) in &self.gauges.providers_up {
            family.gauge(&[id], u64::from(*up))?;
        }
        Ok(())
    }

    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self { metrics, gauges } = self;
        let mut family = Family::begin(encoder, &list::SIGN_OUTS)?;
        for kind in SignOut::ALL {
            family.counter(&[kind.as_str()], metrics.sign_outs.get(*kind))?;
        }
        let mut family = Family::begin(encoder, &list::SESSION_SNAPSHOTS)?;
        for outcome in SnapshotOutcome::ALL {
            family.counter(&[outcome.as_str()], metrics.snapshots.get(*outcome))?;
        }
        let written = metrics.snapshot_at.load(Ordering::Relaxed);
        Family::begin(encoder, &list::SESSION_SNAPSHOT_TIME)?.gauge(&[], written)?;
        let mut family = Family::begin(encoder, &list::LIMIT_HITS)?;
        for limit in Limit::ALL {
            family.counter(&[limit.as_str()], metrics.limit_hits.get(*limit))?;
        }
        Family::begin(encoder, &list::CONNECTIONS)?.gauge(&[], gauges.connections)?;
        Family::begin(encoder, &list::SESSIONS)?.gauge(&[], gauges.sessions)?;
        let mut family = Family::begin(encoder, &list::UPSTREAM_CONNECTIONS)?;
        for (upstream, (idle, busy)) in &gauges.upstreams {
            family.gauge(&[upstream, "idle"], *idle)?;
            family.gauge(&[upstream, "busy"], *busy)?;
        }
        let mut family = Family::begin(encoder, &list::CERTIFICATE_EXPIRY)?;
        for (name, UnixTime(not_after)) in &gauges.certificates {
            family.gauge(&[name], *not_after)?;
        }
        let mut family = Family::begin(encoder, &list::LOG_LINES_LOST)?;
        for (kind, count) in LogLine::ALL.iter().zip(gauges.log_lines_lost) {
            family.counter(&[kind.as_str()], count)?;
        }
        let mut family = Family::begin(encoder, &list::CONFIG_RELOADS)?;
        for outcome in Reload::ALL {
            family.counter(&[outcome.as_str()], metrics.reloads.get(*outcome))?;
        }
        let generation = metrics.generation.load(Ordering::Relaxed);
        Family::begin(encoder, &list::CONFIG_GENERATION)?.gauge(&[], generation)?;
        Family::begin(encoder, &list::BUILD_INFO)?.gauge(&[env!("CARGO_PKG_VERSION")], 1_u64)
    }
}

fn session_store(encoder: &mut DescriptorEncoder<'_>, store: &StoreMeter) -> fmt::Result {
    Family::begin(encoder, &list::SESSION_STORE_UP)?.gauge(&[], u64::from(store.is_up()))?;
    let is_evicting = u64::from(store.is_evicting());
    Family::begin(encoder, &list::SESSION_STORE_EVICTS)?.gauge(&[], is_evicting)?;
    let mut family = Family::begin(encoder, &list::SESSION_STORE_OPERATIONS)?;
    for operation in StoreOperation::ALL {
        for outcome in StoreOutcome::ALL {
            let count = store.count(*operation, *outcome);
            family.counter(&[operation.as_str(), outcome.as_str()], count)?;
        }
    }
    Ok(())
}

/// The series of one metric.
pub(super) struct Family<'e> {
    encoder: MetricEncoder<'e>,
    labels: &'static [&'static str],
}

impl<'e> Family<'e> {
    pub(super) fn begin(
        encoder: &'e mut DescriptorEncoder<'_>,
        metric: &'static Metric,
    ) -> Result<Self, fmt::Error> {
        // The encoder adds the suffix of a counter.
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        let encoder = encoder.encode_descriptor(name, metric.help, None, metric.kind)?;
        Ok(Self { encoder, labels: metric.labels })
    }

    fn counter(&mut self, values: &[&str], count: u64) -> fmt::Result {
        let labels = self.labels(values);
        self.encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    /// Writes the only series of a counter without labels.
    pub(super) fn single_counter(&mut self, count: f64) -> fmt::Result {
        self.encoder.encode_counter::<NoLabelSet, _, f64>(&count, None)
    }

    pub(super) fn gauge(&mut self, values: &[&str], value: impl EncodeGaugeValue) -> fmt::Result {
        if values.is_empty() {
            return self.encoder.encode_gauge(&value);
        }
        let labels = self.labels(values);
        self.encoder.encode_family(&labels)?.encode_gauge(&value)
    }

    fn histogram<'d>(
        &mut self,
        values: &[&str],
        parts: impl IntoIterator<Item = &'d Durations>,
    ) -> fmt::Result {
        let (labels, tally) = (self.labels(values), Tally::of(parts));
        self.encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
            tally.sum(),
            tally.count(),
            &tally.buckets(),
            None,
        )
    }

    fn labels<'v>(&self, values: &[&'v str]) -> Vec<(&'static str, &'v str)> {
        self.labels.iter().copied().zip(values.iter().copied()).collect()
    }
}
