//! Signals of the process: SIGTERM and SIGINT stop it, SIGHUP reloads, SIGUSR1 and SIGUSR2 have no effect.
//! Invariant: the first signal starts the drain, the second one stops at once.

use std::convert::Infallible;
use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::server::Shutdown;
use tokio::sync::mpsc::UnboundedSender;

/// Turns signals into calls of `shutdown`, and each SIGHUP into an item of `hangups`. Returns only if the handlers cannot be installed, so run it next to the
/// servers.
pub(super) async fn follow(
    shutdown: &Shutdown,
    hangups: &UnboundedSender<()>,
) -> io::Result<Infallible> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Without a handler, they would end the process. Log rotation sends them to every server.
    let _ignored = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    // With a handler, a write beyond the limit of a file's size is an error as on a full disk.
    let _failing = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {
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

    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::timeout;

    use super::*;

    /// Longer than a signal may take.
    const SOON: Duration = Duration::from_secs(9);

    fn send(signal: &str) {
        assert!(Command::new("kill").args([signal, &id().to_string()]).status().unwrap().success());
    }

    #[tokio::test]
    async fn first_signal_starts_the_drain_and_second_one_stops_at_once() {
        let shutdown = Shutdown::new();
        let followed = shutdown.clone();
        let (hangups, mut hung_up) = unbounded_channel();
        let following = tokio::spawn(async move { follow(&followed, &hangups).await });
        // One turn installs the handlers; before that the signal would end this process.
        tokio::task::yield_now().await;
        send("-USR1");
        send("-USR2");
        send("-HUP");
        timeout(SOON, hung_up.recv()).await.expect("a reload").unwrap();
        send("-TERM");
        timeout(SOON, shutdown.begun()).await.expect("the drain starts");
        assert!(shutdown.unless_forced(std::future::ready(())).await.is_some());
        send("-INT");
        let forced = shutdown.unless_forced(std::future::pending::<()>());
        assert_eq!(timeout(SOON, forced).await.expect("the drain is cut short"), None);
        following.abort();
    }
}
