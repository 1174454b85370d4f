//! `schema`: prints the JSON Schema of the configuration.

use std::io::{self, Write};

use crate::config::schema;

/// Prints the schema, and returns the exit code.
pub(super) fn run(out: &mut dyn Write) -> io::Result<u8> {
    writeln!(out, "{:#}", schema())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_is_json() {
        let mut out = Vec::new();
        assert_eq!(run(&mut out).unwrap(), 0);
        let schema: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(schema["type"], "object");
    }
}
