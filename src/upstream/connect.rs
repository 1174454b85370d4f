//! Connecting to an upstream: DNS, TCP or a Unix socket, TLS.
//! Invariants: one timeout covers all of it; certificates are always verified.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::origin::Origin;
use crate::tcp::{TcpAddress, TcpError};
use crate::trust::{self, TrustError};
use crate::upstream::connection_budget::{BudgetPermit, ConnectionBudget};
use crate::upstream::error::{Error, Fault, Phase, SettingsFault};
use crate::upstream::pool::{Connection, Reached};
use crate::upstream::read_before_reset::DeferWriteErrors;
use crate::upstream::{Settings, Target, TlsSettings};

/// Makes connections to one target.
pub(super) struct Connector {
    route: Route,
    /// The largest head of a response, in bytes.
    head: usize,
}

enum Route {
    Tcp(Address),
    Tls { address: Address, tls: TlsConnector, name: ServerName<'static> },
    Unix(Box<Path>),
}

/// The address of a target.
struct Address {
    tcp: TcpAddress,
    reached: Reached,
}

impl Connector {
    /// Checks the settings; reads the system's root certificates if the target needs TLS.
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsFault> {
        let Settings { target, tls, .. } = settings;
        let route = match target {
            Target::Unix(path) => Route::Unix(path.as_path().into()),
            Target::Origin(origin) if !origin.is_https() => Route::Tcp(Address::of(origin)),
            Target::Origin(origin) => {
                let address = Address::of(origin);
                let name = tls.server_name.as_deref().unwrap_or(address.tcp.host());
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|_| SettingsFault::ServerName(name.to_owned()))?;
                let tls = TlsConnector::from(Arc::new(client_config(tls)?));
                Route::Tls { address, tls, name }
            }
        };
        Ok(Self { route, head: settings.response_header_bytes })
    }

    /// A new connection within `limit` and the `budget`, driven by a task of `tasks`.
    pub(super) async fn connect(
        &self,
        limit: Duration,
        tasks: &TaskTracker,
        budget: &ConnectionBudget,
    ) -> Result<Box<Connection>, Error> {
        timeout(limit, self.open(limit, tasks, budget))
            .await
            .unwrap_or(Err(Error::TooSlow(Phase::Connecting)))
    }

    async fn open(
        &self,
        limit: Duration,
        tasks: &TaskTracker,
        budget: &ConnectionBudget,
    ) -> Result<Box<Connection>, Error> {
        let permit = budget.take().await.ok_or(Error::Full)?;
        match &self.route {
            Route::Tcp(address) => {
                let stream = address.connect(limit).await?;
                introduce(stream, permit, address.reached, self.head, tasks).await
            }
            Route::Tls { address, tls, name } => {
                let stream = address.connect(limit).await?;
                let stream = tls.connect(name.clone(), stream).await.map_err(Error::TlsFailed)?;
                introduce(stream, permit, address.reached, self.head, tasks).await
            }
            Route::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .map_err(|source| unreachable(path.display(), source))?;
                introduce(stream, permit, Reached::ByAddress, self.head, tasks).await
            }
        }
    }
}

impl Address {
    fn of(origin: &Origin) -> Self {
        let host = origin.host().trim_start_matches('[').trim_end_matches(']');
        let reached = match host.parse::<IpAddr>() {
            Ok(_) => Reached::ByAddress,
            Err(_) => Reached::ByName,
        };
        Self { tcp: TcpAddress::new(host, origin.port()), reached }
    }

    async fn connect(&self, limit: Duration) -> Result<TcpStream, Error> {
        self.tcp.connect(limit).await.map_err(|error| match error {
            TcpError::Unresolved { host, source } => {
                Error::Unresolved { host: (&*host).into(), source }
            }
            TcpError::Unreachable { address, source } => unreachable(address, source),
            TcpError::TooSlow => Error::TooSlow(Phase::Connecting),
        })
    }
}

fn unreachable(target: impl fmt::Display, source: io::Error) -> Error {
    Error::Unreachable { target: target.to_string().into(), source }
}

/// Starts HTTP/1.1 on a stream. Heads of responses may have `head` bytes.
pub(super) async fn introduce<S>(
    stream: S,
    permit: BudgetPermit,
    peer: Reached,
    head: usize,
    tasks: &TaskTracker,
) -> Result<Box<Connection>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_header_size(head)
        .max_buf_size(BUFFER.max(head))
        .max_headers((head / SMALLEST_FIELD).min(MOST_FIELDS))
        .handshake(TokioIo::new(DeferWriteErrors::new(stream, permit)))
        .await
        .map_err(|error| Error::Misbehaved(Fault::Http(error)))?;
    // Its error reaches the request or the body that waits for it.
    let driver = tasks.spawn(async { connection.with_upgrades().await.ok() });
    Ok(Connection::new(sender, driver.abort_handle(), peer))
}

fn client_config(settings: &TlsSettings) -> Result<ClientConfig, SettingsFault> {
    let client = settings.client.as_ref().map(|(chain, key)| (chain.as_str(), key.expose()));
    let mut config =
        trust::client(settings.ca.as_deref(), client).map_err(|fault| match fault {
            TrustError::Authority(_) => SettingsFault::Authority,
            TrustError::ClientCertificate(cause) => SettingsFault::ClientCertificate(cause),
            TrustError::Tls(cause) => SettingsFault::Tls(cause),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Bytes that are read ahead, unless a larger head is allowed. Back-pressure starts when it is full.
const BUFFER: usize = 64 * 1024;

/// No application sends fields that are smaller on average, so that only the bytes of a head limit their number.
/// hyper reserves memory for each of them.
const SMALLEST_FIELD: usize = 8;

/// As many as fit into a [`http::HeaderMap`], which panics at more.
const MOST_FIELDS: usize = 24_000;
