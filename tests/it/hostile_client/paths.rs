//! Paths that one reader takes for public and another for private: none of them is forwarded, unless
//! every path interpretation has the same decision; and an allowed path is forwarded byte for byte.

use super::{Case, Stack, answers_to, case, count, get, status};
use crate::support::wire::until_closed;

/// Ways to write "one up", plain and for the upstream's second or third look.
const UP: &[&str] = &[
    "..",
    "%2e%2e",
    ".%2e",
    "%2E.",
    "%252e%252e",
    "%25252e%25252e",
    "..;",
    "..;x=y",
    "%2e%2e;",
    "..%3b",
    "..%00",
    "..%20",
    "..%09",
    "..%0d",
    "%20..",
    "%c0%ae%c0%ae",
    "%e0%80%ae.",
    "%u002e%u002e",
    "%ef%bc%8e%ef%bc%8e",
    "%e2%80%a5",
    "..%ff",
];

/// Ways to write a slash.
const SLASH: &[&str] = &[
    "/",
    "%2f",
    "%2F",
    "%252f",
    "%25252F",
    "%5c",
    "%5C",
    "%255c",
    "\\",
    "//",
    "/./",
    "%ef%bc%8f",
    "%c0%af",
];

/// Ways to write `/staff`, for some reader.
const STAFF: &[&str] = &[
    "/staff",
    "/staff/",
    "/staff/x",
    "/%73taff",
    "/%73%74%61%66%66/x",
    "//staff",
    "///staff/x",
    "/./staff",
    "/;/staff",
    "/;x=y/staff",
    "/STAFF",
    "/Staff/x",
    "/staff;x",
    "/staff;x/y",
    "/staff%3bx",
    "/staff%2fx",
    "/staff%2Fx",
    "/staff%5cx",
    "/staff%252fx",
    "/%2fstaff",
    "/%5cstaff",
    "/%252fstaff",
    "/staff.",
    "/staff%20",
    "/staff%20/x",
    "/staff./x",
    "/staff%00",
    "/staff%00.png",
    "/staff%0a",
    "/staff%23",
    "/staff%3f",
    "/staff%2523",
    "/staff%253fx",
    "/%2573taff",
    "/%25%37%33taff",
    "/staff%09/x",
    "/staff?x=/open",
    "/staff?x#y",
    "/%ef%bd%93taff",
    "/staff%2e",
    "/staff%2e%2e",
    "/staf%46",
    "/staff%c0%80",
    "/staff/%2e",
    "/staff.json",
    "/staff.json/",
    "/Staff.xml",
    "/staff.a.b;c=d",
    "/staff:",
    "/staff::$DATA",
    "/staff:$I30:$INDEX_ALLOCATION/x",
    "/st%c2%adaff",
    "/%e2%80%8bstaff/x",
    "/%c5%bftaff",
    "/x%2f%2e%2e%2fstaff",
    "/staff/.",
];

