//! Clients: each signs in, uses the session, signs out, and then tries again and again what it may no longer do.
//! Invariant: of each session its client knows whether it lives, and so what an answer means.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Pace;
use crate::application::Ends;
use crate::parts::Parts;
use crate::report::{End, Report, Seen};
use crate::support::browser::{Answer, Browser, Door};

/// All clients.
pub(crate) struct Clients {
    stop: CancellationToken,
    running: JoinSet<()>,
    after: TaskTracker,
}

/// One of them.
#[derive(Clone)]
struct Client {
    user: &'static str,
    /// Where it is.
    here: Ipv4Addr,
    /// nginx, and the two gateways.
    doors: [SocketAddr; 3],
    ends: Ends,
    report: Arc<Report>,
    visits: Arc<AtomicU64>,
    stop: CancellationToken,
    after: TaskTracker,
}

/// A session, and its user's browser.
struct Visit {
    number: u64,
    browser: Browser,
    /// How many requests it has sent.
    sent: u64,
    /// How often Redis had lost all sessions before it.
    losses: usize,
}

impl Clients {
    pub(crate) fn start(parts: &Parts, pace: Pace, report: &Arc<Report>) -> Self {
        let (stop, after) = (CancellationToken::new(), TaskTracker::new());
        let (visits, mut running) = (Arc::<AtomicU64>::default(), JoinSet::new());
        for number in 0..pace.clients {
            let client = Client {
                user: ["alice", "bob"][usize::from(number) % 2],
                here: Ipv4Addr::new(127, 0, 1, 1 + number),
                doors: parts.doors(),
                ends: parts.application.ends(),
                report: Arc::clone(report),
                visits: Arc::clone(&visits),
                stop: stop.clone(),
                after: after.clone(),
            };
            running.spawn(client.run());
        }
        Self { stop, running, after }
    }

    /// Ends them, and waits until nothing is tried any more.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        self.running.join_all().await;
        self.after.close();
        self.after.wait().await;
    }
}

impl Client {
    async fn run(self) {
        while !self.stop.is_cancelled() {
            let losses = self.report.losses();
            let number = self.visits.fetch_add(1, Ordering::Relaxed);
            let mut browser = self.browser(0);
            let is_success = self.sign_in(&mut browser, number).await;
            self.report.signed_in(is_success);
            if !is_success {
                sleep(PAUSE).await;
                continue;
            }
            let visit = Visit { number, browser, sent: 1, losses };
            self.visit(visit).await;
        }
    }

    /// A browser that goes through this door.
    fn browser(&self, door: usize) -> Browser {
        Browser::before(Door::From(self.here, self.doors[door]))
    }

    /// Whether that led to a page of the application.
    async fn sign_in(&self, browser: &mut Browser, visit: u64) -> bool {
        let page = page_after_sign_in(browser, &self.path(visit, 0), self.user).await;
        page.is_some_and(|page| page.status == 200 && page.body == "page")
    }

    /// Uses a session for a while, and ends it.
    async fn visit(&self, mut visit: Visit) {
        // Not the same for all, so that at each time some sign out.
        let until = Instant::now() + VISIT * (1 + u32::from(self.here.octets()[3]) % 3);
        while Instant::now() < until && !self.stop.is_cancelled() {
            let path = self.path(visit.number, visit.sent);
            visit.sent += 1;
            let answer = in_time(visit.browser.try_ask(Method::GET, &path)).await;
            let seen = Seen::of(answer.as_ref());
            let is_lost = visit.losses != self.report.losses();
            if seen == Seen::Stranger {
                if is_lost {
                    return;
                }
                self.report.violation(format!("{} was signed out: {answer:?}", self.user));
            }
            self.report.seen(seen);
            if seen == Seen::Stranger {
                return;
            }
            if let Some(answer) = answer.filter(|answer| answer.status.is_server_error())
                && visit.browser.cookie("/", "portcullis").is_none()
            {
                return self.report.violation(format!("the cookie was taken away: {answer:?}"));
            }
            sleep(PAUSE).await;
        }
        self.sign_out(visit).await;
    }

