//! The kinds of providers, each as data in a file of its own.
//! Invariant: a deviation from the standards is a value of a kind. No configuration key names one, so that a generic
//! provider never gets it.

mod account_list;
mod adfs;
mod apple;
mod auth0;
mod bitbucket;
mod claim_defaults;
mod cognito;
mod deviations;
mod dex;
mod discord;
mod endpoints;
mod entra;
mod entra_domain;
mod error_codes;
mod facebook;
mod github;
mod gitlab;
mod google;
mod guide;
mod keycloak;
mod linkedin;
mod oauth;
mod oauth2;
mod oidc;
mod okta;
mod options;
mod slack;
mod tenants;
mod zitadel;

pub use account_list::AccountList;
pub use claim_defaults::ClaimDefaults;
pub use deviations::{NameSource, Nonce, Pkce, RedirectUris, TokenLifetime};
pub use entra_domain::write_email_verified;
pub use error_codes::{CodeMeaning, ResourceCodeMeaning};
pub use guide::Guide;
pub use oauth::{AddressList, OAuth};
pub use options::KindOptions;
pub use tenants::{SEVERAL_TENANTS, tenant_in};

pub use crate::oidc::discovery::is_tenant_id;

pub use crate::oauth::error_form::ErrorForm;
use crate::providers::fetch::Fetch;

/// What the gateway knows about one kind of provider.
#[derive(Debug)]
pub struct ProviderKind {
    /// The word for it in the configuration.
    pub name: &'static str,
    /// Its name on the sign-in page. Empty: the ID of the provider.
    pub label: &'static str,
    /// Its icon there, drawn for this project: the path of a line on a grid of 24 by 24. It is about what the provider
    /// does, and resembles no trademark.
    pub icon: &'static str,
    /// How users sign in.
    pub protocol: SignInProtocol,
    /// Endpoints that its discovery document lacks. `{NAME}` is the value of an option.
    pub endpoints: &'static [(KnownEndpoint, &'static str)],
    /// The base URL of its API, if it has one that the gateway calls.
    pub api: Option<Api>,
    /// Header fields of requests to it.
    pub api_headers: &'static [(&'static str, &'static str)],
    /// `scopes`, unless they are configured.
    pub scopes: &'static [&'static str],
    /// Parameters of the authorization request, unless they are configured. The value `{NAME}` is that of an option; if
    /// this is not set, the parameter is left out.
    pub parameters: &'static [(&'static str, &'static str)],
    /// The form of its error responses.
    pub error_form: ErrorForm,
    /// Error codes of its token endpoint that RFC 6749 does not have, or that mean something else here.
    pub error_codes: &'static [(&'static str, CodeMeaning)],
    /// Error codes of its userinfo endpoint or profile that are not in its status.
    pub resource_error_codes: &'static [(&'static str, ResourceCodeMeaning)],
    /// How its token endpoint authenticates clients (`token_endpoint_auth_methods_supported` of RFC 8414 §2), if its
    /// metadata does not say it. Empty: as the standard says.
    pub auth_methods: &'static [&'static str],
    /// What it wants in assertions by which the client authenticates.
    pub client_assertion: ClientAssertion,
    /// Whether it supports PKCE.
    pub pkce: Pkce,
    /// Scopes with which it sends the authorization response by `form_post` only.
    pub form_post_scopes: &'static [&'static str],
    /// Which redirect URIs can be registered.
    pub redirect_uris: RedirectUris,
    /// What the lifetime of access tokens means.
    pub token_lifetime: TokenLifetime,
    /// Where the user's name is.
    pub name_source: NameSource,
    /// Where the claims are, unless that is configured.
    pub claims: ClaimDefaults,
    /// What makes an e-mail address a verified one.
    pub verified: EmailTrust,
    /// Where groups come from.
    pub groups: Groups,
    /// The most groups that it puts into a claim without a word about those that it left out.
    pub most_groups: Option<usize>,
    /// How the session at the provider is ended.
    pub end_session: EndSession,
    /// How a sign-out revokes tokens.
    pub revocation: TokenRevocation,
    /// Scopes that an option needs, in addition to `scopes`, unless these are configured.
    pub option_scopes: &'static [(&'static str, &'static [&'static str])],
    /// Keys of `providers.ID` that only this kind has.
    pub options: &'static [KindOption],
    /// Claims that must have a value of an option. A user without it is denied at sign-in and at each refresh.
    pub required_claims: &'static [RequiredClaim],
    /// What an operator does at the provider.
    pub guide: Guide,
}

