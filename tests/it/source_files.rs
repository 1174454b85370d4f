//! The source files as `tidy` sees them: their rooms, imports and public types.
//! Invariant: a text counts without its comments and its unit tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One source file of this repository.
pub(crate) struct File {
    /// From the repository's root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl File {
    /// Its text before its unit tests; empty for a file of unit tests.
    pub(crate) fn before_tests(&self) -> &str {
        if self.is_of_unit_tests() {
            return "";
        }
        // `mod tests;` on top says only where they are.
        let begins = ["", "pub(super) ", "pub(crate) "]
            .map(|visibility| format!("\n#[cfg(test)]\n{visibility}mod tests {{"));
        let end = begins.iter().find_map(|begin| self.text.find(begin)).unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Whether nothing in it is in the product: `src/…/tests.rs` or `src/…/tests/…`.
    fn is_of_unit_tests(&self) -> bool {
        let inside = self.path.strip_prefix("src").unwrap_or(Path::new(""));
        inside.iter().any(|part| part == "tests" || part == "tests.rs")
    }

    /// Its room: `src/ROOM.rs` or `src/ROOM/…`. `lib.rs` and `main.rs` are in none.
    pub(crate) fn room(&self) -> Option<String> {
        let inside = self.path.strip_prefix("src").ok()?;
        let first = inside.components().next()?.as_os_str().to_str()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(room, "lib" | "main")).then(|| room.to_owned())
    }

    /// Its name inside `room`, or its folder's, and every name of the room that it imports; `None` for the
    /// room's own `mod.rs` and for a room of one file.
    pub(crate) fn imports_in(&self, room: &str) -> Option<(String, BTreeSet<String>)> {
        let inside = self.path.strip_prefix(Path::new("src").join(room)).ok()?;
        let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
        let code = code_of(self.before_tests());
        let mut used = names_after(&code, &format!("crate::{room}::"));
        let part = match *parts.as_slice() {
            [] | ["mod.rs"] => return None,
            [part] | [part, "mod.rs"] => {
                used.extend(names_after(&code, "super::"));
                part
            }
            [part, ..] => part,
        };
        Some((part.strip_suffix(".rs").unwrap_or(part).to_owned(), used))
    }
}

/// Every Rust file below a folder, sorted by path.
pub(crate) fn files_in(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(File { path: path.strip_prefix(root()).unwrap().to_owned(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms that a text imports, by `use` or by a path in an expression.
pub(crate) fn rooms_in(text: &str) -> BTreeSet<String> {
    names_after(&code_of(text), "crate::")
}

/// Names of the types that a text declares for other files.
pub(crate) fn public_types_in(text: &str) -> Vec<String> {
    let declared = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub")?;
        let rest = match rest.strip_prefix('(') {
            Some(restricted) => restricted.split_once(')')?.1,
            None => rest,
        };
        let rest = rest.strip_prefix(' ')?;
        let (kind, name) = rest.split_once(' ')?;
        matches!(kind, "struct" | "enum" | "trait" | "type").then(|| identifier(name))
    };
    code_of(text).lines().filter_map(declared).collect()
}

/// Imports of our own that do not start at `crate::`. A test may import everything that it tests, and a re-export
/// names a file of its own room.
pub(crate) fn relative_imports_in(text: &str) -> Vec<&str> {
    let files: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';').map(str::to_owned))
        .collect();
    let is_relative = |line: &&str| {
        let Some(path) = line.strip_prefix("use ") else { return false };
        match identifier(path).as_str() {
            "super" => path != "super::*;",
            name => name == "self" || files.contains(name),
        }
    };
    text.lines().map(str::trim_start).filter(is_relative).collect()
}

/// A text without its comments, as far as looking for paths needs it.
pub(crate) fn code_of(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Every name that follows `prefix`; each of those in braces.
pub(crate) fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(identifier(rest));
            continue;
        };
        let (mut depth, mut start) = (1, Some(0));
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = Some(at + 1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if let Some(first) = start.filter(|first| *first <= at && letter.is_ascii_lowercase()) {
                names.insert(identifier(&group[first..]));
                start = None;
            }
        }
    }
    names
}

fn identifier(text: &str) -> String {
    let name = text.trim_start().chars();
    name.take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

#[test]
fn public_types_are_found_at_every_visibility() {
    let code = "pub struct A;\npub(super) enum B {}\n    pub(in crate::x) type C = A;\n\
                pub trait D {} // pub struct E;\nstruct F;\npub fn enum_g() {}\npub const H: A = A;";
    assert_eq!(public_types_in(code), ["A", "B", "C", "D"]);
}

#[test]
fn imports_are_seen_in_every_spelling() {
    let code = "use crate::oauth::{self, token};\nuse crate::{\n    jose, pages::{Page, Pages},\n};\n\
                fn f(x: &crate::session::Session) {} // crate::login is only mentioned";
    let expected = ["jose", "oauth", "pages", "session"].map(str::to_owned);
    assert_eq!(rooms_in(code), BTreeSet::from(expected));
}

#[test]
fn relative_imports_are_found_and_others_are_not() {
    let relative =
        ["use super::error::Error;", "use self::http::Http;", "use pool::{Connection, Pool};"];
    let others = [
        "use super::*;",
        "use crate::pool::Pool;",
        "use ::pool::Pool;",
        "pub use pool::Pool;",
        "use std::fmt;",
    ];
    let text = format!(
        "mod pool;\npub(super) mod http;\n    {}\n{}\n",
        relative.join("\n"),
        others.join("\n")
    );
    assert_eq!(relative_imports_in(&text), relative);
}
