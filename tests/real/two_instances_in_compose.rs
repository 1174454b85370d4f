//! `deploy/compose/redis.yaml`: two instances behind Traefik, with a real Redis.
//! Invariant: nothing in the file changes but the provider, the program of Redis, and paths.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::component::tls::Relay;
use crate::compose::{ALICE, SECRET, end, header, provider, serve_traefik};
use crate::containers::{Engine, config};
use crate::support::browser::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_sessions_in_redis_and_either_is_enough() {
    let provider = provider("https://wiki.example.com").await;
    let scratch = TempDir::new().unwrap();
    let folder = scratch.path().display();
    let own = [
        ("https://id.example.com/realms/main", provider.issuer()),
        ("storage=/acme/acme.json", &format!("storage={folder}/acme.json")),
        ("exec valkey-server", "exec /usr/bin/redis-server"),
        ("dir /data", &format!("dir {folder}")),
    ];
    let config = config("redis.yaml", &own);
    // Only the two instances reach Redis.
    let services = config["services"].as_object().unwrap().iter();
    let members = services.filter(|(_, service)| service["networks"].get("sessions").is_some());
    let members: Vec<_> = members.map(|(name, _)| name.as_str()).collect();
    assert_eq!(members, ["portcullis-1", "portcullis-2", "redis"]);
    assert_eq!(config["networks"]["sessions"]["internal"], true);
    let mut engine = Engine::new(config, SECRET);
    for secret in ["session_secret", "redis_password"] {
        fs::write(engine.path(secret), "0123456789abcdef0123456789abcdef\n").unwrap();
    }
    engine.run_program("redis", Path::new("/usr/bin/env"), &[]);
    let instances = ["portcullis-1", "portcullis-2"];
    for service in instances {
        engine.reach(service, provider.address());
    }
    for service in instances.into_iter().chain(["wiki"]) {
        engine.run(service);
        engine.healthy(service).await;
    }
    let checked = engine.portcullis("portcullis-1", &["check"]);
    let found = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert_eq!(found.matches("warning").count(), 1, "{found}");
    assert!(found.contains("the password can be read in the network"), "{found}");

    let (address, certificate) = serve_traefik(&mut engine, "redis.yaml").await;
    let relay = Relay::start(address, &certificate).await;
    let mut alice = Browser::at(relay.address);
    let form = alice.open("https://wiki.example.com/api").await;
    assert_eq!(alice.fill(&form, &ALICE).await.status, 200);
    for updated in instances {
        assert!(engine.stop(updated).success());
        let page = alice.open("https://wiki.example.com/api").await;
        assert_eq!(header(&page, "x-forwarded-email"), "alice@example.com", "{page:?}");
        engine.run(updated);
        engine.healthy(updated).await;
    }
    let page = alice.open("https://wiki.example.com/oauth2/sign_out").await;
    assert_eq!(page.url.as_str(), "https://wiki.example.com/oauth2/signed_out", "{page:?}");
    for _ in 0..4 {
        assert_eq!(alice.fetch("https://wiki.example.com/api").await.status, 401);
    }
    end(engine, &["wiki", "portcullis-1", "portcullis-2", "redis"]);
}
