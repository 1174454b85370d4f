//! What the clients saw, by disturbance.
//! Invariant: an answer counts for the disturbance during which it came; an end, for that during which it was answered.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::browser::Answer;

/// The name of no disturbance.
pub(crate) const CALM: &str = "nothing";

/// Everything that is counted.
pub(crate) struct Report {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    violations: Vec<String>,
    /// How often Redis has lost all sessions.
    losses: usize,
}

/// One disturbance.
struct Row {
    name: String,
    bound: Duration,
    answers: [usize; Seen::ALL.len()],
    sign_ins: usize,
    failed_sign_ins: usize,
    sign_outs: usize,
    unconfirmed: usize,
    latest: Option<Duration>,
}

/// What a client sees of a session that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Page,
    Stranger,
    BadGateway,
    Unavailable,
    TooLate,
    Nothing,
    Other,
}

impl Seen {
    const ALL: [(Self, &str); 7] = [
        (Self::Page, "200"),
        (Self::Stranger, "stranger"),
        (Self::BadGateway, "502"),
        (Self::Unavailable, "503"),
        (Self::TooLate, "504"),
        (Self::Nothing, "no answer"),
        (Self::Other, "other"),
    ];

    /// What an answer is, if there is one.
    pub(crate) fn of(answer: Option<&Answer>) -> Self {
        match answer.map(|answer| answer.status.as_u16()) {
            None => Self::Nothing,
            Some(200) => Self::Page,
            Some(302 | 401) => Self::Stranger,
            Some(502) => Self::BadGateway,
            Some(503) => Self::Unavailable,
            Some(504) => Self::TooLate,
            Some(_) => Self::Other,
        }
    }
}

/// The end of a session that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: Instant,
    row: usize,
    /// Whether its answer says that all instances obey it.
    pub(crate) is_confirmed: bool,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), state: Mutex::default() }
    }

    /// A disturbance begins, during which an end has to be obeyed within `bound`.
    pub(crate) fn begin(&self, name: String, bound: Duration) {
        let row = Row {
            name,
            bound,
            answers: [0; Seen::ALL.len()],
            sign_ins: 0,
            failed_sign_ins: 0,
            sign_outs: 0,
            unconfirmed: 0,
            latest: None,
        };
        self.state.lock().unwrap().rows.push(row);
    }

    /// The number of the present disturbance.
    pub(crate) fn present(&self) -> usize {
        self.state.lock().unwrap().rows.len()
    }

    pub(crate) fn bound(&self) -> Duration {
        self.state.lock().unwrap().rows.last().map_or(Duration::ZERO, |row| row.bound)
    }

    pub(crate) fn seen(&self, seen: Seen) {
        self.with(|row| {
            let at = Seen::ALL.iter().position(|(known, _)| *known == seen).unwrap();
            row.answers[at] += 1;
        });
    }

    pub(crate) fn signed_in(&self, is_success: bool) {
        self.with(|row| match is_success {
            true => row.sign_ins += 1,
            false => row.failed_sign_ins += 1,
        });
    }

    /// A sign-out was answered just now.
    pub(crate) fn signed_out(&self, is_confirmed: bool) -> End {
        self.with(|row| match is_confirmed {
            true => row.sign_outs += 1,
            false => row.unconfirmed += 1,
        });
        End { at: Instant::now(), row: self.present().saturating_sub(1), is_confirmed }
    }

    /// The application has received a request of a session that has ended.
    pub(crate) fn served_after(&self, end: End, user: &str) {
        if !end.is_confirmed {
            return;
        }
        let after = end.at.elapsed();
        let mut state = self.state.lock().unwrap();
        let now = state.rows.len() - 1;
        let bound = state.rows[end.row..=now].iter().map(|row| row.bound).max().unwrap();
        let row = &mut state.rows[end.row];
        row.latest = row.latest.max(Some(after));
        if after > bound {
            let name = row.name.clone();
            drop(state);
            self.violation(format!(
                "{name}: {user} was served {} ms after the sign-out",
                after.as_millis()
            ));
        }
    }

    /// Redis has lost all sessions.
    pub(crate) fn sessions_lost(&self) {
        self.state.lock().unwrap().losses += 1;
    }

    /// How often that has happened.
    pub(crate) fn losses(&self) -> usize {
        self.state.lock().unwrap().losses
    }

    /// Something that must not happen.
    pub(crate) fn violation(&self, what: String) {
        let at = self.began.elapsed().as_millis();
        let mut state = self.state.lock().unwrap();
        let during = state.rows.last().map(|row| row.name.clone()).unwrap_or_default();
        state.violations.push(format!("{what} (at {at} ms, {during})"));
    }

    /// What must not have happened. Where nothing was disturbed, that is anything but pages: but on a machine that has
    /// other work, an operation of Redis can take longer than its timeout now and then.
    pub(crate) fn violations(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let calm = state.rows.iter().filter(|row| row.name == CALM);
        let failed = calm.filter(|row| {
            let others: usize = row.answers[1..].iter().sum();
            others > 1 + row.answers[0] / 100 || row.failed_sign_ins > 1 + row.sign_ins / 10
        });
        let failed = failed.map(|_| format!("{CALM} was wrong, but not all answers are pages"));
        state.violations.iter().cloned().chain(failed).collect()
    }

    /// One line for each disturbance.
    pub(crate) fn table(&self) -> String {
        let mut table = format!("{:<34}", "disturbance");
        for (_, name) in Seen::ALL {
            write!(table, "{name:>10}").unwrap();
        }
        table.push_str("  sign-ins (failed)  sign-outs (unconfirmed)  latest page after, bound\n");
        for row in &self.state.lock().unwrap().rows {
            write!(table, "{:<34}", row.name).unwrap();
            for count in row.answers {
                write!(table, "{count:>10}").unwrap();
            }
            let latest =
                row.latest.map_or("none".to_owned(), |it| format!("{} ms", it.as_millis()));
            writeln!(
                table,
                "{:>9} {:>8}{:>11} {:>13}{latest:>20}, {} s",
                row.sign_ins,
                format!("({})", row.failed_sign_ins),
                row.sign_outs,
                format!("({})", row.unconfirmed),
                row.bound.as_secs()
            )
            .unwrap();
        }
        table
    }

    fn with(&self, count: impl FnOnce(&mut Row)) {
        if let Some(row) = self.state.lock().unwrap().rows.last_mut() {
            count(row);
        }
    }
}
