//! `check`: prints all problems of a configuration, as text or as JSON.

use std::io::{self, Write};

use serde_json::Value;

use crate::app::probe::{ProbeResult, probe};
use crate::cli::{INVALID_CONFIG, SUCCESS};
use crate::config::{Config, ConfigSource, HostEnv, Problem, Problems, Severity, keys_to_register};

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// One line a problem, its hint below it, and a summary.
    #[default]
    Human,
    /// One JSON object a problem, each on one line.
    Json,
}

/// Checks a configuration and returns the exit code. With `online`, it also sends requests to the providers.
pub fn run(
    written: &ConfigSource,
    online: bool,
    format: OutputFormat,
    source: &HostEnv,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let (config, mut findings) = match written.load(source) {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(Problems(findings)) => (None, findings),
    };
    for finding in findings.iter_mut().filter(|finding| finding.severity == Severity::Outdated) {
        finding.severity = Severity::Error;
    }
    let is_invalid =
        |findings: &[Problem]| findings.iter().any(|it| it.severity == Severity::Error);
    let is_valid_offline = config.is_some() && !is_invalid(&findings);
    let mut good = config.as_ref().map(|config| keys(config, written, source)).unwrap_or_default();
    if let Some(config) = config.as_ref().filter(|_| online) {
        good.extend(ask(config, written, source, &mut findings)?);
        findings.sort_by_key(|finding| finding.line);
    }
    let (summary, code) = match config.filter(|_| !is_invalid(&findings)) {
        Some(config) => (format!("{written} is valid: {}", contents(&config)), SUCCESS),
        None if is_valid_offline => {
            let counts = counts(&findings);
            (format!("{written} is valid, but the online checks failed: {counts}"), INVALID_CONFIG)
        }
        None => (summary_of_errors(written, &findings), INVALID_CONFIG),
    };
    match format {
        OutputFormat::Human => {
            findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
            good.iter().try_for_each(|(id, note)| writeln!(out, "{id}: {}", note.message))?;
            writeln!(out, "{summary}")?;
        }
        OutputFormat::Json => {
            let all = findings.iter().chain(good.iter().map(|(_, note)| note));
            all.map(Problem::to_json).try_for_each(|object| writeln!(out, "{object}"))?;
        }
    }
    Ok(code)
}

/// The public keys to register at the providers: a note for each, by ID.
fn keys(config: &Config, written: &ConfigSource, source: &HostEnv) -> Vec<(String, Problem)> {
    let note = |id: &str, jwk: &Value| {
        let (path, file, line) = written.place(source, &["providers", id, "client_key"]);
        let message = format!("public JWK to register: {jwk}");
        let (severity, hint) = (Severity::Note, None);
        (id.to_owned(), Problem { severity, file, line, path, message, hint })
    };
    keys_to_register(config).iter().map(|(id, jwk)| note(id, jwk)).collect()
}

/// Probes the providers. Adds problems, and returns the successful checks: a note for each provider, by ID.
fn ask(
    config: &Config,
    written: &ConfigSource,
    source: &HostEnv,
    findings: &mut Vec<Problem>,
) -> io::Result<Vec<(String, Problem)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut good = Vec::new();
    for (id, examined) in runtime.block_on(probe(config)) {
        for finding in examined.findings {
            let (path, file, line) = written.place(source, &["providers", &id, finding.key]);
            let severity = if finding.is_fatal { Severity::Error } else { Severity::Warning };
            let ProbeResult { message, hint, .. } = finding;
            findings.push(Problem { severity, file, line, path, message, hint });
        }
        if !examined.passed.is_empty() {
            let (path, file, line) = written.place(source, &["providers", &id]);
            let message = format!("OK: {}", examined.passed.join(", "));
            let (severity, hint) = (Severity::Note, None);
            let note = Problem { severity, file, line, path, message, hint };
            good.push((id.to_string(), note));
        }
    }
    Ok(good)
}

/// Summary of a rejected configuration.
pub(super) fn summary_of_errors(written: &ConfigSource, findings: &[Problem]) -> String {
    format!("{written} is invalid: {}", counts(findings))
}

fn contents(config: &Config) -> String {
    let routes = many(config.routes.len(), "route");
    format!("{routes}, {}, at {}", many(config.providers.len(), "provider"), config.public_url)
}

fn counts(findings: &[Problem]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let errors = many(count(Severity::Error), "error");
    match count(Severity::Warning) {
        0 => errors,
        warnings => format!("{errors}, {}", many(warnings, "warning")),
    }
}

fn many(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Flags;

    fn check(text: &str, format: OutputFormat) -> (u8, String) {
        let source = HostEnv::fixed([(PathBuf::from("a.yaml"), text.as_bytes().to_vec())], []);
        let mut out = Vec::new();
        let written = ConfigSource::file("a.yaml");
        let code = run(&written, false, format, &source, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    const VALID: &str = "server: { public_url: https://a.example }\n\
                        routes: [{ upstream: http://a:1, allow: public }]\n";

    #[test]
    fn valid_file_has_a_summary() {
        let (code, out) = check(VALID, OutputFormat::Human);
        assert_eq!(code, 0);
        assert_eq!(out, "a.yaml is valid: 1 route, 0 providers, at https://a.example\n");
        assert_eq!(check(VALID, OutputFormat::Json), (0, String::new()));
    }

    #[test]
    fn invalid_file_is_reported_as_text() {
        let (code, out) =
            check("routes: [{ upstream: wiki:8080, allow: public }]\n", OutputFormat::Human);
        assert_eq!(code, 78);
        assert!(
            out.contains(
                "a.yaml:1: error: routes[0].upstream: \"wiki:8080\" has no scheme\n  \
                 hint: did you mean `http://wiki:8080`?\n"
            ),
            "{out}"
        );
        assert!(out.ends_with("a.yaml is invalid: 2 errors\n"), "{out}");
    }

    #[test]
    fn invalid_file_is_reported_as_json() {
        let (code, out) =
            check("routes: [{ upstream: wiki:8080, allow: public }]\n", OutputFormat::Json);
        assert_eq!(code, 78);
        let findings: Vec<Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let paths: Vec<_> =
            findings.iter().map(|finding| finding["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["server.public_url", "routes[0].upstream"]);
        assert!(findings.iter().all(|f| f["severity"] == "error" && f["line"] == 1));
        assert!(findings.iter().all(|f| f["message"].is_string() && f["hint"].is_string()));
    }

    #[test]
    fn missing_file_is_invalid() {
        let mut out = Vec::new();
        let source = HostEnv::fixed([], []);
        let written = ConfigSource::find(None, Flags::default(), &source).unwrap();
        assert_eq!(run(&written, false, OutputFormat::Human, &source, &mut out).unwrap(), 78);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("portcullis.yaml: error: the file does not exist\n"), "{out}");
    }
}
