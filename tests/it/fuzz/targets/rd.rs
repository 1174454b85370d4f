//! `rd`, where a browser goes after it signed in or out (RFC 9700 §4.11).
//! Invariant: it is a path on this host, or an URL on a host that shares the cookie, to a browser as well as to
//! us; it stays what it is when it comes back, and it never names a path of the gateway.

use std::sync::OnceLock;

use portcullis::login::return_to::{AllowedTargets, ReturnTo};
use portcullis::origin::Origin;
use portcullis::routing::Site;
use portcullis::routing::host::HostPattern;
use portcullis::routing::path::{PathInterpretations, PathPrefix};
use url::Url;

/// Takes the value of `rd`, decoded.
pub fn run(data: &[u8]) {
    let Ok(rd) = str::from_utf8(data) else { return };
    let places = places();
    stays(&places.alone, rd, &["https://app.example.com"]);
    let ours = ["https://app.example.com", "https://wiki.example.com"];
    stays(&places.shared, rd, &ours);
    let plain = ["http://app.example.com:8080", "http://wiki.example.com:8080"];
    stays(&places.plain, rd, &plain);
    on_host(&places.shared, rd);
}

fn stays(places: &AllowedTargets, rd: &str, origins: &[&str]) {
    let target = places.parse_or_root(Some(rd));
    let again = places.parse_or_root(Some(target.as_str()));
    assert_eq!(again, target, "{rd:?} becomes another");
    reached(&target, rd, origins);
    let bare = target.without_query();
    assert!(!bare.as_str().contains(['?', '#']), "{bare:?} of {rd:?}");
    reached(&bare, rd, origins);
    let absolute = places.absolute(&target);
    assert!(absolute.as_str().starts_with("http"), "{absolute:?} of {rd:?}");
    reached(&absolute, rd, origins);
}

/// Where a browser goes that gets this `Location` at the callback.
fn reached(target: &ReturnTo, rd: &str, origins: &[&str]) {
    let text = target.as_str();
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>".contains(&byte);
    assert!(text.bytes().all(visible), "{text:?} of {rd:?}");
    assert!(text.len() < 2048 + 64, "{} bytes", text.len());
    let after = origins.iter().find_map(|origin| text.strip_prefix(origin)).unwrap_or(text);
    // Not only to this parser: no browser takes what begins so for another host.
    assert!(after.starts_with('/') && !after.starts_with("//"), "{text:?} of {rd:?}");
    // Where the parser of browsers ends, whichever page of this host it starts from.
    for path in ["/", "/oauth2/callback?code=c&state=s", "/a/b/c;d#e"] {
        let base = Url::parse(&format!("{}{path}", origins[0])).unwrap();
        let url = base.join(text).unwrap();
        let origin = url.origin().ascii_serialization();
        assert!(origins.contains(&origin.as_str()), "{text:?} of {rd:?} leads to {origin}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        let path = url.path();
        assert!(!path.starts_with("//") && !path.contains("/../"), "{url}");
        assert!(!path.to_ascii_lowercase().starts_with("/oauth2/"), "{url}");
        let readings = PathInterpretations::of(path).unwrap();
        let prefix = PathPrefix::parse("/oauth2").unwrap();
        assert!(!prefix.matches_any(&readings), "{url}");
    }
}

/// A path that came with a request for another host of the gateway.
fn on_host(places: &AllowedTargets, target: &str) {
    for authority in ["wiki.example.com", "evil.example", "wiki.example.com@evil.example"] {
        let Some(made) = places.on_host(authority, target) else { continue };
        assert_eq!(authority, "wiki.example.com", "{made:?}");
        reached(&made, target, &["https://wiki.example.com", "https://app.example.com"]);
    }
}

struct AllPlaces {
    alone: AllowedTargets,
    shared: AllowedTargets,
    plain: AllowedTargets,
}

fn places() -> &'static AllPlaces {
    static PLACES: OnceLock<AllPlaces> = OnceLock::new();
    let make = |url: &str, domain: Option<&str>| {
        let hosts = ["app.example.com", "wiki.example.com", "evil.example", "example.com.evil"];
        let hosts = hosts.map(|host| HostPattern::parse(host).unwrap()).into();
        let prefix = PathPrefix::parse("/oauth2").unwrap();
        let public_url = Origin::parse(url).unwrap();
        AllowedTargets::new(Site::new(public_url, prefix), domain, hosts).unwrap()
    };
    PLACES.get_or_init(|| AllPlaces {
        alone: make("https://app.example.com", None),
        shared: make("https://app.example.com", Some("example.com")),
        plain: make("http://app.example.com:8080", Some("example.com")),
    })
}
