//! Values of flags: their lists, and the nodes of the tree that a file would give.

use crate::config::document::Node;

/// Returns a mapping of the keys that have a value.
pub(super) fn map<const N: usize>(entries: [(&str, Option<Node>); N]) -> Node {
    let given = entries.into_iter().filter_map(|(key, node)| Some((key.to_owned(), node?)));
    Node::Map(given.collect())
}

/// Returns such a mapping, if a key has a value.
pub(super) fn some_map<const N: usize>(entries: [(&str, Option<Node>); N]) -> Option<Node> {
    entries.iter().any(|(_, node)| node.is_some()).then(|| map(entries))
}

pub(super) fn text(value: &Option<String>) -> Option<Node> {
    value.as_deref().map(plain)
}

/// Returns a string in which `$` has no special meaning: the shell has replaced its variables already.
pub(super) fn plain(text: &str) -> Node {
    Node::Text(text.replace('$', "$$"))
}

pub(super) fn list(values: &[String]) -> Option<Node> {
    let nodes = || values.iter().map(|value| plain(value)).collect();
    (!values.is_empty()).then(|| Node::List(nodes()))
}

pub(super) fn host(issuer: &str) -> Option<&str> {
    let (_, rest) = issuer.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

/// Returns the items of a list as one text, if there are any.
pub(super) fn some(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| list.join(","))
}

/// Returns the items of a list, to compare lists. A group with a space becomes two of them.
pub(super) fn items(text: &str) -> Vec<&str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty()).collect()
}
