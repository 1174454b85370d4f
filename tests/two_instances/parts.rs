//! All that runs: two gateways, nginx, Redis, the provider and the application.
//! Invariant: each part keeps its address over a restart.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis::clock::Clock;

use crate::Pace;
use crate::application::Application;
use crate::component::link::{Link, LinkFault};
use crate::component::nginx::{self, LISTEN};
use crate::component::redis::{RealRedis, RedisKind, RedisOptions};
use crate::component::{Server, free_address};
use crate::report::Report;
use crate::support::faults::{IdentityProvider, RefreshTokens, Settings};
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::stack::{Application as _, Stack};
use crate::support::wait::Patience;

/// What is under load.
pub(crate) struct Parts {
    pub(crate) instances: [Instance; 2],
    pub(crate) nginx: Server,
    pub(crate) redis: RealRedis,
    pub(crate) provider: Arc<IdentityProvider>,
    /// Between the provider and all that speak with it.
    pub(crate) provider_link: Link,
    pub(crate) application: Application,
}

/// A gateway, and its network to Redis.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    pub(crate) link: Link,
    /// None while it is down.
    pub(crate) gateway: Option<Gateway>,
    configuration: String,
}

impl Parts {
    pub(crate) async fn start(pace: Pace, report: &Arc<Report>) -> Self {
        let lines = vec!["appendonly yes", "appendfsync no", "maxmemory-policy noeviction"];
        let options = RedisOptions { lines, ..RedisOptions::default() };
        let redis = RealRedis::start(RedisKind::Redis, options).await;
        let application = Application::start(report).await;
        let host = free_address().ip();
        let settings = Settings {
            host: host.to_string(),
            access_token_lifetime: 2 * pace.fault,
            // A refresh whose answer a killed part has lost can be repeated.
            refresh_tokens: RefreshTokens::Rotating,
            ..provider::settings()
        };
        let provider = IdentityProvider::start(settings, Clock::system()).await.unwrap();
        let address = provider.address();
        let provider_link = Link::at((host, address.port()).into(), address).await;
        let mut instances = Vec::new();
        for _ in 0..2 {
            let link = Link::to(redis.address()).await;
            instances.push(Instance::start(link, pace, provider.issuer(), &application));
        }
        let Ok(instances) = <[_; 2]>::try_from(instances) else { panic!("there are two") };
        let nginx = nginx::serving(&site(&instances)).await;
        let provider = Arc::new(provider);
        let parts = Self { instances, nginx, redis, provider, provider_link, application };
        parts.instances[0].ready().await;
        parts.instances[1].ready().await;
        parts
    }

    /// The networks to Redis.
    pub(crate) fn set_links(&self, fault: LinkFault) {
        self.instances.iter().for_each(|instance| instance.link.set(fault));
    }

    /// Where clients may go: nginx, and past it.
    pub(crate) fn doors(&self) -> [SocketAddr; 3] {
        let [first, second] = &self.instances;
        [self.nginx.address(), first.address, second.address]
    }
}

impl Instance {
    fn start(link: Link, pace: Pace, issuer: &str, application: &Application) -> Self {
        let store = format!(
            "session: {{ secret: 0123456789abcdef0123456789abcdef, \
             store: {{ redis: {{ url: \"redis://{}\", outage_cache: {}s }} }} }}",
            link.address,
            pace.outage_cache.as_secs()
        );
        let address = free_address();
        let configuration = Stack::builder()
            .server("trusted_proxies: [127.0.0.1/32], timeouts: { drain: 2s }")
            .admin()
            .routes(["UPSTREAM, allow: authenticated, timeouts: { response_headers: 3s }"])
            .provider_keys("timeout: 2s")
            .sections(&store)
            .configuration(issuer, application.address())
            .replacen("127.0.0.1:0", &address.to_string(), 1);
        let gateway = Some(Gateway::start_with(&configuration));
        Self { address, link, gateway, configuration }
    }

    /// Starts it again after its end.
    pub(crate) fn start_again(&mut self) {
        self.gateway = Some(Gateway::start_with(&self.configuration));
    }

    /// Waits until it would get traffic.
    pub(crate) async fn ready(&self) {
        let patience = Patience::until("the gateway is ready");
        let gateway = self.gateway.as_ref().unwrap();
        while crate::support::operator::ask(gateway, "/readyz").await.status != 200 {
            patience.pause().await;
        }
    }
}

/// Without health checks, which would leave out an instance for some time after its restart; and with short timeouts.
fn site(instances: &[Instance; 2]) -> String {
    let servers = instances
        .each_ref()
        .map(|instance| format!("server {} max_fails=0;", instance.address))
        .join(" ");
    format!(
        "upstream portcullis {{ {servers} }}
        server {{
            {LISTEN}
            location / {{
                proxy_pass http://portcullis;
                proxy_connect_timeout 1s;
                proxy_read_timeout 4s;
                proxy_set_header Host $http_host;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Forwarded-Proto $scheme;
            }}
        }}"
    )
}
