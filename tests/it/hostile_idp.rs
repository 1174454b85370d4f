//! A provider that lies or breaks: no session comes of it, and the gateway lives on.
//! Source: OIDC Core §3.1.3.7, RFC 6749 §5, RFC 9207 §2.4, RFC 8725.

use std::time::Duration;

use http::HeaderValue;
use portcullis::demo::{
    AuthorizationFault, Fault, Grant, IdTokenFault, IdentityProvider, TokenFault,
};

use crate::support::browser::{Answer, Browser};
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::upstream::Upstream;

struct House {
    provider: IdentityProvider,
    upstream: Upstream,
    gateway: Gateway,
}

async fn house() -> House {
    let provider = provider::start(Duration::from_secs(60)).await;
    let upstream = Upstream::start().await;
    let gateway = Gateway::start_with(&format!(
        "server:\n  listen: 127.0.0.1:0\n  public_url: http://wiki.localhost\n  \
         trusted_proxies: [127.0.0.1/32]\nadmin: {{ listen: \"off\" }}\n\
         {}routes: [{{ upstream: \"http://{}\", allow: authenticated }}]\n",
        provider::section(&provider),
        upstream.address
    ));
    House { provider, upstream, gateway }
}

impl House {
    /// Tries to sign in; each try comes from an address of its own, which failures are counted by.
    async fn try_with(&self, fault: Fault, number: usize) -> (Browser, Answer) {
        self.provider.set_faults(&[fault]);
        let mut browser = Browser::new(&self.gateway);
        let address = format!("192.0.2.{}", number + 1);
        browser.extra.insert("x-forwarded-for", HeaderValue::try_from(address).unwrap());
        let answer = provider::sign_in(&mut browser, "/", "alice").await;
        (browser, answer)
    }

    async fn refuses(&self, faults: impl IntoIterator<Item = (Fault, &'static str)>) {
        for (number, (fault, words)) in faults.into_iter().enumerate() {
            let (mut browser, page) = self.try_with(fault, number).await;
            assert!(
                page.status.is_client_error() || page.status.is_server_error(),
                "{words}: {page:?}"
            );
            assert_ne!(page.status, 429, "{words}: not even tried");
            assert_eq!(browser.fetch("/").await.status, 401, "{words}: a session");
            assert!(page.header("content-type").starts_with("text/html"), "{words}: {page:?}");
            assert!(!page.body.contains("<script"), "{words}: {}", page.body);
        }
        assert_eq!(self.upstream.asked(), 0);
        assert_eq!(self.provider.counts().evil, 0, "something of a fault was fetched");
        let (mut browser, _) = self.try_with_nothing_wrong().await;
        assert_eq!(browser.fetch("/").await.status, 200, "an honest sign-in works again");
    }

    async fn try_with_nothing_wrong(&self) -> (Browser, Answer) {
        self.provider.set_faults(&[]);
        let mut browser = Browser::new(&self.gateway);
        let answer = provider::sign_in(&mut browser, "/", "alice").await;
        (browser, answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_id_token_signs_nobody_in() {
    use IdTokenFault::*;
    // Within the specification, or not our question here.
    let good = [
        SignedEs256,
        SignedPs256,
        SignedEdDsa,
        NoKid,
        AudArray,
        SubLong,
        SubOther,
        ExpJustPast,
        ExpHuge,
        CHashOther,
        NoAuthTime,
        AuthTimeOld,
        NoAcr,
        EmailUnverified,
        Deep,
        Huge,
    ];
    let bad = IdTokenFault::ALL.iter().filter(|fault| !good.contains(fault));
    let bad = bad.map(|fault| (Fault::IdToken(Grant::SignIn, *fault), fault.words()));
    house().await.refuses(bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_authorization_response_signs_nobody_in() {
    use AuthorizationFault::*;
    let bad = AuthorizationFault::ALL.iter().filter(|fault| !matches!(fault, UnknownParameters));
    let bad = bad.map(|fault| (Fault::Authorization(*fault), fault.words()));
    house().await.refuses(bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_response_signs_nobody_in() {
    use TokenFault::*;
    let bad = [
        NoTokenType,
        TokenTypeMac,
        NoAccessToken,
        InvalidGrant,
        InvalidClient,
        ErrorAsSuccess,
        RedirectAway,
        RedirectAgain,
    ];
    let bad = bad.map(|fault| (Fault::Token(Grant::SignIn, fault), fault.words()));
    house().await.refuses(bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_specification_leaves_open_is_taken() {
    use TokenFault::*;
    let house = house().await;
    for (number, fault) in [NoRefreshToken, NoExpiresIn, ExpiresHuge].into_iter().enumerate() {
        let (mut browser, answer) =
            house.try_with(Fault::Token(Grant::SignIn, fault), number).await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", fault.words());
        assert_eq!(browser.fetch("/").await.status, 200, "{}", fault.words());
    }
}
