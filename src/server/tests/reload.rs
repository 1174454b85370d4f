//! Settings that are replaced while the server runs.

use super::*;

fn trusting() -> Settings {
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let trusted_proxies = TrustedProxies { networks, unix: false };
    Settings { trusted_proxies, ..settings() }
}

impl Running {
    async fn prepare(&self, settings: &Settings) -> Result<Next, Error> {
        self.server.prepare(settings, context(), &PassedSockets::default()).await
    }

    pub(super) async fn replace(&self, settings: &Settings) {
        let next = self.prepare(settings).await.unwrap();
        self.server.switch(next, Arc::clone(&self.app));
    }
}

async fn get(stream: &mut TcpStream, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await
}

#[tokio::test]
async fn proxy_gains_and_loses_trust_on_its_open_connection() {
    let running = Running::start(trusting()).await;
    let mut stream = running.connect().await;
    for (settings, client) in [
        (trusting(), "for 192.0.2.1 "),
        (settings(), "for 127.0.0.1 "),
        (trusting(), "for 192.0.2.1 "),
    ] {
        running.replace(&settings).await;
        let answer = get(&mut stream, "/").await;
        assert!(answer.contains(client), "{answer}");
    }
}

#[tokio::test]
async fn connection_keeps_the_limits_and_timeouts_of_its_accept() {
    let running = Running::start(settings()).await;
    let mut kept = running.connect().await;
    let long = format!("/{}", "x".repeat(100));
    assert!(get(&mut kept, &long).await.starts_with("HTTP/1.1 200"));
    let limits = Limits { target_bytes: 64, ..Limits::default() };
    let timeouts =
        ServerTimeouts { keep_alive: Duration::from_millis(100), ..ServerTimeouts::default() };
    running.replace(&Settings { limits, timeouts, ..settings() }).await;
    let mut later = running.connect().await;
    assert!(get(&mut later, "/").await.starts_with("HTTP/1.1 200"));
    assert_eq!(until_closed(&mut later).await, "", "closed after keep_alive");
    let mut later = running.connect().await;
    assert!(get(&mut later, &long).await.starts_with("HTTP/1.1 414"));
    assert!(get(&mut kept, &long).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn limit_per_client_takes_effect_on_the_next_connection() {
    let running = Running::start(settings()).await;
    let mut first = running.connect().await;
    assert!(get(&mut first, "/").await.starts_with("HTTP/1.1 200"));
    let limits = Limits { connections_per_client: Some(1), ..Limits::default() };
    running.replace(&Settings { limits, ..settings() }).await;
    let (mut second, mut third) = (running.connect().await, running.connect().await);
    assert!(get(&mut second, "/").await.starts_with("HTTP/1.1 200"));
    assert!(get(&mut third, "/").await.starts_with("HTTP/1.1 503"));
    running.replace(&settings()).await;
    let mut fourth = running.connect().await;
    assert!(get(&mut fourth, "/").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn unusable_certificate_leaves_the_settings_in_effect() {
    let running = Running::start(trusting()).await;
    let mut broken = settings();
    broken.certificates = vec![CertifiedPair {
        name: "a.pem".to_owned(),
        certificate: String::new(),
        key: crate::secret::Secret::new(String::new()),
    }];
    let error = running.prepare(&broken).await.unwrap_err().to_string();
    assert!(error.contains("a.pem"), "{error}");
    let answer = get(&mut running.connect().await, "/").await;
    assert!(answer.contains("for 192.0.2.1 "), "{answer}");
}
