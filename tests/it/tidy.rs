//! The layout's own rules: what a newcomer may rely on in every file.
//! Invariant: a rule stands here or in the build; one that is only written down somewhere rots.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;

use crate::source_files::{
    File, code_of, files_in, names_after, public_types_in, relative_imports_in, rooms_in, root,
};

/// The rooms of `src/`, and what each may import apart from the ground. A room names only rooms that
/// stand above its own line, so that there is no cycle. A new arrow wants its reason in the commit.
#[rustfmt::skip]
const ARROWS: &[(&str, &[&str])] = &[
    ("secret", &[]),
    ("clock", &[]),
    ("random", &[]),
    ("lock", &[]),
    ("single_flight", &["lock"]),
    ("deadline", &[]),
    ("weak_map", &["lock"]),
    ("body", &[]),
    ("origin", &[]),
    ("trust", &[]),
    ("tcp", &["single_flight"]),
    ("client_address", &[]),
    ("telemetry", &["clock", "lock", "weak_map", "client_address"]),
    ("jose", &[]),
    ("grpc", &[]),
    ("routing", &[]),
    ("oauth", &["jose"]),
    ("identity", &[]),
    ("upstream", &[]),
    ("server", &["routing"]),
    ("oidc", &["oauth", "identity", "jose"]),
    ("session", &["oauth", "identity"]),
    ("policy", &["identity", "routing"]),
    ("pages", &["identity", "grpc"]),
    ("demo", &["jose", "server"]),
    ("providers", &["oidc", "oauth", "identity"]),
    ("login", &["providers", "oauth", "session", "routing"]),
    ("error", &["login", "upstream", "session", "oauth", "policy", "providers", "identity", "routing", "pages", "server", "grpc"]),
    ("gate", &["error", "policy", "session", "identity", "login", "providers", "upstream", "pages", "routing", "server"]),
    ("endpoints", &["gate", "error", "login", "providers", "identity", "policy", "routing", "pages", "server", "grpc"]),
    ("admin", &["login", "providers", "session", "pages", "server", "upstream"]),
    ("config", &["admin", "gate", "session", "identity", "policy", "routing", "pages", "server", "providers", "upstream"]),
    ("app", ANY),
    ("cli", &["app", "config", "server", "demo"]),
];

/// What every room may use: the ground, and telemetry, which imports no room above.
const GROUND: &[&str] = &[
    "secret",
    "clock",
    "random",
    "lock",
    "single_flight",
    "deadline",
    "weak_map",
    "body",
    "origin",
    "trust",
    "tcp",
    "client_address",
    "telemetry",
];

/// `app` is the only place that knows all rooms below it.
const ANY: &[&str] = &["*"];

/// Public type names that every room may have.
const TYPE_NAMES_OF_EVERY_ROOM: &[&str] = &["Error", "Settings"];

/// File names that say nothing.
const NAMELESS: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "lib2"];

/// Texts that have no place in the source, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    ("#[allow(", "use #[expect(…, reason = \"…\")]"),
    ("#![allow(", "use #![expect(…, reason = \"…\")]"),
    ("thread::sleep", "wait for the thing itself"),
    ("#[ignore", "run it, or delete it"),
    ("todo!(", "finish it"),
    ("unimplemented!(", "finish it"),
    ("/home/", "name no folder of one machine"),
    ("/root/", "name no folder of one machine"),
    ("super::super::", "start at `crate::`"),
];

#[test]
fn every_file_opens_with_what_it_is() {
    check(|file| (!file.text.starts_with("//! ")).then(|| "opens without `//!`".to_owned()));
}

#[test]
fn no_file_holds_more_than_one_idea() {
    check(|file| {
        let before = file.before_tests().lines().count();
        let tests = file.text.lines().count() - before;
        let is_long = before > 400 || tests > 400;
        is_long.then(|| format!("{before} lines, and {tests} of unit tests; 400 each are enough"))
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
fn imports_start_at_the_crate() {
    check(|file| {
        let relative = relative_imports_in(&file.text);
        let found = file.path.starts_with("src") && !relative.is_empty();
        found.then(|| format!("start at `crate::` in {relative:?}"))
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
        assert_eq!(in_circles(&imports), [""; 0], "`{room}`: break the circle");
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
fn threats_of_the_tests_are_those_of_the_security_policy() {
    let policy = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let rows = policy.lines().filter_map(|line| line.strip_prefix("| T")?.split_once(" |"));
    let listed: BTreeSet<u32> = rows.filter_map(|(of, _)| numbers_of(of)).flatten().collect();
    let tried: BTreeSet<u32> = ["tests/it", "src", "fuzz"]
        .into_iter()
        .flat_map(files_in)
        .flat_map(|file| threats_in(&file.text))
        .collect();
    assert_eq!(tried, listed, "(left: in the source; right: the rows of SECURITY.md)");
}

/// The numbers of every `T01` and `T42-T45` in a text.
fn threats_in(text: &str) -> Vec<u32> {
    let words = text.split(|character: char| !character.is_alphanumeric() && character != '-');
    let threats = words.filter_map(|word| word.strip_prefix('T'));
    threats.filter_map(numbers_of).flatten().collect()
}

/// `01` is one number, `42-T45` and `42–T45` are four; other texts are none.
fn numbers_of(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once("-T").or(text.split_once("–T")).unwrap_or((text, text));
    let number = |text: &str| (text.len() >= 2).then(|| text.parse().ok()).flatten();
    Some(number(first)?..=number(last)?)
}

#[test]
fn public_type_name_stands_in_one_room() {
    let mut rooms = BTreeMap::<String, BTreeSet<String>>::new();
    // The types of the unit tests, too: a reader who searches for a name finds one thing.
    for file in files_in("src") {
        let Some(room) = file.room() else { continue };
        for name in public_types_in(&file.text) {
            rooms.entry(name).or_default().insert(room.clone());
        }
    }
    rooms.retain(|name, rooms| {
        rooms.len() > 1 && !TYPE_NAMES_OF_EVERY_ROOM.contains(&name.as_str())
    });
    assert!(rooms.is_empty(), "rename the type in all rooms but one: {rooms:#?}");
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
    let complaints: Vec<_> = ["src", "tests/it", "tests/real", "fuzz/src", "benches"]
        .into_iter()
        .flat_map(files_in)
        .filter_map(|file| complaint(&file).map(|says| format!("{}: {says}", file.path.display())))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
