//! Hostile clients, as bytes: how they are answered, and that no application receives their requests.
//! `T01` and the like number the threats of SECURITY.md, in the tests as in the `SECURITY` comments of the source.
//! One table per idea; each case is a request as bytes and the statuses that are good answers to it.

mod bodies;
mod cookies;
mod fields;
mod framing;
mod hosts;
mod methods;
mod paths;
mod redirects;
mod responses;
mod second_path;
mod sign_in;

use crate::support::stack::Stack;
use crate::support::wire::{answers_to, count, request, status, until_closed};

/// The number of a threat, and a request that tries it.
type Case = (&'static str, String);

/// A second request, which a correct reader of the first one never sees.
const INNER: &str = "GET /open/smuggled HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";

fn case(threat: &'static str, request: impl Into<String>) -> Case {
    (threat, request.into())
}

/// A request for a target, with further fields and an end.
fn get(target: &str, fields: &str) -> String {
    request(&format!("GET {target}"), fields)
}

impl Stack {
    /// Each request is answered once with one of `statuses`, and the application does not receive it.
    async fn denies(&self, cases: &[Case], statuses: &[u16]) {
        let before = self.upstream.request_count();
        for (threat, request) in cases {
            let answer = answers_to(&self.gateway, request).await;
            let good = statuses.contains(&status(&answer)) && count(&answer) == 1;
            assert!(good, "{threat} {request:?} was answered {answer:?}");
            let arrived = self.upstream.targets().split_off(before);
            assert!(arrived.is_empty(), "{threat} {request:?} arrived as {arrived:?}");
        }
    }

    /// The same, and the connection ends before the next request on it.
    async fn breaks_off(&self, cases: &[Case], statuses: &[u16]) {
        let before = self.upstream.request_count();
        for (threat, request) in cases {
            let answer = until_closed(&self.gateway, format!("{request}{INNER}")).await;
            let good = statuses.contains(&status(&answer)) && count(&answer) <= 1;
            assert!(good, "{threat} {request:?} was answered {answer:?}");
            let arrived = self.upstream.targets().split_off(before);
            assert!(arrived.is_empty(), "{threat} {request:?} arrived as {arrived:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_client_is_served() {
    let stack = Stack::start().await;
    let answer = answers_to(&stack.gateway, get("/open/x?y", "")).await;
    assert_eq!((status(&answer), count(&answer)), (200, 1), "{answer}");
    let two = answers_to(&stack.gateway, get("/open/1", "") + &get("/open/2", "")).await;
    assert_eq!((status(&two), count(&two)), (200, 2), "{two}");
    assert_eq!(stack.upstream.targets(), ["/open/x?y", "/open/1", "/open/2"]);
    stack.denies(&[case("none", get("/page", ""))], &[401]).await;
}
