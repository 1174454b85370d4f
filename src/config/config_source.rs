//! Where a configuration is written: in a file, or in flags.

use std::fmt;
use std::path::{Path, PathBuf};

use super::diagnostics::Diagnostics;
use super::flag_words::{in_flags, misspelt};
use super::flags::{Flags, flag_of};
use super::host_env::HostEnv;
use super::problem::{KeyPath, Problem, Problems, Severity};
use super::{Config, line, load, read_tree};

/// Where a configuration is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// In this file.
    File(PathBuf),
    /// In the command, or in the variables of its flags.
    Flags(Box<Flags>),
}

/// Why it cannot be said where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceConflict {
    /// A file, and what would stand in its place.
    #[error("{by} names a configuration file, and {} would stand in its place: leave out either", in_its_place.join(", "))]
    Twice {
        /// The flag or variable that names the file.
        by: &'static str,
        /// The flags and variables.
        in_its_place: Vec<String>,
    },
    /// Everybody, and somebody.
    #[error(
        "--allow-authenticated lets in whoever can sign in: leave it out, or --allow-email-domain, \
         --allow-email and --allow-group"
    )]
    Contradiction,
    /// A file whose name would end in the middle.
    #[error(
        "--client-secret-file (PORTCULLIS_CLIENT_SECRET_FILE) takes no name with `}}` or `${{` in it: \
         give the file another name"
    )]
    SecretFile,
}

impl ConfigSource {
    /// The flags, where they say something; else the file that is given, or wherever it is looked for.
    pub fn find(
        file: Option<&Path>,
        flags: Flags,
        source: &HostEnv,
    ) -> Result<Self, SourceConflict> {
        let Some(flags) = flags.said() else {
            return Ok(Self::File(source.configuration_file(file)));
        };
        if file.is_some() || source.named_file().is_some() {
            let by = if file.is_some() { "--config" } else { "PORTCULLIS_CONFIG" };
            return Err(SourceConflict::Twice { by, in_its_place: flags.said_in(source) });
        }
        if flags.contradict() {
            return Err(SourceConflict::Contradiction);
        }
        if !flags.secret_file_is_readable() {
            return Err(SourceConflict::SecretFile);
        }
        Ok(Self::Flags(Box::new(flags)))
    }

    /// Reads it: the result with its warnings, or all that is wrong with it.
    pub fn load(&self, source: &HostEnv) -> Result<(Config, Vec<Problem>), Problems> {
        match self {
            // Without a file, flags were meant.
            Self::File(file) if !source.exists(file) => {
                load(file, source).map_err(|Problems(all)| beside(misspelt(source), all))
            }
            Self::File(file) => load(file, source),
            Self::Flags(flags) => {
                let diagnostics = Diagnostics::new(source, Path::new(""));
                let read =
                    read_tree(&flags.tree(), diagnostics, |path| (flag_of(path).into(), None));
                let first: Vec<_> =
                    unread(flags, source).into_iter().chain(misspelt(source)).collect();
                let told =
                    |all: Vec<Problem>| beside(first, all.into_iter().map(in_flags).collect());
                match read {
                    Ok((config, warnings)) => Ok((config, told(warnings).0)),
                    Err(Problems(all)) => Err(told(all)),
                }
            }
        }
    }

    /// Where a key of what was loaded is written, and on which line: for what is found out later.
    pub fn place(&self, source: &HostEnv, keys: &[&str]) -> (KeyPath, PathBuf, Option<usize>) {
        let path = keys.iter().fold(KeyPath::default(), |path, key| path.key(key));
        let (file, line) = match self {
            Self::File(file) => (file.clone(), line(file, source, &path)),
            Self::Flags(_) => (flag_of(&path).into(), None),
        };
        (path, file, line)
    }
}

fn beside(first: Vec<Problem>, then: Vec<Problem>) -> Problems {
    Problems(first.into_iter().chain(then).collect())
}

