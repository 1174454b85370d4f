//! A connection to a Redis server: TCP or a unix socket, TLS, authentication, tracking.
//! Invariants: one limit of time covers all of it; a connection that is handed out is one to a primary, and the server
//! remembers for it which keys it reads.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ErrorKind, Pipeline, ProtocolVersion, PushInfo, RedisConnectionInfo,
    Value,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::session::redis::error::{ConnectError, ErrorReply, RedisError};
use crate::session::redis::reply::{field, first_error, text};
use crate::session::redis::{RedisAddress, RedisSettings, RedisTls};
use crate::tcp::TcpAddress;

/// Makes connections to one server.
pub(super) struct RedisConnector {
    route: Route,
    info: RedisConnectionInfo,
    limit: Duration,
}

enum Route {
    Tcp(TcpAddress),
    Tls(TcpAddress, RedisTls),
    Unix(PathBuf),
}

/// A new connection.
pub(super) struct Opened {
    pub(super) connection: MultiplexedConnection,
    /// Writes and reads for it; ends with the connection, and closes it when it is dropped.
    pub(super) driver: Driver,
    pub(super) server: ServerInfo,
}

pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a server says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ServerInfo {
    pub(super) version: String,
    role: String,
    /// `maxmemory-policy`, where the user may read it.
    policy: Option<String>,
}

impl RedisConnector {
    pub(super) fn new(settings: &RedisSettings) -> Self {
        let route = match (&settings.address, &settings.tls) {
            (RedisAddress::Unix(path), _) => Route::Unix(path.clone()),
            (RedisAddress::Tcp { host, port }, None) => Route::Tcp(TcpAddress::new(host, *port)),
            (RedisAddress::Tcp { host, port }, Some(tls)) => {
                Route::Tls(TcpAddress::new(host, *port), tls.clone())
            }
        };
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name()
            .set_db(settings.database.into());
        if let Some(username) = &settings.username {
            info = info.set_username(username);
        }
        if let Some(password) = &settings.password {
            info = info.set_password(password.expose());
        }
        Self { route, info, limit: (settings.timeout * OPERATIONS).max(SHORTEST_LIMIT) }
    }

    /// A new connection. `push` gets what the server sends without being asked.
    pub(super) async fn connect(
        &self,
        push: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<Opened, ConnectError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(push);
        timeout(self.limit, self.open(config)).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn open(&self, config: AsyncConnectionConfig) -> Result<Opened, ConnectError> {
        match &self.route {
            Route::Tcp(address) => self.introduce(address.connect(self.limit).await?, config).await,
            Route::Tls(address, tls) => {
                let stream = address.connect(self.limit).await?;
                let connector = TlsConnector::from(tls.config().clone());
                let stream = connector.connect(tls.server_name().clone(), stream).await;
                self.introduce(stream.map_err(ConnectError::Tls)?, config).await
            }
            Route::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                let failed = |source| ConnectError::Unix { path: path.clone(), source };
                self.introduce(stream.map_err(failed)?, config).await
            }
        }
    }

    async fn introduce<S>(
        &self,
        stream: S,
        config: AsyncConnectionConfig,
    ) -> Result<Opened, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let opened = MultiplexedConnection::new_with_config(&self.info, stream, config).await;
        let (mut connection, driver) = opened.map_err(setup_error)?;
        let mut driver: Driver = Box::pin(driver);
        let server = tokio::select! {
            server = set_up(&mut connection) => server?,
            () = &mut driver => return Err(RedisError::BrokeOff.into()),
        };
        Ok(Opened { connection, driver, server })
    }
}

