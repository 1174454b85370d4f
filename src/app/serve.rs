//! Serving: from the opening of the listeners to the end of the last task.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::admin::health::Health;
use crate::admin::{self, Admin, AllowedHosts};
use crate::app::App;
use crate::server::{self, Bound, ListenAddress, PassedSockets, Server, ServerTimeouts, Shutdown};

/// Opens the admin listener. It closes with the public ones.
pub async fn bind_admin(
    address: &ListenAddress,
    timeouts: ServerTimeouts,
    passed: &mut PassedSockets,
) -> Result<Bound, server::Error> {
    Server::bind(&admin::settings(address, timeouts), admin::frame(), passed).await
}

impl App {
    /// Serves until `shutdown` begins and all requests and tasks have ended.
    pub async fn serve(self: Arc<Self>, public: Bound, admin: Option<Bound>, shutdown: Shutdown) {
        let health = Arc::new(Health::new(shutdown.clone()));
        let Some(bound) = admin else { return self.serve_public(public, shutdown, &health).await };
        let admin = Admin {
            health: Arc::clone(&health),
            metrics: Arc::clone(&self.metrics),
            party: Arc::clone(&self.party),
            upstreams: self.upstreams.clone(),
            connections: public.open_connections(),
            certificates: public.certificates(),
            hosts: AllowedHosts::of(bound.local_addresses()),
        };
        tokio::join!(
            bound.serve(Arc::new(admin), shutdown.clone()),
            self.serve_public(public, shutdown, &health)
        );
    }

    async fn serve_public(self: Arc<Self>, bound: Bound, shutdown: Shutdown, health: &Health) {
        let stopped = CancellationToken::new();
        for provider in self.party.providers().all() {
            let (keep_fresh, stopped) = (provider.keep_fresh(), stopped.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = keep_fresh => {}
                    () = stopped.cancelled() => {}
                }
            });
        }
        let (app, sweeping) = (Arc::clone(&self), stopped.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = app.sweep() => {}
                () = sweeping.cancelled() => {}
            }
        });
        let (gate, watching) = (Arc::clone(&self.gate), stopped.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = gate.watch_requests() => {}
                () = watching.cancelled() => {}
            }
        });
        health.serving();
        bound.serve(Arc::clone(&self), shutdown.clone()).await;
        stopped.cancel();
        self.tasks.close();
        // Refreshes and revocations under way get a few more seconds.
        let waited = tokio::time::timeout(LAST_TASKS, self.tasks.wait());
        if let Some(Err(_)) = shutdown.unless_forced(waited).await {
            tracing::warn!("drain timed out, cancelling requests to providers");
        }
    }

    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let ended = self.party.sessions().sweep();
            if ended > 0 {
                tracing::debug!(ended, "removed sessions that are over");
            }
        }
    }
}

const SWEEP: Duration = Duration::from_secs(60);
const LAST_TASKS: Duration = Duration::from_secs(5);
