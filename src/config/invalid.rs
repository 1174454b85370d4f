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

    pub(super) fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    /// Returns the hint. The suggestion is only in it if the value may be shown. Neither is given with a control
    /// character, which can only come from the value: to copy it would be to write the same mistake again.
    pub(super) fn hint_for(&self, shown: Option<&str>) -> Option<String> {
        let is_plain = |text: &&String| !text.contains(char::is_control);
        match (shown, self.suggestion.as_ref().filter(is_plain)) {
            (Some(_), Some(suggestion)) => Some(format!("did you mean `{suggestion}`?")),
            (Some(_) | None, _) => self.hint.as_ref().filter(is_plain).cloned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_a_control_character_is_never_suggested() {
        for (suggestion, hint) in
            [("https://wiki\t.example", "write it"), ("a\nb", "write it"), ("\u{7f}", "write it")]
        {
            let invalid = Invalid::new("is wrong").hint(hint).suggest(suggestion);
            assert_eq!(invalid.hint_for(Some("")), Some("write it".to_owned()));
        }
        assert_eq!(Invalid::new("is wrong").hint("write `[a\tb]`").hint_for(Some("")), None);
        let plain = Invalid::new("is wrong").suggest("a b");
        assert_eq!(plain.hint_for(Some("")), Some("did you mean `a b`?".to_owned()));
        assert_eq!(plain.hint_for(None), None);
    }
}
