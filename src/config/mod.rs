//! The only room that knows YAML; produces each room's Settings.

use crate::origin::Origin;
use crate::{gate, pages, providers, server, session, telemetry};

/// A configuration that was found good.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sockets, limits, deadlines.
    pub server: server::Settings,
    /// The origin at which browsers reach the gateway.
    pub public_url: Origin,
    /// The gateway's own paths; `/oauth2`. Starts with `/`, ends without one.
    pub endpoint_prefix: String,
    /// Where visitors sign in, in the order of the sign-in page.
    pub providers: Vec<providers::Settings>,
    /// The session table and its cookie.
    pub session: session::Settings,
    /// What is in front of what; at least one.
    pub routes: Vec<gate::route::Settings>,
    /// What pages look like.
    pub pages: pages::Brand,
    /// The admin listener; `None`: off.
    pub admin: Option<server::ListenAddress>,
    /// Logs.
    pub telemetry: telemetry::Settings,
}
