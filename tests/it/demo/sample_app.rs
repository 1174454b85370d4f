//! The application that shows what it received.

use super::*;

async fn start() -> SampleApp {
    SampleApp::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

async fn ask(app: &SampleApp, request: &str, limit: u64) -> String {
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = String::new();
    stream.take(limit).read_to_string(&mut received).await.unwrap();
    received
}

#[tokio::test]
async fn page_shows_the_request_escaped() {
    let app = start().await;
    let request = "PUT /a?b=%3Cb%3E HTTP/1.1\r\nhost: wiki\r\nx-forwarded-user: 1\r\n\
                   x-forwarded-preferred-username: alice\r\n\
                   x-odd: <script>alert(1)</script>\r\nconnection: close\r\n\r\n";
    let page = ask(&app, request, 100_000).await;
    assert!(page.contains("Hello, alice") && page.contains("PUT"), "{page}");
    assert!(page.contains("x-odd") && page.contains("&lt;script&gt;") && !page.contains("<script"));
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
}

#[tokio::test]
async fn api_echoes_the_request() {
    let app = start().await;
    let request = "POST /api?q=1 HTTP/1.1\r\nhost: wiki\r\nx-a: 1\r\nx-a: 2\r\n\
                   content-length: 5\r\nconnection: close\r\n\r\nhello";
    let answer = ask(&app, request, 100_000).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let echo: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&echo["method"], &echo["path"]), (&json!("POST"), &json!("/api")));
    assert_eq!((&echo["query"], &echo["body"]), (&json!("q=1"), &json!("hello")));
    let headers = echo["headers"].as_array().unwrap();
    assert!(headers.contains(&json!({"name": "x-a", "value": "2"})), "{body}");
}

#[tokio::test]
async fn event_stream_ticks() {
    let app = start().await;
    let stream = ask(&app, "GET /events HTTP/1.1\r\nhost: wiki\r\n\r\n", 170).await;
    assert!(stream.contains("content-type: text/event-stream"), "{stream}");
    assert!(stream.contains("data: tick 1\n\n"), "{stream}");
}
