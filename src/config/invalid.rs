//! What a parser says of a text that it refuses. The parser knows what is wrong; it does not know
//! whether the text may be shown, so it keeps the two apart.

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// The rest of a sentence that begins with the text: `is not a duration`. Never the text itself.
    pub(super) what: String,
    /// What to do, without the text.
    hint: Option<String>,
    /// What was probably meant: a text made of the one refused.
    suggestion: Option<String>,
    /// The file that the text names, and why it cannot be used.
    file: Option<(String, String)>,
}

impl Invalid {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, suggestion: None, file: None }
    }

    /// Of a text that names this file.
    pub(super) fn of_file(file: impl Into<String>, why: impl Into<String>) -> Self {
        let (file, why) = (file.into(), why.into());
        Self { file: Some((file, why.clone())), ..Self::new(format!("names a file that {why}")) }
    }

    /// The same with the name of the file, unless the text beside it is that name.
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

    #[cfg(test)]
    pub(super) fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    /// The hint to print beside the text, or `None` for one that must not show it.
    pub(super) fn hint_for(&self, shown: Option<&str>) -> Option<String> {
        match (shown, &self.suggestion) {
            (Some(_), Some(suggestion)) => Some(format!("did you mean {suggestion}?")),
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
