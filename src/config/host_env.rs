//! Disk, environment and the time of reading: the only reader of these. Everyone else is handed a
//! `HostEnv`, so that tests feed a map.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::clock::{Clock, UnixTime};

/// No file that a configuration names is longer; a device or a log by mistake must not fill memory.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Where configurations are looked for, in this order.
const PLACES: [&str; 2] = ["portcullis.yaml", "/etc/portcullis/portcullis.yaml"];

/// Why a file has no content, as the rest of a sentence that begins with its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("does not exist")]
    Missing,
    /// Its permissions, or those of a folder above it.
    #[error("may not be read by this user")]
    Forbidden,
    /// It is no file.
    #[error("is a folder")]
    Folder,
    /// It is a device or a log by mistake.
    #[error("is longer than 16 MiB")]
    TooLong,
    /// Whatever else the system says.
    #[error("cannot be read: {0}")]
    Other(String),
}

/// Where files, environment variables and the time come from.
#[derive(Clone, Debug)]
pub struct HostEnv(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Fixed { files: HashMap<PathBuf, Vec<u8>>, variables: HashMap<String, String> },
}

impl HostEnv {
    /// This machine's disk, this process's environment.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// These files and variables and no others.
    pub fn fixed(
        files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self(Kind::Fixed {
            files: files.into_iter().collect(),
            variables: variables.into_iter().collect(),
        })
    }

    /// The configuration file: the one given, else `PORTCULLIS_CONFIG`, else the first of
    /// `portcullis.yaml` and `/etc/portcullis/portcullis.yaml` that exists, else the first of them.
    pub fn configuration_file(&self, given: Option<&Path>) -> PathBuf {
        if let Some(file) = given.map(Path::to_owned).or_else(|| self.named_file()) {
            return file;
        }
        let [first, _] = PLACES;
        self.default_file().unwrap_or_else(|| first.into())
    }

    /// The configuration file that is read where nobody names one.
    pub(super) fn default_file(&self) -> Option<PathBuf> {
        PLACES.map(PathBuf::from).into_iter().find(|place| self.exists(place))
    }

    /// The configuration file that `PORTCULLIS_CONFIG` names.
    pub(super) fn named_file(&self) -> Option<PathBuf> {
        self.variable("PORTCULLIS_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from)
    }

    /// Where the admin listener of this environment is, if a variable says so.
    pub fn admin_listen(&self) -> Option<String> {
        self.variable("PORTCULLIS_ADMIN_LISTEN").filter(|address| !address.is_empty())
    }

    /// A file's content.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        match &self.0 {
            Kind::System => read_bounded(path),
            Kind::Fixed { files, .. } => {
                files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        }
        .map_err(ReadError::from)
    }

    /// The wall-clock time; on a fixed source, the beginning of 2026.
    pub(super) fn now(&self) -> UnixTime {
        match &self.0 {
            Kind::System => Clock::system().unix(),
            Kind::Fixed { .. } => UnixTime(1_767_225_600),
        }
    }

    /// An environment variable that is set and is UTF-8.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match &self.0 {
            Kind::System => std::env::var(name).ok(),
            Kind::Fixed { variables, .. } => variables.get(name).cloned(),
        }
    }

    /// The environment variables whose names begin so, in order.
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
        use io::ErrorKind::{FileTooLarge, IsADirectory, NotFound, PermissionDenied};
        let known = [
            (NotFound, Self::Missing),
            (PermissionDenied, Self::Forbidden),
            (IsADirectory, Self::Folder),
            (FileTooLarge, Self::TooLong),
        ];
        match known.into_iter().find(|(kind, _)| *kind == error.kind()) {
            Some((_, unread)) => unread,
            None => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: Option<&str>, variable: &str, file: &str, expected: &str) {
        let source = HostEnv::fixed(
            [(PathBuf::from(file), Vec::new())],
            [("PORTCULLIS_CONFIG".to_owned(), variable.to_owned())],
        );
        assert_eq!(source.configuration_file(given.map(Path::new)), Path::new(expected));
    }

    #[test]
    fn the_nearest_word_on_the_configuration_file_wins() {
        check(Some("a.yaml"), "b.yaml", "portcullis.yaml", "a.yaml");
        check(None, "b.yaml", "portcullis.yaml", "b.yaml");
        check(None, "", "portcullis.yaml", "portcullis.yaml");
        let etc = "/etc/portcullis/portcullis.yaml";
        check(None, "", etc, etc);
        check(None, "", "other.yaml", "portcullis.yaml");
    }

    #[test]
    fn a_device_without_end_is_not_read_to_its_end() {
        let error = HostEnv::system().read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error, ReadError::TooLong);
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(ReadError::from(error), ReadError::Forbidden);
        let error = HostEnv::system().read(Path::new("/")).unwrap_err();
        assert_eq!(error, ReadError::Folder);
    }
}
