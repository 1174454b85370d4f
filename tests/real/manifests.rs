//! The Kubernetes objects in `deploy/kubernetes`: what kubectl makes of each folder, against the schemas of their kinds. No
//! cluster runs them.
//! Invariant: an unknown kind, an unknown field and a wrong type are found in each object, and no folder is left out.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the validator says about one object.
#[derive(Deserialize)]
struct Verdict {
    /// `schema`: of a package; `fields`: our list of the fields that the project defines.
    by: Option<String>,
    wrong: Vec<String>,
}

#[test]
fn every_object_has_the_fields_of_its_kind() {
    let objects = objects();
    assert!(objects.len() > 10, "{} objects", objects.len());
    let verdicts = validate(objects.iter().map(|(_, object)| object.clone()).collect());
    // Not by `println`, which is shown only for a test that fails.
    let mut report = std::io::stdout().lock();
    for ((file, object), verdict) in objects.iter().zip(&verdicts) {
        assert_eq!(verdict.wrong, [""; 0], "{}: {object}", file.display());
        let by = verdict.by.as_deref().unwrap();
        let kind = object["kind"].as_str().unwrap_or("values");
        writeln!(report, "validated only, by {by}: {}: {kind}", file.display()).unwrap();
    }
}

#[test]
fn unknown_field_is_found_in_every_mapping_of_every_object() {
    let mut changed = Vec::new();
    for (file, object) in different_objects() {
        for path in mappings(&object, String::new()) {
            let mut copy = object.clone();
            let mapping = copy.pointer_mut(&path).unwrap().as_object_mut().unwrap();
            mapping.insert("noSuchField".to_owned(), json!("x"));
            changed.push((file.clone(), path, copy));
        }
    }
    assert!(changed.len() > 100, "{}", changed.len());
    let verdicts = validate(changed.iter().map(|(_, _, copy)| copy.clone()).collect());
    for ((file, path, _), verdict) in changed.iter().zip(verdicts) {
        let found = verdict.wrong.iter().any(|line| line.contains("noSuchField"));
        assert!(found, "{}: {path}: {:?}", file.display(), verdict.wrong);
    }
}

#[test]
fn wrong_type_and_unknown_kind_are_found() {
    let mut changed = Vec::new();
    for (_, object) in different_objects() {
        let first = if object["spec"].is_null() { "meshConfig" } else { "spec" };
        let (mut no_spec, mut no_kind) = (object.clone(), object.clone());
        no_spec[first] = json!("text");
        changed.push(no_spec);
        if !object["kind"].is_null() {
            no_kind["kind"] = json!("NoSuchKind");
            changed.push(no_kind);
            let mut other_group = object;
            other_group["apiVersion"] = json!("example.com/v1");
            changed.push(other_group);
        }
    }
    for (object, verdict) in changed.iter().zip(validate(changed.clone())) {
        assert!(!verdict.wrong.is_empty(), "{object}");
    }
}

