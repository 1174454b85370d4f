//! The command line: one file per command.

pub mod check;
pub mod keygen;
pub mod schema;
