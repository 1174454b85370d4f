//! One reading of a file: what was found wrong so far, and which other files it took.
//! Invariant: a `Reported` is made only by reporting an error, so a part that could not be read is
//! never missing without a word.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::clock::UnixTime;
use crate::config::host_env::HostEnv;
use crate::config::interpolate::{self, TextPart};
use crate::config::invalid::Invalid;
use crate::config::problem::{KeyPath, Problem, Severity, on_one_line};

/// Values longer than this are shown cut.
const SHOWN: usize = 80;

/// A reading under way.
#[derive(Debug)]
pub(super) struct Diagnostics<'a> {
    source: &'a HostEnv,
    /// Where relative paths start.
    folder: &'a Path,
    findings: RefCell<Vec<Finding>>,
    files: RefCell<BTreeSet<PathBuf>>,
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    path: KeyPath,
    message: String,
    hint: Option<String>,
}

/// The proof that an error has been reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// A text after substitution.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) text: String,
    /// Whether a part of it came out of `${…}`.
    pub(super) substituted: bool,
}

impl<'a> Diagnostics<'a> {
    pub(super) fn new(source: &'a HostEnv, folder: &'a Path) -> Self {
        Self { source, folder, findings: RefCell::default(), files: RefCell::default() }
    }

    /// Reports what refuses the file. `shown` is the value, where it may be seen.
    pub(super) fn error(&self, path: &KeyPath, invalid: &Invalid, shown: Option<&str>) -> Reported {
        self.add(Severity::Error, path, invalid, shown);
        Reported(())
    }

    /// Reports what its author may not have meant.
    pub(super) fn warning(&self, path: &KeyPath, invalid: &Invalid) {
        self.add(Severity::Warning, path, invalid, None);
    }

    /// Reports what was good once, as an expired certificate.
    pub(super) fn outdated(&self, path: &KeyPath, invalid: &Invalid) {
        self.add(Severity::Outdated, path, invalid, None);
    }

    /// Puts in what `${…}` stands for.
    pub(super) fn resolve(&self, path: &KeyPath, text: &str) -> Result<Resolved, Reported> {
        let pieces = interpolate::parse(text).map_err(|malformed| {
            let invalid = Invalid::new(malformed.to_string()).hint(malformed.remedy());
            self.error(path, &invalid, None)
        })?;
        let (mut resolved, mut substituted) = (String::new(), false);
        for piece in pieces {
            let part = match piece {
                TextPart::Text(text) => Ok(text),
                TextPart::Variable { name, default } => {
                    substituted = true;
                    self.variable(&name, default)
                }
                TextPart::File(name) => {
                    substituted = true;
                    self.text_file(&name)
                }
            };
            resolved.push_str(&part.map_err(|invalid| self.error(path, &invalid, None))?);
        }
        Ok(Resolved { text: resolved, substituted })
    }

    /// Whether a variable of the environment has a value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.source.variable(name).is_some_and(|value| !value.is_empty())
    }

    /// The content of a file that a value names.
    pub(super) fn file(&self, name: &str) -> Result<Vec<u8>, Invalid> {
        self.content(name).map_err(|(file, why)| Invalid::of_file(file, why))
    }

    /// Whether an error was reported so far.
    pub(super) fn is_refused(&self) -> bool {
        self.findings.borrow().iter().any(|finding| finding.severity == Severity::Error)
    }

    /// When this is read.
    pub(super) fn now(&self) -> UnixTime {
        self.source.now()
    }

    /// A path; a relative one starts at the configuration file.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The findings with their places, in the order of the file; and the files that were read.
    pub(super) fn finish(
        self,
        place: impl Fn(&KeyPath) -> (PathBuf, Option<usize>),
    ) -> (Vec<Problem>, Vec<PathBuf>) {
        let located = |Finding { severity, path, message, hint }| {
            let (file, line) = place(&path);
            Problem { severity, file, line, path, message, hint }
        };
        let mut problems: Vec<Problem> =
            self.findings.into_inner().into_iter().map(located).collect();
        problems.sort_by_key(|problem| problem.line);
        (problems, self.files.into_inner().into_iter().collect())
    }

    fn add(&self, severity: Severity, path: &KeyPath, invalid: &Invalid, shown: Option<&str>) {
        let message = match shown {
            Some(value) => format!("{:?} {}", cut(value), invalid.what),
            None => invalid.what.clone(),
        };
        let (message, hint) = (on_one_line(&message).into_owned(), invalid.hint_for(shown));
        let hint = hint.map(|hint| on_one_line(&hint).into_owned());
        let finding = Finding { severity, path: path.clone(), message, hint };
        self.findings.borrow_mut().push(finding);
    }

    /// As in a shell, an empty variable is as good as none where there is a default.
    fn variable(&self, name: &str, default: Option<String>) -> Result<String, Invalid> {
        let unset = || {
            Invalid::new(format!("needs the environment variable {name}, which is not set"))
                .hint(format!("set {name}, or write ${{{name}:-default}}"))
        };
        match (self.source.variable(name), default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value),
            (_, Some(default)) => Ok(default),
            (None, None) => Err(unset()),
        }
    }

    fn text_file(&self, name: &str) -> Result<String, Invalid> {
        let bytes = self
            .content(name)
            .map_err(|(file, why)| Invalid::new(format!("needs the file {file}, which {why}")))?;
        let mut text = String::from_utf8(bytes).map_err(|_| {
            let file = self.at(name);
            Invalid::new(format!("needs the file {}, which is not a text in UTF-8", file.display()))
        })?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }

    /// A file's content, or which file it is and why it has none.
    fn content(&self, name: &str) -> Result<Vec<u8>, (String, String)> {
        let path = self.at(name);
        self.files.borrow_mut().insert(path.clone());
        self.source.read(&path).map_err(|why| (path.display().to_string(), why.to_string()))
    }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((at, _)) => value.get(..at).unwrap_or_default().to_owned() + "…",
        None => value.to_owned(),
    }
}
