//! The binary of the image, without another build of the crate.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::dockerfile::rust_flags;
use super::{root, text};

/// The binary of the tests, linked statically.
pub(super) fn static_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let library = library_of_the_tests();
        let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("portcullis");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-name=portcullis", "src/main.rs"]);
        rustc.arg(format!("--extern=portcullis={}", library.display()));
        rustc.arg(format!("-Ldependency={}", library.parent().unwrap().display()));
        rustc.args(rust_flags()).arg("-o").arg(&binary);
        let output = rustc.current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        binary
    })
}

/// The compiled library that the tests are linked with. Cargo has built it, and tells where.
fn library_of_the_tests() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "test",
        "--locked",
        "--offline",
        "--test=real",
        "--no-run",
        "--message-format=json",
    ]);
    let output = cargo.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let artifacts = output.stdout.split(|byte| *byte == b'\n');
    let artifacts = artifacts.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let is_ours = |artifact: &Value| {
        artifact["target"]["name"] == "portcullis" && artifact["target"]["kind"][0] == "lib"
    };
    let ours: Vec<_> = artifacts.filter(is_ours).collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    let files = ours[0]["filenames"].as_array().unwrap().iter().map(|file| file.as_str().unwrap());
    files
        .map(PathBuf::from)
        .find(|file| file.extension().is_some_and(|kind| kind == "rlib"))
        .unwrap()
}
