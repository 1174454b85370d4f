//! What a user sees with each server when a line of its example is missing, as the READMEs of `deploy/` say.
//! Invariant: the line is really left out; no symptom is only described.

use http::HeaderValue;

use crate::component::{Edits, Site, caddy, envoy, haproxy, nginx, traefik};
use crate::deployment::{Declared, Deployment};
use crate::traffic::with_7_kib_of_groups;

/// Lines of an example, each a group that belongs together, and what shows that they are missing.
struct Lines {
    /// The paths under `/oauth2/` go to Portcullis.
    sign_in: Edits<'static>,
    /// The status at which a sign-in ends then.
    ends_with: u16,
    /// Visitors are kept away from the auth endpoints.
    guard: Edits<'static>,
    /// The answer at `/oauth2/auth/page` and `/oauth2/auth` to a user then, where these share the public listener.
    answers: [u16; 2],
    /// An identity header is copied.
    groups: Edits<'static>,
    /// The cookies are copied.
    cookie: Edits<'static>,
}

macro_rules! symptoms {
    ($($name:ident, $proxy:literal, $start:path, $lines:expr;)+) => {
        $(
            mod $name {
                use super::*;

                async fn without(edits: Edits<'_>, declared: Declared) -> Deployment {
                    let start = async |site: &Site| $start(site, edits).await;
                    Deployment::start($proxy, declared, start).await
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn without_the_lines_for_oauth2_sign_in_ends_with_an_error() {
                    sign_in_ends_with_an_error(without($lines.sign_in, Declared::Apart).await, $lines).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn without_the_guard_portcullis_answers_visitors_at_its_auth_endpoints() {
                    visitor_gets_answers(without($lines.guard, Declared::Shared).await, $lines.answers).await;
                    // nginx has only one location for both.
                    let apart = if $proxy == "nginx" { [403; 2] } else { [404; 2] };
                    visitor_gets_answers(without($lines.guard, Declared::Apart).await, apart).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn header_and_cookies_that_are_not_copied_reach_the_application() {
                    let edits = [$lines.groups, $lines.cookie].concat();
                    visitors_own_headers_pass(without(&edits, Declared::Shared).await).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn pages_of_a_server_with_the_word_for_another_one_get_403() {
                    let word = if $proxy == "nginx" { "traefik" } else { "nginx" };
                    let start = async |site: &Site| $start(site, &[]).await;
                    let deployment = Deployment::start(word, Declared::Shared, start).await;
                    pages_get_403(deployment, word, $proxy).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn server_that_is_not_a_client_gets_401_and_the_log_names_the_missing_line() {
                    nothing_is_decided(without(&[], Declared::NoClient).await).await;
                }
            }
        )+
    };
}

symptoms! {
    with_nginx, "nginx", nginx::altered, NGINX;
    with_haproxy, "haproxy", haproxy::altered, HAPROXY;
    with_caddy, "caddy", caddy::altered, CADDY;
    with_traefik, "traefik", traefik::altered, TRAEFIK;
    with_envoy, "envoy", envoy::altered, ENVOY;
}

async fn sign_in_ends_with_an_error(deployment: Deployment, lines: Lines) {
    let page = deployment.server.browser().open("/page").await;
    assert_eq!(page.status, lines.ends_with, "{page:?}");
    assert_eq!(page.url.host_str(), Some("wiki.localhost"));
    deployment.gateway.log_until("no route has this path");
    let ping = deployment.server.browser().fetch("/oauth2/ping").await;
    assert_eq!(ping.status, 403, "{ping:?}");
}

async fn visitor_gets_answers(deployment: Deployment, expected: [u16; 2]) {
    let mut alice = deployment.member("alice").await;
    for name in ["x-forwarded-uri", "x-original-uri"] {
        alice.extra.insert(name, HeaderValue::from_static("/page"));
    }
    for name in ["x-forwarded-method", "x-original-method"] {
        alice.extra.insert(name, HeaderValue::from_static("GET"));
    }
    for (path, expected) in ["/oauth2/auth/page", "/oauth2/auth"].into_iter().zip(expected) {
        let answer = alice.fetch(path).await;
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        assert_eq!(answer.status.is_success(), answer.headers.contains_key("x-forwarded-user"));
        // Portcullis has answered, not the server.
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}: {answer:?}");
    }
}

async fn visitors_own_headers_pass(deployment: Deployment) {
    let mut alice = deployment.member("alice").await;
    alice.plant("wiki", "1");
    alice.extra.insert("x-forwarded-groups", HeaderValue::from_static("forged"));
    let seen = alice.fetch("/page").await.json();
    assert_eq!(seen["headers"]["x-forwarded-user"], "demo-alice");
    assert_eq!(seen["headers"]["x-forwarded-groups"], "forged");
    assert!(seen["headers"]["cookie"].as_str().unwrap().contains("portcullis="), "{seen}");
}

async fn pages_get_403(deployment: Deployment, word: &str, right_word: &str) {
    let page = deployment.server.browser().navigate("/page").await;
    assert_eq!(page.status, 403, "{page:?}");
    assert_eq!(deployment.upstream.request_count(), 0);
    let field = format!("\"proxy\":\"{word}\"");
    let log = deployment.gateway.log_until_all(&["auth subrequest denied", &field]);
    let line = log.iter().find(|line| line.contains("auth subrequest denied")).unwrap();
    let advice = line.split("declare it as `proxy`: ").nth(1).unwrap_or_else(|| panic!("{line}"));
    assert!(advice.split('"').next().unwrap().split(", ").any(|word| word == right_word), "{line}");
}

async fn nothing_is_decided(deployment: Deployment) {
    let mut stranger = deployment.server.browser();
    assert_eq!(stranger.fetch("/page").await.status, 401);
    assert_eq!(stranger.fetch("/open").await.status, 401);
    deployment.gateway.log_until("add 127.0.0.1 to server.forward_auth.clients");
    assert_eq!(deployment.upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_without_room_for_the_identity_answers_500() {
    let edits = [("        proxy_buffer_size 64k;\n        proxy_buffers 8 64k;\n", "")];
    let start = async |site: &Site| nginx::altered(site, &edits).await;
    let deployment = Deployment::start("nginx", Declared::Shared, start).await;
    let (_, answer) = with_7_kib_of_groups(&deployment).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(deployment.server.log().contains("upstream sent too big header"));
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_without_room_for_the_identity_answers_an_error() {
    let edits = [("    tune.bufsize 65536\n", "")];
    let start = async |site: &Site| haproxy::altered(site, &edits).await;
    let deployment = Deployment::start("haproxy", Declared::Shared, start).await;
    let (_, answer) = with_7_kib_of_groups(&deployment).await;
    assert_eq!(answer.status, 502, "{answer:?}");
}

const NGINX: Lines = Lines {
    sign_in: &[(
        "
    location /oauth2/ {
        proxy_pass http://portcullis;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Host $http_host;
        proxy_set_header X-Auth-Request-Redirect $return_to;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_buffer_size 16k;
        proxy_buffers 8 16k;
    }
",
        "\n",
    )],
    ends_with: 401,
    guard: &[("        internal;\n", "")],
    answers: [403, 403],
    groups: &[("        proxy_set_header X-Forwarded-Groups $auth_groups;\n", "")],
    cookie: &[("        proxy_set_header Cookie $auth_cookie;\n", "")],
};

const HAPROXY: Lines = Lines {
    sign_in: &[
        (" unless { path_beg /oauth2/ }\n", "\n"),
        ("    use_backend portcullis if { path_beg /oauth2/ }\n", ""),
    ],
    ends_with: 403,
    guard: &[(
        "    http-request return status 404 if { path_beg /oauth2/auth } or { path_beg /oauth2/forward_auth }\n",
        "",
    )],
    answers: [403, 202],
    groups: &[("    \"x-forwarded-groups\",\n", "")],
    cookie: &[("    \"cookie\",\n", "")],
};

const CADDY: Lines = Lines {
    sign_in: &[("	handle /oauth2/* {\n		reverse_proxy 127.0.0.1:4180\n	}\n", "")],
    ends_with: 403,
    guard: &[
        ("	handle /oauth2/auth* {\n		respond 404\n	}\n", ""),
        ("	handle /oauth2/forward_auth* {\n		respond 404\n	}\n", ""),
    ],
    answers: [403, 202],
    groups: &[(" X-Forwarded-Groups ", " ")],
    cookie: &[("Preferred-Username Cookie\n", "Preferred-Username\n")],
};

const TRAEFIK: Lines = Lines {
    sign_in: &[(
        "    portcullis:
      rule: >-
        Host(`wiki.example.com`) && PathPrefix(`/oauth2/`)
        && !PathPrefix(`/oauth2/auth`) && !PathPrefix(`/oauth2/forward_auth`)
      entryPoints: [websecure]
      tls: {}
      service: portcullis
",
        "",
    )],
    ends_with: 403,
    guard: &[(
        "\n        && !PathPrefix(`/oauth2/auth`) && !PathPrefix(`/oauth2/forward_auth`)",
        "",
    )],
    answers: [403, 403],
    groups: &[("          - X-Forwarded-Groups\n", "")],
    cookie: &[("          - Cookie\n", "")],
};

const ENVOY: Lines = Lines {
    sign_in: &[(
        "                        - match: { prefix: /oauth2/ }
                          route: { cluster: portcullis }
                          typed_per_filter_config: *unasked
",
        "",
    )],
    ends_with: 403,
    guard: &[
        (
            "                        - match: { prefix: /oauth2/auth }
                          direct_response: { status: 404 }
                          typed_per_filter_config: &unasked
                            envoy.filters.http.ext_authz:
                              \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                              disabled: true
                        - match: { prefix: /oauth2/forward_auth }
                          direct_response: { status: 404 }
                          typed_per_filter_config: *unasked
",
            "",
        ),
        (
            "                          typed_per_filter_config: *unasked\n",
            "                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                              disabled: true
",
        ),
    ],
    answers: [200, 403],
    groups: &[("                              - { exact: x-forwarded-groups }\n", "")],
    cookie: &[("                              - { exact: cookie }\n", "")],
};
