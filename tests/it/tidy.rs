//! The layout's own rules: what a newcomer may rely on in every file.
//! Invariant: a rule stands here or in the build; one that is only written down somewhere rots.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/`, and what each may import beside the ground. A room names only rooms that
/// stand above its own line, so that there is no cycle. A new arrow wants its reason in the commit.
#[rustfmt::skip]
const ARROWS: &[(&str, &[&str])] = &[
    ("secret", &[]),
    ("clock", &[]),
    ("random", &[]),
    ("lock", &[]),
    ("single_flight", &["lock"]),
    ("deadline", &[]),
    ("body", &[]),
    ("origin", &[]),
    ("trust", &[]),
    ("client_address", &[]),
    ("telemetry", &["clock", "lock", "client_address"]),
    ("jose", &[]),
    ("routing", &[]),
    ("oauth", &["jose"]),
    ("identity", &[]),
    ("upstream", &[]),
    ("server", &[]),
    ("oidc", &["oauth", "identity", "jose"]),
    ("session", &["oauth", "identity"]),
    ("policy", &["identity", "routing"]),
    ("pages", &["identity"]),
    ("demo", &["jose", "server"]),
    ("providers", &["oidc", "oauth", "identity"]),
    ("login", &["providers", "oauth", "session", "routing"]),
    ("error", &["login", "upstream", "oauth", "policy", "providers", "identity", "routing", "server"]),
    ("gate", &["error", "policy", "session", "identity", "login", "providers", "upstream", "pages", "routing", "server"]),
    ("endpoints", &["gate", "error", "login", "providers", "identity", "policy", "routing", "pages", "server"]),
    ("admin", &["gate", "login", "providers", "pages", "server"]),
    ("config", &["gate", "session", "identity", "policy", "routing", "pages", "server", "providers", "upstream"]),
    ("app", ANY),
    ("cli", &["app", "config", "server", "demo"]),
];

/// What every room may use: the ground, and telemetry, which calls nobody.
const GROUND: &[&str] = &[
    "secret",
    "clock",
    "random",
    "lock",
    "single_flight",
    "deadline",
    "body",
    "origin",
    "trust",
    "client_address",
    "telemetry",
];

/// `app` is the only place that knows all rooms below it.
const ANY: &[&str] = &["*"];

/// Rooms whose files still import each other in a circle, their `mod.rs` left out, and those files. The list
/// may only shrink.
const CIRCLES: &[(&str, &[&str])] = &[
    ("config", &["field", "section"]),
    (
        "server",
        &[
            "client_addr",
            "client_limit",
            "connection",
            "connection_limit",
            "deadlines",
            "eviction",
            "forwarded_for",
            "h2_streams",
            "listener",
            "open_parts",
            "request_body",
            "service",
            "stream",
        ],
    ),
];

/// File names that say nothing.
const NAMELESS: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "lib2"];

/// Texts that have no place in the source, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    ("#[allow(", "use #[expect(…, reason = \"…\")]"),
    ("#![allow(", "use #![expect(…, reason = \"…\")]"),
    ("thread::sleep", "wait for the thing itself"),
    ("#[ignore", "a test that nobody runs is no test"),
    ("todo!(", "finish it"),
    ("unimplemented!(", "finish it"),
    ("/home/", "name no folder of somebody's machine"),
    ("/root/", "name no folder of somebody's machine"),
    ("super::super::", "start at `crate::`"),
];

#[test]
fn every_file_opens_with_what_it_is() {
    check(|file| (!file.text.starts_with("//! ")).then(|| "opens without `//!`".to_owned()));
}

#[test]
fn no_file_holds_more_than_one_idea() {
    check(|file| {
        let lines = file.before_tests().lines().count();
        (lines > 400).then(|| format!("{lines} lines before its tests; 400 are enough"))
    });
}

#[test]
fn imports_follow_the_arrows() {
    check(|file| {
        let room = file.room()?;
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            return Some(format!("`{room}` has no line in ARROWS"));
        };
        let used = rooms_in(file.before_tests());
        let ground = GROUND.contains(&room.as_str());
        let may = |name: &str| {
            name == room
                || allowed.contains(&name)
                || (!ground && GROUND.contains(&name))
                || (*allowed == ANY && name != "cli")
        };
        let broken: Vec<_> = used.iter().filter(|name| !may(name)).collect();
        (!broken.is_empty()).then(|| format!("`{room}` may not know {broken:?}"))
    });
}

#[test]
fn arrows_point_down() {
    for (at, (room, allowed)) in ARROWS.iter().enumerate() {
        let below: Vec<_> = ARROWS[..at].iter().map(|(name, _)| *name).collect();
        for name in allowed.iter().filter(|name| **name != "*") {
            assert!(below.contains(name), "`{room}` names `{name}`, which does not stand above it");
        }
    }
}

#[test]
fn every_arrow_is_used() {
    let files = files_in("src");
    for (room, allowed) in ARROWS {
        let of_room = files.iter().filter(|file| file.room().as_deref() == Some(*room));
        let used: BTreeSet<_> = of_room.flat_map(|file| rooms_in(file.before_tests())).collect();
        let idle: Vec<_> = allowed.iter().filter(|name| !used.contains(**name)).collect();
        assert!(*allowed == ANY || idle.is_empty(), "`{room}` knows nothing of {idle:?}");
    }
}

