//! nginx, as `deploy/nginx/portcullis.conf` configures it, and with lines that leave something out.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::component::Site;
use crate::component::nginx::{self, LISTEN};
use crate::deployment::{Declared, Deployment};
use crate::forward_auth::forged_description_of_the_request_opens_nothing;
use crate::support::provider;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nginx_serves_itself_need_a_session() {
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("page.txt"), "a page").unwrap();
    let root = format!("root {}; # instead of http://wiki:8080", files.path().display());
    let lines = [("proxy_pass http://wiki:8080;", &*root)];
    let start = async |site: &Site| nginx::serving(&nginx::example(site, &lines)).await;
    let deployment = Deployment::start("nginx", Declared::Shared, start).await;
    let mut browser = deployment.server.browser();
    assert_eq!(browser.fetch("/page.txt").await.status, 401);
    let page = provider::sign_in(&mut browser, "/page.txt?v=1", "alice").await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "a page"));
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_subrequests_refresh_the_session() {
    let lifetime = Duration::from_secs(1);
    let deployment =
        Deployment::with_tokens_for(lifetime, "nginx", Declared::Shared, nginx::start).await;
    let mut alice = deployment.server.browser();
    assert_eq!(provider::sign_in(&mut alice, "/staff", "alice").await.status, 200);
    deployment.provider.set_groups("alice", &[]);
    until("the claims are new", async || alice.fetch("/staff").await.status == 403).await;
    assert_eq!(alice.fetch("/page").await.status, 200);
    deployment.provider.revoke_all();
    until("she is out", async || alice.fetch("/page").await.status == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undeclared_server_gets_no_decision_and_the_log_names_the_missing_line() {
    let deployment = Deployment::start("nginx", Declared::NoClient, nginx::start).await;
    let mut browser = deployment.server.browser();
    assert_eq!(browser.fetch("/page").await.status, 401);
    assert_eq!(provider::sign_in(&mut browser, "/page", "alice").await.status, 403);
    assert_eq!(deployment.upstream.request_count(), 0);
    deployment.gateway.log_until("add 127.0.0.1 to server.forward_auth.clients");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_through_an_untrusted_server_ends_at_the_front_page() {
    let deployment = Deployment::start("nginx", Declared::NotTrusted, nginx::start).await;
    let answer = provider::sign_in(&mut deployment.server.browser(), "/page", "alice").await;
    assert_eq!((answer.status.as_u16(), answer.url.path()), (200, "/"), "{answer:?}");
}

/// Each of these lines is needed: without it nginx passes what the visitor sent under that name.
#[tokio::test(flavor = "multi_thread")]
async fn header_that_nginx_does_not_set_is_ignored_and_named_in_the_log() {
    for (name, variable) in [
        ("X-Original-Method", "$request_method"),
        ("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
        ("X-Forwarded-Proto", "$scheme"),
    ] {
        let line = format!("        proxy_set_header {name} {variable};\n");
        let start = async |site: &Site| {
            let whole = nginx::example(site, &[]);
            let at = whole.find("proxy_pass http://portcullis_auth;").unwrap();
            let (before, auth) = whole.split_at(at);
            assert!(auth.contains(&line), "{line}");
            nginx::serving(&format!("{before}{}", auth.replacen(&line, "", 1))).await
        };
        let deployment = Deployment::start("nginx", Declared::Shared, start).await;
        assert_eq!(deployment.server.browser().fetch("/page").await.status, 401);
        deployment.gateway.log_until(name);
        forged_description_of_the_request_opens_nothing(deployment).await;
    }
}

/// Lines that other gateways document, with the `proxy` that fits them, and with the wrong one.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_lines_for_another_gateway_open_nothing() {
    const ONE_URI: &str = "proxy_set_header X-Forwarded-Uri $request_uri;";
    const ONE_URL: &str = "proxy_set_header X-Original-URL $scheme://$http_host$request_uri;";
    const URL_AND_MORE: &str = "proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;";
    for (proxy, lines) in [
        ("nginx", ONE_URI),
        ("nginx", ONE_URL),
        ("nginx", URL_AND_MORE),
        ("ingress-nginx", ONE_URI),
        ("ingress-nginx", ONE_URL),
        ("ingress-nginx", URL_AND_MORE),
    ] {
        let start = async |site: &Site| nginx::serving(&documented(site, lines)).await;
        let deployment = Deployment::start(proxy, Declared::Shared, start).await;
        let status = deployment.server.browser().fetch("/page").await.status;
        let fits = proxy == "ingress-nginx" && lines != ONE_URI;
        assert_eq!(status, if fits { 401 } else { 403 }, "{proxy}: {lines}");
        forged_description_of_the_request_opens_nothing(deployment).await;
    }
}

fn documented(site: &Site, lines: &str) -> String {
    let Site { gateway, auth, application } = site;
    format!(
        "server {{
            {LISTEN}
            location = /oauth2/auth {{
                internal;
                proxy_pass http://{auth};
                proxy_pass_request_body off;
                proxy_set_header Content-Length \"\";
                proxy_set_header Host $http_host;
                {lines}
            }}
            location /oauth2/ {{
                proxy_pass http://{gateway};
                proxy_set_header Host $http_host;
            }}
            location / {{
                auth_request /oauth2/auth;
                proxy_pass http://{application};
            }}
        }}"
    )
}
