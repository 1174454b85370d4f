//! A problem of a configuration: its place, the message, and a hint that says what to do.
//! Invariant: message and hint contain no secret, no value from `${…}` and no control character.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

/// Severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is rejected.
    Error,
    /// Something that is no longer valid, such as an expired certificate: an error in `check`, a warning in `run`.
    Outdated,
    /// The configuration is accepted, but the operator may have meant something else.
    Warning,
    /// A successful check.
    Note,
}

/// A problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its severity.
    pub severity: Severity,
    /// The configuration file; or the flag, if the configuration is in flags.
    pub file: PathBuf,
    /// The line in the file, from 1, if it is known.
    pub line: Option<usize>,
    /// The key it is about.
    pub path: KeyPath,
    /// What is wrong, to be read after the key.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Problems of a rejected configuration; at least one of them is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// Path from the root of the file to a key: `routes[2].upstream`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// A key of a mapping.
    Key(String),
    /// The second of two equal keys of a mapping.
    Again(String),
    /// An item of a list, from 0.
    Item(usize),
}

impl Step {
    /// Whether it is this key.
    pub(super) fn is_key(&self, name: &str) -> bool {
        matches!(self, Self::Key(key) if key == name)
    }
}

impl KeyPath {
    pub(super) fn key(&self, name: &str) -> Self {
        self.with(Step::Key(name.to_owned()))
    }

    pub(super) fn again(&self, name: &str) -> Self {
        self.with(Step::Again(name.to_owned()))
    }

    pub(super) fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    /// Returns the path of the first of two equal keys, if this is the path of the second.
    pub(super) fn before_again(&self) -> Option<Self> {
        let (last, parents) = self.0.split_last()?;
        let Step::Again(name) = last else { return None };
        Some(Self(parents.to_vec()).key(name))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl Problem {
    /// Returns the key path and the message, without the file.
    pub fn sentence(&self) -> String {
        match self.path.0.is_empty() {
            true => self.message.clone(),
            false => format!("{}: {}", self.path, self.message),
        }
    }

    /// Returns the problem as a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.as_str(),
            "file": self.file.display().to_string(),
            "line": self.line,
            "path": self.path.to_string(),
            "message": self.message,
            "hint": self.hint,
        })
    }
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Outdated | Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Escapes the control characters of a text.
// SECURITY: a value in a message must not control the terminal, nor start a line that looks like another problem.
pub(super) fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escaped = |letter: char| match letter.is_control() {
        true => letter.escape_debug().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) | Step::Again(name) => {
                    f.write_str(if at == 0 { "" } else { "." })?;
                    f.write_str(&on_one_line(name))?;
                }
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    /// `FILE:LINE: error: routes[0].upstream: no scheme`, and the hint on the next line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}: {}", self.severity.as_str(), self.sentence())?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_written_with_dots_and_brackets() {
        let path = KeyPath::default().key("routes").item(2).key("upstream");
        assert_eq!(path.to_string(), "routes[2].upstream");
    }

    #[test]
    fn problem_is_one_line_and_its_hint_another() {
        let problem = Problem {
            severity: Severity::Error,
            file: "portcullis.yaml".into(),
            line: Some(7),
            path: KeyPath::default().key("routes").item(0).key("upstream"),
            message: "has no scheme".into(),
            hint: Some("did you mean `http://wiki:8080`?".into()),
        };
        assert_eq!(
            problem.to_string(),
            "portcullis.yaml:7: error: routes[0].upstream: has no scheme\n  \
             hint: did you mean `http://wiki:8080`?"
        );
    }
}
