//! Two gateways behind nginx, Redis, a provider, an application, and clients that use them without a pause, while each
//! part in turn is killed, paused, slowed and restarted: `cargo test --test two_instances -- [--long] [NAME…]`.
//! Invariant: it ends with a table of what the clients saw, and fails where a user was signed out without reason, or a
//! session was still served after its end was answered, later than the bound of the disturbance.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests read the repository and write configurations"
)]
#![expect(clippy::print_stdout, reason = "the table is its result")]

mod application;
mod clients;
#[path = "../real/component/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod component;
mod disturbances;
mod parts;
mod report;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clients::Clients;
use disturbances::Disturbance;
use parts::Parts;
use report::Report;

/// How long everything takes.
#[derive(Clone, Copy)]
struct Pace {
    /// `session.store.redis.outage_cache`.
    outage_cache: Duration,
    /// How long a part is disturbed.
    fault: Duration,
    clients: u8,
}

/// Less than two minutes.
const SHORT: Pace =
    Pace { outage_cache: Duration::from_secs(2), fault: Duration::from_secs(1), clients: 6 };
/// The default settings.
const LONG: Pace =
    Pace { outage_cache: Duration::from_secs(30), fault: Duration::from_secs(10), clients: 8 };

#[tokio::main(worker_threads = 4)]
async fn main() -> ExitCode {
    let (options, names): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let pace = match &*options.iter().map(String::as_str).collect::<Vec<_>>() {
        [] => SHORT,
        ["--long"] => LONG,
        other => panic!("{other:?}: only --long, and names of disturbances"),
    };
    let chosen = |disturbance: &Disturbance| {
        let name = disturbance.name();
        names.is_empty() || names.iter().any(|part| name.contains(part.as_str()))
    };
    let report = Arc::new(Report::new());
    let mut parts = Parts::start(pace, &report).await;
    let clients = Clients::start(&parts, pace, &report);
    for disturbance in disturbances::all().into_iter().filter(chosen) {
        report.begin(disturbance.name(), disturbance.bound(pace));
        disturbance.run(&mut parts, pace, &report).await;
    }
    report.begin("afterwards".to_owned(), Duration::from_secs(1));
    clients.finish().await;
    print!("{}", report.table());
    let violations = report.violations();
    violations.iter().for_each(|violation| println!("not ok - {violation}"));
    match violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
