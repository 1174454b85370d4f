//! Tests of all pages together.

use aws_lc_rs::digest::{SHA256, digest};
use http::header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http_body_util::BodyExt as _;
use serde_json::Value as Json;

use super::*;
use crate::identity::Identity;
use crate::identity::claim_set::ClaimSet;
use crate::identity::claims::ClaimNames;
use SignInReason::{ProviderMisconfigured, ProviderUnavailable};

/// Text that would end an attribute, an element or a template if it were not escaped.
const HOSTILE: &str = "\"'><script>alert(1)</script>{{ title }}<img src=x>";

fn hostile_identity() -> Identity {
    Identity {
        provider: "company".into(),
        subject: HOSTILE.into(),
        user: Some(HOSTILE.into()),
        email: Some(HOSTILE.to_owned()),
        email_withheld: false,
        groups_claim: ClaimNames::default().groups,
        name: Some(format!("name {HOSTILE}")),
        preferred_username: None,
        claims: ClaimSet::default(),
    }
}

/// Calls `check` with every page, all its values being `text`, and with its status.
fn with_each_page(text: &str, mut check: impl FnMut(StatusCode, &Page<'_>)) {
    let href = format!("/start?rd={text}");
    let identity = hostile_identity();
    let public_url = Origin::parse("https://wiki.example.com").unwrap();
    let forbidden = Forbidden {
        identity: &identity,
        provider: text,
        reason: DenialReason::Group,
        failed: &["groups", "paths"],
        other_account: &href,
        sign_out: &href,
    };
    let failure = SignInFailure {
        reason: SignInReason::Expired,
        provider: Some(text),
        try_again: &href,
        choice: Some(&href),
    };
    let choices = [
        Choice { name: text, href: &href, is_down: false },
        Choice { name: text, href: "/b", is_down: true },
    ];
    let pages = [
        (200, Page::SignIn { choices: &choices, site: text }),
        (401, Page::SignInRequired { login_url: &href }),
        (401, Page::SessionEnded { login_url: &href }),
        (200, Page::SignedOut { sign_in: Some(&href) }),
        (200, Page::ConfirmSignOut { action: &href }),
        (403, Page::Forbidden(forbidden)),
        (400, Page::SignInFailed(failure)),
        (503, Page::SignInFailed(SignInFailure { reason: ProviderUnavailable, ..failure })),
        (502, Page::SignInFailed(SignInFailure { reason: ProviderMisconfigured, ..failure })),
        (421, Page::WrongHost { public_url: &public_url }),
        (421, Page::SignInOnly { public_url: &public_url }),
    ];
    for (status, page) in &pages {
        check(StatusCode::from_u16(*status).unwrap(), page);
    }
    for status in 400..600 {
        let status = StatusCode::from_u16(status).unwrap();
        check(status, &Page::Status(status));
    }
}

fn pages() -> Pages {
    Pages::new(&Brand::default(), Clock::manual()).unwrap()
}

fn context(format: Format) -> ResponseContext<'static> {
    ResponseContext { format, language: Language::English, request_id: "req-1", retry: Some("") }
}

fn text(response: Response<Body>) -> String {
    let body = complete(response.into_body().collect());
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// Runs a future to its end.
fn complete<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future).unwrap()
}

fn header<'r>(response: &'r Response<Body>, name: &HeaderName) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn every_value_is_escaped() {
    let brand = Brand {
        title: Some(HOSTILE.to_owned()),
        message: Some(HOSTILE.to_owned()),
        ..Brand::default()
    };
    let pages = Pages::new(&brand, Clock::manual()).unwrap();
    let context = ResponseContext { request_id: HOSTILE, ..context(Format::Html) };
    with_each_page(HOSTILE, |status, page| {
        let html = text(pages.respond(&context, status, page));
        for live in ["<script", "<img", "'>"] {
            assert!(!html.contains(live), "{live} in {html}");
        }
        assert!(html.contains("&lt;script&gt;"), "{html}");
    });
}

#[test]
fn address_that_would_run_a_script_is_replaced() {
    for href in ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "JAVASCRIPT:1"]
    {
        let page = Page::SignedOut { sign_in: Some(href) };
        let html = text(pages().respond(&context(Format::Html), StatusCode::OK, &page));
        assert!(html.contains("href=\"&#x2f;\""), "{html}");
    }
}

#[track_caller]
fn check_style_hash(brand: &Brand) {
    let pages = Pages::new(brand, Clock::manual()).unwrap();
    with_each_page("x", |status, page| {
        let response = pages.respond(&context(Format::Html), status, page);
        let policy = header(&response, &CONTENT_SECURITY_POLICY).to_owned();
        let html = text(response);
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(!style.contains(['\r', '\0']), "the browser would change it");
        let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
    });
}

