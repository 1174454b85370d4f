//! `run`: load, build, serve until told to stop.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::app::App;
use crate::app::serve::bind_admin;
use crate::cli::{GOOD, NO_LISTENER, REFUSED, complain};
use crate::clock::{Clock, UnixTime};
use crate::config::{Config, Problems, Source, load};
use crate::server::{self, AccessLog, Bound, CertificateExpiry, Frame, Scheme, Server, Shutdown};
use crate::telemetry;
use crate::telemetry::metrics::Metrics;

/// Serves by the configuration (`None`: wherever it is looked for) and returns the exit code.
pub fn run(config: Option<&Path>, source: &Source) -> io::Result<u8> {
    let file = source.configuration_file(config);
    let (config, warnings) = match load(&file, source) {
        Ok(loaded) => loaded,
        Err(Problems(problems)) => {
            for problem in &problems {
                complain(&problem.to_string());
            }
            return Ok(REFUSED);
        }
    };
    let _flush = telemetry::log::start(&config.telemetry)?;
    for warning in warnings {
        let (file, line) = (warning.file.display(), warning.line);
        let (key, hint) = (&warning.path, warning.hint.as_deref());
        tracing::warn!(%file, line, %key, hint, "the configuration {}", warning.message);
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
    Ok(runtime.block_on(serve(&config, shutdown)))
}

/// Serves one configuration until `shutdown` begins and all is done; returns the exit code.
pub async fn serve(config: &Config, shutdown: Shutdown) -> u8 {
    let metrics = Arc::new(Metrics::new(config.server.workers));
    let clock = Clock::system();
    let app = match App::new(config, &clock, &metrics) {
        Ok(app) => Arc::new(app),
        Err(error) => {
            tracing::error!(%error, "the configuration cannot be put to work");
            return REFUSED;
        }
    };
    let https = config.public_url.is_https();
    let frame = Frame {
        plain_scheme: if https { Scheme::Https } else { Scheme::Http },
        access_log: if config.telemetry.access_log { AccessLog::On } else { AccessLog::Off },
        metrics,
    };
    let (public, admin) = match bind(config, frame).await {
        Ok(bound) => bound,
        Err(error) => {
            tracing::error!(%error, "a listener cannot be opened");
            return NO_LISTENER;
        }
    };
    warn_of_expiry(&public.certificates(), clock.unix());
    for address in admin.iter().flat_map(Bound::local_addresses) {
        tracing::info!(%address, "admin listening");
    }
    for address in public.local_addresses() {
        tracing::info!(%address, public_url = %config.public_url, "listening");
    }
    app.serve(public, admin, shutdown).await;
    GOOD
}

/// Opens the public listeners and, unless it is off, that for the operator.
async fn bind(config: &Config, frame: Frame) -> Result<(Bound, Option<Bound>), server::Error> {
    let public = Server::bind(&config.server, frame).await?;
    let admin = match &config.admin {
        None => None,
        Some(address) => Some(bind_admin(address).await?),
    };
    Ok((public, admin))
}

/// Tells of certificates that are over, or soon will be.
fn warn_of_expiry(certificates: &[CertificateExpiry], now: UnixTime) {
    for CertificateExpiry { name, not_after } in certificates {
        match not_after.0.saturating_sub(now.0) / SECONDS_OF_A_DAY {
            days if days >= DAYS_OF_WARNING => {}
            days if days > 0 => tracing::warn!(%name, days, "a certificate ends soon: renew it"),
            _ => tracing::error!(%name, "a certificate is over: browsers refuse it"),
        }
    }
}

const DAYS_OF_WARNING: i64 = 14;
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;
