//! TLS before a server, as its example has it: a certificate for `wiki.example.com`, and clients that trust it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::VISITOR;
use crate::support::browser::Door;

/// The name in the examples.
pub(crate) const NAME: &str = "wiki.example.com";

/// A certificate for [`NAME`] with its key, both as PEM, and what a client needs to trust it.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
    client: Arc<ClientConfig>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let client = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            chain: pair.cert.pem(),
            key: pair.signing_key.serialize_pem(),
            client: Arc::new(client),
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
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(stream, server, connector.clone()));
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
async fn relay(mut stream: TcpStream, server: SocketAddr, connector: TlsConnector) {
    let Ok(to_server) = Door::connect_from(VISITOR, server).await else { return };
    let name = ServerName::try_from(NAME).unwrap();
    let Ok(mut encrypted) = connector.connect(name, to_server).await else { return };
    copy_bidirectional(&mut stream, &mut encrypted).await.ok();
}
