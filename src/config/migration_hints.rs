//! Hints for keys of other gateways: the key to use here, or what to write instead.

/// Returns the hint for a key that has no single equivalent here.
pub(super) fn other_way(name: &str) -> Option<&'static str> {
    OTHERWISE.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| *hint)
}

/// Returns the hint for a key of Redis clients that is a part of our `url`.
pub(super) fn part_of_redis_url(name: &str, section: &str) -> Option<&'static str> {
    let is_part = ["host", "hostname", "port", "database", "db", "tls", "ssl"].contains(&name);
    (is_part && section == "session.store.redis")
        .then_some("write it in `url`: redis://HOST:PORT/DATABASE, or rediss:// for TLS")
}

/// Returns our key for a key of another gateway; of several, the one among these keys.
pub(super) fn renamed(name: &str, keys: &[&str]) -> Option<&'static str> {
    let places = || RENAMED.iter().filter(|(known, _)| *known == name).map(|(_, place)| *place);
    let is_here = |place: &&str| place.rsplit('.').next().is_some_and(|ours| keys.contains(&ours));
    places().find(is_here).or_else(|| places().next())
}

/// Hint for a key about e-mail domains with the value `*`.
// SECURITY: with rules for groups it means these groups only, and `authenticated` would allow all users.
pub(super) const EVERY_DOMAIN: &str = "remove it: rules without `email_domains` allow every domain; if there is no other \
    rule, write `allow: authenticated` for every signed-in user";

/// Key of another gateway, and our key.
const RENAMED: [(&str, &str); 76] = [
    ("oidc_issuer_url", "providers.ID.issuer"),
    ("issuer_url", "providers.ID.issuer"),
    ("idp_provider_url", "providers.ID.issuer"),
    ("cookie_domain", "session.cookie.domain"),
    ("cookie_domains", "session.cookie.domain"),
    ("cookie_expire", "session.lifetime"),
    ("cookie_samesite", "session.cookie.same_site"),
    ("allowed_groups", "routes[].allow[].groups"),
    ("allowed_group", "routes[].allow[].groups"),
    ("google_group", "routes[].allow[].groups"),
    ("google_service_account_json", "providers.ID.service_account"),
    ("google_admin_email", "providers.ID.admin_email"),
    ("allowed_emails", "routes[].allow[].emails"),
    ("allowed_users", "routes[].allow[].users"),
    ("email_domain", "routes[].allow[].email_domains"),
    ("allowed_domains", "routes[].allow[].email_domains"),
    ("allowed_email_domains", "routes[].allow[].email_domains"),
    ("proxy_prefix", "server.endpoint_prefix"),
    ("pass_host_header", "routes[].preserve_host"),
    ("http_address", "server.listen"),
    ("address", "server.listen"),
    ("bind_address", "server.listen"),
    ("upstreams", "routes[].upstream"),
    ("to", "routes[].upstream"),
    ("url", "routes[].upstream"),
    ("uri", "routes[].upstream"),
    ("target", "routes[].upstream"),
    ("backend", "routes[].upstream"),
    ("service", "routes[].upstream"),
    ("url", "server.public_url"),
    ("url", "providers.ID.issuer"),
    ("domain", "session.cookie.domain"),
    ("domain", "routes[].host"),
    ("domain", "routes[].allow[].email_domains"),
    ("hostname", "routes[].host"),
    ("prefix", "routes[].path"),
    ("policy", "routes[].allow"),
    ("scope", "providers.ID.scopes"),
    ("idp_client_id", "providers.ID.client_id"),
    ("idp_client_secret", "providers.ID.client_secret"),
    ("idp_scopes", "providers.ID.scopes"),
    ("idp_request_params", "providers.ID.authorization_parameters"),
    ("provider_ca_files", "providers.ID.ca"),
    ("provider_ca_file", "providers.ID.ca"),
    ("provider_display_name", "providers.ID.name"),
    ("login_url", "providers.ID.endpoints.authorization"),
    ("authorization_endpoint", "providers.ID.endpoints.authorization"),
    ("redeem_url", "providers.ID.endpoints.token"),
    ("token_endpoint", "providers.ID.endpoints.token"),
    ("profile_url", "providers.ID.endpoints.userinfo"),
    ("userinfo_endpoint", "providers.ID.endpoints.userinfo"),
    ("oidc_jwks_url", "providers.ID.endpoints.jwks"),
    ("jwks_uri", "providers.ID.endpoints.jwks"),
    ("end_session_endpoint", "providers.ID.endpoints.end_session"),
    ("revocation_endpoint", "providers.ID.endpoints.revocation"),
    ("authenticate_service_url", "server.public_url"),
    ("preserve_host_header", "routes[].preserve_host"),
    ("tls_custom_ca", "routes[].upstream_tls.ca"),
    ("tls_custom_ca_file", "routes[].upstream_tls.ca"),
    ("tls_server_name", "routes[].upstream_tls.server_name"),
    ("allowed_idp_claims", "routes[].allow[].claims"),
    ("api_routes", "routes[].unauthenticated"),
    ("force_json_errors", "routes[].unauthenticated"),
    ("custom_sign_in_logo", "pages.logo"),
    ("location", "routes[].path"),
    ("proxy_pass", "routes[].upstream"),
    ("client_max_body_size", "routes[].request_body"),
    ("proxy_connect_timeout", "routes[].timeouts.connect"),
    ("proxy_read_timeout", "routes[].timeouts.idle"),
    ("ssl_protocols", "server.tls.min_version"),
    ("redis_connection_url", "session.store.redis.url"),
    ("redis_username", "session.store.redis.username"),
    ("redis_password", "session.store.redis.password"),
    ("redis_ca_path", "session.store.redis.ca"),
    ("address", "session.store.redis.url"),
    ("prefix", "session.store.redis.key_prefix"),
];

