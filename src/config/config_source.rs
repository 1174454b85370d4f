//! Source of the configuration: a file, the variable `PORTCULLIS_CONFIG_TEXT`, or flags. There is only one.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::admin::AdminSettings;
use crate::config::Config;
use crate::config::diagnostics::Diagnostics;
use crate::config::document::Node;
use crate::config::flag_words::{in_flags, misspelt};
use crate::config::flags::{self, Flags, flag_of};
use crate::config::host_env::HostEnv;
use crate::config::problem::{KeyPath, Problem, Problems, Severity};
use crate::config::read_tree;
use crate::config::yaml_source::{self, CONFIG_TEXT, YamlSource};

/// Source of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// YAML in a file or variable.
    Yaml(YamlSource),
    /// Flags of the command, or their environment variables.
    Flags(Box<Flags>),
}

/// Conflict between sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceConflict {
    /// Two of a file, the variable with the whole YAML, and flags.
    #[error(
        "{by} cannot be used together with {}: use only one of a configuration file, PORTCULLIS_CONFIG_TEXT, and \
         flags (or their variables)",
        others.join(", ")
    )]
    Twice {
        /// The flag or variable with the YAML.
        by: &'static str,
        /// The flags and variables that are not used then.
        others: Vec<String>,
    },
    /// YAML where the name of a file belongs.
    // SECURITY: the YAML can contain secrets, so it is not shown as the name of a missing file.
    #[error("{0} takes the name of a file: set PORTCULLIS_CONFIG_TEXT to the YAML itself")]
    TextAsName(&'static str),
    /// All signed-in users together with some of them.
    #[error(
        "--allow-authenticated allows every signed-in user, so it cannot be used together with \
         --allow-email-domain, --allow-email or --allow-group"
    )]
    Contradiction,
    /// A secret in a file and in a variable.
    #[error("{flag} ({variable}_FILE) and {variable} both give this secret: remove one of them")]
    SecretTwice {
        /// The flag.
        flag: &'static str,
        /// The variable with the secret itself.
        variable: &'static str,
    },
    /// A file name that `${file:…}` cannot contain.
    #[error("{flag} ({variable}) does not support a file name with `}}` or `${{`: rename the file")]
    SecretFile {
        /// The flag.
        flag: &'static str,
        /// Its variable.
        variable: String,
    },
}

/// Reason why a part of the configuration cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There are two sources.
    #[error("portcullis: {0}")]
    Conflict(#[from] SourceConflict),
    /// It is invalid.
    #[error(transparent)]
    Problems(#[from] Problems),
}

impl ConfigSource {
    /// Returns a file.
    pub fn file(name: impl Into<PathBuf>) -> Self {
        Self::Yaml(YamlSource::File(name.into()))
    }

    /// Returns the source that is given, otherwise the file in a default location.
    pub fn find(
        file: Option<&Path>,
        flags: Flags,
        source: &HostEnv,
    ) -> Result<Self, SourceConflict> {
        let names = |flags: &Flags| flags.sources(source);
        let flags = flags.given().filter(|flags| !names(flags).is_empty());
        let replacing = flags.as_ref().map(names).unwrap_or_default();
        if let Some(yaml) = given_yaml(file, replacing, source)? {
            return Ok(Self::Yaml(yaml));
        }
        let Some(flags) = flags else { return Ok(Self::file(source.default_or_first_file())) };
        if flags.contradict() {
            return Err(SourceConflict::Contradiction);
        }
        if let Some((flag, variable)) = flags.secret_given_twice(source) {
            return Err(SourceConflict::SecretTwice { flag, variable });
        }
        if let Some(flag) = flags.unreadable_secret_file() {
            let variable = flags::variable_of(flag);
            return Err(SourceConflict::SecretFile { flag, variable });
        }
        Ok(Self::Flags(Box::new(flags)))
    }

    /// Loads the configuration; returns it with warnings, or all problems.
    pub fn load(&self, source: &HostEnv) -> Result<(Config, Vec<Problem>), Problems> {
        let first = self.first_warnings(source);
        let loaded = match self {
            Self::Yaml(yaml) => yaml.load(source),
            Self::Flags(flags) => {
                let diagnostics = Diagnostics::new(source, Path::new(""));
                let place = |path: &KeyPath| (flags.origin_of(path, source).into(), None);
                let flags_in = |all: Vec<Problem>| all.into_iter().map(in_flags).collect();
                match read_tree(&flags.tree(source), diagnostics, place) {
                    Ok((config, warnings)) => Ok((config, flags_in(warnings))),
                    Err(Problems(all)) => Err(Problems(flags_in(all))),
                }
            }
        };
        match loaded {
            Ok((config, warnings)) => Ok((config, [first, warnings].concat())),
            Err(Problems(all)) => Err(Problems([first, all].concat())),
        }
    }

    /// Returns the file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Yaml(YamlSource::File(file)) => Some(file),
            Self::Yaml(YamlSource::Variable) | Self::Flags(_) => None,
        }
    }

    /// Returns warnings about other sources, which were probably meant.
    fn first_warnings(&self, source: &HostEnv) -> Vec<Problem> {
        match self {
            // Without a file, flags may have been meant.
            Self::Yaml(YamlSource::File(file)) if !source.exists(file) => misspelt(source),
            Self::Yaml(YamlSource::File(_)) => Vec::new(),
            Self::Yaml(YamlSource::Variable) => {
                ignored_file(&[CONFIG_TEXT.to_owned()], source).into_iter().collect()
            }
            Self::Flags(flags) => {
                let ignored = ignored_file(&flags.sources(source), source);
                ignored.into_iter().chain(misspelt(source)).collect()
            }
        }
    }

    /// Returns the path, file and line of a key, for problems that are found after loading.
    pub fn place(&self, source: &HostEnv, keys: &[&str]) -> (KeyPath, PathBuf, Option<usize>) {
        let path = keys.iter().fold(KeyPath::default(), |path, key| path.key(key));
        let (file, line) = match self {
            Self::Yaml(yaml) => (yaml.name().to_owned(), yaml.line(source, &path)),
            Self::Flags(flags) => (flags.origin_of(&path, source).into(), None),
        };
        (path, file, line)
    }
}

