//! The lexicon in `src/lib.rs`, held over everything that a person reads.
//! Invariant: a word of its third column stands nowhere else.

use std::fs;
use std::path::PathBuf;

use crate::source_files::root;

/// Names of other programs and of earlier versions, quoted.
const QUOTED: &[&str] = &["redeem_url", "`admit`"];

#[test]
fn words_that_the_lexicon_excludes_are_not_used() {
    let excluded = excluded_words(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!(excluded.len() > 20, "the lexicon in src/lib.rs has another form: {excluded:?}");
    let complaints: Vec<_> = texts()
        .iter()
        .flat_map(|(path, text)| {
            let text = without_lexicon(text);
            let lines = text.lines().enumerate();
            let found = lines.flat_map(|(at, line)| {
                let line = QUOTED.iter().fold(line.to_owned(), |line, name| line.replace(name, ""));
                let words = words_of(&line);
                let of_line = excluded.iter().filter(move |phrase| has_phrase(&words, phrase));
                of_line.map(move |phrase| format!("{}:{}: {phrase}", path.display(), at + 1))
            });
            found.collect::<Vec<_>>()
        })
        .collect();
    assert!(
        complaints.is_empty(),
        "use the words of the lexicon in src/lib.rs:\n{}",
        complaints.join("\n")
    );
}

#[test]
fn excluded_word_is_found_in_every_spelling() {
    let lexicon = "//! # Lexicon\n//! | concept | our word | words not used |\n//! |---|---|---|\n\
                   //! | a client | *client* | gadget, put by |\n//! | a user | *user* | |\n//!\n";
    let excluded = excluded_words(lexicon);
    assert_eq!(excluded, ["gadget", "put by"]);
    let found = |line: &str| excluded.iter().any(|phrase| has_phrase(&words_of(line), phrase));
    for line in [
        "// A gadget.",
        "fn of_gadget() {}",
        "struct ForGadget;",
        "struct TLSGadget;",
        "GADGET",
        "\"put by.\"",
        "put_by",
    ] {
        assert!(found(line), "{line}");
    }
    for line in ["gadgetry", "put byte", "put(bytes)", "input by"] {
        assert!(!found(line), "{line}");
    }
    assert_eq!(without_lexicon(lexicon).trim(), "//!");
}

/// Everything that a person reads: code, scripts, documents and examples, with its path.
fn texts() -> Vec<(PathBuf, String)> {
    let folders = ["src", "tests", "fuzz", "benches", "config", "deploy", ".ci", ".cargo"];
    let kinds = [
        "rs", "md", "yaml", "yml", "html", "css", "mjs", "py", "lua", "conf", "cfg", "toml", "txt",
    ];
    let mut found = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    let documents = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "Dockerfile"];
    let settings = ["Cargo.toml", ".clippy.toml", ".rustfmt.toml"];
    open.extend(documents.iter().chain(&settings).map(|name| root().join(name)));
    while let Some(path) = open.pop() {
        let not_ours = ["node_modules", "target", "tests/vectors", "tests/config"];
        if path.is_dir() {
            if !not_ours.iter().any(|name| path.ends_with(name)) {
                open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
            continue;
        }
        let kind = path.extension().and_then(|extension| extension.to_str());
        if kind.is_none_or(|kind| kinds.contains(&kind))
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
        }
    }
    found.sort();
    found
}

/// The third column of the lexicon's table.
fn excluded_words(map: &str) -> Vec<String> {
    let section = map.split("//! # Lexicon").nth(1).unwrap_or_default();
    let section = section.split("//! # ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("//! |")).skip(2);
    let words = rows.filter_map(|row| row.split('|').nth(2)).flat_map(|column| column.split(','));
    words.map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A text without the rows of the lexicon, which name the words.
fn without_lexicon(text: &str) -> String {
    let Some((before, section)) = text.split_once("//! # Lexicon") else { return text.to_owned() };
    let (rows, after): (Vec<_>, Vec<_>) =
        section.lines().partition(|line| line.starts_with("//! |"));
    // Line numbers of complaints stay those of the file.
    format!("{before}{}{}", "\n".repeat(rows.len()), after.join("\n"))
}

/// The words of a line in lower case: `ForGadget`, `for_gadget` and "for gadget" have the same two.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_before_small = letters.peek().is_some_and(|next| next.is_lowercase());
        let begins_word = letter.is_uppercase() && (before.is_lowercase() || is_before_small);
        if !letter.is_alphabetic() || begins_word {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

fn has_phrase(words: &[String], phrase: &str) -> bool {
    let phrase: Vec<_> = phrase.split(' ').collect();
    words.windows(phrase.len()).any(|window| window == phrase)
}
