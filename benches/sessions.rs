//! Cost of sessions: memory per session, and time to look one up among a thousand, a hundred thousand and a
//! million. `cargo bench --bench sessions` needs Linux and 6 GiB of memory.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot measure ends")]
#![expect(clippy::disallowed_methods, reason = "it reads its memory use from the kernel")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::identity::claims::{ClaimNames, identity};
use portcullis::identity::refresh_baseline::{IdTokenBinding, RefreshBaseline};
use portcullis::oauth::token::TokenSet;
use portcullis::secret::Secret;
use portcullis::session::table::{SessionMaps, SessionTable};
use portcullis::session::{CookieSettings, Session, SessionData, SessionId, Settings, Tokens};
use serde_json::json;

/// Bytes of usual tokens, which are JWTs.
const ACCESS_TOKEN: usize = 1100;
const ID_TOKEN: usize = 1000;
const REFRESH_TOKEN: usize = 600;

fn main() {
    let clock = Clock::system();
    println!(
        "| sessions | bytes per session | of which tokens | ns per lookup | relative to 1,000 |"
    );
    println!("|---|---|---|---|---|");
    let (mut least, mut kept) = (None, Vec::new());
    for count in [1_000, 100_000, 1_000_000] {
        let before = resident();
        let (table, ids) = filled(&clock, count);
        let each = resident().saturating_sub(before) / count;
        let nanos = lookup(&table, &ids);
        let first = *least.get_or_insert(nanos);
        let tokens = ACCESS_TOKEN + ID_TOKEN + REFRESH_TOKEN;
        println!("| {count} | {each} | {tokens} | {nanos:.0} | {:.2} |", nanos / first);
        // Memory that it freed would be reused by the next table.
        kept.push(table);
    }
}

/// A table with `count` sessions of as many users, and a sample of the session IDs.
fn filled(clock: &Clock, count: usize) -> (SessionTable, Vec<SessionId>) {
    let settings = Settings {
        lifetime: Duration::from_secs(12 * 3600),
        idle_timeout: Some(Duration::from_secs(3600)),
        refresh_before: Duration::from_secs(60),
        recheck: None,
        outage_grace: Duration::from_secs(300),
        cookie: CookieSettings::default(),
        max_sessions: count + 1,
        max_sessions_per_user: 1000,
        max_bytes: 128 * 1024,
        secrets: Vec::new(),
    };
    let (table, provider) = (
        SessionTable::new(&Arc::new(SessionMaps::new(clock.clone())), &settings),
        Arc::from("company"),
    );
    let mut sample = Vec::new();
    for number in 0..count {
        let id = SessionId::generate();
        let data = data(&settings, &provider, number, clock);
        table.insert(Arc::new(Session::new(&id, data, clock.moment(), settings.lifetime)));
        if number % (count / SAMPLE) == 0 {
            sample.push(id);
        }
    }
    (table, sample)
}

fn data(settings: &Settings, provider: &Arc<str>, number: usize, clock: &Clock) -> SessionData {
    let subject = format!("user-{number:032}");
    let claims = json!({
        "sub": subject, "email": format!("user-{number}@example.com"), "email_verified": true,
        "name": "A Usual Name", "preferred_username": format!("user-{number}"),
        "groups": ["staff", "wiki"], "iss": "https://id.example.com/realms/main", "aud": "wiki",
    });
    let claims = claims.as_object().cloned().unwrap_or_default();
    let binding = IdTokenBinding {
        subject: subject.into(),
        nonce: "n".repeat(43),
        auth_time: Some(1_700_000_000),
    };
    let set = TokenSet {
        access_token: Secret::new("a".repeat(ACCESS_TOKEN)),
        requested_at: clock.moment(),
        expires_in: Some(Duration::from_secs(300)),
        refresh_token: Some(Secret::new("r".repeat(REFRESH_TOKEN))),
        id_token: Some(Secret::new("i".repeat(ID_TOKEN))),
    };
    let tokens = Tokens::new(set, settings.refresh_before);
    let identity = identity(provider, &ClaimNames::default(), true, claims).unwrap();
    SessionData::new(identity, RefreshBaseline::of(binding), tokens)
}

/// Nanoseconds per lookup of the sample, in the fastest of several rounds.
fn lookup(table: &SessionTable, ids: &[SessionId]) -> f64 {
    let round = || {
        let start = tokio::time::Instant::now();
        for _ in 0..LOOKUPS / SAMPLE {
            for id in ids {
                black_box(table.find(black_box(id).key()));
            }
        }
        start.elapsed().as_secs_f64() * 1e9 / (LOOKUPS / SAMPLE * ids.len()) as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
}

const SAMPLE: usize = 1000;
const LOOKUPS: usize = 1_000_000;
const ROUNDS: usize = 7;
