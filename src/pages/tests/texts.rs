//! The texts of the pages, and their languages.

use super::*;

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

#[test]
fn page_that_says_try_again_has_a_button_for_it() {
    with_each_page("x", |status, page| {
        let html = text(pages().respond(&context(Format::Html), status, page));
        let button = ["<a class=\"primary\" href=\"\">Try again</a>", ">Try again</a>"]
            [usize::from(matches!(page, Page::SignInFailed(_)))];
        let again = matches!(status.as_u16(), 408 | 413 | 429 | 500 | 502 | 503 | 504)
            || matches!(page, Page::DeniedNetwork);
        // The sign-out is repeated by the gateway.
        let again = again && !matches!(page, Page::SignOutUnconfirmed(_));
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
        Choice { name: "A", icon: "M1 2h3", href: "/a", is_down: false },
        Choice { name: "B", icon: "M4 5h6", href: "/b", is_down: true },
    ];
    let page = Page::SignIn { choices: &choices, site: "wiki.example.com" };
    let html = text(pages().respond(&context(Format::Html), StatusCode::OK, &page));
    assert!(html.contains("<p>Choose how to sign in to wiki.example.com.</p>"), "{html}");
    let button = |icon, label| {
        format!("aria-hidden=\"true\"><path d=\"{icon}\"/></svg>Sign in with {label}</a>")
    };
    assert!(html.contains(&button("M1 2h3", "A")), "{html}");
    assert!(html.contains(&button("M4 5h6", "B (does not answer at the moment)")), "{html}");
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
