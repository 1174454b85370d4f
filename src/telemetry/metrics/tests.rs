//! Metrics as a scrape shows them.

use std::collections::BTreeSet;

use super::*;

fn scrape(metrics: &Arc<Metrics>, gauges: Gauges) -> String {
    metrics.exposition(gauges).unwrap()
}

#[track_caller]
fn check(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
}

#[test]
fn request_is_counted_by_route_and_status_class() {
    let metrics = Arc::new(Metrics::new(2));
    let wiki = metrics.route(&Arc::from("wiki"));
    for (status, took) in [(200, 2), (204, 30), (499, 1)] {
        metrics.request_began();
        metrics.request_ended(Some(&wiki), status, Duration::from_millis(took));
    }
    metrics.request_began();
    let text = scrape(&metrics, Gauges::default());
    check(&text, r#"portcullis_requests_total{route="wiki",status="2xx"} 2"#);
    check(&text, r#"portcullis_requests_total{route="wiki",status="4xx"} 1"#);
    check(&text, r#"portcullis_requests_total{route="wiki",status="5xx"} 0"#);
    check(&text, r#"portcullis_request_duration_seconds_sum{route="wiki"} 0.033"#);
    check(&text, r#"portcullis_request_duration_seconds_bucket{le="0.0025",route="wiki"} 2"#);
    check(&text, r#"portcullis_request_duration_seconds_bucket{le="+Inf",route="wiki"} 3"#);
    check(&text, "portcullis_requests_in_flight 1");
    check(&text, r#"portcullis_requests_total{route="(none)",status="2xx"} 0"#);
}

#[test]
fn same_name_gets_same_handle() {
    let metrics = Metrics::default();
    let before = metrics.route(&Arc::from("wiki"));
    assert!(Arc::ptr_eq(&before, &metrics.route(&Arc::from("wiki"))));
    assert!(!Arc::ptr_eq(&before, &metrics.route(&Arc::from("blog"))));
    let provider = metrics.provider(&Arc::from("company"));
    assert!(Arc::ptr_eq(&provider, &metrics.provider(&Arc::from("company"))));
}

#[test]
fn name_without_handle_leaves_no_metrics_and_no_memory() {
    let metrics = Arc::new(Metrics::new(2));
    let named = |text: &str| text.matches("wiki").count() + text.matches("company").count();
    let (route, provider) = (metrics.route(&"wiki".into()), metrics.provider(&"company".into()));
    let under_way = Arc::clone(&route);
    let memory = (Arc::downgrade(&route), Arc::downgrade(&provider));
    drop((route, provider));
    assert!(memory.1.upgrade().is_none());
    metrics.request_ended(Some(&under_way), 200, Duration::ZERO);
    let text = scrape(&metrics, Gauges::default());
    check(&text, r#"portcullis_requests_total{route="wiki",status="2xx"} 1"#);
    drop(under_way);
    assert!(memory.0.upgrade().is_none());
    assert_eq!(named(&scrape(&metrics, Gauges::default())), 0);
}

#[test]
fn requests_of_a_route_that_is_gone_are_not_in_flight() {
    let metrics = Arc::new(Metrics::new(4));
    let wiki = metrics.route(&"wiki".into());
    metrics.request_began();
    metrics.request_began();
    std::thread::scope(|scope| {
        scope.spawn(|| metrics.request_ended(Some(&wiki), 200, Duration::ZERO));
    });
    drop(wiki);
    check(&scrape(&metrics, Gauges::default()), "portcullis_requests_in_flight 1");
    metrics.request_ended(None, 404, Duration::ZERO);
    check(&scrape(&metrics, Gauges::default()), "portcullis_requests_in_flight 0");
}

#[test]
fn scrape_shows_exactly_the_listed_metrics() {
    let metrics = Arc::new(Metrics::default());
    let _store = metrics.session_store();
    let text = scrape(&metrics, Gauges::default());
    let shown: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE portcullis_")?.split_once(' '))
        .map(|(name, kind)| name.to_owned() + if kind == "counter" { "_total" } else { "" })
        .collect();
    let listed: BTreeSet<_> = list::ALL.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(shown, listed);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn operations_on_a_server_with_sessions_are_shown_only_where_there_is_one() {
    let metrics = Arc::new(Metrics::default());
    assert!(!scrape(&metrics, Gauges::default()).contains("session_store"));
    let store = metrics.session_store();
    store.operated(StoreOperation::Read, StoreOutcome::Timeout);
    store.set_up(true);
    let text = scrape(&metrics, Gauges::default());
    check(&text, "portcullis_session_store_up 1");
    check(&text, "portcullis_session_store_evicts 0");
    let timeouts =
        r#"portcullis_session_store_operations_total{operation="read",outcome="timeout"}"#;
    check(&text, &format!("{timeouts} 1"));
    drop(store);
    assert!(!scrape(&metrics, Gauges::default()).contains("session_store"));
}

#[test]
fn gauges_are_shown() {
    let gauges = Gauges {
        connections: 3,
        sessions: 2,
        providers_up: [("company".into(), true), ("other".into(), false)].into(),
        upstreams: [("http://wiki:8080".to_owned(), (1, 4))].into(),
        certificates: [("tls.crt".to_owned(), UnixTime(7))].into(),
        ..Gauges::default()
    };
    let text = scrape(&Arc::default(), gauges);
    check(&text, "portcullis_connections 3");
    check(&text, "portcullis_sessions 2");
    check(&text, r#"portcullis_provider_up{provider="company"} 1"#);
    check(&text, r#"portcullis_provider_up{provider="other"} 0"#);
    check(&text, r#"portcullis_upstream_connections{upstream="http://wiki:8080",state="idle"} 1"#);
    check(&text, r#"portcullis_upstream_connections{upstream="http://wiki:8080",state="busy"} 4"#);
    check(&text, r#"portcullis_certificate_expiry_timestamp_seconds{name="tls.crt"} 7"#);
    check(&text, r#"portcullis_log_lines_lost_total{kind="audit"} 0"#);
}

#[test]
fn special_characters_in_label_are_escaped() {
    let metrics = Arc::new(Metrics::default());
    let odd = metrics.route(&Arc::from("a\"} 1\nb\\"));
    odd.denied("groups".into());
    let text = scrape(&metrics, Gauges::default());
    check(&text, r#"portcullis_denials_total{route="a\"} 1\nb\\",reason="groups"} 1"#);
}

#[test]
fn label_values_and_indexes_are_distinct() {
    fn distinct<L: Label>() -> bool {
        let words: BTreeSet<_> = L::ALL.iter().map(|label| label.as_str()).collect();
        words.len() == L::ALL.len()
            && L::ALL.iter().enumerate().all(|(at, label)| label.place() == at)
    }
    assert!(distinct::<SignIn>() && distinct::<Refresh>() && distinct::<SignOut>());
    assert!(distinct::<ProviderEndpoint>() && distinct::<Limit>() && distinct::<StatusClass>());
}
