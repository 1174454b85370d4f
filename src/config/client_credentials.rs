//! `client_secret`, `client_key` and the other credentials of a provider's client -> the methods of its authentication.
//! Invariant: every credential that is set is used by a method, and every method has its credentials.

use serde_json::Value;

use crate::clock::UnixTime;
use crate::config::Config;
use crate::config::apple_key;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::pem::{self, Pem};
use crate::config::section::Section;
use crate::providers::kinds::{ClientAssertion, KindOptions, ProviderKind};
use crate::providers::{AuthMethods, ClientAuth, ClientCertificate, Settings};
use crate::secret::Secret;

pub(super) const SECRET: KeySpec = key(
    "client_secret",
    Type::Secret,
    DefaultValue::Unset("required, unless another credential replaces it"),
    "Client secret from the registration at the provider.",
);

pub(super) const METHOD: KeySpec = key(
    "token_endpoint_auth_method",
    Type::Choice(&[
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "client_assertion_file",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "none",
    ]),
    DefaultValue::Unset(
        "from discovery, among those that the credentials allow; client_secret_basic is preferred",
    ),
    "Client authentication at the token and revocation endpoints.",
);

pub(super) const ASSERTION_FILE: KeySpec = key(
    "client_assertion_file",
    Type::Text,
    DefaultValue::Unset("none"),
    "File with a JWT by which another system vouches for the client, in place of a client secret. It is read for each \
     request.",
);

pub(super) const KEY: KeySpec = key(
    "client_key",
    Type::Pem,
    DefaultValue::Unset("none"),
    "Private key for private_key_jwt, or of client_certificate: a path or the PEM text.",
);

pub(super) const CERTIFICATE: KeySpec = key(
    "client_certificate",
    Type::Pem,
    DefaultValue::Unset("none"),
    "Client certificate for tls_client_auth and self_signed_tls_client_auth, or registered for private_key_jwt: a path \
     or the PEM text.",
);

/// A value of `token_endpoint_auth_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Basic,
    Post,
    SecretJwt,
    PrivateKeyJwt,
    AssertionFile,
    Tls,
    SelfSignedTls,
    None,
}

/// What the operator gave, and its fields for messages.
struct Given<'s, 'r> {
    section: &'s Section<'r>,
    method: Option<Method>,
    secret: Option<Secret>,
    file: Option<String>,
    key: Option<Pem>,
    chain: Option<Pem>,
}

/// A key of the configuration with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential {
    Secret,
    File,
    Key,
    Certificate,
}

/// The credentials of a provider's client.
pub(super) fn read(
    section: &Section<'_>,
    kind: &ProviderKind,
    options: Option<&KindOptions>,
) -> Result<AuthMethods, Reported> {
    if let ClientAssertion::AppleSecret { .. } = kind.client_assertion {
        return apple_key::read(section, options);
    }
    let method = section.field("token_endpoint_auth_method").optional_choice(method);
    let secret = section.field("client_secret").secret();
    let file = section.field("client_assertion_file").optional_text();
    let key = pem::key(&section.field("client_key"));
    let chain = pem::chain(&section.field("client_certificate"));
    let given =
        Given { section, method: method?, secret: secret?, file: file?, key: key?, chain: chain? };
    given.check()?;
    given.methods()
}

/// The public keys to register at the providers: the ID of each, and a JWK.
pub fn keys_to_register(config: &Config) -> Vec<(String, Value)> {
    let key = |methods: &AuthMethods| methods.all().iter().find_map(ClientAuth::jwk_to_register);
    let of = |provider: &Settings| Some((provider.id.to_string(), key(&provider.client_auth)?));
    config.providers.iter().filter_map(of).collect()
}

fn method(text: &str) -> Option<Method> {
    Method::ALL.into_iter().find(|method| method.name() == text)
}

