//! What people write who come from another gateway, and how it is said here.

/// How it is said here, where not by another key alone.
pub(super) fn said_otherwise(name: &str) -> Option<&'static str> {
    OTHERWISE.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| *hint)
}

/// The key of ours that has this name elsewhere; of several, that which may stand among these.
pub(super) fn renamed(name: &str, keys: &[&str]) -> Option<&'static str> {
    let places = || RENAMED.iter().filter(|(known, _)| *known == name).map(|(_, place)| *place);
    let is_here = |place: &&str| place.rsplit('.').next().is_some_and(|ours| keys.contains(&ours));
    places().find(is_here).or_else(|| places().next())
}

/// The name elsewhere, and our key.
const RENAMED: [(&str, &str); 64] = [
    ("oidc_issuer_url", "providers.ID.issuer"),
    ("issuer_url", "providers.ID.issuer"),
    ("idp_provider_url", "providers.ID.issuer"),
    ("cookie_secret", "session.secret"),
    ("cookie_domain", "session.cookie.domain"),
    ("cookie_domains", "session.cookie.domain"),
    ("cookie_expire", "session.lifetime"),
    ("cookie_samesite", "session.cookie.same_site"),
    ("allowed_groups", "routes[].allow[].groups"),
    ("allowed_group", "routes[].allow[].groups"),
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
    ("from", "routes[].host"),
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
    ("shared_secret", "session.secret"),
    ("preserve_host_header", "routes[].preserve_host"),
    ("tls_custom_ca", "routes[].upstream_tls.ca"),
    ("tls_custom_ca_file", "routes[].upstream_tls.ca"),
    ("tls_server_name", "routes[].upstream_tls.server_name"),
    ("allowed_idp_claims", "routes[].allow[].claims"),
    ("api_routes", "routes[].unauthenticated"),
    ("force_json_errors", "routes[].unauthenticated"),
    ("custom_sign_in_logo", "pages.logo"),
];

/// What is said in another way here, or not at all.
const OTHERWISE: [(&[&str], &str); 24] = [
    (&["<<"], "merge keys are not read: repeat the keys, or use an alias for a whole value"),
    (
        &["redirect_uri", "redirect_url", "callback_url"],
        "it is made of public_url and endpoint_prefix, as in https://wiki.example.com/oauth2/callback: \
         register that at the provider",
    ),
    (
        &[
            "skip_auth_routes",
            "skip_auth_regex",
            "skip_auth_preflight",
            "allow_public_unauthenticated_access",
        ],
        "give the route `allow: public`, or a rule `{ public: true, paths: [/health], methods: [GET] }`",
    ),
    (
        &["reverse_proxy", "trusted_proxy_ips", "real_client_ip_header"],
        "name the addresses of your proxies in `server.trusted_proxies`",
    ),
    // SECURITY: elsewhere they pass without a sign-in; as proxies of ours they could be anyone.
    (
        &["trusted_ips"],
        "give the route a rule for whoever comes from there: \
         `{ public: true, client_addresses: [192.0.2.0/24] }`",
    ),
    (
        &["whitelist_domains"],
        "`rd` may lead to the host of every route; hosts share a session by `session.cookie.domain`",
    ),
    (
        &["authenticated_emails_file", "htpasswd_file", "passthrough_users"],
        "who may pass stands in the route's rules: `allow: [{ emails: [ada@example.com] }]`",
    ),
    (&["session_store_type", "redis_connection_url"], "sessions are kept in memory: remove it"),
    (&["cookie_name"], "it belongs elsewhere: `session.cookie.name`"),
    (&["metrics_address"], "metrics are on the listener of `admin.listen`"),
    (
        &["insecure_oidc_allow_unverified_email"],
        "write `require_email_verified: false` for the provider",
    ),
    (
        &["oidc_groups_claim", "oidc_email_claim", "user_id_claim"],
        "say which claim means what in `providers.ID.claims`",
    ),
    (&["skip_oidc_discovery"], "write what discovery does not tell in `providers.ID.endpoints`"),
    (&["skip_provider_button"], "visitors go straight on where one provider signs in: remove it"),
    (&["code_challenge_method"], "PKCE with S256 is always used: remove it"),
    (
        &["tls_cert_file", "tls_key_file", "certificate_file", "certificate_key_file"],
        "write `server.tls.certificates: [{ certificate: tls.crt, key: tls.key }]`",
    ),
    (
        &[
            "insecure_skip_verify",
            "ssl_insecure_skip_verify",
            "ssl_upstream_insecure_skip_verify",
            "tls_skip_verify",
        ],
        "certificates are always verified: name whom to trust in `ca`",
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
        "the cookie always has HttpOnly, and Secure where public_url is https: remove it",
    ),
    (
        &[
            "pass_access_token",
            "pass_authorization_header",
            "pass_basic_auth",
            "pass_user_headers",
            "set_authorization_header",
            "set_xauthrequest",
            "jwt_claims_headers",
            "pass_identity_headers",
            "set_request_headers",
            "inject_request_headers",
        ],
        "write what the application gets in `identity_headers`",
    ),
    (
        &["provider", "idp_provider"],
        "name your provider below `providers`: `providers: { company: { issuer: …, client_id: … } }`",
    ),
    (
        &["client_secret_file", "idp_client_secret_file"],
        "write `client_secret: ${file:/run/secrets/client_secret}` for the provider",
    ),
    (
        &["cookie_refresh"],
        "tokens are refreshed as they end, not at intervals: remove it, or see `session.refresh_before`",
    ),
    (
        &["oidc_extra_audiences", "oidc_audience_claims"],
        "an ID token is for `client_id` and nobody else: remove it",
    ),
    (
        &["https_address", "force_https"],
        "a listener speaks TLS where there are `server.tls.certificates`",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ROOT;
    use crate::config::key_rows::{KeyRow, rows};

    #[test]
    fn every_key_that_is_named_is_one_of_ours() {
        let rows: Vec<_> = rows(ROOT).iter().map(KeyRow::path).collect();
        for (name, place) in RENAMED {
            assert!(rows.iter().any(|row| row == place), "{name}: {place}");
        }
    }

    #[test]
    fn of_several_keys_that_which_may_stand_there_is_meant() {
        assert_eq!(renamed("url", &["listen", "public_url"]), Some("server.public_url"));
        assert_eq!(renamed("url", &["host", "upstream"]), Some("routes[].upstream"));
        assert_eq!(renamed("url", &["title"]), Some("routes[].upstream"));
        assert_eq!(renamed("title", &["title"]), None);
    }
}
