//! Source of the configuration: a file, or flags.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::diagnostics::Diagnostics;
use crate::config::flag_words::{in_flags, misspelt};
use crate::config::flags::{Flags, flag_of};
use crate::config::host_env::HostEnv;
use crate::config::problem::{KeyPath, Problem, Problems, Severity};
use crate::config::{Config, line, load, read_tree};

/// Source of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// This file.
    File(PathBuf),
    /// Flags of the command, or their environment variables.
    Flags(Box<Flags>),
}

/// Conflict between sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceConflict {
    /// A file together with flags.
    #[error("{by} cannot be used together with {}: use either a configuration file or flags", flags.join(", "))]
    Twice {
        /// The flag or variable that names the file.
        by: &'static str,
        /// The flags and variables.
        flags: Vec<String>,
    },
    /// All signed-in users together with some of them.
    #[error(
        "--allow-authenticated allows every signed-in user, so it cannot be used together with \
         --allow-email-domain, --allow-email or --allow-group"
    )]
    Contradiction,
    /// A file name that `${file:…}` cannot contain.
    #[error(
        "--client-secret-file (PORTCULLIS_CLIENT_SECRET_FILE) does not support a file name with `}}` or `${{`: \
         rename the file"
    )]
    SecretFile,
}

impl ConfigSource {
    /// Returns the flags, if there are any; otherwise the file that is given, or the one in a default location.
    pub fn find(
        file: Option<&Path>,
        flags: Flags,
        source: &HostEnv,
    ) -> Result<Self, SourceConflict> {
        let flags = flags.given().filter(|flags| !flags.sources(source).is_empty());
        let Some(flags) = flags else {
            return Ok(Self::File(source.configuration_file(file)));
        };
        if file.is_some() || source.named_file().is_some() {
            let by = if file.is_some() { "--config" } else { "PORTCULLIS_CONFIG" };
            return Err(SourceConflict::Twice { by, flags: flags.sources(source) });
        }
        if flags.contradict() {
            return Err(SourceConflict::Contradiction);
        }
        if !flags.secret_file_is_readable() {
            return Err(SourceConflict::SecretFile);
        }
        Ok(Self::Flags(Box::new(flags)))
    }

    /// Loads the configuration; returns it with warnings, or all problems.
    pub fn load(&self, source: &HostEnv) -> Result<(Config, Vec<Problem>), Problems> {
        match self {
            // Without a file, flags may have been meant.
            Self::File(file) if !source.exists(file) => {
                load(file, source).map_err(|Problems(all)| joined(misspelt(source), all))
            }
            Self::File(file) => load(file, source),
            Self::Flags(flags) => {
                let diagnostics = Diagnostics::new(source, Path::new(""));
                let read =
                    read_tree(&flags.tree(), diagnostics, |path| (flag_of(path).into(), None));
                let first: Vec<_> =
                    ignored_file(flags, source).into_iter().chain(misspelt(source)).collect();
                let with_first =
                    |all: Vec<Problem>| joined(first, all.into_iter().map(in_flags).collect());
                match read {
                    Ok((config, warnings)) => Ok((config, with_first(warnings).0)),
                    Err(Problems(all)) => Err(with_first(all)),
                }
            }
        }
    }

    /// Returns the path, file and line of a key, for problems that are found after loading.
    pub fn place(&self, source: &HostEnv, keys: &[&str]) -> (KeyPath, PathBuf, Option<usize>) {
        let path = keys.iter().fold(KeyPath::default(), |path, key| path.key(key));
        let (file, line) = match self {
            Self::File(file) => (file.clone(), line(file, source, &path)),
            Self::Flags(_) => (flag_of(&path).into(), None),
        };
        (path, file, line)
    }
}

fn joined(first: Vec<Problem>, then: Vec<Problem>) -> Problems {
    Problems(first.into_iter().chain(then).collect())
}

