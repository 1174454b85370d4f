//! From a request target to the decision on it, for each of several visitors.
//! Invariants: a visitor who is allowed to request a path is allowed to request every interpretation of it;
//! and what is kept of a path takes no more than its budget.

use std::sync::{Arc, OnceLock};

use http::Method;
use portcullis::app::App;
use portcullis::app::explain::Question;
use portcullis::app::lasting::Lasting;
use portcullis::client_address::ClientAddress;
use portcullis::clock::Clock;
use portcullis::config::{HostEnv, load};
use portcullis::routing::path::PathInterpretations;
use portcullis::telemetry::metrics::Metrics;
use serde_json::{Map, Value, json};

use super::access::{ROUTES, Visitor, expected};
use super::upstreams::MODELS;

/// Takes path and query.
pub fn run(data: &[u8]) {
    let Ok(target) = str::from_utf8(data) else { return };
    // Bytes that the server accepts in a request target.
    let visible = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !target.starts_with('/') || !visible || target.len() > LONGEST {
        return;
    }
    let path = target.split('?').next().unwrap_or_default();
    if let Ok(readings) = PathInterpretations::of(path) {
        within_budget(path, &readings);
    }
    for visitor in [Visitor::Stranger, Visitor::Member, Visitor::Staff] {
        for method in [Method::GET, Method::POST] {
            let allowed = is_allowed(target, &method, visitor);
            if allowed {
                to_every_application(path, &method, visitor);
            }
            if is_plain(path) {
                assert_eq!(allowed, expected(path, false, &method, visitor), "{target}");
            }
        }
    }
}

/// Twenty plain paths of its length; going through a reading costs as much as keeping it.
fn within_budget(path: &str, readings: &PathInterpretations<'_>) {
    let kept: usize = readings.others().iter().map(|reading| reading.path().len()).sum();
    assert!(kept <= 20 * (64 + path.len()), "{kept} bytes of {}", path.len());
    assert!(readings.others().len() <= 40, "{} readings", readings.others().len());
}

fn to_every_application(path: &str, method: &Method, visitor: Visitor) {
    for (name, model, folds) in MODELS {
        let Some(read) = model(path) else { continue };
        assert!(
            expected(&read, *folds, method, visitor),
            "{visitor:?} may {method} {path}: an application that {name} reads {read}"
        );
    }
}

/// Whether every application reads a path as it is.
fn is_plain(path: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/-_~".contains(&byte);
    path.bytes().all(plain) && !path.contains("//")
}

/// What the gateway says.
fn is_allowed(target: &str, method: &Method, visitor: Visitor) -> bool {
    let gateway = gateway();
    let question = Question {
        origin: None,
        target,
        method,
        destination: None,
        longest_target: LONGEST,
        client_address: ClientAddress::Unknown,
        claims: match visitor {
            Visitor::Stranger => None,
            Visitor::Member => Some(("company", &gateway.member)),
            Visitor::Staff => Some(("company", &gateway.staff)),
        },
    };
    gateway.app.explain(&question).unwrap().allowed
}

struct Gateway {
    app: App,
    member: Map<String, Value>,
    staff: Map<String, Value>,
}

fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        let server = "server: { public_url: https://app.example.com }\n";
        let text = format!("{server}{}", ROUTES.replace("UPSTREAM", "http://app"));
        let source = HostEnv::fixed([("a.yaml".into(), text.into())], []);
        let (config, _) = load("a.yaml".as_ref(), &source).unwrap();
        let metrics = Arc::new(Metrics::new(1));
        let app = App::new(&config, &Lasting::new(&Clock::system(), &metrics, 1)).unwrap();
        let claims = |groups: &[&str]| {
            json!({ "sub": "alice", "groups": groups }).as_object().unwrap().clone()
        };
        Gateway { app, member: claims(&[]), staff: claims(&["staff"]) }
    })
}

/// `server.limits.target_bytes`, unless it is set.
const LONGEST: usize = 16 * 1024;
