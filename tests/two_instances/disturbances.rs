//! What happens to each part, and how late a sign-out may then be obeyed.
//! Invariant: a disturbance ends only after sign-ins work again through both gateways, without a restart.

use std::fmt;
use std::fs;
use std::time::Duration;

use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{sleep, timeout};

use crate::Pace;
use crate::application::Mood;
use crate::clients::page_after_sign_in;
use crate::component::link::LinkFault;
use crate::parts::Parts;
use crate::report::{CALM, Report};
use crate::support::browser::{Browser, Door};
use crate::support::gateway::signal;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    None,
    Of(Part, Fault),
    /// Between the second gateway and Redis.
    Network(LinkFault),
    /// Between both gateways and Redis.
    Networks(LinkFault),
    RedisEmptied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    FirstGateway,
    SecondGateway,
    Nginx,
    Redis,
    Provider,
    Application,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Ended without warning, and started again later.
    Killed,
    /// Does nothing, and goes on later.
    Paused,
    /// Does nothing half of the time, or answers late.
    Slowed,
    /// Ended in an orderly way, and started again at once.
    Restarted,
}

/// Each part with each fault, and what can happen to networks.
pub(crate) fn all() -> Vec<Disturbance> {
    use Part::{Application, FirstGateway, Nginx, Provider, Redis, SecondGateway};
    let late = |millis| LinkFault::Late(Duration::from_millis(millis));
    // The first one takes the longest to be over.
    let mut all = vec![Disturbance::Network(LinkFault::NoNotices), Disturbance::None];
    for part in [FirstGateway, SecondGateway, Nginx, Redis, Provider, Application] {
        let faults = [Fault::Killed, Fault::Paused, Fault::Slowed, Fault::Restarted];
        all.extend(faults.map(|fault| Disturbance::Of(part, fault)));
    }
    all.extend([
        Disturbance::Network(LinkFault::BlackHole),
        Disturbance::Network(LinkFault::Cut),
        Disturbance::Network(LinkFault::NoAnswers),
        Disturbance::Networks(late(100)),
        Disturbance::Networks(late(400)),
        Disturbance::RedisEmptied,
        Disturbance::None,
    ]);
    all
}

impl Disturbance {
    /// As in a table.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::None => CALM.to_owned(),
            Self::Of(part, fault) => format!("{part} {fault}"),
            Self::Network(fault) => format!("network of the second: {fault}"),
            Self::Networks(fault) => format!("network of Redis: {fault}"),
            Self::RedisEmptied => "Redis restarted empty".to_owned(),
        }
    }

    /// How late after its answer a sign-out may be obeyed.
    pub(crate) fn bound(&self, pace: Pace) -> Duration {
        match self {
            // Where notices and answers of Redis may be missing, the instance does not know that it misses any.
            Self::Of(Part::FirstGateway | Part::SecondGateway, Fault::Paused)
            | Self::Of(Part::Redis, _)
            | Self::Network(LinkFault::BlackHole | LinkFault::Cut | LinkFault::NoAnswers) => {
                pace.outage_cache.max(A_SECOND)
            }
            Self::Networks(LinkFault::Late(delay)) if *delay > TIMEOUT => pace.outage_cache,
            Self::Network(_) => Duration::from_secs(10),
            Self::None | Self::Of(..) | Self::Networks(_) | Self::RedisEmptied => A_SECOND,
        }
    }

    /// Disturbs, and waits until all is well again.
    pub(crate) async fn run(self, parts: &mut Parts, pace: Pace, report: &Report) {
        match self {
            Self::None => sleep(2 * pace.fault).await,
            Self::Of(part, fault) => disturb(parts, part, fault, pace.fault).await,
            Self::Network(fault) => {
                parts.instances[1].link.set(fault);
                sleep(pace.outage_cache + pace.fault).await;
            }
            Self::Networks(fault) => {
                parts.set_links(fault);
                sleep(pace.outage_cache + pace.fault).await;
            }
            Self::RedisEmptied => {
                report.sessions_lost();
                parts.redis.kill();
                fs::remove_dir_all(parts.redis.file("appendonlydir")).unwrap();
                parts.redis.start_again().await;
            }
        }
        parts.set_links(LinkFault::None);
        parts.provider_link.set(LinkFault::None);
        parts.application.set(Mood::Well);
        if timeout(RECOVERY, recovered(parts)).await.is_err() {
            report.violation(format!("{}: no recovery within {RECOVERY:?}", self.name()));
        }
        // Redis reports each change once: of a session whose notice was lost, it reports none until it is read again.
        let is_late = self == Self::Network(LinkFault::NoNotices);
        sleep(if is_late { self.bound(pace) } else { AFTERWARDS.max(pace.fault / 4) }).await;
    }
}

