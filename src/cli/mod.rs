//! Command line: one file a command. The exit codes are here.

mod admin_client;
pub mod check;
mod configuration;
mod demo;
mod explain;
mod health;
mod keygen;
mod provider;
mod reload;
pub mod run;
mod schema;
mod service_manager;
mod signals;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::admin_client::AdminAddress;
use crate::cli::configuration::Configuration;
use crate::config::HostEnv;

/// Authentication gateway: a reverse proxy that adds OpenID Connect sign-in to applications.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or SIGINT.
    #[command(after_help = "\
Exit codes: 0 success, 64 usage error, 69 cannot listen, 78 invalid configuration.

Examples:
  portcullis run --config /etc/portcullis/portcullis.yaml
  portcullis run --upstream http://127.0.0.1:8080 --public-url https://app.example.com \\
      --issuer https://id.example.com --client-id app --client-secret-file /run/secrets/client_secret \\
      --allow-email-domain example.com")]
    Run {
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Check a configuration and print all problems.
    #[command(after_help = "\
Exit codes: 0 valid (there can be warnings), 64 usage error, 78 invalid configuration, or a failed online check.

Example: portcullis check --config portcullis.yaml --online")]
    Check {
        /// Also send requests to the providers: check metadata, keys, clock and the registration of the client.
        #[arg(long)]
        online: bool,
        /// Output format.
        #[arg(long, value_enum, default_value_t)]
        format: check::OutputFormat,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Run a demo on loopback: a gateway, a provider and an application.
    #[command(after_help = "\
Exit codes: 0 success, 64 usage error, 69 cannot listen.

Examples:
  portcullis demo --port 8080
  portcullis demo --part provider --listen 0.0.0.0:4182")]
    Demo {
        #[command(flatten)]
        arguments: demo::Arguments,
    },
    /// Explain how a request would be handled: the route, the rules, the decision and the headers. The configuration
    /// is found as for `run`.
    #[command(after_help = "\
Exit codes: 0 allow, 1 deny or sign in, 64 usage error, 78 invalid configuration.

Example: portcullis explain --url https://wiki.example.com/page --claims alice.json")]
    Explain {
        #[command(flatten)]
        request: Box<explain::Request>,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Check whether a running gateway is ready, for container health checks.
    #[command(after_help = "\
Exit codes: 0 ready, 1 not ready (also if the configuration cannot be read), 64 usage error.

Examples:
  portcullis health --config /etc/portcullis/portcullis.yaml
  portcullis health --url http://127.0.0.1:4181/readyz
  portcullis health --url unix:/run/portcullis/admin.sock")]
    Health {
        /// Configuration file; its `admin.listen` is used [default: as for `run`]
        #[arg(long, value_name = "FILE", conflicts_with = "url")]
        config: Option<PathBuf>,
        /// URL on the admin listener, or unix:PATH [default: that of the configuration]
        #[arg(long, value_name = "URL", value_parser = health::target)]
        url: Option<AdminAddress>,
    },
    /// Have a running gateway load its configuration again. It also does so when a file changes, and on SIGHUP.
    #[command(after_help = "\
Exit codes: 0 reloaded, 1 no answer, or not allowed, 64 usage error, 78 invalid configuration: the one in effect stays.

Examples:
  portcullis reload --config /etc/portcullis/portcullis.yaml
  portcullis reload --url unix:/run/portcullis/admin.sock")]
    Reload {
        /// Configuration file; its `admin.listen` and `admin.token` are used [default: as for `run`]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// URL on the admin listener, or unix:PATH [default: that of the configuration]
        #[arg(long, value_name = "URL", value_parser = reload::target)]
        url: Option<AdminAddress>,
    },
    /// Print a new random secret for `session.secret`.
    #[command(after_help = "Example: portcullis keygen > session.secret")]
    Keygen,
    /// Print the JSON Schema of the configuration, for editors.
    #[command(after_help = "Example: portcullis schema > portcullis.schema.json")]
    Schema,
    /// Print what to register at a kind of provider, what to paste, where groups come from, and what goes wrong.
    #[command(after_help = "\
Exit codes: 0 success, 64 usage error.

Example: portcullis provider github")]
    Provider {
        /// Kind of provider [default: list all kinds]
        #[arg(value_name = "KIND", value_parser = provider::guide)]
        guide: Option<String>,
    },
    /// Print shell completions.
    #[command(
        after_help = "Example: portcullis completions bash > /etc/bash_completion.d/portcullis"
    )]
    Completions {
        /// Shell.
        shell: Shell,
    },
}

