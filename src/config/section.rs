//! A mapping of the file, held against the table of keys: each key that stands there is known, and
//! stands there once.

use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::problem::KeyPath;
use crate::config::reading::{Reading, Reported};
use crate::config::suggest::{nearest, same, within};
use crate::config::table::{self, Key, Row};
use crate::config::wrong::Wrong;

/// A mapping whose keys are known.
#[derive(Clone, Debug)]
pub(super) struct Section<'r> {
    pub(super) reading: &'r Reading<'r>,
    pub(super) path: KeyPath,
    keys: &'static [Key],
    entries: &'r [(String, Node)],
}

impl<'r> Section<'r> {
    /// The root of the file.
    pub(super) fn root(reading: &'r Reading<'r>, node: &'r Node) -> Result<Self, Reported> {
        let (path, keys) = (KeyPath::default(), table::ROOT);
        match node {
            Node::Map(entries) => Ok(Self::open(reading, path, keys, entries)),
            Node::Null => {
                let wrong = Wrong::new("the file is empty").hint(FIRST_LINES);
                Err(reading.error(&path, &wrong, None))
            }
            Node::Flag(_) | Node::Number(_) | Node::Text(_) | Node::List(_) | Node::Tagged => {
                let what = format!("the file must be a mapping, not {}", node.describe());
                Err(reading.error(&path, &Wrong::new(what).hint(FIRST_LINES), None))
            }
        }
    }

    pub(super) fn open(
        reading: &'r Reading<'r>,
        path: KeyPath,
        keys: &'static [Key],
        entries: &'r [(String, Node)],
    ) -> Self {
        report_twice(reading, &path, entries);
        for (name, _) in entries {
            if !keys.iter().any(|key| key.name == name) {
                let wrong = Wrong::new("is not a known key").hint(meant(name, &path, keys));
                reading.error(&path.key(name), &wrong, None);
            }
        }
        Self { reading, path, keys, entries }
    }

    /// The field of this name.
    #[expect(
        clippy::expect_used,
        reason = "the names are literals; each is asked for in every test"
    )]
    pub(super) fn field(&self, name: &str) -> Field<'r> {
        let key = self.keys.iter().find(|key| key.name == name).expect("the table has this key");
        let node = self.entries.iter().find(|(key, _)| key == name).map(|(_, node)| node);
        Field::new(self.reading, self.path.key(name), key, node)
    }

    /// The mapping of this name; one that is not written, or has nothing in it, is empty.
    pub(super) fn section(&self, name: &str) -> Result<Self, Reported> {
        self.field(name).section()
    }

    /// The keys that were written.
    pub(super) fn written(&self) -> impl Iterator<Item = &'r str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }
}

/// Reports every key that stands a second time.
pub(super) fn report_twice(reading: &Reading<'_>, path: &KeyPath, entries: &[(String, Node)]) {
    for (at, (name, _)) in entries.iter().enumerate() {
        // A third time is no news, and has no place of its own.
        if entries.iter().take(at).filter(|(before, _)| before == name).count() == 1 {
            let wrong = Wrong::new("stands here a second time").hint("remove one of the two");
            reading.error(&path.again(name), &wrong, None);
        }
    }
}

/// What the author of an unknown key may have meant.
fn meant(name: &str, path: &KeyPath, keys: &[Key]) -> String {
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&name)) {
        return (*hint).to_owned();
    }
    let name = RENAMED.iter().find(|(known, _)| *known == name).map_or(name, |(_, ours)| ours);
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let near = nearest(name, known.iter().copied());
    if let Some(near) = near.or_else(|| within(name, known.iter().copied())) {
        return format!("did you mean `{near}`?");
    }
    // The nearest place for it: `groups` of a route belongs into its rules, not to a provider's claims.
    let top = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let here = top(&path.to_string());
    let is_far = |row: &&Row| top(&row.parent) != here;
    let rows = table::rows();
    let places = rows.iter().filter(|row| same(row.key.name, name));
    match places.filter(|row| !(is_far(row) && row.is_everyday())).min_by_key(is_far) {
        Some(row) if row.parent.is_empty() => "it belongs at the top of the file".to_owned(),
        Some(row) => format!("it belongs elsewhere: `{}`", row.path()),
        None => format!("keys here are {}", known.join(", ")),
    }
}

const FIRST_LINES: &str = "begin with the lines `server:`, `providers:`, `routes:`";

/// What people know a key by who come from another gateway.
const RENAMED: [(&str, &str); 21] = [
    ("oidc_issuer_url", "issuer"),
    ("issuer_url", "issuer"),
    ("idp_provider_url", "issuer"),
    ("cookie_secret", "secret"),
    ("cookie_domain", "domain"),
    ("cookie_domains", "domain"),
    ("cookie_expire", "lifetime"),
    ("cookie_refresh", "refresh_before"),
    ("cookie_samesite", "same_site"),
    ("allowed_groups", "groups"),
    ("proxy_prefix", "endpoint_prefix"),
    ("pass_host_header", "preserve_host"),
    ("http_address", "listen"),
    ("upstreams", "upstream"),
    ("to", "upstream"),
    ("from", "host"),
    ("policy", "allow"),
    ("scope", "scopes"),
    ("idp_client_id", "client_id"),
    ("idp_client_secret", "client_secret"),
    ("idp_scopes", "scopes"),
];

/// What is said in another way here, or not at all.
const ELSEWHERE: [(&[&str], &str); 20] = [
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
        &["authenticated_emails_file", "htpasswd_file"],
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
    (
        &["login_url", "redeem_url", "profile_url", "oidc_jwks_url", "skip_oidc_discovery"],
        "write what discovery does not tell in `providers.ID.endpoints`",
    ),
    (&["skip_provider_button"], "visitors go straight on where one provider signs in: remove it"),
    (&["code_challenge_method"], "PKCE with S256 is always used: remove it"),
    (
        &["tls_cert_file", "tls_key_file"],
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
        ],
        "write what the application gets in `identity_headers`",
    ),
    (
        &["provider", "idp_provider"],
        "name your provider below `providers`: `providers: { company: { issuer: …, client_id: … } }`",
    ),
];
