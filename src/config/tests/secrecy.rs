//! No message shows a value from `${…}`: a recognizable value is put in each place of the full file, in the forms that
//! parsers look for, and must not be in any message.

use super::*;
use crate::config::diagnostics::Diagnostics;
use crate::config::document::{Node, parse};
use crate::config::read_tree;
use crate::config::tests::full_file::with_every_key;

/// A text that can be found in a message, even if a parser changed the value.
const CANARY: &str = "c4n4ry";

/// Values that are invalid or suspicious in most places, each for another reason.
const SHAPES: [&str; 14] = [
    "c4n4ry",
    "C4n4ry",
    "c4n4ry:1",
    "c4n4ry://c4n4ry",
    "u:c4n4ry@http://c4n4ry",
    "http://c4n4ry/c4n4ry",
    "https://c4n4ry.example",
    "c4n4ry.example",
    ".c4n4ry.example",
    "/run/c4n4ry.svg",
    "^/c4n4ry/",
    "/oauth2/c4n4ry",
    "c4n4ry@c4n4ry.example",
    "12c4n4ry",
];

/// Addresses contain no letters.
const NETWORK: (&str, &str) = ("10.251.252.253/8", "251.252");

#[test]
fn substituted_value_is_in_no_message() {
    let shapes = SHAPES.iter().copied().chain([NETWORK.0]).enumerate();
    let variables = shapes.map(|(at, shape)| (format!("X{at}"), shape.to_owned()));
    let variables: Vec<_> = variables.collect();
    let source = source_with("a.yaml", "", variables.clone());
    let root = parse(&with_every_key(&read("config/full.yaml"))).unwrap();
    let places = leaves_mut(&mut root.clone()).len();
    assert!(places > 90, "{places}");
    let mut findings = 0;
    for place in 0..places {
        for (name, shape) in &variables {
            let mut root = root.clone();
            let reference = Node::Text(format!("${{{name}}}"));
            *leaves_mut(&mut root).into_iter().nth(place).unwrap() = reference;
            for message in messages_of(&root, &source) {
                findings += 1;
                let hidden =
                    !message.to_lowercase().contains(CANARY) && !message.contains(NETWORK.1);
                assert!(hidden, "{shape}: {message}");
            }
        }
    }
    assert!(findings > 500, "{findings}");
}

/// Returns all errors and warnings.
fn messages_of(root: &Node, source: &HostEnv) -> Vec<String> {
    let diagnostics = Diagnostics::new(source, Path::new(""));
    let problems = match read_tree(root, diagnostics, |_| ("a.yaml".into(), None)) {
        Ok((_, warnings)) => warnings,
        Err(Problems(problems)) => problems,
    };
    problems.iter().map(|problem| problem.to_string()).collect()
}

/// Returns all scalars.
fn leaves_mut(node: &mut Node) -> Vec<&mut Node> {
    match node {
        Node::List(items) => items.iter_mut().flat_map(leaves_mut).collect(),
        Node::Map(entries) => entries.iter_mut().flat_map(|(_, node)| leaves_mut(node)).collect(),
        Node::Null | Node::Flag(_) | Node::Number(_) | Node::Text(_) | Node::Tagged => vec![node],
    }
}

#[test]
fn password_before_a_scheme_is_in_no_message() {
    let text = "server: { public_url: https://a.example }\n\
                providers: { company: { issuer: https://id.example, client_id: a, \
                client_secret: \"${CLIENT_SECRET}\", proxy: \"us:hunter2@http://proxy.example\" } }\n\
                routes: [{ upstream: http://a:1, allow: authenticated }]\n";
    let Problems(problems) = load(Path::new("a.yaml"), &source("a.yaml", text)).unwrap_err();
    let message = problems[0].to_string();
    assert!(message.contains("unsupported scheme") && !message.contains("hunter2"), "{message}");
}