impl Given<'_, '_> {
    /// Whether each credential is needed or used, and each that is needed is there.
    fn check(&self) -> Result<(), Reported> {
        let (needed, used): (&[Credential], &[Credential]) = match self.method {
            Some(Method::Basic | Method::Post | Method::SecretJwt) => (&[Credential::Secret], &[]),
            Some(Method::PrivateKeyJwt) => (&[Credential::Key], &[Credential::Certificate]),
            Some(Method::AssertionFile) => (&[Credential::File], &[]),
            Some(Method::Tls | Method::SelfSignedTls) => {
                (&[Credential::Key, Credential::Certificate], &[])
            }
            Some(Method::None) => (&[], &[]),
            None if self.file.is_some() => (&[Credential::File], &[]),
            None if self.secret.is_some() => (&[Credential::Secret], &[]),
            None if self.key.is_some() || self.chain.is_some() => {
                (&[Credential::Key], &[Credential::Certificate])
            }
            None => (&[Credential::Secret], &[]),
        };
        let all = [Credential::Secret, Credential::File, Credential::Key, Credential::Certificate];
        let problems = all.map(|credential| {
            let is_needed = needed.contains(&credential);
            match self.has(credential) {
                true if is_needed || used.contains(&credential) => Ok(()),
                true => self.superfluous(credential, needed),
                false if is_needed => Err(self.missing(credential)),
                false => Ok(()),
            }
        });
        problems.into_iter().collect()
    }

    fn has(&self, credential: Credential) -> bool {
        match credential {
            Credential::Secret => self.secret.is_some(),
            Credential::File => self.file.is_some(),
            Credential::Key => self.key.is_some(),
            Credential::Certificate => self.chain.is_some(),
        }
    }

    fn superfluous(&self, credential: Credential, used: &[Credential]) -> Result<(), Reported> {
        let because = match (self.method, used) {
            (Some(method), _) => format!("token_endpoint_auth_method is {}", method.name()),
            (None, [used, ..]) => format!("the client authenticates with {}", used.key()),
            (None, []) => "the client is public".to_owned(),
        };
        let invalid =
            Invalid::new(format!("has no effect: {because}")).hint("remove one of the two keys");
        let field = self.section.field(credential.key());
        match (self.method, credential) {
            (Some(Method::None), Credential::Secret) => {
                field.diagnostics.warning(&field.path, &invalid);
                Ok(())
            }
            (_, _) => Err(field.error(&invalid)),
        }
    }

    fn missing(&self, credential: Credential) -> Reported {
        let what = match self.method {
            Some(method) => format!("is required for {}", method.name()),
            None if credential == Credential::Key => {
                "is required with client_certificate".to_owned()
            }
            None => "is required".to_owned(),
        };
        let hint = match credential {
            Credential::Secret if self.method.is_some() => {
                "write `client_secret: ${file:/run/secrets/client_secret}`"
            }
            Credential::Secret => {
                "write `client_secret: ${file:/run/secrets/client_secret}`, or for a public client \
                 `token_endpoint_auth_method: none`"
            }
            Credential::File => "write `client_assertion_file: /run/secrets/tokens/idp`",
            Credential::Key => "write `client_key: /run/secrets/client.key`",
            Credential::Certificate => "write `client_certificate: /run/secrets/client.crt`",
        };
        self.section.field(credential.key()).error(&Invalid::new(what).hint(hint))
    }

