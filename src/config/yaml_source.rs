//! Source of a configuration in YAML: a file, or the environment variable `PORTCULLIS_CONFIG_TEXT`.
//! Invariant: both are read, checked and reported in the same way; only name and base of relative paths differ.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::admin::AdminSettings;
use crate::config::admin;
use crate::config::diagnostics::Diagnostics;
use crate::config::document::{self, Node};
use crate::config::env_overrides;
use crate::config::host_env::{HostEnv, ReadError};
use crate::config::line_of::{self, LineFinder};
use crate::config::problem::{KeyPath, Problem, Problems, Severity};
use crate::config::section::Section;
use crate::config::{Config, read_tree};

/// Environment variable with the whole YAML.
pub(super) const CONFIG_TEXT: &str = "PORTCULLIS_CONFIG_TEXT";

/// Where a configuration can be, for messages.
const PLACES: &str = "the configuration file is --config, or PORTCULLIS_CONFIG, or portcullis.yaml in \
                      this folder, or /etc/portcullis/portcullis.yaml; PORTCULLIS_CONFIG_TEXT can contain the \
                      YAML itself";

/// Source of a configuration in YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum YamlSource {
    /// This file.
    File(PathBuf),
    /// The environment variable `PORTCULLIS_CONFIG_TEXT`.
    Variable,
}

impl YamlSource {
    /// Loads the configuration; returns it with warnings, or all problems.
    pub(super) fn load(&self, source: &HostEnv) -> Result<(Config, Vec<Problem>), Problems> {
        let text = self.read(source)?;
        let root = self.parse(&text)?;
        let lines = LineFinder::new(&text, &root);
        let place = |path: &KeyPath| match env_overrides::override_of(path, source) {
            Some(variable) => (variable.into(), None),
            None => (self.name().to_owned(), lines.of(path)),
        };
        let overridden = env_overrides::overridden(&root, source);
        read_tree(overridden.as_ref().unwrap_or(&root), self.diagnostics(source), place)
    }

    /// Returns the settings of the admin listener. Other keys may be wrong.
    pub(super) fn admin_settings(&self, source: &HostEnv) -> Result<AdminSettings, Problems> {
        let text = self.read(source)?;
        let root = self.parse(&text)?;
        let place = |path: &KeyPath| (self.name().to_owned(), line_of::line_of(&text, &root, path));
        admin_settings(&root, self.diagnostics(source), source, place)
    }

    /// Returns the line of a key.
    pub(super) fn line(&self, source: &HostEnv, path: &KeyPath) -> Option<usize> {
        let text = self.read(source).ok()?;
        let root = document::parse(&text).ok()?;
        line_of::line_of(&text, &root, path)
    }

    /// Name in messages.
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::File(file) => file,
            Self::Variable => Path::new(CONFIG_TEXT),
        }
    }

    /// Relative paths start at the folder of the file, or at the working directory.
    fn diagnostics<'a>(&'a self, source: &'a HostEnv) -> Diagnostics<'a> {
        let here = Path::new("");
        let folder = match self {
            Self::File(file) => file.parent().unwrap_or(here),
            Self::Variable => here,
        };
        Diagnostics::new(source, folder)
    }

    fn parse(&self, text: &str) -> Result<Node, Problems> {
        document::parse(text).map_err(|error| {
            // Tools that quote a variable for its line in a file write them so.
            if *self == Self::Variable && !text.contains('\n') && text.contains("\\n") {
                let message = "contains `\\n` in place of line breaks".to_owned();
                let hint = "write several lines, or JSON on one line, which is YAML, too";
                return self.rejected(error.line, message, Some(hint.to_owned()));
            }
            self.rejected(error.line, error.message.to_owned(), error.hint.map(str::to_owned))
        })
    }

    fn read(&self, source: &HostEnv) -> Result<String, Problems> {
        let (bytes, kind) = match self {
            Self::File(file) => {
                let bytes = source.read(file).map_err(|why| self.unreadable(&why))?;
                (bytes, "file")
            }
            Self::Variable => {
                let text = source.raw_variable(CONFIG_TEXT).unwrap_or_default();
                (text.into_encoded_bytes(), "variable")
            }
        };
        // Some editors write a byte order mark, which the parser reads as a document.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
        String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line =
                error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
            self.rejected(Some(line), format!("the {kind} is not UTF-8 text"), None)
        })
    }

    fn unreadable(&self, why: &ReadError) -> Problems {
        let hint = why.remedy().unwrap_or(PLACES);
        self.rejected(None, format!("the file {why}"), Some(hint.to_owned()))
    }

    fn rejected(&self, line: Option<usize>, message: String, hint: Option<String>) -> Problems {
        let (severity, path, file) = (Severity::Error, KeyPath::default(), self.name().to_owned());
        Problems(vec![Problem { severity, file, line, path, message, hint }])
    }
}

/// Returns the settings of the admin listener of a tree. `place` returns the file and line of a key.
pub(super) fn admin_settings(
    root: &Node,
    diagnostics: Diagnostics<'_>,
    source: &HostEnv,
    place: impl Fn(&KeyPath) -> (PathBuf, Option<usize>),
) -> Result<AdminSettings, Problems> {
    let overridden = env_overrides::overridden(root, source);
    let section = Section::root(&diagnostics, overridden.as_ref().unwrap_or(root));
    let settings = section.and_then(|root| admin::settings(&root, None));
    settings.map_err(|_| {
        diagnostics.errors(|path| match env_overrides::override_of(path, source) {
            Some(variable) => (variable.into(), None),
            None => place(path),
        })
    })
}

impl fmt::Display for YamlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_line_breaks_in_the_variable_have_a_message_of_their_own() {
        let message = |text: &str| {
            let set = [(CONFIG_TEXT.to_owned(), text.to_owned())];
            YamlSource::Variable.load(&HostEnv::fixed([], set)).unwrap_err().to_string()
        };
        let escaped = message(r"server:\n  public_url: https://a.example\nroutes: []");
        let begin = r"PORTCULLIS_CONFIG_TEXT:1: error: contains `\n` in place of line breaks";
        assert!(escaped.starts_with(begin), "{escaped}");
        let wrong = message("server:\n  public_url: a: \"\\n\"\n");
        assert!(wrong.starts_with("PORTCULLIS_CONFIG_TEXT:2: error: `:` is not"), "{wrong}");
    }
}
