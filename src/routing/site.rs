//! Where browsers reach the gateway: its public URL, and the path prefix of its own endpoints there.

use crate::origin::Origin;
use crate::routing::path::PathPrefix;

/// `server.public_url` and `server.endpoint_prefix`.
#[derive(Clone, Debug)]
pub struct Site {
    public_url: Origin,
    prefix: PathPrefix,
    /// The URL of the prefix at the public URL.
    base: String,
}

impl Site {
    /// A site with its endpoints below `prefix`.
    pub fn new(public_url: Origin, prefix: PathPrefix) -> Self {
        let base = public_url.url(prefix.as_str());
        Self { public_url, prefix, base }
    }

    /// The origin at which browsers reach the gateway.
    pub fn public_url(&self) -> &Origin {
        &self.public_url
    }

    /// The path prefix of the gateway's endpoints. It exists on every host.
    pub fn prefix(&self) -> &PathPrefix {
        &self.prefix
    }

    /// The path of an endpoint on any host. `below` is its path below the prefix, with or without a query.
    pub fn own_path(&self, below: &str) -> String {
        format!("{}{below}", self.prefix)
    }

    /// The absolute URL of an endpoint at the public URL. `below` is as for [`Self::own_path`].
    pub fn own_url(&self, below: &str) -> String {
        [self.base.as_str(), below].concat()
    }

    /// `path` at `origin` as a value of `rd` for an endpoint at the public URL: the path alone where the
    /// origin is that of the public URL, else an absolute URL.
    pub fn return_to(&self, origin: &Origin, path: &str) -> String {
        if *origin == self.public_url { path.to_owned() } else { origin.url(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    #[test]
    fn endpoint_has_a_path_on_every_host_and_a_url_at_public_url() {
        let prefix = PathPrefix::parse("/oauth2").unwrap();
        let site = Site::new(origin("https://auth.example"), prefix);
        assert_eq!(site.own_path("/start?rd=%2F"), "/oauth2/start?rd=%2F");
        assert_eq!(site.own_url("/start"), "https://auth.example/oauth2/start");
    }

    #[test]
    fn path_of_another_origin_returns_as_an_absolute_url() {
        let prefix = PathPrefix::parse("/oauth2").unwrap();
        let site = Site::new(origin("https://auth.example"), prefix);
        let check = |at: &str, expected: &str| {
            assert_eq!(site.return_to(&origin(at), "/a?b"), expected, "{at}");
        };
        check("https://auth.example", "/a?b");
        check("https://wiki.example", "https://wiki.example/a?b");
        check("http://auth.example", "http://auth.example/a?b");
        check("https://auth.example:8443", "https://auth.example:8443/a?b");
    }
}
