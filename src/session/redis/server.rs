//! One Redis server, as a connection that a task of ours makes again after each loss. Knows bytes and keys, and no
//! session.
//! Invariants: an operation takes no longer than `session.store.redis.timeout`; while there is no connection, it fails at
//! once. An operation that fails with its connection does so after [`RedisServer::link`] is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};

use crate::random;
use crate::session::redis::connect::{Opened, RedisConnector, ServerInfo};
use crate::session::redis::error::{ErrorReply, ErrorReplyKind, RedisError};
use crate::session::redis::link::{Link, LinkState};
use crate::session::redis::log::RedisLog;
use crate::session::redis::reply::{bytes, first_error, list};
use crate::session::redis::scripts::{Script, Scripts};
use crate::session::redis::{RedisAddress, RedisSettings};
use crate::telemetry::metrics::{Metrics, StoreMeter, StoreOperation, StoreOutcome};

/// A Redis or Valkey server. Clones share the connection.
#[derive(Clone)]
pub struct RedisServer(Arc<Shared>);

/// What the server reports by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A new connection: the server reports changes from now on of what is read over it.
    Connected,
    /// This key, which was read or written, has been changed or removed by another client, or has expired.
    Changed(Vec<u8>),
    /// All keys may have been removed.
    AllChanged,
}

struct Shared {
    connector: RedisConnector,
    timeout: Duration,
    link: Link,
    has_answered: AtomicBool,
    connection: ArcSwapOption<Connection>,
    under_way: Semaphore,
    notices: mpsc::UnboundedSender<Notice>,
    meter: Arc<StoreMeter>,
    log: RedisLog,
    scripts: Scripts,
}

/// A connection, which stands while [`Link`] has its number.
struct Connection {
    number: u64,
    multiplexed: MultiplexedConnection,
    ended: Notify,
}

impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisServer").finish_non_exhaustive()
    }
}

impl RedisServer {
    /// A server without connection, and its notices in the order in which they arrive.
    pub fn new(
        settings: &RedisSettings,
        metrics: &Metrics,
    ) -> (Self, mpsc::UnboundedReceiver<Notice>) {
        let (notices, received) = mpsc::unbounded_channel();
        let server = match &settings.address {
            RedisAddress::Tcp { host, port } => format!("{host}:{port}"),
            RedisAddress::Unix(path) => path.display().to_string(),
        };
        let shared = Shared {
            connector: RedisConnector::new(settings),
            timeout: settings.timeout,
            link: Link::default(),
            has_answered: AtomicBool::new(false),
            connection: ArcSwapOption::empty(),
            under_way: Semaphore::new(MOST_UNDER_WAY),
            notices,
            meter: metrics.session_store(),
            log: RedisLog::of(server),
            scripts: Scripts::default(),
        };
        (Self(Arc::new(shared)), received)
    }

    /// The connection now.
    pub fn link(&self) -> LinkState {
        self.0.link.state()
    }

    /// Whether there has been a connection since the start.
    pub fn has_answered(&self) -> bool {
        self.0.has_answered.load(Ordering::Relaxed)
    }

    /// Connects, and connects again after each loss; never returns.
    pub async fn keep_connected(&self) {
        let mut pause = Pause::default();
        loop {
            let notices = self.0.notices.clone();
            match self.0.connector.connect(move |push| report(&notices, push)).await {
                Ok(opened) => {
                    let began = Instant::now();
                    self.0.serve(opened).await;
                    if began.elapsed() >= STEADY {
                        pause = Pause::default();
                    }
                }
                Err(error) => self.0.log.not_connected(&error),
            }
            sleep(pause.next()).await;
        }
    }

    /// Replies to commands; an error reply to one of them is an error.
    pub(super) async fn run(
        &self,
        operation: StoreOperation,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, RedisError> {
        self.counted(operation, async |connection| self.0.ask(connection, commands).await).await
    }

    /// The reply to one command.
    pub(super) async fn run_one(
        &self,
        operation: StoreOperation,
        command: Cmd,
    ) -> Result<Value, RedisError> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command);
        only(self.run(operation, &commands).await?)
    }

    /// The result of a script, by its text if the server does not know its name yet.
    pub(super) async fn run_script(
        &self,
        operation: StoreOperation,
        script: fn(&Scripts) -> &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Value, RedisError> {
        let script = script(&self.0.scripts);
        let call = async |connection: &Connection| {
            let mut commands = Pipeline::with_capacity(1);
            commands.add_command(script.by_name(keys, arguments));
            match self.0.ask(connection, &commands).await {
                Err(RedisError::Replied(reply)) if reply.kind == ErrorReplyKind::UnknownScript => {}
                result => return result,
            }
            let mut commands = Pipeline::with_capacity(1);
            commands.add_command(script.by_text(keys, arguments));
            self.0.ask(connection, &commands).await
        };
        only(self.counted(operation, call).await?)
    }

    /// Asks with the connection, if there is one and not too much is under way.
    async fn counted(
        &self,
        operation: StoreOperation,
        ask: impl AsyncFnOnce(&Connection) -> Result<Vec<Value>, RedisError>,
    ) -> Result<Vec<Value>, RedisError> {
        let result = match (self.0.under_way.try_acquire(), self.0.connection.load_full()) {
            (_, None) => Err(RedisError::Down),
            (Err(_), Some(_)) => Err(RedisError::Full),
            (Ok(_permit), Some(connection)) => ask(&connection).await,
        };
        let outcome = match &result {
            Ok(_) => StoreOutcome::Success,
            Err(RedisError::TimedOut) => StoreOutcome::Timeout,
            Err(RedisError::Replied(_) | RedisError::Unexpected) => StoreOutcome::Error,
            Err(RedisError::Down | RedisError::Full | RedisError::BrokeOff) => {
                StoreOutcome::Unavailable
            }
        };
        self.0.meter.operated(operation, outcome);
        result.inspect_err(|error| self.0.log.failed(error))
    }
}

