//! The fenced blocks of the documents for users: each is run, checked, or quoted from a file that a test runs.
//! Invariant: a block of a language that is not known here fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;
use tempfile::TempDir;

use crate::known_commands::KNOWN;
use crate::source_files::root;
use crate::support::kinds::client::service_account_file;

/// A fenced block.
struct Block {
    /// The file and line, for the complaint.
    place: String,
    /// The folder of the file.
    folder: PathBuf,
    language: String,
    /// Without the indentation of its fence.
    text: String,
}

#[test]
fn every_block_of_a_document_is_true() {
    let blocks = blocks();
    assert!(blocks.len() > 20, "{} blocks", blocks.len());
    let complaints: Vec<_> = blocks
        .iter()
        .filter_map(|block| {
            let complaint = complaint_about(block)?;
            Some(format!("{} ({}): {complaint}", block.place, block.language))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn complaint_about(block: &Block) -> Option<String> {
    let readme_of_a_folder = block.folder != root();
    match &*block.language {
        "yaml" if is_quoted(block) => None,
        "yaml" => complaint_of_check(&block.text),
        "nginx" | "haproxy" | "caddyfile" | "lua" => {
            (!is_quoted(block)).then(|| "is not in a file that the tests run".to_owned())
        }
        "sh" => {
            commands_in(&block.text).iter().find_map(|command| complaint_about_command(command))
        }
        "console" if readme_of_a_folder => {
            let name = block.folder.file_name().unwrap().to_str().unwrap();
            let (file, line) = match name {
                "compose" => ("compose.rs", "example(\"compose/README.md\"".to_owned()),
                _ => ("published.rs", format!("says, \"{name}\",")),
            };
            let runs = fs::read_to_string(root().join("tests/real").join(file)).unwrap();
            let commands = block.text.lines().filter(|line| line.starts_with("$ ")).count();
            (commands == 0 || !runs.contains(&line))
                .then(|| format!("tests/real/{file} does not run this"))
        }
        // The drawing of the three ways to deploy it.
        "text" if block.text.contains("──▶") => None,
        "text" if block.text.starts_with(ACL) => {
            let runs = fs::read_to_string(root().join("tests/real/rights_in_redis.rs")).unwrap();
            (!runs.contains(ACL)).then(|| "tests/real/rights_in_redis.rs does not use this".into())
        }
        _ => Some("no test knows what to do with this language".to_owned()),
    }
}

/// The beginning of the line that gives a user of Redis its rights.
const ACL: &str = "ACL SETUSER portcullis ";

/// Whether a block is part of an example, or parts of one in their order with lines `# …` between them.
fn is_quoted(block: &Block) -> bool {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    let lines_of_block = lines(&block.text);
    let parts: Vec<_> = lines_of_block.split(|line| line == "# …").collect();
    let folders =
        if block.folder == root() { example_folders() } else { vec![block.folder.clone()] };
    let mut files = folders.iter().flat_map(|folder| files_in(folder));
    files.any(|file| {
        // Our own configuration is checked.
        if file.is_dir()
            || file.ends_with("portcullis.yaml")
            || file.extension().is_some_and(|kind| kind == "md")
        {
            return false;
        }
        let text = lines(&fs::read_to_string(&file).unwrap());
        let mut rest = &text[..];
        parts.iter().all(|part| {
            let at = rest.windows(part.len()).position(|window| window == *part);
            at.is_some_and(|at| {
                rest = &rest[at + part.len()..];
                true
            })
        })
    })
}

/// What `portcullis check` has against a configuration, or against a part of one with the sections that it lacks.
fn complaint_of_check(text: &str) -> Option<String> {
    let folder = TempDir::new().unwrap();
    let (_, output) = check(&folder, &whole(text), &["check", "--config", "portcullis.yaml"]);
    // The address of a provider inside a network is plain HTTP on purpose.
    let mut problems =
        output.lines().filter(|line| is_problem(line) && !line.contains("internal_origin"));
    problems.next().map(|_| output.clone())
}

fn is_problem(line: &str) -> bool {
    ["error", "warning"].iter().any(|word| line.contains(word))
}

/// Runs the program in a folder with this configuration; returns its exit code and output.
fn check(folder: &TempDir, configuration: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let pair = rcgen::generate_simple_self_signed(["wiki.example.com".to_owned()]).unwrap();
    let here = |text: &str| {
        let secrets = ["/run/secrets", "/run/credentials/portcullis.service"];
        let folder = folder.path().to_str().unwrap();
        secrets.iter().fold(text.to_owned(), |text, path| text.replace(path, folder))
    };
    for (name, text) in [
        ("portcullis.yaml", here(configuration)),
        ("client_secret", "a-secret-that-no-other-file-has".to_owned()),
        ("session_secret", "another-secret-that-no-other-file-has".to_owned()),
        ("redis_password", "a-password-of-a-user-of-redis".to_owned()),
        ("tls.crt", pair.cert.pem()),
        ("tls.key", pair.signing_key.serialize_pem()),
        ("service-account.json", service_account_file("https://oauth2.googleapis.com")),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut program = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    program.args(arguments.iter().map(|word| here(word))).current_dir(folder.path());
    let output = program.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// A part of a configuration in the smallest one that works.
fn whole(part: &str) -> String {
    let part: Value =
        serde_yaml::from_str(part).unwrap_or_else(|error| panic!("{error} in:\n{part}"));
    let mut all: Value = serde_yaml::from_str(SMALLEST).unwrap();
    let providers = part.get("providers").and_then(Value::as_mapping);
    if providers.is_some_and(|all| all.values().any(|one| one.get("client_id").is_some())) {
        // The part has a provider of its own.
        all["providers"] = Value::Null;
    }
    merge(&mut all, part);
    serde_yaml::to_string(&all).unwrap()
}

/// Adds keys; a list or a text replaces what was there.
fn merge(all: &mut Value, part: Value) {
    match (all, part) {
        (Value::Mapping(all), Value::Mapping(part)) => {
            for (key, value) in part {
                merge(all.entry(key).or_insert(Value::Null), value);
            }
        }
        (all, part) => *all = part,
    }
}

const SMALLEST: &str = "
server: { public_url: 'https://wiki.example.com' }
providers:
  company:
    issuer: https://id.example.com/realms/main
    client_id: wiki
    client_secret: ${file:/run/secrets/client_secret}
routes:
  - { upstream: 'http://wiki:8080', allow: authenticated }
";

/// The commands of a block without their comments; a backslash joins lines.
fn commands_in(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

fn complaint_about_command(command: &str) -> Option<String> {
    if let Some(arguments) = command.strip_prefix("portcullis ") {
        // `check` takes the same flags, and does not stay; without `--online` it asks no provider.
        let words = arguments.split_whitespace().filter(|word| *word != "--online");
        let words: Vec<_> = words.map(|word| if word == "run" { "check" } else { word }).collect();
        let folder = TempDir::new().unwrap();
        let (code, output) = check(&folder, SMALLEST, &words);
        return (code != Some(0)).then(|| format!("`{command}`: {output}"));
    }
    let Some((_, file, text)) = KNOWN.iter().find(|(known, ..)| *known == command) else {
        return Some(format!("`{command}` is not in KNOWN"));
    };
    let there = fs::read_to_string(root().join(file)).unwrap().contains(text);
    (!there).then(|| format!("`{command}` needs {text:?} in {file}"))
}

#[test]
fn wrong_block_is_found() {
    let folder = root().join("deploy/nginx");
    let block = |language: &str, text: &str| Block {
        place: String::new(),
        folder: folder.clone(),
        language: language.to_owned(),
        text: text.to_owned(),
    };
    for (language, text) in [
        ("yaml", "server:\n  public_ulr: https://wiki.example.com\n"),
        ("yaml", "routes: [{ allow: authenticated }]\n"),
        ("nginx", "auth_request /oauth2/authentication;\n"),
        ("nginx", "auth_request /oauth2/auth;\nproxy_pass http://wiki:8080;\n"),
        ("nginx", "proxy_pass http://wiki:8080;\n# …\nauth_request /oauth2/auth;\n"),
        ("sh", "portcullis check --configuration portcullis.yaml\n"),
        ("sh", "nginx -s reload\n"),
        ("console", "200\n"),
        ("text", "200\n"),
        ("", "200\n"),
    ] {
        assert!(complaint_about(&block(language, text)).is_some(), "{language}: {text}");
    }
    for (language, text) in [
        ("yaml", "server: { trusted_proxies: [10.0.0.1] }\n"),
        ("nginx", "  auth_request /oauth2/auth;\n# …\n  proxy_pass http://wiki:8080;\n"),
        ("sh", "portcullis run --config portcullis.yaml   # serves\n"),
    ] {
        assert_eq!(complaint_about(&block(language, text)), None, "{language}: {text}");
    }
}

#[test]
fn every_folder_of_examples_has_a_readme_that_the_main_one_links_to() {
    let main = fs::read_to_string(root().join("README.md")).unwrap();
    for folder in example_folders() {
        assert!(folder.join("README.md").is_file(), "{}", folder.display());
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(main.contains(&format!("(deploy/{name}/README.md)")), "README.md: {name}");
    }
}

fn blocks() -> Vec<Block> {
    let mut documents: Vec<_> = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
        .map(|name| root().join(name))
        .into();
    documents.extend(example_folders().iter().map(|folder| folder.join("README.md")));
    let of_kubernetes = files_in(&root().join("deploy/kubernetes"));
    documents.extend(
        of_kubernetes.iter().map(|path| path.join("README.md")).filter(|path| path.exists()),
    );
    documents.iter().flat_map(|path| blocks_of(path)).collect()
}

fn blocks_of(path: &Path) -> Vec<Block> {
    let text = fs::read_to_string(path).unwrap();
    let (mut blocks, mut open) = (Vec::new(), None);
    for (at, line) in text.lines().enumerate() {
        let indentation = line.len() - line.trim_start().len();
        match (open.take(), line.trim_start().strip_prefix("```")) {
            (None, None) => {}
            (None, Some(language)) => {
                let place = format!("{}:{}", path.strip_prefix(root()).unwrap().display(), at + 1);
                let folder = path.parent().unwrap().to_owned();
                let language = language.to_owned();
                open = Some((indentation, Block { place, folder, language, text: String::new() }));
            }
            (Some((_, block)), Some(_)) => blocks.push(block),
            (Some((indentation, mut block)), None) => {
                block.text.push_str(line.get(indentation..).unwrap_or_default());
                block.text.push('\n');
                open = Some((indentation, block));
            }
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", path.display());
    blocks
}

fn example_folders() -> Vec<PathBuf> {
    files_in(&root().join("deploy")).into_iter().filter(|path| path.is_dir()).collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
