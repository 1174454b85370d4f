//! `run`: loads the configuration, opens the listeners, and serves until a stop signal.

use std::io;

use tokio::sync::mpsc::unbounded_channel;

use crate::app::file_watch::FileWatch;
use crate::app::reload::{Reloads, files, report};
use crate::app::serve::{BoundGateway, StartError};
use crate::cli::check::summary_of_errors;
use crate::cli::service_manager::ServiceManager;
use crate::cli::signals::HarmlessSignals;
use crate::cli::{CANNOT_LISTEN, INVALID_CONFIG, SUCCESS, complain, signals};
use crate::clock::Clock;
use crate::config::{ConfigSource, HostEnv, Problems};
use crate::server::{PassedSockets, Shutdown};
use crate::telemetry;

/// Serves with a configuration, and returns the exit code.
pub fn run(written: &ConfigSource, source: &HostEnv) -> io::Result<u8> {
    // First: until then, a SIGHUP would end the process.
    let harmless = HarmlessSignals::catch()?;
    let mut watch = FileWatch::new(written.path().map(Into::into).into_iter().collect());
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
    // Before the listeners open: reading the sessions can take seconds.
    watch.follow(files(written, &config));
    // Before other threads run: it changes the environment.
    let names = source.variable("LISTEN_FDNAMES").unwrap_or_default();
    let passed = PassedSockets::take_over(&names);
    let manager = ServiceManager::at(source.variable("NOTIFY_SOCKET"));
    let _flush = telemetry::log::start(&config.telemetry)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, configuration = %written, "starting");
    warnings.iter().for_each(report);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.server.workers)
        .enable_all()
        .build()?;
    let shutdown = Shutdown::new();
    let (follower, (hangups, signals)) = (shutdown.clone(), unbounded_channel());
    runtime.spawn(async move {
        let Err(error) = signals::follow(harmless, &follower, &hangups).await;
        tracing::error!(%error, "cannot install signal handlers: SIGTERM will end the process without draining");
    });
    let (written, source) = (written.clone(), source.clone());
    let reloads = Reloads { written, source, config, signals, files: watch };
    let code = runtime.block_on(serve(reloads, passed, &manager, shutdown));
    tracing::info!(exit_code = code, "stopped");
    Ok(code)
}

/// Serves until `shutdown` begins and all requests have ended; returns the exit code.
async fn serve(
    reloads: Reloads,
    passed: PassedSockets,
    manager: &ServiceManager,
    shutdown: Shutdown,
) -> u8 {
    let opened = match BoundGateway::open(&reloads.config, &Clock::system(), passed).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!("{error}");
            return code_of(&error);
        }
    };
    opened.report_listeners(&reloads.config.public_url);
    for name in opened.unused_sockets() {
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
    tokio::join!(opened.serve(shutdown.clone(), Some(reloads)), stopping);
    SUCCESS
}

/// The exit code of a gateway that cannot start.
pub fn code_of(error: &StartError) -> u8 {
    match error {
        StartError::App(_) => INVALID_CONFIG,
        StartError::Listener(_) => CANNOT_LISTEN,
    }
}
