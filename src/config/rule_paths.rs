//! Paths in rules and routes: prefixes (`paths`, `path`) and whole paths (`exact_paths`).

use crate::config::invalid::Invalid;
use crate::routing::exact_path::ExactPath;
use crate::routing::path::PathPrefix;

/// Parses a path prefix of a rule or of a route.
pub(super) fn path(text: &str) -> Result<PathPrefix, Invalid> {
    PathPrefix::parse(text).map_err(|what| {
        if let Some((_, rest)) = text.split_once("://").filter(|_| !text.starts_with('/')) {
            let invalid = Invalid::new("is a URL, but must be a path");
            return invalid.suggest(rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
        }
        if let Some(expression) = text.strip_prefix('^') {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
            let end = expression.find(|c| !plain(c)).unwrap_or(expression.len());
            let meant = expression.get(..end).unwrap_or_default();
            let invalid = Invalid::new("is a regular expression, but must be a path prefix");
            return if meant.starts_with('/') { invalid.suggest(meant) } else { invalid };
        }
        match text.starts_with('/') {
            true if text.ends_with("/*") => {
                Invalid::new(what).suggest(text.trim_end_matches("/*").to_owned() + "/")
            }
            true => what.into(),
            false => Invalid::new(what).suggest(format!("/{}", text.trim_end_matches("/*"))),
        }
    })
}

/// Parses a path of a rule that is compared as a whole.
pub(super) fn exact_path(text: &str) -> Result<ExactPath, Invalid> {
    if text.ends_with('*') {
        return Err(Invalid::new("ends with *, but must be one path")
            .hint("write a prefix in `paths` for everything at and below it"));
    }
    let expression = text.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    if let Some(expression) = expression {
        let invalid = Invalid::new("is a regular expression, but must be one path");
        let meant = expression.replace("\\.", ".");
        return Err(if ExactPath::parse(&meant).is_ok() && !meant.contains(META) {
            invalid.suggest(meant)
        } else {
            invalid
        });
    }
    path(text)?;
    Ok(ExactPath::parse(text)?)
}

/// Characters that have another meaning in a regular expression than in a path.
const META: [char; 12] = ['\\', '*', '(', ')', '[', ']', '{', '}', '|', '+', '?', '^'];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, suggestion: Option<&str>) {
        assert_eq!(exact_path(text).unwrap_err().suggestion(), suggestion, "{text}");
    }

    #[test]
    fn exact_path_suggests_what_a_regular_expression_means() {
        check("^/manifest\\.json$", Some("/manifest.json"));
        check("^/health$", Some("/health"));
        check("^/a.*$", None);
        check("^/(a|b)$", None);
        check("/a/*", None);
        check("health", Some("/health"));
        assert_eq!(exact_path("/manifest.json").unwrap().to_string(), "/manifest.json");
    }
}