/// Warns about a file in a default location that is ignored because of flags or their variables.
fn ignored_file(flags: &Flags, source: &HostEnv) -> Option<Problem> {
    let file = source.default_file()?;
    let message = format!("is ignored, because of {}", flags.sources(source).join(", "));
    let hint = "flags and PORTCULLIS_… variables replace the configuration file; to use the file, remove them";
    let (severity, path, hint) = (Severity::Warning, KeyPath::default(), Some(hint.to_owned()));
    Some(Problem { severity, file, line: None, path, message, hint })
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Flags(_) => f.write_str("the configuration in flags and environment variables"),
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

    fn problems_of(flags: &str) -> Vec<String> {
        let Problems(problems) = find(None, "", flags).unwrap().load(&source("")).unwrap_err();
        problems.iter().map(Problem::to_string).collect()
    }

    const ALL: &str = "--public-url https://app.example --listen 0.0.0.0:80 --admin-listen off \
        --issuer https://id.example/realm --client-id $app --client-secret-file /run/secret \
        --upstream http://127.0.0.1:8080 --allow-email-domain a.example,b.example \
        --allow-email-domain c.example --allow-email ada@d.example --allow-group staff";

    #[test]
    fn flags_give_the_same_configuration_as_a_file() {
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
    fn flags_without_an_upstream_are_for_forward_auth() {
        let flags = ALL.replace("--upstream http://127.0.0.1:8080", "");
        let (config, _) = find(None, "", &flags).unwrap().load(&source("")).unwrap();
        assert!(config.routes[0].upstream.is_none());
    }

    #[test]
    fn problems_name_the_flag() {
        let problems =
            problems_of("--upstream wiki:8080 --client-secret-file /none --allow-email ada");
        let begin = [
            "--public-url: error: server.public_url: is required",
            "--issuer: error: providers.provider.issuer: is required",
            "--client-id: error: providers.provider.client_id: is required",
            "--client-secret-file: error: providers.provider.client_secret: uses the file /none, which does",
            "--upstream: error: routes[0].upstream: \"wiki:8080\" has no scheme",
            "--allow-email: error: routes[0].allow[0].emails[0]: \"ada\"",
        ];
        assert_eq!(problems.len(), begin.len(), "{problems:#?}");
        for begin in begin {
            assert!(problems.iter().any(|it| it.starts_with(begin)), "{begin}: {problems:#?}");
        }
    }

    #[test]
    fn flags_without_a_rule_are_rejected() {
        let (flags, _) = ALL.split_once("--allow-email-domain").unwrap();
        let problems = problems_of(flags);
        assert!(problems[0].starts_with("--allow-email-domain, --allow-email, "), "{problems:#?}");
        assert!(problems[0].contains("every request would be denied"), "{problems:#?}");
    }

    #[test]
    fn flags_together_with_a_file_are_a_conflict() {
        let file = |name: &str| Ok(ConfigSource::File(name.into()));
        assert_eq!(find(None, "", ""), file("portcullis.yaml"));
        assert_eq!(find(Some("a.yaml"), "b.yaml", ""), file("a.yaml"));
        assert_eq!(find(None, "b.yaml", "--upstream= --allow-group="), file("b.yaml"));
        let message = |found: Result<ConfigSource, SourceConflict>| found.unwrap_err().to_string();
        let both = message(find(Some("a.yaml"), "", "--issuer a --allow-group b,c"));
        assert!(
            both.starts_with("--config cannot be used together with --issuer, --allow-group: "),
            "{both}"
        );
        let both = message(find(None, "b.yaml", "--listen 0.0.0.0:80"));
        assert!(
            both.starts_with("PORTCULLIS_CONFIG cannot be used together with --listen: "),
            "{both}"
        );
        let all_users = format!("{ALL} --allow-authenticated");
        assert_eq!(find(None, "", &all_users), Err(SourceConflict::Contradiction));
        assert!(matches!(find(None, "", "--allow-authenticated"), Ok(ConfigSource::Flags(_))));
    }

    #[test]
    fn listen_addresses_of_the_environment_override_a_file() {
        let set = [("PORTCULLIS_LISTEN", "127.0.0.1:1"), ("PORTCULLIS_ADMIN_LISTEN", "off")];
        let load = |file: &str, set: &[(&str, &str)]| {
            let files = [(PathBuf::from("a.yaml"), file.as_bytes().to_vec())];
            let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let source = HostEnv::fixed(files, set);
            // As clap reads them from the environment.
            let flags = Arguments::try_parse_from(
                ["run", "--listen", "127.0.0.1:1", "--admin-listen", "off"].iter(),
            );
            let file = Path::new("a.yaml");
            let found = ConfigSource::find(Some(file), flags.unwrap().flags, &source).unwrap();
            assert_eq!(found, ConfigSource::File(file.into()));
            found.load(&source)
        };
        let rest = "routes: [{ upstream: http://a:1, allow: public }]\n";
        let both = "server: { public_url: https://a.example, listen: [b:2, c:3] }\nadmin: { listen: d:4 }\n";
        let neither = "server: { public_url: https://a.example }\n";
        let empty = "server: { public_url: https://a.example }\nadmin:\n";
        for file in [both, neither, empty] {
            let (config, _) = load(&format!("{file}{rest}"), &set).unwrap();
            let listen: Vec<_> = config.server.listen.iter().map(ToString::to_string).collect();
            assert_eq!((listen, config.admin), (vec!["127.0.0.1:1".to_owned()], None), "{file}");
        }
        let wrong = [("PORTCULLIS_LISTEN", "127.0.0.1:1"), ("PORTCULLIS_ADMIN_LISTEN", "off")]
            .map(|(name, value)| (name, if name.contains("ADMIN") { value } else { "4180" }));
        let source_of = |problems: Vec<Problem>| problems.first().map(Problem::to_string);
        let files = [(PathBuf::from("a.yaml"), format!("{both}{rest}").into_bytes())];
        let wrong = wrong.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = ConfigSource::File("a.yaml".into()).load(&HostEnv::fixed(files, wrong));
        let message = source_of(found.unwrap_err().0).unwrap();
        assert!(
            message.starts_with("PORTCULLIS_LISTEN: error: server.listen: \"4180\""),
            "{message}"
        );
    }

    #[test]
    fn ignored_file_has_a_warning_that_names_the_variable() {
        let files = [(PathBuf::from("/etc/portcullis/portcullis.yaml"), Vec::new())];
        let variables = [("PORTCULLIS_PUBLIC_URL", "a"), ("PORTCULLIS_UPSTREAM", "http://other:1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let source = HostEnv::fixed(files, variables);
        let arguments =
            ["run", "--public-url", "a", "--upstream", "http://a:1", "--allow-authenticated"];
        let flags = Arguments::try_parse_from(arguments).unwrap().flags;
        let written = ConfigSource::find(None, flags, &source).unwrap();
        let Problems(problems) = written.load(&source).unwrap_err();
        let warning = problems[0].to_string();
        let begin = "/etc/portcullis/portcullis.yaml: warning: is ignored, because of PORTCULLIS_PUBLIC_URL, \
                     --upstream, --allow-authenticated\n";
        assert!(warning.starts_with(begin), "{warning}");
    }

    #[test]
    fn hints_name_flags_instead_of_keys() {
        let none = problems_of("--admin-listen off");
        for add in [
            "--public-url h",
            "--issuer h",
            "--client-id I",
            "--client-secret-file /",
            "--allow-group s",
        ] {
            assert!(none.iter().any(|it| it.contains(add)), "{add}: {none:#?}");
        }
        let invalid = problems_of(
            "--public-url http://a.example --listen a:1,b:1 --issuer http://b.example \
             --allow-email @a.example --allow-email-domain *",
        );
        for problem in none.iter().chain(&invalid) {
            for key in ["`allow:", "`client_secret", "`email", "[one", "`public_url", "`token"] {
                assert!(!problem.contains(key), "{key}: {problem}");
            }
        }
        assert!(invalid.iter().any(|it| it.contains("a flag accepts only one")), "{invalid:#?}");
        assert!(invalid.iter().any(|it| it.contains("use --allow-authenticated")), "{invalid:#?}");
    }

    #[test]
    fn spaces_around_commas_are_ignored() {
        let arguments = ["run", "--allow-email-domain", " a.example, b.example ,"];
        let flags = Arguments::try_parse_from(arguments).unwrap().flags;
        let one = ConfigSource::find(None, flags, &source("")).unwrap();
        let other = find(None, "", "--allow-email-domain a.example,b.example").unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn misspelt_variable_has_a_warning() {
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
        let warnings: Vec<_> = misspelt(&source).iter().map(Problem::to_string).collect();
        let expected = [
            ("ADMIN_LISTN", "ADMIN_LISTEN"),
            ("ALLOW_GROUPS", "ALLOW_GROUP"),
            ("CLIENT_SECRET", "CLIENT_SECRET_FILE"),
        ];
        let expected = expected.map(|(name, meant)| {
            format!("PORTCULLIS_{name}: warning: unknown environment variable\n  hint: did you mean `PORTCULLIS_{meant}`?")
        });
        assert_eq!(warnings, expected);
        let Problems(all) = ConfigSource::File("none.yaml".into()).load(&source).unwrap_err();
        assert_eq!(all.len(), 4, "{all:?}");
    }

    #[test]
    fn secret_file_name_with_braces_is_rejected() {
        for name in ["/run/a}b", "/run/${HOME}", "}"] {
            let flags = format!("--client-secret-file {name}");
            assert_eq!(find(None, "", &flags), Err(SourceConflict::SecretFile), "{name}");
        }
        let problems = problems_of("--client-secret-file /run/$a{b");
        let found = problems.iter().any(|it| it.contains("uses the file /run/$a{b, "));
        assert!(found, "{problems:#?}");
    }
}
