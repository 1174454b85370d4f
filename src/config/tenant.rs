//! `providers.ID.tenant` and `allowed_tenants`: whose users may sign in at Entra.
//! Invariant: where an issuer stands for several tenants, those that are meant are named.

use crate::config::diagnostics::Reported;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::providers::kinds::{KindOptions, SEVERAL_TENANTS, is_tenant_id, tenant_in};

/// For the table of a provider.
pub(super) const TENANT: KeySpec = key(
    "tenant",
    Type::Text,
    DefaultValue::Unset("required for entra, unless issuer is set"),
    "Directory (tenant) ID, for kind entra; or organizations, common or consumers, which need allowed_tenants.",
);

/// For the table of a provider.
pub(super) const ALLOWED_TENANTS: KeySpec = key(
    "allowed_tenants",
    Type::OneOrMore(&Type::Text),
    DefaultValue::Unset("the one in tenant"),
    "IDs of the tenants whose users may sign in, for kind entra.",
);

/// One tenant, or a word for several.
pub(super) fn tenant(text: &str) -> Result<String, Invalid> {
    let text = text.to_ascii_lowercase();
    if is_tenant_id(&text) || SEVERAL_TENANTS.contains(&text.as_str()) {
        return Ok(text);
    }
    let invalid = Invalid::new("is not the ID of a tenant");
    Err(match text.contains('.') {
        true => invalid.hint(format!(
            "write the ID in place of the domain, because it is in the issuer of all tokens; it is in the member `issuer` \
             of https://login.microsoftonline.com/{}/v2.0/.well-known/openid-configuration",
            if is_domain(&text) { &text } else { "DOMAIN" }
        )),
        false => invalid.hint(
            "write the directory (tenant) ID of the overview page, or organizations, common or consumers",
        ),
    })
}

/// A tenant of `allowed_tenants`.
pub(super) fn allowed_tenant(text: &str) -> Result<String, Invalid> {
    let text = text.to_ascii_lowercase();
    match is_tenant_id(&text) {
        true => Ok(text),
        false => Err(Invalid::new("is not the ID of a tenant")
            .hint("write its directory (tenant) ID: users of a domain can be in any tenant")),
    }
}

/// Checks the two keys together. `issuer` is configured, or follows from `tenant`.
pub(super) fn check(
    section: &Section<'_>,
    options: &KindOptions,
    issuer: &str,
) -> Result<(), Reported> {
    let field = section.field(TENANT.name);
    let tenant_of_issuer = tenant_in(issuer).map_or("", |(_, tenant)| tenant);
    if options.one(TENANT.name).is_some_and(|tenant| tenant != tenant_of_issuer) {
        let invalid = Invalid::new("is not the tenant in `issuer`")
            .hint("remove one of the two keys, or write an issuer that ends in /TENANT/v2.0");
        return Err(field.error(&invalid));
    }
    let (field, allowed) = (section.field(ALLOWED_TENANTS.name), options.all(ALLOWED_TENANTS.name));
    let tenant = tenant_of_issuer;
    let is_one_of_several = SEVERAL_TENANTS.contains(&tenant);
    if is_one_of_several && allowed.is_empty() {
        // SECURITY: anyone can have a tenant, and write any name and address into it.
        let invalid = Invalid::new(format!(
            "is required with tenant {tenant}: users of every tenant could sign in"
        ))
        .hint("write `allowed_tenants: [TENANT-ID, TENANT-ID]`");
        return Err(field.error(&invalid));
    }
    let is_outside = !allowed.is_empty() && !allowed.iter().any(|it| it == tenant);
    if !is_one_of_several && is_outside {
        let invalid = Invalid::new("does not have the tenant itself, so no user could sign in")
            .hint("remove it, or for several tenants write `tenant: organizations`");
        return Err(field.error(&invalid));
    }
    Ok(())
}

fn is_domain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
}
