//! Disk and environment: the only reader of either. Everyone else is handed a `Source`, so that
//! tests feed a map.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// No file that a configuration names is longer; a device or a log by mistake must not fill memory.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Where configurations are looked for, in this order.
const PLACES: [&str; 2] = ["portcullis.yaml", "/etc/portcullis/portcullis.yaml"];

/// Where files and environment variables come from.
#[derive(Clone, Debug)]
pub struct Source(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Fixed { files: HashMap<PathBuf, Vec<u8>>, variables: HashMap<String, String> },
}

impl Source {
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
        let named = || self.variable("PORTCULLIS_CONFIG").filter(|name| !name.is_empty());
        if let Some(file) = given.map(Path::to_owned).or_else(|| named().map(PathBuf::from)) {
            return file;
        }
        let places = PLACES.map(PathBuf::from);
        let found = places.iter().find(|place| self.exists(place));
        found.or(places.first()).cloned().unwrap_or_default()
    }

    /// A file's content, or in a few words why there is none.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        match &self.0 {
            Kind::System => read_bounded(path),
            Kind::Fixed { files, .. } => {
                files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        }
        .map_err(|error| why(&error))
    }

    /// An environment variable that is set and is UTF-8.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match &self.0 {
            Kind::System => std::env::var(name).ok(),
            Kind::Fixed { variables, .. } => variables.get(name).cloned(),
        }
    }

    fn exists(&self, path: &Path) -> bool {
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

fn why(error: &io::Error) -> String {
    use io::ErrorKind::{FileTooLarge, IsADirectory, NotFound, PermissionDenied};
    let known = [
        (NotFound, "does not exist"),
        (PermissionDenied, "may not be read by this user"),
        (IsADirectory, "is a folder, not a file"),
        (FileTooLarge, "is longer than 16 MiB"),
    ];
    match known.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, words)) => (*words).to_owned(),
        None => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: Option<&str>, variable: &str, file: &str, expected: &str) {
        let source = Source::fixed(
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
        let error = Source::system().read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error, "is longer than 16 MiB");
        let error = Source::system().read(Path::new("/")).unwrap_err();
        assert_eq!(error, "is a folder, not a file");
    }
}
