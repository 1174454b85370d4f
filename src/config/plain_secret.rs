//! A secret that stands in the file itself, and what its author more likely meant.

use crate::config::interpolate::{self, TextPart};
use crate::config::invalid::Invalid;

/// Secrets of the files that come with the gateway, and what people write in place of one.
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

/// Whether a secret is one that everybody knows.
pub(super) fn is_sample(secret: &str) -> bool {
    SAMPLES.iter().any(|sample| sample.eq_ignore_ascii_case(secret.trim()))
}

/// What is to be said of a sample's secret, wherever it came from.
pub(super) fn sample() -> Invalid {
    Invalid::new("is the secret of a sample, which everybody knows")
        .hint("take the provider's for `client_secret`; `portcullis keygen` makes one for `session.secret`")
}

/// What is to be said of a secret as it is written; `None` for one that comes from elsewhere. `is_set` tells
/// whether a variable of the environment has a value.
pub(super) fn doubtful(text: &str, is_set: impl Fn(&str) -> bool) -> Option<Invalid> {
    if text.contains("${") {
        let pieces = interpolate::parse(text).ok()?;
        let defaults = pieces.into_iter().find_map(|piece| match piece {
            // Of a sample's secret more is said where its value is known.
            TextPart::Variable { name, default: Some(default) }
                if !is_set(&name) && !is_sample(&default) =>
            {
                Some(name)
            }
            TextPart::Variable { .. } | TextPart::Text(_) | TextPart::File(_) => None,
        });
        return defaults.map(|name| {
            Invalid::new(format!(
                "is the default that stands in this file, as {name} is not set: whoever reads the file knows it"
            ))
            .hint(format!("set {name}, and write ${{{name}}} without a default"))
        });
    }
    if is_sample(text) {
        return None;
    }
    Some(if is_bare_variable(text) {
        Invalid::new("is taken as it stands: a `$` without braces stands for itself")
            .hint("write ${NAME} for a variable of the environment; $$ is a dollar")
    } else if is_file_name(text) {
        Invalid::new("is taken as it stands, not as the name of a file")
            .hint("write ${file:PATH} for what stands in a file")
    } else {
        // It goes wherever the file goes: a repository, a backup, a chat.
        Invalid::new("is a secret in plain sight of whoever reads this file")
            .hint("keep it elsewhere: ${file:/run/secrets/NAME}, or ${NAME} of the environment")
    })
}

/// Whether a text is what a shell would put a variable in for: `$CLIENT_SECRET`.
fn is_bare_variable(text: &str) -> bool {
    let name = text.strip_prefix('$').unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// Whether a text is where other programs would read a secret.
fn is_file_name(text: &str) -> bool {
    let starts = ["file:", "/run/", "/etc/", "/var/", "./", "../", "~/"];
    starts.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_sample_file_are_known_as_such() {
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
    fn default_of_a_variable_is_doubtful_where_it_is_taken() {
        let is_set = |name: &str| name == "SET";
        assert!(doubtful("${UNSET:-hunter2}", is_set).is_some());
        for good in ["${UNSET:-change-me}", "${SET:-hunter2}", "${UNSET}", "${file:/run/secret}"] {
            assert_eq!(doubtful(good, is_set).map(|invalid| invalid.what), None, "{good}");
        }
    }
}
