//! `tests/config/accepted/every_value.yaml`: each value, where its room finds it.

use std::time::Duration;

use http::Method;

use super::*;
use crate::gate::route::Unauthenticated;
use crate::policy::Policy;
use crate::providers::{AuthMethods, ClientAuth, SignOut};
use crate::server::AccessLog;
use crate::server::ListenAddress::{Tcp, Unix};
use crate::server::UnixSocket;
use crate::session::{Persistence, SameSite};
use crate::telemetry::Level;
use crate::upstream::Target;

#[test]
fn every_value_is_read() {
    let text = read("tests/config/accepted/every_value.yaml");
    let config = load(Path::new("a.yaml"), &source("a.yaml", &text)).unwrap().0;
    let server = &config.server;
    let mut socket = UnixSocket::at("p.sock".into());
    (socket.mode, socket.group) = (0o600, Some(33));
    assert_eq!(server.listen, [Tcp("0.0.0.0:443".into()), Unix(socket)]);
    assert_eq!((server.workers, server.limits.connections), (3, 7));
    assert_eq!((server.limits.header_bytes, server.limits.header_count), (65_536, 50));
    assert_eq!(server.limits.response_header_bytes, 131_072);
    assert_eq!(server.limits.identity_header_bytes, 4096);
    assert_eq!(server.timeouts.drain, Duration::from_millis(250));
    assert!(server.trusted_proxies.unix);
    assert_eq!(server.trusted_proxies.networks, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(server.certificates[0].name, "tls.crt");
    assert_eq!(config.endpoint_prefix.as_str(), "/-/gate");
    assert_eq!(config.admin.listen, Some(Tcp("[::1]:9000".into())));

    let [one, two] = config.providers.as_slice() else { panic!("{:?}", config.providers) };
    assert_eq!((one.id.as_ref(), two.id.as_ref()), ("zeta", "alpha"));
    assert_eq!((one.name.as_str(), two.name.as_str()), ("Zeta Inc.", "alpha"));
    assert_eq!(one.issuer, "https://id.example.com/");
    let [ClientAuth::ClientSecretPost(secret)] = one.client_auth.all() else { panic!("{one:?}") };
    assert_eq!(secret.expose(), "s3cr3t");
    assert_eq!(one.scopes, ["openid", "groups"]);
    let parameters = [("prompt", "login"), ("max_age", "3600")];
    assert_eq!(one.authorization_parameters, parameters.map(|(k, v)| (k.into(), v.into())));
    assert_eq!(one.claims.groups.claim().as_str(), "/realm_access/roles");
    assert_eq!(one.endpoints.jwks.as_ref().unwrap().as_str(), "https://keys.example.com/");
    assert!(!one.require_email_verified && one.distinct_redirect_uri);
    assert_eq!((one.sign_out, two.sign_out), (SignOut::Local, SignOut::Provider));
    assert!(matches!(two.client_auth, AuthMethods::Only(ClientAuth::None)));

    let session = &config.session;
    assert_eq!(session.idle_timeout, Some(Duration::from_secs(1800)));
    assert_eq!(session.recheck, Some(Duration::from_secs(900)));
    assert_eq!((session.max_sessions, session.max_sessions_per_user), (10, 2));
    assert_eq!(session.secrets[0].expose(), "s".repeat(32));
    assert_eq!(session.cookie.domain.as_deref(), Some("example.com"));
    assert_eq!(session.cookie.same_site, SameSite::None);
    assert_eq!(session.cookie.persistence, Persistence::Browser);
    assert_eq!(config.pages.message.as_deref(), Some("costs $5"));
    assert!(format!("{:?}", config.pages.texts).contains("Weiter mit {provider}"));
    assert_eq!(config.pages.logo.as_ref().unwrap().content_type, "image/svg+xml");
    assert_eq!(config.telemetry.level, Level::Debug);
    assert!(matches!(config.access_log, AccessLog::Off));
}

#[test]
fn routes_are_read_with_their_rules() {
    let text = read("tests/config/accepted/every_value.yaml");
    let config = load(Path::new("a.yaml"), &source("a.yaml", &text)).unwrap().0;
    let [wiki, hooks, auth_only] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert_eq!((wiki.name.as_ref(), hooks.name.as_ref()), ("wiki", "*.dev.example.com/hooks"));
    assert_eq!(wiki.request_body, Some(10 << 20));
    assert_eq!(wiki.unauthenticated, Unauthenticated::Unauthorized);
    assert_eq!(wiki.identity_headers[0].name, "x-remote-user");
    assert_eq!(hooks.identity_headers[0].name, "x-user");
    let upstream = wiki.upstream.as_ref().unwrap();
    assert!(!upstream.preserve_host && upstream.tls.client.is_some());
    assert_eq!(upstream.timeouts.connect, Duration::from_secs(1));
    assert_eq!(hooks.upstream.as_ref().unwrap().target, Target::Unix("dev.sock".into()));
    assert!(auth_only.upstream.is_none() && matches!(auth_only.allow, Policy::Authenticated));

    let Policy::Rules(rules) = &wiki.allow else { panic!("{:?}", wiki.allow) };
    let [preflight, people, staff] = rules.as_slice() else { panic!("{rules:?}") };
    assert!(preflight.public && !people.public);
    assert_eq!(preflight.methods.as_deref(), Some([Method::OPTIONS].as_slice()));
    assert_eq!(people.emails.as_deref(), Some(["ada@example.com".to_owned()].as_slice()));
    assert_eq!(people.client_addresses.as_ref().unwrap()[0].to_string(), "192.0.2.7/32");
    assert_eq!(staff.providers.as_ref().unwrap()[0].as_ref(), "zeta");
    let claims: Vec<_> = staff.claims.iter().flatten().collect();
    assert_eq!(claims[0].1, ["3", "true", "gold"]);
    assert_eq!((claims[1].0.as_str(), claims[1].1.len()), ("tenant", 1));
}
