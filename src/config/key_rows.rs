//! List of all configuration keys with their paths, for hints and tests.

use crate::config::key_spec::{KeySpec, Type};

/// A key with its path: `routes[].upstream`, `providers.ID.issuer`.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) parent: String,
    pub(super) key: &'static KeySpec,
}

/// Returns these keys and all keys below them, parents first.
pub(super) fn rows(keys: &'static [KeySpec]) -> Vec<KeyRow> {
    let mut rows = Vec::new();
    add_rows(keys, "", &mut rows);
    rows
}

fn add_rows(keys: &'static [KeySpec], parent: &str, rows: &mut Vec<KeyRow>) {
    for key in keys {
        rows.push(KeyRow { parent: parent.to_owned(), key });
        let dot = if parent.is_empty() { "" } else { "." };
        add_rows_within(&key.kind, format!("{parent}{dot}{}", key.name), rows);
    }
}

fn add_rows_within(kind: &'static Type, path: String, rows: &mut Vec<KeyRow>) {
    match kind {
        Type::Section(keys) => add_rows(keys, &path, rows),
        Type::List { of, .. } => add_rows_within(of, format!("{path}[]"), rows),
        Type::OneOrMore(of) => add_rows_within(of, path, rows),
        Type::Map(of) => add_rows_within(of, format!("{path}.ID"), rows),
        Type::Either(kinds) => kinds.iter().for_each(|k| add_rows_within(k, path.clone(), rows)),
        Type::Text
        | Type::Scalar
        | Type::Secret
        | Type::Pem
        | Type::Flag
        | Type::Count { .. }
        | Type::Size { .. }
        | Type::Duration { .. }
        | Type::Choice(_)
        | Type::Texts(_) => {}
    }
}

impl KeyRow {
    /// Whether the name is a common word that has another meaning in other sections: `token`, `name`.
    pub(super) fn is_everyday(&self) -> bool {
        self.parent.ends_with(".endpoints") || self.parent.ends_with(".claims")
    }

    /// `routes[].upstream`.
    pub(super) fn path(&self) -> String {
        let dot = if self.parent.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.parent, self.key.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ROOT;

    #[test]
    fn path_of_a_key_is_unique() {
        let mut paths: Vec<String> = rows(ROOT).iter().map(KeyRow::path).collect();
        let all = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), all);
        assert!(paths.contains(&"routes[].allow[].emails".to_owned()), "{paths:?}");
        assert!(paths.contains(&"providers.ID.endpoints.jwks".to_owned()), "{paths:?}");
    }

    #[test]
    fn every_key_has_a_description() {
        for row in rows(ROOT) {
            assert!(row.key.about.ends_with('.'), "{}", row.path());
        }
    }
}
