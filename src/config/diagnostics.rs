//! Diagnostics of one load: the problems found so far, and the other files that were read.
//! Invariant: only reporting an error creates a `Reported`, so a part that cannot be read always has an error.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::clock::UnixTime;
use crate::config::host_env::{HostEnv, ReadError};
use crate::config::interpolate::{self, TextPart};
use crate::config::invalid::Invalid;
use crate::config::key_spec::Type;
use crate::config::problem::{KeyPath, Problem, Problems, Severity, on_one_line};

/// Longer values are shortened in messages, in characters.
const SHOWN: usize = 80;

/// Diagnostics of a load in progress.
#[derive(Debug)]
pub(super) struct Diagnostics<'a> {
    source: &'a HostEnv,
    /// Base of relative paths.
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

/// Proof that an error was reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// A string after substitution.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) text: String,
    /// Whether a part of it comes from `${…}`.
    pub(super) substituted: bool,
}

impl<'a> Diagnostics<'a> {
    pub(super) fn new(source: &'a HostEnv, folder: &'a Path) -> Self {
        Self { source, folder, findings: RefCell::default(), files: RefCell::default() }
    }

    /// Reports an error. `shown` is the value, if a message may show it.
    pub(super) fn error(&self, path: &KeyPath, invalid: &Invalid, shown: Option<&str>) -> Reported {
        self.add(Severity::Error, path, invalid, shown);
        Reported(())
    }

    /// Reports a warning: the operator may have meant something else.
    pub(super) fn warning(&self, path: &KeyPath, invalid: &Invalid) {
        self.add(Severity::Warning, path, invalid, None);
    }

    /// Reports something that was valid in the past, such as an expired certificate.
    pub(super) fn outdated(&self, path: &KeyPath, invalid: &Invalid) {
        self.add(Severity::Outdated, path, invalid, None);
    }

    /// Replaces every `${…}` of a string.
    pub(super) fn resolve(
        &self,
        path: &KeyPath,
        text: &str,
        kind: &Type,
    ) -> Result<Resolved, Reported> {
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
                    self.variable(&name, default, kind)
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

    /// Whether an environment variable has a value that is not empty.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.source.variable(name).is_some_and(|value| !value.is_empty())
    }

    /// Reads a file that a value names.
    pub(super) fn file(&self, name: &str) -> Result<Vec<u8>, Invalid> {
        self.content(name)
            .map_err(|(file, why)| why.with_remedy(Invalid::of_file(file, why.to_string())))
    }

    /// Reads a file that requests will read again. It is not a part of the configuration.
    pub(super) fn file_of_requests(&self, name: &str) -> Result<Vec<u8>, Invalid> {
        let path = self.at(name);
        self.source.read(&path).map_err(|why| {
            why.with_remedy(Invalid::of_file(path.display().to_string(), why.to_string()))
        })
    }

    /// Whether an error was reported.
    pub(super) fn has_errors(&self) -> bool {
        self.findings.borrow().iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Time of the load.
    pub(super) fn now(&self) -> UnixTime {
        self.source.now()
    }

    /// Resolves a path; a relative one starts at the folder of the configuration file.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the problems with their places, in the order of the file, and the files that were read.
    pub(super) fn finish(
        self,
        place: impl Fn(&KeyPath) -> (PathBuf, Option<usize>),
    ) -> (Vec<Problem>, Vec<PathBuf>) {
        let located = |Finding { severity, path, mut message, hint }| {
            let (file, line) = place(&path);
            let before = path.before_again().and_then(|path| place(&path).1);
            if let Some(before) = before {
                message.push_str(&format!(", first in line {before}"));
            }
            Problem { severity, file, line, path, message, hint }
        };
        let mut problems: Vec<Problem> =
            self.findings.into_inner().into_iter().map(located).collect();
        problems.sort_by_key(|problem| problem.line);
        (problems, self.files.into_inner().into_iter().collect())
    }

    /// Returns the errors with their places, in the order of the file.
    pub(super) fn errors(self, place: impl Fn(&KeyPath) -> (PathBuf, Option<usize>)) -> Problems {
        let (mut problems, _) = self.finish(place);
        problems.retain(|problem| problem.severity == Severity::Error);
        Problems(problems)
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

    /// Reads a variable. As in a shell, the default also replaces an empty variable.
    fn variable(
        &self,
        name: &str,
        default: Option<String>,
        kind: &Type,
    ) -> Result<String, Invalid> {
        let unset = || {
            let invalid =
                Invalid::new(format!("uses the environment variable {name}, which is not set"));
            // SECURITY: a default for a secret is a secret in plain text, often one that is known.
            if kind.is_secret() {
                invalid.hint(format!("set {name}, or read the secret from a file: ${{file:PATH}}"))
            } else {
                invalid.hint(format!("set {name}, or write a default: ${{{name}:-default}}"))
            }
        };
        match (self.source.variable(name), default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value),
            (_, Some(default)) => Ok(default),
            (None, None) => Err(unset()),
        }
    }

    fn text_file(&self, name: &str) -> Result<String, Invalid> {
        let bytes = self.content(name).map_err(|(file, why)| {
            why.with_remedy(Invalid::new(format!("uses the file {file}, which {why}")))
        })?;
        let mut text = String::from_utf8(bytes).map_err(|_| {
            let file = self.at(name);
            Invalid::new(format!("uses the file {}, which is not UTF-8 text", file.display()))
        })?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }

    /// Reads a file; the error is its path and the reason.
    fn content(&self, name: &str) -> Result<Vec<u8>, (String, ReadError)> {
        let path = self.at(name);
        self.files.borrow_mut().insert(path.clone());
        self.source.read(&path).map_err(|why| (path.display().to_string(), why))
    }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((at, _)) => value.get(..at).unwrap_or_default().to_owned() + "…",
        None => value.to_owned(),
    }
}
