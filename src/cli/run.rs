//! `run`: loads the configuration, opens the listeners, and serves until a stop signal.

use std::io;
use std::sync::Arc;

use crate::app::kept_sessions::KeptSessions;
use crate::app::lasting::Lasting;
use crate::app::serve::bind_admin;
use crate::app::{self, App};
use crate::cli::check::summary_of_errors;
use crate::cli::service_manager::ServiceManager;
use crate::cli::{CANNOT_LISTEN, INVALID_CONFIG, SUCCESS, complain, signals};
use crate::clock::Clock;
use crate::config::{Config, ConfigSource, HostEnv, Problems};
use crate::server::{self, Bound, Limits, PassedSockets, Scheme, Server, ServerContext, Shutdown};
use crate::telemetry;
use crate::telemetry::metrics::Metrics;

/// Serves with a configuration, and returns the exit code.
pub fn run(written: &ConfigSource, source: &HostEnv) -> io::Result<u8> {
    let (config, warnings) = match written.load(source) {
        Ok(loaded) => loaded,
        Err(Problems(problems)) => {
            for problem in &problems {
                complain(&problem.to_string());
            }
            complain(&summary_of_errors(written, &problems));
            return Ok(INVALID_CONFIG);
        }
    };
    // Before other threads run: it changes the environment.
    let names = source.variable("LISTEN_FDNAMES").unwrap_or_default();
    let passed = PassedSockets::take_over(&names);
    let manager = ServiceManager::at(source.variable("NOTIFY_SOCKET"));
    let _flush = telemetry::log::start(&config.telemetry)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, configuration = %written, "starting");
    for warning in warnings {
        let (file, line) = (warning.file.display(), warning.line);
        let hint = warning.hint.as_deref();
        tracing::warn!(%file, line, hint, "{}", warning.sentence());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.server.workers)
        .enable_all()
        .build()?;
    let shutdown = Shutdown::new();
    let follower = shutdown.clone();
    runtime.spawn(async move {
        let Err(error) = signals::follow(&follower).await;
        tracing::error!(%error, "cannot install signal handlers: SIGTERM will end the process without draining");
    });
    let code = runtime.block_on(serve(&config, passed, &manager, shutdown));
    tracing::info!(exit_code = code, "stopped");
    Ok(code)
}

/// A gateway whose listeners are open.
pub struct BoundGateway {
    app: Arc<App>,
    public: Bound,
    admin: Option<Bound>,
    kept: Option<KeptSessions>,
}

/// Reason why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is valid, but cannot be used.
    #[error("cannot use the configuration: {0}")]
    App(#[from] app::build::Error),
    /// An address is in use, or does not belong to this machine.
    #[error(transparent)]
    Listener(#[from] server::Error),
}

impl StartError {
    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::App(_) => INVALID_CONFIG,
            Self::Listener(_) => CANNOT_LISTEN,
        }
    }
}

/// Serves until `shutdown` begins and all requests have ended; returns the exit code.
async fn serve(
    config: &Config,
    mut passed: PassedSockets,
    manager: &ServiceManager,
    shutdown: Shutdown,
) -> u8 {
    let opened = match open(config, &mut passed).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!("{error}");
            return error.code();
        }
    };
    for address in opened.admin.iter().flat_map(Bound::local_addresses) {
        tracing::info!(%address, "admin listening");
    }
    for address in opened.public.forward_auth_addresses() {
        tracing::info!(%address, "forward auth listening");
    }
    for address in opened.public.redirect_addresses() {
        tracing::info!(%address, "redirect to https listening");
    }
    for address in opened.public.local_addresses() {
        tracing::info!(%address, public_url = %config.public_url, "listening");
    }
    for name in passed.unused() {
        tracing::warn!(
            name,
            "a socket of systemd has no listener, so its clients wait: add systemd:NAME to server.listen"
        );
    }
    manager.ready();
    let stopping = async {
        shutdown.begun().await;
        manager.stopping();
    };
    tokio::join!(opened.serve(shutdown.clone()), stopping);
    SUCCESS
}

/// Builds the application and opens the listeners.
pub async fn open(config: &Config, passed: &mut PassedSockets) -> Result<BoundGateway, StartError> {
    let (limits, left) = config.server.limits.bearable();
    let metrics = Arc::new(Metrics::new(config.server.workers));
    let clock = Clock::system();
    let lasting = Lasting::new(&clock, &metrics, left);
    let app = Arc::new(App::new(config, &lasting)?);
    let https = config.public_url.is_https();
    let frame = ServerContext {
        plain_scheme: if https { Scheme::Https } else { Scheme::Http },
        access_log: config.access_log.clone(),
        metrics,
    };
    let (public, admin) = bind(config, limits, frame, passed).await?;
    // After the listeners are open: connections wait, and none is rejected.
    let kept = app.restore_sessions(config, &clock);
    Ok(BoundGateway { app, public, admin, kept })
}

impl BoundGateway {
    /// Serves until `shutdown` begins and all requests have ended.
    pub async fn serve(self, shutdown: Shutdown) {
        let serving = self.app.serve(self.public, self.admin, shutdown.clone());
        match self.kept {
            Some(kept) => Box::pin(kept.keep_while(serving, &shutdown)).await,
            None => Box::pin(serving).await,
        }
    }
}

/// Opens the public listeners and, unless it is off, the admin listener.
async fn bind(
    config: &Config,
    limits: Limits,
    frame: ServerContext,
    passed: &mut PassedSockets,
) -> Result<(Bound, Option<Bound>), server::Error> {
    let settings = server::Settings { limits, ..config.server.clone() };
    let own = settings.listen.iter().chain(&settings.redirect_http);
    passed.reserve(own.chain(&settings.forward_auth.listen).chain(&config.admin));
    let public = Server::bind(&settings, frame, passed).await?;
    let admin = match &config.admin {
        None => None,
        Some(address) => Some(bind_admin(address, config.server.timeouts, passed).await?),
    };
    Ok((public, admin))
}
