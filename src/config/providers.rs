//! `providers:` -> `providers::Settings`, in the order of the file.

use std::sync::Arc;

use crate::config::authorization_parameters;
use crate::config::claim_names;
use crate::config::client_credentials;
use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::field::Field;
use crate::config::hosted_domain;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, MINUTE, Type, key, millis};
use crate::config::kind_options;
use crate::config::pem;
use crate::config::provider_server;
use crate::config::redirect_uri;
use crate::config::section::Section;
use crate::config::server::http;
use crate::config::service_account;
use crate::config::tenant;
use crate::config::urls;
use crate::origin::Origin;
use crate::providers::kinds::{self, KindOptions, ProviderKind, SignInProtocol};
use crate::providers::{Settings, SignOut, Userinfo};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "kind",
        Type::Choice(&kinds::NAMES),
        DefaultValue::Is("oidc"),
        "ProviderKind of provider. It decides about the defaults of other keys.",
    ),
    kind_options::URL,
    kind_options::DOMAIN,
    hosted_domain::HOSTED_DOMAIN,
    service_account::SERVICE_ACCOUNT,
    service_account::ADMIN_EMAIL,
    tenant::TENANT,
    tenant::ALLOWED_TENANTS,
    kind_options::GRAPH_VERSION,
    kind_options::WORKSPACES,
    kind_options::GUILDS,
    kind_options::TEAM,
    kind_options::RESOURCE,
    kind_options::TEAM_ID,
    kind_options::KEY_ID,
    key(
        "name",
        Type::Text,
        DefaultValue::Unset("by kind, else the ID"),
        "Name on the button \"Sign in with NAME\".",
    ),
    key(
        "issuer",
        Type::Text,
        DefaultValue::Unset("by kind, else required"),
        "Issuer identifier, exactly as in the provider's metadata and ID tokens. Discovery starts there.",
    ),
    key(
        "internal_origin",
        Type::Text,
        DefaultValue::Unset("none"),
        "Origin for the gateway's own requests, in place of the issuer's: http://keycloak:8080. Paths stay the same.",
    ),
    key(
        "danger_allow_http",
        Type::Flag,
        DefaultValue::Is("false"),
        "Allows http:// for hosts other than localhost. Codes and tokens then cross the network unencrypted.",
    ),
    key(
        "endpoints",
        Type::Section(provider_server::ENDPOINTS),
        DefaultValue::Unset("from discovery"),
        "Endpoints that replace those from discovery.",
    ),
    key(
        "client_id",
        Type::Text,
        DefaultValue::Required("client_id: wiki"),
        "Client ID from the registration at the provider.",
    ),
    client_credentials::SECRET,
    client_credentials::METHOD,
    client_credentials::ASSERTION_FILE,
    client_credentials::KEY,
    client_credentials::CERTIFICATE,
    key(
        "scopes",
        Type::List { of: &Type::Text, least: 1 },
        DefaultValue::Unset("by kind: [openid, email, profile] for oidc"),
        "Requested scopes. With OpenID Connect, openid is required.",
    ),
    key(
        "response_mode",
        Type::Choice(&["query", "form_post"]),
        DefaultValue::Unset("by kind: query for oidc"),
        "How the provider sends its answer through the browser: form_post needs an https:// public_url, and makes the \
         login cookie SameSite=None.",
    ),
    key(
        "authorization_parameters",
        Type::Map(&Type::Scalar),
        DefaultValue::Unset("by kind: none for oidc"),
        "Additional parameters of the authorization request, such as prompt or hd.",
    ),
    key(
        "claims",
        Type::Section(claim_names::KEYS),
        DefaultValue::Unset("all defaults"),
        "Claims that contain the user, e-mail, groups and names: a name, or a JSON pointer that starts with /.",
    ),
    key(
        "userinfo",
        Type::Choice(&["auto", "always", "never"]),
        DefaultValue::Is("auto"),
        "When to request userinfo: auto requests it if the ID token lacks a claim of `claims`, or one that a rule or \
         header names, and signs in without these claims if it fails; always requires it.",
    ),
    key(
        "require_email_verified",
        Type::Flag,
        DefaultValue::Is("true"),
        "Whether to ignore an e-mail address without email_verified: true, in rules, headers and pages.",
    ),
    key(
        "sign_out",
        Type::Choice(&["provider", "local"]),
        DefaultValue::Is("provider"),
        "Whether sign-out also ends the session at the provider.",
    ),
    key(
        "distinct_redirect_uri",
        Type::Flag,
        DefaultValue::Is("false"),
        "Whether redirect_uri ends with /callback/ID. It protects against mix-up attacks if there are several providers.",
    ),
    key(
        "ca",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Certificates to trust, in addition to the system's root certificates: a path or the PEM text.",
    ),
    key(
        "proxy",
        Type::Secret,
        DefaultValue::Unset("the environment variables HTTPS_PROXY and NO_PROXY"),
        "Egress proxy for requests to the provider: http://HOST:PORT or https://HOST:PORT.",
    ),
    key(
        "timeout",
        millis(100, 5 * MINUTE),
        DefaultValue::Is("10s"),
        "Timeout of one request to the provider.",
    ),
];

