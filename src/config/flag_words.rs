//! Messages for a configuration in flags: problems that name flags instead of keys, and misspelt variables.

use crate::config::flags::{self, PREFIX, SECRETS, variable_of};
use crate::config::host_env::HostEnv;
use crate::config::problem::{KeyPath, Problem, Severity};
use crate::config::suggest::nearest;

/// Warns about unknown variables that are similar to one of a flag. Other variables are allowed: Kubernetes sets
/// `PORTCULLIS_PORT` for a service of this name.
pub(super) fn misspelt(source: &HostEnv) -> Vec<Problem> {
    let flags = flags::all().chain(["--config", "--config-text"]).map(variable_of);
    let secrets = SECRETS.map(|(_, variable)| variable.to_owned());
    let known: Vec<String> = flags.chain(secrets).collect();
    let problem = |name: String| {
        let rest = |name: &str| name.trim_start_matches(PREFIX).to_owned();
        let short = rest(&name);
        let begins = |known: &&String| short.len() >= SHORTEST_BEGIN && known.starts_with(&name);
        let rests: Vec<String> = known.iter().map(|name| rest(name)).collect();
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == short).map(|(_, ours)| *ours);
        let near = other.or_else(|| nearest(&short, rests.iter().map(String::as_str)));
        let meant = near.map(|near| format!("{PREFIX}{near}"));
        let meant = meant.or_else(|| known.iter().find(begins).cloned())?;
        Some(Problem {
            severity: Severity::Warning,
            file: name.into(),
            line: None,
            path: KeyPath::default(),
            message: "unknown environment variable".to_owned(),
            hint: Some(format!("did you mean `{meant}`?")),
        })
    };
    let set = source.variables_below(PREFIX).into_iter();
    set.filter(|name| !known.contains(name)).filter_map(problem).collect()
}

/// Rewrites a problem of a key as a problem of its flag.
pub(super) fn in_flags(mut problem: Problem) -> Problem {
    let flag = problem.file.to_str().unwrap_or_default();
    let missing = problem.message.starts_with("is required");
    if let Some((_, hint)) = MISSING.iter().find(|(of, _)| missing && flag.starts_with(of)) {
        problem.hint = Some((*hint).to_owned());
    }
    problem.message = with_flags(&problem.message);
    problem.hint = problem.hint.as_deref().map(with_flags);
    problem
}

fn with_flags(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (key, flag)| text.replace(key, flag))
}

/// Minimum length of a name that is reported as the beginning of a known one: `PORTCULLIS_SESSION` means
/// `…_SECRET`.
const SHORTEST_BEGIN: usize = 6;

/// What variables are called in other programs, or after a section of the file, and our name.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("SESSION_STORE", "SESSION_REDIS_URL"),
    ("SESSION_STORE_TYPE", "SESSION_REDIS_URL"),
    ("SESSION_STORE_REDIS_URL", "SESSION_REDIS_URL"),
    ("REDIS_CONNECTION_URL", "SESSION_REDIS_URL"),
    ("REDIS_URL", "SESSION_REDIS_URL"),
];

/// Hints for missing flags.
const MISSING: [(&str, &str); 8] = [
    ("--public-url", "add --public-url https://app.example.com"),
    ("--issuer", "add --issuer https://id.example.com"),
    ("--client-id", "add --client-id ID, from the registration at the provider"),
    (
        "--client-secret-file",
        "add --client-secret-file /run/secrets/client_secret, or set PORTCULLIS_CLIENT_SECRET; a client without a \
         secret needs a configuration file",
    ),
    (
        "--session-secret-file",
        "add --session-secret-file FILE, with what `portcullis keygen` prints, or set PORTCULLIS_SESSION_SECRET",
    ),
    ("--session-redis-url", "add --session-redis-url redis://HOST:PORT"),
    (
        "--session-redis-password-file",
        "add --session-redis-password-file FILE, or set PORTCULLIS_SESSION_REDIS_PASSWORD",
    ),
    (
        "--allow-email-domain",
        "add --allow-authenticated for all signed-in users, or --allow-email-domain example.com, \
         --allow-email ada@example.com or --allow-group staff for some",
    ),
];

/// Texts in messages about keys, and their replacements for flags.
const WORDS: [(&str, &str); 11] = [
    ("write `allow: authenticated`", "use --allow-authenticated"),
    ("write `authenticated` in place of the rule", "use --allow-authenticated in its place"),
    ("remove the key; to", "to"),
    ("`email_domains`", "--allow-email-domain"),
    ("`emails`", "--allow-email"),
    (
        "write a list: [ADDRESS, ADDRESS]",
        "a flag accepts only one; use a configuration file for a list",
    ),
    ("set `danger_allow_http: true`", "use `danger_allow_http: true`"),
    ("`danger_allow_http: true`", "a configuration file with `danger_allow_http: true`"),
    ("in `server.trusted_proxies`", "with --trusted-proxy"),
    ("set an upstream", "add --upstream"),
    (
        "set the keys `username` and `password`",
        "use --session-redis-username and --session-redis-password-file",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variable_has_a_warning() {
        let set = [
            "PORTCULLIS_ALLOW_GROUPS",
            "PORTCULLIS_ADMIN_LISTN",
            "PORTCULLIS_CLIENT_SECRET",
            "PORTCULLIS_CONFIG",
            "PORTCULLIS_CONFIG_TEXT",
            "PORTCULLIS_CONFIG_TXT",
            "PORTCULLIS_PORT",
            "PORTCULLIS_PORT_4180_TCP",
            "PORTCULLIS_SERVICE_HOST",
            "PORTCULLIS_SESSION",
            "PORTCULLIS_SESSION_SECRET",
            "PORTCULLIS_SESSION_STORE",
            "PORTCULLIS_TRUSTED_PROXIES",
            "PORTCULLIS_UPSTREAM",
        ];
        let source = HostEnv::fixed([], set.map(|name| (name.to_owned(), String::new())));
        let warnings: Vec<_> = misspelt(&source).iter().map(Problem::to_string).collect();
        let expected = [
            ("ADMIN_LISTN", "ADMIN_LISTEN"),
            ("ALLOW_GROUPS", "ALLOW_GROUP"),
            ("CONFIG_TXT", "CONFIG_TEXT"),
            ("SESSION", "SESSION_SECRET_FILE"),
            ("SESSION_STORE", "SESSION_REDIS_URL"),
            ("TRUSTED_PROXIES", "TRUSTED_PROXY"),
        ];
        let expected = expected.map(|(name, meant)| {
            format!("PORTCULLIS_{name}: warning: unknown environment variable\n  hint: did you mean `PORTCULLIS_{meant}`?")
        });
        assert_eq!(warnings, expected);
    }
}