    /// Until that is answered; then the end is watched apart from this client.
    async fn sign_out(&self, mut visit: Visit) {
        let kept = visit.browser.clone();
        let is_confirmed = loop {
            let answer = navigate(&mut visit.browser, "/oauth2/sign_out").await;
            match answer {
                Some(answer) if answer.status == 302 => break true,
                Some(answer) if answer.body.contains("sign-out is not complete") => break false,
                // Not known: it may have been done, or not.
                Some(_) | None => sleep(PAUSE).await,
            }
            visit.browser = kept.clone();
        };
        let end = self.report.signed_out(is_confirmed);
        self.ends.report(visit.number, end, visit.sent);
        visit.browser = kept;
        self.after.spawn(self.clone().watch(visit, end));
    }

    /// Tries to use a session that has ended, through each door.
    async fn watch(self, mut visit: Visit, end: End) {
        let (ended, is_confirmed) = (end.at, end.is_confirmed);
        let (row, began) = (self.report.present(), Instant::now());
        let long_enough = self.report.bound() + WATCH;
        let mut latest = began;
        let mut browsers = [0, 1, 2].map(|door| {
            let mut browser = self.browser(door);
            browser.plant("portcullis", visit.browser.cookie("/", "portcullis").unwrap());
            browser
        });
        // Some time after the disturbance during which it ended, too.
        while self.report.present() == row && !self.stop.is_cancelled()
            || latest.elapsed() < WATCH
            || ended.elapsed() < long_enough
        {
            for browser in &mut browsers {
                let path = self.path(visit.number, visit.sent);
                visit.sent += 1;
                let answer = in_time(browser.try_ask(Method::GET, &path)).await;
                if Seen::of(answer.as_ref()) == Seen::Page {
                    latest = Instant::now();
                }
            }
            if !is_confirmed && latest.duration_since(began) > CARRIED_OUT {
                return self.report.violation(format!(
                    "an unconfirmed sign-out of {} is not carried out after {CARRIED_OUT:?}",
                    self.user
                ));
            }
            sleep(if ended.elapsed() < WATCH { OFTEN } else { RARELY }).await;
        }
    }

    fn path(&self, visit: u64, number: u64) -> String {
        format!("/{}/{visit}/{number}", self.user)
    }
}

/// Opens a page of the gateway, and signs in at the provider on the way. None where no page comes.
pub(crate) async fn page_after_sign_in(
    browser: &mut Browser,
    path: &str,
    user: &str,
) -> Option<Answer> {
    let mut answer = navigate(browser, path).await?;
    for _ in 0..20 {
        answer = match answer.redirect() {
            Some(next) => navigate(browser, next.as_str()).await?,
            None if answer.url.host_str() == Some("wiki.localhost") => return Some(answer),
            None if answer.body.contains("<form") => {
                let (action, mut fields) = answer.form();
                fields.extend(["username", "password"].map(|it| (it.to_owned(), user.to_owned())));
                let fields: Vec<_> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
                in_time(browser.try_submit(action.as_str(), &fields)).await?
            }
            None => return None,
        };
    }
    None
}

async fn navigate(browser: &mut Browser, address: &str) -> Option<Answer> {
    in_time(browser.try_navigate(address)).await
}

/// An answer, unless it fails or takes too long.
async fn in_time(exchange: impl Future<Output = std::io::Result<Answer>>) -> Option<Answer> {
    timeout(LONGEST, exchange).await.ok()?.ok()
}

/// Longer than nginx waits for both gateways.
const LONGEST: Duration = Duration::from_secs(10);
/// Of a client between two requests.
const PAUSE: Duration = Duration::from_millis(20);
/// The shortest.
const VISIT: Duration = Duration::from_secs(1);
/// How long an end is watched after it should be obeyed.
const WATCH: Duration = Duration::from_secs(2);
const OFTEN: Duration = Duration::from_millis(40);
const RARELY: Duration = Duration::from_millis(300);
/// The longest time of an unconfirmed sign-out: the disturbance, and the recovery from it.
const CARRIED_OUT: Duration = Duration::from_secs(60);
