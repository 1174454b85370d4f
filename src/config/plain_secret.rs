//! Warnings about secrets in plain text, and about values that were probably meant as a reference.

use crate::config::interpolate::{self, TextPart};
use crate::config::invalid::Invalid;

/// Secrets of our example files, and common placeholders.
const SAMPLES: [&str; 8] = [
    "00000000000000000000000000000000000000000000",
    "change-me",
    "changeme",
    "change_me",
    "secret",
    "client-secret",
    "client_secret",
    "your-client-secret",
];

/// Whether a secret is publicly known.
pub(super) fn is_sample(secret: &str) -> bool {
    SAMPLES.iter().any(|sample| sample.eq_ignore_ascii_case(secret.trim()))
}

/// Warning for a known example secret, wherever it comes from.
pub(super) fn sample() -> Invalid {
    Invalid::new("is an example secret, which is publicly known")
        .hint("for `client_secret`, use the one from the provider; for `session.secret`, run `portcullis keygen`")
}

/// Returns a secret without the byte order mark that some editors write into a file.
pub(super) fn without_mark(secret: &str) -> &str {
    secret.strip_prefix(MARK).unwrap_or(secret)
}

/// Returns a warning for each thing that was probably copied with a secret and does not belong to it.
pub(super) fn copied_with(secret: &str) -> Vec<Invalid> {
    let text = without_mark(secret);
    let is_wrapped =
        |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    let found = [
        (
            secret.starts_with(MARK),
            "begins with a byte order mark, which is removed",
            "save its file as UTF-8 without a byte order mark",
        ),
        (
            text.trim() != text && !text.trim().is_empty(),
            "begins or ends with a space, which is used as a part of it",
            "remove the space from its file or variable, unless the secret has it",
        ),
        (
            ['"', '\''].into_iter().any(is_wrapped),
            "is in quotes, which are used as a part of it",
            "remove the quotes from its file or variable, unless the secret has them",
        ),
    ];
    let warnings = found.into_iter().filter(|(is_found, _, _)| *is_found);
    warnings.map(|(_, what, hint)| Invalid::new(what).hint(hint)).collect()
}

/// A byte order mark (U+FEFF).
const MARK: char = '\u{feff}';

/// Returns the warning for a secret as it is written in the file, if there is one. `is_set` says whether an
/// environment variable has a value.
pub(super) fn doubtful(text: &str, is_set: impl Fn(&str) -> bool) -> Option<Invalid> {
    if text.contains("${") {
        let pieces = interpolate::parse(text).ok()?;
        let defaults = pieces.into_iter().find_map(|piece| match piece {
            // A known example secret has another warning.
            TextPart::Variable { name, default: Some(default) }
                if !is_set(&name) && !is_sample(&default) =>
            {
                Some(name)
            }
            TextPart::Variable { .. } | TextPart::Text(_) | TextPart::File(_) => None,
        });
        return defaults.map(|name| {
            Invalid::new(format!(
                "is the default from the configuration because {name} is not set: everyone who can read that knows it"
            ))
            .hint(format!("set {name}, and write ${{{name}}} without a default"))
        });
    }
    if is_sample(text) {
        return None;
    }
    Some(if is_bare_variable(text) {
        Invalid::new("is used literally, not as the name of a variable")
            .hint("write ${NAME} for an environment variable; for a dollar sign, write $$")
    } else if is_file_name(text) {
        Invalid::new("is used literally, not as the name of a file")
            .hint("write ${file:PATH} to read the value from a file")
    } else {
        // It is copied with the file into repositories, backups, chats.
        Invalid::new("secret is stored in plain text")
            .hint("read it from a file with ${file:/run/secrets/NAME}, or from the environment with ${NAME}")
    })
}

/// Whether a value is a variable in the syntax of a shell or of Caddy: `$NAME`, `{$NAME}`, `{env.NAME}`.
fn is_bare_variable(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let name = inner.and_then(|inner| inner.strip_prefix("env."));
    let name = name.or_else(|| inner.unwrap_or(text).strip_prefix('$')).unwrap_or_default();
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_name)
}

/// Whether a value looks like the path of a file with a secret.
fn is_file_name(text: &str) -> bool {
    let starts = ["file:", "/run/", "/etc/", "/var/", "./", "../", "~/"];
    starts.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_full_file_are_known_examples() {
        let samples: Vec<&str> = include_str!("../../config/full.yaml")
            .lines()
            .filter_map(|line| line.split_once("_SECRET:-")?.1.split_once('}'))
            .map(|(secret, _)| secret)
            .collect();
        assert_eq!(samples.len(), 2, "{samples:?}");
        assert!(samples.iter().all(|secret| is_sample(secret)), "{samples:?}");
        assert!(!is_sample("VQxR3mPz8k") && is_sample("Change-Me "));
    }

    #[test]
    fn variable_in_another_syntax_is_recognized() {
        for text in ["$SECRET", "{$CLIENT_SECRET_2}", "{env.SECRET}"] {
            assert!(is_bare_variable(text), "{text}");
        }
        for text in ["${SECRET}", "$", "{$}", "{SECRET}", "$ecret", "env.SECRET"] {
            assert!(!is_bare_variable(text), "{text}");
        }
    }

    #[test]
    fn default_of_an_unset_variable_has_a_warning() {
        let is_set = |name: &str| name == "SET";
        assert!(doubtful("${UNSET:-hunter2}", is_set).is_some());
        for good in ["${UNSET:-change-me}", "${SET:-hunter2}", "${UNSET}", "${file:/run/secret}"] {
            assert_eq!(doubtful(good, is_set).map(|invalid| invalid.what), None, "{good}");
        }
    }
}
