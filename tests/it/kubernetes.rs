//! The examples in `deploy/kubernetes`: what their rendered manifests (`tests/kubernetes`) have in common, and their lists
//! of headers, which are those that the tests with real servers run. `tests/real/manifests.rs` renders the manifests and
//! checks the objects against schemas.
//! Invariant: no folder is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_yaml::Value;

use crate::pods::{Edit, Pod, SECRETS, list, manifests, needs_redis};
use crate::source_files::root;

#[test]
fn every_configuration_is_valid_as_its_container_mounts_it() {
    for manifest in manifests() {
        let pod = Pod::of(&manifest);
        let check = |secrets: &[Edit<'_>]| {
            let folder = pod.mount(secrets, &[]);
            let output = pod.command("check", &folder, &[]).output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.code(), said)
        };
        let (code, said) = check(&SECRETS);
        let without_problem = code == Some(0) && said.lines().count() == 1;
        assert!(without_problem, "{}: {said}", manifest.display());
        let text = fs::read_to_string(&manifest).unwrap();
        let is_used = |(name, _): &Edit<'_>| text.contains(&format!("/run/secrets/{name}"));
        for secret in SECRETS.into_iter().filter(is_used) {
            let others: Vec<_> = SECRETS.into_iter().filter(|one| *one != secret).collect();
            let (code, said) = check(&others);
            assert_eq!(code, Some(78), "{}: {secret:?} is empty: {said}", manifest.display());
        }
    }
}

#[test]
fn auth_endpoints_have_a_port_of_their_own_that_only_the_proxy_reaches() {
    let mut found = 0;
    for manifest in manifests() {
        let (pod, name) = (Pod::of(&manifest), manifest.display());
        let Some(server) = configuration(&pod).map(|all| all["server"].clone()) else { continue };
        let auth = &server["forward_auth"];
        if auth.is_null() {
            assert!(list(&pod.container["ports"]).iter().all(|port| port["name"] != "auth"));
            continue;
        }
        assert_eq!(server["trusted_proxies"], auth["clients"][0]["from"], "{name}");
        assert_eq!(auth["listen"], format!("0.0.0.0:{}", pod.port(&"auth".into())), "{name}");
        let service = pod.objects.iter().find(|object| object["kind"] == "Service").unwrap();
        let ports: Vec<_> = list(&service["spec"]["ports"]).iter().collect();
        assert_eq!((&ports[0]["port"], &ports[1]["port"]), (&4180.into(), &4182.into()), "{name}");
        let policies = pod.objects.iter().filter(|object| {
            let kind = object["kind"].as_str().unwrap();
            kind.ends_with("NetworkPolicy") && object["metadata"]["namespace"] == "portcullis"
        });
        let policies: Vec<_> = policies.collect();
        assert_eq!(policies.len(), 1, "{name}");
        let proxy = &policies[0]["spec"]["ingress"][0];
        let cilium = proxy["fromEntities"] == serde_yaml::from_str::<Value>("[ingress]").unwrap();
        let (from, ports) = if cilium {
            (1, &proxy["toPorts"][0]["ports"])
        } else {
            let names = &proxy["from"][0]["namespaceSelector"]["matchLabels"];
            assert_ne!(names["kubernetes.io/metadata.name"], "gateways", "{name}: of the base");
            (list(&proxy["from"]).len(), &proxy["ports"])
        };
        let ports: Vec<_> = list(ports).iter().map(|port| number(&port["port"])).collect();
        assert_eq!((from, ports), (1, vec![4180, 4182]), "{name}");
        found += 1;
    }
    assert!(found > 5, "{found}");
}

