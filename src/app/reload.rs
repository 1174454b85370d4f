//! Reload: replaces the configuration in effect by the changed one, as a whole.
//! Invariant: all that can fail is done before anything changes. A configuration that cannot be used changes nothing.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::admin::{Access, OrderedReloads};
use crate::app::file_watch::{FileWatch, MarkedFiles};
use crate::app::fixed_settings::{self, FixedSetting};
use crate::app::gateway::{
    Gateway, addresses, context, public_settings, report_admin_listener, report_listener,
};
use crate::app::{App, build};
use crate::config::{Config, ConfigSource, HostEnv, Problem, Problems};
use crate::server::{self, ListenerKind, PassedSockets, Shutdown, without_panic};
use crate::telemetry;
use crate::telemetry::metrics::Reload;

/// From where a configuration is loaded again, and when.
#[derive(Debug)]
pub struct Reloads {
    /// Where it is written.
    pub written: ConfigSource,
    /// Files and environment.
    pub source: HostEnv,
    /// The configuration in effect.
    pub config: Config,
    /// One item for each SIGHUP.
    pub signals: UnboundedReceiver<()>,
    /// The files whose content `config` has.
    pub files: FileWatch,
}

/// Loads the configuration again when an operator asks for it, or when a file has changed.
#[derive(Debug)]
pub(super) struct Reloader {
    gateway: Arc<Gateway>,
    reloads: Reloads,
    ordered: OrderedReloads,
    passed: PassedSockets,
    /// What was wrong at the last reload.
    failure: Option<String>,
}

/// Why a changed configuration is not in effect.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Problems(Problems),
    #[error(transparent)]
    Fixed(#[from] FixedSetting),
    #[error("cannot use the configuration: {0}")]
    App(#[from] build::Error),
    #[error(transparent)]
    Listener(#[from] server::Error),
    #[error("a fault of this program: please report it with the lines before")]
    Panicked,
}

/// What a reload is due to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// An operator.
    Operator,
    /// A file that has changed.
    File,
}

impl Reloader {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        reloads: Reloads,
        ordered: OrderedReloads,
        passed: PassedSockets,
    ) -> Self {
        Self { gateway, reloads, ordered, passed, failure: None }
    }

    /// Reloads when that is due, until the end of the process begins.
    pub(super) async fn run(mut self, shutdown: &Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.begun() => {}
            () = self.reload_when_due() => {}
        }
    }

    async fn reload_when_due(&mut self) {
        loop {
            tokio::select! {
                Some(()) = self.reloads.signals.recv() => drop(self.reload(Trigger::Operator).await),
                Some(answer) = self.ordered.recv() => {
                    let result = self.reload(Trigger::Operator).await;
                    // The client may have left.
                    drop(answer.send(result));
                }
                () = self.reloads.files.changed() => drop(self.reload(Trigger::File).await),
            }
        }
    }

    /// Reloads, and reports the result. Returns the number of the configuration, or what is wrong.
    async fn reload(&mut self, trigger: Trigger) -> Result<u64, String> {
        let tried = without_panic(Box::pin(self.try_reload(trigger)).as_mut()).await;
        let result = tried.unwrap_or(Err(Error::Panicked)).map_err(|error| error.to_string());
        let metrics = &self.gateway.lasting.metrics;
        match &result {
            Ok(generation) => {
                self.failure = None;
                self.gateway.health.reloaded(None);
                metrics.reloaded(Reload::Success);
                tracing::info!(generation, "configuration reloaded");
            }
            Err(text) => {
                // A file that stays wrong is tried again and again.
                if trigger == Trigger::Operator || self.failure.as_ref() != Some(text) {
                    metrics.reloaded(Reload::Failure);
                    tracing::error!("reload failed, so the configuration in effect stays: {text}");
                }
                self.reloads.files.retry();
                self.gateway.health.reloaded(Some(text.clone()));
                self.failure = Some(text.clone());
            }
        }
        result
    }

    async fn try_reload(&mut self, trigger: Trigger) -> Result<u64, Error> {
        self.reloads.files.note();
        let (written, source) = (self.reloads.written.clone(), self.reloads.source.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = written.load(&source).map_err(Error::Problems)?;
            Ok::<_, Error>((written, loaded))
        });
        let (written, (config, warnings)) = loading.await.map_err(|_| Error::Panicked)??;
        // Before anything is made of it: a store that is not in effect has no metrics either.
        fixed_settings::check(&self.reloads.config, &config)?;
        let gateway = Arc::clone(&self.gateway);
        // It takes a while: each provider reads the authorities of the system, for example.
        let building = tokio::task::spawn_blocking(move || {
            let (app, files) = (App::new(&config, &gateway.lasting), files(&written, &config));
            (config, app, files)
        });
        let (config, app, files) = building.await.map_err(|_| Error::Panicked)?;
        let generation = self.put_in_effect(&config, Arc::new(app?)).await?;
        if trigger == Trigger::Operator {
            self.gateway.lasting.ignored_headers.forget();
        }
        for warning in &warnings {
            report(warning);
        }
        self.reloads.files.follow(files);
        self.reloads.config = config;
        Ok(generation)
    }

    async fn put_in_effect(&mut self, config: &Config, app: Arc<App>) -> Result<u64, Error> {
        let Gateway { lasting, public, admin, .. } = &*self.gateway;
        let (limits, left) = config.server.limits.bearable();
        let (settings, passed) = (public_settings(config, limits), &mut self.passed);
        passed.reserve(addresses(config));
        let next = public.prepare(&settings, context(config, &lasting.metrics), passed).await?;
        let admin_settings =
            crate::admin::settings(config.admin.listen.as_ref(), config.server.timeouts);
        let next_admin = admin.prepare(&admin_settings, crate::admin::context(), passed).await?;
        let access = Access::of(&config.admin, &next_admin.local_addresses(ListenerKind::Public));
        // Nothing fails from here on.
        for (_, address) in next_admin.new_addresses() {
            report_admin_listener(address);
        }
        for (kind, address) in next.new_addresses() {
            report_listener(kind, address, &config.public_url);
        }
        lasting.upstreams.resize(left);
        if let Some(source) = &self.gateway.snapshot_source {
            source.store(Arc::new(app.snapshot_source(config)));
        }
        telemetry::log::apply(&config.telemetry);
        public.switch(next, Arc::clone(&app));
        admin.switch(next_admin, Arc::new(self.gateway.shown(&app, access)));
        self.gateway.put_in_effect(&app);
        self.gateway.sweep();
        Ok(lasting.metrics.configured())
    }
}

/// Logs a warning about a configuration.
pub fn report(warning: &Problem) {
    let (file, line) = (warning.file.display(), warning.line);
    let hint = warning.hint.as_deref();
    tracing::warn!(%file, line, hint, "{}", warning.sentence());
}

/// The files whose content the configuration has, with their marks now that they have been read.
pub fn files(written: &ConfigSource, config: &Config) -> MarkedFiles {
    let own = written.path().map(ToOwned::to_owned);
    MarkedFiles::now(own.into_iter().chain(config.files.iter().cloned()).collect())
}
