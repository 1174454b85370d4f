//! `run`: load, build, serve until told to stop.

use std::io;
use std::sync::Arc;

use crate::app::lasting::Lasting;
use crate::app::serve::bind_admin;
use crate::app::{self, App};
use crate::cli::check::refusal;
use crate::cli::{GOOD, NO_LISTENER, REFUSED, complain};
use crate::clock::Clock;
use crate::config::{Config, ConfigSource, HostEnv, Problems};
use crate::server::{self, AccessLog, Bound, Limits, Scheme, Server, ServerContext, Shutdown};
use crate::telemetry;
use crate::telemetry::metrics::Metrics;

/// Serves by a configuration and returns the exit code.
pub fn run(written: &ConfigSource, source: &HostEnv) -> io::Result<u8> {
    let (config, warnings) = match written.load(source) {
        Ok(loaded) => loaded,
        Err(Problems(problems)) => {
            for problem in &problems {
                complain(&problem.to_string());
            }
            complain(&refusal(written, &problems));
            return Ok(REFUSED);
        }
    };
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
        let Err(error) = follower.follow_signals().await;
        tracing::error!(%error, "signals cannot be heard: SIGTERM will end the process at once");
    });
    let code = runtime.block_on(serve(&config, shutdown));
    tracing::info!(exit_code = code, "stopped");
    Ok(code)
}

/// What serves, its listeners open.
pub struct BoundGateway {
    app: Arc<App>,
    public: Bound,
    admin: Option<Bound>,
}

/// Why there is nothing that could serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is good by itself only.
    #[error("the configuration cannot be put to work: {0}")]
    App(#[from] app::build::Error),
    /// An address is taken, or not ours.
    #[error("a listener cannot be opened: {0}")]
    Listener(#[from] server::Error),
}

impl StartError {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::App(_) => REFUSED,
            Self::Listener(_) => NO_LISTENER,
        }
    }
}

/// Serves one configuration until `shutdown` begins and all is done; returns the exit code.
async fn serve(config: &Config, shutdown: Shutdown) -> u8 {
    let opened = match open(config).await {
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
    for address in opened.public.local_addresses() {
        tracing::info!(%address, public_url = %config.public_url, "listening");
    }
    opened.serve(shutdown).await;
    GOOD
}

/// Puts a configuration to work and opens its listeners.
pub async fn open(config: &Config) -> Result<BoundGateway, StartError> {
    let (limits, left) = config.server.limits.bearable();
    let metrics = Arc::new(Metrics::new(config.server.workers));
    let lasting = Lasting::new(&Clock::system(), &metrics, left);
    let app = Arc::new(App::new(config, &lasting)?);
    let https = config.public_url.is_https();
    let frame = ServerContext {
        plain_scheme: if https { Scheme::Https } else { Scheme::Http },
        access_log: if config.telemetry.access_log { AccessLog::On } else { AccessLog::Off },
        metrics,
    };
    let (public, admin) = bind(config, limits, frame).await?;
    Ok(BoundGateway { app, public, admin })
}

impl BoundGateway {
    /// Serves until `shutdown` begins and all is done.
    pub async fn serve(self, shutdown: Shutdown) {
        self.app.serve(self.public, self.admin, shutdown).await;
    }
}

/// Opens the public listeners and, unless it is off, that for the operator.
async fn bind(
    config: &Config,
    limits: Limits,
    frame: ServerContext,
) -> Result<(Bound, Option<Bound>), server::Error> {
    let public = Server::bind(&server::Settings { limits, ..config.server.clone() }, frame).await?;
    let admin = match &config.admin {
        None => None,
        Some(address) => Some(bind_admin(address).await?),
    };
    Ok((public, admin))
}
