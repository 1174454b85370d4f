//! Two instances of the gateway behind nginx with round robin.
//! Invariant: each instance has its own sessions, so no sign-in succeeds; but every visit ends in a page that names
//! the other instance, before a browser gives up following redirects.

use crate::component::Server;
use crate::component::nginx::{self, LISTEN};
use crate::support::browser::{Answer, Browser};
use crate::support::gateway::Gateway;
use crate::support::stack::{Builder, Stack};

/// A provider and two instances with the same configuration, and nginx in front of them.
struct Instances {
    stack: Stack,
    second: Gateway,
    nginx: Server,
}

impl Instances {
    async fn start(builder: Builder) -> Self {
        let stack = builder.server("trusted_proxies: [127.0.0.1/32]").start().await;
        let second = stack.second_gateway();
        let site = format!(
            "upstream portcullis {{ server {}; server {}; }}
            server {{
                {LISTEN}
                location / {{
                    proxy_pass http://portcullis;
                    proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                    proxy_set_header X-Forwarded-Proto $scheme;
                }}
            }}",
            stack.gateway.address, second.address
        );
        Self { nginx: nginx::serving(&site).await, stack, second }
    }

    /// Several visits, whose first request goes to the one or the other instance. Each ends in a page of ours.
    async fn every_visit_ends_in_a_page_that_names_the_other_instance(&self) {
        for turn in 0..4 {
            let mut browser = self.nginx.browser();
            if turn % 2 == 1 {
                assert_eq!(browser.fetch("/oauth2/ping").await.status, 200);
            }
            let page = visit(&mut browser).await;
            let text = page.body.to_lowercase();
            assert!(page.status.is_client_error(), "{page:?}");
            assert!(text.contains("instance") && text.contains("try again"), "{page:?}");
        }
        assert_eq!(
            self.stack.upstream.request_count(),
            0,
            "no request came to the instance of its session"
        );
        for gateway in [&self.stack.gateway, &self.second] {
            drop(gateway.log_until("instance"));
        }
    }
}

/// Opens a page, signs in as Alice where the provider asks for it, and follows redirects up to a page of ours.
async fn visit(browser: &mut Browser) -> Answer {
    let mut answer = browser.navigate("/page?q=1").await;
    for _ in 0..MOST_REDIRECTS {
        answer = match answer.redirect() {
            Some(next) => browser.navigate(next.as_str()).await,
            None if answer.url.host_str() == Some("wiki.localhost") => return answer,
            None => {
                let (action, mut fields) = answer.form();
                fields
                    .extend(["username", "password"].map(|it| (it.to_owned(), "alice".to_owned())));
                let fields: Vec<_> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
                browser.submit(action.as_str(), &fields).await
            }
        };
    }
    panic!("{MOST_REDIRECTS} redirects, now at {}", answer.url);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_at_two_instances_with_one_secret_ends_in_a_page_that_names_the_other() {
    let secret = "session: { secret: gTQ7Cw2mIYpyYZ0kvyJm5nB3r9uD1oXeLhA8sWfVtK4 }";
    let instances = Instances::start(Stack::builder().sections(secret)).await;
    instances.every_visit_ends_in_a_page_that_names_the_other_instance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_at_two_instances_without_a_secret_ends_in_a_page_that_names_the_other() {
    let instances = Instances::start(Stack::builder()).await;
    instances.every_visit_ends_in_a_page_that_names_the_other_instance().await;
}

/// The redirects that Chromium follows at most.
const MOST_REDIRECTS: usize = 20;
