//! Line number of a key. The tree has no line numbers, and the parser reports lines in errors only. So the text is
//! parsed again down to the key, and fails there on purpose.

use std::cell::OnceCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::config::document::Node;
use crate::config::problem::{KeyPath, Step};

/// Finds lines in one file.
pub(super) struct LineFinder<'t> {
    text: &'t str,
    root: &'t Node,
    /// Those of the items of `routes`, if they can be seen without a parser.
    routes: OnceCell<Option<Vec<usize>>>,
}

impl<'t> LineFinder<'t> {
    pub(super) fn new(text: &'t str, root: &'t Node) -> Self {
        Self { text, root, routes: OnceCell::new() }
    }

    /// Returns the line of a key or a list item, as [`line_of`].
    pub(super) fn of(&self, path: &KeyPath) -> Option<usize> {
        // Each call of `line_of` parses the file, so thousands of problems would take minutes.
        if let [Step::Key(name), Step::Item(at)] = path.steps()
            && name == ROUTES
            && let Some(lines) = self.routes.get_or_init(|| self.items(ROUTES))
        {
            return lines.get(*at).copied();
        }
        line_of(self.text, self.root, path)
    }

    /// Returns the lines of all items of a list, if each begins with `- ` at the same indentation.
    fn items(&self, name: &str) -> Option<Vec<usize>> {
        let list = KeyPath::default().key(name);
        let Node::List(items) = into(self.root, &Step::Key(name.to_owned()))? else { return None };
        let first = line_of(self.text, self.root, &list.item(0))?;
        let last = line_of(self.text, self.root, &list.item(items.len().checked_sub(1)?))?;
        let indentation = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let lines = || self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let (_, first_line) = lines().nth(first.checked_sub(1)?)?;
        let is_item = |line: &str| {
            let begins = line.trim_start_matches(' ').starts_with("- ");
            begins && indentation(line) == indentation(first_line)
        };
        let within = lines().filter(|(at, _)| (first..=last).contains(at));
        let found: Vec<_> = within.filter(|(_, line)| is_item(line)).map(|(at, _)| at).collect();
        let is_complete = found.len() == items.len() && found.last() == Some(&last);
        is_complete.then_some(found)
    }
}

const ROUTES: &str = "routes";

/// Returns the line, from 1, of a key or a list item. For a key that is not set, it is the line of the nearest
/// key around it.
pub(super) fn line_of(text: &str, root: &Node, path: &KeyPath) -> Option<usize> {
    let steps = path.steps();
    let steps = steps.get(..written(root, steps)).unwrap_or_default();
    if steps.is_empty() {
        return Some(1);
    }
    let error = Walk(steps).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.location().map(|location| location.line())
}

/// Counts the steps that exist in the tree.
fn written(root: &Node, steps: &[Step]) -> usize {
    let mut node = Some(root);
    let found = steps.iter().take_while(|step| {
        node = node.and_then(|node| into(node, step));
        node.is_some()
    });
    found.count()
}

fn into<'n>(node: &'n Node, step: &Step) -> Option<&'n Node> {
    match (node, step) {
        (Node::Map(entries), Step::Key(name) | Step::Again(name)) => {
            entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
        }
        (Node::List(items), Step::Item(index)) => items.get(*index),
        (
            Node::Null
            | Node::Flag(_)
            | Node::Number(_)
            | Node::Text(_)
            | Node::List(_)
            | Node::Map(_)
            | Node::Tagged,
            Step::Key(_) | Step::Again(_) | Step::Item(_),
        ) => None,
    }
}

/// Follows these steps and fails at the last one.
struct Walk<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path to a key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(name) | Step::Again(name), rest)) = self.0.split_first() else {
            return Err(de::Error::custom("here"));
        };
        let mut passed_by = matches!(self.0.first(), Some(Step::Key(_)));
        let last = rest.is_empty();
        while let Some(is_it) = map.next_key_seed(KeyNamed { name, fail: last && passed_by })? {
            if is_it && !last {
                return map.next_value_seed(Walk(rest));
            }
            passed_by |= is_it;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Item(index), rest)) = self.0.split_first() else {
            return Err(de::Error::custom("here"));
        };
        for _ in 0..*index {
            list.next_element::<IgnoredAny>()?;
        }
        // Without a step left, every visit of the item fails, and the error is at the item.
        list.next_element_seed(Walk(rest)).map(drop)
    }
}

/// A key: whether it has this name; or, where the way ends here, an error if it does.
struct KeyNamed<'p> {
    name: &'p str,
    fail: bool,
}

impl<'de> DeserializeSeed<'de> for KeyNamed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyNamed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        match key == self.name {
            true if self.fail => Err(E::custom("here")),
            is_it => Ok(is_it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::parse;

    const TEXT: &str = "\
# a comment
server:
  public_url: https://a
routes:
  - path: /a

    allow: [public,
            other]
  - path: /b
    allow: &all
      - users: [x]
  - allow: *all
server: {}
text: |
  one
  two
last: 1
";

    #[track_caller]
    fn check(path: KeyPath, expected: usize) {
        let root = parse(TEXT).unwrap();
        assert_eq!(line_of(TEXT, &root, &path), Some(expected), "{path}");
    }

    #[test]
    fn keys_and_items_have_lines() {
        let (root, routes) = (KeyPath::default(), KeyPath::default().key("routes"));
        check(root.clone(), 1);
        check(root.key("server"), 2);
        check(root.again("server"), 13);
        check(root.key("server").key("public_url"), 3);
        check(root.key("last"), 17);
        check(routes.item(0), 5);
        check(routes.item(0).key("allow"), 7);
        check(routes.item(0).key("allow").item(1), 8);
        check(routes.item(1).key("allow").item(0).key("users"), 11);
    }

    #[test]
    fn key_that_is_not_set_has_the_line_of_its_section() {
        check(KeyPath::default().key("pages"), 1);
        check(KeyPath::default().key("server").key("listen"), 2);
        check(KeyPath::default().key("routes").item(1).key("upstream").key("x"), 9);
    }

    #[test]
    fn items_of_routes_have_the_same_lines_without_a_parser() {
        let check = |text: &str, is_seen: bool| {
            let root = parse(text).unwrap();
            let lines = LineFinder::new(text, &root);
            let Some(Node::List(items)) = into(&root, &Step::Key(ROUTES.to_owned())) else {
                panic!("{text}")
            };
            for at in 0..items.len() {
                let path = KeyPath::default().key(ROUTES).item(at);
                assert_eq!(lines.of(&path), line_of(text, &root, &path), "{text} {at}");
            }
            assert_eq!(lines.items(ROUTES).is_some(), is_seen, "{text}");
        };
        check("a: 1\nroutes:\n- x: 1\n  y:\n  - z\n# - b\n- x: 2\n", true);
        check("routes:\n  - x: |\n      - y\n\n  - { x: 2,\n      y: 3 }\n  - x\nb: [1]\n", true);
        check("routes: [{ x: 1 }, { x: 2 },\n  { x: 3 }]\n", false);
        check("routes:\n  -\n    x: 1\n  - x: 2\n", false);
    }
}
