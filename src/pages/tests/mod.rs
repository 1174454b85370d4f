//! Tests of all pages together: what each has, as a page, as JSON and as gRPC.

mod texts;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http_body_util::BodyExt as _;
use serde_json::Value as Json;

use super::*;
use crate::identity::Identity;
use crate::identity::tests::person;
use crate::secret::Secret;
use SignInReason::{ProviderMisconfigured, ProviderUnavailable};

/// Text that would end an attribute, an element or a template if it were not escaped.
const HOSTILE: &str = "\"'><script>alert(1)</script>{{ title }}<img src=x>";

fn hostile_identity() -> Identity {
    Identity {
        email: Some(HOSTILE.to_owned()),
        name: Some(format!("name {HOSTILE}")),
        ..person(HOSTILE)
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
        Choice { name: text, icon: "M1 2h3", href: &href, is_down: false },
        Choice { name: text, icon: "M1 2h3", href: "/b", is_down: true },
    ];
    let origins = [public_url.clone(), Origin::parse("https://op.example").unwrap()];
    let fields = [("id_token_hint", Secret::new(text)), ("state", Secret::new(text))];
    let action = format!("https://op.example/logout?a={text}");
    let sign_out = SignOutAtProvider {
        provider: text,
        action: &action,
        fields: &fields,
        origins: &origins,
        skip: &href,
    };
    let pages = [
        (200, Page::SignIn { choices: &choices, site: text }),
        (401, Page::SignInRequired { login_url: &href }),
        (401, Page::SessionEnded { login_url: &href }),
        (200, Page::SignedOut { sign_in: Some(&href) }),
        (
            503,
            Page::SignOutUnconfirmed(SignOutUnconfirmed { at_provider: Some(("Company", &href)) }),
        ),
        (200, Page::ConfirmSignOut { action: &href }),
        (200, Page::SignOutAtProvider(sign_out)),
        (403, Page::Forbidden(forbidden)),
        (400, Page::SignInFailed(failure)),
        (503, Page::SignInFailed(SignInFailure { reason: ProviderUnavailable, ..failure })),
        (502, Page::SignInFailed(SignInFailure { reason: ProviderMisconfigured, ..failure })),
        (403, Page::DeniedNetwork),
        (503, Page::ProviderUnavailable),
        (421, Page::WrongHost { public_url: &public_url }),
        (421, Page::SignInOnly { public_url: &public_url }),
        (421, Page::RedirectLoop),
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
            let framed = ["'self'", "'none'"][usize::from(html.contains("id_token_hint"))];
            let framed = format!("frame-ancestors {framed}");
            for directive in ["default-src 'none';", &framed, "base-uri 'none'"] {
                assert!(policy.contains(directive), "{policy}");
            }
            assert_eq!(policy.contains("form-action 'none'"), !html.contains("<form"), "{policy}");
            assert!(policy.contains("img-src data:;"), "{policy}");
            assert!(!html.contains("<script") && !html.contains("style="), "{html}");
        });
    }
}

#[test]
fn form_with_a_token_leads_only_to_its_origins_and_no_script_can_reach_it() {
    with_each_page("t.o.ken", |status, page| {
        let response = pages().respond(&context(Format::Html), status, page);
        let (policy, opener) = (CONTENT_SECURITY_POLICY, OPENER_POLICY);
        let (policy, opener) = (header(&response, &policy), header(&response, &opener));
        let is_kept = policy.contains("form-action https://wiki.example.com https://op.example;")
            && policy.contains("frame-ancestors 'none'")
            && opener == "same-origin";
        let is_open = opener.is_empty() && policy.contains("frame-ancestors 'self'");
        let has_token = matches!(page, Page::SignOutAtProvider(_));
        assert_eq!((is_kept, is_open), (has_token, !has_token), "{response:?}");
        let html = text(pages().respond(&context(Format::Html), status, page));
        let field = "<input type=\"hidden\" name=\"id_token_hint\" value=\"t.o.ken\">";
        assert_eq!(html.contains(field), has_token, "{html}");
        let json = text(pages().respond(&context(Format::Json), status, page));
        assert!(!json.contains("id_token_hint"), "{json}");
    });
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
fn icon_is_in_the_page() {
    with_each_page("x", |status, page| {
        let html = text(pages().respond(&context(Format::Html), status, page));
        assert!(html.contains("<link rel=\"icon\" href=\"data:image/svg+xml,"), "{html}");
    });
}

#[test]
fn json_string_is_escaped_as_a_serializer_does() {
    for value in ["", "/a?b=c", "\u{e4}", "a \"b\" \\ c\n\u{1b}", "\u{7f}\u{2028}"] {
        let mut text = String::new();
        push_json(&mut text, value);
        assert_eq!(text, serde_json::to_string(value).unwrap());
    }
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
