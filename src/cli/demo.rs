//! `demo`: gateway, identity provider and sample application on loopback, with one command.
//! The gateway is on `localhost` and the provider on `127.0.0.1`: cookies ignore ports, so with the same name each
//! would receive the cookies of the other. The provider listens two ports above the gateway, so that both ports are
//! known before the start, for port forwarding.
//!
//! `--part` runs the provider or the application alone, next to a gateway with a configuration of its own.
//! Invariant: only `--listen` makes a part reachable from other machines, and then a warning says so.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ValueEnum, value_parser};

use tokio::sync::mpsc::unbounded_channel;

use crate::app::serve::BoundGateway;
use crate::cli::signals::HarmlessSignals;
use crate::cli::{CANNOT_LISTEN, INVALID_CONFIG, SUCCESS, USAGE_ERROR, complain, signals};
use crate::clock::Clock;
use crate::config::{HostEnv, Problems, load};
use crate::demo::{IdentityProvider, RegisteredClient, SampleApp, Settings};
use crate::random;
use crate::secret::Secret;
use crate::server::{PassedSockets, Shutdown};
use crate::telemetry;

/// Arguments of the command.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Port at which browsers reach the gateway on localhost; the provider's is this plus two [default: 4180]
    #[arg(long, value_parser = value_parser!(u16).range(1..=i64::from(u16::MAX - PROVIDER_OFFSET)))]
    port: Option<u16>,
    /// Run only this part, next to a gateway that is configured separately, as in a compose file.
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// Listen address of the part, IP:PORT. Beyond loopback, other machines can use it
    /// [default: 127.0.0.1:4182 for the provider, 127.0.0.1:8080 for the application]
    #[arg(long, value_name = "ADDRESS", requires = "part")]
    listen: Option<SocketAddr>,
}

/// A part that can run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The identity provider, with the public client `demo`
    Provider,
    /// The sample application
    Application,
}

/// Runs the demo, or a part of it, until SIGTERM or SIGINT, and returns the exit code.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> io::Result<u8> {
    if arguments.part == Some(Part::Application) && arguments.port.is_some() {
        complain("portcullis demo: --port has no effect on the application: use --listen");
        return Ok(USAGE_ERROR);
    }
    let harmless = HarmlessSignals::catch()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shutdown = Shutdown::new();
    // There is no configuration to reload.
    let (hangups, _) = unbounded_channel();
    runtime.block_on(async {
        tokio::select! {
            // First, so that no signal ends the process without a handler once it has printed that it serves.
            biased;
            Err(error) = async { signals::follow(harmless, &shutdown, &hangups).await } => Err(error),
            code = serve(arguments, &shutdown, out) => code,
        }
    })
}

async fn serve(arguments: &Arguments, stop: &Shutdown, out: &mut dyn Write) -> io::Result<u8> {
    let port = arguments.port.unwrap_or(PORT);
    let listen = |port| arguments.listen.unwrap_or_else(|| loopback(port));
    match arguments.part {
        None => demo(port, stop, out).await,
        Some(Part::Provider) => provider(port, listen(provider_port(port)), stop, out).await,
        Some(Part::Application) => application(listen(APPLICATION_PORT), stop, out).await,
    }
}

/// The provider's settings, for a gateway at this port of localhost. Without a secret, the client is a public one.
fn provider_settings(port: u16, listen: SocketAddr, secret: Option<Secret>) -> Settings {
    let public_url = public_url(port);
    let client = RegisteredClient {
        id: CLIENT_ID.to_owned(),
        secret,
        redirect_uris: vec![format!("{public_url}/oauth2/callback")],
        post_logout_redirect_uris: vec![format!("{public_url}/oauth2/signed_out")],
    };
    Settings {
        listen,
        clients: vec![client],
        access_token_lifetime: ACCESS_TOKEN_LIFETIME,
        ..Settings::default()
    }
}

async fn provider(
    port: u16,
    listen: SocketAddr,
    stop: &Shutdown,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let settings = provider_settings(port, listen, None);
    let provider = match IdentityProvider::start(settings, Clock::system()).await {
        Ok(provider) => provider,
        Err(error) => return unavailable(&error.to_string()),
    };
    warn_beyond_loopback(provider.address(), "can sign in with the passwords below");
    let text = format!(
        "\
Provider  {}
Client    {CLIENT_ID}, a public one: token_endpoint_auth_method: none
Redirect  {}/oauth2/callback
Sign in   alice / alice   (member of the group staff)
          bob / bob
Stop      Ctrl-C
",
        provider.issuer(),
        public_url(port)
    );
    print(out, &text)?;
    stop.begun().await;
    provider.stop().await;
    Ok(SUCCESS)
}

async fn application(listen: SocketAddr, stop: &Shutdown, out: &mut dyn Write) -> io::Result<u8> {
    let app = match SampleApp::start(listen).await {
        Ok(app) => app,
        Err(error) => return unavailable(&error.to_string()),
    };
    warn_beyond_loopback(app.address(), "can send it any identity header, past the gateway");
    print(out, &format!("Application  listens on {}\nStop         Ctrl-C\n", app.address()))?;
    stop.begun().await;
    app.stop().await;
    Ok(SUCCESS)
}

