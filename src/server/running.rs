//! A server while it serves: its listeners, and the replacement of what it serves.
//! Invariant: [`Running::prepare`] does all that can fail, and changes nothing. [`Running::switch`] cannot fail.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::server::active_settings::ActiveSettings;
use crate::server::connection::ConnectionServer;
use crate::server::connection_limit::OpenConnections;
use crate::server::error::Error;
use crate::server::handler::Handler;
use crate::server::listen_address::{ListenAddress, LocalAddress};
use crate::server::listener::Listener;
use crate::server::passed_sockets::PassedSockets;
use crate::server::present::Present;
use crate::server::settings::{ListenerKind, ServerContext, Settings};
use crate::server::shutdown::{Shutdown, Tasks};
use crate::server::tls::CertificateExpiry;

/// A server that accepts connections.
pub struct Running<H> {
    connections: Arc<ConnectionServer<H>>,
    listeners: Mutex<Vec<Listening>>,
    tasks: Tasks,
}

/// One address that is listened on.
#[derive(Debug)]
struct Listening {
    place: Place,
    local: Vec<LocalAddress>,
    /// The accept loops, and the connections.
    tasks: Tasks,
}

/// An address of the configuration, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    address: ListenAddress,
    kind: ListenerKind,
}

/// Open sockets that nothing is accepted from yet.
#[derive(Debug)]
pub(super) struct OpenSockets {
    place: Place,
    sockets: Vec<Listener>,
    pub(super) local: Vec<LocalAddress>,
}

/// Other settings of a running server, whose new listeners are open.
#[derive(Debug)]
pub struct Next {
    settings: ActiveSettings,
    places: Vec<Place>,
    opened: Vec<OpenSockets>,
    /// The addresses of the listeners that stay.
    kept: Vec<(ListenerKind, LocalAddress)>,
}

impl Next {
    /// The addresses of the new listeners, with actual ports.
    pub fn new_addresses(&self) -> impl Iterator<Item = (ListenerKind, &LocalAddress)> {
        self.opened.iter().flat_map(|OpenSockets { place, local, .. }| {
            local.iter().map(|address| (place.kind, address))
        })
    }

    /// The addresses of the listeners of this kind, with actual ports.
    pub fn local_addresses(&self, kind: ListenerKind) -> Vec<LocalAddress> {
        let opened = self.opened.iter().filter(|opened| opened.place.kind == kind);
        let kept = self.kept.iter().filter(|(of, _)| *of == kind).map(|(_, local)| local);
        kept.chain(opened.flat_map(|opened| &opened.local)).cloned().collect()
    }
}

impl<H> fmt::Debug for Running<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// Opens the sockets of these places.
async fn open(places: Vec<Place>, passed: &PassedSockets) -> Result<Vec<OpenSockets>, Error> {
    let mut opened = Vec::new();
    for place in places {
        let sockets = Listener::bind(&place.address, passed).await?;
        let local: Result<_, _> = sockets.iter().map(Listener::local_address).collect();
        let failed = |source| Error::Bind { address: place.address.to_string(), source };
        opened.push(OpenSockets { local: local.map_err(failed)?, place, sockets });
    }
    Ok(opened)
}

/// Opens the sockets of all listeners.
pub(super) async fn open_all(
    settings: &Settings,
    passed: &PassedSockets,
) -> Result<Vec<OpenSockets>, Error> {
    open(places(settings), passed).await
}

fn places(settings: &Settings) -> Vec<Place> {
    let public = settings.listen.iter().map(|address| (address, ListenerKind::Public));
    let auth = settings.forward_auth.listen.iter().map(|it| (it, ListenerKind::ForwardAuth));
    let redirect = settings.redirect_http.iter().map(|it| (it, ListenerKind::Redirect));
    let all = public.chain(auth).chain(redirect);
    all.map(|(address, kind)| Place { address: address.clone(), kind }).collect()
}

