//! Property: for any request, proxying, an auth subrequest over HTTP and a call over gRPC decide alike.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderName, HeaderValue, Request, Uri};
use proptest::prelude::*;

use crate::app::check_tests::{ENVOY, SHARED, VISITOR};
use crate::body::Body;
use crate::grpc::{CheckRequest, FieldForm};
use crate::server::{Answered, ClientInfo, Handler as _, Incoming, ListenerKind, Peer, Scheme};
use crate::telemetry::access_log::LoggedDecision;

/// What the three ways have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decided {
    Allowed,
    /// 302.
    Redirected,
    /// 401.
    Unauthorized,
    Denied,
}

impl Decided {
    fn of(Answered { response, outcome }: &Answered) -> Self {
        // With status 502 where a second path is on another server.
        if outcome.decision == Some(LoggedDecision::Deny) {
            return Self::Denied;
        }
        // A proxied call of gRPC gets its status inside. Envoy does the same with the status that it gets.
        match response.headers().get("grpc-status").map(HeaderValue::as_bytes) {
            Some(b"14") => return Self::Allowed,
            Some(b"16") => return Self::Unauthorized,
            Some(_) => return Self::Denied,
            None => {}
        }
        match response.status().as_u16() {
            200 | 502 => Self::Allowed,
            302 => Self::Redirected,
            401 => Self::Unauthorized,
            400 | 403 | 404 | 405 | 414 | 421 | 431 => Self::Denied,
            other => panic!("{other}"),
        }
    }
}

/// A visitor's request, sent to the gateway, or to Envoy.
#[derive(Clone, Debug)]
struct Visit {
    source: IpAddr,
    method: String,
    host: String,
    scheme: Scheme,
    path: String,
    fields: Vec<(String, String)>,
}

impl Visit {
    /// As it arrives at `uri` from this client; the server checks its head first.
    async fn arrive(&self, uri: &str, peer: IpAddr, more: &[(&str, String)]) -> Decided {
        let host = HeaderValue::from_str(&self.host).unwrap();
        let Ok(uri) = uri.parse::<Uri>() else { return Decided::Denied };
        let client =
            ClientInfo::at(Peer::Ip(peer), ListenerKind::Public, self.scheme, host.clone());
        let Some(client) = client else { return Decided::Denied };
        let mut head = Request::new(());
        *head.method_mut() = self.method.parse().unwrap();
        *head.uri_mut() = uri;
        head.headers_mut().insert(HOST, host);
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        for (name, value) in self.fields.iter().cloned().chain(more) {
            let name: HeaderName = name.parse().unwrap();
            head.headers_mut().append(name, HeaderValue::from_str(&value).unwrap());
        }
        if client.check_original(&mut head).is_err() {
            return Decided::Denied;
        }
        let request = Box::new(head.map(|()| Body::empty()));
        let client = client.sending(&request);
        let answer = SHARED.app.handle(Incoming { request, client: Arc::new(client) }).await;
        Decided::of(&answer)
    }

    /// Sent to the gateway, which forwards it.
    async fn proxied(&self) -> Decided {
        self.arrive(&self.path, self.source, &[]).await
    }

    /// Sent to an Envoy that sends an auth subrequest over HTTP.
    async fn over_http(&self) -> Decided {
        let own = [
            ("x-forwarded-proto", self.scheme.as_str().to_owned()),
            ("x-forwarded-for", self.source.to_string()),
        ];
        let uri = format!("/oauth2/forward_auth{}", self.path);
        self.arrive(&uri, ENVOY.parse().unwrap(), &own).await
    }