#[test]
fn policy_has_the_hash_of_the_style_as_the_browser_computes_it() {
    check_style_hash(&Brand::default());
    let style = Some("main { color: red }\r\n\rh1 > b::after { content: \"\0&<\" }".to_owned());
    check_style_hash(&Brand { style, ..Brand::default() });
}

#[test]
fn style_that_would_end_its_element_is_rejected() {
    let style = Some("x {} </STYLE ><script>".to_owned());
    assert!(matches!(
        Pages::new(&Brand { style, ..Brand::default() }, Clock::manual()),
        Err(Error::Style)
    ));
}

#[test]
fn policy_allows_only_what_the_page_has() {
    let logo = Some(Logo { content_type: "image/png", bytes: vec![1, 2, 3] });
    for brand in [Brand::default(), Brand { logo, ..Brand::default() }] {
        let pages = Pages::new(&brand, Clock::manual()).unwrap();
        with_each_page("x", |status, page| {
            let response = pages.respond(&context(Format::Html), status, page);
            let policy = header(&response, &CONTENT_SECURITY_POLICY).to_owned();
            let html = text(response);
            for directive in ["default-src 'none';", "frame-ancestors 'self'", "base-uri 'none'"] {
                assert!(policy.contains(directive), "{policy}");
            }
            assert_eq!(policy.contains("form-action 'none'"), !html.contains("<form"), "{policy}");
            assert!(policy.contains("img-src data:;"), "{policy}");
            assert!(!html.contains("<script") && !html.contains("style="), "{html}");
        });
    }
}

#[test]
fn logo_is_a_data_url_in_the_page() {
    let logo = Some(Logo { content_type: "image/svg+xml", bytes: b"<svg/>".to_vec() });
    let pages = Pages::new(&Brand { logo, ..Brand::default() }, Clock::manual()).unwrap();
    let html = text(pages.respond(
        &context(Format::Html),
        StatusCode::NOT_FOUND,
        &Page::Status(StatusCode::NOT_FOUND),
    ));
    assert!(html.contains("data:image&#x2f;svg+xml;base64,PHN2Zy8+"), "{html}");
}

#[test]
fn every_answer_has_the_security_headers() {
    for format in [Format::Html, Format::Json, Format::Grpc] {
        with_each_page("x", |status, page| {
            let response = pages().respond(&context(format), status, page);
            assert_eq!(header(&response, &CACHE_CONTROL), "no-store");
            assert_eq!(header(&response, &X_CONTENT_TYPE_OPTIONS), "nosniff");
            assert_eq!(header(&response, &REFERRER_POLICY), "no-referrer");
        });
    }
}

#[test]
fn page_with_a_form_sends_its_origin() {
    with_each_page("x", |status, page| {
        let html = text(pages().respond(&context(Format::Html), status, page));
        assert_eq!(html.contains("content=\"same-origin\""), html.contains("<form"), "{html}");
    });
}

#[test]
fn link_of_a_framed_page_leaves_the_frame() {
    with_each_page("x", |status, page| {
        let html = text(pages().respond(&context(Format::Html), status, page));
        for element in html.split('<').filter(|it| it.starts_with("a ") || it.starts_with("form "))
        {
            // What provider or application answers there does not want to be framed.
            let stays = element.contains("href=\"\"");
            let target = ["target=\"_top\"", "target=\"_blank\" rel=\"noopener\""];
            assert!(stays || target.iter().any(|it| element.contains(it)), "{element}");
        }
    });
}

#[test]
fn page_of_an_ended_session_signs_in_in_another_tab() {
    let page = Page::SessionEnded { login_url: "https://wiki.example.com/oauth2/start" };
    let html = text(pages().respond(&context(Format::Html), StatusCode::UNAUTHORIZED, &page));
    assert!(html.contains("target=\"_blank\""), "this tab still has the form: {html}");
    assert!(html.contains("reload"), "{html}");
}

#[test]
fn json_has_the_message_of_the_page() {
    with_each_page(HOSTILE, |status, page| {
        let response = pages().respond(&context(Format::Json), status, page);
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, &CONTENT_TYPE), "application/json");
        let json: Json = serde_json::from_str(&text(response)).unwrap();
        assert_eq!(json["error"].is_string(), status.as_u16() >= 400, "{json}");
        assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
        assert_eq!(json["request_id"], "req-1");
        let login_url = matches!(page, Page::SignInRequired { .. } | Page::SessionEnded { .. });
        assert_eq!(json["login_url"].is_string(), login_url, "{json}");
    });
}

