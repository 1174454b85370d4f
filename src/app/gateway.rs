//! A gateway that serves: what it consists of, and what it does regularly.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::admin::health::Health;
use crate::admin::{Access, Admin, ReloadOrders};
use crate::app::kept_fresh::KeptFresh;
use crate::app::lasting::Lasting;
use crate::app::{App, expiry};
use crate::config::Config;
use crate::origin::Origin;
use crate::server::{
    self, Limits, ListenAddress, ListenerKind, LocalAddress, Running, Scheme, ServerContext,
    Shutdown,
};
use crate::session::snapshot::SnapshotSource;
use crate::telemetry::metrics::Metrics;

/// A gateway that serves.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) lasting: Lasting,
    pub(super) public: Running<App>,
    pub(super) admin: Running<Admin>,
    pub(super) health: Arc<Health>,
    pub(super) kept_fresh: KeptFresh,
    /// What the next snapshot is made of, if there is one.
    pub(super) snapshot_source: Option<Arc<ArcSwap<SnapshotSource>>>,
    /// Cancelled when the last task has ended.
    pub(super) ended: CancellationToken,
    /// Given to the admin listener.
    pub(super) orders: Option<ReloadOrders>,
}

impl Gateway {
    /// Connects what outlives a configuration with this one.
    pub(super) fn put_in_effect(&self, app: &App) {
        self.lasting.rules.replace(&app.gate, &app.routes);
        self.kept_fresh.replace(app.party.providers().all(), &self.lasting.tasks);
    }

    /// What the admin listener shows under another configuration.
    pub(super) fn shown(&self, app: &App, access: Access) -> Admin {
        shown(app, &self.lasting, &self.public, &self.health, access, &self.orders)
    }

    /// Runs a task until the end of the gateway.
    pub(super) fn spawn(
        &self,
        stopped: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stopped = stopped.clone();
        self.lasting.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stopped.cancelled() => {}
            }
        });
    }

    /// Starts what is done regularly.
    pub(super) fn watch(self: &Arc<Self>, stopped: &CancellationToken) {
        let gateway = Arc::clone(self);
        self.spawn(stopped, async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                gateway.sweep();
            }
        });
        let (clock, gateway) = (self.lasting.clock.clone(), Arc::clone(self));
        let certificates = move || gateway.public.certificates();
        self.spawn(stopped, async move { expiry::watch(clock, certificates).await });
        if let Some(store) = self.lasting.store.get() {
            let (store, clock) = (Arc::clone(store), self.lasting.clock.clone());
            let gateway = Arc::downgrade(self);
            let present = move || {
                let handler = gateway.upgrade()?.public.handler();
                handler.party.sessions().in_redis().cloned()
            };
            let ended = self.ended.clone();
            // Not until `stopped`: the last refreshes are stored after that.
            tokio::spawn(async move {
                tokio::select! {
                    () = store.follow(&clock, present) => {}
                    () = ended.cancelled() => {}
                }
            });
        }
        let (requests, rules) =
            (Arc::clone(&self.lasting.session_bound), Arc::clone(&self.lasting.rules));
        self.spawn(stopped, async move { requests.watch(&rules).await });
    }

    /// Removes the sessions that are over.
    pub(super) fn sweep(&self) {
        let ended = self.public.handler().party.sessions().sweep();
        if ended > 0 {
            tracing::debug!(ended, "removed sessions that are over");
        }
    }

    /// Waits for the order to stop, and until all requests and tasks have ended.
    pub(super) async fn stopped(&self, shutdown: &Shutdown, stopped: &CancellationToken) {
        let public = async {
            self.public.stopped(shutdown).await;
            stopped.cancel();
            let Lasting { tasks, .. } = &self.lasting;
            self.kept_fresh.end();
            tasks.close();
            // Refreshes and revocations under way get a few more seconds.
            let waited = tokio::time::timeout(LAST_TASKS, tasks.wait());
            if let Some(Err(_)) = shutdown.unless_forced(waited).await {
                tracing::warn!("drain timed out, cancelling requests to providers");
            }
            self.ended.cancel();
        };
        tokio::join!(self.admin.stopped(shutdown), public);
    }
}

/// What the admin listener shows.
pub(super) fn shown(
    app: &App,
    lasting: &Lasting,
    public: &Running<App>,
    health: &Arc<Health>,
    access: Access,
    orders: &Option<ReloadOrders>,
) -> Admin {
    Admin {
        health: Arc::clone(health),
        metrics: Arc::clone(&lasting.metrics),
        party: Arc::clone(&app.party),
        upstreams: lasting.upstreams.clone(),
        connections: public.open_connections(),
        certificates: public.certificates(),
        access,
        reloads: orders.clone(),
    }
}

/// Logs where a new listener is, for operators and their scripts.
pub(super) fn report_listener(kind: ListenerKind, address: &LocalAddress, public_url: &Origin) {
    match kind {
        ListenerKind::Public => tracing::info!(%address, %public_url, "listening"),
        ListenerKind::ForwardAuth => tracing::info!(%address, "forward auth listening"),
        ListenerKind::Redirect => tracing::info!(%address, "redirect to https listening"),
    }
}

/// Logs where the new admin listener is.
pub(super) fn report_admin_listener(address: &LocalAddress) {
    tracing::info!(%address, "admin listening");
}

/// The addresses of all listeners.
pub(super) fn addresses(config: &Config) -> impl Iterator<Item = &ListenAddress> {
    let server = &config.server;
    let public = server.listen.iter().chain(&server.redirect_http);
    public.chain(&server.forward_auth.listen).chain(&config.admin.listen)
}

/// The settings of the public listeners, with the limits that the process can bear.
pub(super) fn public_settings(config: &Config, limits: Limits) -> server::Settings {
    server::Settings { limits, ..config.server.clone() }
}

/// What applies to every request on the public listeners.
pub(super) fn context(config: &Config, metrics: &Arc<Metrics>) -> ServerContext {
    let https = config.public_url.is_https();
    ServerContext {
        plain_scheme: if https { Scheme::Https } else { Scheme::Http },
        access_log: config.access_log.clone(),
        metrics: Arc::clone(metrics),
    }
}

const SWEEP: Duration = Duration::from_secs(60);
const LAST_TASKS: Duration = Duration::from_secs(5);
