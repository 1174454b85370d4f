//! Panics in handlers.
//! Invariant: a panic ends only the future in which it happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// The output of a future; `None` if it panicked. State that it shares with others must stay usable after a
/// panic. That holds for all state of requests: `crate::lock` ignores poisoning. The future is pinned elsewhere, because
/// this one would have room for it twice.
pub async fn without_panic<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(output) => output.map(Some),
        Err(_payload) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn future_that_panics_has_no_output() {
        assert_eq!(without_panic(pin!(async { 1 })).await, Some(1));
        let panics = async {
            tokio::task::yield_now().await;
            assert_eq!(1, 2, "a panic for the test");
        };
        assert_eq!(without_panic(pin!(panics)).await, None);
    }
}
