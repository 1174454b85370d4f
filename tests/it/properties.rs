//! What holds whatever is sent: rules of the library, asked of thousands of inputs.
//! The readings of a path are held to models of upstreams that were written apart from them.

use http::header::HeaderValue;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use percent_encoding::percent_decode;
use portcullis::identity::headers::Stripped;
use portcullis::routing::host;
use portcullis::routing::path::{PathPrefix, Reading, Readings};
use portcullis::server::{Authority, TrustedProxies};
use proptest::prelude::*;
use url::Url;

use crate::fuzz::targets;

/// Prefixes between which no confusion may be.
const PREFIXES: &[&str] = &["/open", "/open/more", "/private", "/Admin"];

/// Under which of [`PREFIXES`] a path lies.
fn places(path: &str, fold: bool) -> Vec<bool> {
    let fold = |text: &str| if fold { text.to_lowercase() } else { text.to_owned() };
    let path = fold(path);
    let below = |prefix: &&str| {
        path.strip_prefix(&fold(prefix))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    PREFIXES.iter().map(below).collect()
}

fn decoded(path: &str) -> Option<String> {
    percent_decode(path.as_bytes()).decode_utf8().ok().map(Into::into)
}

/// Removes dot segments, and empty ones where `merge`.
fn collapsed(path: &str, merge: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            ".." => drop(kept.pop()),
            "." => {}
            "" if merge => {}
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn without_parameters(path: &str) -> String {
    let bare = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.split('/').map(bare).collect::<Vec<_>>().join("/")
}

fn trimmed(path: &str) -> String {
    let trim = |segment: &str| match segment.trim_end_matches(' ') {
        dots @ ("." | "..") => dots.to_owned(),
        other => other.trim_end_matches(['.', ' ']).to_owned(),
    };
    path.split('/').map(trim).collect::<Vec<_>>().join("/")
}

/// What an upstream makes of a path, and whether it folds letter case; `None`: it refuses.
type Model = (&'static str, fn(&str) -> Option<String>, bool);

const MODELS: &[Model] = &[
    ("decodes", decoded, false),
    ("decodes, merges, collapses (nginx)", |path| Some(collapsed(&decoded(path)?, true)), false),
    ("decodes and collapses", |path| Some(collapsed(&decoded(path)?, false)), false),
    ("collapses, then decodes", |path| decoded(&collapsed(path, true)), false),
    (
        "drops parameters, decodes, collapses (Tomcat)",
        |path| Some(collapsed(&decoded(&without_parameters(path))?, true)),
        false,
    ),
    (
        "decodes, drops parameters, collapses",
        |path| Some(collapsed(&without_parameters(&decoded(path)?), true)),
        false,
    ),
    (
        "takes backslashes for slashes, trims and folds (Windows)",
        |path| Some(collapsed(&trimmed(&decoded(path)?.replace('\\', "/")), true)),
        true,
    ),
    ("decodes twice", |path| Some(collapsed(&decoded(&decoded(path)?)?, true)), false),
    (
        "decodes twice and takes backslashes",
        |path| Some(collapsed(&decoded(&decoded(path)?)?.replace('\\', "/"), true)),
        true,
    ),
    ("ends at NUL (C)", |path| Some(collapsed(decoded(path)?.split('\0').next()?, true)), false),
    (
        "parses its path once more",
        |path| Some(collapsed(decoded(path)?.split(['?', '#']).next()?, true)),
        false,
    ),
    ("decodes and folds letter case", decoded, true),
    (
        "serves a stream as its file (NTFS)",
        |path| {
            let path = decoded(path)?;
            let name = |segment: &str| match segment.contains(":$") {
                true => segment.split(':').next().unwrap_or_default().to_owned(),
                false => segment.to_owned(),
            };
            Some(collapsed(&path.split('/').map(name).collect::<Vec<_>>().join("/"), true))
        },
        true,
    ),
    (
        "leaves out invisible characters (HFS+)",
        |path| {
            Some(collapsed(&decoded(path)?.replace(['\u{200b}', '\u{ad}', '\u{feff}'], ""), true))
        },
        true,
    ),
    ("compares in capitals", |path| Some(decoded(path)?.to_uppercase()), true),
];

/// The decision is the same in every reading, so the path would be forwarded.
fn passes(readings: &Readings<'_>) -> bool {
    let matches = |reading: &Reading<'_>| -> Vec<bool> {
        PREFIXES.iter().map(|prefix| PathPrefix::parse(prefix).unwrap().matches(reading)).collect()
    };
    let plain = matches(readings.plain());
    readings.others().iter().all(|reading| matches(reading) == plain)
}

const PIECES: &str = "(/|//|open|more|private|Admin|admin|OPEN|x|\\.|\\.\\.|;|;a=b|%2f|%2F|%5c|%252f|%255c|%2e|%2E|%252e|%3b|%253b|%23|%3f|%20|%00|%09|%61|%41|%70rivate|%2561dmin|\\\\|~|%c3%a4|%ff|%|%zz\
    |:\\$DATA|::\\$DATA|%e2%80%8b|%c2%ad|%ef%bb%bf|pr%c4%b1vate|:|%c2%a5){1,10}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_upstream_reads_a_path_that_passes_as_another(raw in PIECES) {
        let raw = format!("/{raw}");
        let Ok(readings) = Readings::of(&raw) else { return Ok(()) };
        if !passes(&readings) {
            return Ok(());
        }
        for (name, model, folds) in MODELS {
            let Some(read) = model(&raw) else { continue };
            prop_assert_eq!(
                places(readings.plain().path(), *folds), places(&read, *folds),
                "{}: an upstream that {} reads {}", raw, name, read
            );
        }
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
    fn cookies_are_told_from_those_of_others(fields in any_cookie()) {
        targets::cookies::run(&fields);
    }

    #[test]
    fn our_names_are_known_in_every_spelling(
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
        Stripped::new(&[]).strip(&mut headers);
        prop_assert!(headers.is_empty(), "{}", String::from_utf8_lossy(&spelt));
    }

    #[test]
    fn a_return_target_is_ours_and_stays_what_it_is(
        rd in "(/|//|\\\\|https:|http:|HTTPS:|evil\\.example|app\\.example\\.com|wiki\\.example\\.com|@|:443|:80|\\.\\.|%2f|%5c|%09|\\?|#|;|:|\t|\n|\u{3002}|\u{ff0f}|[ -~]){0,12}",
    ) {
        targets::rd::run(rd.as_bytes());
    }

    #[test]
    fn an_authority_that_is_taken_is_one_to_browsers_too(text in "([a-c]|A|-|_|\\.|:|80|[0-9]|\\[|\\]|::1|@|/|\\?|#|%|\\\\| ){0,8}") {
        let Some(authority) = HeaderValue::try_from(&text).ok().and_then(Authority::parse) else { return Ok(()) };
        let normal = host::normal(authority.host());
        prop_assert_eq!(host::normal(&normal), normal.clone());
        prop_assert_eq!(&text[..authority.host().len()], authority.host());
        // Hosts that end in a number are addresses to browsers, and odd names to everybody else.
        let Ok(url) = Url::parse(&format!("http://{text}/")) else { return Ok(()) };
        let host = url.host_str().unwrap();
        if normal.starts_with('[') || !host.ends_with(|last: char| last.is_ascii_digit()) {
            prop_assert_eq!(host.trim_end_matches('.'), normal.trim_end_matches('.'));
            prop_assert_eq!(url.port_or_known_default().unwrap(), authority.port().unwrap_or(80));
        }
    }

    #[test]
    fn a_mapped_address_is_trusted_as_its_ipv4_self(address in any::<[u8; 4]>(), network in any::<[u8; 4]>(), bits in 0_u8..=32) {
        let network = IpNet::new(std::net::Ipv4Addr::from(network).into(), bits).unwrap();
        let proxies = TrustedProxies { networks: vec![network], unix: false };
        let address = std::net::Ipv4Addr::from(address);
        let plain = std::net::IpAddr::from(address);
        let mapped = address.to_ipv6_mapped().into();
        prop_assert_eq!(proxies.contains(plain), network.contains(&plain));
        prop_assert_eq!(proxies.contains(plain), proxies.contains(mapped));
    }
}
