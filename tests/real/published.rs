//! Each folder of `deploy/` as a user copies it: the server, Portcullis, and what the README of the folder says to see.
//! Invariant: nothing in the files changes but addresses, paths and the provider; names and TLS stay.

use std::fs;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::component::{
    Edits, Server, Site, caddy, envoy, envoy_grpc, example, haproxy, nginx, traefik,
};
use crate::support::faults::{IdentityProvider, Settings};
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::upstream::Upstream;
use portcullis::clock::Clock;

macro_rules! folders {
    ($($name:ident, $folder:literal, $start:path;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                works_as_its_readme_says($folder, $start).await;
            }
        )+
    };
}

folders! {
    folder_of_nginx_works_as_its_readme_says, "nginx", nginx::published;
    folder_of_haproxy_works_as_its_readme_says, "haproxy", haproxy::published;
    folder_of_caddy_works_as_its_readme_says, "caddy", caddy::published;
    folder_of_caddy_works_with_caddy_of_debian, "caddy", caddy::published_debian;
    folder_of_traefik_works_as_its_readme_says, "traefik", traefik::published;
    folder_of_envoy_works_as_its_readme_says, "envoy", envoy::published;
    folder_of_envoy_over_grpc_works_as_its_readme_says, "envoy-grpc", envoy_grpc::published;
}

async fn works_as_its_readme_says(folder: &str, start: impl AsyncFnOnce(&Site) -> Server) {
    let published = publish(folder, &[], start).await;
    let Published { server, gateway, .. } = &published;
    let readme = example(&format!("{folder}/README.md"), &[]);
    let commands = commands_of(&readme);
    assert!(commands.len() > 2, "commands of the README: {commands:?}");
    for (command, output) in commands {
        assert_eq!(server.curl(&command), output, "{command}");
    }

    let mut browser = server.browser();
    let page = browser.open("https://wiki.example.com/page?a=1&b=%2F").await;
    let page = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!(page.url.as_str(), "https://wiki.example.com/page?a=1&b=%2F", "{page:?}");
    let seen = page.json();
    assert_eq!(seen["headers"]["x-forwarded-email"], "alice@example.com");
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
    assert_eq!(seen["headers"]["host"], "wiki.example.com");
    gateway.log_until_all(&["\"audit\"", "sign_in", "127.0.0.2"]);
}

/// The symptom of a proxy that is only in `forward_auth.clients`.
#[tokio::test(flavor = "multi_thread")]
async fn sign_in_through_a_server_that_is_not_trusted_has_the_address_of_the_server() {
    tokio::join!(
        // nginx cannot write the page to return to into a URL, so it sends a header.
        Box::pin(sign_in_untrusted("nginx", "/", nginx::published)),
        Box::pin(sign_in_untrusted("haproxy", "/page", haproxy::published)),
        Box::pin(sign_in_untrusted("caddy", "/page", caddy::published)),
        Box::pin(sign_in_untrusted("traefik", "/page", traefik::published)),
        Box::pin(sign_in_untrusted("envoy", "/page", envoy::published)),
    );
}

async fn sign_in_untrusted(folder: &str, end: &str, start: impl AsyncFnOnce(&Site) -> Server) {
    let untrusted = [("  trusted_proxies: [127.0.0.1/32]\n", "")];
    let published = publish(folder, &untrusted, start).await;
    let Published { server, gateway, .. } = &published;
    let mut browser = server.browser();
    let page = browser.open("https://wiki.example.com/page").await;
    let page = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, end), "{folder}: {page:?}");
    gateway.log_until_all(&["\"sign_in\"", "\"client\":\"127.0.0.1\""]);
    gateway.log_until("every visitor through 127.0.0.1 counts as one client");
}

/// A folder at work.
struct Published {
    server: Server,
    gateway: Gateway,
    _application: Upstream,
    _provider: IdentityProvider,
}

async fn publish(
    folder: &str,
    edits: Edits<'_>,
    start: impl AsyncFnOnce(&Site) -> Server,
) -> Published {
    let application = Upstream::start().await;
    let provider = provider_for_the_example().await;
    let gateway = run(folder, &provider, edits);
    let auth = gateway.address_of("forward auth listening");
    let site = Site { gateway: gateway.address, auth, application: application.address };
    let server = start(&site).await;
    Published { server, gateway, _application: application, _provider: provider }
}

/// Portcullis with the configuration of the folder, which `check` must find without fault.
fn run(folder: &str, provider: &IdentityProvider, edits: Edits<'_>) -> Gateway {
    let files = TempDir::new().unwrap();
    let (file, secret) = (files.path().join("portcullis.yaml"), files.path().join("client_secret"));
    let own = [
        ("listen: 127.0.0.1:4182", "listen: 127.0.0.1:0"),
        ("https://id.example.com/realms/main", provider.issuer()),
        ("/run/secrets/client_secret", secret.to_str().unwrap()),
    ];
    fs::write(&file, example(&format!("{folder}/portcullis.yaml"), &[edits, &own].concat()))
        .unwrap();
    fs::write(&secret, "wiki-and-company\n").unwrap();
    let portcullis = |command: &str| {
        let mut portcullis = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        portcullis.arg(command).arg("--config").arg(&file);
        portcullis.env("PORTCULLIS_LISTEN", "127.0.0.1:0");
        portcullis.env("PORTCULLIS_ADMIN_LISTEN", "127.0.0.1:0");
        portcullis
    };
    let checked = portcullis("check").output().unwrap();
    let found = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && found.lines().count() == 1, "{found}");
    Gateway::start_command(portcullis("run"), files)
}

async fn provider_for_the_example() -> IdentityProvider {
    let mut settings = Settings { access_token_lifetime: A_MINUTE, ..provider::settings() };
    for client in &mut settings.clients {
        let home = "https://wiki.example.com/oauth2";
        client.redirect_uris = vec![format!("{home}/callback")];
        client.post_logout_redirect_uris = vec![format!("{home}/signed_out")];
    }
    IdentityProvider::start(settings, Clock::system()).await.unwrap()
}

/// The commands of the blocks `console`, each with the output below it.
pub(crate) fn commands_of(readme: &str) -> Vec<(String, String)> {
    let blocks = readme.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands = blocks.flat_map(|block| block.split("$ ").skip(1));
    commands
        .map(|command| {
            let (command, output) = command.split_once('\n').unwrap();
            (command.to_owned(), output.to_owned())
        })
        .collect()
}

const A_MINUTE: Duration = Duration::from_secs(60);
