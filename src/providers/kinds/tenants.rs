//! Issuers that stand for several tenants of Entra.

use crate::oidc::discovery::IssuerMatch;
use crate::providers::kinds::{IssuerSource, ProviderKind, SignInProtocol};

/// The words that stand for several tenants in an issuer.
pub const SEVERAL_TENANTS: [&str; 3] = ["organizations", "common", "consumers"];

impl ProviderKind {
    /// How the issuer of an ID token is compared with this configured one.
    pub fn issuer_match(&self, issuer: &str) -> IssuerMatch {
        match tenant_in(issuer) {
            Some((before, tenant)) if self.has_tenants() && SEVERAL_TENANTS.contains(&tenant) => {
                IssuerMatch::OfTenant(format!("{before}/{}/v2.0", IssuerMatch::TENANT))
            }
            Some(_) | None => IssuerMatch::Exact,
        }
    }

    /// Whether its issuer names a tenant, or several.
    pub fn has_tenants(&self) -> bool {
        let SignInProtocol::OpenId { issuer, .. } = self.protocol else { return false };
        matches!(issuer, IssuerSource::Tenants(_))
    }
}

/// What stands before the tenant in an issuer, and the tenant: its ID, or a word for several.
pub fn tenant_in(issuer: &str) -> Option<(&str, &str)> {
    issuer.strip_suffix("/v2.0")?.rsplit_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::kinds::ALL;

    #[test]
    fn only_entra_has_an_issuer_of_several_tenants() {
        for kind in ALL {
            for tenant in SEVERAL_TENANTS {
                let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
                let expected = match kind.name {
                    "entra" => IssuerMatch::OfTenant(
                        "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
                    ),
                    _ => IssuerMatch::Exact,
                };
                assert_eq!(kind.issuer_match(&issuer), expected, "{}", kind.name);
            }
            let one = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
            assert_eq!(kind.issuer_match(one), IssuerMatch::Exact);
        }
    }
}
