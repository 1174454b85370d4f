//! The command line: one file per command, and the exit code of each outcome.

pub mod check;
mod configuration;
pub mod demo;
pub mod explain;
pub mod health;
pub mod keygen;
pub mod run;
pub mod schema;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, value_parser};
use clap_complete::Shell;
use url::Url;

use crate::config::HostEnv;
use configuration::Configuration;

/// An authentication gateway: OpenID Connect in front of applications that know nothing of it.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    #[command(after_help = "Examples:
  portcullis run --config /etc/portcullis/portcullis.yaml
  portcullis run --upstream http://127.0.0.1:8080 --public-url https://app.example.com \\
      --issuer https://id.example.com --client-id app --client-secret-file /run/secrets/client_secret \\
      --allow-email-domain example.com")]
    Run {
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Tell everything that is wrong with a configuration.
    #[command(after_help = "Example: portcullis check --config portcullis.yaml --online")]
    Check {
        #[command(flatten)]
        configuration: Configuration,
        /// Ask the providers, too: their metadata, keys and clocks, and whether they know this client.
        #[arg(long)]
        online: bool,
        /// For a person or for a program.
        #[arg(long, value_enum, default_value_t)]
        format: check::OutputFormat,
    },
    /// Show a sign-in on this machine: a provider, an application and the gateway, with nothing installed.
    #[command(after_help = "Example: portcullis demo --port 8080")]
    Demo {
        /// The port of the gateway, on loopback.
        #[arg(long, default_value_t = 4180, value_parser = value_parser!(u16).range(1..))]
        port: u16,
    },
    /// Tell what becomes of a request: which route, which rule and why, which headers.
    #[command(
        after_help = "Example: portcullis explain --url https://wiki.example.com/page --claims alice.json"
    )]
    Explain {
        #[command(flatten)]
        configuration: Configuration,
        #[command(flatten)]
        request: Box<explain::Request>,
    },
    /// Ask a running gateway whether it is ready; for container health checks.
    #[command(after_help = "Example: portcullis health --url http://127.0.0.1:4181/readyz")]
    Health {
        /// Where the admin listener answers; else PORTCULLIS_ADMIN_LISTEN, http://127.0.0.1:4181/readyz.
        #[arg(long, value_name = "URL", value_parser = health::address)]
        url: Option<Url>,
    },
    /// Print a secret for `session.secret`.
    #[command(after_help = "Example: portcullis keygen > session.secret")]
    Keygen,
    /// Print the JSON Schema of the configuration, for editors.
    #[command(after_help = "Example: portcullis schema > portcullis.schema.json")]
    Schema,
    /// Print completions for a shell.
    #[command(
        after_help = "Example: portcullis completions bash > /etc/bash_completion.d/portcullis"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Parses the arguments, runs the command, and tells how it ended.
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
        Command::Demo { port } => demo::run(port, &mut out),
        Command::Health { url } => match url.map_or_else(|| health::address_here(&source), Ok) {
            Ok(url) => health::run(&url, &mut out),
            Err(wrong) => {
                complain(&format!("portcullis: PORTCULLIS_ADMIN_LISTEN: {wrong}"));
                Ok(WRONG_USAGE)
            }
        },
        Command::Keygen => keygen::run(&mut out),
        Command::Schema => schema::run(&mut out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut script);
            out.write_all(&script)?;
            Ok(GOOD)
        }
    }
}

/// Where a command writes. Whoever reads it may leave before the end (`check | head`): how the command
/// ends, a refused configuration above all, does not depend on that.
struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        even_unread(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        even_unread(self.0.flush(), ())
    }
}

fn even_unread<T>(result: io::Result<T>, done: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(done),
        result => result,
    }
}

/// Help and version are no mistake.
fn usage(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() { WRONG_USAGE } else { GOOD };
    match error.print() {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

/// A line to the operator, before there is a log.
fn complain(text: &str) {
    // Nobody is left to tell where this fails.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// All went well.
const GOOD: u8 = 0;
/// The gateway is not ready, or cannot be asked.
const NOT_READY: u8 = 1;
/// The request that was asked about would not pass.
const NOT_ADMITTED: u8 = 1;
/// `EX_USAGE` of sysexits.h.
const WRONG_USAGE: u8 = 64;
/// `EX_UNAVAILABLE`: a listener could not be opened.
const NO_LISTENER: u8 = 69;
/// `EX_CONFIG`: the configuration is refused.
const REFUSED: u8 = 78;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSource;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_reader_who_leaves_changes_no_exit_code() {
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
            check::run(&ConfigSource::File("a.yaml".into()), false, format, &source, &mut out)
        };
        assert_eq!(check(io::ErrorKind::BrokenPipe).unwrap(), REFUSED);
        assert!(check(io::ErrorKind::StorageFull).is_err());
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("portcullis {}", command.get_name())), "{command:?}");
        }
    }
}
