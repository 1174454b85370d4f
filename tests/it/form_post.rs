//! `response_mode: form_post`: a page of the provider posts the authorization response, so of the browser's cookies only
//! those with `SameSite=None` come along.
//! Source: OAuth 2.0 Form Post Response Mode, RFC 9700 §4.7.

use http::Method;
use http::header::SET_COOKIE;
use url::Url;

use crate::support::browser::{Answer, Browser};
use crate::support::faults::IdentityProvider;
use crate::support::gateway::Gateway;
use crate::support::provider::{self, callback, entry};
use crate::support::upstream::Upstream;
use crate::support::wire::{Wire, status};

const HERE: &str = "https://wiki.localhost";
const CALLBACK: &str = "https://wiki.localhost/oauth2/callback";

/// A gateway at an https `public_url` with two providers: `posting`, which posts, and `company`, which redirects.
struct House {
    provider: IdentityProvider,
    gateway: Gateway,
    _upstream: Upstream,
}

impl House {
    async fn start() -> Self {
        let mut settings = provider::settings();
        for client in &mut settings.clients {
            client.redirect_uris = vec![CALLBACK.to_owned()];
        }
        let provider =
            IdentityProvider::start(settings, portcullis::clock::Clock::system()).await.unwrap();
        let upstream = Upstream::start().await;
        let posting = entry("posting", "Posting", provider.issuer(), "response_mode: form_post");
        let company = entry("company", "Company", provider.issuer(), "");
        let gateway = Gateway::start_with(&format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{HERE}\" }}\n\
             admin: {{ listen: \"off\" }}\nproviders:\n{posting}{company}\
             routes: [{{ upstream: \"http://{}\", providers: [posting], allow: authenticated }}]\n",
            upstream.address
        ));
        Self { provider, gateway, _upstream: upstream }
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.gateway)
    }

    /// What the page of the provider would post: the callback of a sign-in up to here.
    async fn response(&self, browser: &mut Browser, target: &str) -> Url {
        callback(browser, &start(target, ""), "alice").await
    }

    fn codes_sent(&self) -> usize {
        self.provider.counts().code_exchanges
    }
}

fn start(target: &str, more: &str) -> String {
    let mut url = Url::parse(&format!("{HERE}/oauth2/start?provider=posting{more}")).unwrap();
    url.query_pairs_mut().append_pair("rd", target);
    url.into()
}

/// The provider's page posts this response.
async fn post(browser: &mut Browser, response: &Url) -> Answer {
    let fields: Vec<_> = response.query_pairs().into_owned().collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    browser.submit_from_elsewhere(CALLBACK, &fields).await
}

/// A page that offers to try again.
#[track_caller]
fn check_page(page: &Answer, status: u16) {
    assert_eq!(page.status, status, "{page:?}");
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.body.contains("Try again"), "{}", page.body);
}

