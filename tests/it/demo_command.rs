//! `portcullis demo` as a person uses it: what it prints, its pages, its log.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::support::browser::Browser;

/// A running demo.
struct Demo {
    child: Child,
    port: u16,
    /// What it printed at the start.
    printed: String,
}

impl Demo {
    /// Starts the demo on a port that is free, as is the provider's. Another process can take one of them in between,
    /// so it tries again.
    fn start() -> Self {
        (0..20).find_map(|_| Self::start_on(two_free_ports()?)).unwrap()
    }

    fn start_on(port: u16) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["demo", "--port", &port.to_string()])
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
        Some(Self { child, port, printed })
    }

    fn browser(&self) -> Browser {
        Browser::at(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// Ends it, and returns its log.
    fn log(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn two_free_ports() -> Option<u16> {
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gateway.local_addr().unwrap().port();
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.checked_add(2)?)).ok().map(|_| port)
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_signs_alice_in_and_logs_it_as_text() {
    let demo = Demo::start();
    let issuer = format!("http://127.0.0.1:{}", demo.port + 2);
    assert!(demo.printed.contains(&issuer), "{}", demo.printed);

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

    let log = demo.log();
    let audit: Vec<_> = log.lines().filter(|line| line.contains(" audit: ")).collect();
    for event in ["sign_in", "sign_out"] {
        let line = audit.iter().find(|line| line.contains(&format!("event=\"{event}\"")));
        assert!(line.is_some_and(|line| line.contains("client=127.0.0.1")), "{event}: {log}");
    }
    assert!(!log.contains('{'), "the log is text: {log}");
}
