//! Auth endpoints and forged headers: no header that a client adds turns a denial into an allowed request.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;

use crate::app::App;
use crate::app::lasting::Lasting;
use crate::body::Body;
use crate::clock::Clock;
use crate::config::{HostEnv, load};
use crate::server::{ClientInfo, ForwardAuthProxy, Handler as _, Incoming, Scheme};

/// A path, a method, an address and a host each decide about access.
const CONFIG: &str = r#"
server:
  public_url: https://wiki.example
  trusted_proxies: [192.0.2.0/24]
  forward_auth: { clients: [{ from: [192.0.2.1], proxy: PROXY }] }
providers: { company: { issuer: https://id.example, client_id: wiki, client_secret: s } }
routes:
  - { allow: authenticated }
  - { path: /open, allow: public }
  - { path: /preflight, allow: [{ public: true, methods: [OPTIONS] }] }
  - { path: /office, allow: [{ public: true, client_addresses: [10.1.0.0/16] }] }
  - { path: /proxy, allow: [{ public: true, client_addresses: [192.0.2.0/24] }] }
  - { path: /rules, allow: [{ public: true, paths: [/rules/open] }] }
  - { host: status.example, allow: public }
"#;

/// One for each kind of proxy. They are made once, because each reads the system's root certificates.
static APPS: LazyLock<Vec<(ForwardAuthProxy, App)>> =
    LazyLock::new(|| ForwardAuthProxy::ALL.map(|proxy| (proxy, app(proxy))).into());

/// One for each header that an operator can forget to configure; it has received an auth subrequest without it.
static INCOMPLETE: LazyLock<Vec<(ForwardAuthProxy, &str, App)>> = LazyLock::new(|| {
    let each = |proxy| {
        let own = own(proxy, "/").1;
        let has = move |name: &&str| own.iter().any(|(known, _)| known == name);
        LINES.into_iter().filter(has).map(move |name| (proxy, name, app(proxy)))
    };
    ForwardAuthProxy::ALL.into_iter().flat_map(each).collect()
});

const LINES: [&str; 4] = ["x-original-method", "method", "x-forwarded-method", "x-forwarded-for"];

fn app(proxy: ForwardAuthProxy) -> App {
    let text = CONFIG.replace("PROXY", proxy.as_str());
    let source = HostEnv::fixed([("a.yaml".into(), text.into_bytes())], []);
    let (config, _) = load(Path::new("a.yaml"), &source).unwrap();
    App::new(&config, &Lasting::new(&Clock::system(), &Arc::default(), usize::MAX)).unwrap()
}

/// The fields that the proxy itself sends for a GET.
fn own(proxy: ForwardAuthProxy, target: &str) -> (String, Vec<(&'static str, String)>) {
    let (method, address) = ("GET".to_owned(), ("x-forwarded-for", "203.0.113.9".to_owned()));
    let target = target.to_owned();
    let subrequest = "/oauth2/auth".to_owned();
    match proxy {
        ForwardAuthProxy::Nginx => (
            subrequest,
            vec![
                ("x-original-uri", target),
                ("x-original-method", method),
                ("x-forwarded-proto", "https".to_owned()),
                address,
            ],
        ),
        ForwardAuthProxy::IngressNginx => (
            subrequest,
            vec![
                ("x-original-url", format!("https://wiki.example{target}")),
                ("x-original-method", method),
                address,
            ],
        ),
        ForwardAuthProxy::NginxGatewayFabric => {
            (subrequest, vec![("path", target), ("method", method), address])
        }
        ForwardAuthProxy::Traefik | ForwardAuthProxy::Caddy | ForwardAuthProxy::Haproxy => (
            subrequest,
            vec![
                ("x-forwarded-uri", target),
                ("x-forwarded-method", method),
                ("x-forwarded-host", "wiki.example".to_owned()),
                ("x-forwarded-proto", "https".to_owned()),
                address,
            ],
        ),
        ForwardAuthProxy::Envoy => (
            format!("{subrequest}{target}"),
            vec![("x-forwarded-proto", "https".to_owned()), address],
        ),
    }
}

/// Whether an auth subrequest with these fields, in this order, is allowed.
async fn is_allowed(app: &App, uri: &str, fields: &[(String, String)]) -> bool {
    let mut request = Request::get(uri).body(Body::empty()).unwrap();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let client = ClientInfo::direct("192.0.2.1".parse().unwrap(), Scheme::Http, "wiki.example");
    let client = client.sending(&request);
    let incoming = Incoming { request: Box::new(request), client: Arc::new(client) };
    let status = app.handle(incoming).await.response.status();
    assert!(matches!(status.as_u16(), 200 | 202 | 302 | 401 | 403), "{status}");
    status.is_success()
}

fn owned(fields: &[(&'static str, String)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A field that a client sends: mostly one that some proxy or gateway reads.
fn clients_field() -> impl Strategy<Value = (String, String)> {
    let names = prop::sample::select(NAMES.split_whitespace().collect::<Vec<_>>());
    let values = prop::sample::select(VALUES.split('|').collect::<Vec<_>>());
    let name = prop_oneof![6 => names.prop_map(str::to_owned), 1 => "[a-z][a-z-]{0,12}"];
    let value = prop_oneof![6 => values.prop_map(str::to_owned), 1 => "[!-~]{0,12}"];
    (name, value)
}

/// Fields that some proxy or gateway reads.
const NAMES: &str = "\
    x-original-uri x-original-url x-original-method x-original-host path method host x-forwarded-uri
    x-forwarded-method x-forwarded-host x-forwarded-proto x-forwarded-for x-forwarded-prefix
    x-forwarded-user x-real-ip forwarded x-rewrite-url x-http-method-override true-client-ip
    x-envoy-original-path x-envoy-external-address authorization cookie upgrade origin accept
    sec-fetch-mode x-auth-request-redirect";

const VALUES: &str = "/open|/||/rules/open|/preflight|https://wiki.example/open|http://status.example/page\
    |https://status.example/|status.example|wiki.example|OPTIONS|GET|http|https|10.1.2.3\
    |10.1.2.3, 192.0.2.1|192.0.2.1|\u{ff}|unix:|for=10.1.2.3;host=status.example|websocket\
    |portcullis=x|navigate|text/html";

const DENIED: [&str; 8] = [
    "/private/page",
    "/preflight",
    "/office",
    "/proxy/x",
    "/rules/private",
    "/open/..%2fpage",
    "/openx?/open",
    "/oauth2/start",
];

proptest! {
    #[test]
    fn header_of_a_client_never_turns_a_denial_into_an_allowed_request(
        forged in prop::collection::vec(clients_field(), 0..5),
        target in prop::sample::select(&DENIED[..]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (proxy, app) in &*APPS {
            let (uri, fields) = own(*proxy, target);
            let sent = [forged.clone(), owned(&fields)].concat();
            prop_assert!(!runtime.block_on(is_allowed(app, &uri, &sent)), "{proxy:?} {sent:?}");
        }
    }

    /// A proxy that is not configured to set a header forwards the client's own.
    #[test]
    fn header_that_a_proxy_once_did_not_send_is_never_used(
        forged in prop::collection::vec(clients_field(), 0..5),
        target in prop::sample::select(&DENIED[..]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (proxy, missing, app) in &*INCOMPLETE {
            let (uri, mut fields) = own(*proxy, target);
            fields.retain(|(name, _)| name != missing);
            // The first subrequest has no forged header.
            prop_assert!(!runtime.block_on(is_allowed(app, &uri, &owned(&fields))));
            let sent = [forged.clone(), owned(&fields)].concat();
            prop_assert!(!runtime.block_on(is_allowed(app, &uri, &sent)), "{proxy:?} {sent:?}");
        }
    }
}

#[tokio::test]
async fn public_routes_are_allowed_for_every_kind_of_proxy() {
    for (proxy, app) in &*APPS {
        let (uri, fields) = own(*proxy, "/open/page?q");
        assert!(is_allowed(app, &uri, &owned(&fields)).await, "{proxy:?}");
        let (uri, mut fields) = own(*proxy, "/office");
        assert!(!is_allowed(app, &uri, &owned(&fields)).await, "{proxy:?}");
        fields.last_mut().unwrap().1 = "10.1.2.3".to_owned();
        assert!(is_allowed(app, &uri, &owned(&fields)).await, "{proxy:?}");
    }
}
