//! `demo`: gateway, identity provider and sample application on loopback, with one command.
//! The gateway is on `localhost` and the provider on `127.0.0.1`: cookies ignore ports, so with the same name each
//! would receive the cookies of the other. The provider listens two ports above the gateway, so that both ports are
//! known before the start, for port forwarding.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::run::open;
use crate::cli::{CANNOT_LISTEN, INVALID_CONFIG, SUCCESS, complain, signals};
use crate::clock::Clock;
use crate::config::{HostEnv, Problems, load};
use crate::demo::{IdentityProvider, RegisteredClient, SampleApp, Settings};
use crate::random;
use crate::secret::Secret;
use crate::server::{PassedSockets, Shutdown};
use crate::telemetry;

/// Runs the demo on `port` until SIGTERM or SIGINT, and returns the exit code.
pub(super) fn run(port: u16, out: &mut dyn Write) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo(port, out))
}

async fn demo(port: u16, out: &mut dyn Write) -> io::Result<u8> {
    let public_url = format!("http://localhost:{port}");
    let secret = random::text::<32>();
    let client = RegisteredClient {
        id: "demo".to_owned(),
        secret: Some(Secret::new(secret.clone())),
        redirect_uris: vec![format!("{public_url}/oauth2/callback")],
        post_logout_redirect_uris: vec![format!("{public_url}/oauth2/signed_out")],
    };
    let settings = Settings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port.saturating_add(PROVIDER_OFFSET))),
        clients: vec![client],
        access_token_lifetime: ACCESS_TOKEN_LIFETIME,
        ..Settings::default()
    };
    let provider = IdentityProvider::start(settings, Clock::system()).await;
    let (provider, app) = match (provider, SampleApp::start(0).await) {
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
    let opened = match open(&config, &mut PassedSockets::default()).await {
        Ok(opened) => opened,
        Err(error) => return unavailable(&error.to_string()),
    };
    introduce(out, &public_url, &provider)?;
    let shutdown = Shutdown::new();
    let followed = shutdown.clone();
    let served = async {
        tokio::select! {
            () = opened.serve(shutdown) => Ok(SUCCESS),
            Err(error) = async { signals::follow(&followed).await } => Err(error),
        }
    };
    let code = served.await;
    provider.stop().await;
    app.stop().await;
    code
}

fn unavailable(error: &str) -> io::Result<u8> {
    complain(&format!("portcullis demo: {error}"));
    Ok(CANNOT_LISTEN)
}

fn introduce(out: &mut dyn Write, public_url: &str, provider: &IdentityProvider) -> io::Result<()> {
    let (issuer, port) = (provider.issuer(), provider.address().port());
    writeln!(
        out,
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
    )?;
    out.flush()
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
    client_id: demo
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

/// From the gateway's port to the provider's.
pub(super) const PROVIDER_OFFSET: u16 = 2;

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
