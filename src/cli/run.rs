//! `run`: load, build, serve until told to stop.

use std::io;
use std::sync::Arc;

use crate::app::serve::bind_admin;
use crate::app::{self, App};
use crate::cli::check::refusal;
use crate::cli::{GOOD, NO_LISTENER, REFUSED, complain};
use crate::clock::{Clock, UnixTime};
use crate::config::{Config, Problems, Source, Written};
use crate::server::{
    self, AccessLog, Bound, CertificateExpiry, Frame, Limits, Scheme, Server, Shutdown,
};
use crate::telemetry;
use crate::telemetry::metrics::Metrics;

/// Serves by a configuration and returns the exit code.
pub fn run(written: &Written, source: &Source) -> io::Result<u8> {
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
pub struct Opened {
    app: Arc<App>,
    public: Bound,
    admin: Option<Bound>,
}

/// Why there is nothing that could serve.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// The configuration is good by itself only.
    #[error("the configuration cannot be put to work: {0}")]
    App(#[from] app::build::Error),
    /// An address is taken, or not ours.
    #[error("a listener cannot be opened: {0}")]
    Listener(#[from] server::Error),
}

impl Unopened {
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
    warn_of_expiry(&opened.public.certificates(), Clock::system().unix());
    for address in opened.admin.iter().flat_map(Bound::local_addresses) {
        tracing::info!(%address, "admin listening");
    }
    for address in opened.public.local_addresses() {
        tracing::info!(%address, public_url = %config.public_url, "listening");
    }
    opened.serve(shutdown).await;
    GOOD
}

/// Puts a configuration to work and opens its listeners.
pub async fn open(config: &Config) -> Result<Opened, Unopened> {
    let (limits, left) = config.server.limits.bearable();
    let metrics = Arc::new(Metrics::new(config.server.workers));
    let app = Arc::new(App::new(config, &Clock::system(), &metrics, left)?);
    let https = config.public_url.is_https();
    let frame = Frame {
        plain_scheme: if https { Scheme::Https } else { Scheme::Http },
        access_log: if config.telemetry.access_log { AccessLog::On } else { AccessLog::Off },
        metrics,
    };
    let (public, admin) = bind(config, limits, frame).await?;
    Ok(Opened { app, public, admin })
}

impl Opened {
    /// Serves until `shutdown` begins and all is done.
    pub async fn serve(self, shutdown: Shutdown) {
        self.app.serve(self.public, self.admin, shutdown).await;
    }
}

/// Opens the public listeners and, unless it is off, that for the operator.
async fn bind(
    config: &Config,
    limits: Limits,
    frame: Frame,
) -> Result<(Bound, Option<Bound>), server::Error> {
    let public = Server::bind(&server::Settings { limits, ..config.server.clone() }, frame).await?;
    let admin = match &config.admin {
        None => None,
        Some(address) => Some(bind_admin(address).await?),
    };
    Ok((public, admin))
}

/// Tells of certificates that are over, or soon will be.
fn warn_of_expiry(certificates: &[CertificateExpiry], now: UnixTime) {
    for CertificateExpiry { name, not_after } in certificates {
        match left(*not_after, now) {
            Left::Enough => {}
            Left::Days(days) => tracing::warn!(%name, days, "a certificate ends soon: renew it"),
            Left::Nothing => tracing::error!(%name, "a certificate is over: browsers refuse it"),
        }
    }
}

/// How long a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Enough,
    /// So many whole days.
    Days(i64),
    Nothing,
}

fn left(not_after: UnixTime, now: UnixTime) -> Left {
    match not_after.0.saturating_sub(now.0) {
        ..=0 => Left::Nothing,
        left if left / SECONDS_OF_A_DAY >= DAYS_OF_WARNING => Left::Enough,
        left => Left::Days(left / SECONDS_OF_A_DAY),
    }
}

const DAYS_OF_WARNING: i64 = 14;
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_good_to_its_last_second() {
        let check = |seconds, expected| {
            assert_eq!(left(UnixTime(1_000 + seconds), UnixTime(1_000)), expected, "{seconds}");
        };
        check(-1, Left::Nothing);
        check(0, Left::Nothing);
        check(1, Left::Days(0));
        check(13 * SECONDS_OF_A_DAY, Left::Days(13));
        check(14 * SECONDS_OF_A_DAY, Left::Enough);
    }
}