#[test]
fn page_is_in_the_language_of_its_context_and_the_others_in_english() {
    let mut texts = Languages::default();
    texts.replace(Language::English, "sign_in_required_title", "Hello".to_owned()).unwrap();
    let pages = Pages::new(&Brand { texts, ..Brand::default() }, Clock::manual()).unwrap();
    let page = Page::SignInRequired { login_url: "/oauth2/start" };
    for (language, title) in [
        (Language::English, "Hello"),
        (Language::German, "Bitte melden Sie sich an"),
        (
            Language::Korean,
            "\u{b85c}\u{adf8}\u{c778}\u{c774} \u{d544}\u{c694}\u{d569}\u{b2c8}\u{b2e4}",
        ),
    ] {
        let answer = |format| {
            let context = ResponseContext { language, ..context(format) };
            pages.respond(&context, StatusCode::UNAUTHORIZED, &page)
        };
        let html = answer(Format::Html);
        assert_eq!(header(&html, &CONTENT_LANGUAGE), language.tag());
        let html = text(html);
        assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())), "{html}");
        assert!(html.contains(&format!("<h1>{title}</h1>")), "{html}");
        let json = answer(Format::Json);
        assert!(!json.headers().contains_key(CONTENT_LANGUAGE), "{json:?}");
        let json = text(json);
        assert!(json.contains("This page is only for people who are signed in."), "{json}");
    }
}

#[test]
fn every_page_is_complete_in_every_language() {
    for language in Language::ALL {
        with_each_page("x", |status, page| {
            let context = ResponseContext { language, ..context(Format::Html) };
            let html = text(pages().respond(&context, status, page));
            let body = html.split_once("</style>").unwrap().1.replace("{{ title }}", "");
            assert!(!body.contains(['{', '}']) && !body.contains("<p></p>"), "{body}");
        });
    }
}

#[test]
fn denial_is_one_sentence_on_the_page_and_names_the_keys_in_json() {
    with_each_page("x", |status, page| {
        if let Page::Forbidden(_) = page {
            let sentence = "Your account is not in a group that has access.";
            let html = text(pages().respond(&context(Format::Html), status, page));
            assert!(html.contains(&format!("<p>{sentence}</p>")), "{html}");
            assert!(!html.contains("paths"), "{html}");
            let json = text(pages().respond(&context(Format::Json), status, page));
            assert!(json.contains(sentence), "{json}");
            assert!(json.contains("Rule keys that failed: groups, paths."), "{json}");
        }
    });
}

#[test]
fn page_that_says_try_again_has_a_button_for_it() {
    with_each_page("x", |status, page| {
        let html = text(pages().respond(&context(Format::Html), status, page));
        let button = ["<a class=\"primary\" href=\"\">Try again</a>", ">Try again</a>"]
            [usize::from(matches!(page, Page::SignInFailed(_)))];
        let again = matches!(status.as_u16(), 408 | 413 | 429 | 500 | 502 | 503 | 504);
        let failed = matches!(page, Page::SignInFailed(_));
        assert_eq!(html.contains(button), again || failed, "{status}: {html}");
        let nowhere = ResponseContext { retry: None, ..context(Format::Html) };
        let html = text(pages().respond(&nowhere, status, page));
        assert_eq!(html.contains(">Try again</a>"), failed, "{status}: {html}");
    });
}

#[test]
fn cancelled_sign_in_says_so_in_the_title() {
    let failure = SignInFailure {
        reason: SignInReason::Cancelled,
        provider: Some("Company"),
        try_again: "/oauth2/start",
        choice: None,
    };
    let page = Page::SignInFailed(failure);
    let html = text(pages().respond(&context(Format::Html), StatusCode::FORBIDDEN, &page));
    assert!(html.contains("<h1>Sign-in was cancelled or refused</h1>"), "{html}");
}

#[test]
fn choice_names_the_site_and_marks_a_provider_that_is_down() {
    let choices = [
        Choice { name: "A", href: "/a", is_down: false },
        Choice { name: "B", href: "/b", is_down: true },
    ];
    let page = Page::SignIn { choices: &choices, site: "wiki.example.com" };
    let html = text(pages().respond(&context(Format::Html), StatusCode::OK, &page));
    assert!(html.contains("<p>Choose how to sign in to wiki.example.com.</p>"), "{html}");
    assert!(html.contains(">Sign in with A</a>"), "{html}");
    assert!(html.contains(">Sign in with B (does not answer at the moment)</a>"), "{html}");
}

