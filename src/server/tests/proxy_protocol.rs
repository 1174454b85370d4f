//! The PROXY protocol: whose address counts, and which connections are closed.

use hyper_util::rt::TokioExecutor;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::secret::Secret;

/// A server that expects headers from these networks.
fn expecting(trusted: &str) -> Settings {
    Settings {
        trusted_proxies: TrustedProxies { networks: vec![trusted.parse().unwrap()], unix: true },
        proxy_protocol: ProxyProtocol::On,
        ..settings()
    }
}

async fn behind_a_balancer() -> Running {
    Running::start(expecting("127.0.0.0/8")).await
}

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A header of version 2: command, family and the rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, rest].concat()
}

const TCP4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 1, 187];

fn tcp6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    [&source.octets()[..], &[0; 16], &[1, 2, 3, 4]].concat()
}

#[track_caller]
fn assert_client(answer: &str, header: &[u8], client: &str) {
    let header = String::from_utf8_lossy(header);
    assert!(answer.contains(&format!(" for {client} fields ")), "{header:?} {client}: {answer}");
}

#[tokio::test]
async fn announced_client_is_the_peer() {
    let running = behind_a_balancer().await;
    // Extensions: the authority, and a checksum, which is not verified.
    let extended = [&TCP4[..], &[0x02, 0, 3, b'a', b'.', b'b', 0x03, 0, 4, 0, 0, 0, 0]].concat();
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4660 443\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4660 443\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "-"),
        (b"PROXY UNKNOWN 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), "-"),
        (v2(1, 0x11, &TCP4), "192.0.2.7"),
        (v2(1, 0x11, &extended), "192.0.2.7"),
        (v2(1, 0x11, &[&TCP4[..], &[0; 2000]].concat()), "192.0.2.7"),
        (v2(1, 0x21, &tcp6("2001:db8::7")), "2001:db8::7"),
        (v2(1, 0x21, &tcp6("::ffff:192.0.2.7")), "192.0.2.7"),
        // The proxy itself.
        (v2(0, 0x00, &[]), "127.0.0.1"),
        (v2(0, 0x11, &TCP4), "127.0.0.1"),
        // Clients without an address: unspecified, UDP, on a unix socket.
        (v2(1, 0x00, &[]), "-"),
        (v2(1, 0x00, &TCP4), "-"),
        (v2(1, 0x12, &TCP4), "-"),
        (v2(1, 0x31, &[b'/'; 216]), "-"),
    ] {
        let answer = running.exchange([&header, GET].concat()).await;
        assert_client(&answer, &header, client);
    }
}

#[tokio::test]
async fn chain_counts_only_if_the_proxy_itself_sends_it() {
    let running = behind_a_balancer().await;
    let get =
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n";
    for (header, client) in [
        (v2(1, 0x11, &TCP4), "192.0.2.7"),
        (v2(1, 0x00, &[]), "-"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "-"),
        (v2(0, 0x00, &[]), "203.0.113.9"),
        // A trusted proxy behind the load balancer.
        (b"PROXY TCP4 127.0.0.9 10.0.0.1 4660 443\r\n".to_vec(), "203.0.113.9"),
    ] {
        let answer = running.exchange([&header, &get[..]].concat()).await;
        assert_client(&answer, &header, client);
    }
}

#[tokio::test]
async fn header_is_read_byte_by_byte_and_together_with_the_request() {
    let running = behind_a_balancer().await;
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), v2(1, 0x11, &TCP4)] {
        let mut stream = running.connect().await;
        stream.set_nodelay(true).unwrap();
        for byte in [&header, GET].concat() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_client(&until_closed(&mut stream).await, &header, "192.0.2.7");
    }
    // A request that is longer than what is read at first, and a body.
    let body = "x".repeat(3000);
    let post = format!(
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\nConnection: close\r\n\r\n{body}"
    );
    let answer = running.exchange([&v2(1, 0x11, &TCP4), post.as_bytes()].concat()).await;
    assert!(answer.ends_with("3000 bytes, trailers false"), "{answer}");
}

#[tokio::test]
async fn http2_by_prior_knowledge_works_after_the_header() {
    let running = behind_a_balancer().await;
    let stream = Announcing { header: v2(1, 0x11, &TCP4), stream: running.connect().await };
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let request = http::Request::builder().uri("http://a/x");
    let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let response = timeout(SOON, sender.send_request(request)).await.expect("an answer").unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_client(std::str::from_utf8(&body).unwrap(), b"", "192.0.2.7");
}

