//! Rules of routes, each key end to end, and the answers to denied requests.

mod denial;
mod rules;
mod unauthenticated;

use crate::support::faults::Account;
use crate::support::stack::{Builder, Stack};
use crate::support::wire::status;

/// A stack with these accounts, and a route per line: its path, and its other keys.
fn builder(accounts: Vec<Account>, routes: &[(&str, &str)]) -> Builder {
    let routes = routes.iter().map(|(path, keys)| format!("path: {path}, UPSTREAM, {keys}"));
    Stack::builder().accounts(accounts).routes(routes)
}

impl Stack {
    /// `METHOD /target` with these fields is answered with a status. The application receives the request exactly
    /// if that is 200.
    async fn check(&self, fields: &str, request: &str, expected: u16) {
        let before = self.upstream.request_count();
        let answer = self.answer(request, fields).await;
        assert_eq!(status(&answer), expected, "{request} {fields}: {answer}");
        let received = self.upstream.request_count() - before;
        assert_eq!(received, usize::from(expected == 200), "{request} {fields}");
    }
}
