//! `provider`: prints what to register and to paste for a kind of provider.

use std::io::{self, Write};

use crate::config::{provider_guide, provider_kinds};

/// Prints the guide, or the list of all kinds, and returns the exit code.
pub(super) fn run(guide: Option<&str>, out: &mut dyn Write) -> io::Result<u8> {
    match guide {
        Some(guide) => write!(out, "{guide}")?,
        None => {
            for (kind, name) in provider_kinds() {
                writeln!(out, "{kind:<10} {name}")?;
            }
        }
    }
    Ok(0)
}

/// Parses the argument of the command.
pub(super) fn guide(kind: &str) -> Result<String, String> {
    provider_guide(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_without_an_argument() {
        let mut out = Vec::new();
        assert_eq!(run(None, &mut out).unwrap(), 0);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("oidc       any OpenID Connect provider\n")
                && text.contains("github     GitHub\n"),
            "{text}"
        );
    }
}