#[test]
fn wrong_host_page_shows_the_address_once() {
    let public_url = Origin::parse("https://wiki.example.com").unwrap();
    for page in
        [Page::WrongHost { public_url: &public_url }, Page::SignInOnly { public_url: &public_url }]
    {
        let status = StatusCode::MISDIRECTED_REQUEST;
        let html = text(pages().respond(&context(Format::Html), status, &page));
        let shown = html.replace("href=\"https:&#x2f;&#x2f;wiki.example.com&#x2f;\"", "");
        assert_eq!(shown.matches("wiki.example.com").count(), 1, "{html}");
        let json = text(pages().respond(&context(Format::Json), status, &page));
        assert!(json.contains("https://wiki.example.com"), "{json}");
    }
}

#[test]
fn page_of_an_error_ends_with_reference_and_time() {
    let page = Page::Status(StatusCode::NOT_FOUND);
    let html = text(pages().respond(&context(Format::Html), StatusCode::NOT_FOUND, &page));
    assert!(html.contains("<code>req-1</code> · <time>2"), "{html}");
    assert!(html.contains("give them this reference and the time"), "{html}");
}

#[test]
fn icon_is_in_the_page() {
    with_each_page("x", |status, page| {
        let html = text(pages().respond(&context(Format::Html), status, page));
        assert!(html.contains("<link rel=\"icon\" href=\"data:image/svg+xml,"), "{html}");
    });
}

#[test]
fn grpc_gets_a_status_and_no_page() {
    let text_outside_ascii = "50% von K\u{f6}ln\r\nx: y";
    with_each_page(text_outside_ascii, |status, page| {
        let response = pages().respond(&context(Format::Grpc), status, page);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, &CONTENT_TYPE), "application/grpc");
        assert_eq!(
            header(&response, &GRPC_STATUS),
            negotiate::grpc_status(status).to_string().as_str()
        );
        let message = header(&response, &HeaderName::from_static("grpc-message"));
        assert!(!message.is_empty() && message.is_ascii(), "{message}");
        if status == StatusCode::BAD_GATEWAY && matches!(page, Page::SignInFailed(_)) {
            assert!(message.starts_with("50%25 von K%C3%B6ln%0D%0Ax: y"), "{message}");
        }
        assert_eq!(text(response), "");
    });
}

#[test]
fn status_429_and_503_have_retry_after_and_401_has_www_authenticate() {
    with_each_page("x", |status, page| {
        let response = pages().respond(&context(Format::Json), status, page);
        let wait = response.headers().contains_key(RETRY_AFTER);
        assert_eq!(wait, matches!(status.as_u16(), 429 | 503), "{status}");
        let authenticate = response.headers().contains_key(WWW_AUTHENTICATE);
        assert_eq!(authenticate, status == StatusCode::UNAUTHORIZED, "{status}");
    });
}

#[test]
fn denial_names_the_account_by_name_and_email() {
    let mut identity = hostile_identity();
    let mut page_for = |name: Option<&str>, email: Option<&str>| {
        identity.name = name.map(str::to_owned);
        identity.email = email.map(str::to_owned);
        identity.user = Some("u-1".into());
        let page = Page::Forbidden(Forbidden {
            identity: &identity,
            provider: "Company",
            reason: DenialReason::Several,
            failed: &[],
            other_account: "/a",
            sign_out: "/b",
        });
        text(pages().respond(&context(Format::Json), StatusCode::FORBIDDEN, &page))
    };
    assert!(page_for(Some("Alice"), Some("a@b.c")).contains("Alice (a@b.c) with Company"));
    assert!(page_for(Some("a@b.c"), Some("a@b.c")).contains("as a@b.c with"));
    assert!(page_for(None, Some("a@b.c")).contains("as a@b.c with"));
    assert!(page_for(Some("Alice"), None).contains("as Alice with"));
    assert!(page_for(None, None).contains("as u-1 with"));
    let turned = page_for(Some("\u{202e}A\u{2066}li\u{7}ce\u{2069}"), Some("a@b.c\u{202d}"));
    assert!(turned.contains("as Alice (a@b.c) with"), "{turned}");
    assert!(
        page_for(Some("\u{633}\u{627}\u{631}\u{629}"), None)
            .contains("\u{633}\u{627}\u{631}\u{629} with")
    );
    let long = page_for(Some(&"\u{e4}".repeat(5000)), None);
    assert!(long.contains(&format!("as {}\u{2026} with", "\u{e4}".repeat(256))), "{long}");
}
