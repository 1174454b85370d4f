//! The examples in `deploy/kubernetes`: their configurations of Portcullis, and their lists of headers, which are
//! those that the tests with real servers run. `tests/real/manifests.rs` checks the objects against schemas.
//! Invariant: no folder is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;
use serde_yaml::Value;
use tempfile::TempDir;

use crate::source_files::root;

#[test]
fn every_configuration_of_kubernetes_is_valid_and_keeps_the_auth_endpoints_apart() {
    for folder in folders() {
        let text = fs::read_to_string(folder.join("portcullis.yaml")).unwrap();
        let scratch = TempDir::new().unwrap();
        let secret = scratch.path().join("client_secret");
        fs::write(&secret, "a-secret-that-no-other-file-has").unwrap();
        let file = scratch.path().join("portcullis.yaml");
        let text = text.replace("/run/secrets/client_secret", secret.to_str().unwrap());
        fs::write(&file, &text).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output = program.args(["check", "--config"]).arg(&file).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{}: {said}", folder.display());
        assert!(!said.contains("warning"), "{}: {said}", folder.display());

        let server = &serde_yaml::from_str::<Value>(&text).unwrap()["server"];
        let policy = fs::read_to_string(folder.join("network-policy.yaml")).unwrap();
        let auth = &server["forward_auth"];
        if auth.is_null() {
            assert!(text.contains("upstream: "), "{}: a reverse proxy", folder.display());
            continue;
        }
        assert_eq!(server["trusted_proxies"], auth["clients"][0]["from"], "{}", folder.display());
        let port = auth["listen"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        assert_ne!(auth["listen"], server["listen"]);
        let policy = policy.replace('"', "");
        assert!(policy.contains(&format!("- port: {port}\n")), "{}", folder.display());
    }
}

#[test]
fn every_folder_of_kubernetes_has_a_readme_that_the_one_above_links_to() {
    let above = fs::read_to_string(root().join("deploy/kubernetes/README.md")).unwrap();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(above.contains(&format!("]({name}/README.md)")), "{name}");
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            assert!(file == "README.md" || readme.contains(&format!("]({file})")), "{name}/{file}");
        }
    }
}

#[test]
fn middlewares_of_traefik_are_those_of_the_tested_folder() {
    let tested = parsed("traefik/dynamic.yml").remove(0);
    let mut found = 0;
    for object in parsed("kubernetes/traefik/wiki.yaml") {
        if object["kind"] != "Middleware" {
            continue;
        }
        let mut expected = tested["http"]["middlewares"][&object["metadata"]["name"]].clone();
        if !expected["forwardAuth"].is_null() {
            let address = &object["spec"]["forwardAuth"]["address"];
            assert!(address.as_str().unwrap().ends_with(":4182/oauth2/forward_auth"));
            expected["forwardAuth"]["address"] = address.clone();
        }
        assert_eq!(object["spec"], expected);
        found += 1;
    }
    assert_eq!(found, 2);
    let rules = parsed("kubernetes/traefik/wiki.yaml");
    let rules: BTreeSet<_> =
        rules.iter().filter_map(|object| text(&object["spec"]["routes"][0]["match"])).collect();
    let routers = tested["http"]["routers"].as_mapping().unwrap().values();
    assert_eq!(rules, routers.filter_map(|router| text(&router["rule"])).collect());
}

#[test]
fn headers_for_envoy_are_those_of_the_tested_folder() {
    let tested = fs::read_to_string(root().join("deploy/envoy/envoy.yaml")).unwrap();
    let (before, after) = tested.split_once("http_service:").unwrap();
    let exact = |text: &str| -> BTreeSet<String> {
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("- { exact: "));
        names.map(|name| name.trim_end_matches(" }").to_owned()).collect()
    };
    let (asked, answered) = (exact(before), exact(after));
    assert!(asked.contains("cookie") && answered.contains("cookie"));
    for (to_auth, to_application) in lists_for_envoy() {
        for name in &asked {
            assert!(to_auth.contains(name), "{name} is not in {to_auth:?}");
        }
        let visitors_own =
            |name: &&String| name.starts_with("x-original") || name.starts_with("x-forwarded-h");
        assert_eq!(to_auth.iter().find(visitors_own), None);
        assert!(to_auth.iter().any(|name| name.starts_with("sec-fetch-")));
        assert_eq!(to_application, answered);
    }
}

/// What each example for an Envoy sends Portcullis, and what it takes from the answer.
fn lists_for_envoy() -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
    let objects = parsed("kubernetes/envoy-gateway/wiki.yaml");
    let gateway = objects.iter().find(|object| object["kind"] == "SecurityPolicy").unwrap();
    let gateway = &gateway["spec"]["extAuth"];
    let istio = parsed("kubernetes/istio/values.yaml").remove(0);
    let istio = &istio["meshConfig"]["extensionProviders"][0]["envoyExtAuthzHttp"];
    let routes = parsed("kubernetes/gateway-api/wiki.yaml");
    let filter = &routes[0]["spec"]["rules"][0]["filters"][0]["externalAuth"]["http"];
    vec![
        (names(&filter["allowedHeaders"]), names(&filter["allowedResponseHeaders"])),
        (names(&gateway["headersToExtAuth"]), names(&gateway["http"]["headersToBackend"])),
        (names(&istio["includeRequestHeadersInCheck"]), names(&istio["headersToUpstreamOnAllow"])),
    ]
}

fn names(list: &Value) -> BTreeSet<String> {
    list.as_sequence().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn parsed(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("deploy").join(path)).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents.map(|document| Value::deserialize(document).unwrap()).collect()
}

fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("deploy/kubernetes")).unwrap();
    let found: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert!(found.len() > 3, "{found:?}");
    found
}