/// A file that would be read, were it not for a flag or a variable: few remember each that is set.
fn unread(flags: &Flags, source: &HostEnv) -> Option<Problem> {
    let file = source.default_file()?;
    let message = format!("is not read, because of {}", flags.said_in(source).join(", "));
    let hint = "flags and PORTCULLIS_… variables stand in place of a file, not beside it: leave them out \
                if it is the file that counts";
    let (severity, path, hint) = (Severity::Warning, KeyPath::default(), Some(hint.to_owned()));
    Some(Problem { severity, file, line: None, path, message, hint })
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Flags(_) => f.write_str("the configuration in flags"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        flags: Flags,
    }

    fn source(config: &str) -> HostEnv {
        let files = [(PathBuf::from("/run/secret"), b"s3cr3t\n".to_vec())];
        HostEnv::fixed(files, [("PORTCULLIS_CONFIG".to_owned(), config.to_owned())])
    }

    fn find(file: Option<&str>, config: &str, flags: &str) -> Result<ConfigSource, SourceConflict> {
        let arguments = ["run"].into_iter().chain(flags.split_whitespace());
        let flags = Arguments::try_parse_from(arguments).unwrap().flags;
        ConfigSource::find(file.map(Path::new), flags, &source(config))
    }

    fn told(flags: &str) -> Vec<String> {
        let Problems(problems) = find(None, "", flags).unwrap().load(&source("")).unwrap_err();
        problems.iter().map(Problem::to_string).collect()
    }

    const ALL: &str = "--public-url https://app.example --listen 0.0.0.0:80 --admin-listen off \
        --issuer https://id.example/realm --client-id $app --client-secret-file /run/secret \
        --upstream http://127.0.0.1:8080 --allow-email-domain a.example,b.example \
        --allow-email-domain c.example --allow-email ada@d.example --allow-group staff";

    #[test]
    fn flags_say_what_a_file_would() {
        let file = "
server: { public_url: https://app.example, listen: 0.0.0.0:80 }
admin: { listen: off }
providers:
  provider:
    name: id.example
    issuer: https://id.example/realm
    client_id: $$app
    client_secret: ${file:/run/secret}
routes:
  - upstream: http://127.0.0.1:8080
    allow:
      - email_domains: [a.example, b.example, c.example]
      - emails: [ada@d.example]
      - groups: [staff]
";
        let files = [("file.yaml", file), ("/run/secret", "s3cr3t\n")];
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let by_file = load(Path::new("file.yaml"), &HostEnv::fixed(files, [])).unwrap();
        let by_flags = find(None, "", ALL).unwrap().load(&source("")).unwrap();
        assert_eq!(format!("{by_flags:?}"), format!("{by_file:?}"));
        assert_eq!(by_flags.0.providers[0].client_id, "$app");
        assert_eq!(by_flags.0.files, [Path::new("/run/secret")]);
    }

    #[test]
    fn without_an_upstream_other_proxies_ask() {
        let flags = ALL.replace("--upstream http://127.0.0.1:8080", "");
        let (config, _) = find(None, "", &flags).unwrap().load(&source("")).unwrap();
        assert!(config.routes[0].upstream.is_none());
    }

    #[test]
    fn what_is_wrong_is_told_by_its_flag() {
        let told = told("--upstream wiki:8080 --client-secret-file /none --allow-email ada");
        let begin = [
            "--public-url: error: server.public_url: is required",
            "--issuer: error: providers.provider.issuer: is required",
            "--client-id: error: providers.provider.client_id: is required",
            "--client-secret-file: error: providers.provider.client_secret: needs the file /none, which does",
            "--upstream: error: routes[0].upstream: \"wiki:8080\" has no scheme",
            "--allow-email: error: routes[0].allow[0].emails[0]: \"ada\"",
        ];
        assert_eq!(told.len(), begin.len(), "{told:#?}");
        for begin in begin {
            assert!(told.iter().any(|told| told.starts_with(begin)), "{begin}: {told:#?}");
        }
    }

    #[test]
    fn nobody_passes_unless_a_flag_says_so() {
        let (flags, _) = ALL.split_once("--allow-email-domain").unwrap();
        let told = told(flags);
        assert!(told[0].starts_with("--allow-email-domain, --allow-email, "), "{told:#?}");
        assert!(told[0].contains("nobody passes unless a rule says so"), "{told:#?}");
    }

    #[test]
    fn flags_stand_in_place_of_a_file_not_beside_it() {
        let file = |name: &str| Ok(ConfigSource::File(name.into()));
        assert_eq!(find(None, "", ""), file("portcullis.yaml"));
        assert_eq!(find(Some("a.yaml"), "b.yaml", ""), file("a.yaml"));
        assert_eq!(find(None, "b.yaml", "--upstream= --allow-group="), file("b.yaml"));
        let said = |unclear: Result<ConfigSource, SourceConflict>| unclear.unwrap_err().to_string();
        let both = said(find(Some("a.yaml"), "", "--issuer a --allow-group b,c"));
        assert!(
            both.starts_with("--config names a configuration file, and --issuer, --allow-group "),
            "{both}"
        );
        let both = said(find(None, "b.yaml", "--listen 0.0.0.0:80"));
        assert!(
            both.starts_with("PORTCULLIS_CONFIG names a configuration file, and --listen "),
            "{both}"
        );
        let everybody = format!("{ALL} --allow-authenticated");
        assert_eq!(find(None, "", &everybody), Err(SourceConflict::Contradiction));
        assert!(matches!(find(None, "", "--allow-authenticated"), Ok(ConfigSource::Flags(_))));
    }

    #[test]
    fn a_file_that_is_not_read_is_told_with_the_variable_that_did_it() {
        let files = [(PathBuf::from("/etc/portcullis/portcullis.yaml"), Vec::new())];
        let variables = [("PORTCULLIS_LISTEN", "a:1"), ("PORTCULLIS_UPSTREAM", "http://other:1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let source = HostEnv::fixed(files, variables);
        let arguments =
            ["run", "--listen", "a:1", "--upstream", "http://a:1", "--allow-authenticated"];
        let flags = Arguments::try_parse_from(arguments).unwrap().flags;
        let written = ConfigSource::find(None, flags, &source).unwrap();
        let Problems(problems) = written.load(&source).unwrap_err();
        let told = problems[0].to_string();
        let begin = "/etc/portcullis/portcullis.yaml: warning: is not read, because of PORTCULLIS_LISTEN, \
                     --upstream, --allow-authenticated\n";
        assert!(told.starts_with(begin), "{told}");
    }

    #[test]
    fn hints_are_in_the_words_of_flags() {
        let none = told("--admin-listen off");
        for add in [
            "--public-url h",
            "--issuer h",
            "--client-id I",
            "--client-secret-file /",
            "--allow-group s",
        ] {
            assert!(none.iter().any(|told| told.contains(add)), "{add}: {none:#?}");
        }
        let invalid = told(
            "--public-url http://a.example --listen a:1,b:1 --issuer http://b.example \
             --allow-email @a.example --allow-email-domain *",
        );
        for said in none.iter().chain(&invalid) {
            for key in ["`allow:", "`client_secret", "`email", "[one", "`public_url", "`token"] {
                assert!(!said.contains(key), "{key}: {said}");
            }
        }
        assert!(
            invalid.iter().any(|told| told.contains("a flag takes one of them")),
            "{invalid:#?}"
        );
        assert!(
            invalid.iter().any(|told| told.contains("say --allow-authenticated")),
            "{invalid:#?}"
        );
    }

    #[test]
    fn lists_may_have_blanks_around_their_commas() {
        let arguments = ["run", "--allow-email-domain", " a.example, b.example ,"];
        let flags = Arguments::try_parse_from(arguments).unwrap().flags;
        let one = ConfigSource::find(None, flags, &source("")).unwrap();
        let other = find(None, "", "--allow-email-domain a.example,b.example").unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn a_variable_that_is_nearly_ours_is_told() {
        let set = [
            "PORTCULLIS_ALLOW_GROUPS",
            "PORTCULLIS_ADMIN_LISTN",
            "PORTCULLIS_CLIENT_SECRET",
            "PORTCULLIS_CONFIG",
            "PORTCULLIS_PORT",
            "PORTCULLIS_PORT_4180_TCP",
            "PORTCULLIS_SERVICE_HOST",
            "PORTCULLIS_UPSTREAM",
        ];
        let source = HostEnv::fixed([], set.map(|name| (name.to_owned(), String::new())));
        let told: Vec<_> = misspelt(&source).iter().map(Problem::to_string).collect();
        let expected = [
            ("ADMIN_LISTN", "ADMIN_LISTEN"),
            ("ALLOW_GROUPS", "ALLOW_GROUP"),
            ("CLIENT_SECRET", "CLIENT_SECRET_FILE"),
        ];
        let expected = expected.map(|(name, meant)| {
            format!("PORTCULLIS_{name}: warning: is no variable of ours\n  hint: did you mean PORTCULLIS_{meant}?")
        });
        assert_eq!(told, expected);
        let Problems(all) = ConfigSource::File("none.yaml".into()).load(&source).unwrap_err();
        assert_eq!(all.len(), 4, "{all:?}");
    }

    #[test]
    fn a_secret_is_read_from_the_file_that_is_named_or_from_none() {
        for name in ["/run/a}b", "/run/${HOME}", "}"] {
            let flags = format!("--client-secret-file {name}");
            assert_eq!(find(None, "", &flags), Err(SourceConflict::SecretFile), "{name}");
        }
        let told = told("--client-secret-file /run/$a{b");
        assert!(told.iter().any(|told| told.contains("needs the file /run/$a{b, ")), "{told:#?}");
    }
}
