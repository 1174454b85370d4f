//! Pages as a browser gets them: their language, and the operator's texts.

use portcullis::providers::kinds::ProviderKind;

use crate::support::faults::Account;
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::wire::{field, status};

#[tokio::test(flavor = "multi_thread")]
async fn page_is_in_the_language_that_the_browser_prefers() {
    let stack = Stack::builder()
        .routes(["path: /app, UPSTREAM, allow: authenticated"])
        .sections("pages: { texts: { de: { status_404_title: Nichts da } } }")
        .start()
        .await;
    let long = format!("GET /{}", "a".repeat(20 * 1024));
    // By the route table, by the rules, by an endpoint, and by the server before any of them.
    for (line, code, english, german) in [
        ("GET /none", 404, "There is nothing here", "Nichts da"),
        ("DELETE /app", 401, "Please sign in", "Bitte melden Sie sich an"),
        ("GET /oauth2/signed_out", 200, "You are signed out", "Sie sind abgemeldet"),
        (&long, 414, "This address is too long", "Diese Adresse ist zu lang"),
    ] {
        for (accepted, language, title) in [
            ("de-CH, en;q=0.5", "de", german),
            ("fr, *", "en", english),
            ("en-GB, de;q=0.9", "en", english),
        ] {
            let fields = format!("Accept: text/html\r\nAccept-Language: {accepted}\r\n");
            let answer = stack.answer(line, &fields).await;
            assert_eq!(status(&answer), code, "{line} {accepted}: {answer}");
            assert_eq!(field(&answer, "content-language"), language, "{line} {accepted}: {answer}");
            assert!(answer.contains(&format!("<h1>{title}</h1>")), "{line} {accepted}: {answer}");
        }
        let answer = stack.answer(line, "Accept-Language: de\r\n").await;
        assert_eq!(field(&answer, "content-language"), "", "{answer}");
        assert!(answer.contains("\"request_id\"") && !answer.contains(german), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_page_has_the_icon_of_the_kind_of_each_provider() {
    let forge = provider::start_for(Account::demo()).await;
    let more = provider::entry("forge", "Our Forge", forge.issuer(), "kind: gitlab");
    let stack = Stack::builder()
        .second_provider(&more)
        .routes(["UPSTREAM, allow: authenticated"])
        .start()
        .await;
    let page = stack.answer("GET /oauth2/sign_in", "Accept: text/html\r\n").await;
    let policy = field(&page, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    for (kind, label) in [("oidc", "Sign in with Company"), ("gitlab", "Sign in with Our Forge")] {
        let icon = ProviderKind::by_name(kind).unwrap().icon;
        let button = format!("aria-hidden=\"true\"><path d=\"{icon}\"/></svg>{label}</a>");
        assert!(page.contains(&button), "{page}");
    }
}