impl Shared {
    /// Sends commands, and waits for their replies. What shows that the connection is of no use ends it.
    async fn ask(
        &self,
        connection: &Connection,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, RedisError> {
        if !self.link.has(connection.number) {
            return Err(RedisError::Down);
        }
        let mut multiplexed = connection.multiplexed.clone();
        let replies = multiplexed.send_packed_commands(commands, 0, commands.len());
        let result = match timeout(self.timeout, replies).await {
            Err(_) => Err(RedisError::TimedOut),
            Ok(Err(_)) => Err(RedisError::BrokeOff),
            Ok(Ok(replies)) => match first_error(&replies) {
                Some(reply) => Err(RedisError::Replied(reply)),
                None => Ok(replies),
            },
        };
        if let Some(error) = result.as_ref().err().filter(|error| error.ends_connection()) {
            self.end(connection, error);
        }
        result
    }

    /// Ends a connection for all operations at once.
    fn end(&self, connection: &Connection, error: &RedisError) {
        if self.link.end(connection.number) {
            self.meter.set_up(false);
            self.log.lost(error);
            connection.ended.notify_one();
        }
    }

    /// Lets operations use a new connection until it ends.
    async fn serve(&self, Opened { connection, driver, server }: Opened) {
        let mut commands = Pipeline::with_capacity(1);
        commands.cmd("PING");
        let mut driver = driver;
        let mut multiplexed = connection.clone();
        let first = timeout(self.timeout, multiplexed.send_packed_commands(&commands, 0, 1));
        // A server that needs longer than an operation may take is of no use.
        let error = tokio::select! {
            reply = first => match reply {
                Ok(Ok(replies)) => first_error(&replies).map(RedisError::Replied),
                Ok(Err(_)) => Some(RedisError::BrokeOff),
                Err(_) => Some(RedisError::TimedOut),
            },
            () = &mut driver => Some(RedisError::BrokeOff),
        };
        if let Some(error) = error {
            return self.log.not_connected(&error.into());
        }
        let number = self.link.connected();
        let connection = Arc::new(Connection { number, multiplexed, ended: Notify::new() });
        self.connection.store(Some(Arc::clone(&connection)));
        self.has_answered.store(true, Ordering::Relaxed);
        self.meter.set_up(true);
        self.log.connected(&server);
        self.meter.set_evicting(server.eviction().is_some());
        // Without a receiver there is nothing that a notice would change.
        self.notices.send(Notice::Connected).ok();
        // A primary that becomes a replica keeps its connections, and answers with what it had.
        commands.cmd("HELLO");
        let pings = async {
            loop {
                sleep(BETWEEN_PINGS).await;
                match self.ask(&connection, &commands).await {
                    Ok(replies) if ServerInfo::of(replies.last()).is_replica() => {
                        return RedisError::Replied(ErrorReply::of_replica());
                    }
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        };
        let error = tokio::select! {
            () = driver => RedisError::BrokeOff,
            () = connection.ended.notified() => RedisError::BrokeOff,
            error = pings => error,
        };
        self.end(&connection, &error);
        self.connection.store(None);
    }
}

/// Turns what the server sends by itself into notices.
fn report(notices: &mpsc::UnboundedSender<Notice>, push: PushInfo) -> Result<(), ()> {
    if push.kind != PushKind::Invalidate {
        return Ok(());
    }
    let keys = push.data.into_iter().next().and_then(|keys| list(keys).ok());
    // Nil instead of keys.
    let keys = keys.unwrap_or_else(|| vec![Value::Nil]);
    keys.into_iter().try_for_each(|key| {
        let notice = bytes(key).map_or(Notice::AllChanged, Notice::Changed);
        notices.send(notice).map_err(|_| ())
    })
}

/// The only reply.
fn only(replies: Vec<Value>) -> Result<Value, RedisError> {
    replies.into_iter().next().ok_or(RedisError::Unexpected)
}

/// How long to wait before the next attempt to connect: each time twice as long, and by chance up to half of it less,
/// so that not all instances come at once.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(SHORTEST_PAUSE)
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let whole = self.0;
        self.0 = (whole * 2).min(LONGEST_PAUSE);
        let [chance] = random::bytes();
        whole / 2 + whole / 2 * u32::from(chance) / 255
    }
}

/// Further operations fail at once.
const MOST_UNDER_WAY: usize = 1024;

const BETWEEN_PINGS: Duration = Duration::from_secs(1);

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// A connection that stood for so long was a good one.
const STEADY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_leave_less_than_a_second() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..50).map(|_| pause.next()).collect();
        let (first, last) = (Duration::from_millis(25), Duration::from_millis(400));
        assert!((first..=2 * first).contains(&pauses[0]), "{pauses:?}");
        assert!(pauses[5..].iter().all(|pause| (last..=2 * last).contains(pause)), "{pauses:?}");
    }
}
