//! Which configuration a command is about: a file, or flags in place of one.

use std::io;
use std::path::PathBuf;

use crate::cli::{WRONG_USAGE, complain};
use crate::config::{ConfigSource, Flags, HostEnv};

/// The arguments that say so.
#[derive(Debug, clap::Args)]
pub(super) struct Configuration {
    /// The configuration; else PORTCULLIS_CONFIG, ./portcullis.yaml, /etc/portcullis/portcullis.yaml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

impl Configuration {
    /// What `command` makes of it, unless it cannot be said which one it is.
    pub(super) fn find(
        self,
        source: &HostEnv,
        command: impl FnOnce(&ConfigSource) -> io::Result<u8>,
    ) -> io::Result<u8> {
        match ConfigSource::find(self.config.as_deref(), self.flags, source) {
            Ok(written) => command(&written),
            Err(unclear) => {
                complain(&format!("portcullis: {unclear}"));
                Ok(WRONG_USAGE)
            }
        }
    }
}