/// Prints all lines at once: a container engine takes the parts of a line for lines.
fn print(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

// SECURITY: a demo provider in a network lets its users sign in as alice, and a client that reaches an application
// directly needs no sign-in.
fn warn_beyond_loopback(address: SocketAddr, danger: &str) {
    if !address.ip().is_loopback() {
        complain(&format!(
            "portcullis demo: warning: listens on {address}, beyond loopback: a client that reaches it {danger}"
        ));
    }
}

async fn demo(port: u16, stop: &Shutdown, out: &mut dyn Write) -> io::Result<u8> {
    let public_url = public_url(port);
    let secret = random::text::<32>();
    let listen = loopback(provider_port(port));
    let settings = provider_settings(port, listen, Some(Secret::new(secret.clone())));
    let provider = IdentityProvider::start(settings, Clock::system()).await;
    let app = SampleApp::start(loopback(0)).await;
    let (provider, app) = match (provider, app) {
        (Ok(provider), Ok(app)) => (provider, app),
        (Err(error), _) => return unavailable(&error.to_string()),
        (_, Err(error)) => return unavailable(&error.to_string()),
    };
    let file = PathBuf::from("demo.yaml");
    let text = configuration(port, provider.issuer(), &secret, &app.address().to_string());
    let source = HostEnv::fixed([(file.clone(), text.into_bytes())], []);
    let config = match load(Path::new(&file), &source) {
        Ok((config, _)) => config,
        Err(Problems(problems)) => {
            for problem in &problems {
                complain(&problem.to_string());
            }
            return Ok(INVALID_CONFIG);
        }
    };
    let _flush = telemetry::log::start(&config.telemetry)?;
    let opened = BoundGateway::open(&config, &Clock::system(), PassedSockets::default()).await;
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return unavailable(&error.to_string()),
    };
    introduce(out, &public_url, &provider)?;
    Box::pin(opened.serve(stop.clone(), None)).await;
    provider.stop().await;
    app.stop().await;
    Ok(SUCCESS)
}

fn unavailable(error: &str) -> io::Result<u8> {
    complain(&format!("portcullis demo: {error}"));
    Ok(CANNOT_LISTEN)
}

fn introduce(out: &mut dyn Write, public_url: &str, provider: &IdentityProvider) -> io::Result<()> {
    let (issuer, port) = (provider.issuer(), provider.address().port());
    let text = format!(
        "\
Open      {public_url}/
Sign in   alice / alice   (member of the group staff)
          bob / bob

Try       {public_url}/public            no sign-in needed
          {public_url}/                  all signed-in users; reload after one minute for a new access token
          {public_url}/staff             members of the group staff: alice is allowed, bob is denied
          {public_url}/oauth2/userinfo   the user, as JSON
          {public_url}/oauth2/sign_out   sign out

          curl -H 'X-Forwarded-User: admin' {public_url}/public   the gateway removes the forged header
          curl -i {public_url}/                                   API clients get 401 with the sign-in URL

Provider  {issuer}   if you forward ports, forward {port} too
Log       sign-ins, sign-outs and denials appear below
Stop      Ctrl-C

"
    );
    print(out, &text)
}

fn configuration(port: u16, issuer: &str, secret: &str, app: &str) -> String {
    format!(
        r#"
server:
  listen: 127.0.0.1:{port}
  public_url: http://localhost:{port}
  limits: {{ connections: 200 }}
providers:
  demo:
    name: the demo provider
    issuer: {issuer}
    client_id: {CLIENT_ID}
    client_secret: {secret}
    claims: {{ user: preferred_username }}
routes:
  - name: public
    path: /public
    upstream: http://{app}
    allow: public
  - name: staff
    path: /staff
    upstream: http://{app}
    allow: [{{ groups: [staff] }}]
  - name: signed in
    upstream: http://{app}
    allow: authenticated
    identity_headers:
      X-Forwarded-User: "{{user}}"
      X-Forwarded-Email: "{{email}}"
      X-Forwarded-Groups: "{{groups}}"
      X-Forwarded-Preferred-Username: "{{preferred_username}}"
      X-Forwarded-Access-Token: "{{access_token}}"
session:
  refresh_before: 10s
admin:
  listen: off
telemetry:
  log: {{ level: info, format: text }}
  access_log: false
pages:
  title: Portcullis demo
"#
    )
}

fn public_url(port: u16) -> String {
    format!("http://localhost:{port}")
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn provider_port(port: u16) -> u16 {
    port.saturating_add(PROVIDER_OFFSET)
}

/// Default port of the gateway.
const PORT: u16 = 4180;

/// From the gateway's port to the provider's.
const PROVIDER_OFFSET: u16 = 2;

/// Default port of an application that runs alone.
const APPLICATION_PORT: u16 = 8080;

const CLIENT_ID: &str = "demo";

/// Short, so that you can see a refresh.
const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demo_configuration_is_valid() {
        let file = PathBuf::from("demo.yaml");
        let text = configuration(4180, "http://127.0.0.1:1", "secret", "127.0.0.1:2");
        let source = HostEnv::fixed([(file.clone(), text.into_bytes())], []);
        load(&file, &source).unwrap();
    }
}
