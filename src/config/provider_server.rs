//! `kind`, `url`, `issuer`, `internal_origin`, `endpoints` and the options of the kind -> where a provider is.

use url::Url;

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::kind_options;
use crate::config::section::Section;
use crate::config::tenant;
use crate::config::urls::{self, PlainHttp};
use crate::origin::Origin;
use crate::providers::ProviderEndpoints;
use crate::providers::kinds::{KindOptions, ProviderKind, SignInProtocol};

pub(super) const ENDPOINTS: &[KeySpec] = &[
    key(
        "authorization",
        Type::Text,
        DefaultValue::Unset("from discovery"),
        "Authorization endpoint.",
    ),
    key("token", Type::Text, DefaultValue::Unset("from discovery"), "Token endpoint."),
    key("userinfo", Type::Text, DefaultValue::Unset("from discovery"), "Userinfo endpoint."),
    key(
        "jwks",
        Type::Text,
        DefaultValue::Unset("from discovery"),
        "URL of the provider's public keys.",
    ),
    key(
        "end_session",
        Type::Text,
        DefaultValue::Unset("from discovery"),
        "End session endpoint, for sign-out.",
    ),
    key(
        "revocation",
        Type::Text,
        DefaultValue::Unset("from discovery"),
        "Revocation endpoint, for refresh tokens.",
    ),
];

/// Where a provider is.
pub(super) struct ProviderServer {
    pub(super) options: KindOptions,
    pub(super) issuer: String,
    pub(super) internal_origin: Option<Origin>,
    pub(super) endpoints: ProviderEndpoints,
    pub(super) api: Option<Url>,
}

/// Reads all keys, and completes them by the kind.
pub(super) fn read(
    section: &Section<'_>,
    kind: &'static ProviderKind,
    http: PlainHttp,
) -> Result<ProviderServer, Reported> {
    let options = kind_options::read(section, kind, http);
    let issuer = section.field("issuer").optional(|text| urls::issuer(text, http));
    let internal_origin = internal_origin(&section.field("internal_origin"));
    let configured = match &internal_origin {
        Ok(internal) => section
            .section("endpoints")
            .and_then(|section| endpoints(&section, http, internal.as_ref())),
        Err(reported) => Err(*reported),
    };
    let (options, issuer) = (options?, issuer?);
    let (endpoints, api) = kind.endpoints(
        &options,
        issuer.as_deref(),
        configured?,
        internal_origin.as_ref().ok().and_then(Option::as_ref),
    );
    let issuer = match issuer {
        Some(issuer) => issuer_of(section, kind, issuer)?,
        None => by_kind(section, kind, &options, &endpoints)?,
    };
    if kind.has_tenants() {
        tenant::check(section, &options, &issuer)?;
    }
    Ok(ProviderServer { options, issuer, internal_origin: internal_origin?, endpoints, api })
}

/// A configured issuer: there is none without OpenID Connect.
fn issuer_of(
    section: &Section<'_>,
    kind: &ProviderKind,
    issuer: String,
) -> Result<String, Reported> {
    match kind.protocol {
        SignInProtocol::OpenId { .. } => Ok(issuer),
        SignInProtocol::OAuth(_) => {
            let invalid = Invalid::new(format!("has no effect for kind {}", kind.name))
                .hint("remove it: this kind is not OpenID Connect");
            Err(section.field("issuer").error(&invalid))
        }
    }
}

/// The issuer that follows from the kind. Without OpenID Connect, it is the origin of the authorization endpoint.
fn by_kind(
    section: &Section<'_>,
    kind: &ProviderKind,
    options: &KindOptions,
    endpoints: &ProviderEndpoints,
) -> Result<String, Reported> {
    if let SignInProtocol::OpenId { .. } = kind.protocol {
        let (name, example) = match kind.has_tenants() {
            true => ("tenant", "tenant: 00000000-0000-0000-0000-000000000000"),
            false => ("issuer", "issuer: https://id.example.com/realms/main"),
        };
        let issuer = kind.issuer(options);
        return issuer.ok_or_else(|| section.field(name).missing(Some(example)));
    }
    let ProviderEndpoints { authorization, token, userinfo, .. } = endpoints;
    let section = section.section("endpoints")?;
    let needed = [("authorization", authorization), ("token", token), ("userinfo", userinfo)];
    let needed = needed.map(|(name, url)| match url {
        Some(_) => Ok(()),
        None => {
            Err(section.field(name).missing(Some(&format!("{name}: https://id.example.com/…"))))
        }
    });
    needed.into_iter().collect::<Result<(), Reported>>()?;
    let origin = authorization.as_ref().and_then(Origin::of);
    Ok(origin.map(|origin| origin.to_string()).unwrap_or_default())
}

/// Plain `http://` is allowed here, with a warning.
fn internal_origin(field: &Field<'_>) -> Result<Option<Origin>, Reported> {
    let origin = field.optional(urls::origin)?;
    if origin.as_ref().is_some_and(|origin| !origin.is_https() && !origin.is_loopback()) {
        let invalid = Invalid::new(
            "uses http://: codes, tokens and the client secret cross the network to the provider unencrypted",
        )
        .hint("use https:// unless you trust this network");
        field.diagnostics.warning(&field.path, &invalid);
    }
    Ok(origin)
}

fn endpoints(
    section: &Section<'_>,
    http: PlainHttp,
    internal: Option<&Origin>,
) -> Result<ProviderEndpoints, Reported> {
    let is_internal = |url: &Url| internal.is_some() && Origin::of(url).as_ref() == internal;
    let own = |name| {
        section.field(name).optional(|text| match Url::parse(text) {
            Ok(url) if is_internal(&url) => urls::endpoint(text, PlainHttp::Anywhere),
            Ok(_) | Err(_) => urls::endpoint(text, http),
        })
    };
    let of_browsers = |name| {
        section.field(name).optional(|text| match urls::endpoint(text, http)? {
            url if is_internal(&url) => Err(Invalid::new(
                "is at internal_origin, but browsers send requests to this endpoint",
            )
            .hint("write the public URL")),
            url => Ok(url),
        })
    };
    let (authorization, token) = (of_browsers("authorization"), own("token"));
    let (userinfo, jwks) = (own("userinfo"), own("jwks"));
    let (end_session, revocation) = (of_browsers("end_session"), own("revocation"));
    Ok(ProviderEndpoints {
        authorization: authorization?,
        token: token?,
        userinfo: userinfo?,
        jwks: jwks?,
        end_session: end_session?,
        revocation: revocation?,
    })
}
