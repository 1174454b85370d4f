//! What `session.store.redis` configures.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::secret::Secret;
use crate::trust::{self, TrustError};

/// The `session.store.redis` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where the server is.
    pub address: RedisAddress,
    /// The number of the database.
    pub database: u32,
    /// The ACL user; without it, the password is that of the user `default`.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// TLS toward the server; `None` for plain TCP and for unix sockets.
    pub tls: Option<RedisTls>,
    /// The beginning of the name of every key, without the colon that follows it. It has no braces, which would be a
    /// hash tag.
    pub key_prefix: String,
    /// The longest time of one operation.
    pub timeout: Duration,
    /// How long a session that this process has read stays valid while the server cannot be reached.
    pub outage_cache: Duration,
}

/// Where a Redis server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    /// A TCP port.
    Tcp {
        /// A DNS name or an IP address; an IPv6 address has no brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// TLS toward a Redis server. Two of them are equal if their texts are.
#[derive(Clone)]
pub struct RedisTls {
    ca: Option<String>,
    client: Option<(String, Secret)>,
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl RedisTls {
    /// TLS toward the server of this name. `ca` is the PEM text of authorities to trust in addition to the system's;
    /// `client` are the PEM texts of the client certificate chain and its key.
    pub fn new(
        server_name: ServerName<'static>,
        ca: Option<String>,
        client: Option<(String, Secret)>,
    ) -> Result<Self, TrustError> {
        let pair = client.as_ref().map(|(chain, key)| (chain.as_str(), key.expose()));
        let config = Arc::new(trust::client(ca.as_deref(), pair)?);
        Ok(Self { ca, client, server_name, config })
    }

    /// The configuration of every connection.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name to send (SNI) and to verify.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }
}

impl PartialEq for RedisTls {
    fn eq(&self, other: &Self) -> bool {
        let Self { ca, client, server_name, config: _ } = self;
        (ca, client, server_name) == (&other.ca, &other.client, &other.server_name)
    }
}

impl Eq for RedisTls {}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn tls(name: &'static str, ca: Option<&str>, key: Option<(&str, &str)>) -> RedisTls {
        let client = key.map(|(chain, key)| (chain.to_owned(), Secret::new(key)));
        RedisTls::new(name.try_into().unwrap(), ca.map(str::to_owned), client).unwrap()
    }

    #[test]
    fn tls_is_equal_by_its_texts() {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(["a.internal".to_owned()]).unwrap().self_signed(&key);
        let (chain, key) = (made.unwrap().pem(), key.serialize_pem());
        let client = Some((chain.as_str(), key.as_str()));
        assert_eq!(
            tls("a.internal", Some(&chain), client),
            tls("a.internal", Some(&chain), client)
        );
        let plain = tls("a.internal", None, None);
        assert_ne!(plain, tls("b.internal", None, None));
        assert_ne!(plain, tls("a.internal", Some(&chain), None));
        assert_ne!(plain, tls("a.internal", None, client));
        assert!(!format!("{:?}", tls("a.internal", None, client)).contains("PRIVATE"));
    }

    #[test]
    fn key_that_does_not_belong_to_the_certificate_is_rejected() {
        let [one, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let made = CertificateParams::new(["a.internal".to_owned()]).unwrap().self_signed(&one);
        let client = (made.unwrap().pem(), Secret::new(other.serialize_pem()));
        let made = RedisTls::new("a.internal".try_into().unwrap(), None, Some(client));
        assert!(matches!(made, Err(TrustError::ClientCertificate(_))), "{made:?}");
    }
}
