//! Lines of the access log.

use std::io::Write;

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::clock::Clock;
use crate::telemetry::json::Json;

/// A log in memory, for this thread only.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// The lines about requests that these bytes cause.
    async fn of(running: Running, sent: &str) -> Vec<String> {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Json::new(Clock::system()))
            .with_writer(log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        drop(running.exchange(sent).await);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .filter(|line| line.contains(r#""target":"access""#))
            .map(str::to_owned)
            .collect()
    }
}

#[track_caller]
fn check(lines: &[String], parts: &[&str]) {
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in parts {
        assert!(lines[0].contains(part), "{part} is missing in {lines:?}");
    }
}

#[tokio::test]
async fn rejected_request_is_logged_with_the_reason() {
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    let lines = Log::of(Running::start(settings()).await, sent).await;
    let reason = r#""reason":"a missing, repeated, malformed or contradicted host""#;
    check(&lines, &[r#""status":400"#, reason]);
}

#[tokio::test]
async fn request_is_logged_in_one_line_without_its_query() {
    let sent = "GET /deny?code=hunter2 HTTP/1.1\r\nHost: a:1\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n";
    let lines = Log::of(Running::start(settings()).await, sent).await;
    check(
        &lines,
        &[
            r#""method":"GET""#,
            r#""host":"a""#,
            r#""path":"/deny""#,
            r#""status":401"#,
            r#""bytes":6"#,
            r#""client":"127.0.0.1""#,
            r#""decision":"deny""#,
            r#""route":"wiki""#,
        ],
    );
    assert!(!lines[0].contains("hunter2") && !lines[0].contains("mine"), "{lines:?}");
}

#[tokio::test]
async fn rejected_request_is_logged_with_its_path() {
    let lines = Log::of(Running::start(settings()).await, "GET /x?y HTTP/1.1\r\n\r\n").await;
    check(&lines, &[r#""path":"/x""#, r#""status":400"#]);
}

#[tokio::test]
async fn address_and_id_of_a_trusted_proxy_are_logged() {
    let trusted_proxies =
        TrustedProxies { networks: vec!["127.0.0.0/8".parse().unwrap()], unix: false };
    let running = Running::start(Settings { trusted_proxies, ..settings() }).await;
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: proxy-1\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n";
    let lines = Log::of(running, sent).await;
    check(&lines, &[r#""request_id":"proxy-1""#, r#""client":"192.0.2.1""#]);
}

#[tokio::test]
async fn unknown_client_is_logged_as_a_dash() {
    let trusted_proxies =
        TrustedProxies { networks: vec!["127.0.0.0/8".parse().unwrap()], unix: false };
    let running = Running::start(Settings { trusted_proxies, ..settings() }).await;
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1, unix:\r\nConnection: close\r\n\r\n";
    check(&Log::of(running, sent).await, &[r#""client":"-""#]);
}
