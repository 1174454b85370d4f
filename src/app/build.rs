//! `Config` and `Lasting` -> `App`.

use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::app::lasting::Lasting;
use crate::app::{App, used};
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::endpoints::auth::clients::DeclaredClients;
use crate::gate::Gate;
use crate::gate::route::{self, Route};
use crate::gate::routes::Routes;
use crate::identity::answer_headers::{AnswerHeaders, AnswerNames, TokensInAnswers};
use crate::identity::headers::{HeaderRule, IdentityHeaderNames};
use crate::login::pending::States;
use crate::login::redirect_cycle::{CycleDetector, Deployment};
use crate::login::relying_party::RelyingParty;
use crate::login::return_to::AllowedTargets;
use crate::login::{Browsers, Login};
use crate::pages::{self, Pages, harden};
use crate::providers::{self, Provider, ProviderStates, Registry, ResponseMode};
use crate::routing::{Site, Table};
use crate::session::cookie::Cookies;
use crate::session::redis::{RedisStore, SharedSessions};
use crate::session::refresh::Refresher;
use crate::session::seal::Roots;
use crate::session::size_limit::SizeLimit;
use crate::session::table::SessionTable;
use crate::session::{SameSite, Sessions, Store};
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{self, TargetPools, Upstream};

/// Why a valid configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A provider's settings.
    #[error("providers.{id}: {error}")]
    Provider {
        /// The ID.
        id: Arc<str>,
        /// The cause.
        error: providers::Error,
    },
    /// A route's upstream.
    #[error("route {name}: {error}")]
    Upstream {
        /// The name.
        name: Arc<str>,
        /// The cause.
        error: upstream::Error,
    },
    /// The pages.
    #[error("pages: {0}")]
    Pages(#[from] pages::Error),
    /// The public URL.
    #[error("server.public_url: {0}")]
    PublicUrl(#[from] url::ParseError),
}

impl App {
    /// Puts a configuration to work; requests nothing yet.
    pub fn new(config: &Config, lasting: &Lasting) -> Result<Self, Error> {
        let Lasting { clock, metrics, tasks, upstreams, .. } = lasting;
        let site = Site::new(config.public_url.clone(), config.endpoint_prefix.clone());
        let providers = providers(config, &lasting.providers)?;
        let fingerprints = providers.all().iter().map(|provider| provider.fingerprint()).collect();
        let table = SessionTable::new(&lasting.sessions, &config.session, fingerprints);
        let sessions = sessions(config, lasting, table);
        let cookies = cookies(config);
        let targets = targets(config, &site, &cookies)?;
        let size_limit = Arc::new(used::size_limit(config));
        let refresher = refresher(config, lasting, sessions.clone(), Arc::clone(&size_limit));
        let rules: Vec<&HeaderRule> =
            config.routes.iter().flat_map(|route| &route.identity_headers).collect();
        let states = states(config, lasting, &sessions, &site);
        let party = Arc::new(RelyingParty::new(
            site,
            providers,
            sessions,
            cookies,
            clock.clone(),
            Arc::clone(metrics),
        ));
        let gate = Arc::new(Gate::new(
            Arc::clone(&party),
            refresher,
            removed(config, &rules),
            config.session.outage_grace,
            config.server.limits.identity_header_bytes,
            lasting.session_bound.clone(),
            lasting.rules.clone(),
        ));
        let login = Arc::new(Login::new(
            Arc::clone(&party),
            targets,
            Arc::new(states),
            browsers(config, lasting),
            config.session.clone(),
            size_limit,
            tasks.clone(),
        ));
        let answer_names = AnswerNames::new(rules.iter().copied());
        let table = routes(config, &rules, &answer_names, metrics, upstreams)?;
        let routes = Arc::new(Routes::new(table, config.endpoint_prefix.clone()));
        let pages = Arc::new(Pages::new(&config.pages, clock.clone())?);
        Ok(Self {
            endpoints: Endpoints {
                party: Arc::clone(&party),
                login,
                gate: Arc::clone(&gate),
                routes: Arc::clone(&routes),
                pages: Arc::clone(&pages),
                answer_names,
                clients: Arc::new(declared_clients(config, lasting)),
            },
            routes,
            gate,
            party,
            pages,
            redirect_loop: LogThrottle::default(),
            metrics: Arc::clone(metrics),
        })
    }
}

fn cookies(config: &Config) -> Cookies {
    let mut modes = config.providers.iter().map(|provider| provider.response_mode);
    // Browsers send a `Lax` cookie with no POST of another site.
    let login = match modes.any(|mode| mode == ResponseMode::FormPost) {
        true => SameSite::None,
        false => SameSite::Lax,
    };
    Cookies::new(&config.session.cookie, config.public_url.is_https(), login)
}

/// The sessions, in the table or on a server.
fn sessions(config: &Config, lasting: &Lasting, table: SessionTable) -> Sessions {
    let Lasting { clock, metrics, tasks, store, .. } = lasting;
    match &config.session.store {
        Store::Memory => Sessions::in_memory(table),
        Store::Redis(settings) => {
            let store = store.get_or_init(|| Arc::new(RedisStore::new(settings, metrics)));
            let (store, roots) = (Arc::clone(store), roots(config, lasting));
            let shared =
                SharedSessions::new(store, table.clone(), &config.session, roots, (clock, tasks));
            Sessions::shared(table, shared)
        }
    }
}

/// Sign-ins under way.
fn states(config: &Config, lasting: &Lasting, sessions: &Sessions, site: &Site) -> States {
    let store = sessions.in_redis().map(|shared| Arc::clone(shared.store()));
    let used = Arc::clone(&lasting.used_states);
    States::new(roots(config, lasting), used, store, site.public_url())
}

/// The secrets that encrypt what leaves the process.
fn roots(config: &Config, lasting: &Lasting) -> Roots {
    Roots::new(&config.session.secrets, &lasting.generated_root)
}

/// What is remembered of browsers.
fn browsers(config: &Config, lasting: &Lasting) -> Browsers {
    let cycles = CycleDetector::new(lasting.sign_in_rounds.clone(), deployment(config));
    Browsers { cycles, sessions: lasting.browser_sessions.clone() }
}

fn refresher(
    config: &Config,
    lasting: &Lasting,
    sessions: Sessions,
    size_limit: Arc<SizeLimit>,
) -> Refresher {
    let Lasting { clock, metrics, tasks, .. } = lasting;
    let (tasks, metrics) = (tasks.clone(), Arc::clone(metrics));
    Refresher::new(sessions, clock.clone(), &config.session, size_limit, tasks, metrics)
}

/// Where a sign-in may return to.
fn targets(config: &Config, site: &Site, cookies: &Cookies) -> Result<AllowedTargets, Error> {
    let hosts = config.routes.iter().map(|route| route.host.clone()).collect();
    Ok(AllowedTargets::new(site.clone(), cookies.domain(), hosts)?)
}

/// The headers that a client must not send to an application: the identity headers, and the one in which trusted
/// proxies send the client's address.
fn removed(config: &Config, rules: &[&HeaderRule]) -> IdentityHeaderNames {
    let identity = rules.iter().map(|rule| &rule.name);
    IdentityHeaderNames::new(identity.chain(&config.server.client_address_header))
}

fn deployment(config: &Config) -> Deployment {
    if config.server.forward_auth.clients.is_empty() {
        Deployment::ReverseProxy
    } else {
        Deployment::ForwardAuth { cookie_domain: config.session.cookie.domain.clone() }
    }
}

fn declared_clients(config: &Config, lasting: &Lasting) -> DeclaredClients {
    let (settings, trusted) = (&config.server.forward_auth, &config.server.trusted_proxies);
    DeclaredClients::new(settings, trusted, &lasting.ignored_headers)
}

fn providers(config: &Config, states: &ProviderStates) -> Result<Registry, Error> {
    let made = config.providers.iter().map(|settings| {
        let provider = Provider::new(settings.clone(), states);
        provider
            .map(|provider| Arc::new(provider.using(used::claims_of(config, &settings.id))))
            .map_err(|error| Error::Provider { id: Arc::clone(&settings.id), error })
    });
    Ok(Registry::new(made.collect::<Result<_, _>>()?))
}

fn routes(
    config: &Config,
    rules: &[&HeaderRule],
    answer_names: &AnswerNames,
    metrics: &Metrics,
    upstreams: &TargetPools,
) -> Result<Table<Route>, Error> {
    let names: Vec<HeaderName> = rules.iter().map(|rule| rule.name.clone()).collect();
    let made: Result<Vec<_>, Error> = config
        .routes
        .iter()
        .map(|settings| {
            let upstream = upstream(settings, &names, upstreams)?;
            let (host, path) = (settings.host.clone(), settings.path.clone());
            let meter = metrics.route(&settings.name);
            let answer = answer(config, settings, answer_names);
            Ok((host, path, Route::new(settings.clone(), upstream, answer, meter)))
        })
        .collect();
    Ok(Table::new(made?))
}

/// The fields of an answer that allows an auth subrequest.
fn answer(config: &Config, settings: &route::Settings, names: &AnswerNames) -> AnswerHeaders {
    let tokens = match config.server.forward_auth.listen {
        Some(_) => TokensInAnswers::Sent,
        // SECURITY: a visitor's own request may come through the same proxy, and would be answered with the token.
        None => TokensInAnswers::Withheld,
    };
    let mut fixed = HeaderMap::new();
    harden(&mut fixed);
    // Every answer has it. Without the field, Caddy 2.6 sends the text of its placeholder to the upstream.
    fixed.insert(COOKIE, HeaderValue::from_static(""));
    AnswerHeaders::new(fixed, names, &settings.identity_headers, tokens)
}

fn upstream(
    settings: &route::Settings,
    names: &[HeaderName],
    upstreams: &TargetPools,
) -> Result<Option<Upstream>, Error> {
    let upstream =
        settings.upstream.as_ref().map(|upstream| Upstream::new(upstream, names, upstreams));
    upstream
        .transpose()
        .map_err(|error| Error::Upstream { name: Arc::clone(&settings.name), error })
}
