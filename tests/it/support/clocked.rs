//! The gateway inside the test's own process, by a clock that only the test moves, and a provider that goes
//! by the same clock. For what takes time, or must not; whatever else asks the real binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::app::App;
use portcullis::clock::Clock;
use portcullis::config::{HostEnv, load};
use portcullis::server::{AccessLog, LocalAddress, Scheme, Server, ServerContext, Shutdown};
use portcullis::telemetry::metrics::Metrics;
use tokio::task::JoinHandle;

use super::browser::Browser;
use super::faults::{Fault, IdentityProvider, Settings};
use super::gateway::PUBLIC_URL;
use super::provider;
use super::upstream::Upstream;

/// A gateway that serves, its provider, and their time.
pub(crate) struct Clocked {
    /// Their one clock.
    pub(crate) clock: Clock,
    /// The provider.
    pub(crate) provider: IdentityProvider,
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

impl Clocked {
    /// Starts both; `rest` is the configuration behind the provider's section, `more` that section's
    /// further keys, each behind a comma.
    pub(crate) async fn start(settings: Settings, more: &str, rest: &str) -> Self {
        Self::start_with(settings, &[], more, rest).await
    }

    /// With one application, for whoever is signed in.
    pub(crate) async fn in_front_of(upstream: &Upstream) -> Self {
        let route = format!("upstream: \"http://{}\", allow: authenticated", upstream.address);
        Self::start(provider::settings(), "", &format!("routes: [{{ {route} }}]\n")).await
    }

    /// As [`start`](Self::start), with a provider that has these faults from the start.
    pub(crate) async fn start_with(
        settings: Settings,
        faults: &[Fault],
        more: &str,
        rest: &str,
    ) -> Self {
        let clock = Clock::manual();
        let provider = IdentityProvider::start(settings, clock.clone()).await.unwrap();
        provider.set_faults(faults);
        let yaml = format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", \
             trusted_proxies: [127.0.0.1/32] }}\nadmin: {{ listen: \"off\" }}\n{}{rest}",
            provider::section_with(provider.issuer(), more)
        );
        let file = (PathBuf::from("portcullis.yaml"), yaml.clone().into_bytes());
        let (config, _) = load(Path::new("portcullis.yaml"), &HostEnv::fixed([file], []))
            .unwrap_or_else(|problems| panic!("{problems:?}\n{yaml}"));
        let metrics = Arc::new(Metrics::new(config.server.workers));
        let app = Arc::new(App::new(&config, &clock, &metrics, usize::MAX).unwrap());
        let frame =
            ServerContext { plain_scheme: Scheme::Http, access_log: AccessLog::Off, metrics };
        let bound = Server::bind(&config.server, frame).await.unwrap();
        let [LocalAddress::Tcp(address)] = *bound.local_addresses() else {
            panic!("one address was asked for");
        };
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(app.serve(bound, None, shutdown.clone()));
        Self { clock, provider, address, shutdown, serving }
    }

    /// A fresh browser.
    pub(crate) fn browser(&self) -> Browser {
        Browser::at(self.address)
    }
}

impl Drop for Clocked {
    fn drop(&mut self) {
        self.shutdown.force();
        self.serving.abort();
    }
}