#[tokio::test(flavor = "multi_thread")]
async fn traversal_from_a_public_path_never_reaches_a_private_one() {
    let stack = Stack::start().await;
    let mut cases = Vec::new();
    for up in UP {
        for slash in SLASH {
            cases.push(case("T42-T48", get(&format!("/open{slash}{up}{slash}page"), "")));
            cases.push(case("T42-T48", get(&format!("/open/{up}{slash}page"), "")));
            cases.push(case("T42-T48", get(&format!("/open/x/{up}/{up}{slash}page"), "")));
        }
    }
    stack.denies(&cases, &[400, 401]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_denied_path_reaches_the_upstream() {
    let stack = Stack::start().await;
    let bob = stack.cookie_of("bob").await;
    let mut cases: Vec<Case> = STAFF.iter().map(|path| case("T40-T50", get(path, &bob))).collect();
    for up in UP {
        for slash in SLASH {
            cases.push(case("T42-T48", get(&format!("/page/{up}{slash}staff"), &bob)));
            cases.push(case("T42-T48", get(&format!("/x{slash}{up}{slash}staff{slash}y"), &bob)));
        }
    }
    stack.denies(&cases, &[400, 403]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn route_matches_whole_segments_of_the_path_only() {
    let stack = Stack::start().await;
    let cases = [
        case("T40", get("/page?x=/open", "")),
        case("T40", get("/page?/open/", "")),
        case("T40", get("/page?/../open", "")),
        case("T40", get("/?open", "")),
        case("T41", get("/page%23/open", "")),
        case("T41", get("/page#/open", "")),
        case("T41", get("/page%3f/open", "")),
        case("T48", get("//page", "")),
        case("T48", get("/./page", "")),
        case("T48", get("/;/page", "")),
        case("T49", get("/openx", "")),
        case("T49", get("/open.", "")),
        case("T49", get("/open-x/y", "")),
        case("T49", get("/open%20", "")),
        case("T49", get("/open%78", "")),
        case("T49", get("/ope", "")),
        case("T49", get("/page/open", "")),
        case("T49", get("/page;/open", "")),
        case("T50", get("/PAGE", "")),
        case("T50", get("/OPEN", "")),
        case("T50", get("/Open/x", "")),
        case("T59", get("/page?x=/oauth2/ping", "")),
        case("T59", get("/page/oauth2/ping", "")),
        case("T59", get("/oauth2/error/../page", "")),
        case("T59", get("/oauth2/ping/%2e%2e/%2e%2e/page", "")),
        case("T59", get("/oauth2/..%2fpage", "")),
        case("T59", get("/oauth2/..;/page", "")),
        case("T59", get("/OAUTH2/start", "")),
        case("T59", get("/oauth2%2fstart", "")),
        case("T59", get("//oauth2/start", "")),
        case("T59", get("/oauth2;/start", "")),
        case("T59", get("/oauth2", "")),
        case("T59", get("/oauth2/", "")),
        case("T59", get("/oauth2/error", "")),
        case("T59", get("/oauth2/PING", "")),
        case("T59", get("/oauth2/ping/x", "")),
        case("T59", get("/open/..%2foauth2/ping", "")),
    ];
    stack.denies(&cases, &[400, 401, 404]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_path_gets_400() {
    let stack = Stack::start().await;
    let paths = [
        "/open/%",
        "/open/%4",
        "/open/%zz",
        "/open/%u002e",
        "/open/%00",
        "/open/%0a",
        "/open/%0d%0aX:1",
        "/open/%1f",
        "/open/%7f",
        "/open/%ff",
        "/open/%c3",
        "/open/%ed%a0%80",
        "/open/\\",
        "/open\\..\\page",
        "/open/.",
        "/open/..",
        "/open/%2e",
        "/open/./x",
    ];
    stack.denies(&paths.map(|path| case("T41-T47", get(path, ""))), &[400]).await;
    for raw in [&b"GET /open/\xc3\xa4 HTTP/1.1\r\n"[..], b"GET /open/\x80 HTTP/1.1\r\n"] {
        let sent = [raw, b"Host: wiki.localhost\r\n\r\n"].concat();
        let answer = until_closed(&stack.gateway, sent).await;
        assert_eq!((status(&answer), count(&answer)), (400, 1), "T46 {answer}");
    }
    assert_eq!(stack.upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_path_is_forwarded_byte_for_byte() {
    let stack = Stack::start().await;
    let targets = [
        "/open",
        "/open/",
        "/open?",
        "/open?a=%2e%2e/&b=\\x",
        "/open/a%2fb",
        "/open/a%2Fb",
        "/open/a//b",
        "/open/a;b=c/d",
        "/open/%7Euser/~user",
        "/open/%e4%b8%ad",
        "/open/a%20b",
        "/open/a%252fb",
        "/open/A/b.C",
        "/open/...",
        "/open/a..b",
        "/open/a:b@c,d!$&'()*+=",
        "/%6fpen/x",
        "/open/a%3Fb%23c",
        "/open/%5c",
        "/open?x=%00%ff%zz|{}^[]",
        "/open/staff.json",
        "/open/a.tar.gz",
        "/open/%e2%9d%a4%ef%b8%8f%20x",
    ];
    for target in targets {
        let answer = answers_to(&stack.gateway, get(target, "")).await;
        assert_eq!(status(&answer), 200, "{target}: {answer}");
    }
    assert_eq!(stack.upstream.targets(), targets);
    let answer = answers_to(&stack.gateway, get("/open/a?b#/../page", "")).await;
    assert_eq!(status(&answer), 200, "T41 {answer}");
    assert_eq!(stack.upstream.targets().last().unwrap(), "/open/a?b", "T41");
}

#[tokio::test(flavor = "multi_thread")]
async fn path_with_too_many_interpretations_gets_400_and_a_long_plain_one_is_allowed() {
    let stack = Stack::start().await;
    let pieces = ["%e3%80%80.%EF%BC%8F//%EF%BC%8F///;", "%2525;%252f%255c//", "%20./;//%3b..."];
    let hard = pieces.map(|piece| case("T40", get(&format!("/open/{}", piece.repeat(132)), "")));
    stack.denies(&hard, &[400]).await;
    for piece in ["/a%20b", "/%C3%A4%20%ED%95%9C%EA%B5%AD", "/a%2Fb", "/a;v=1"] {
        let target = format!("/open{}", piece.repeat(8 * 1024 / piece.len()));
        let answer = answers_to(&stack.gateway, get(&target, "")).await;
        assert_eq!(status(&answer), 200, "{piece}: {answer}");
        assert_eq!(stack.upstream.targets().last().unwrap(), &target);
    }
}