#[tokio::test]
async fn trusted_peer_without_a_well_formed_header_is_closed() {
    let running = behind_a_balancer().await;
    let too_short = v2(1, 0x11, &TCP4[..8]);
    let mut version_1 = v2(1, 0x11, &TCP4);
    version_1[12] = 0x11;
    for header in [
        b"".to_vec(),
        b"PROPFIND / HTTP/1.1\r\n".to_vec(),
        b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY\r\n".to_vec(),
        b"PROXY \r\n".to_vec(),
        b"PROXY TCP4\r\n".to_vec(),
        b"PROXY TCP5 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7,203.0.113.9 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n".to_vec(),
        b"PROXY TCP4 010.0.0.1 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\rX\n".to_vec(),
        b"PROXY TCP4 192.0.2.7\0 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY UNKNOWN \xff\r\n".to_vec(),
        [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat(),
        version_1,
        v2(2, 0x11, &TCP4),
        v2(1, 0x41, &TCP4),
        v2(1, 0x13, &TCP4),
        v2(1, 0x31, &TCP4),
        too_short,
        // A length that is not read.
        v2(1, 0x11, &[0; 0xffff]),
        [&v2(1, 0x11, &TCP4)[..11], b"X"].concat(),
    ] {
        let answer = running.exchange([&header, GET].concat()).await;
        assert_eq!(answer, "", "{:?}", String::from_utf8_lossy(&header));
    }
    assert!(running.app.seen().is_empty());
}

#[tokio::test]
async fn untrusted_peer_that_announces_a_client_is_closed() {
    let running = Running::start(expecting("10.0.0.0/8")).await;
    for header in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 10.0.0.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY ".to_vec(),
        v2(1, 0x11, &TCP4),
        v2(0, 0x00, &[]),
    ] {
        let answer = running.exchange([&header, GET].concat()).await;
        assert_eq!(answer, "", "{:?}", String::from_utf8_lossy(&header));
    }
    assert!(running.app.seen().is_empty());
    assert_client(&running.exchange(GET).await, b"", "127.0.0.1");
    let propfind = "PROPFIND /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_client(&running.exchange(propfind).await, b"", "127.0.0.1");
    let leading = "\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_client(&running.exchange(leading).await, b"", "127.0.0.1");
}

#[tokio::test]
async fn header_is_not_read_unless_it_is_configured() {
    let running =
        Running::start(Settings { proxy_protocol: ProxyProtocol::Off, ..expecting("127.0.0.0/8") })
            .await;
    let answer = running.exchange([b"PROXY TCP4 1.2.3.4 10.0.0.1 1 2\r\n", GET].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_client(&running.exchange(GET).await, b"", "127.0.0.1");
}

#[tokio::test]
async fn slow_header_is_closed_at_the_deadline_of_a_head() {
    let mut settings = expecting("127.0.0.0/8");
    settings.timeouts.request_headers = Duration::from_millis(200);
    let running = Running::start(settings).await;
    for begun in [&b""[..], b"P", b"PROXY TCP4 192.0.2.7", &v2(1, 0x11, &TCP4)[..20]] {
        assert_eq!(running.exchange(begun).await, "", "{begun:?}");
    }
    // The deadline is that of the whole head, header included.
    let begun = [b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", &GET[..10]].concat();
    let answer = running.exchange(begun).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn tls_begins_after_the_header() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let pair = CertifiedPair {
        name: "a".to_owned(),
        certificate: made.cert.pem(),
        key: Secret::new(made.signing_key.serialize_pem()),
    };
    let settings = Settings { certificates: vec![pair], ..expecting("127.0.0.0/8") };
    let running = Running::start(settings).await;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), v2(1, 0x11, &TCP4)] {
        let name = ServerName::try_from("a.example").unwrap();
        // In one segment with the first message of TLS.
        let stream = Announcing { header: header.clone(), stream: running.connect().await };
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream.write_all(GET).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(answer.contains("https://a/x for 192.0.2.7 "), "{answer}");
    }
    assert_eq!(running.exchange(b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    // Inside TLS it is no header.
    let header = v2(0, 0x00, &[]);
    let stream = Announcing { header, stream: running.connect().await };
    let name = ServerName::try_from("a.example").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n").await.unwrap();
    stream.write_all(GET).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// A stream that sends a header together with the first bytes that are written.
struct Announcing {
    header: Vec<u8>,
    stream: TcpStream,
}

impl AsyncRead for Announcing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Announcing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let all = [&this.header, bytes].concat();
        let written = Pin::new(&mut this.stream).poll_write(cx, &all);
        written.map_ok(|written| written - std::mem::take(&mut this.header).len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn limit_per_client_counts_announced_clients() {
    let mut settings = expecting("127.0.0.0/8");
    settings.limits.connections_per_client = Some(1);
    let running = Running::start(settings).await;
    let open = async |source: &str| {
        let mut stream = running.connect().await;
        let header = format!("PROXY TCP4 {source} 10.0.0.1 1 2\r\n");
        let get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(format!("{header}{get}").as_bytes()).await.unwrap();
        (answer(&mut stream).await, stream)
    };
    let (first, _stream) = open("192.0.2.7").await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    let (second, _) = open("192.0.2.7").await;
    assert!(second.starts_with("HTTP/1.1 503 "), "{second}");
    let (other, _stream) = open("192.0.2.8").await;
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
}

#[tokio::test]
async fn balancer_on_a_unix_socket_announces_clients_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("s");
    let listen = vec![ListenAddress::Unix(UnixSocket::at(path.clone()))];
    let _running = Running::start(Settings { listen, ..expecting("10.0.0.0/8") }).await;
    for (header, client) in
        [(v2(1, 0x11, &TCP4), Some("192.0.2.7")), (v2(0, 0, &[]), Some("-")), (Vec::new(), None)]
    {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(&[&header, GET].concat()).await.unwrap();
        let answer = until_closed(&mut stream).await;
        match client {
            Some(client) => assert_client(&answer, &header, client),
            None => assert_eq!(answer, ""),
        }
    }
}
