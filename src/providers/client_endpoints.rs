//! The endpoints to which this gateway sends requests as a client: where they are, and how it authenticates there.
//! Invariant: a client that authenticates with a certificate uses the endpoints that request one (RFC 8705 §5), also
//! for userinfo, as its access tokens may be bound to the certificate.

use url::Url;

use crate::oauth::AuthenticatedEndpoint;
use crate::oauth::client_assertion::{AssertionProfile, Audience};
use crate::oauth::client_auth::ClientAuth;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::providers::kinds::ClientAssertion;
use crate::providers::{Provider, Settings};

impl Settings {
    /// How its kind wants client assertions.
    pub(super) fn assertions(&self) -> AssertionProfile {
        let issuer = || Audience::Issuer(self.issuer.clone());
        match self.kind.client_assertion {
            ClientAssertion::Standard => AssertionProfile::of(issuer()),
            ClientAssertion::TokenEndpoint => AssertionProfile::of(Audience::TokenEndpoint),
            ClientAssertion::RequestedEndpoint => AssertionProfile::of(Audience::RequestedEndpoint),
            ClientAssertion::TokenEndpointPs256 => AssertionProfile::ps256(Audience::TokenEndpoint),
            ClientAssertion::AppleSecret { audience } => {
                AssertionProfile::of(Audience::Issuer(audience.to_owned()))
            }
        }
    }
}

impl Provider {
    /// The token endpoint, with the method of the client's authentication.
    pub(super) fn token_endpoint<'a>(
        &'a self,
        metadata: &'a Metadata,
    ) -> Result<AuthenticatedEndpoint<'a>, OidcError> {
        let method = self.method(metadata.token_auth_methods.as_deref())?;
        Ok(AuthenticatedEndpoint {
            url: at(method, &metadata.token, metadata.mtls.token.as_ref()),
            token: &metadata.token,
            method,
            algorithms: metadata.token_auth_algorithms.as_deref(),
        })
    }

    /// The revocation endpoint, with the method of the client's authentication.
    pub(super) fn revocation_endpoint<'a>(
        &'a self,
        metadata: &'a Metadata,
    ) -> Result<Option<AuthenticatedEndpoint<'a>>, OidcError> {
        let Some(url) = &metadata.revocation else { return Ok(None) };
        let methods = metadata.revocation_auth_methods.as_deref();
        let method = self.method(methods.or(metadata.token_auth_methods.as_deref()))?;
        let algorithms = metadata.revocation_auth_algorithms.as_deref();
        Ok(Some(AuthenticatedEndpoint {
            url: at(method, url, metadata.mtls.revocation.as_ref()),
            token: &metadata.token,
            method,
            algorithms: algorithms.or(metadata.token_auth_algorithms.as_deref()),
        }))
    }

    /// The userinfo endpoint, for the tokens of this client.
    pub(super) fn userinfo_endpoint<'a>(&self, metadata: &'a Metadata) -> Option<&'a Url> {
        let url = metadata.userinfo.as_ref()?;
        let alias = metadata.mtls.userinfo.as_ref();
        let method = self.method(metadata.token_auth_methods.as_deref());
        Some(method.map_or(url, |method| at(method, url, alias)))
    }

    /// The method at an endpoint that offers these; without a list, at an endpoint of this kind of provider.
    fn method(&self, offered: Option<&[String]>) -> Result<&ClientAuth, OidcError> {
        let methods = &self.settings.client_auth;
        Ok(match (offered, self.settings.kind.auth_methods) {
            (Some(offered), _) => methods.choose(Some(offered))?,
            (None, []) => methods.choose::<&str>(None)?,
            (None, of_kind) => methods.choose(Some(of_kind))?,
        })
    }
}

fn at<'a>(method: &ClientAuth, url: &'a Url, alias: Option<&'a Url>) -> &'a Url {
    alias.filter(|_| method.certificate().is_some()).unwrap_or(url)
}
