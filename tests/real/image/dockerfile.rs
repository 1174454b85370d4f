//! What the Dockerfile says, by instruction.

use std::fs;

use super::root;

pub(super) fn entry_point() -> Vec<String> {
    words_of(&last_stage("ENTRYPOINT").concat())
}

pub(super) fn health_check() -> Vec<String> {
    words_of(last_stage("HEALTHCHECK").concat().split_once("CMD ").unwrap().1)
}

/// How rustc compiles and links the binary.
pub(super) fn rust_flags() -> Vec<String> {
    let variables = instructions("ENV").join(" ");
    let flags = variables.split("RUSTFLAGS=\"").nth(1).unwrap().split('"').next().unwrap();
    flags.split(' ').map(str::to_owned).collect()
}

/// A list of words in JSON.
pub(super) fn words_of(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap()
}

/// What the instructions of this name in the Dockerfile say.
pub(super) fn instructions(name: &str) -> Vec<String> {
    instructions_in(&dockerfile(), name)
}

/// The same, of the stage that becomes the image.
pub(super) fn last_stage(name: &str) -> Vec<String> {
    let text = dockerfile();
    let last = format!("FROM {}", text.rsplit("\nFROM ").next().unwrap());
    instructions_in(&last, name)
}

fn instructions_in(text: &str, name: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let found = joined.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn dockerfile() -> String {
    fs::read_to_string(root().join("Dockerfile")).unwrap()
}