/// Returns all configured IDs, even if their sections are invalid.
pub(super) fn ids(root: &Section<'_>) -> Result<Vec<String>, Reported> {
    // Errors are not reported here: `settings` reads the same field and reports them.
    let Some(Node::Map(entries)) = root.field("providers").node else { return Ok(Vec::new()) };
    let ids = entries.iter().filter(|(name, node)| !is_misplaced_key(name, Some(node)));
    Ok(ids.map(|(name, _)| name.clone()).collect())
}

/// Whether this is a key of a provider in a place where its ID should be.
fn is_misplaced_key(name: &str, node: Option<&Node>) -> bool {
    KEYS.iter().any(|key| key.name == name) && !matches!(node, Some(Node::Map(_) | Node::Null))
}

/// `providers`.
pub(super) fn settings(
    root: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<Vec<Settings>, Reported> {
    let field = root.field("providers");
    let entries = field.entries()?.unwrap_or_default();
    if let Some(misplaced) = entries.iter().find(|entry| is_misplaced_key(&entry.name, entry.node))
    {
        let invalid = Invalid::new(
            "is a key of a provider, but this is the place for the ID of a provider",
        )
        .hint(match entries.iter().find(|entry| entry.node == Some(&Node::Null)) {
            Some(id) => format!("indent it below `{}:`", id.name),
            None => format!(
                "choose an ID, and put the key below it: `providers: {{ company: {{ {}: … }} }}`",
                misplaced.name
            ),
        });
        return Err(misplaced.error(&invalid));
    }
    let providers: Vec<_> = entries.iter().map(|entry| provider(entry, public_url)).collect();
    providers.into_iter().collect()
}

fn provider(entry: &Field<'_>, public_url: Option<&Origin>) -> Result<Settings, Reported> {
    let id = id(entry);
    let section = Section::of(entry)?;
    let flag = section.field("danger_allow_http");
    let http = http(&flag);
    let kind = kind_options::kind(&section);
    let known = kind.unwrap_or_else(|_| kind_options::probable(&section));
    let server = provider_server::read(&section, known, http);
    let service_account = service_account::read(&section, known, http);
    let name = section.field("name").optional_text();
    let client_id = section.field("client_id").text();
    let options = server.as_ref().map(|server| server.options.clone()).unwrap_or_default();
    let scopes = scopes(&section.field("scopes"), known, &options);
    let response_mode =
        redirect_uri::response_mode(&section, known, public_url, scopes.as_deref().ok());
    let options = server.as_ref().ok().map(|server| &server.options);
    let client_auth = client_credentials::read(&section, known, options);
    let parameters =
        authorization_parameters::read(&section.field("authorization_parameters"), known, options);
    let claims = section.section("claims").and_then(|section| claim_names::read(&section, known));
    let userinfo = section.field("userinfo").choice(userinfo);
    let require_email_verified = section.field("require_email_verified").flag();
    let sign_out = section.field("sign_out").choice(|text| match text {
        "provider" => Some(SignOut::Provider),
        "local" => Some(SignOut::Local),
        _ => None,
    });
    let distinct_redirect_uri = section.field("distinct_redirect_uri").flag();
    let ca = pem::authorities(&section.field("ca"));
    let proxy = section.field("proxy").optional(urls::proxy);
    let timeout = section.field("timeout").duration();
    let (kind, server) = (kind?, server?);
    kind_options::warn_of_weak_binding(&section, kind);
    Ok(Settings {
        id: id?,
        name: name?.unwrap_or_else(|| match kind.label {
            "" => entry.name.clone(),
            label => label.to_owned(),
        }),
        kind,
        options: server.options,
        issuer: server.issuer,
        internal_origin: server.internal_origin,
        endpoints: server.endpoints,
        api: server.api,
        service_account: service_account?,
        client_id: client_id?,
        client_auth: client_auth?,
        scopes: scopes?,
        response_mode: response_mode?,
        authorization_parameters: parameters?,
        claims: claims?,
        userinfo: userinfo?,
        require_email_verified: require_email_verified?,
        sign_out: sign_out?,
        distinct_redirect_uri: distinct_redirect_uri?,
        ca: ca?,
        proxy: proxy?,
        timeout: timeout?,
        danger_allow_http: flag.flag()?,
    })
}

fn userinfo(text: &str) -> Option<Userinfo> {
    match text {
        "auto" => Some(Userinfo::Auto),
        "always" => Some(Userinfo::Always),
        "never" => Some(Userinfo::Never),
        _ => None,
    }
}

fn id(entry: &Field<'_>) -> Result<Arc<str>, Reported> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !entry.name.is_empty() && entry.name.len() <= 64 && entry.name.chars().all(plain) {
        return Ok(entry.name.as_str().into());
    }
    let invalid = Invalid::new("is not a valid provider ID").hint(
        "use at most 64 characters of a-z, 0-9 and -; set `name` for a name on the sign-in page",
    );
    Err(entry.error(&invalid))
}

