//! `schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write};

use crate::config::schema;

/// Prints it and returns the exit code.
pub fn run(out: &mut dyn Write) -> io::Result<u8> {
    writeln!(out, "{:#}", schema())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_json() {
        let mut out = Vec::new();
        assert_eq!(run(&mut out).unwrap(), 0);
        let schema: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(schema["type"], "object");
    }
}
