//! What the operator sees: metrics, health, audit lines; and that they contain no secret.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use portcullis::telemetry::metrics::{
    Label, Limit, LogLine, ProviderEndpoint, Refresh, SignIn, SignOut, StoreOperation,
    StoreOutcome, list,
};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::browser::Browser;
use crate::support::faults::{AuthorizationFault, DemoEndpoint, Fault, NetworkFault};
use crate::support::gateway::Gateway;
use crate::support::operator::{ask, gateway, until, value};
use crate::support::provider;
use crate::support::stack::{Builder, Stack};
use crate::support::wait;
use crate::support::wire::Wire;

/// The lines of the log that have `text` in them, once there is one.
fn lines(gateway: &Gateway, text: &str) -> Vec<String> {
    gateway.log_until(text).into_iter().filter(|line| line.contains(text)).collect()
}

/// The first audit line of an event.
fn audit(gateway: &Gateway, event: &str) -> Value {
    let line = lines(gateway, &format!("\"event\":\"{event}\"")).remove(0);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["target"], &line["level"]), (&"audit".into(), &"INFO".into()));
    line
}

/// Routes `wiki` for signed-in users, `closed` for a group that has no member, and `open`.
fn builder() -> Builder {
    Stack::builder().admin().routes([
        "name: wiki, UPSTREAM, allow: authenticated",
        "name: closed, path: /closed, UPSTREAM, allow: [{ groups: [no-member] }]",
        "name: open, path: /open, UPSTREAM, allow: public, request_body: 100",
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_list_matches_the_endpoint_and_the_readme() {
    let gateway = gateway("", "routes: [{ upstream: \"http://127.0.0.1:1\", allow: public }]\n");
    let answer = ask(&gateway, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let shown: BTreeSet<_> = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE portcullis_")?.split_once(' '))
        .map(|(name, kind)| format!("{name}{}", if kind == "counter" { "_total" } else { "" }))
        .collect();
    // Sessions are in memory here.
    let listed = list::ALL.iter().filter(|metric| !metric.name.starts_with("session_store_"));
    assert_eq!(shown, listed.map(|metric| metric.name.to_owned()).collect());
    for metric in list::PROCESS {
        let series = format!("\n{} ", metric.name);
        let (_, value) = answer.body.split_once(&series).unwrap_or_else(|| panic!("{series}"));
        assert!(value.lines().next().unwrap().parse::<f64>().unwrap() >= 0.0, "{series}{value}");
    }

    let section = readme_section();
    let documented = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<_> =
        documented.map(|(name, _)| name).filter(|name| !name.starts_with('/')).collect();
    let wanted: BTreeSet<_> = list::ALL
        .iter()
        .chain(&list::PROCESS)
        .map(|metric| match metric.labels {
            [] => metric.name.to_owned(),
            labels => format!("{}{{{}}}", metric.name, labels.join(",")),
        })
        .collect();
    assert_eq!(documented, wanted.iter().map(String::as_str).collect());
}

/// The section of the README about metrics.
fn readme_section() -> &'static str {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n### Health and metrics\n").nth(1).unwrap();
    section.split("\n### ").next().unwrap()
}

#[test]
fn readme_names_every_label_value_of_the_program() {
    fn check<L: Label>(metric: &str) {
        let row = readme_section().lines().find(|line| line.starts_with(&format!("| `{metric}{{")));
        let row = row.unwrap_or_else(|| panic!("no row of {metric}"));
        for value in L::ALL.iter().map(|value| value.as_str()) {
            assert!(row.contains(&format!("`{value}`")), "{metric}: {value}");
        }
    }
    check::<Limit>("limit_hits_total");
    check::<SignIn>("sign_ins_total");
    check::<Refresh>("refreshes_total");
    check::<SignOut>("sign_outs_total");
    check::<StoreOperation>("session_store_operations_total");
    check::<StoreOutcome>("session_store_operations_total");
    check::<LogLine>("log_lines_lost_total");
    check::<ProviderEndpoint>("provider_request_duration_seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn metric_changes_with_what_it_counts() {
    let stack = builder().token_lifetime(Duration::from_secs(1)).start().await;
    let (gateway, upstream) = (&stack.gateway, &stack.upstream);
    let mut browser = Browser::new(gateway);
    assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
    assert_eq!(browser.fetch("/closed").await.status, 403);
    assert_eq!(browser.submit("/open", &[("text", &"x".repeat(200))]).await.status, 413);
    let refreshed = r#"refreshes_total{provider="company",outcome="success"}"#;
    let fetched = async || {
        browser.fetch("/").await;
        value(gateway, refreshed).await >= Some(1.0)
    };
    wait::until("a refresh is counted", fetched).await;
    for (series, least) in [
        (r#"requests_total{route="wiki",status="2xx"}"#, 1.0),
        (r#"requests_total{route="wiki",status="3xx"}"#, 1.0),
        (r#"requests_total{route="closed",status="4xx"}"#, 1.0),
        (r#"requests_total{route="open",status="4xx"}"#, 1.0),
        (r#"requests_total{route="(gateway)",status="3xx"}"#, 2.0),
        (r#"request_duration_seconds_count{route="wiki"}"#, 2.0),
        (r#"denials_total{route="closed",reason="groups"}"#, 1.0),
        ("sessions", 1.0),
        (r#"sign_ins_total{provider="company",outcome="success"}"#, 1.0),
        (r#"provider_up{provider="company"}"#, 1.0),
        (
            r#"provider_request_duration_seconds_count{provider="company",endpoint="discovery"}"#,
            1.0,
        ),
        (r#"provider_request_duration_seconds_count{provider="company",endpoint="jwks"}"#, 1.0),
        (r#"provider_request_duration_seconds_count{provider="company",endpoint="token"}"#, 2.0),
        (r#"limit_hits_total{limit="request_body"}"#, 1.0),
        ("config_generation", 1.0),
        (concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        let found = value(gateway, series).await;
        assert!(found >= Some(least), "{series} is {found:?}");
    }

    let (idle, busy) = ["idle", "busy"]
        .map(|state| {
            format!(
                "upstream_connections{{upstream=\"http://{}\",state=\"{state}\"}}",
                upstream.address
            )
        })
        .into();
    until(gateway, &idle, |count| count >= 1.0).await;
    let mut under_way = TcpStream::connect(gateway.address).await.unwrap();
    let part = b"POST /open HTTP/1.1\r\nHost: wiki.localhost\r\nContent-Length: 9\r\n\r\npart";
    under_way.write_all(part).await.unwrap();
    until(gateway, "requests_in_flight", |count| count == 1.0).await;
    until(gateway, &busy, |count| count == 1.0).await;
    until(gateway, "connections", |count| count == 1.0).await;
    drop(under_way);
    until(gateway, "requests_in_flight", |count| count == 0.0).await;
    until(gateway, "connections", |count| count == 0.0).await;

    browser.navigate("/oauth2/sign_out").await;
    assert_eq!(value(gateway, r#"sign_outs_total{kind="provider"}"#).await, Some(1.0));
    assert_eq!(value(gateway, "sessions").await, Some(0.0));
    let revocation =
        r#"provider_request_duration_seconds_count{provider="company",endpoint="revocation"}"#;
    until(gateway, revocation, |count| count == 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_event_has_a_line_with_its_fields() {
    let stack = builder().token_lifetime(Duration::from_secs(1)).start().await;
    let (gateway, provider) = (&stack.gateway, &stack.provider);
    let mut browser = Browser::new(gateway);
    provider::sign_in(&mut browser, "/", "alice").await;
    let line = audit(gateway, "sign_in");
    assert_eq!((&line["provider"], &line["subject"]), (&"company".into(), &"demo-alice".into()));
    assert_eq!(line["client"], "127.0.0.1");
    let session = line["session"].as_str().unwrap().to_owned();
    assert_eq!((session.len(), &line["email"]), (8, &"alice@example.com".into()));

    let denied = browser.fetch("/closed").await;
    let line = audit(gateway, "denied");
    assert_eq!(line["request_id"], denied.json()["request_id"]);
    assert_eq!((&line["route"], &line["reason"]), (&"closed".into(), &"groups".into()));
    assert_eq!(
        (&line["subject"], &line["email"]),
        (&"demo-alice".into(), &"alice@example.com".into())
    );

    provider.revoke_all();
    wait::until("the session has ended", async || browser.fetch("/").await.status == 401).await;
    gateway.log_until_all(&["refresh failed", &format!("\"session\":\"{session}\"")]);
    let line = audit(gateway, "session_ended");
    assert_eq!((&line["session"], &line["reason"]), (&session.as_str().into(), &"ended".into()));

    let mut browser = Browser::new(gateway);
    provider::sign_in(&mut browser, "/", "bob").await;
    browser.navigate("/oauth2/sign_out").await;
    let line = audit(gateway, "sign_out");
    assert_eq!((&line["subject"], &line["kind"]), (&"demo-bob".into(), &"provider".into()));
    assert_eq!(line["client"], "127.0.0.1");
    let request_id = line["request_id"].as_str().expect("the audit line has the request ID");
    gateway.log_until_all(&["\"path\":\"/oauth2/sign_out\"", request_id]);

    provider.set_faults(&[Fault::Authorization(AuthorizationFault::IssOther)]);
    let failed = provider::sign_in(&mut Browser::new(gateway), "/", "alice").await;
    let line = audit(gateway, "sign_in_failed");
    // The reference of the page is the end of the request ID.
    let request_id = line["request_id"].as_str().unwrap();
    let reference = &request_id[request_id.len() - 8..];
    assert!(failed.body.contains(reference), "{reference}: {}", failed.body);
    assert_eq!((&line["provider"], &line["reason"]), (&"company".into(), &"bad_response".into()));
    let failed = r#"sign_ins_total{provider="company",outcome="bad_response"}"#;
    assert_eq!(value(gateway, failed).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reached_limit_is_counted_and_logged_with_throttling() {
    let stack = Stack::builder()
        .server("limits: { connections: 20 }")
        .admin()
        .sections("session: { max_sessions_per_user: 1 }")
        .start()
        .await;
    let (gateway, provider) = (&stack.gateway, &stack.provider);
    let began = Instant::now();
    let groups: Vec<String> = (0..900).map(|number| format!("group-{number:03}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    provider.set_groups("alice", &groups);
    let (mut first, mut second) = (Browser::new(gateway), Browser::new(gateway));
    let received = provider::sign_in(&mut first, "/", "alice").await.json();
    assert!(received["headers"]["x-forwarded-groups"].is_null(), "{received}");
    assert_eq!(received["headers"]["x-forwarded-email"], "alice@example.com");
    provider::sign_in(&mut second, "/", "alice").await;
    assert_eq!(first.fetch("/").await.status, 401, "the older session has left");
    let mut idle = Wire::to(gateway).await;
    idle.say("GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n").await;
    idle.head().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    for limit in ["identity_headers", "sessions_per_user", "idle_connections"] {
        until(gateway, &format!("limit_hits_total{{limit=\"{limit}\"}}"), |hits| hits >= 1.0).await;
        let lines = lines(gateway, &format!("\"limit\":\"{limit}\""));
        assert!(lines.len() <= lines_since(began), "{lines:?}");
    }
}

/// How many lines there may be of a message that is logged once in ten seconds.
fn lines_since(began: Instant) -> usize {
    1 + usize::try_from(began.elapsed().as_secs() / 10).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_metrics_have_no_secret() {
    let stack = builder()
        .sections("telemetry: { log: { level: trace } }")
        .token_lifetime(Duration::from_secs(1))
        .start()
        .await;
    let (gateway, provider) = (&stack.gateway, &stack.provider);
    let mut browser = Browser::new(gateway);
    let page = browser.open("/?canary=query").await;
    let mut secrets: Vec<String> = vec!["canary".into(), "a-well-kept-secret".into()];
    let parameters: Vec<_> = page.url.query_pairs().into_owned().collect();
    for name in ["state", "nonce", "code_challenge"] {
        let found = parameters.iter().find(|(given, _)| given == name);
        secrets.push(found.unwrap_or_else(|| panic!("no {name} in {}", page.url)).1.clone());
    }
    let back = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!(back.status, 200, "{back:?}");
    secrets.push(browser.cookie("/", "portcullis").unwrap().to_owned());
    secrets.push(browser.cookie("/", "portcullis-login").unwrap().to_owned());
    let refreshed = r#"refreshes_total{provider="company",outcome="success"}"#;
    let denied = async || {
        browser.fetch("/closed?canary=denied").await;
        value(gateway, refreshed).await >= Some(1.0)
    };
    wait::until("a refresh is counted", denied).await;
    browser.fetch("/oauth2/callback?state=canary-state&code=canary-code").await;
    provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Html)]);
    browser.navigate("/oauth2/sign_out?rd=%2F%3Fcanary").await;
    // The provider remembers alice, and does not ask again.
    assert_eq!(browser.open("/?canary=again").await.status, 502);
    let metrics = ask(gateway, "/metrics").await.body;
    browser.fetch("/oauth2/ping").await;
    let log = gateway.log_until("/oauth2/ping");
    for secret in &secrets {
        assert!(!metrics.contains(secret), "{secret} in the metrics");
        let line = log.iter().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret} in the log");
    }
    let bearer = log.iter().find(|line| line.contains("eyJ") || line.contains("?code="));
    assert_eq!(bearer, None, "a token or a callback in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_upstream_is_logged_with_its_cause_and_throttled() {
    let routes = "routes:\n  - { upstream: \"http://127.0.0.1:1\", allow: public }\n  \
         - { path: /named, upstream: \"http://nowhere.invalid:81\", allow: public }\n";
    let gateway = gateway("", routes);
    let mut browser = Browser::new(&gateway);
    let began = Instant::now();
    for path in ["/", "/", "/named", "/named", "/"] {
        assert_eq!(browser.fetch(path).await.status, 502);
    }
    assert_eq!(browser.fetch("/last").await.status, 502);
    let log = gateway.log_until("\"/last\"");
    let reports = log.iter().filter(|line| line.contains("requests to the upstream fail"));
    let reports: Vec<Value> = reports.map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        ("http://127.0.0.1:1", "cannot connect to the upstream at 127.0.0.1:1: "),
        ("http://nowhere.invalid:81", "cannot resolve the upstream's host name nowhere.invalid: "),
    ];
    for (upstream, error) in expected {
        let lines: Vec<_> = reports.iter().filter(|line| line["upstream"] == upstream).collect();
        assert!((1..=lines_since(began)).contains(&lines.len()), "{reports:?}");
        for line in lines {
            assert_eq!(line["level"], "WARN");
            assert!(line["error"].as_str().unwrap().starts_with(error), "{line}");
        }
    }
}
