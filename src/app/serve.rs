//! Serving: from the opening of the listeners to the end of the last task.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admin::health::Health;
use crate::admin::{self, Access, AdminSettings};
use crate::app::gateway::{
    Gateway, addresses, context, public_settings, report_admin_listener, report_listener, shown,
};
use crate::app::kept_fresh::KeptFresh;
use crate::app::kept_sessions::KeptSessions;
use crate::app::lasting::Lasting;
use crate::app::reload::{Reloader, Reloads};
use crate::app::{App, build};
use crate::clock::Clock;
use crate::config::Config;
use crate::origin::Origin;
use crate::server::{self, Bound, ListenerKind, LocalAddress, PassedSockets, Server, Shutdown};
use crate::telemetry::metrics::Metrics;

/// Reason why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is valid, but cannot be used.
    #[error("cannot use the configuration: {0}")]
    App(#[from] build::Error),
    /// An address is in use, or does not belong to this machine.
    #[error(transparent)]
    Listener(#[from] server::Error),
}

/// A gateway whose listeners are open.
#[derive(Debug)]
pub struct BoundGateway {
    app: Arc<App>,
    lasting: Lasting,
    public: Bound,
    admin: Bound,
    settings: AdminSettings,
    passed: PassedSockets,
    kept: Option<KeptSessions>,
}

impl BoundGateway {
    /// Builds the application and opens the listeners.
    pub async fn open(
        config: &Config,
        clock: &Clock,
        mut passed: PassedSockets,
    ) -> Result<Self, StartError> {
        let (limits, left) = config.server.limits.bearable();
        let metrics = Arc::new(Metrics::new(config.server.workers));
        let lasting = Lasting::new(clock, &metrics, left);
        let app = Arc::new(App::new(config, &lasting)?);
        passed.reserve(addresses(config));
        let public = public_settings(config, limits);
        let public = Server::bind(&public, context(config, &metrics), &passed).await?;
        let admin = admin::settings(config.admin.listen.as_ref(), config.server.timeouts);
        let admin = Server::bind(&admin, admin::context(), &passed).await?;
        metrics.configured();
        // After the listeners are open: connections wait, and none is rejected.
        let kept = app.restore_sessions(config, clock);
        let settings = config.admin.clone();
        Ok(Self { app, lasting, public, admin, settings, passed, kept })
    }

    /// The addresses of the public listeners of this kind, with actual ports.
    pub fn local_addresses(&self, kind: ListenerKind) -> Vec<LocalAddress> {
        self.public.local_addresses(kind)
    }

    /// Logs where the listeners are.
    pub fn report_listeners(&self, public_url: &Origin) {
        self.admin.local_addresses(ListenerKind::Public).iter().for_each(report_admin_listener);
        for kind in [ListenerKind::ForwardAuth, ListenerKind::Redirect, ListenerKind::Public] {
            for address in self.public.local_addresses(kind) {
                report_listener(kind, &address, public_url);
            }
        }
    }

    /// The names of the sockets of the service manager that no listener has taken.
    pub fn unused_sockets(&self) -> Vec<&str> {
        self.passed.unused()
    }

    /// Serves until `shutdown` begins and all requests and tasks have ended. Without `reloads`, the configuration stays.
    pub async fn serve(self, shutdown: Shutdown, reloads: Option<Reloads>) {
        let Self { app, lasting, public, admin, settings, passed, kept } = self;
        let health = Arc::new(Health::new(shutdown.clone()));
        let (orders, reloads) = match reloads {
            Some(reloads) => {
                let (orders, ordered) = admin::reload_orders();
                (Some(orders), Some((reloads, ordered)))
            }
            None => (None, None),
        };
        let access = Access::of(&settings, &admin.local_addresses(ListenerKind::Public));
        let public = public.start(Arc::clone(&app));
        let shown = shown(&app, &lasting, &public, &health, access, &orders);
        let admin = admin.start(Arc::new(shown));
        let kept_fresh = KeptFresh::default();
        let snapshot_source = kept.as_ref().map(|kept| Arc::clone(kept.source()));
        let gateway = Arc::new(Gateway {
            lasting,
            public,
            admin,
            health,
            kept_fresh,
            snapshot_source,
            ended: CancellationToken::new(),
            orders,
        });
        gateway.put_in_effect(&app);
        drop(app);
        let stopped = CancellationToken::new();
        gateway.watch(&stopped);
        if let Some((reloads, ordered)) = reloads {
            let reloader = Reloader::new(Arc::clone(&gateway), reloads, ordered, passed);
            let shutdown = shutdown.clone();
            gateway.spawn(&stopped, async move { Box::pin(reloader.run(&shutdown)).await });
        }
        gateway.health.serving();
        let serving = gateway.stopped(&shutdown, &stopped);
        match kept {
            Some(kept) => Box::pin(kept.keep_while(serving, &shutdown)).await,
            None => Box::pin(serving).await,
        }
    }
}
