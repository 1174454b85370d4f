//! `keygen`: prints a new secret for `session.secret`.

use std::io::{self, Write};

use crate::random;

/// Prints 256 random bits as text, and returns the exit code.
pub(super) fn run(out: &mut dyn Write) -> io::Result<u8> {
    writeln!(out, "{}", random::text::<32>())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_different() {
        let draw = || {
            let mut out = Vec::new();
            assert_eq!(run(&mut out).unwrap(), 0);
            String::from_utf8(out).unwrap()
        };
        let (one, other) = (draw(), draw());
        assert_eq!(one.trim_end().len(), 43);
        assert_ne!(one, other);
    }
}
