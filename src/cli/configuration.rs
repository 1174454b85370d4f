//! Arguments for the configuration of a command: a file, or flags. The variable with the whole YAML has none.

use std::io;
use std::path::PathBuf;

use crate::cli::{USAGE_ERROR, complain};
use crate::config::{ConfigSource, Flags, HostEnv};

/// Arguments for the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Configuration {
    /// Configuration file. PORTCULLIS_CONFIG_TEXT can contain the whole YAML instead [default: PORTCULLIS_CONFIG, or
    /// portcullis.yaml, or /etc/portcullis/portcullis.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

impl Configuration {
    /// Finds the configuration and runs `command` with it, unless sources conflict.
    pub(super) fn find(
        self,
        source: &HostEnv,
        command: impl FnOnce(&ConfigSource) -> io::Result<u8>,
    ) -> io::Result<u8> {
        match ConfigSource::find(self.config.as_deref(), self.flags, source) {
            Ok(written) => command(&written),
            Err(conflict) => {
                complain(&format!("portcullis: {conflict}"));
                Ok(USAGE_ERROR)
            }
        }
    }
}
