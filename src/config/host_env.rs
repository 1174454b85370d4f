//! Files, environment variables and the time of loading.
//! Invariant: nothing else in this room reads them, so tests can replace them by maps.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::clock::{Clock, UnixTime};
use crate::config::invalid::Invalid;

/// Maximum size of a file that a configuration names, so that a device or a log file does not fill the memory.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Default locations of the configuration file, in this order.
const PLACES: [&str; 2] = ["portcullis.yaml", "/etc/portcullis/portcullis.yaml"];

/// Reason why a file cannot be read, to be read after its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It does not exist.
    #[error("does not exist")]
    Missing,
    /// Its permissions, or those of a parent folder, do not allow it.
    #[error("is not readable by this user (permission denied)")]
    PermissionDenied,
    /// It is a folder.
    #[error("is a folder")]
    Folder,
    /// It is too long, such as a device or a log file.
    #[error("is larger than 16 MiB")]
    TooLong,
    /// Another error of the system.
    #[error("cannot be read: {0}")]
    Other(String),
}

impl ReadError {
    /// What to do, if that is known.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::PermissionDenied => {
                Some("allow this user to read the file and its folders, with `chmod` or `chgrp`")
            }
            Self::Missing | Self::Folder | Self::TooLong | Self::Other(_) => None,
        }
    }

    /// Adds what to do.
    pub(super) fn with_remedy(&self, invalid: Invalid) -> Invalid {
        match self.remedy() {
            Some(remedy) => invalid.hint(remedy),
            None => invalid,
        }
    }
}

/// Source of files, environment variables and the time.
#[derive(Clone, Debug)]
pub struct HostEnv(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Fixed { files: HashMap<PathBuf, Vec<u8>>, variables: HashMap<String, String> },
}

impl HostEnv {
    /// The file system of this machine and the environment of this process.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// Only these files and variables.
    pub fn fixed(
        files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self(Kind::Fixed {
            files: files.into_iter().collect(),
            variables: variables.into_iter().collect(),
        })
    }

    /// Returns the file in a default location, if there is one.
    pub(super) fn default_file(&self) -> Option<PathBuf> {
        PLACES.map(PathBuf::from).into_iter().find(|place| self.exists(place))
    }

    /// Returns the configuration file if no other is given: the one in a default location, else the first of these.
    pub(super) fn default_or_first_file(&self) -> PathBuf {
        let [first, _] = PLACES;
        self.default_file().unwrap_or_else(|| first.into())
    }

    /// Returns the configuration file that `PORTCULLIS_CONFIG` names.
    pub(super) fn named_file(&self) -> Option<PathBuf> {
        self.raw_variable("PORTCULLIS_CONFIG").map(PathBuf::from)
    }

    /// Reads a file.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        match &self.0 {
            Kind::System => read_bounded(path),
            Kind::Fixed { files, .. } => {
                files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        }
        .map_err(ReadError::from)
    }

    /// Returns the wall-clock time; with fixed files, the beginning of 2026.
    pub(super) fn now(&self) -> UnixTime {
        match &self.0 {
            Kind::System => Clock::system().unix(),
            Kind::Fixed { .. } => UnixTime(1_767_225_600),
        }
    }

    /// Returns an environment variable that is set and is UTF-8.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.read_variable(name)?.into_string().ok()
    }

    /// Returns an environment variable that is not empty. It can have any bytes.
    pub(super) fn raw_variable(&self, name: &str) -> Option<OsString> {
        self.read_variable(name).filter(|value| !value.is_empty())
    }

    #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    fn read_variable(&self, name: &str) -> Option<OsString> {
        match &self.0 {
            Kind::System => std::env::var_os(name),
            Kind::Fixed { variables, .. } => variables.get(name).map(OsString::from),
        }
    }

    /// Returns the names of the environment variables that begin with a prefix, sorted.
    pub(super) fn variables_below(&self, prefix: &str) -> Vec<String> {
        let all: Vec<String> = match &self.0 {
            Kind::System => {
                std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
            }
            Kind::Fixed { variables, .. } => variables.keys().cloned().collect(),
        };
        let mut names: Vec<_> = all.into_iter().filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        match &self.0 {
            Kind::System => path.exists(),
            Kind::Fixed { files, .. } => files.contains_key(path),
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read > MOST_BYTES) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, IsADirectory, NotFound};
        let known = [
            (NotFound, Self::Missing),
            (io::ErrorKind::PermissionDenied, Self::PermissionDenied),
            (IsADirectory, Self::Folder),
            (FileTooLarge, Self::TooLong),
        ];
        match known.into_iter().find(|(kind, _)| *kind == error.kind()) {
            Some((_, error)) => error,
            None => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_device_and_folder_are_read_errors() {
        let error = HostEnv::system().read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error, ReadError::TooLong);
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let denied = ReadError::from(error);
        assert_eq!(denied, ReadError::PermissionDenied);
        let invalid = denied.with_remedy(Invalid::new(format!("uses the file a, which {denied}")));
        assert!(invalid.hint_for(None).is_some_and(|hint| hint.contains("chmod")));
        let error = HostEnv::system().read(Path::new("/")).unwrap_err();
        assert_eq!(error, ReadError::Folder);
    }
}