/// Keys of other gateways that have no single equivalent here, and the hint.
const OTHERWISE: [(&[&str], &str); 35] = [
    (
        &["<<"],
        "YAML merge keys are not supported: repeat the keys, or use an alias for a whole value",
    ),
    (
        &["redirect_uri", "redirect_url", "callback_url"],
        "remove it: the redirect URI is public_url + endpoint_prefix + /callback, such as \
         https://wiki.example.com/oauth2/callback; register this URI at the provider",
    ),
    (
        &["skip_auth_routes", "skip_auth_regex"],
        "add a rule to the route, `{ public: true, exact_paths: [/health], methods: [GET] }`, or one with `paths` for \
         everything below a path",
    ),
    // SECURITY: without `methods`, the rule would open the whole route.
    (
        &["skip_auth_preflight", "cors_allow_preflight"],
        "add a rule to the route: `{ public: true, methods: [OPTIONS] }`",
    ),
    (&["allow_public_unauthenticated_access"], "set `allow: public` for the route"),
    (&["allow_any_authenticated_user"], "set `allow: authenticated` for the route"),
    (&["allow_websockets"], "remove it: WebSockets are always forwarded"),
    (
        &["from"],
        "write the host without a scheme: `host: wiki.example.com` for a route, `public_url` for the gateway itself",
    ),
    (
        &["server_name"],
        "use `server.public_url` for the gateway, `routes[].host` for other hosts, and `routes[].upstream_tls.server_name` \
         for the name in the certificate of an upstream",
    ),
    (&["deny"], "remove it: a request that no rule of `allow` matches is denied"),
    (
        &["cookie_secret", "shared_secret"],
        "remove it: the session cookie is a random id; if several instances need a common secret, set `session.secret`",
    ),
    (
        &["set_xauthrequest"],
        "remove it: answers to auth subrequests always have the headers X-Auth-Request-User, -Email and others",
    ),
    (
        &["reverse_proxy", "trusted_proxy_ips", "real_client_ip_header"],
        "list the addresses of your proxies in `server.trusted_proxies`",
    ),
    // SECURITY: in other gateways these clients need no sign-in. As trusted proxies they could forge any address.
    (
        &["trusted_ips"],
        "add a rule for these clients to the route: \
         `{ public: true, client_addresses: [192.0.2.0/24] }`",
    ),
    (
        &["whitelist_domains"],
        "remove it: `rd` can point to the host of every route; to share a session between hosts, set `session.cookie.domain`",
    ),
    (
        &["authenticated_emails_file"],
        "use `emails_file` in a rule of the route: `allow: [{ emails_file: emails.txt }]`",
    ),
    (&["htpasswd_file"], "remove it: there are no passwords here, all users sign in at a provider"),
    (
        &["passthrough_users"],
        "write the users into the rules of the route: `allow: [{ emails: [ada@example.com] }]`",
    ),
    (
        &["session_store_type"],
        "remove it: sessions are stored in memory; for Redis write \
         `session: { store: { redis: { url: redis://127.0.0.1:6379 } } }`",
    ),
    (&["cookie_name"], "use `session.cookie.name` instead"),
    (&["metrics_address"], "use `admin.listen` instead: metrics are on the admin listener"),
    (
        &["insecure_oidc_allow_unverified_email"],
        "set `require_email_verified: false` for the provider",
    ),
    (
        &["oidc_groups_claim", "oidc_email_claim", "user_id_claim"],
        "set the names of claims in `providers.ID.claims`",
    ),
    (&["skip_oidc_discovery"], "set the endpoints in `providers.ID.endpoints`"),
    (&["skip_provider_button"], "remove it: with one provider there is no sign-in page"),
    (&["code_challenge_method"], "remove it: PKCE with S256 is always used"),
    (
        &[
            "tls_cert_file",
            "tls_key_file",
            "certificate_file",
            "certificate_key_file",
            "ssl_certificate",
            "ssl_certificate_key",
        ],
        "use `server.tls.certificates: [{ certificate: tls.crt, key: tls.key }]` instead",
    ),
    (
        &[
            "insecure_skip_verify",
            "ssl_insecure_skip_verify",
            "ssl_upstream_insecure_skip_verify",
            "tls_skip_verify",
        ],
        "remove it: certificates are always verified; set a certificate to trust in `ca`",
    ),
    (
        &[
            "cookie_secure",
            "cookie_httponly",
            "cookie_http_only",
            "secure",
            "http_only",
            "httponly",
        ],
        "remove it: the cookie always has HttpOnly, and Secure if public_url is https",
    ),
    (
        &[
            "pass_access_token",
            "pass_authorization_header",
            "pass_basic_auth",
            "pass_user_headers",
            "set_authorization_header",
            "jwt_claims_headers",
            "pass_identity_headers",
            "set_request_headers",
            "inject_request_headers",
        ],
        "set the headers for the application in `identity_headers`",
    ),
    (
        &["provider", "idp_provider"],
        "configure the provider below `providers`: `providers: { company: { issuer: …, client_id: … } }`",
    ),
    (
        &["client_secret_file", "idp_client_secret_file"],
        "write `client_secret: ${file:/run/secrets/client_secret}` in the provider",
    ),
    (
        &["cookie_refresh"],
        "remove it: tokens are refreshed before they expire, see `session.refresh_before`",
    ),
    (
        &["oidc_extra_audiences", "oidc_audience_claims"],
        "remove it: the audience of an ID token must be `client_id`",
    ),
    (
        &["https_address", "force_https"],
        "remove it: with `server.tls.certificates`, every TCP listener uses TLS",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ROOT;
    use crate::config::key_rows::{KeyRow, rows};

    #[test]
    fn every_hint_names_an_existing_key() {
        let rows: Vec<_> = rows(ROOT).iter().map(KeyRow::path).collect();
        for (name, place) in RENAMED {
            assert!(rows.iter().any(|row| row == place), "{name}: {place}");
        }
    }

    #[test]
    fn ambiguous_key_means_the_one_that_fits_the_section() {
        assert_eq!(renamed("url", &["listen", "public_url"]), Some("server.public_url"));
        assert_eq!(renamed("url", &["host", "upstream"]), Some("routes[].upstream"));
        assert_eq!(renamed("url", &["title"]), Some("routes[].upstream"));
        assert_eq!(renamed("title", &["title"]), None);
    }
}