/// What a provider wants in a client assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAssertion {
    /// The issuer as the audience (RFC 7523 §3), and the algorithms that it announces, RS256 first.
    Standard,
    /// The token endpoint as the audience.
    TokenEndpoint,
    /// The endpoint of the request as the audience.
    RequestedEndpoint,
    /// The token endpoint as the audience, and PS256 as the algorithm.
    TokenEndpointPs256,
    /// A JWT with this audience, which is the client secret. Its key has the options `key_id` and `team_id`.
    AppleSecret {
        /// The audience.
        audience: &'static str,
    },
}

/// How users sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInProtocol {
    /// OpenID Connect: an ID token describes the user.
    OpenId {
        /// Where the issuer identifier comes from.
        issuer: IssuerSource,
        /// Whether the ID token has the `nonce` of the authorization request.
        nonce: Nonce,
    },
    /// OAuth 2.0: a profile of the provider's API describes the user.
    OAuth(OAuth),
}

/// Where the issuer identifier comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerSource {
    /// The key `issuer`, which is required.
    Required,
    /// A text in which `{NAME}` is the value of an option. The key `issuer` replaces it.
    Template(&'static str),
    /// The same, for one tenant or for several. With several, the issuer of an ID token is that of the user's tenant.
    Tenants(&'static str),
}

/// The base URL of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// At the provider's own service.
    pub base: &'static str,
    /// On a server of one's own, which the option `url` names; `{url}` is its value.
    pub own: Option<&'static str>,
}

/// An endpoint that a kind names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownEndpoint {
    /// The userinfo endpoint.
    Userinfo,
    /// The end session endpoint.
    EndSession,
    /// The revocation endpoint.
    Revocation,
}

/// What makes an e-mail address a verified one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTrust {
    /// The claim `email_verified` (OIDC Core §5.1).
    Claim,
    /// The mark in the list of addresses of the provider's API.
    AddressList {
        /// Whether it also says something at a server of one's own.
        at_own_server: bool,
    },
    /// A claim about the owner of its domain, else a user of the one tenant who is no guest.
    EntraDomain,
    /// Nothing does.
    Never,
}

/// Where groups come from.
#[derive(Clone, Copy, Debug)]
pub enum Groups {
    /// The claim of `claims.groups`.
    Claim,
    /// The lists of the provider's API, whose texts become the claim `groups`. They are requested while `claims.groups`
    /// is the default.
    Api {
        /// The lists.
        lists: &'static [GroupList],
    },
    /// The claim. Where it is too long for a token there is a mark in its place, and this list of the API has all groups.
    /// The API is at the origin of the userinfo endpoint.
    Overage(Fetch),
    /// A list that the service account of the option `service_account` reads, if there is one.
    ServiceAccount {
        /// If it acts for an administrator: `admin_email`.
        delegated: AccountList,
        /// If it acts for itself.
        own: AccountList,
    },
}

/// How the session at the provider is ended, if it has an endpoint for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndSession {
    /// By OpenID Connect RP-Initiated Logout 1.0.
    Standard,
    /// With `client_id` and this parameter in place of `post_logout_redirect_uri`.
    Parameter(&'static str),
    /// Standard, if discovery has an endpoint; else at this path below the issuer, with `client_id` and this parameter.
    Fallback {
        /// The path.
        path: &'static str,
        /// The parameter.
        parameter: &'static str,
    },
    /// The provider has none, whatever its metadata says. A configured one is standard.
    None,
}

/// A list of groups in an API.
#[derive(Clone, Copy, Debug)]
pub struct GroupList {
    /// The list.
    pub fetch: Fetch,
    /// The scope that it needs. Without it in `scopes`, it is not requested.
    pub scope: &'static str,
    /// The option of which each value `{NAME}` has a list. A value that no list before has is left out, and 404 means
    /// that the user is not a member.
    pub for_each: Option<&'static str>,
}