    /// The methods that the credentials allow. They are there: see `check`.
    fn methods(self) -> Result<AuthMethods, Reported> {
        let only = |method| Ok(AuthMethods::Only(method));
        if let Some(name) = &self.file {
            return only(self.assertion_file(name)?);
        }
        if self.method == Some(Method::None) {
            return only(ClientAuth::None);
        }
        if let Some(secret) = self.secret {
            let field = self.section.field("client_secret");
            let [basic, post] = [ClientAuth::ClientSecretBasic, ClientAuth::ClientSecretPost]
                .map(|method| method(secret.clone()));
            let jwt = ClientAuth::ClientSecretJwt(secret.clone());
            return match self.method {
                Some(Method::Post) => only(post),
                Some(Method::SecretJwt) => {
                    warn_of_short_key(&field, &secret);
                    only(jwt)
                }
                Some(_) => only(basic),
                None => Ok(AuthMethods::Preferred(vec![basic, post, jwt])),
            };
        }
        let key_field = self.section.field("client_key");
        let Some(key) = self.key else { return Err(key_field.missing(None)) };
        if let Some(chain) = &self.chain {
            pem::check_pair(chain, &key).map_err(|invalid| key_field.error(&invalid))?;
            pem::warn_of_validity(&self.section.field("client_certificate"), chain);
        }
        let tls = self.chain.as_ref().map(|chain| ClientCertificate {
            chain: chain.text.expose().to_owned(),
            key: Secret::new(key.text.expose()),
        });
        let signed = || private_key_jwt(&key_field, &key, self.chain.as_ref());
        match (self.method, tls) {
            (Some(Method::Tls), Some(tls)) => only(ClientAuth::TlsClientAuth(tls)),
            (Some(Method::SelfSignedTls), Some(tls)) => {
                only(ClientAuth::SelfSignedTlsClientAuth(tls))
            }
            (None, Some(tls)) => Ok(AuthMethods::Preferred(vec![
                ClientAuth::TlsClientAuth(tls.clone()),
                signed()?,
                ClientAuth::SelfSignedTlsClientAuth(tls),
            ])),
            (Some(_), _) => only(signed()?),
            (None, None) => Ok(AuthMethods::Preferred(vec![signed()?])),
        }
    }

    /// The file, if it can be read now. Later it is read for each request, so a change of it reloads nothing.
    fn assertion_file(&self, name: &str) -> Result<ClientAuth, Reported> {
        let field = self.section.field("client_assertion_file");
        let expiry = field.optional(|name| {
            let content = field.diagnostics.file_of_requests(name)?;
            ClientAuth::expiry_of_file(&content).map_err(|why| {
                Invalid::of_file(field.diagnostics.at(name).display().to_string(), why.to_string())
                    .hint("name the file with the JWT, such as a projected service account token")
            })
        })?;
        let expiry = expiry.flatten();
        if expiry.is_some_and(|expiry| UnixTime(expiry) < field.diagnostics.now()) {
            let invalid = Invalid::new("names a file with a JWT that has expired")
                .hint("check that the system that issues it renews the file");
            field.diagnostics.outdated(&field.path, &invalid);
        }
        Ok(ClientAuth::ClientAssertionFile(field.diagnostics.at(name)))
    }
}

/// Signing with a key, which a certificate may name.
fn private_key_jwt(
    field: &Field<'_>,
    key: &Pem,
    chain: Option<&Pem>,
) -> Result<ClientAuth, Reported> {
    let leaf = chain.and_then(Pem::leaf);
    ClientAuth::private_key_jwt(key.text.expose(), leaf.as_deref()).ok_or_else(|| {
        let invalid = Invalid::new(
            "cannot sign: it must be RSA with 2048 bits or more, EC on P-256, P-384 or P-521, or Ed25519",
        )
        .hint(
            "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out client.key`",
        );
        field.error(&invalid)
    })
}

/// Warns about a secret that is too short for HS256 (RFC 7518 §3.2).
fn warn_of_short_key(field: &Field<'_>, secret: &Secret) {
    if secret.expose().len() < 32 {
        let invalid = Invalid::new(
            "is shorter than 32 bytes, the minimum for client_secret_jwt (RFC 7518 §3.2)",
        )
        .hint("register a longer secret, or use another method");
        field.diagnostics.warning(&field.path, &invalid);
    }
}

impl Method {
    const ALL: [Self; 8] = [
        Self::Basic,
        Self::Post,
        Self::SecretJwt,
        Self::PrivateKeyJwt,
        Self::AssertionFile,
        Self::Tls,
        Self::SelfSignedTls,
        Self::None,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::SecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::AssertionFile => "client_assertion_file",
            Self::Tls => "tls_client_auth",
            Self::SelfSignedTls => "self_signed_tls_client_auth",
            Self::None => "none",
        }
    }
}

impl Credential {
    fn key(self) -> &'static str {
        match self {
            Self::Secret => "client_secret",
            Self::File => "client_assertion_file",
            Self::Key => "client_key",
            Self::Certificate => "client_certificate",
        }
    }
}
