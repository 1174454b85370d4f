//! TLS before a server, as its example has it: a certificate for its name, and clients that trust it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::VISITOR;
use crate::support::browser::Door;

/// The name in the examples.
pub(crate) const NAME: &str = "wiki.example.com";

/// A certificate for a name with its key, both as PEM, what a client needs to trust it, and a server that has it.
pub(crate) struct Certificate {
    name: &'static str,
    pub(crate) chain: String,
    pub(crate) key: String,
    client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Certificate {
    pub(crate) fn of(name: &'static str) -> Self {
        let pair = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.der().clone()], key);
        Self {
            name,
            chain: pair.cert.pem(),
            key: pair.signing_key.serialize_pem(),
            client: Arc::new(client),
            server: Arc::new(server.unwrap()),
        }
    }
}

/// Takes what browsers of the tests send, which is not encrypted, to a server that speaks TLS.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr, certificate: &Certificate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connector = TlsConnector::from(Arc::clone(&certificate.client));
        let name = certificate.name;
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(stream, server, connector.clone(), name));
            }
        });
        Self { address, serving }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A connection that fails is closed, as that of a browser would be.
async fn relay(
    mut stream: TcpStream,
    server: SocketAddr,
    connector: TlsConnector,
    name: &'static str,
) {
    let Ok(to_server) = Door::connect_from(VISITOR, server).await else { return };
    let name = ServerName::try_from(name).unwrap();
    let Ok(mut encrypted) = connector.connect(name, to_server).await else { return };
    copy_bidirectional(&mut stream, &mut encrypted).await.ok();
}
