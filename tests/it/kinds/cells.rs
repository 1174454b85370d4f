//! The columns of the table. Each is a function of a row.

use http::Method;
use serde_json::Value;

use super::row::{ClientProof, Outcome, Pkce, Refresh, Rest, Row};
use super::scene::{OUTAGE_GRACE, Scene};
use crate::support::kinds::Fault;
use crate::support::kinds::authorization_server::TOKEN;
use crate::support::kinds::engine::Received;
use crate::support::wait::until;

/// A header field of a request, by which the application knows its user.
#[track_caller]
fn assert_header(headers: &Value, name: &str, expected: Option<&str>, row: &Row) {
    assert_eq!(headers[name].as_str(), expected, "{} {name}: {headers}", row.kind);
}

/// Checks a request to the token endpoint.
#[track_caller]
fn check_token_request(request: &Received, row: &Row) {
    let authorization = request.header("authorization").unwrap_or_default();
    let is_basic = authorization.starts_with("Basic ");
    assert_eq!(is_basic, row.client == ClientProof::Basic, "{request:?}");
    assert_eq!(request.form("client_secret").is_none(), is_basic, "{request:?}");
    assert!(request.header("accept").unwrap().contains("application/json"), "{request:?}");
    assert!(request.query.is_empty(), "{request:?}");
}

pub(super) async fn sign_in_gives_the_application_the_user(row: &Row) {
    let scene = Scene::of(row).await;
    let headers = scene.received(&mut scene.signed_in().await).await;
    assert_header(&headers, "x-forwarded-user", Some(row.user), row);
    assert_header(&headers, "x-forwarded-email", row.email, row);
    assert_header(&headers, "x-forwarded-preferred-username", row.preferred_username, row);
    assert_header(&headers, "x-forwarded-groups", row.groups, row);
    let path = scene.engine.authorization_path();
    let [request] = &scene.engine.received(&format!("GET {path}"))[..] else {
        panic!("one authorization request")
    };
    for (name, value) in row.authorization {
        assert_eq!(request.query(name), *value, "{}: {name}: {request:?}", row.kind);
    }
    let has_pkce = row.pkce == Pkce::S256;
    assert_eq!(request.query("code_challenge").is_some(), has_pkce, "{request:?}");
    let [request] = &scene.engine.token_requests("authorization_code")[..] else {
        panic!("one token request")
    };
    check_token_request(request, row);
    assert_eq!(request.form("code_verifier").is_some(), has_pkce, "{request:?}");
}

pub(super) async fn refresh_brings_current_groups(row: &Row) {
    let scene = Scene::varied(row, row.refreshing).await;
    let mut browser = scene.signed_in().await;
    scene.engine.becomes(&moved(row));
    if row.refresh == Refresh::Never {
        scene.expire();
        let headers = scene.received(&mut browser).await;
        assert_header(&headers, "x-forwarded-groups", row.groups, row);
        assert_eq!(scene.engine.token_requests("refresh_token").len(), 0, "{}", row.kind);
        return;
    }
    let mut used = Vec::new();
    for round in 1..=2 {
        scene.expire();
        let headers = scene.received(&mut browser).await;
        assert_header(&headers, "x-forwarded-user", Some(row.user), row);
        assert_header(&headers, "x-forwarded-email", row.email, row);
        assert_header(&headers, "x-forwarded-groups", row.groups_after_move, row);
        let requests = scene.engine.token_requests("refresh_token");
        assert_eq!(requests.len(), round, "{}", row.kind);
        let request = requests.last().unwrap();
        check_token_request(request, row);
        used.push(request.form("refresh_token").unwrap().to_owned());
    }
    match row.refresh {
        Refresh::Rotates => assert_ne!(used[0], used[1], "{}: the new one is used", row.kind),
        Refresh::Stays => assert_eq!(used[0], used[1], "{}: it stays", row.kind),
        Refresh::Never => {}
    }
}

