//! What only GitHub shows: groups whose names come from an API, and are no group if they could be more than a name.

use portcullis::clock::Clock;
use serde_json::Value;

use super::rows::github::ROW;
use crate::support::browser::Browser;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::kinds::client::CLIENT_ID;
use crate::support::kinds::engine::Engine;
use crate::support::upstream::Upstream;

#[tokio::test(flavor = "multi_thread")]
async fn group_of_an_api_with_a_control_character_is_in_no_header_and_no_line_of_the_log() {
    let (engine, upstream) =
        (Engine::start("github", &Clock::system()).await, Upstream::start().await);
    engine.becomes(&["control_characters"]);
    let keys = format!("kind: github, client_id: {CLIENT_ID}, {}, {}", ROW.credentials, ROW.keys);
    let route = format!("upstream: \"http://{}\"", upstream.address);
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"off\" }}\ntelemetry: {{ log: {{ level: debug }} }}\n\
         providers: {{ company: {{ {} }} }}\nroutes:\n\
         \x20 - {{ {route}, allow: authenticated }}\n\
         \x20 - {{ path: /other, {route}, allow: [{{ groups: [no-such-group] }}] }}\n",
        keys.replace("ORIGIN", engine.origin())
    ));
    let mut browser = Browser::new(&gateway);
    let answer = browser.open("/").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let headers = answer.json()["headers"].clone();
    assert_eq!(headers["x-forwarded-groups"], "wiki,wiki:editors", "{headers}");
    assert!(headers["x-injected"].is_null(), "{headers}");
    assert_eq!(browser.fetch("/other").await.status, 403);
    for line in gateway.log_until("\"/other\"") {
        assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line:?}");
        for part in ["Injected", "[31m", "n\\u0000l", "\\u001b"] {
            assert!(!line.contains(part), "{line:?}");
        }
    }
}
