//! `check --online`: what it reports about a provider and about the client's registration there.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::faults::{
    DemoEndpoint, DiscoveryFault, Fault, IdentityProvider, JwksFault, NetworkFault,
};
use crate::support::gateway::PUBLIC_URL;
use crate::support::provider;

/// Checks a configuration with these providers and this `public_url`; returns the exit code and the output.
pub(crate) fn check(providers: &str, public_url: &str) -> (i32, String) {
    check_as("human", providers, public_url)
}

fn check_as(format: &str, providers: &str, public_url: &str) -> (i32, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("portcullis.yaml");
    let text = format!(
        "server: {{ public_url: \"{public_url}\" }}\n{providers}\
         routes: [{{ upstream: \"http://127.0.0.1:9\", allow: authenticated }}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", "--online", "--format", format, "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(!said.contains("wiki-and-company") && !said.contains("s3cr3t"), "{said}");
    (checked.status.code().unwrap(), said)
}

async fn honest() -> IdentityProvider {
    provider::start(Duration::from_secs(60)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn right_registration_is_reported_part_by_part() {
    let (code, said) = check(&provider::section(&honest().await), PUBLIC_URL);
    assert_eq!(code, 0, "{said}");
    let good = "company: OK: its metadata, its keys, the client's authentication, the redirect URI, the way back from \
         sign-out\n";
    assert!(said.contains(good), "{said}");
    let (code, said) = check_as("json", &provider::section(&honest().await), PUBLIC_URL);
    let notes: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let note = notes.iter().find(|note| note["severity"] == "note").unwrap();
    assert_eq!((code, &note["path"]), (0, &Value::from("providers.company")));
    assert!(good.contains(note["message"].as_str().unwrap()) && note["line"] == 3, "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_registration_is_an_error_with_line_and_remedy() {
    let idp = honest().await;
    let right = provider::section(&idp);
    let wrong_secret = right.replace("wiki-and-company", "s3cr3t");
    let wrong_id = right.replace("client_id: wiki", "client_id: wike");
    let unreachable = provider::section_with("http://127.0.0.1:9", "");
    let other_issuer = provider::section_with(&format!("{}/", idp.issuer()), "");
    for (providers, public_url, words) in [
        (&wrong_secret, PUBLIC_URL, "client_secret: is not what is registered at the provider"),
        (&wrong_id, PUBLIC_URL, "is not what is registered at the provider"),
        (
            &right,
            "http://localhost:4180",
            "hint: register http://localhost:4180/oauth2/callback as a",
        ),
        (&unreachable, PUBLIC_URL, "issuer: cannot be used: cannot reach 127.0.0.1:9"),
        (&unreachable, PUBLIC_URL, "hint: check the address, DNS and the network"),
        (&other_issuer, PUBLIC_URL, "issuer: cannot be used: "),
    ] {
        let (code, said) = check(providers, public_url);
        assert_eq!(code, 78, "{said}");
        assert!(said.contains("portcullis.yaml:3: error: providers.company."), "{said}");
        assert!(said.contains(words), "{words}: {said}");
        assert!(
            said.contains("portcullis.yaml is valid, but the online checks failed: "),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_at_which_no_sign_in_can_work_exits_with_78() {
    let idp = honest().await;
    for (fault, code, words) in [
        (
            Fault::Discovery(DiscoveryFault::OnlyNone),
            78,
            "with no algorithm that is supported here",
        ),
        (Fault::Discovery(DiscoveryFault::NoTokenEndpoint), 78, "`token_endpoint` is missing"),
        (Fault::Jwks(JwksFault::NoKeys), 78, "has keys that cannot be used"),
        (Fault::Discovery(DiscoveryFault::UnknownMembers), 0, "company: OK: "),
        (
            Fault::Network(DemoEndpoint::Token, NetworkFault::NotFound),
            0,
            "does not answer as one: unexpected status 404",
        ),
        (
            Fault::Network(DemoEndpoint::Token, NetworkFault::Unavailable),
            0,
            "has a token endpoint that fails",
        ),
    ] {
        idp.set_faults(&[fault]);
        let (exit, said) = check(&provider::section(&idp), PUBLIC_URL);
        assert_eq!(exit, code, "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// RFC 9700 §4.4.2: without `iss` in its responses, a provider needs a distinct redirect URI.
#[tokio::test(flavor = "multi_thread")]
async fn provider_without_iss_next_to_another_gets_a_mix_up_warning() {
    let (idp, other) = (honest().await, honest().await);
    let several = |more: &str| {
        provider::section_with(idp.issuer(), more)
            + &provider::entry("other", "O", other.issuer(), "")
    };
    let words = "warning: providers.company.distinct_redirect_uri: is needed here";
    assert!(!check(&several(""), PUBLIC_URL).1.contains(words));
    idp.set_faults(&[Fault::Discovery(DiscoveryFault::IssNotAnnounced)]);
    let (code, said) = check(&several(""), PUBLIC_URL);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(words), "{said}");
    assert!(said.contains(&format!("register {PUBLIC_URL}/oauth2/callback/company\n")), "{said}");
    for alone in [several("distinct_redirect_uri: true"), provider::section(&idp)] {
        assert!(!check(&alone, PUBLIC_URL).1.contains(words));
    }
}