/// The variants of a user with fewer groups and with refresh tokens.
fn moved(row: &Row) -> Vec<&'static str> {
    [row.refreshing, &["moved"]].concat()
}

pub(super) async fn refused_refresh_ends_the_session(row: &Row) {
    if row.refresh == Refresh::Never {
        return;
    }
    let scene = Scene::varied(row, row.refreshing).await;
    let mut browser = scene.signed_in().await;
    scene.engine.set_fault(Some(Fault::RefreshRefused), &[TOKEN]);
    scene.expire();
    let before = scene.request_count();
    assert_eq!(scene.status(&mut browser, "/").await, 401, "{}", row.kind);
    scene.expire();
    assert_eq!(scene.status(&mut browser, "/").await, 401, "{}: it came back", row.kind);
    assert_eq!(scene.request_count(), before, "{}: the application was asked", row.kind);
    let requests = scene.engine.token_requests("refresh_token");
    assert_eq!(requests.len(), 1, "{}: asked again", row.kind);
}

pub(super) async fn sign_out_ends_what_the_provider_lets_end(row: &Row) {
    let scene = Scene::of(row).await;
    let mut browser = scene.signed_in().await;
    let answer = browser.submit(&scene.at("/oauth2/sign_out"), &[]).await;
    let to = answer.redirect().unwrap_or_else(|| panic!("{}: {answer:?}", row.kind));
    match row.sign_out {
        Some((path, parameters)) => {
            let address = format!("{}{path}", scene.engine.origin());
            assert!(to.as_str().starts_with(&format!("{address}?")), "{}: {to}", row.kind);
            let sent: Vec<_> = to.query_pairs().map(|(name, _)| name.into_owned()).collect();
            for parameter in parameters {
                assert!(sent.iter().any(|name| name == parameter), "{}: {to}", row.kind);
            }
        }
        None => assert!(to.as_str().starts_with(row.public_url), "{}: {to}", row.kind),
    }
    let end = browser.open(to.as_str()).await;
    assert!(end.url.as_str().starts_with(&scene.at("/oauth2/signed_out")), "{}", end.url);
    assert_eq!(end.status, 200, "{end:?}");
    assert_eq!(scene.status(&mut browser, "/").await, 401, "{}", row.kind);
    if let Some(revocation) = row.revocation {
        until("the token is revoked", async || !scene.engine.received(revocation).is_empty()).await;
        let [request] = &scene.engine.received(revocation)[..] else { panic!("one revocation") };
        if request.method == Method::POST.as_str() {
            check_token_request(request, row);
            let token = request.form("token").unwrap();
            assert!(!scene.engine.has_refresh_token(token), "{request:?}");
        }
    }
}

pub(super) async fn groups_decide_access(row: &Row) {
    let scene = Scene::varied(row, row.listing).await;
    let mut browser = scene.signed_in().await;
    let expected = if row.groups.is_some() { 200 } else { 403 };
    assert_eq!(scene.status(&mut browser, "/staff").await, expected, "{}", row.kind);
    assert_eq!(scene.status(&mut browser, "/other").await, 403, "{}", row.kind);
    let asked =
        || row.lists.iter().map(|list| scene.engine.received(list).len()).collect::<Vec<_>>();
    let at_sign_in = asked();
    assert!(at_sign_in.iter().all(|pages| *pages == 2), "{}: {at_sign_in:?}", row.kind);
    scene.status(&mut browser, "/staff").await;
    assert_eq!(asked(), at_sign_in, "{}: asked again for a request", row.kind);
}

