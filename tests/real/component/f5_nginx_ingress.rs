//! nginx with the lines that F5 NGINX Ingress Controller renders for `deploy/kubernetes/f5-nginx-ingress`.
//! Invariant: the snippets are those of the published objects, at the places where the controller puts them.

use serde::Deserialize;
use serde_yaml::Value;

use super::{Server, Site, nginx, replaced};

pub(crate) async fn start(site: &Site) -> Server {
    let text = super::example("kubernetes/f5-nginx-ingress/wiki.yaml", &[]);
    let documents = serde_yaml::Deserializer::from_str(&text);
    let objects: Vec<_> = documents.map(|document| Value::deserialize(document).unwrap()).collect();
    let [policy, server, sign_in] = &objects[..] else { panic!("{text}") };
    let (policy, server) = (&policy["spec"]["externalAuth"], &server["spec"]);
    assert_eq!(policy["authURI"], "/oauth2/auth");
    assert_eq!(server["routes"][0]["path"], "/");
    let sign_in = &sign_in["spec"]["subroutes"][0];
    assert_eq!(sign_in["path"], "/oauth2/");
    let snippet = |value: &Value| value.as_str().unwrap().to_owned();
    nginx::serving(&replaced(
        RENDERED,
        &[
            ("AUTH_ADDRESS", &*site.auth.to_string()),
            ("GATEWAY_ADDRESS", &site.gateway.to_string()),
            ("APPLICATION_ADDRESS", &site.application.to_string()),
            ("HTTP_SNIPPETS", &snippet(&server["http-snippets"])),
            ("SERVER_SNIPPETS", &snippet(&server["server-snippets"])),
            ("AUTH_SNIPPETS", &snippet(&policy["authSnippets"])),
            ("ROUTE_SNIPPETS", &snippet(&server["routes"][0]["location-snippets"])),
            ("SIGN_IN_SNIPPETS", &snippet(&sign_in["location-snippets"])),
        ],
    ))
    .await
}

/// What version 5.5 renders, without names, zones and TLS.
const RENDERED: &str = r#"
map $http_upgrade $default_connection_header { default ""; }
map $http_upgrade $vs_connection_header { default upgrade; '' $default_connection_header; }
upstream auth { server AUTH_ADDRESS; }
upstream portcullis { server GATEWAY_ADDRESS; }
upstream wiki { server APPLICATION_ADDRESS; }
HTTP_SNIPPETS
server {
    listen 443 ssl;
    server_name wiki.localhost;
    SERVER_SNIPPETS
    location /_external_auth/oauth2/auth {
        internal;
        AUTH_SNIPPETS
        set $default_connection_header close;
        proxy_connect_timeout 60s;
        proxy_read_timeout 60s;
        proxy_send_timeout 60s;
        client_max_body_size 0;
        proxy_buffering off;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $vs_connection_header;
        proxy_pass_request_headers on;
        proxy_pass_request_body off;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Content-Length "0";
        proxy_set_header Host "$host";
        proxy_set_header X-Scheme "$scheme";
        proxy_pass http://auth/oauth2/auth;
        proxy_next_upstream error timeout;
        proxy_next_upstream_timeout 0s;
        proxy_next_upstream_tries 0;
    }
    location / {
        ROUTE_SNIPPETS
        auth_request /_external_auth/oauth2/auth;
        set $default_connection_header close;
        proxy_connect_timeout 60s;
        proxy_read_timeout 60s;
        proxy_send_timeout 60s;
        client_max_body_size 100m;
        proxy_buffering off;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $vs_connection_header;
        proxy_pass_request_headers on;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Host "$host";
        proxy_pass http://wiki;
        proxy_next_upstream error timeout;
        proxy_next_upstream_timeout 0s;
        proxy_next_upstream_tries 0;
    }
    location /oauth2/ {
        SIGN_IN_SNIPPETS
        set $default_connection_header close;
        client_max_body_size 1m;
        proxy_buffering on;
        proxy_buffers 8 16k;
        proxy_buffer_size 16k;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $vs_connection_header;
        proxy_pass_request_headers on;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Host "$host";
        proxy_pass http://portcullis;
        proxy_next_upstream error timeout;
        proxy_next_upstream_timeout 0s;
        proxy_next_upstream_tries 0;
    }
}
"#;