/// Returns the settings of the admin listener that `run` opens with this file and this environment. Other keys may be
/// wrong. Without any source it is the default, because the flags of `run` are not known.
pub fn admin_settings(file: Option<&Path>, source: &HostEnv) -> Result<AdminSettings, SourceError> {
    let replacing = flags::in_environment(source);
    let has_flags = !replacing.is_empty();
    let yaml = match given_yaml(file, replacing, source)? {
        None if has_flags => None,
        None => source.default_file().map(YamlSource::File),
        given => given,
    };
    match yaml {
        Some(yaml) => Ok(yaml.admin_settings(source)?),
        None => {
            let (root, here) = (Node::Map(Vec::new()), Diagnostics::new(source, Path::new("")));
            Ok(yaml_source::admin_settings(&root, here, source, |path| {
                (flag_of(path).into(), None)
            })?)
        }
    }
}

/// Returns the YAML that is given, unless others are, too. `replacing` are the flags and variables in its place.
fn given_yaml(
    file: Option<&Path>,
    replacing: Vec<String>,
    source: &HostEnv,
) -> Result<Option<YamlSource>, SourceConflict> {
    let named = match file {
        Some(file) => Some(("--config", file.to_owned())),
        None => source.named_file().map(|file| ("PORTCULLIS_CONFIG", file)),
    };
    if let Some((by, file)) = &named
        && is_content(file)
    {
        return Err(SourceConflict::TextAsName(by));
    }
    let named = named.map(|(by, file)| (by, YamlSource::File(file)));
    let text = source.raw_variable(CONFIG_TEXT).map(|_| (CONFIG_TEXT, YamlSource::Variable));
    let mut given = named.into_iter().chain(text);
    let Some((by, yaml)) = given.next() else { return Ok(None) };
    let others: Vec<_> = given.map(|(by, _)| by.to_owned()).chain(replacing).collect();
    match others.is_empty() {
        true => Ok(Some(yaml)),
        false => Err(SourceConflict::Twice { by, others }),
    }
}

/// Whether the name of a file is the content of one, also in base64: no file has so long a name.
fn is_content(name: &Path) -> bool {
    let longest = name.components().map(|part| part.as_os_str().len()).max();
    let name = name.to_string_lossy();
    name.contains(['\n', '{', '"']) || name.contains(": ") || longest > Some(LONGEST_NAME)
}

/// Linux has no longer names of files, in bytes.
const LONGEST_NAME: usize = 255;

