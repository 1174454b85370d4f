//! Error of a parser for a configuration value. The parser does not know whether the value may be shown, so the
//! message and the parts that contain the value are separate.

/// Reason why a value is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// What is wrong, to be read after the value: `is not a duration`. It never contains the value.
    pub(super) what: String,
    /// What to do. It never contains the value.
    hint: Option<String>,
    /// What was probably meant. It is derived from the value.
    suggestion: Option<String>,
    /// The file that the value names, and why it cannot be used.
    file: Option<(String, String)>,
}

impl Invalid {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, suggestion: None, file: None }
    }

    /// Error for a value that names this file.
    pub(super) fn of_file(file: impl Into<String>, why: impl Into<String>) -> Self {
        let (file, why) = (file.into(), why.into());
        Self { file: Some((file, why.clone())), ..Self::new(format!("names a file that {why}")) }
    }

    /// Adds the name of the file, unless the message shows it already.
    #[must_use]
    pub(super) fn with_file(self, shown: Option<&str>) -> Self {
        match &self.file {
            Some((file, why)) if shown != Some(file) => {
                Self { what: format!("names the file {file}, which {why}"), ..self }
            }
            Some(_) | None => self,
        }
    }

    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[must_use]
    pub(super) fn suggest(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: Some(suggestion.into()), ..self }
    }

    /// Drops a suggestion that would be rejected as well.
    #[must_use]
    pub(super) fn keep_suggestion_if(self, is_accepted: impl FnOnce(&str) -> bool) -> Self {
        let suggestion = self.suggestion.filter(|suggestion| is_accepted(suggestion));
        Self { suggestion, ..self }
    }

    #[cfg(test)]
    pub(super) fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    /// Returns the hint. The suggestion is only in it if the value may be shown.
    pub(super) fn hint_for(&self, shown: Option<&str>) -> Option<String> {
        match (shown, &self.suggestion) {
            (Some(_), Some(suggestion)) => Some(format!("did you mean `{suggestion}`?")),
            (Some(_) | None, _) => self.hint.clone(),
        }
    }
}

impl From<String> for Invalid {
    fn from(what: String) -> Self {
        Self::new(what)
    }
}

impl From<&str> for Invalid {
    fn from(what: &str) -> Self {
        Self::new(what)
    }
}