/// Signed in at `target`.
#[track_caller]
fn check_sent_to(answer: &Answer, target: &str) {
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(answer.redirect().unwrap().as_str(), format!("{HERE}{target}"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn posted_response_signs_in_by_303_with_a_lax_session_cookie() {
    let house = House::start().await;
    let mut browser = house.browser();
    let started = browser.navigate(&start("/page?x=1", "")).await;
    let request = started.redirect().unwrap();
    assert!(request.as_str().contains("response_mode=form_post"), "{request}");
    let login = started.header(SET_COOKIE.as_str());
    assert!(login.starts_with("__Host-portcullis-login="), "{login}");
    assert!(login.contains("SameSite=None") && login.contains("Secure"), "{login}");
    let response = house.response(&mut browser, "/page?x=1").await;
    let answer = post(&mut browser, &response).await;
    check_sent_to(&answer, "/page?x=1");
    let session = answer.header(SET_COOKIE.as_str());
    assert!(session.starts_with("__Host-portcullis="), "{session}");
    assert!(session.contains("SameSite=Lax"), "{session}");
    let page = browser.navigate(&format!("{HERE}/page?x=1")).await;
    assert_eq!(page.json()["headers"]["x-forwarded-user"], "demo-alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn response_by_the_other_method_gets_405_and_keeps_the_sign_in() {
    let house = House::start().await;
    let mut browser = house.browser();
    let posted = house.response(&mut browser, "/page").await;
    let page = browser.navigate(posted.as_str()).await;
    check_page(&page, 405);
    assert_eq!(page.header("allow"), "POST");
    house.gateway.log_until("came by GET, and this sign-in expects it by POST");
    let redirecting = format!("{HERE}/oauth2/start?provider=company&rd=/page");
    let redirected = callback(&mut browser, &redirecting, "alice").await;
    let page = post(&mut browser, &redirected).await;
    check_page(&page, 405);
    assert_eq!(page.header("allow"), "GET");
    let other = browser.ask(Method::PUT, CALLBACK).await;
    assert_eq!((other.status.as_u16(), other.header("allow")), (405, "GET, POST"));
    assert_eq!(house.codes_sent(), 0);
    check_sent_to(&post(&mut browser, &posted).await, "/page");
    let mut other = house.browser();
    let redirected = callback(&mut other, &redirecting, "alice").await;
    assert_eq!(other.navigate(redirected.as_str()).await.status, 302);
}

/// The cookies that a `None` login cookie brings along would otherwise let another site send the browser in circles.
#[tokio::test(flavor = "multi_thread")]
async fn posted_state_that_is_used_or_of_another_browser_gets_a_page_without_a_restart() {
    let house = House::start().await;
    let (mut alice, mut mallory) = (house.browser(), house.browser());
    let theirs = house.response(&mut mallory, "/theirs").await;
    // Without a login cookie, and with one of its own.
    check_page(&post(&mut alice, &theirs).await, 400);
    let ours = house.response(&mut alice, "/ours").await;
    check_page(&post(&mut alice, &theirs).await, 400);
    house.gateway.log_until("the state is from another browser");
    assert_eq!(house.codes_sent(), 0);
    check_sent_to(&post(&mut alice, &ours).await, "/ours");
    alice.forget("__Host-portcullis");
    check_page(&post(&mut alice, &ours).await, 400);
    // A forged one, and none.
    for fields in [&[("state", "x"), ("code", "c")][..], &[("code", "c")], &[]] {
        check_page(&alice.submit_from_elsewhere(CALLBACK, fields).await, 400);
    }
    assert_eq!(house.codes_sent(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_of_two_tabs_goes_to_its_target_and_drops_its_code() {
    let house = House::start().await;
    let mut browser = house.browser();
    let first = house.response(&mut browser, "/first").await;
    let second = house.response(&mut browser, "/second").await;
    check_sent_to(&post(&mut browser, &first).await, "/first");
    let session = browser.cookie(HERE, "__Host-portcullis").unwrap().to_owned();
    check_sent_to(&post(&mut browser, &second).await, "/second");
    assert_eq!(browser.cookie(HERE, "__Host-portcullis"), Some(&*session));
    assert_eq!(house.codes_sent(), 1);
    // Without its session, the same browser signs in again.
    browser.forget("__Host-portcullis");
    let third = house.response(&mut browser, "/third").await;
    check_sent_to(&post(&mut browser, &third).await, "/third");
    assert_eq!(house.codes_sent(), 2);
}

/// Session fixation: the POST does not bring the old session, and still ends it.
#[tokio::test(flavor = "multi_thread")]
async fn new_sign_in_ends_the_session_that_the_browser_had() {
    let house = House::start().await;
    let mut browser = house.browser();
    for more in ["", "&prompt=login"] {
        let response = callback(&mut browser, &start("/", more), "alice").await;
        let before = browser.clone();
        check_sent_to(&post(&mut browser, &response).await, "/");
        for (mut browser, status) in [(before, 401), (browser.clone(), 200)] {
            assert_eq!(browser.fetch(HERE).await.status, status, "{more}");
        }
    }
    // One that was got by a redirect is ended, too.
    let mut other = house.browser();
    let redirecting = format!("{HERE}/oauth2/start?provider=company&rd=/");
    let redirected = callback(&mut other, &redirecting, "alice").await;
    other.navigate(redirected.as_str()).await;
    let mut before = other.clone();
    let response = callback(&mut other, &start("/", "&prompt=login"), "alice").await;
    check_sent_to(&post(&mut other, &response).await, "/");
    assert_eq!(before.fetch(HERE).await.status, 401);
}

/// It may have been set as `Lax`, before the configuration changed.
#[tokio::test(flavor = "multi_thread")]
async fn login_cookie_is_set_again_with_its_value() {
    let house = House::start().await;
    let mut browser = house.browser();
    let value = "AAAAAAAAAAAAAAAAAAAAAA";
    browser.share(&Answer {
        url: Url::parse(HERE).unwrap(),
        status: http::StatusCode::OK,
        headers: [(
            SET_COOKIE,
            format!("__Host-portcullis-login={value}; Path=/; Secure; SameSite=Lax")
                .parse()
                .unwrap(),
        )]
        .into_iter()
        .collect(),
        body: String::new(),
    });
    let response = house.response(&mut browser, "/page").await;
    assert_eq!(browser.cookie(HERE, "__Host-portcullis-login"), Some(value));
    check_sent_to(&post(&mut browser, &response).await, "/page");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_target_comes_along_in_its_cookie() {
    let house = House::start().await;
    let mut browser = house.browser();
    let target = format!("/page?{}", "x".repeat(900));
    let response = house.response(&mut browser, &target).await;
    check_sent_to(&post(&mut browser, &response).await, &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_is_no_small_form_is_rejected() {
    let house = House::start().await;
    let mut browser = house.browser();
    let response = house.response(&mut browser, "/page").await;
    let login = browser.cookie(HERE, "__Host-portcullis-login").unwrap().to_owned();
    let query = response.query().unwrap().to_owned();
    let check = async |content_type: &str, body: &str, expected: u16| {
        let mut wire = Wire::to(&house.gateway).await;
        wire.say(&format!(
            "POST /oauth2/callback HTTP/1.1\r\nHost: wiki.localhost\r\nAccept: text/html\r\n\
             Cookie: __Host-portcullis-login={login}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let answer = wire.rest().await;
        assert_eq!(status(&answer), expected, "{content_type}: {answer}");
    };
    let form = "application/x-www-form-urlencoded";
    check("text/plain", &query, 415).await;
    check("multipart/form-data; boundary=x", &query, 415).await;
    check(form, &format!("{query}&x={}", "x".repeat(16 * 1024)), 413).await;
    check(form, &format!("{query}&state=x"), 400).await;
    assert_eq!(house.codes_sent(), 0);
    // Further fields, as Apple's `user`, are ignored.
    check(&format!("{form}; charset=UTF-8"), &format!("{query}&user=%7B%7D"), 303).await;
}
