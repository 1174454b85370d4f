//! The languages of pages, and the texts that an operator replaces.
//! Invariant: every language has every text, because a text is a field of [`Texts`].

use crate::pages::english::{self, Texts};
use crate::pages::texts::placeholders;
use crate::pages::{german, korean};

/// A language of pages. JSON and gRPC answers are English.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, where the client accepts none of the languages.
    #[default]
    English,
    /// German.
    German,
    /// Korean.
    Korean,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Korean];

    /// The language tag (RFC 5646), in `lang`, `Content-Language` and `pages.texts`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Korean => "ko",
        }
    }

    /// The key and the built-in text of each of its texts.
    pub const fn built_in(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::English => english::BUILT_IN,
            Self::German => german::BUILT_IN,
            Self::Korean => korean::BUILT_IN,
        }
    }
}

/// The texts of every language. Default: the built-in ones.
#[derive(Clone, Debug)]
pub struct Languages {
    english: Texts,
    german: Texts,
    korean: Texts,
}

/// Why a text cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// No text has this key.
    #[error("no text has this key")]
    UnknownKey,
    /// The page has no value for a placeholder.
    #[error("has the unknown placeholder {{{name}}}")]
    UnknownPlaceholder {
        /// The placeholder.
        name: String,
        /// Those that the text may have.
        known: Vec<&'static str>,
    },
}

impl Default for Languages {
    fn default() -> Self {
        Self { english: english::TEXTS, german: german::TEXTS, korean: korean::TEXTS }
    }
}

impl Languages {
    pub(super) fn of(&self, language: Language) -> &Texts {
        match language {
            Language::English => &self.english,
            Language::German => &self.german,
            Language::Korean => &self.korean,
        }
    }

    /// Replaces the text of a key in one language. It need not have all placeholders of the built-in text.
    pub fn replace(
        &mut self,
        language: Language,
        key: &str,
        text: String,
    ) -> Result<(), ReplaceError> {
        let built_in = english::BUILT_IN.iter().find(|(known, _)| *known == key);
        let known: Vec<_> = built_in.into_iter().flat_map(|(_, text)| placeholders(text)).collect();
        if let Some(name) = placeholders(&text).find(|name| !known.contains(name)) {
            return Err(ReplaceError::UnknownPlaceholder { name: name.to_owned(), known });
        }
        let texts = match language {
            Language::English => &mut self.english,
            Language::German => &mut self.german,
            Language::Korean => &mut self.korean,
        };
        *texts.get_mut(key).ok_or(ReplaceError::UnknownKey)? = text.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::pages::texts::fill;

    #[test]
    fn text_exists_in_each_language_with_the_same_placeholders() {
        for language in [Language::German, Language::Korean] {
            for (key, english) in Language::English.built_in() {
                let (_, text) = language
                    .built_in()
                    .iter()
                    .find(|(known, _)| known == key)
                    .unwrap_or_else(|| panic!("{key} is missing in {language:?}"));
                assert!(!text.trim().is_empty(), "{key} is empty in {language:?}");
                assert_ne!(text, english, "{key} is not translated in {language:?}");
                let names = |text| placeholders(text).collect::<BTreeSet<_>>();
                assert_eq!(names(text), names(english), "{key} in {language:?}");
            }
        }
    }

    #[test]
    fn text_has_no_double_blanks_and_no_lone_brace() {
        for language in Language::ALL {
            for (key, text) in language.built_in() {
                assert!(!text.contains("  ") && *text == text.trim(), "{key}: {text}");
                assert_eq!(
                    text.matches(['{', '}']).count(),
                    placeholders(text).count() * 2,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn replaced_text_may_have_the_placeholders_of_the_built_in_text_only() {
        let mut languages = Languages::default();
        let mut replace =
            |key, text: &str| languages.replace(Language::German, key, text.to_owned());
        assert_eq!(replace("sign_in_with", "Weiter mit {provider}"), Ok(()));
        assert_eq!(replace("sign_in_title", "Willkommen { }"), Ok(()));
        assert_eq!(replace("sign_in_titel", "Willkommen"), Err(ReplaceError::UnknownKey));
        let error = replace("sign_in_with", "{name} {provider}").unwrap_err();
        let known = vec!["provider"];
        assert_eq!(error, ReplaceError::UnknownPlaceholder { name: "name".into(), known });
        assert_eq!(languages.of(Language::German).sign_in_with, "Weiter mit {provider}");
        assert_eq!(languages.of(Language::German).sign_in_title, "Willkommen { }");
        assert_eq!(languages.of(Language::English).sign_in_title, "Sign in");
    }

    #[test]
    fn no_text_names_a_configuration_key() {
        for language in Language::ALL {
            for (key, text) in language.built_in() {
                let shown = fill(text, &[]);
                let is_dotted = shown.as_bytes().windows(3).any(|three| {
                    matches!(three, [a, b'.', c] if a.is_ascii_lowercase() && c.is_ascii_lowercase())
                });
                assert!(!is_dotted && !shown.contains('_'), "{key}: {text}");
            }
        }
    }
}
