//! `POST /reload`: loads the configuration again, and answers with the result.

use http::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use crate::admin::Admin;
use crate::body::Body;
use crate::pages::plain_text;

/// Gives orders to reload.
pub type ReloadOrders = mpsc::Sender<oneshot::Sender<Result<u64, String>>>;

/// Receives orders to reload; each is answered with the number of the configuration, or with what is wrong.
pub type OrderedReloads = mpsc::Receiver<oneshot::Sender<Result<u64, String>>>;

/// A channel for orders to reload.
pub fn reload_orders() -> (ReloadOrders, OrderedReloads) {
    mpsc::channel(1)
}

impl Admin {
    /// `POST /reload`
    pub(super) async fn reload(&self) -> Response<Body> {
        let Some(orders) = &self.reloads else {
            return plain_text(
                StatusCode::NOT_FOUND,
                "this process has no configuration to reload\n",
            );
        };
        let (answer, result) = oneshot::channel();
        let result = match orders.send(answer).await {
            Ok(()) => result.await.ok(),
            Err(_) => None,
        };
        match result {
            Some(Ok(generation)) => {
                plain_text(StatusCode::OK, format!("reloaded: configuration {generation}\n"))
            }
            Some(Err(problems)) => {
                plain_text(StatusCode::UNPROCESSABLE_ENTITY, format!("{problems}\n"))
            }
            None => plain_text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        }
    }
}