impl OpenSockets {
    /// What the listener is for.
    pub(super) fn kind(&self) -> ListenerKind {
        self.place.kind
    }
}

impl<H: Handler> Running<H> {
    /// Starts to accept.
    pub(super) fn start(
        connections: Arc<ConnectionServer<H>>,
        sockets: Vec<OpenSockets>,
        tasks: Tasks,
    ) -> Self {
        let running = Self { connections, listeners: Mutex::default(), tasks };
        running.accept_from(sockets);
        running
    }

    fn accept_from(&self, sockets: Vec<OpenSockets>) {
        let mut listeners = lock(&self.listeners);
        for OpenSockets { place, sockets, local } in sockets {
            let tasks = self.tasks.group();
            for socket in sockets {
                let accepting =
                    socket.run(place.kind, Arc::clone(&self.connections), tasks.clone());
                tasks.track(accepting);
            }
            listeners.push(Listening { place, local, tasks });
        }
    }

    /// Prepares other settings: reads the certificates, and opens the listeners that are new. Listeners with an address
    /// and a purpose that stay the same keep their sockets.
    pub async fn prepare(
        &self,
        settings: &Settings,
        context: ServerContext,
        passed: &PassedSockets,
    ) -> Result<Next, Error> {
        let active = ActiveSettings::new(settings, context, &self.tasks)?;
        let places = places(settings);
        let mut new = places.clone();
        let mut kept = Vec::new();
        for Listening { place, local, .. } in &*lock(&self.listeners) {
            new.retain(|it| it != place);
            if places.contains(place) {
                kept.extend(local.iter().map(|local| (place.kind, local.clone())));
            }
            if let Some(other) = new.iter().find(|it| it.address.is_one_with(&place.address)) {
                return Err(Error::StillOpen { address: other.address.to_string() });
            }
        }
        Ok(Next { settings: active, places, opened: open(new, passed).await?, kept })
    }

    /// Serves with other settings and another handler from the next request on. Listeners that are gone close, and
    /// their connections leave as in a drain.
    pub fn switch(&self, next: Next, handler: Arc<H>) {
        let Next { settings, places, opened, kept: _ } = next;
        self.connections.limit.resize(&settings.limits);
        let settings = Arc::new(settings);
        let timeouts = settings.timeouts;
        self.connections.present.store(Arc::new(Present { handler, settings }));
        let gone: Vec<Listening> = {
            let is_gone = |it: &mut Listening| !places.contains(&it.place);
            lock(&self.listeners).extract_if(.., is_gone).collect()
        };
        for Listening { tasks, .. } in gone {
            tokio::spawn(async move { tasks.leave(&timeouts).await });
        }
        self.accept_from(opened);
    }

    /// The addresses of the listeners of this kind, with actual ports.
    pub fn local_addresses(&self, kind: ListenerKind) -> Vec<LocalAddress> {
        let listeners = lock(&self.listeners);
        let of_kind = listeners.iter().filter(|listening| listening.place.kind == kind);
        of_kind.flat_map(|listening| listening.local.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> &Arc<ConnectionServer<H>> {
        &self.connections
    }

    /// What is served now.
    pub fn handler(&self) -> Arc<H> {
        Arc::clone(&self.connections.present.load().handler)
    }

    /// Counts the open connections.
    pub fn open_connections(&self) -> OpenConnections {
        self.connections.limit.open_connections()
    }

    /// The certificates in use, with their expiry.
    pub fn certificates(&self) -> Vec<CertificateExpiry> {
        self.connections.present.load().settings.certificates.clone()
    }

    /// Waits for the order to stop, then until open requests are answered or cut.
    pub async fn stopped(&self, shutdown: &Shutdown) {
        shutdown.begun().await;
        let timeouts = self.connections.present.load().settings.timeouts;
        self.tasks.drain(shutdown, &timeouts).await;
    }
}