pub(super) async fn cut_list_of_groups_is_no_list(row: &Row) {
    for cut in row.cut {
        let scene = Scene::varied(row, &[cut.variant]).await;
        let mut browser = scene.signed_in().await;
        let headers = scene.received(&mut browser).await;
        match cut.rest {
            Rest::Nothing => assert_header(&headers, "x-forwarded-groups", None, row),
            Rest::Groups(count) => {
                let groups = headers["x-forwarded-groups"].as_str().unwrap_or_default();
                assert_eq!(groups.split(',').count(), count, "{}: {headers}", row.kind);
            }
        }
        let page = browser.navigate(&scene.at("/other")).await;
        assert_eq!(page.status, 403, "{page:?}");
        assert!(page.body.contains(IN_PART), "{}: {page:?}", row.kind);
    }
    if row.cut.is_empty() && row.lists.is_empty() {
        // What the token has is all: a long list arrives whole.
        return check_no_cut(row).await;
    }
    for fault in [Fault::NextIsEndless, Fault::NextIsForeign] {
        if row.lists.is_empty() {
            continue;
        }
        let scene = Scene::varied(row, row.listing).await;
        scene.engine.set_fault(Some(fault), row.lists);
        check_no_groups(&scene, row).await;
        let pages: usize = row.lists.iter().map(|list| scene.engine.received(list).len()).sum();
        assert!(pages <= 20, "{}: {pages} pages", row.kind);
    }
}

pub(super) async fn failed_page_leaves_no_part_of_the_groups(row: &Row) {
    for list in row.unpaged {
        for fault in [Fault::TokenRejected, Fault::Limited] {
            let scene = Scene::of(row).await;
            scene.engine.set_fault(Some(fault), &[list]);
            check_no_groups(&scene, row).await;
        }
    }
    if row.lists.is_empty() {
        if row.unpaged.is_empty() {
            check_no_list(row).await;
        }
        return;
    }
    for fault in [Fault::SecondPageFails, Fault::Limited] {
        let scene = Scene::varied(row, row.listing).await;
        scene.engine.set_fault(Some(fault), row.lists);
        check_no_groups(&scene, row).await;
    }
    if row.refresh == Refresh::Never {
        return;
    }
    // At a refresh, what was known stays for a while.
    let scene = Scene::varied(row, &[row.refreshing, row.listing].concat()).await;
    let mut browser = scene.signed_in().await;
    scene.engine.set_fault(Some(Fault::SecondPageFails), row.lists);
    scene.expire();
    let headers = scene.received(&mut browser).await;
    assert_header(&headers, "x-forwarded-groups", row.groups, row);
    scene.advance(OUTAGE_GRACE);
    let headers = scene.received(&mut browser).await;
    assert_header(&headers, "x-forwarded-groups", None, row);
}

/// Signs in without groups, and the page of a denied user says why.
async fn check_no_groups(scene: &Scene, row: &Row) {
    let mut browser = scene.signed_in().await;
    let headers = scene.received(&mut browser).await;
    assert_header(&headers, "x-forwarded-groups", None, row);
    let page = browser.navigate(&scene.at("/staff")).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.body.contains(IN_PART), "{}: {page:?}", row.kind);
}

/// No page says that groups are missing, whatever the user is denied for.
async fn check_no_cut(row: &Row) {
    let scene = Scene::of(row).await;
    let mut browser = scene.signed_in().await;
    let headers = scene.received(&mut browser).await;
    assert_header(&headers, "x-forwarded-groups", row.groups, row);
    let page = browser.navigate(&scene.at("/other")).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(!page.body.contains(IN_PART), "{}: {page:?}", row.kind);
}

/// Nothing is requested for groups, at the sign-in and at a refresh: in the API only what describes the user.
async fn check_no_list(row: &Row) {
    let scene = Scene::varied(row, row.refreshing).await;
    let mut browser = scene.signed_in().await;
    scene.expire();
    scene.received(&mut browser).await;
    let requested = scene.engine.api_requests();
    assert!(requested.len() <= 1, "{}: {requested:?}", row.kind);
    let is_profile = |line: &&String| line.to_lowercase().contains("userinfo");
    let profile = row.profile.map(str::to_owned);
    let others: Vec<_> =
        requested.iter().filter(|it| !is_profile(it) && Some(*it) != profile.as_ref()).collect();
    assert!(others.is_empty(), "{}: {others:?}", row.kind);
}

