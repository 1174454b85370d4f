//! What is said where flags stand for a file: findings in their words, and variables that are nearly theirs.

use crate::config::flags::{self, PREFIX, variable_of};
use crate::config::host_env::HostEnv;
use crate::config::problem::{KeyPath, Problem, Severity};
use crate::config::suggest::nearest;

/// Variables that are nobody's, but nearly one of a flag's. Others may be set by whoever runs us: Kubernetes
/// makes `PORTCULLIS_PORT` of a service's name.
pub(super) fn misspelt(source: &HostEnv) -> Vec<Problem> {
    let known: Vec<String> = flags::all().chain(["--config"]).map(variable_of).collect();
    let problem = |name: String| {
        let rest = |name: &str| name.trim_start_matches(PREFIX).to_owned();
        let short = rest(&name);
        let begins = |known: &&String| short.len() >= SHORTEST_BEGIN && known.starts_with(&name);
        let rests: Vec<String> = known.iter().map(|name| rest(name)).collect();
        let near = nearest(&short, rests.iter().map(String::as_str));
        let meant = near.map(|near| format!("{PREFIX}{near}"));
        let meant = meant.or_else(|| known.iter().find(begins).cloned())?;
        Some(Problem {
            severity: Severity::Warning,
            file: name.into(),
            line: None,
            path: KeyPath::default(),
            message: "is no variable of ours".to_owned(),
            hint: Some(format!("did you mean {meant}?")),
        })
    };
    let set = source.variables_below(PREFIX).into_iter();
    set.filter(|name| !known.contains(name)).filter_map(problem).collect()
}

/// A finding about a flag, in the words of flags: a file can say more, and other things.
pub(super) fn in_flags(mut problem: Problem) -> Problem {
    let flag = problem.file.to_str().unwrap_or_default();
    let missing = problem.message.starts_with("is required");
    if let Some((_, hint)) = MISSING.iter().find(|(of, _)| missing && flag.starts_with(of)) {
        problem.hint = Some((*hint).to_owned());
    }
    problem.message = said(&problem.message);
    problem.hint = problem.hint.as_deref().map(said);
    problem
}

fn said(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (key, flag)| text.replace(key, flag))
}

/// `PORTCULLIS_CLIENT_SECRET` is meant for `…_FILE`; a beginning that is shorter may be anybody's.
const SHORTEST_BEGIN: usize = 6;

/// What to add where a flag is missing.
const MISSING: [(&str, &str); 5] = [
    ("--public-url", "add --public-url https://app.example.com"),
    ("--issuer", "add --issuer https://id.example.com"),
    ("--client-id", "add --client-id ID, as it was registered"),
    (
        "--client-secret-file",
        "add --client-secret-file /run/secrets/client_secret; a client without a secret takes a \
         configuration file",
    ),
    (
        "--allow-email-domain",
        "say who may pass: --allow-email-domain example.com, --allow-email ada@example.com, \
         --allow-group staff, or --allow-authenticated",
    ),
];

/// What a file says, and a flag.
const WORDS: [(&str, &str); 6] = [
    ("write `allow: authenticated`", "say --allow-authenticated"),
    ("`email_domains`", "--allow-email-domain"),
    ("write a list: [one, two]", "a flag takes one of them, a configuration file a list"),
    ("`danger_allow_http: true`", "a configuration file with `danger_allow_http: true`"),
    ("in `server.trusted_proxies`", "in `server.trusted_proxies` of a configuration file"),
    ("or write an upstream", "or add --upstream"),
];