/// The paths of all mappings whose keys a schema lists.
fn mappings(value: &Value, path: String) -> Vec<String> {
    const ANY_KEY: [&str; 7] = [
        "annotations",
        "customRequestHeaders",
        "data",
        "labels",
        "limits",
        "matchLabels",
        "requests",
    ];
    match value {
        Value::Object(fields) => {
            let inner = fields.iter().filter(|(key, value)| {
                // A Service selects by labels alone.
                let labels = *key == "selector" && value["matchLabels"].is_null();
                !labels && !ANY_KEY.contains(&key.as_str())
            });
            let inner = inner.flat_map(|(key, value)| mappings(value, format!("{path}/{key}")));
            let mut found: Vec<_> = inner.collect();
            found.push(path);
            found
        }
        Value::Array(items) => {
            let inner = items.iter().enumerate();
            inner.flat_map(|(at, value)| mappings(value, format!("{path}/{at}"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn validate(objects: Vec<Value>) -> Vec<Verdict> {
    // tests/run names a Node that it has installed.
    let node = std::env::var("NODE").unwrap_or_else(|_| "node".to_owned());
    let script = root().join("tests/node/manifests.mjs");
    let mut child = Command::new(node)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("Node, which tests/run installs: {error}"));
    let mut input = child.stdin.take().unwrap();
    let count = objects.len();
    input.write_all(Value::from(objects).to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let verdicts: Vec<Verdict> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts.len(), count);
    verdicts
}

#[test]
fn every_folder_is_rendered_as_its_golden_file_says() {
    let bless = std::env::var_os("PORTCULLIS_BLESS").is_some();
    let rendered = rendered();
    let mut complaints = Vec::new();
    for (name, text) in &rendered {
        let file = golden().join(format!("{name}.yaml"));
        if bless {
            fs::write(&file, text).unwrap();
        }
        if fs::read_to_string(&file).unwrap_or_default() != *text {
            complaints.push(format!("--- {}\n{text}", file.display()));
        }
    }
    assert!(
        complaints.is_empty(),
        "with PORTCULLIS_BLESS=1 this test writes them again:\n{}",
        complaints.join("\n")
    );
    assert_eq!(fs::read_dir(golden()).unwrap().count(), rendered.len(), "one file for each folder");
}

#[test]
fn every_object_is_valid_for_kubernetes_validate_or_of_a_kind_that_it_does_not_know() {
    let output = Command::new("/usr/bin/python3")
        .args(["-m", "kubernetes_validate", "--strict"])
        .args(fs::read_dir(golden()).unwrap().map(|file| file.unwrap().path()))
        .env("PYTHONPATH", root().join("target/servers"))
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    let passed = said.lines().filter(|line| line.starts_with("INFO ")).count();
    let unknown: Vec<_> = said.lines().filter(|line| line.starts_with("WARN ")).collect();
    // All other kinds come with a custom resource: the test above has a schema for each.
    let built_in = ["apps/v1", "networking.k8s.io/v1", "policy/v1", "v1"];
    for line in &unknown {
        let version = line.split(" with api version ").nth(1).unwrap();
        assert!(!built_in.contains(&version.split(' ').next().unwrap()), "{line}");
    }
    assert!(passed > 50, "{said}");
    let objects = rendered().values().map(|text| objects_in(text).len()).sum::<usize>();
    assert_eq!(passed + unknown.len(), objects, "{said}");
}

/// What kubectl makes of each folder, and of two with what their comments offer: with a snapshot, and with Redis in place
/// of it.
fn rendered() -> BTreeMap<String, String> {
    let kubernetes = root().join("deploy/kubernetes");
    let mut found = BTreeMap::new();
    for folder in fs::read_dir(&kubernetes).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(folder.join("kustomization.yaml")).unwrap_or_default();
        if text.contains("\nkind: Kustomization\n") {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            found.insert(name, kustomize(&folder));
        }
    }
    assert!(found.len() > 5, "{:?}", found.keys());
    let copy = TempDir::new().unwrap();
    let status = Command::new("cp").arg("-r").arg(&kubernetes).arg(copy.path()).status().unwrap();
    assert!(status.success());
    let names: Vec<_> =
        found.keys().filter(|name| *name != "base" && *name != "sidecar").cloned().collect();
    for name in names {
        let folder = copy.path().join("kubernetes").join(&name);
        let file = folder.join("kustomization.yaml");
        let as_it_is = fs::read_to_string(&file).unwrap();
        let with = |without: &str| {
            let lines = as_it_is.lines().filter(|line| !line.ends_with(without));
            let with = lines.map(|line| format!("{line}\n")).collect::<String>();
            let with = with.replace("# components:", "components:").replace("#   - ../", "  - ../");
            fs::write(&file, with.replace("# - ../", "- ../")).unwrap();
            kustomize(&folder)
        };
        let with_snapshot = with("- ../redis");
        for kind in ["ServiceMonitor", "PersistentVolumeClaim"] {
            assert!(with_snapshot.contains(&format!("kind: {kind}\n")), "{name}: {kind}");
        }
        if name == "traefik" {
            store_in_redis(&folder);
        }
        let with_redis = with("- ../snapshot");
        assert!(with_redis.contains("  replicas: 2\n"), "{name}: {with_redis}");
        assert!(with_redis.contains("  redis_password: "), "{name}: {with_redis}");
        if name == "traefik" {
            found.insert("traefik-with-options".to_owned(), with_snapshot);
            found.insert("traefik-with-redis".to_owned(), with_redis);
        }
    }
    let file = "envoy-gateway/kustomization.yaml";
    let text = fs::read_to_string(kubernetes.join(file)).unwrap();
    let (before, after) = text.split_once("  - policy.yaml\n").unwrap();
    let with = format!("{before}  - policy-grpc.yaml\n{after}");
    fs::write(copy.path().join("kubernetes").join(file), with).unwrap();
    let text = kustomize(&copy.path().join("kubernetes/envoy-gateway"));
    found.insert("envoy-gateway-over-grpc".to_owned(), text);
    found
}

/// Writes into `portcullis.yaml` of a folder what the comment of the component `redis` says.
fn store_in_redis(folder: &Path) {
    let component = fs::read_to_string(folder.join("../redis/kustomization.yaml")).unwrap();
    let lines = component.lines().filter_map(|line| line.strip_prefix("# "));
    let store = lines.filter(|line| line.starts_with("  "));
    let store: String = store.map(|line| format!("{line}\n")).collect();
    assert_eq!(store.lines().count(), 5, "{store}");
    let file = folder.join("portcullis.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let (before, after) = text.split_once("session_secret}\n").unwrap();
    fs::write(file, format!("{before}session_secret}}\n{store}{after}")).unwrap();
}

fn kustomize(folder: &Path) -> String {
    let kubectl = root().join("target/servers/bin/kubectl");
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", folder.display());
    String::from_utf8(output.stdout).unwrap()
}

/// Every object of the rendered folders, and of the files that no folder renders.
fn objects() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for file in fs::read_dir(golden()).unwrap().map(|file| file.unwrap().path()) {
        let objects = objects_in(&fs::read_to_string(&file).unwrap()).into_iter();
        let name = file.strip_prefix(root()).unwrap().to_owned();
        found.extend(objects.map(|object| (name.clone(), object)));
    }
    for name in ["istio/values.yaml", "istio/values-grpc.yaml"] {
        let text = fs::read_to_string(root().join("deploy/kubernetes").join(name)).unwrap();
        found.extend(objects_in(&text).into_iter().map(|object| (name.into(), object)));
    }
    found
}

/// Each object once, although most are in several files.
fn different_objects() -> Vec<(PathBuf, Value)> {
    let mut seen = HashSet::new();
    let new = |(_, object): &(PathBuf, Value)| seen.insert(object.to_string());
    objects().into_iter().filter(new).collect()
}

fn objects_in(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents.map(|document| Value::deserialize(document).unwrap()).collect()
}

fn golden() -> PathBuf {
    root().join("tests/kubernetes")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