/// Warns about a file in a default location that is ignored because of these flags and variables.
fn ignored_file(because_of: &[String], source: &HostEnv) -> Option<Problem> {
    let file = source.default_file()?;
    let message = format!("is ignored, because of {}", because_of.join(", "));
    let hint = "flags and PORTCULLIS_… variables replace the configuration file; to use the file, remove them";
    let (severity, path, hint) = (Severity::Warning, KeyPath::default(), Some(hint.to_owned()));
    Some(Problem { severity, file, line: None, path, message, hint })
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(yaml) => yaml.fmt(f),
            Self::Flags(_) => f.write_str("the configuration in flags and environment variables"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::load;

    #[derive(Debug, clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        flags: Flags,
    }

    const FILES: [(&str, &str); 2] = [
        ("/run/secret", "s3cr3t\n"),
        ("/run/session_secret", "0123456789abcdef0123456789abcdef0123456789ab\n"),
    ];

    /// An environment with [`FILES`] and these files and variables.
    fn environment(more: &[(&str, &str)], set: &[(&str, &str)]) -> HostEnv {
        let files = FILES.iter().chain(more);
        let files = files.map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        HostEnv::fixed(files, set)
    }

    fn source(config: &str) -> HostEnv {
        environment(&[], &[("PORTCULLIS_CONFIG", config)])
    }

    fn find(file: Option<&str>, config: &str, flags: &str) -> Result<ConfigSource, SourceConflict> {
        find_in(&source(config), file, flags)
    }

    fn find_in(
        source: &HostEnv,
        file: Option<&str>,
        flags: &str,
    ) -> Result<ConfigSource, SourceConflict> {
        let arguments = ["run"].into_iter().chain(flags.split_whitespace());
        let flags = Arguments::try_parse_from(arguments).unwrap().flags;
        ConfigSource::find(file.map(Path::new), flags, source)
    }

    fn problems_of(flags: &str) -> Vec<String> {
        let Problems(problems) = find(None, "", flags).unwrap().load(&source("")).unwrap_err();
        problems.iter().map(Problem::to_string).collect()
    }

    const ALL: &str = "--public-url https://app.example --listen 0.0.0.0:80 --admin-listen off \
        --issuer https://id.example/realm --client-id $app --client-secret-file /run/secret \
        --scope openid --scope groups --session-secret-file /run/session_secret \
        --session-snapshot /var/sessions --trusted-proxy 10.0.0.0/8,unix --trusted-proxy 192.0.2.1 \
        --upstream http://127.0.0.1:8080 --allow-email-domain a.example,b.example \
        --allow-email-domain c.example --allow-email ada@d.example --allow-group staff";

    #[test]
    fn flags_give_the_same_configuration_as_a_file() {
        let file = "
server:
  public_url: https://app.example
  listen: 0.0.0.0:80
  trusted_proxies: [10.0.0.0/8, unix, 192.0.2.1]
admin: { listen: off }
providers:
  provider:
    name: id.example
    issuer: https://id.example/realm
    client_id: $$app
    client_secret: ${file:/run/secret}
    scopes: [openid, groups]
session: { secret: \"${file:/run/session_secret}\", snapshot: /var/sessions }
routes:
  - upstream: http://127.0.0.1:8080
    allow:
      - email_domains: [a.example, b.example, c.example]
      - emails: [ada@d.example]
      - groups: [staff]
";
        let by_file = load(Path::new("file.yaml"), &environment(&[("file.yaml", file)], &[]));
        let by_file = by_file.unwrap();
        let by_flags = find(None, "", ALL).unwrap().load(&source("")).unwrap();
        assert_eq!(format!("{by_flags:?}"), format!("{by_file:?}"));
        assert_eq!(by_flags.0.providers[0].client_id, "$app");
        assert_eq!(by_flags.0.files, FILES.map(|(name, _)| Path::new(name)));
    }

    fn secret_of(config: &Config) -> &str {
        match config.providers[0].client_auth.all() {
            [crate::providers::ClientAuth::ClientSecretBasic(secret), ..] => secret.expose(),
            methods => panic!("{methods:?}"),
        }
    }

    #[test]
    fn secrets_can_be_in_variables_that_do_not_replace_a_file() {
        let secret = "abcdefghijabcdefghijabcdefghijabcdefghij$${A}";
        let variables = [
            ("PORTCULLIS_CLIENT_SECRET", "s3cr3t"),
            ("PORTCULLIS_SESSION_SECRET", secret),
            ("PORTCULLIS_CONFIG", ""),
        ];
        let environment = environment(&[], &variables);
        assert_eq!(find_in(&environment, None, ""), Ok(ConfigSource::file("portcullis.yaml")));
        let without_files = ALL
            .replace("--client-secret-file /run/secret ", "")
            .replace("--session-secret-file /run/session_secret ", "");
        let written = find_in(&environment, None, &without_files).unwrap();
        let (config, warnings) = written.load(&environment).unwrap();
        assert_eq!(secret_of(&config), "s3cr3t");
        assert_eq!(config.session.secrets[0].expose(), secret);
        assert_eq!(warnings, []);
        for flag in ["--client-secret-file", "--session-secret-file"] {
            let conflict = find_in(&environment, None, &format!("{flag} /run/secret"));
            let message = conflict.unwrap_err().to_string();
            let variable = flags::variable_of(flag.trim_end_matches("-file"));
            assert_eq!(
                message,
                format!(
                    "{flag} ({variable}_FILE) and {variable} both give this secret: remove one of them"
                )
            );
        }
    }

    #[test]
    fn problem_of_a_secret_in_a_variable_names_the_variable() {
        let environment = environment(&[], &[("PORTCULLIS_SESSION_SECRET", "short")]);
        let flags = ALL.replace("--session-secret-file /run/session_secret ", "");
        let found = find_in(&environment, None, &flags).unwrap().load(&environment);
        let Problems(problems) = found.unwrap_err();
        let message = problems[0].to_string();
        let begin = "PORTCULLIS_SESSION_SECRET: error: session.secret: ";
        assert!(message.starts_with(begin) && !message.contains("short\""), "{message}");
    }

    #[test]
    fn scopes_are_separated_by_commas_or_spaces() {
        let parse = |scopes: &str| {
            let flags = Arguments::try_parse_from(["run", "--scope", scopes]).unwrap().flags;
            flags.given().unwrap().sources(&environment(&[], &[("PORTCULLIS_SCOPE", scopes)]))
        };
        assert_eq!(parse("openid email,groups"), ["PORTCULLIS_SCOPE"]);
        let one = find(None, "", "--scope openid,email").unwrap();
        let flags = Arguments::try_parse_from(["run", "--scope", " openid  email "]).unwrap().flags;
        assert_eq!(ConfigSource::find(None, flags, &source("")).unwrap(), one);
    }

    #[test]
    fn configuration_file_is_found_in_the_documented_order() {
        let check = |given, variable, file, expected: &str| {
            let environment = environment(&[(file, "")], &[("PORTCULLIS_CONFIG", variable)]);
            assert_eq!(find_in(&environment, given, ""), Ok(ConfigSource::file(expected)));
        };
        check(Some("a.yaml"), "b.yaml", "portcullis.yaml", "a.yaml");
        check(None, "b.yaml", "portcullis.yaml", "b.yaml");
        check(None, "", "portcullis.yaml", "portcullis.yaml");
        let etc = "/etc/portcullis/portcullis.yaml";
        check(None, "", etc, etc);
        check(None, "", "other.yaml", "portcullis.yaml");
    }

    const TEXT: &str = "server: { public_url: https://a.example }\n\
                        routes: [{ upstream: http://a:1, allow: public }]\n";

    #[test]
    fn text_in_the_variable_is_the_configuration_and_a_default_file_is_ignored_with_a_warning() {
        let variables = [(CONFIG_TEXT, TEXT), ("PORTCULLIS_LISTEN", "127.0.0.1:7")];
        let environment = environment(&[("/etc/portcullis/portcullis.yaml", "")], &variables);
        // As clap reads it from the environment.
        let written = find_in(&environment, None, "--listen 127.0.0.1:7").unwrap();
        assert_eq!(written, ConfigSource::Yaml(YamlSource::Variable));
        let (config, warnings) = written.load(&environment).unwrap();
        assert_eq!(config.server.listen[0].to_string(), "127.0.0.1:7");
        let warnings: Vec<_> = warnings.iter().map(Problem::to_string).collect();
        let begin = "/etc/portcullis/portcullis.yaml: warning: is ignored, because of PORTCULLIS_CONFIG_TEXT\n";
        assert!(warnings.len() == 1 && warnings[0].starts_with(begin), "{warnings:?}");
        let (_, file, line) = written.place(&environment, &["routes"]);
        assert_eq!((file, line), (CONFIG_TEXT.into(), Some(2)));
    }

    #[test]
    fn relative_path_in_the_variable_starts_at_the_working_directory() {
        let text = format!("{TEXT}pages: {{ style: a/style.css }}\n");
        let environment = environment(&[("a/style.css", "a {}")], &[(CONFIG_TEXT, &text)]);
        let (config, _) = find_in(&environment, None, "").unwrap().load(&environment).unwrap();
        assert_eq!(config.files, [Path::new("a/style.css")]);
    }

    #[test]
    fn empty_variable_is_not_the_configuration() {
        let environment = environment(&[], &[(CONFIG_TEXT, "")]);
        assert_eq!(find_in(&environment, None, ""), Ok(ConfigSource::file("portcullis.yaml")));
    }

    #[test]
    fn text_in_the_variable_together_with_another_source_is_a_conflict() {
        let check = |config, file, flags, expected: &str| {
            let set = [(CONFIG_TEXT, TEXT), ("PORTCULLIS_CONFIG", config)];
            let environment = environment(&[], &set);
            let message = find_in(&environment, file, flags).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        };
        let with = "cannot be used together with";
        check("", Some("a.yaml"), "", &format!("--config {with} PORTCULLIS_CONFIG_TEXT: use"));
        check("a.yaml", None, "", &format!("PORTCULLIS_CONFIG {with} PORTCULLIS_CONFIG_TEXT: "));
        check("", None, "--issuer a", &format!("PORTCULLIS_CONFIG_TEXT {with} --issuer: "));
        check("", None, "--listen a:1", &format!("PORTCULLIS_CONFIG_TEXT {with} --listen: "));
        let all = format!("--config {with} PORTCULLIS_CONFIG_TEXT, --scope: use only one of ");
        check("b.yaml", Some("a.yaml"), "--scope a", &all);
    }

    #[test]
    fn text_in_place_of_a_file_name_is_a_conflict_that_does_not_show_it() {
        let base64 = "c2VydmVyOgo".repeat(30);
        for text in [TEXT, "{\"providers\":{\"p\":{\"client_secret\":\"s\"}}}", "a: b", &base64] {
            let message = find(None, text, "").unwrap_err().to_string();
            assert_eq!(
                message,
                "PORTCULLIS_CONFIG takes the name of a file: set PORTCULLIS_CONFIG_TEXT to the YAML itself"
            );
            let conflict = find(Some(text), "", "");
            assert_eq!(conflict, Err(SourceConflict::TextAsName("--config")));
        }
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
        let file = |name: &str| Ok(ConfigSource::file(name));
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
            assert_eq!(found, ConfigSource::file(file));
            found.load(&source)
        };
        let rest = "routes: [{ upstream: http://a:1, allow: public }]\n";
        let both = "server: { public_url: https://a.example, listen: [b:2, c:3] }\nadmin: { listen: d:4 }\n";
        let neither = "server: { public_url: https://a.example }\n";
        let empty = "server: { public_url: https://a.example }\nadmin:\n";
        for file in [both, neither, empty] {
            let (config, _) = load(&format!("{file}{rest}"), &set).unwrap();
            let listen: Vec<_> = config.server.listen.iter().map(ToString::to_string).collect();
            assert_eq!(
                (listen, config.admin.listen),
                (vec!["127.0.0.1:1".to_owned()], None),
                "{file}"
            );
        }
        let wrong = [("PORTCULLIS_LISTEN", "127.0.0.1:1"), ("PORTCULLIS_ADMIN_LISTEN", "off")]
            .map(|(name, value)| (name, if name.contains("ADMIN") { value } else { "4180" }));
        let source_of = |problems: Vec<Problem>| problems.first().map(Problem::to_string);
        let files = [(PathBuf::from("a.yaml"), format!("{both}{rest}").into_bytes())];
        let wrong = wrong.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = ConfigSource::file("a.yaml").load(&HostEnv::fixed(files, wrong));
        let message = source_of(found.unwrap_err().0).unwrap();
        assert!(
            message.starts_with("PORTCULLIS_LISTEN: error: server.listen: \"4180\""),
            "{message}"
        );
    }

    #[test]
    fn ignored_file_has_a_warning_that_names_the_variable() {
        let variables = [("PORTCULLIS_PUBLIC_URL", "a"), ("PORTCULLIS_UPSTREAM", "http://other:1")];
        let source = environment(&[("/etc/portcullis/portcullis.yaml", "")], &variables);
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
    fn missing_file_has_warnings_about_misspelt_variables() {
        let environment = environment(&[], &[("PORTCULLIS_UPSTREEM", "")]);
        let Problems(all) = ConfigSource::file("none.yaml").load(&environment).unwrap_err();
        assert_eq!(all.len(), 2, "{all:?}");
    }

    #[test]
    fn secret_file_name_with_braces_is_rejected() {
        for flag in ["--client-secret-file", "--session-secret-file"] {
            for name in ["/run/a}b", "/run/${HOME}", "}"] {
                let conflict = find(None, "", &format!("{flag} {name}")).unwrap_err();
                let variable = flags::variable_of(flag);
                assert_eq!(conflict, SourceConflict::SecretFile { flag, variable }, "{name}");
            }
        }
        let problems = problems_of("--client-secret-file /run/$a{b");
        let found = problems.iter().any(|it| it.contains("uses the file /run/$a{b, "));
        assert!(found, "{problems:#?}");
    }
}