fn scopes(
    field: &Field<'_>,
    kind: &ProviderKind,
    options: &KindOptions,
) -> Result<Vec<String>, Reported> {
    let scopes = field.optional_list(|text| {
        if text.contains(' ') {
            let meant = format!("[{}]", text.split_whitespace().collect::<Vec<_>>().join(", "));
            return Err(Invalid::new("contains more than one scope").suggest(meant));
        }
        // RFC 6749 §3.3: scope-token.
        let token = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        match !text.is_empty() && text.chars().all(token) {
            true => Ok(text.to_owned()),
            false => Err("is not a valid scope".into()),
        }
    })?;
    let Some(scopes) = scopes else {
        let of_options = kind.scopes_of_options(options).map(|(_, scope)| scope);
        return Ok(kind.scopes.iter().copied().chain(of_options).map(str::to_owned).collect());
    };
    let mut needed = kind.scopes_of_options(options);
    if let Some((option, scope)) = needed.find(|(_, it)| !scopes.iter().any(|scope| scope == it)) {
        let invalid = Invalid::new(format!("must contain {scope}: the key {option} needs it"));
        return Err(field.error(&invalid));
    }
    let is_open_id = matches!(kind.protocol, SignInProtocol::OpenId { .. });
    // OIDC Core §3.1.2.1: without `openid` there is no ID token.
    if is_open_id && !scopes.iter().any(|scope| scope == "openid") {
        let invalid =
            Invalid::new("must contain openid: without it, the provider sends no ID token");
        return Err(field.error(&invalid));
    }
    Ok(scopes)
}
