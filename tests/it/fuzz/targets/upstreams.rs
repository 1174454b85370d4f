//! What applications make of a path, each in its own way: models that were written apart from the gateway.

use percent_encoding::percent_decode;

fn decoded(path: &str) -> Option<String> {
    percent_decode(path.as_bytes()).decode_utf8().ok().map(Into::into)
}

/// Removes dot segments, and empty ones where `merge`.
fn collapsed(path: &str, merge: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            ".." => drop(kept.pop()),
            "." => {}
            "" if merge => {}
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn without_parameters(path: &str) -> String {
    let bare = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.split('/').map(bare).collect::<Vec<_>>().join("/")
}

fn trimmed(path: &str) -> String {
    let trim = |segment: &str| match segment.trim_end_matches(' ') {
        dots @ ("." | "..") => dots.to_owned(),
        other => other.trim_end_matches(['.', ' ']).to_owned(),
    };
    path.split('/').map(trim).collect::<Vec<_>>().join("/")
}

/// What is behind the first dot of the last name says only in which form the page is wanted.
fn without_extension(path: &str) -> String {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{}", name.split('.').next().unwrap_or_default()),
        None => path.to_owned(),
    }
}

/// Its name, how it reads a path, where `None` is a rejected path, and whether it folds letter case.
pub type Model = (&'static str, fn(&str) -> Option<String>, bool);

/// All of them.
pub const MODELS: &[Model] = &[
    ("decodes", decoded, false),
    ("decodes, merges, collapses (nginx)", |path| Some(collapsed(&decoded(path)?, true)), false),
    ("decodes and collapses", |path| Some(collapsed(&decoded(path)?, false)), false),
    ("collapses, then decodes", |path| decoded(&collapsed(path, true)), false),
    (
        "drops parameters, decodes, collapses (Tomcat)",
        |path| Some(collapsed(&decoded(&without_parameters(path))?, true)),
        false,
    ),
    (
        "decodes, drops parameters, collapses",
        |path| Some(collapsed(&without_parameters(&decoded(path)?), true)),
        false,
    ),
    (
        "takes backslashes for slashes, trims and folds (Windows)",
        |path| Some(collapsed(&trimmed(&decoded(path)?.replace('\\', "/")), true)),
        true,
    ),
    ("decodes twice", |path| Some(collapsed(&decoded(&decoded(path)?)?, true)), false),
    (
        "decodes twice and takes backslashes",
        |path| Some(collapsed(&decoded(&decoded(path)?)?.replace('\\', "/"), true)),
        true,
    ),
    ("ends at NUL (C)", |path| Some(collapsed(decoded(path)?.split('\0').next()?, true)), false),
    (
        "parses its path once more",
        |path| Some(collapsed(decoded(path)?.split(['?', '#']).next()?, true)),
        false,
    ),
    ("decodes and folds letter case", decoded, true),
    (
        "serves a stream as its file (NTFS)",
        |path| {
            let path = decoded(path)?;
            let name = |segment: &str| match segment.contains(":$") {
                true => segment.split(':').next().unwrap_or_default().to_owned(),
                false => segment.to_owned(),
            };
            Some(collapsed(&path.split('/').map(name).collect::<Vec<_>>().join("/"), true))
        },
        true,
    ),
    (
        "leaves out invisible characters (HFS+)",
        |path| {
            Some(collapsed(&decoded(path)?.replace(['\u{200b}', '\u{ad}', '\u{feff}'], ""), true))
        },
        true,
    ),
    (
        "takes `/name.json` for `/name` (Rails)",
        |path| Some(without_extension(&decoded(path)?)),
        false,
    ),
    ("compares in capitals", |path| Some(decoded(path)?.to_uppercase()), true),
];
