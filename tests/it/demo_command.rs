//! `portcullis demo` as a person uses it: what it prints, its pages, its log.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::support::browser::Browser;
use crate::support::gateway::Gateway;

/// A running `portcullis demo`, whole or a part of it.
struct Running {
    child: Child,
    /// What it printed at the start.
    printed: String,
}

impl Running {
    /// Starts it with these arguments; `None` if it ends instead.
    fn start(arguments: &[&str]) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("demo")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while !printed.contains("\nStop ") {
            if out.read_line(&mut printed).unwrap() == 0 {
                child.wait().unwrap();
                return None;
            }
        }
        Some(Self { child, printed })
    }

    fn part(arguments: &[&str]) -> Self {
        Self::start(&[&["--part"], arguments].concat()).unwrap()
    }

    /// The word after this one.
    fn word_after(&self, word: &str) -> &str {
        let rest = self.printed.split_once(word).unwrap_or_else(|| panic!("{}", self.printed)).1;
        rest.split_whitespace().next().unwrap()
    }

    /// Ends it as a container runtime does, and returns what it wrote to standard error.
    fn stop(&mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The whole demo.
struct Demo {
    running: Running,
    port: u16,
}

impl Demo {
    /// Starts the demo on a port that is free, as is the provider's. Another process can take one of them in between,
    /// so it tries again.
    fn start() -> Self {
        let start = |_| {
            let port = two_free_ports()?;
            Some(Self { running: Running::start(&["--port", &port.to_string()])?, port })
        };
        (0..20).find_map(start).unwrap()
    }

    fn browser(&self) -> Browser {
        Browser::at(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }
}

fn two_free_ports() -> Option<u16> {
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gateway.local_addr().unwrap().port();
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.checked_add(2)?)).ok().map(|_| port)
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_signs_alice_in_and_logs_it_as_text() {
    let mut demo = Demo::start();
    let issuer = format!("http://127.0.0.1:{}", demo.port + 2);
    assert!(demo.running.printed.contains(&issuer), "{}", demo.running.printed);

    let mut browser = demo.browser();
    let public = browser.open(&demo.url("/public")).await;
    let start = "start?rd=%2Fpublic\">Sign in<";
    assert!(public.body.contains(start), "{}", public.body);

    let form = browser.open(&demo.url("/")).await;
    assert!(form.url.as_str().starts_with(&issuer), "{}", form.url);
    let page = browser.fill(&form, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, &*demo.url("/")));
    let position = |text: &str| {
        page.body.find(text).unwrap_or_else(|| panic!("{text} is not in {}", page.body))
    };
    for path in ["/public", "/staff", "/oauth2/sign_out"] {
        position(&format!("href=\"{path}\""));
    }
    position("Hello, alice<");
    position("<th scope=\"row\">x-forwarded-user</th><td>alice</td>");
    let sections = [
        "Added by Portcullis",
        ">x-forwarded-user<",
        ">x-forwarded-for<",
        "Sent by the client",
        ">sec-fetch-mode<",
    ];
    let positions = sections.map(position);
    assert!(positions.is_sorted(), "{}", page.body);
    assert_eq!(browser.fetch(&demo.url("/oauth2/userinfo")).await.json()["user"], "alice");
    assert_eq!(browser.fetch(&demo.url("/staff")).await.status, 200);
    browser.open(&demo.url("/oauth2/sign_out")).await;

    let log = demo.running.stop();
    let audit: Vec<_> = log.lines().filter(|line| line.contains(" audit: ")).collect();
    for event in ["sign_in", "sign_out"] {
        let line = audit.iter().find(|line| line.contains(&format!("event=\"{event}\"")));
        assert!(line.is_some_and(|line| line.contains("client=127.0.0.1")), "{event}: {log}");
    }
    assert!(!log.contains('{'), "the log is text: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_alone_work_with_a_gateway_that_is_configured_separately() {
    let mut provider = Running::part(&["provider", "--port", "4321", "--listen", "127.0.0.1:0"]);
    let mut app = Running::part(&["application", "--listen", "127.0.0.1:0"]);
    let (issuer, app_address) = (provider.word_after("Provider"), app.word_after("listens on"));
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"http://localhost:4321\" }}
admin: {{ listen: \"off\" }}
providers:
  demo: {{ issuer: \"{issuer}\", client_id: demo, token_endpoint_auth_method: none }}
routes: [{{ upstream: \"http://{app_address}\", allow: [{{ groups: [staff] }}] }}]
"
    ));
    let mut browser = Browser::new(&gateway);
    let form = browser.open("http://localhost:4321/").await;
    assert!(form.url.as_str().starts_with(issuer), "{}", form.url);
    let page = browser.fill(&form, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, "http://localhost:4321/"));
    assert!(page.body.contains("alice@example.com"), "{}", page.body);
    let page = browser.open("http://localhost:4321/oauth2/sign_out").await;
    assert_eq!(page.url.path(), "/oauth2/signed_out");
    for part in [&mut provider, &mut app] {
        assert_eq!(part.stop(), "", "no warning on loopback");
    }
}

#[test]
fn part_beyond_loopback_warns_and_its_issuer_is_an_address_of_loopback() {
    for (part, danger) in [("provider", "can sign in"), ("application", "any identity header")] {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let mut part = Running::part(&[part, "--listen", address]);
            if danger == "can sign in" {
                let issuer = part.word_after("Provider");
                let loopback = ["http://127.0.0.1:", "http://[::1]:"];
                assert!(loopback.iter().any(|it| issuer.starts_with(it)), "{issuer}");
            }
            let warning = part.stop();
            assert!(warning.contains("beyond loopback") && warning.contains(danger), "{warning}");
        }
    }
}

#[test]
fn part_with_arguments_that_do_not_fit_is_a_usage_error() {
    for arguments in [
        &["--listen", "127.0.0.1:0"][..],
        &["--part", "gateway"],
        &["--part", "provider", "--listen", "4182"],
        &["--part", "application", "--port", "4180"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output = command.arg("demo").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
    }
}

#[test]
fn part_whose_address_is_taken_cannot_listen() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for part in ["provider", "application"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output = command.args(["demo", "--part", part, "--listen", &address]).output().unwrap();
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
    }
}
