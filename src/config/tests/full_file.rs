//! `config/full.yaml`: every key, with its default and a comment.

use proptest::prelude::*;

use super::*;
use crate::config::ROOT;
use crate::config::document::{Node, parse};
use crate::config::key_rows::rows;
use crate::config::key_spec::DefaultValue;

#[test]
fn full_file_is_valid_as_it_is_and_with_every_key() {
    let text = read("config/full.yaml");
    for text in [text.clone(), with_every_key(&text)] {
        let (_, warnings) = load(Path::new("full.yaml"), &source("full.yaml", &text))
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn full_file_has_every_key_with_its_default() {
    let text = read("config/full.yaml");
    let root = parse(&with_every_key(&text)).unwrap();
    let as_it_is = parse(&text).unwrap();
    let of_kinds = parse(&with_every_key(&read("config/providers.yaml"))).unwrap();
    let of_clients = parse(&with_every_key(&read(CLIENT_AUTHENTICATION))).unwrap();
    let of_redis = parse(&with_every_key(&read(REDIS))).unwrap();
    for row in rows(ROOT) {
        let path = row.path();
        let written = [&root, &of_kinds, &of_clients, &of_redis];
        let written = written.map(|root| values_at(root, &path)).concat();
        assert!(!written.is_empty(), "config/full.yaml has no {path}");
        let here = values_at(&as_it_is, &path);
        match row.key.default {
            DefaultValue::Is(yaml) if !here.is_empty() => {
                let default = parse(yaml).unwrap();
                assert!(here.contains(&&default), "{path} is not {yaml}: {here:?}");
            }
            DefaultValue::Is(_) | DefaultValue::Unset(_) | DefaultValue::Required(_) => {}
        }
    }
}

const REDIS: &str = "config/redis.yaml";

#[test]
fn file_of_redis_is_valid_as_it_is_and_with_every_key_and_has_the_defaults() {
    let text = read(REDIS);
    for text in [text.clone(), with_every_key(&text)] {
        let loaded = load(Path::new("redis.yaml"), &source("redis.yaml", &text));
        let (_, warnings) = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    let as_it_is = parse(&text).unwrap();
    for row in rows(ROOT).iter().filter(|row| row.parent == "session.store.redis") {
        if let DefaultValue::Is(yaml) = row.key.default {
            let (path, default) = (row.path(), parse(yaml).unwrap());
            assert_eq!(values_at(&as_it_is, &path), [&default], "{path}");
        }
    }
}

const CLIENT_AUTHENTICATION: &str = "config/client_authentication.yaml";

#[test]
fn file_of_client_authentication_is_valid_and_has_each_method() {
    let text = read(CLIENT_AUTHENTICATION);
    let loaded = load(Path::new("clients.yaml"), &source("clients.yaml", &text));
    let (config, warnings) = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let methods: Vec<&str> =
        config.providers.iter().map(|it| it.client_auth.all()[0].name()).collect();
    let expected = [
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "private_key_jwt",
        "client_assertion_file",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "none",
    ];
    assert_eq!(methods, expected);
    assert_eq!(config.files.iter().filter(|file| file.ends_with("token.jwt")).count(), 0);
}

#[test]
fn file_of_kinds_has_a_provider_of_each_and_is_valid_with_every_key() {
    let text = read("config/providers.yaml");
    for text in [text.clone(), with_every_key(&text)] {
        let loaded = load(Path::new("providers.yaml"), &source("providers.yaml", &text));
        let (config, warnings) = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        let is_sample = |message: &str| {
            message.contains("is an example secret") || message.contains("neither `nonce` nor PKCE")
        };
        let others: Vec<_> = warnings.iter().filter(|it| !is_sample(&it.message)).collect();
        assert!(others.is_empty(), "{others:?}");
        let kinds: Vec<&str> = config.providers.iter().map(|it| it.kind.name).collect();
        assert_eq!(kinds, crate::providers::kinds::NAMES);
    }
}

#[test]
fn every_key_of_the_full_file_has_a_comment() {
    let text = read("config/full.yaml");
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let same_line = line.contains(" # ");
        let above = at > 0 && lines[at - 1].trim_start().starts_with("# ");
        let comment = line.trim_start().starts_with("# ") || line.trim().is_empty();
        assert!(same_line || above || comment || line.trim() == "#", "line {}: {line}", at + 1);
    }
}

proptest! {
    /// With any damaged line, the result is a configuration, or problems with lines of the file.
    #[test]
    fn damaged_file_has_problems_with_lines(at in 0..400_usize, instead in "[ -~]{0,30}") {
        let text = with_every_key(&read("config/full.yaml"));
        let lines: Vec<&str> = text.lines().collect();
        let at = at % lines.len();
        let damaged = [&lines[..at], &[instead.as_str()], &lines[at + 1..]].concat().join("\n");
        let source = HostEnv::fixed([(PathBuf::from("a.yaml"), damaged.clone().into_bytes())], []);
        if let Err(Problems(problems)) = load(Path::new("a.yaml"), &source) {
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            for problem in problems {
                let line = problem.line.unwrap_or(1);
                prop_assert!((1..=lines.len() + 1).contains(&line), "{}\n{}", problem, damaged);
            }
        }
    }
}

/// Activates every key that is commented out as `#key`; comments are `# text`.
pub(super) fn with_every_key(text: &str) -> String {
    let line = |line: &str| match line.split_once('#') {
        Some((indent, key)) if indent.trim().is_empty() && !key.starts_with(' ') => {
            format!("{indent}{key}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Returns all values at a path such as `routes[].allow[].emails` or `providers.ID.issuer`.
fn values_at<'n>(root: &'n Node, path: &str) -> Vec<&'n Node> {
    let mut nodes = vec![root];
    for step in path.split('.') {
        let (name, item) = match step.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (step, false),
        };
        nodes = nodes.into_iter().flat_map(|node| values_in(node, name, item)).collect();
    }
    nodes
}

fn values_in<'n>(node: &'n Node, name: &str, items: bool) -> Vec<&'n Node> {
    let Node::Map(entries) = node else { return Vec::new() };
    let named = entries.iter().filter(|(key, _)| name == "ID" || key == name).map(|(_, node)| node);
    if !items {
        return named.collect();
    }
    let lists =
        named.filter_map(|node| if let Node::List(inner) = node { Some(inner) } else { None });
    lists.flatten().collect()
}
