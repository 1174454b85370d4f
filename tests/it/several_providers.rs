//! Two providers that say the same of different people.

use serde_json::Value;

use crate::support::faults::{Account, IdentityProvider};
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::upstream::Upstream;
use crate::support::wire::{answers_to, status};

struct House {
    _providers: [IdentityProvider; 2],
    upstream: Upstream,
    gateway: Gateway,
}

/// Two providers with the same accounts, and these routes; `UPSTREAM` stands for the application.
async fn house(routes: &str) -> House {
    let providers =
        [provider::start_for(Account::demo()).await, provider::start_for(Account::demo()).await];
    let upstream = Upstream::start().await;
    let to = format!("upstream: \"http://{}\"", upstream.address);
    let [company, partner] = &providers;
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", \
         forward_auth: {{ clients: [{{ from: [127.0.0.1], proxy: nginx }}] }} }}\n\
         admin: {{ listen: \"off\" }}\nproviders:\n{}{}{}",
        provider::entry("company", "Company", company.issuer(), ""),
        provider::entry("partner", "Partner", partner.issuer(), ""),
        routes.replace("UPSTREAM", &to)
    ));
    House { _providers: providers, upstream, gateway }
}

impl House {
    async fn alice_of(&self, provider: &str) -> String {
        provider::cookie_of(&self.gateway, provider, "alice").await
    }

    async fn answer(&self, target: &str, fields: &str) -> String {
        let sent = format!("GET {target} HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n");
        answers_to(&self.gateway, sent).await
    }

    /// The header fields that arrive at the application.
    async fn arrived(&self, target: &str, fields: &str) -> Value {
        let answer = self.answer(target, fields).await;
        assert_eq!(status(&answer), 200, "{target}: {answer}");
        self.upstream.seen().pop().unwrap()["headers"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn same_user_of_two_providers_is_told_apart_by_the_upstream() {
    let house = house(
        "routes:\n  - { UPSTREAM, allow: authenticated }\n  \
         - { path: /open, UPSTREAM, allow: public }\n  \
         - { path: /one, UPSTREAM, allow: authenticated, providers: [company] }\n",
    )
    .await;
    let (company, partner) = (house.alice_of("company").await, house.alice_of("partner").await);
    for target in ["/", "/open"] {
        let [here, there] =
            [house.arrived(target, &company).await, house.arrived(target, &partner).await];
        for name in ["x-forwarded-user", "x-forwarded-email"] {
            assert_eq!(here[name], there[name], "{target}");
        }
        let providers = [&here, &there].map(|headers| headers["x-forwarded-provider"].clone());
        assert_eq!(providers, ["company", "partner"], "{target}");
    }
    let alone = house.arrived("/one", &company).await;
    assert!(alone["x-forwarded-provider"].is_null(), "one provider needs no name: {alone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_provider_header_is_removed_whether_one_is_set_or_not() {
    let house = house(
        "routes:\n  - { UPSTREAM, allow: public }\n  \
         - { path: /one, UPSTREAM, allow: public, providers: [company] }\n",
    )
    .await;
    let company = house.alice_of("company").await;
    for name in ["X-Forwarded-Provider", "x_forwarded_provider", "X.Forwarded.Provider"] {
        let forged = format!("{name}: mallory\r\n");
        for target in ["/", "/one"] {
            for fields in [forged.clone(), forged.clone() + &company] {
                let headers = house.arrived(target, &fields).await;
                assert!(!headers.to_string().contains("mallory"), "{target} {name}: {headers}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn narrowing_where_several_providers_sign_in_gets_403() {
    let house = house(
        "routes:\n  - { allow: authenticated }\n  \
         - { path: /one, allow: authenticated, providers: [company] }\n  \
         - { path: /two, allow: authenticated, providers: [company, partner] }\n",
    )
    .await;
    let company = house.alice_of("company").await;
    for (path, narrowing, expected) in [
        ("/", "", 202),
        ("/", "?allowed_groups=staff", 403),
        ("/", "?allowed_emails=alice@example.com", 403),
        ("/", "?allowed_email_domains=example.com", 403),
        ("/two", "?allowed_groups=staff", 403),
        ("/one", "?allowed_groups=staff", 202),
        ("/one", "?allowed_groups=other", 403),
    ] {
        let about = format!("X-Original-URI: {path}\r\nX-Original-Method: GET\r\n{company}");
        for endpoint in ["auth", "forward_auth"] {
            let answer = house.answer(&format!("/oauth2/{endpoint}{narrowing}"), &about).await;
            assert_eq!(status(&answer), expected, "{endpoint}{narrowing} {path}: {answer}");
        }
    }
}