#[test]
fn pods_are_restricted_single_without_redis_and_have_time_to_end() {
    let image = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(image.contains("\nUSER 65534:65534\n"), "the user below");
    assert!(image.contains("\nENTRYPOINT [\"/portcullis\"]\n"), "what gets the arguments");
    for manifest in manifests() {
        let (pod, name) = (Pod::of(&manifest), manifest.display());
        let deployment = pod.objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let spec = &deployment["spec"];
        if needs_redis(&manifest) {
            assert_eq!(spec["replicas"], 2, "{name}");
            assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0, "{name}");
        } else {
            assert_eq!(spec["replicas"], 1, "{name}");
            assert_eq!(spec["strategy"]["type"], "Recreate", "{name}");
        }
        // Not ready is no reason to kill a pod whose Redis does not answer.
        let starts = if needs_redis(&manifest) { "/healthz" } else { "/readyz" };
        assert_eq!(pod.spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod.spec["enableServiceLinks"], false, "{name}");
        // Pod Security Standard "restricted"; a container has what its pod has.
        let of_pod = &pod.spec["securityContext"];
        let containers = list(&pod.spec["initContainers"]).iter();
        for container in containers.chain(list(&pod.spec["containers"])) {
            let context = &container["securityContext"];
            let either = |key: &str| {
                let own = &context[key];
                if own.is_null() { &of_pod[key] } else { own }
            };
            assert_eq!(*either("runAsNonRoot"), true, "{name}");
            assert_eq!(*either("runAsUser"), 65534, "{name}");
            assert_eq!(either("seccompProfile")["type"], "RuntimeDefault", "{name}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
            assert!(!container["resources"]["limits"]["memory"].is_null(), "{name}");
        }
        for (probe, path) in
            [("startupProbe", starts), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
        {
            let asks = &pod.container[probe]["httpGet"];
            assert_eq!((&asks["path"], pod.port(&asks["port"])), (&path.into(), 4181), "{name}");
        }
        // New requests come for some seconds: with a sidecar to the application, which ends first.
        let timeouts =
            configuration(&pod).map_or(Value::Null, |all| all["server"]["timeouts"].clone());
        let stop = &pod.spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
        let delay = if stop.is_null() { number(&timeouts["drain_delay"]) } else { number(stop) };
        let drain = if timeouts["drain"].is_null() { 30 } else { number(&timeouts["drain"]) };
        let grace = number(&pod.spec["terminationGracePeriodSeconds"]);
        assert!(delay > 0 && grace > delay + drain, "{name}: {grace}, {delay}, {drain}");
    }
}

#[test]
fn application_of_a_sidecar_is_reached_through_it_alone() {
    let pod = Pod::of(&root().join("tests/kubernetes/sidecar.yaml"));
    let find = |kind: &str| pod.objects.iter().find(|object| object["kind"] == kind).unwrap();
    let port = &find("Service")["spec"]["ports"][0];
    assert_eq!((&port["port"], pod.port(&port["targetPort"])), (&8080.into(), 4180));
    let allowed = &find("NetworkPolicy")["spec"]["ingress"];
    assert_eq!((list(allowed).len(), list(&allowed[0]["ports"]).len()), (1, 1));
    assert_eq!(allowed[0]["ports"][0]["port"], 4180);
    assert_eq!(pod.spec["containers"][0]["args"][4], "127.0.0.1:8080");
    // Kubernetes starts it before the application, and ends it after that.
    assert_eq!(pod.container["restartPolicy"], "Always");
    assert_eq!(pod.spec["initContainers"][0], pod.container);
}

/// The configuration file of a pod, if it has one.
fn configuration(pod: &Pod) -> Option<Value> {
    let map = pod.objects.iter().find(|object| object["kind"] == "ConfigMap")?;
    Some(serde_yaml::from_str(map["data"]["portcullis.yaml"].as_str().unwrap()).unwrap())
}

/// A number, also as a text or as seconds.
fn number(value: &Value) -> u64 {
    let text = value.as_str().map(|text| text.trim_end_matches('s').parse().unwrap());
    text.unwrap_or_else(|| value.as_u64().unwrap())
}

#[test]
fn every_folder_of_kubernetes_is_explained_file_by_file() {
    let above = fs::read_to_string(root().join("deploy/kubernetes/README.md")).unwrap();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        // The parts that the others are made of have no README of their own.
        let own = fs::read_to_string(folder.join("README.md"));
        let part = if own.is_ok() { String::new() } else { format!("{name}/") };
        assert!(!part.is_empty() || above.contains(&format!("]({name}/README.md)")), "{name}");
        let readme = own.as_ref().unwrap_or(&above);
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            assert!(
                file == "README.md" || readme.contains(&format!("]({part}{file})")),
                "{name}/{file}"
            );
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
    let objects = parsed("kubernetes/envoy-gateway/policy.yaml");
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