    /// Sent to an Envoy that calls `Check`.
    async fn over_grpc(&self, form: FieldForm) -> Decided {
        let fields =
            self.fields.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes()));
        let request = CheckRequest {
            source: Some(self.source),
            method: self.method.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            scheme: self.scheme.as_str().to_owned(),
            fields: fields.collect(),
        };
        let read = SHARED.check(&request.encode(form)).await;
        match (read.code, read.status) {
            (0, 0) => Decided::Allowed,
            (16, 302) => Decided::Redirected,
            (16, 401) => Decided::Unauthorized,
            (7, 403) => Decided::Denied,
            other => panic!("{other:?}"),
        }
    }

    /// Whether it may be the WebSocket handshake of a page, on a route with `allow: public`.
    fn is_handshake_of_a_page_on_a_public_route(&self) -> bool {
        let has = |begin: &str| self.fields.iter().any(|(name, _)| name.starts_with(begin));
        let is_public = self.host.starts_with("status") || self.path.starts_with("/open");
        is_public && has("origin") && (has("sec-websocket-") || has("upgrade"))
    }

    /// Whether an answer over HTTP denies it for a field that it cannot remove, or that contradicts it.
    fn has_irremovable_fields(&self) -> bool {
        let names = "x_forwarded_user x.who x_who x-http-method-override x_http_method_override \
                     x-original-uri x-forwarded-uri x-original-url path method x-original-method";
        self.fields.iter().any(|(name, _)| names.split_whitespace().any(|known| known == name))
    }
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let cookie = SHARED.cookie.clone();
    let other = cookie.replace(|last: char| last.is_ascii_digit(), "A");
    let of = |name: &'static str, values: Vec<String>| {
        prop::sample::select(values).prop_map(move |value| (name.to_owned(), value))
    };
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let cookies = vec![
        cookie.clone(),
        format!("a=1; {cookie}"),
        format!("{cookie}; {other}"),
        "a=1".to_owned(),
    ];
    let field = prop_oneof![
        4 => of("cookie", cookies),
        2 => of("sec-fetch-mode", texts(&["navigate", "cors", "websocket"])),
        2 => of("sec-fetch-dest", texts(&["document", "empty", "iframe", "image"])),
        2 => of("accept", texts(&["text/html", "*/*", "application/json"])),
        1 => of("sec-purpose", texts(&["prefetch"])),
        1 => of("x-requested-with", texts(&["XMLHttpRequest"])),
        1 => of("sec-websocket-version", texts(&["13"])),
        1 => of("origin", texts(&["https://wiki.example", "https://evil.example", "null"])),
        1 => of("referer", texts(&["https://wiki.example/a"])),
        1 => of("destination", texts(&["/open/x", "/rules/open", "https://evil.example/", "/page"])),
        1 => of("x-http-method-override", texts(&["OPTIONS", "MOVE", "GET"])),
        1 => of("x_http_method_override", texts(&["OPTIONS", "DELETE"])),
        1 => of("x_forwarded_user", texts(&["alice"])),
        1 => of("x-forwarded-user", texts(&["alice"])),
        1 => of("x.who", texts(&["alice"])),
        1 => of("x-original-uri", texts(&["/open"])),
        1 => of("x-forwarded-uri", texts(&["/open"])),
        1 => of("x-original-method", texts(&["OPTIONS"])),
        1 => of("authorization", texts(&["Basic eDp5"])),
        1 => of("x-real-ip", texts(&["10.1.2.3"])),
        1 => of("my_header", texts(&["1"])),
        1 => of("content-type", texts(&["application/grpc", "text/plain"])),
    ];
    prop::collection::vec(field, 0..6).prop_map(|mut fields| {
        // A visitor sends one field of a name; only cookies come in several.
        let mut seen = Vec::new();
        fields.retain(|(name, _)| {
            let first = name == "cookie" || !seen.contains(name);
            seen.push(name.clone());
            first
        });
        fields
    })
}

fn visits() -> impl Strategy<Value = Visit> {
    let sources = prop::sample::select(vec![VISITOR, "10.1.2.3", "2001:db8::1"]);
    let methods = prop::sample::select(vec![
        "GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "MOVE", "COPY",
        "PROPFIND", "TRACE", "get",
    ]);
    let hosts = prop::sample::select(vec![
        "wiki.example",
        "wiki.example",
        "WIKI.example.",
        "wiki.example:443",
        "status.example",
        "evil.example",
        "wiki..example",
        "a@wiki.example",
    ]);
    let piece = "(/|//|open|page|staff|preflight|office|rules|OPEN|\\.\\.|\\.|;|;a=b|%2f|%2e%2e|%5c|%252e|%25|%zz|\\\\|%00|~|oauth2|<|\"|#){0,6}";
    let paths = prop_oneof![
        3 => prop::sample::select(vec!["/", "/page?x=1", "/open", "/open/x?y", "/staff", "/preflight",
            "/office/x", "/rules", "/rules/open", "/rules/x", "/oauth2/auth", "/oauth2/nothing"]).prop_map(str::to_owned),
        2 => piece.prop_map(|rest| format!("/{rest}")),
    ];
    let schemes = prop::sample::select(vec![Scheme::Https, Scheme::Https, Scheme::Http]);
    (sources, methods, hosts, schemes, paths, fields()).prop_map(
        |(source, method, host, scheme, path, fields)| Visit {
            source: source.parse().unwrap(),
            method: method.to_owned(),
            host: host.to_owned(),
            scheme,
            path,
            fields,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn grpc_http_and_proxying_decide_alike(visit in visits()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (proxied, over_http, text, raw) = runtime.block_on(async {
            (
                visit.proxied().await,
                visit.over_http().await,
                visit.over_grpc(FieldForm::Text).await,
                visit.over_grpc(FieldForm::Raw).await,
            )
        });
        prop_assert_eq!(text, raw, "{:?}", visit);
        // What an HTTP server drops from a target is still in the target that Envoy forwards.
        if visit.path.contains('#') {
            prop_assert_eq!(text, Decided::Denied, "{:?}", visit);
            return Ok(());
        }
        if over_http != text {
            prop_assert!(visit.has_irremovable_fields(), "HTTP {:?}, gRPC {:?}: {:?}", over_http, text, visit);
            prop_assert_eq!(over_http, Decided::Denied, "{:?}", visit);
        }
        if SHARED.app.routes.below_prefix(&visit.path).is_some() {
            // The gateway itself answers.
            prop_assert_eq!(text, Decided::Denied, "{:?}", visit);
        } else if (proxied, text) == (Decided::Denied, Decided::Allowed)
            && visit.is_handshake_of_a_page_on_a_public_route()
        {
            // An answer for a public route has no identity, so a page of another origin gains nothing.
        } else if proxied != text {
            // The application behind the proxy may read the path with or without its `;parameters`.
            prop_assert!(visit.path.contains(';'), "proxied {:?}, gRPC {:?}: {:?}", proxied, text, visit);
            prop_assert_eq!(text, Decided::Denied, "{:?}", visit);
        }
    }
}
