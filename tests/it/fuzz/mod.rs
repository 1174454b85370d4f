//! The targets of `fuzz/`, called with their seeds: the hostile cases of the tests, and every input that the
//! fuzzer has found a fault with.
//! Invariant: each target has seeds and a program in `fuzz/`, so that none is left out of a run.

#[expect(unreachable_pub, reason = "fuzz/ makes a library of it")]
pub(crate) mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::TARGETS;

#[test]
fn every_seed_keeps_the_invariants_of_its_target() {
    let mut failed = Vec::new();
    for (name, run) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() > 10, "{name} has {} seeds", seeds.len());
        for file in seeds {
            let seed = fs::read(&file).unwrap();
            if catch_unwind(|| run(&seed)).is_err() {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "the panics above are of {failed:#?}");
}

#[test]
fn every_target_has_a_program() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    let programs: Vec<_> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(programs, targets);
    for name in targets {
        let program = fs::read_to_string(root().join(format!("fuzz/src/bin/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{name}::run(data)")), "{program}");
    }
}

/// A fault that is found in the versions of another lock file may be none of the gateway's.
#[test]
fn fuzz_lock_file_has_the_versions_of_the_gateway() {
    let [ours, theirs] = ["Cargo.lock", "fuzz/Cargo.lock"].map(|file| packages(root().join(file)));
    let known = |name: &str| ours.iter().any(|(known, _)| known == name);
    let other: Vec<_> =
        theirs.iter().filter(|package| known(&package.0) && !ours.contains(package)).collect();
    let remedy = "cp Cargo.lock fuzz/ && (cd fuzz && cargo check --no-default-features)";
    assert!(other.is_empty(), "fuzz/Cargo.lock has other versions: {other:?}; {remedy}");
}

/// The files that `fuzz/run` starts from.
fn seeds(target: &str) -> Vec<PathBuf> {
    let own = root().join("fuzz/seeds").join(target);
    let golden = ["accepted", "rejected"].map(|folder| root().join("tests/config").join(folder));
    let folders = if target == "config" { [vec![own], golden.into()].concat() } else { vec![own] };
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    folders.into_iter().flat_map(files).collect()
}

/// Name and version of every package in a lock file.
fn packages(lock: impl AsRef<Path>) -> Vec<(String, String)> {
    let text = fs::read_to_string(lock).unwrap();
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let blocks = text.split("[[package]]").skip(1);
    blocks.map(|block| (value(block, "name").unwrap(), value(block, "version").unwrap())).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
