//! Listen addresses in the environment, which override those of a file. So an image can have a file, and the place where
//! it runs the addresses.

use crate::config::document::Node;
use crate::config::host_env::HostEnv;
use crate::config::problem::KeyPath;

/// Section and key of a file, and the variable that overrides it.
pub(super) const OVERRIDES: [(&str, &str, &str); 2] =
    [("server", "listen", "PORTCULLIS_LISTEN"), ("admin", "listen", "PORTCULLIS_ADMIN_LISTEN")];

/// Returns the tree of a file with the listen addresses of the environment in it; `None` if none is set.
pub(super) fn overridden(root: &Node, source: &HostEnv) -> Option<Node> {
    let mut root = root.clone();
    let mut is_changed = false;
    for (section, key, variable) in OVERRIDES {
        let set = source.variable(variable).filter(|address| !address.is_empty());
        if let Some(address) = set {
            is_changed |= replace(&mut root, section, key, Node::Text(address.replace('$', "$$")));
        }
    }
    is_changed.then_some(root)
}

/// Returns the variable that overrides a key of a file, if it is set.
pub(super) fn override_of(path: &KeyPath, source: &HostEnv) -> Option<&'static str> {
    let (_, _, variable) = OVERRIDES.into_iter().find(|(section, key, _)| match path.steps() {
        [first, second, ..] => first.is_key(section) && second.is_key(key),
        [_] | [] => false,
    })?;
    source.variable(variable).filter(|address| !address.is_empty()).map(|_| variable)
}

/// Sets a key of a section. False if the section is no mapping, which has its own error.
fn replace(root: &mut Node, section: &str, key: &str, value: Node) -> bool {
    let Node::Map(sections) = root else { return false };
    let at = sections.iter().position(|(name, _)| name == section);
    let at = at.unwrap_or_else(|| {
        sections.push((section.to_owned(), Node::Null));
        sections.len() - 1
    });
    let Some((_, node)) = sections.get_mut(at) else { return false };
    if *node == Node::Null {
        *node = Node::Map(Vec::new());
    }
    let Node::Map(entries) = node else { return false };
    entries.retain(|(name, _)| name != key);
    entries.push((key.to_owned(), value));
    true
}
