//! Dependencies: the licences, bans and sources of `.ci/deny.toml`, checked without a network.
//! Invariant: the lists stand in that file alone, so that cargo-deny and this test cannot disagree.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn every_licence_is_on_the_allowed_list() {
    let allowed = listed("licenses", "allow");
    for (name, licence) in built() {
        assert!(satisfied(&licence, &allowed), "{name} is under {licence:?}");
    }
}

#[test]
fn no_banned_crate_is_built() {
    let banned = listed("bans", "deny");
    for (name, _) in built() {
        assert!(!banned.contains(&name), "{name} is banned by .ci/deny.toml");
    }
}

#[test]
fn every_crate_comes_from_one_registry() {
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = read(lock);
        let sources: Vec<_> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
        for source in &sources {
            assert!(source.ends_with("/crates.io-index\""), "{source}");
        }
        let ours = lock.lines().filter(|line| line.starts_with("name = \"portcullis")).count();
        let packages = lock.lines().filter(|line| *line == "[[package]]").count();
        assert_eq!(packages - sources.len(), ours, "only our own crates have no source");
    }
}

#[test]
fn npm_packages_are_pinned_by_digest_and_name_no_host() {
    let lock: Value = serde_json::from_str(&read("tests/node/package-lock.json")).unwrap();
    for (name, package) in lock["packages"].as_object().unwrap() {
        assert!(package["resolved"].is_null(), "{name} names a host");
        assert!(name.is_empty() || package["integrity"].is_string(), "{name} has no digest");
    }
}

#[test]
fn licence_expression_is_read_as_spdx_defines() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for good in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND ISC", "MIT AND ISC"]
    {
        assert!(satisfied(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-3.0 OR AGPL-3.0)", "MITX"] {
        assert!(!satisfied(bad, &allowed), "{bad}");
    }
    assert!(satisfied("GPL-3.0 AND ISC OR MIT", &allowed), "AND binds closer than OR");
    assert!(!satisfied("Apache-2.0 WITH LLVM-exception", &["Apache-2.0".to_owned()]));
}

/// Whether an SPDX expression can be met with the licences in `allowed`.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let alternatives = split(expression, &[" OR ", "/"]);
    if alternatives.len() > 1 {
        return alternatives.iter().any(|alternative| satisfied(alternative, allowed));
    }
    let parts = split(expression, &[" AND "]);
    if parts.len() > 1 {
        return parts.iter().all(|part| satisfied(part, allowed));
    }
    let expression = expression.trim();
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => satisfied(inner, allowed),
        None => allowed.iter().any(|licence| licence == expression),
    }
}

/// Splits at separators that stand outside parentheses.
fn split<'e>(expression: &'e str, separators: &[&str]) -> Vec<&'e str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, letter) in expression.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        let found = separators.iter().find(|separator| expression[at..].starts_with(**separator));
        if let Some(separator) = found.filter(|_| depth == 0) {
            parts.push(&expression[start..at]);
            start = at + separator.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

/// The quoted texts of `key = [...]` in a section of `.ci/deny.toml`.
fn listed(section: &str, key: &str) -> Vec<String> {
    let file = read(".ci/deny.toml");
    let section = file.split_once(&format!("\n[{section}]\n")).unwrap().1;
    let list = section.split_once(&format!("{key} = [")).unwrap().1.split_once(']').unwrap().0;
    let list: Vec<_> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!list.is_empty());
    list
}

/// Name and licence of every crate that is built or tested with, features and platform considered.
/// (`cargo metadata` would also list crates that only a weak feature mentions.)
fn built() -> Vec<(String, String)> {
    let answer = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix=none", "--edges=normal,build,dev"])
        .args(["--target=x86_64-unknown-linux-gnu", "--format={p}\t{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let lines = String::from_utf8(answer.stdout).unwrap();
    let built: Vec<_> = lines
        .lines()
        .filter_map(|line| {
            let (package, licence) = line.split_once('\t')?;
            let name = package.split_whitespace().next()?;
            Some((name.to_owned(), licence.trim_end_matches(" (*)").to_owned()))
        })
        .collect();
    assert!(built.len() > 100, "cargo tree lists only {} crates", built.len());
    built
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