/// Asks for tracking, and who the server is.
async fn set_up(connection: &mut MultiplexedConnection) -> Result<ServerInfo, ConnectError> {
    let mut commands = Pipeline::new();
    commands.cmd("HELLO");
    // Without our own changes, which we know.
    commands.cmd("CLIENT").arg("TRACKING").arg("ON").arg("NOLOOP");
    let replies = connection.send_packed_commands(&commands, 0, 2).await.map_err(setup_error)?;
    let mut server = ServerInfo::of(replies.first());
    // What a replica or an old server says to the second command explains less.
    server.check()?;
    if let Some(reply) = first_error(&replies) {
        return Err(RedisError::Replied(reply).into());
    }
    // A user without the permission for the one may have that for the other.
    let mut commands = Pipeline::new();
    commands.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
    commands.cmd("INFO").arg("memory");
    let replies = connection.send_packed_commands(&commands, 0, 2).await.map_err(setup_error)?;
    server.policy = replies.iter().find_map(policy);
    Ok(server)
}

impl ServerInfo {
    /// By the reply to `HELLO`.
    pub(super) fn of(hello: Option<&Value>) -> Self {
        let field = |name| hello.and_then(|hello| field(hello, name)).unwrap_or_default();
        Self { version: field("version").to_owned(), role: field("role").to_owned(), policy: None }
    }

    /// The policy by which it may remove sessions when its memory is full.
    pub(super) fn eviction(&self) -> Option<&str> {
        self.policy.as_deref().filter(|policy| *policy != "noeviction")
    }

    fn check(&self) -> Result<(), ConnectError> {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if !self.version.is_empty() && version < OLDEST {
            return Err(ConnectError::TooOld(self.version.clone()));
        }
        if self.is_replica() { Err(ConnectError::Replica) } else { Ok(()) }
    }

    /// Whether it takes no writes.
    pub(super) fn is_replica(&self) -> bool {
        matches!(&*self.role, "replica" | "slave")
    }
}

/// The policy in the reply to `CONFIG GET maxmemory-policy` or `INFO memory`.
fn policy(reply: &Value) -> Option<String> {
    let of_info = || text(reply)?.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
    field(reply, "maxmemory-policy").or_else(of_info).map(str::to_owned)
}

fn setup_error(error: redis::RedisError) -> ConnectError {
    match (error.kind(), error.code()) {
        (ErrorKind::RESP3NotSupported, _) => ConnectError::NoResp3,
        (ErrorKind::Parse, _) => RedisError::Unexpected.into(),
        (_, Some(code)) => {
            RedisError::Replied(ErrorReply::new(code, error.detail().unwrap_or_default())).into()
        }
        (_, None) => ConnectError::BrokeOff(error.to_string()),
    }
}

/// As many replies are waited for, one after another, with TLS.
const OPERATIONS: u32 = 8;

/// A resolver that is silent takes a second of it before the last addresses are used.
const SHORTEST_LIMIT: Duration = Duration::from_secs(2);

const OLDEST: (u32, u32) = (6, 2);

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: &str, role: &str) -> ServerInfo {
        let bulk = |text: &str| Value::BulkString(text.into());
        let field = |name, value| (bulk(name), bulk(value));
        ServerInfo::of(Some(&Value::Map(vec![field("version", version), field("role", role)])))
    }

    #[test]
    fn only_a_primary_of_6_2_or_newer_is_taken() {
        for version in ["6.2.0", "7.0.15", "8.1.8", "10.0", ""] {
            assert!(hello(version, "master").check().is_ok(), "{version}");
        }
        assert!(ServerInfo::of(None).check().is_ok());
        for version in ["6.0.16", "5.0.3", "x"] {
            let old = hello(version, "master").check();
            assert!(matches!(old, Err(ConnectError::TooOld(_))), "{version}");
        }
        assert!(matches!(hello("7.2.0", "replica").check(), Err(ConnectError::Replica)));
    }

    #[test]
    fn policy_is_found_in_either_reply() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let config = Value::Map(vec![(bulk("maxmemory-policy"), bulk("allkeys-lru"))]);
        assert_eq!(policy(&config).unwrap(), "allkeys-lru");
        let info = bulk("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n");
        assert_eq!(policy(&info).unwrap(), "noeviction");
        assert_eq!((policy(&Value::Nil), policy(&bulk("# Memory\r\n"))), (None, None));
    }
}
