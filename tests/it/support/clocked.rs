//! The gateway inside the test's own process, on a clock that only the test moves, and a provider on the same
//! clock. For tests in which time passes; all others use the real binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::app::serve::BoundGateway;
use portcullis::clock::Clock;
use portcullis::config::{HostEnv, load};
use portcullis::server::{ListenerKind, LocalAddress, PassedSockets, Shutdown};
use tokio::task::JoinHandle;

use super::browser::Browser;
use super::faults::IdentityProvider;
use super::stack::{Application, Builder, Stack};

/// A running gateway, its provider, and their clock.
pub(crate) struct Clocked {
    /// Of the gateway and the provider.
    pub(crate) clock: Clock,
    pub(crate) provider: Arc<IdentityProvider>,
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    _gateway: ClockedGateway,
}

/// A gateway alone, with whatever provider its configuration names.
pub(crate) struct ClockedGateway {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

impl Clocked {
    /// A gateway with the routes of [`Stack::builder`], which trusts proxies on loopback.
    pub(crate) async fn in_front_of(upstream: &impl Application) -> Self {
        Stack::builder().server("trusted_proxies: [127.0.0.1]").start_clocked(upstream).await
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::at(self.address)
    }
}

impl Builder {
    /// Starts the provider and the gateway on a clock that stands still until the test advances it.
    pub(crate) async fn start_clocked(self, upstream: &impl Application) -> Clocked {
        let clock = Clock::manual();
        let provider = self.start_provider(clock.clone()).await;
        let yaml = self.configuration(provider.issuer(), upstream.address());
        let gateway = ClockedGateway::start(&yaml, &[], &clock).await;
        Clocked { clock, provider, address: gateway.address, _gateway: gateway }
    }
}

impl ClockedGateway {
    /// Starts with a whole configuration, which has one listener, and the files that it names.
    pub(crate) async fn start(yaml: &str, files: &[(&str, &str)], clock: &Clock) -> Self {
        let files = [("portcullis.yaml", yaml)].into_iter().chain(files.iter().copied());
        let files = files.map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()));
        let (mut config, _) = load(Path::new("portcullis.yaml"), &HostEnv::fixed(files, []))
            .unwrap_or_else(|problems| panic!("{problems:?}\n{yaml}"));
        config.admin.listen = None;
        let bound = BoundGateway::open(&config, clock, PassedSockets::default()).await.unwrap();
        let [LocalAddress::Tcp(address)] = *bound.local_addresses(ListenerKind::Public) else {
            panic!("the configuration has one listener");
        };
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(bound.serve(shutdown.clone(), None));
        Self { address, shutdown, serving }
    }
}

impl Drop for ClockedGateway {
    fn drop(&mut self) {
        self.shutdown.force();
        self.serving.abort();
    }
}
