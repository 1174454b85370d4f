//! A store in Redis by flags and variables: the same as in a file.

use clap::Parser as _;

use super::*;
use crate::config::Flags;

#[derive(Debug, clap::Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// Flags of a configuration without a store.
const OTHERS: &str = "--public-url https://a.example --issuer https://id.example --client-id a \
    --client-secret-file /run/secret --upstream http://a:1 --allow-authenticated";

const REDIS: &str = "--session-redis-url rediss://cache:6380/1 --session-redis-username wiki";

/// What these flags and variables configure.
fn loaded(flags: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let files = [("/run/secret", "s3cr3t\n"), ("/run/session_secret", &*"s".repeat(32))];
    let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source = HostEnv::fixed(files, variables);
    let flags = format!("run {OTHERS} {flags}");
    let flags = Arguments::try_parse_from(flags.split_whitespace()).unwrap().flags;
    match ConfigSource::find(None, flags, &source).unwrap().load(&source) {
        Ok((config, warnings)) => {
            assert_eq!(warnings, []);
            Ok(config)
        }
        Err(Problems(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn store_in_redis_is_the_same_as_in_a_file() {
    let text = "server: { public_url: https://a.example }\n\
                session: { secret: \"${SESSION_SECRET}\", store: { redis: { url: rediss://cache:6380/1, \
                username: wiki, password: \"${CLIENT_SECRET}\" } } }\n\
                routes: [{ upstream: http://a:1, allow: public }]\n";
    let file = load(Path::new("a.yaml"), &source("a.yaml", text)).unwrap().0;
    let flags = format!("--session-secret-file /run/session_secret {REDIS}");
    let by_variable = loaded(&flags, &[("PORTCULLIS_SESSION_REDIS_PASSWORD", "s3cr3t")]).unwrap();
    assert_eq!(by_variable.session.store, file.session.store);
    let flags = format!("{flags} --session-redis-password-file /run/secret");
    assert_eq!(loaded(&flags, &[]).unwrap().session.store, file.session.store);
}

#[test]
fn problem_of_the_store_names_its_flag() {
    let flags = format!("--session-secret-file /run/session_secret {REDIS}");
    let expected = "--session-redis-password-file: error: session.store.redis.password: is required with username\n  \
                    hint: add --session-redis-password-file FILE, or set PORTCULLIS_SESSION_REDIS_PASSWORD";
    assert_eq!(loaded(&flags, &[]).unwrap_err(), [expected]);
    let found = loaded("--session-redis-url redis://:hunter2@cache", &[]).unwrap_err();
    assert_eq!(found.len(), 2, "{found:?}");
    let begin = "--session-redis-url: error: session.store.redis.url: contains a user name";
    assert!(found[0].starts_with(begin) && !found[0].contains("hunter2"), "{found:?}");
    assert!(found[0].contains("use --session-redis-username and --session-redis-password-file"));
    assert!(found[1].contains("hint: add --session-secret-file FILE"), "{found:?}");
}
