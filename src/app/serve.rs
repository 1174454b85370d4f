//! The life of the process: from the listeners' opening to the end of the last task.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::server::{Bound, Shutdown};

impl App {
    /// Serves until told to stop and everything under way has ended.
    pub async fn serve(self: Arc<Self>, bound: Bound, shutdown: Shutdown) {
        let stopped = CancellationToken::new();
        for provider in self.login.providers.iter() {
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
        bound.serve(Arc::clone(&self), shutdown).await;
        stopped.cancel();
        self.tasks.close();
        // A refresh or a revocation under way is worth a few seconds more.
        if tokio::time::timeout(LAST_TASKS, self.tasks.wait()).await.is_err() {
            tracing::warn!("requests to a provider were still under way and have been given up");
        }
    }

    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let ended = self.login.sessions.sweep();
            if ended > 0 {
                tracing::debug!(ended, "sessions are over");
            }
        }
    }
}

const SWEEP: Duration = Duration::from_secs(60);
const LAST_TASKS: Duration = Duration::from_secs(5);