async fn disturb(parts: &mut Parts, part: Part, fault: Fault, time: Duration) {
    match part {
        Part::FirstGateway => disturb_gateway(parts, 0, fault, time).await,
        Part::SecondGateway => disturb_gateway(parts, 1, fault, time).await,
        Part::Nginx => {
            let nginx = &mut parts.nginx;
            match fault {
                Fault::Killed | Fault::Restarted => {
                    nginx.end(if fault == Fault::Killed { "KILL" } else { "TERM" });
                    sleep(down(fault, time)).await;
                    nginx.start_again().await;
                }
                Fault::Paused | Fault::Slowed => hold(nginx.process(), fault, time).await,
            }
        }
        Part::Redis => match fault {
            Fault::Killed | Fault::Restarted => {
                parts.redis.end(if fault == Fault::Killed { "KILL" } else { "TERM" });
                sleep(down(fault, time)).await;
                parts.redis.start_again().await;
            }
            Fault::Paused | Fault::Slowed => hold(parts.redis.process(), fault, time).await,
        },
        Part::Provider => {
            parts.provider_link.set(match fault {
                Fault::Killed | Fault::Restarted => LinkFault::Cut,
                Fault::Paused => LinkFault::BlackHole,
                Fault::Slowed => LinkFault::Late(2 * TIMEOUT),
            });
            if fault == Fault::Restarted {
                parts.provider.rotate_keys().unwrap();
            }
            sleep(down(fault, time)).await;
        }
        Part::Application => {
            parts.application.set(match fault {
                Fault::Killed | Fault::Restarted => Mood::Gone,
                Fault::Paused => Mood::Silent,
                Fault::Slowed => Mood::Slow,
            });
            sleep(down(fault, time)).await;
        }
    }
}

async fn disturb_gateway(parts: &mut Parts, number: usize, fault: Fault, time: Duration) {
    let instance = &mut parts.instances[number];
    let Some(gateway) = instance.gateway.take() else { panic!("it runs") };
    match fault {
        Fault::Killed => {
            drop(gateway);
            sleep(down(fault, time)).await;
            block_in_place(|| instance.start_again());
            instance.ready().await;
        }
        Fault::Restarted => {
            // What it is asked until it has ended is answered by it.
            block_in_place(|| assert!(gateway.stop().success()));
            block_in_place(|| instance.start_again());
            instance.ready().await;
        }
        Fault::Paused | Fault::Slowed => {
            hold(gateway.process(), fault, time).await;
            instance.gateway = Some(gateway);
        }
    }
}

/// How long a part is away.
fn down(fault: Fault, time: Duration) -> Duration {
    if fault == Fault::Restarted { Duration::ZERO } else { time }
}

/// Stops a process, for the whole time or for half of each moment.
async fn hold(process: u32, fault: Fault, time: Duration) {
    if fault == Fault::Paused {
        signal(process, "STOP");
        sleep(time).await;
        return signal(process, "CONT");
    }
    let slowing: JoinHandle<()> = tokio::spawn(async move {
        loop {
            signal(process, "STOP");
            sleep(MOMENT).await;
            signal(process, "CONT");
            sleep(MOMENT).await;
        }
    });
    sleep(time).await;
    slowing.abort();
    // It may have been stopped just now.
    drop(slowing.await);
    signal(process, "CONT");
}

/// Waits until a new user can sign in through each door.
async fn recovered(parts: &Parts) {
    for (here, door) in (1..).zip(parts.doors()) {
        loop {
            let mut browser = Browser::before(Door::From([127, 0, 2, here].into(), door));
            let page = page_after_sign_in(&mut browser, "/", "bob").await;
            if page.is_some_and(|page| page.status == 200) {
                break;
            }
            sleep(MOMENT).await;
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstGateway => "first gateway",
            Self::SecondGateway => "second gateway",
            Self::Nginx => "nginx",
            Self::Redis => "Redis",
            Self::Provider => "provider",
            Self::Application => "application",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::Slowed => "slowed",
            Self::Restarted => "restarted",
        })
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Cut => f.write_str("cut"),
            Self::BlackHole => f.write_str("holds all"),
            Self::NoAnswers => f.write_str("holds answers"),
            Self::NoRequests => f.write_str("holds requests"),
            Self::Late(delay) => write!(f, "{} ms later", delay.as_millis()),
            Self::NoNotices => f.write_str("loses notices"),
        }
    }
}

const A_SECOND: Duration = Duration::from_secs(1);
/// `session.store.redis.timeout`.
const TIMEOUT: Duration = Duration::from_millis(250);
/// Of a part that is slow.
const MOMENT: Duration = Duration::from_millis(40);
/// All limits of the gateways and of nginx together.
const RECOVERY: Duration = Duration::from_secs(15);
/// With nothing wrong, so that what was wrong shows.
const AFTERWARDS: Duration = Duration::from_millis(700);
