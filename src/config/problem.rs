//! One finding about a configuration: where, what, and what to do about it.
//! Invariant: neither message nor hint holds a value that is secret or came out of `${…}`, nor a control character.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// What was good once and is no more: an error to `check`, while `run` serves on with a warning.
    Outdated,
    /// The configuration is taken; its author may have meant something else.
    Warning,
    /// Nothing is wrong: this was looked at and found good.
    Note,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// The configuration file; or the flag, where flags stand for one.
    pub file: PathBuf,
    /// The line in it, from 1, where one can be named.
    pub line: Option<usize>,
    /// The key it is about.
    pub path: KeyPath,
    /// What is wrong, as the rest of a sentence that begins with the key.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Why a configuration was refused: all findings, at least one of them an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// The way from the root of the file to a key: `routes[2].upstream`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(Vec<Step>);

/// One step of that way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a mapping that has this key twice, to the second.
    Again(String),
    /// Into a list, from 0.
    Item(usize),
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
    /// Where in the file and what, without the file.
    pub fn sentence(&self) -> String {
        match self.path.0.is_empty() {
            true => self.message.clone(),
            false => format!("{}: {}", self.path, self.message),
        }
    }

    /// The finding as an object for machines.
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

/// A text with its control characters escaped.
// SECURITY: a value that is repeated must not move the cursor of the terminal that shows the finding, nor begin
// a line that looks like another finding.
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
    /// `FILE:LINE: error: routes[0].upstream: no scheme`, and the hint on a line of its own.
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
    fn a_path_reads_as_it_is_spoken_of() {
        let path = KeyPath::default().key("routes").item(2).key("upstream");
        assert_eq!(path.to_string(), "routes[2].upstream");
    }

    #[test]
    fn a_finding_is_one_line_and_its_hint_another() {
        let problem = Problem {
            severity: Severity::Error,
            file: "portcullis.yaml".into(),
            line: Some(7),
            path: KeyPath::default().key("routes").item(0).key("upstream"),
            message: "has no scheme".into(),
            hint: Some("did you mean http://wiki:8080?".into()),
        };
        assert_eq!(
            problem.to_string(),
            "portcullis.yaml:7: error: routes[0].upstream: has no scheme\n  \
             hint: did you mean http://wiki:8080?"
        );
    }
}