/// Parses the arguments, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match dispatch(arguments.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("portcullis: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> io::Result<u8> {
    let (source, mut out) = (HostEnv::system(), Output(io::stdout().lock()));
    match command {
        Command::Run { configuration } => {
            configuration.find(&source, |written| run::run(written, &source))
        }
        Command::Check { configuration, online, format } => configuration
            .find(&source, |written| check::run(written, online, format, &source, &mut out)),
        Command::Explain { configuration, request } => configuration
            .find(&source, |written| explain::run(written, &request, &source, &mut out)),
        Command::Demo { arguments } => demo::run(&arguments, &mut out),
        Command::Health { config, url } => health::check(url, config.as_deref(), &source, &mut out),
        Command::Reload { config, url } => reload::order(url, config.as_deref(), &source, &mut out),
        Command::Keygen => keygen::run(&mut out),
        Command::Schema => schema::run(&mut out),
        Command::Provider { guide } => provider::run(guide.as_deref(), &mut out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut script);
            out.write_all(&script)?;
            Ok(SUCCESS)
        }
    }
}

/// Output of a command. Its reader can close the pipe before the end (`check | head`). That does not change the exit
/// code, above all not that of an invalid configuration.
struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ignore_broken_pipe(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        ignore_broken_pipe(self.0.flush(), ())
    }
}

fn ignore_broken_pipe<T>(result: io::Result<T>, done: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(done),
        result => result,
    }
}

/// Prints a usage error, or help or version, which are not errors.
fn usage(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() { USAGE_ERROR } else { SUCCESS };
    match error.print() {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints a line to stderr at once, before the log is started.
fn complain(text: &str) {
    // There is no other place to report an error.
    drop(io::stderr().lock().write_all(format!("{text}\n").as_bytes()));
}

/// Success.
const SUCCESS: u8 = 0;
/// The gateway is not ready, or does not answer.
const NOT_READY: u8 = 1;
/// The gateway does not answer, or not to this client.
const NO_ANSWER: u8 = 1;
/// The explained request would be denied, or needs sign-in.
const NOT_ALLOWED: u8 = 1;
/// Usage error: `EX_USAGE` of sysexits.h.
const USAGE_ERROR: u8 = 64;
/// Cannot listen: `EX_UNAVAILABLE`.
const CANNOT_LISTEN: u8 = 69;
/// Invalid configuration: `EX_CONFIG`.
const INVALID_CONFIG: u8 = 78;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSource;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn closed_pipe_does_not_change_the_exit_code() {
        struct Failing(io::ErrorKind);
        impl Write for Failing {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(self.0.into())
            }
        }
        let source = HostEnv::fixed([("a.yaml".into(), b"x: 1".to_vec())], []);
        let check = |kind| {
            let (format, mut out) = (check::OutputFormat::Human, Output(Failing(kind)));
            check::run(&ConfigSource::file("a.yaml"), false, format, &source, &mut out)
        };
        assert_eq!(check(io::ErrorKind::BrokenPipe).unwrap(), INVALID_CONFIG);
        assert!(check(io::ErrorKind::StorageFull).is_err());
    }

    #[test]
    fn help_of_every_command_has_an_example() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("portcullis {}", command.get_name())), "{command:?}");
        }
    }
}
