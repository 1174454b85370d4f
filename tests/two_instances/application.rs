//! The application: it knows which sessions have ended, and reports the requests that still come in their name.
//! Invariant: a request is judged when it comes, before the application is slow, silent or gone for it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::report::{End, Report};
use crate::support::stack::Application as Forwarded;

/// A running application; its paths are `/USER/VISIT/NUMBER`.
pub(crate) struct Application {
    address: SocketAddr,
    service: Arc<Service>,
    mood: watch::Sender<Mood>,
}

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// The connection ends without an answer.
    Gone,
    /// Not before its mood changes.
    Silent,
    /// A little later.
    Slow,
}

struct Service {
    report: Arc<Report>,
    /// By visit: its end, and the number of its first request after that.
    ended: Mutex<HashMap<u64, (End, u64)>>,
}

impl Application {
    pub(crate) async fn start(report: &Arc<Report>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Arc::new(Service { report: Arc::clone(report), ended: Mutex::default() });
        let (mood, seen) = watch::channel(Mood::Well);
        let answering = Arc::clone(&service);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, mood) = (Arc::clone(&answering), seen.clone());
                let service = service_fn(move |request| {
                    let (service, mood) = (Arc::clone(&service), mood.clone());
                    async move { service.answer(&request, mood).await }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, service, mood }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// What the clients report ends to.
    pub(crate) fn ends(&self) -> Ends {
        Ends(Arc::clone(&self.service))
    }
}

impl Forwarded for Application {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Where clients report that a session has ended.
#[derive(Clone)]
pub(crate) struct Ends(Arc<Service>);

impl Ends {
    /// The session of this visit has ended; `next` is the number of its next request.
    pub(crate) fn report(&self, visit: u64, end: End, next: u64) {
        self.0.ended.lock().unwrap().insert(visit, (end, next));
    }
}

impl Service {
    async fn answer(
        &self,
        request: &Request<Incoming>,
        mut mood: watch::Receiver<Mood>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        self.judge(request);
        let now = *mood.borrow();
        match now {
            Mood::Well => {}
            Mood::Gone => return Err("gone"),
            Mood::Silent => {
                mood.wait_for(|mood| *mood != Mood::Silent).await.ok();
            }
            Mood::Slow => sleep(SLOWNESS).await,
        }
        Ok(Response::new(Full::from("page")))
    }

    fn judge(&self, request: &Request<Incoming>) {
        let mut parts = request.uri().path().split('/').skip(1);
        let user = parts.next().unwrap_or_default();
        let mut number = || parts.next().and_then(|text| text.parse::<u64>().ok());
        let (Some(visit), Some(number)) = (number(), number()) else { return };
        let received = request.headers().get("x-forwarded-user");
        if received.is_none_or(|it| it.as_bytes() != format!("demo-{user}").as_bytes()) {
            self.report.violation(format!("the session of {user} is that of {received:?}"));
        }
        let end = self.ended.lock().unwrap().get(&visit).copied();
        if let Some((end, _)) = end.filter(|(_, next)| number >= *next) {
            self.report.served_after(end, user);
        }
    }
}

const SLOWNESS: Duration = Duration::from_millis(150);
