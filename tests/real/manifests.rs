//! The Kubernetes objects in `deploy/kubernetes`, against the schemas of their kinds. No cluster runs them.
//! Invariant: an unknown kind, an unknown field and a wrong type are found in each object.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

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
    for (file, object) in objects() {
        let mut changed = Vec::new();
        for path in mappings(&object, String::new()) {
            let mut copy = object.clone();
            let mapping = copy.pointer_mut(&path).unwrap().as_object_mut().unwrap();
            mapping.insert("noSuchField".to_owned(), json!("x"));
            changed.push((path, copy));
        }
        assert!(!changed.is_empty());
        let verdicts = validate(changed.iter().map(|(_, copy)| copy.clone()).collect());
        for ((path, _), verdict) in changed.iter().zip(verdicts) {
            let found = verdict.wrong.iter().any(|line| line.contains("noSuchField"));
            assert!(found, "{}: {path}: {:?}", file.display(), verdict.wrong);
        }
    }
}

#[test]
fn wrong_type_and_unknown_kind_are_found() {
    let mut changed = Vec::new();
    for (_, object) in objects() {
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
    const ANY_KEY: [&str; 4] = ["annotations", "labels", "matchLabels", "customRequestHeaders"];
    match value {
        Value::Object(fields) => {
            let inner = fields.iter().filter(|(key, _)| !ANY_KEY.contains(&key.as_str()));
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

/// Every object of every file, except the configurations of Portcullis.
fn objects() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(root().join("deploy/kubernetes")).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder).unwrap() {
            let file = file.unwrap().path();
            let is_yaml = file.extension().is_some_and(|kind| kind == "yaml");
            if !is_yaml || file.ends_with("portcullis.yaml") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(root()).unwrap().to_owned();
            for document in serde_yaml::Deserializer::from_str(&text) {
                found.push((name.clone(), Value::deserialize(document).unwrap()));
            }
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
