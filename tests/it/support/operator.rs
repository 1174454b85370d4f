//! What an operator and their machines ask a gateway that has an admin listener.

use super::browser::{Answer, Browser};
use super::gateway::{Gateway, PUBLIC_URL};
use super::wait::Patience;

/// With an admin listener; `server` has further keys of that section, each behind a comma.
pub(crate) fn gateway(server: &str, rest: &str) -> Gateway {
    Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\"{server} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n{rest}"
    ))
}

pub(crate) async fn ask(gateway: &Gateway, path: &str) -> Answer {
    Browser::new(gateway).fetch(&gateway.admin(path)).await
}

/// The value of a series; `None` where it is not shown.
pub(crate) async fn value(gateway: &Gateway, series: &str) -> Option<f64> {
    let text = ask(gateway, "/metrics").await.body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("portcullis_{series} ")));
    line.map(|value| value.parse().unwrap())
}

/// Waits until a series has a value.
pub(crate) async fn until(gateway: &Gateway, series: &str, wanted: impl Fn(f64) -> bool) {
    let patience = Patience::until(format!("{series} has the right value"));
    while !value(gateway, series).await.is_some_and(&wanted) {
        patience.pause().await;
    }
}

/// Waits until `/readyz` says so.
pub(crate) async fn ready(gateway: &Gateway, says: &str) {
    let patience = Patience::until(format!("the gateway is {says:?}"));
    while ask(gateway, "/readyz").await.body != says {
        patience.pause().await;
    }
}
