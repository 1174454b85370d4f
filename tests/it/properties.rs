//! Properties of the library, checked with thousands of generated inputs.
//! A property that a fuzzer checks too is a target of `fuzz`; here it gets inputs from a grammar.

use http::header::HeaderValue;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use portcullis::identity::headers::IdentityHeaderNames;
use portcullis::routing::host;
use portcullis::server::{Authority, TrustedProxies};
use proptest::prelude::*;
use url::Url;

use crate::fuzz::targets;

const PIECES: &str = "(/|//|open|more|private|Admin|admin|OPEN|x|\\.|\\.\\.|;|;a=b|%2f|%2F|%5c|%252f|%255c|%2e|%2E|%252e|%3b|%253b|%23|%3f|%20|%00|%09|%61|%41|%70rivate|%2561dmin|\\\\|~|%c3%a4|%ff|%|%zz\
    |:\\$DATA|::\\$DATA|%e2%80%8b|%c2%ad|%ef%bb%bf|pr%c4%b1vate|:|%c2%a5){1,10}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn allowed_path_has_the_same_decision_in_every_interpretation(raw in PIECES) {
        let raw = format!("/{raw}");
        targets::path::run(raw.as_bytes());
    }
}

fn field_of(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

fn any_cookie() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"portcullis"[..],
        b"portcullis-login",
        b"=",
        b";",
        b"; ",
        b" ",
        b"a",
        b"a=b",
        b"\xff",
        b"\"",
        b"\t",
        b",",
        b"portcullis=A",
        b"portcullis=B",
        b"%3d",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| field_of(&pieces))
}

proptest! {
    #[test]
    fn gateway_cookies_are_separated_from_others(fields in any_cookie()) {
        targets::cookies::run(&fields);
    }

    #[test]
    fn identity_header_is_stripped_in_every_spelling(
        name in prop::sample::select(vec!["x-forwarded-user", "x-forwarded-email", "x-forwarded-groups",
            "x-forwarded-preferred-username", "x-forwarded-access-token", "x-auth-request-anything"]),
        marks in prop::collection::vec(prop::sample::select(b"-_.~!#$%&'*+^`|".to_vec()), 4),
        capitals in any::<u64>(),
    ) {
        let mut marks = marks.into_iter();
        let spelt: Vec<u8> = name.bytes().enumerate().map(|(at, byte)| match byte {
            b'-' => marks.next().unwrap_or(b'-'),
            _ if capitals >> (at % 64) & 1 == 1 => byte.to_ascii_uppercase(),
            _ => byte,
        }).collect();
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_bytes(&spelt).unwrap(), HeaderValue::from_static("mallory"));
        IdentityHeaderNames::new(&[]).strip(&mut headers);
        prop_assert!(headers.is_empty(), "{}", String::from_utf8_lossy(&spelt));
    }

    #[test]
    fn return_target_stays_on_the_gateway_and_is_stable(
        rd in "(/|//|\\\\|https:|http:|HTTPS:|evil\\.example|app\\.example\\.com|wiki\\.example\\.com|@|:443|:80|\\.\\.|%2f|%5c|%09|\\?|#|;|:|\t|\n|\u{3002}|\u{ff0f}|[ -~]){0,12}",
    ) {
        targets::rd::run(rd.as_bytes());
    }

    #[test]
    fn accepted_authority_is_parsed_the_same_by_browsers(text in "([a-c]|A|-|_|\\.|:|80|[0-9]|\\[|\\]|::1|@|/|\\?|#|%|\\\\| ){0,8}") {
        let Some(authority) = HeaderValue::try_from(&text).ok().and_then(Authority::parse) else { return Ok(()) };
        let normal = host::normal(authority.host());
        prop_assert_eq!(host::normal(&normal), normal.clone());
        prop_assert_eq!(&text[..authority.host().len()], authority.host());
        // Hosts that end in a number are addresses to browsers, and odd names to all others.
        let Ok(url) = Url::parse(&format!("http://{text}/")) else { return Ok(()) };
        let host = url.host_str().unwrap();
        if normal.starts_with('[') || !host.ends_with(|last: char| last.is_ascii_digit()) {
            prop_assert_eq!(host.trim_end_matches('.'), normal.trim_end_matches('.'));
            prop_assert_eq!(url.port_or_known_default().unwrap(), authority.port().unwrap_or(80));
        }
    }

    #[test]
    fn ipv4_mapped_address_is_trusted_like_its_ipv4_address(address in any::<[u8; 4]>(), network in any::<[u8; 4]>(), bits in 0_u8..=32) {
        let network = IpNet::new(std::net::Ipv4Addr::from(network).into(), bits).unwrap();
        let proxies = TrustedProxies { networks: vec![network], unix: false };
        let address = std::net::Ipv4Addr::from(address);
        let plain = std::net::IpAddr::from(address);
        let mapped = address.to_ipv6_mapped().into();
        prop_assert_eq!(proxies.contains(plain), network.contains(&plain));
        prop_assert_eq!(proxies.contains(plain), proxies.contains(mapped));
    }
}