/// An old tab sends a code again: the user can try once more. A wrong secret is the operator's.
pub(super) async fn spent_code_and_wrong_secret_have_their_own_answers(row: &Row) {
    let scene = Scene::of(row).await;
    scene.engine.set_fault(Some(Fault::CodeSpent), &[TOKEN]);
    let (mut browser, answer) = scene.sign_in().await;
    assert_eq!(answer.status, 400, "{}: {answer:?}", row.kind);
    assert_eq!(scene.status(&mut browser, "/").await, 401, "{}", row.kind);
    if !row.credentials.starts_with("client_secret:") {
        // Apple: a key in place of a secret, which `of_apple` covers.
        return;
    }
    let keys = format!("kind: {}, client_secret: of-another-client, {}", row.kind, row.keys);
    let scene = Scene::with(row, row.kind, &keys, &[]).await;
    let (_, answer) = scene.sign_in().await;
    assert_eq!(answer.status, 502, "{}: {answer:?}", row.kind);
    assert_eq!(scene.request_count(), 0, "{}", row.kind);
}

pub(super) async fn unverified_email_has_no_value(row: &Row) {
    let scene = Scene::varied(row, &["unverified"]).await;
    let mut browser = scene.signed_in().await;
    let headers = scene.received(&mut browser).await;
    assert_header(&headers, "x-forwarded-user", Some(row.user), row);
    assert_header(&headers, "x-forwarded-email", None, row);
    assert_eq!(scene.status(&mut browser, "/mail").await, 403, "{}", row.kind);
    if row.email.is_some() {
        let scene = Scene::of(row).await;
        let mut browser = scene.signed_in().await;
        assert_eq!(scene.status(&mut browser, "/mail").await, 200, "{}", row.kind);
    }
}

pub(super) async fn deviation_is_of_its_kind_only(row: &Row) {
    // At its own provider, if that left the standards as only LinkedIn does.
    let has_id_token = !row.authorization.contains(&("nonce", None));
    let without_nonce = (row.pkce == Pkce::S256 && has_id_token).then_some("without_nonce");
    let rejects_pkce = (row.pkce == Pkce::S256).then_some("rejects_pkce");
    for variant in [without_nonce, rejects_pkce].into_iter().flatten() {
        let scene = Scene::varied(row, &[variant]).await;
        let (mut browser, answer) = scene.sign_in().await;
        assert_eq!(answer.status, 502, "{} {variant}: {answer:?}", row.kind);
        assert_eq!(scene.status(&mut browser, "/").await, 401, "{} {variant}", row.kind);
    }
    for deviation in row.deviations {
        let keys = format!("kind: {}, {}, {}", row.kind, row.credentials, deviation.keys);
        let scene = Scene::with(row, deviation.at, &keys, deviation.variants).await;
        let (mut browser, answer) = scene.sign_in().await;
        let what = format!("{} {}: {answer:?}", row.kind, deviation.what);
        match deviation.outcome {
            Outcome::SignedIn { email, groups } => {
                assert_eq!(answer.status, 200, "{what}");
                let headers = scene.received(&mut browser).await;
                assert_eq!(headers["x-forwarded-email"].as_str(), email, "{what}: {headers}");
                assert_eq!(headers["x-forwarded-groups"].as_str(), groups, "{what}: {headers}");
            }
            Outcome::Failed => {
                assert!(answer.status.as_u16() >= 400, "{what}");
                assert!(answer.url.as_str().starts_with(row.public_url), "{what}");
                assert_eq!(scene.status(&mut browser, "/").await, 401, "{what}");
                assert_eq!(scene.request_count(), 0, "{what}");
            }
        }
    }
}

const IN_PART: &str = "did not send all groups";