/// How a sign-out revokes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRevocation {
    /// The refresh token, at the revocation endpoint (RFC 7009), if there is one.
    Rfc7009,
    /// The access token, by `DELETE` below the base of the API, at this path with the client ID in place of `{}`.
    Delete(&'static str),
}

/// A key of `providers.ID` that only some kinds have.
#[derive(Clone, Copy, Debug)]
pub struct KindOption {
    /// The key.
    pub name: &'static str,
    /// The value of a key that is not set; `None`: there is none.
    pub default: Option<&'static str>,
    /// An example, if the key is required.
    pub required: Option<&'static str>,
    /// What a warning says while it is not set.
    pub unset: Option<&'static str>,
}

/// A claim that must have a value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    /// The claim.
    pub claim: &'static str,
    /// The option. While it is not set, every user may sign in.
    pub option: &'static str,
}

/// `client_secret_basic`.
const BASIC: &str = "client_secret_basic";
/// `client_secret_post`.
const POST: &str = "client_secret_post";

/// All kinds, in the order of the documentation.
pub const ALL: [&ProviderKind; 19] = [
    &oidc::KIND,
    &google::KIND,
    &entra::KIND,
    &keycloak::KIND,
    &okta::KIND,
    &auth0::KIND,
    &gitlab::KIND,
    &apple::KIND,
    &cognito::KIND,
    &zitadel::KIND,
    &dex::KIND,
    &adfs::KIND,
    &slack::KIND,
    &linkedin::KIND,
    &discord::KIND,
    &github::KIND,
    &facebook::KIND,
    &bitbucket::KIND,
    &oauth2::KIND,
];

/// The words of the configuration, in the same order.
pub const NAMES: [&str; ALL.len()] = names();

#[expect(clippy::indexing_slicing, reason = "a constant: it fails at compile time")]
const fn names() -> [&'static str; ALL.len()] {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].name;
        at += 1;
    }
    names
}

/// The kind of a provider that says nothing else.
pub const GENERIC: &ProviderKind = &oidc::KIND;

impl ProviderKind {
    /// The kind with this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|kind| kind.name == name)
    }

    /// The kind that people mean by another name.
    pub fn meant_by(name: &str) -> Option<&'static str> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        let meant = match name.as_str() {
            "azure" | "azure-ad" | "azuread" | "entra-id" | "microsoft" | "ms-entra-id" => "entra",
            "keycloak-oidc" | "rhsso" => "keycloak",
            "onelogin" | "ping" | "pingone" | "authentik" | "authelia" | "openid"
            | "openid-connect" => "oidc",
            "oauth" => "oauth2",
            "github-enterprise" => "github",
            other => other,
        };
        Self::by_name(meant).map(|kind| kind.name)
    }

    /// What every OpenID Connect provider has in common.
    const fn oidc() -> Self {
        Self {
            name: "oidc",
            label: "",
            // A key.
            icon: "M12 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0h9v3m-4-3v3",
            protocol: SignInProtocol::OpenId {
                issuer: IssuerSource::Required,
                nonce: Nonce::Required,
            },
            endpoints: &[],
            api: None,
            api_headers: &[],
            scopes: &["openid", "email", "profile"],
            parameters: &[],
            error_form: ErrorForm::Standard,
            error_codes: &[],
            resource_error_codes: &[],
            auth_methods: &[],
            client_assertion: ClientAssertion::Standard,
            pkce: Pkce::S256,
            form_post_scopes: &[],
            redirect_uris: RedirectUris::Any,
            token_lifetime: TokenLifetime::Refreshed,
            name_source: NameSource::Claim,
            claims: ClaimDefaults::standard(),
            verified: EmailTrust::Claim,
            groups: Groups::Claim,
            most_groups: None,
            end_session: EndSession::Standard,
            revocation: TokenRevocation::Rfc7009,
            option_scopes: &[],
            options: &[],
            required_claims: &[],
            guide: Guide::oidc(),
        }
    }
}