#[test]
fn files_of_a_room_import_in_no_circle() {
    let files = files_in("src");
    for (room, _) in ARROWS {
        let of_room = files.iter().filter(|file| file.room().as_deref() == Some(*room));
        let mut imports = BTreeMap::<_, BTreeSet<_>>::new();
        for (part, used) in of_room.filter_map(|file| file.imports_in(room)) {
            imports.entry(part).or_default().extend(used);
        }
        let listed = CIRCLES.iter().find(|(name, _)| name == room).map_or(&[][..], |(_, of)| *of);
        let advice = "break a new circle; take files that are in none any more off CIRCLES";
        assert_eq!(in_circles(&imports), listed, "`{room}`: {advice}");
    }
    for (room, files) in CIRCLES {
        let known = ARROWS.iter().any(|(name, _)| name == room);
        assert!(known && !files.is_empty(), "CIRCLES need not name `{room}`");
    }
}

#[test]
fn circle_is_found_among_files_that_lead_to_it() {
    let imports = [("a", "b"), ("b", "c"), ("c", "b"), ("d", "a"), ("e", "e")];
    let imports = imports.map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])));
    assert_eq!(in_circles(&BTreeMap::from(imports)), ["b", "c"]);
}

#[test]
fn main_only_runs_the_command_line() {
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    let used: BTreeSet<_> = names_after(&code_of(&main), "portcullis::");
    assert!(used.iter().all(|name| name == "cli"), "main.rs uses {used:?}");
}

#[test]
fn file_names_say_something() {
    check(|file| {
        let stem = file.path.file_stem()?.to_str()?;
        NAMELESS.contains(&stem).then(|| "is named after nothing".to_owned())
    });
}

#[test]
fn nothing_banned_stands_in_the_source() {
    check(|file| {
        // This list is the one place that names them.
        let of_this_file = file.path.ends_with("tests/it/tidy.rs");
        let found = BANNED.iter().find(|(text, _)| !of_this_file && file.text.contains(text));
        found.map(|(text, instead)| format!("has `{text}`: {instead}"))
    });
}

#[test]
fn poisoned_mutex_is_handled_in_one_file() {
    check(|file| {
        let elsewhere = file.path.starts_with("src") && !file.path.ends_with("src/lock.rs");
        (elsewhere && file.text.contains("PoisonError")).then(|| "use crate::lock".to_owned())
    });
}

#[test]
fn what_is_left_to_do_has_a_number() {
    check(|file| {
        let words = ["TODO", "FIXME", "XXX"];
        let open =
            |line: &&str| words.iter().any(|word| line.contains(word)) && !line.contains('#');
        let of_this_file = file.path.ends_with("tests/it/tidy.rs");
        let line = file.text.lines().find(|line| !of_this_file && open(line))?;
        Some(format!("says `{}` without an issue's number", line.trim()))
    });
}

#[test]
fn imports_are_seen_in_every_spelling() {
    let code = "use crate::oauth::{self, token};\nuse crate::{\n    jose, pages::{Page, Pages},\n};\n\
                fn f(x: &crate::session::Session) {} // crate::login is only mentioned";
    let expected = ["jose", "oauth", "pages", "session"].map(str::to_owned);
    assert_eq!(rooms_in(code), BTreeSet::from(expected));
}

/// One source file of ours.
struct File {
    /// From the repository's root.
    path: PathBuf,
    text: String,
}

impl File {
    fn before_tests(&self) -> &str {
        if self.path.ends_with("tests.rs") || self.path.ends_with("tests/mod.rs") {
            return "";
        }
        // `mod tests;` on top says only where they are.
        let end = self.text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// `src/ROOM.rs` or `src/ROOM/…`; the map and `main.rs` are in none.
    fn room(&self) -> Option<String> {
        let inside = self.path.strip_prefix("src").ok()?;
        let first = inside.components().next()?.as_os_str().to_str()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(room, "lib" | "main")).then(|| room.to_owned())
    }
}

impl File {
    /// Its name inside `room`, or its folder's, and every name of the room that it imports; `None` for the
    /// room's own `mod.rs` and for a room of one file.
    fn imports_in(&self, room: &str) -> Option<(String, BTreeSet<String>)> {
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

/// Those that lead back to themselves by way of another.
fn in_circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<&str> {
    let leads_back = |start: &&str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(at) = open.pop() {
            let next = imports.get(at).into_iter().flatten().filter(|name| name.as_str() != at);
            open.extend(next.map(String::as_str).filter(|name| seen.insert(*name)));
        }
        seen.contains(start)
    };
    imports.keys().map(String::as_str).filter(leads_back).collect()
}

/// Asks `complaint` of every Rust file of ours; all complaints come at once.
#[track_caller]
fn check(complaint: impl Fn(&File) -> Option<String>) {
    let complaints: Vec<_> = ["src", "tests/it", "tests/real", "fuzz/src"]
        .into_iter()
        .flat_map(files_in)
        .filter_map(|file| complaint(&file).map(|says| format!("{}: {says}", file.path.display())))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn files_in(folder: &str) -> Vec<File> {
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

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms that a text imports, by `use` or in passing.
fn rooms_in(text: &str) -> BTreeSet<String> {
    names_after(&code_of(text), "crate::")
}

/// A text without its comments, as far as looking for paths needs it.
fn code_of(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Every name that follows `prefix`; each of those in braces.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
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
