//! Signals of the process: SIGTERM and SIGINT stop it, SIGHUP reloads, SIGUSR1 and SIGUSR2 have no effect.
//! Invariants: the first stop signal starts the drain, the second one stops at once. The others never end the process,
//! also while it reads its configuration; a SIGHUP of that time reloads after the start.

use std::convert::Infallible;
use std::io;

use rustix::process;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use crate::server::Shutdown;

/// The handlers of the signals that do not stop the process.
#[derive(Debug)]
pub(super) struct HarmlessSignals {
    hangup: Signal,
    _others: [Signal; 3],
}

impl HarmlessSignals {
    /// Installs the handlers. No runtime has to exist yet, and none must run on this thread.
    pub(super) fn catch() -> io::Result<Self> {
        // The runtime that serves needs the configuration. Handlers are of the process, and what one has caught waits
        // for the next runtime.
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let _entered = runtime.enter();
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            _others: [
                // Without a handler, they would end the process. Log rotation sends them to every server.
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
                // With a handler, a write beyond the limit of a file's size is an error as on a full disk.
                signal(SignalKind::from_raw(process::Signal::XFSZ.as_raw()))?,
            ],
        })
    }
}

/// Turns signals into calls of `shutdown`, and each SIGHUP into an item of `hangups`. Returns only if the handlers of the
/// stop signals cannot be installed, so run it next to the servers.
pub(super) async fn follow(
    mut harmless: HarmlessSignals,
    shutdown: &Shutdown,
    hangups: &UnboundedSender<()>,
) -> io::Result<Infallible> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = harmless.hangup.recv() => {
                // At the end of the process no configuration is loaded any more.
                let (Ok(()) | Err(_)) = hangups.send(());
                continue;
            }
        }
        if shutdown.is_begun() {
            tracing::warn!("stopping at once");
            shutdown.force();
        } else {
            tracing::info!("stopping");
            shutdown.begin();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};
    use std::time::Duration;

    use tokio::runtime::Runtime;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::timeout;

    use super::*;

    /// Longer than a signal may take.
    const SOON: Duration = Duration::from_secs(9);

    fn send(signal: &str) {
        assert!(Command::new("kill").args([signal, &id().to_string()]).status().unwrap().success());
    }

    #[test]
    fn first_signal_starts_the_drain_and_second_one_stops_at_once() {
        let harmless = HarmlessSignals::catch().unwrap();
        // There is no runtime yet.
        for signal in ["-USR1", "-USR2", "-XFSZ", "-HUP"] {
            send(signal);
        }
        Runtime::new().unwrap().block_on(check(harmless));
    }

    async fn check(harmless: HarmlessSignals) {
        let shutdown = Shutdown::new();
        let followed = shutdown.clone();
        let (hangups, mut hung_up) = unbounded_channel();
        let following = tokio::spawn(async move { follow(harmless, &followed, &hangups).await });
        timeout(SOON, hung_up.recv()).await.expect("a reload after the start").unwrap();
        send("-HUP");
        timeout(SOON, hung_up.recv()).await.expect("another reload").unwrap();
        send("-TERM");
        timeout(SOON, shutdown.begun()).await.expect("the drain starts");
        assert!(shutdown.unless_forced(std::future::ready(())).await.is_some());
        send("-INT");
        let forced = shutdown.unless_forced(std::future::pending::<()>());
        assert_eq!(timeout(SOON, forced).await.expect("the drain is cut short"), None);
        following.abort();
    }
}