impl KindOption {
    /// An option that can be left out.
    const fn named(name: &'static str) -> Self {
        Self { name, default: None, required: None, unset: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::kinds::options::option_of;

    #[test]
    fn generic_kinds_have_no_deviation() {
        for kind in [&oidc::KIND, &oauth2::KIND] {
            assert_eq!(kind.pkce, Pkce::S256, "{}", kind.name);
            assert!(kind.form_post_scopes.is_empty(), "{}", kind.name);
            assert_eq!(kind.redirect_uris, RedirectUris::Any, "{}", kind.name);
            assert_eq!(kind.token_lifetime, TokenLifetime::Refreshed, "{}", kind.name);
            assert_eq!(kind.name_source, NameSource::Claim, "{}", kind.name);
            assert_eq!(kind.verified, EmailTrust::Claim, "{}", kind.name);
            assert!(matches!(kind.groups, Groups::Claim), "{}", kind.name);
            assert_eq!(kind.revocation, TokenRevocation::Rfc7009, "{}", kind.name);
            assert_eq!(kind.error_form, ErrorForm::Standard, "{}", kind.name);
            assert!(kind.resource_error_codes.is_empty(), "{}", kind.name);
            assert!(kind.error_codes.is_empty() && kind.api.is_none(), "{}", kind.name);
            assert_eq!(kind.most_groups, None, "{}", kind.name);
            assert_eq!(kind.end_session, EndSession::Standard, "{}", kind.name);
            assert!(kind.auth_methods.is_empty() && kind.parameters.is_empty(), "{}", kind.name);
            assert!(
                kind.error_codes.is_empty() && kind.required_claims.is_empty(),
                "{}",
                kind.name
            );
        }
        let SignInProtocol::OAuth(oauth) = oauth2::KIND.protocol else { panic!("not OAuth 2.0") };
        assert!(oauth.secret_proof.is_none() && oauth.emails.is_none());
        let SignInProtocol::OpenId { nonce, .. } = GENERIC.protocol else {
            panic!("not OpenID Connect")
        };
        assert_eq!(nonce, Nonce::Required);
    }

    #[test]
    fn placeholders_name_options_of_their_kind() {
        for kind in ALL {
            let SignInProtocol::OAuth(oauth) = kind.protocol else { continue };
            let own = kind.api.and_then(|api| api.own);
            for template in [oauth.authorization, oauth.token, own].into_iter().flatten() {
                let names = template.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
                for (name, _) in names {
                    assert!(kind.options.iter().any(|option| option.name == name), "{template}");
                }
            }
        }
    }

    #[test]
    fn what_a_kind_needs_of_an_option_is_an_option() {
        for kind in ALL {
            let parameters = kind.parameters.iter().filter_map(|(_, value)| option_of(value));
            let required = kind.required_claims.iter().map(|required| required.option);
            for name in parameters.chain(required) {
                assert!(kind.options.iter().any(|option| option.name == name), "{name}");
            }
        }
    }

    #[test]
    fn scope_that_a_provider_rejects_is_no_default() {
        // `offline_access` is `invalid_scope` at Cognito, unknown at most others, and unwanted at Keycloak.
        let has_it = ["okta", "auth0", "zitadel", "dex"];
        let open_id = ALL.iter().filter(|kind| kind.scopes.contains(&"openid"));
        for kind in open_id.filter(|kind| kind.name != "entra") {
            let offline = kind.scopes.contains(&"offline_access");
            assert_eq!(offline, has_it.contains(&kind.name), "{}", kind.name);
            assert_eq!(kind.scopes.contains(&"groups"), kind.name == "dex", "{}", kind.name);
        }
    }

    #[test]
    fn every_kind_has_its_own_icon_which_is_a_path() {
        for (at, kind) in ALL.iter().enumerate() {
            let of_paths = |byte: u8| b"MmLlHhVvCcAaZz0123456789.- ".contains(&byte);
            assert!(kind.icon.starts_with('M') && kind.icon.bytes().all(of_paths), "{}", kind.name);
            let same = ALL.iter().take(at).find(|other| other.icon == kind.icon);
            assert!(same.is_none(), "{}: draw an icon (`ProviderKind::icon`)", kind.name);
        }
    }

    #[test]
    fn names_that_people_type_lead_to_a_kind() {
        assert_eq!(ProviderKind::meant_by("GitHub"), Some("github"));
        assert_eq!(ProviderKind::meant_by("onelogin"), Some("oidc"));
        assert_eq!(ProviderKind::meant_by("saml"), None);
    }
}
