//! A client of external authorization, as Envoy is: one connection of HTTP/2, and the messages of its calls.
//! Invariant: a call ends with `grpc-status: 0` or fails the test, unless the test looks at the response itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub(crate) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
pub(crate) const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// A connection to the gateway.
pub(crate) struct Envoy(SendRequest<Full<Bytes>>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The decision, as Envoy reads it.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// 0 allows.
    pub(crate) code: i32,
    /// The status of a denial, else 0.
    pub(crate) status: i32,
    /// The headers to set, or those of the denial.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) removed: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Envoy {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// A call with these headers and this body.
    pub(crate) async fn call(&self, path: &str, fields: &[(&str, &str)], body: Vec<u8>) -> Called {
        let mut request = Request::post(format!("http://portcullis_auth{path}"));
        for (name, value) in
            [("content-type", "application/grpc"), ("te", "trailers")].iter().chain(fields)
        {
            request = request.header(*name, *value);
        }
        let mut sender = self.0.clone();
        sender.ready().await.unwrap();
        let response = sender.send_request(request.body(Full::new(body.into())).unwrap());
        let (head, body) = response.await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        Called { status: head.status, headers: head.headers, trailers, body: body.to_bytes() }
    }

    /// The decision on a message that is described by hand.
    pub(crate) async fn verdict(&self, fields: &[(&str, &str)], body: Vec<u8>) -> Verdict {
        Verdict::of(&self.call(CHECK, fields, body).await)
    }

    /// The decision on a request of a visitor at 203.0.113.9.
    pub(crate) async fn check(&self, line: &str, fields: &[(&str, &str)]) -> Verdict {
        self.verdict(&[], framed(&check_request(line, fields))).await
    }

    /// The status of the service.
    pub(crate) async fn health(&self) -> i32 {
        let called = self.call(HEALTH, &[], framed(&[])).await;
        let message = called.message();
        let [8, status] = *message else { panic!("{called:?}") };
        i32::from(status)
    }
}

impl Called {
    /// The message of a call that ended well.
    #[track_caller]
    pub(crate) fn message(&self) -> &[u8] {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/grpc", "{self:?}");
        assert_eq!(
            self.trailers.get("grpc-status").map(HeaderValue::as_bytes),
            Some(&b"0"[..]),
            "{self:?}"
        );
        let (prefix, message) = self.body.split_at(5);
        assert_eq!(prefix, &framed(message)[..5], "{self:?}");
        message
    }
}

impl Verdict {
    #[track_caller]
    fn of(called: &Called) -> Self {
        let read = CheckResponse::decode(called.message()).unwrap();
        let ok = read.ok_response.unwrap_or_default();
        let denied = read.denied_response.unwrap_or_default();
        let field = |field: HeaderValueOption| {
            let header = field.header.unwrap_or_default();
            (header.key, header.value)
        };
        let all = ok.headers.into_iter().chain(denied.headers);
        let metadata = read.dynamic_metadata.unwrap_or_default().fields.into_iter();
        Self {
            code: read.status.unwrap_or_default().code,
            status: denied.status.unwrap_or_default().code,
            headers: all.map(field).collect(),
            removed: ok.headers_to_remove,
            metadata: metadata.map(|(name, value)| (name, value.text)).collect(),
            body: denied.body,
        }
    }
}

/// A message after its prefix.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The message for a request: `line` is its method and target, and its host is that of `public_url`.
pub(crate) fn check_request(line: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let (method, path) = line.split_once(' ').unwrap();
    let own = [(":method", method), (":path", path), ("x-request-id", "1")];
    let headers = own.iter().chain(fields);
    let http = HttpRequest {
        method: method.to_owned(),
        headers: headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        path: path.to_owned(),
        host: "wiki.localhost".to_owned(),
        scheme: "http".to_owned(),
    };
    let address = Some(SocketAddress { address: "203.0.113.9".to_owned() });
    let source = Some(Peer { address: Some(Address { socket_address: address }) });
    let attributes = Attributes { source, request: Some(HttpAttributes { http: Some(http) }) };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}

#[derive(Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}

#[derive(Message)]
struct Attributes {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<HttpAttributes>,
}

#[derive(Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
}

#[derive(Message)]
struct Address {
    #[prost(message, optional, tag = "1")]
    socket_address: Option<SocketAddress>,
}

#[derive(Message)]
struct SocketAddress {
    #[prost(string, tag = "2")]
    address: String,
}

#[derive(Message)]
struct HttpAttributes {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(btree_map = "string, string", tag = "3")]
    headers: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
}

#[derive(Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Number>,
    #[prost(message, optional, tag = "2")]
    denied_response: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    ok_response: Option<Allowed>,
    #[prost(message, optional, tag = "4")]
    dynamic_metadata: Option<Struct>,
}

/// `google.rpc.Status` and `envoy.type.v3.HttpStatus`.
#[derive(Message)]
struct Number {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<Number>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Message)]
struct Allowed {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
}

#[derive(Message)]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<Field>,
}

#[derive(Message)]
struct Field {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Message)]
struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Text>,
}

/// `google.protobuf.Value` with a text.
#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "3")]
    text: String,
}
