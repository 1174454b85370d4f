//! `session.snapshot`: reads the sessions of the last process at start, and keeps those of this one.
//! Invariant: without a file that works, the gateway serves all the same, and says so.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::server::Shutdown;
use crate::session::seal::{Root, Roots};
use crate::session::snapshot::load::Continuing;
use crate::session::snapshot::{Snapshot, SnapshotError, SnapshotFound, SnapshotSource};

/// The sessions of this process and the file that they are in.
#[derive(Debug)]
pub struct KeptSessions {
    snapshot: Arc<Snapshot>,
    source: Arc<ArcSwap<SnapshotSource>>,
}

impl App {
    /// Reads the sessions of the last process; `None` if no file keeps those of this one.
    pub fn restore_sessions(&self, config: &Config, clock: &Clock) -> Option<KeptSessions> {
        let path = config.session.snapshot.as_deref()?;
        let source = self.snapshot_source(config);
        let providers = self.party.providers().all().iter();
        let providers = providers.map(|provider| (provider.id().clone(), provider.fingerprint()));
        let continuing = Continuing {
            roots: source.roots.clone(),
            lifetime: config.session.lifetime,
            providers: providers.collect(),
        };
        match Snapshot::open(path, &source.table, &continuing, clock, &self.metrics) {
            Ok((snapshot, found)) => {
                report(path, &found);
                Some(KeptSessions { snapshot, source: Arc::new(ArcSwap::from_pointee(source)) })
            }
            Err(error) => {
                self.metrics.snapshot_failed();
                report_unused(path, &error);
                None
            }
        }
    }

    /// What a snapshot is made of under this configuration. It needs `session.secret`, so that the generated root is not
    /// used.
    pub(super) fn snapshot_source(&self, config: &Config) -> SnapshotSource {
        SnapshotSource {
            table: self.party.sessions().table().clone(),
            roots: Roots::new(&config.session.secrets, &Root::generate()),
        }
    }
}

impl KeptSessions {
    /// What the next snapshot is made of.
    pub(super) fn source(&self) -> &Arc<ArcSwap<SnapshotSource>> {
        &self.source
    }

    /// Keeps the sessions up to date in the file while `serving` runs, and writes them once more after it.
    pub async fn keep_while(self, serving: impl Future<Output = ()>, shutdown: &Shutdown) {
        let Self { snapshot, source } = self;
        tokio::select! {
            () = serving => {}
            () = snapshot.keep(&source) => {}
        }
        if shutdown.unless_forced(snapshot.conclude(source.load_full())).await.is_none() {
            tracing::warn!("stopped at once: session.snapshot is not written once more");
        }
    }
}

fn report(path: &Path, found: &SnapshotFound) {
    let file = path.display();
    match found {
        SnapshotFound::Nothing => {
            tracing::info!(%file, "no session.snapshot yet, starting without sessions")
        }
        SnapshotFound::Sessions(loaded) => {
            let (sessions, dropped, written) = (loaded.sessions, loaded.dropped, loaded.written);
            tracing::info!(%file, sessions, dropped, %written, "loaded session.snapshot");
        }
        SnapshotFound::Rejected { reason, aside } => {
            let kept_as = aside.display();
            tracing::error!(
                %file, %kept_as,
                "session.snapshot was not loaded, starting without sessions: {reason}"
            );
        }
    }
}

fn report_unused(path: &Path, error: &SnapshotError) {
    let file = path.display();
    match error {
        SnapshotError::InUse => tracing::error!(
            %file,
            "session.snapshot: another process uses the file, so this one starts without sessions and stores none: give each process a file of its own, or stop the other one and restart"
        ),
        SnapshotError::Io(error) => tracing::error!(
            %file, %error,
            "session.snapshot cannot be used, so this process starts without sessions and stores none: it needs a folder that it can write to; then restart"
        ),
    }
}
