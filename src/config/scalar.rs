//! Scalars of the configuration, and lists of them: checks the type, replaces `${…}`, calls a parser.

use std::borrow::Cow;
use std::time::Duration;

use crate::config::diagnostics::{Reported, Resolved};
use crate::config::document::{self, Node};
use crate::config::field::{Field, type_mismatch};
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, Type};
use crate::config::plain_secret;
use crate::config::problem::KeyPath;
use crate::config::suggest::{nearest, within as within_word};
use crate::config::units;
use crate::secret::Secret;

impl<'r> Field<'r> {
    /// Parses the value, or the default; `None` if there is neither.
    pub(super) fn optional<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Reported> {
        let Some(node) = self.value_node()? else { return Ok(None) };
        self.scalar(&node, self.kind, &self.path, &parse).map(Some)
    }

    /// Parses the value of a key that has a default or is required.
    pub(super) fn value<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<T, Reported> {
        self.optional(parse)?.ok_or_else(|| self.missing(None))
    }

    /// Parses every item of a list, or a single value in place of a list. A key that is no list has one value.
    pub(super) fn optional_list<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<Option<Vec<T>>, Reported> {
        let Some(node) = self.value_node()? else { return Ok(None) };
        let (kind, least) = self.kind.items().unwrap_or((self.kind, 0));
        let Node::List(items) = &*node else {
            if !self.kind.accepts(&node) {
                return Err(self.wrong_type(&node));
            }
            return Ok(Some(vec![self.scalar(&node, kind, &self.path, &parse)?]));
        };
        if self.kind.items().is_none() {
            return Err(self.wrong_type(&node));
        }
        if items.len() < least {
            return Err(self.empty());
        }
        let read = |(at, item)| self.scalar(item, kind, &self.path.item(at), &parse);
        // Read all items before the first error ends it, so that every error is reported.
        let items: Vec<Result<T, Reported>> = items.iter().enumerate().map(read).collect();
        items.into_iter().collect::<Result<Vec<T>, Reported>>().map(Some)
    }

    /// Parses a list that has a default.
    pub(super) fn list<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<Vec<T>, Reported> {
        self.optional_list(parse)?.ok_or_else(|| self.missing(None))
    }

    /// Returns the string as it is.
    pub(super) fn text(&self) -> Result<String, Reported> {
        self.value(some_text)
    }

    /// Returns the string as it is, or `None` if the key is not set.
    pub(super) fn optional_text(&self) -> Result<Option<String>, Reported> {
        self.optional(some_text)
    }

    /// Returns a secret, or `None` if the key is not set.
    pub(super) fn secret(&self) -> Result<Option<Secret>, Reported> {
        self.warn_of_literal(&self.path, self.node);
        let secret = self.optional(|text| some_text(self.tidied(text)).map(Secret::from))?;
        if secret.as_ref().is_some_and(|secret| plain_secret::is_sample(secret.expose())) {
            self.diagnostics.warning(&self.path, &plain_secret::sample());
        }
        Ok(secret)
    }

    /// Returns one secret or a list of them; none if the key is not set.
    pub(super) fn secrets(
        &self,
        parse: impl Fn(&str) -> Result<Secret, Invalid>,
    ) -> Result<Vec<Secret>, Reported> {
        match self.node {
            Some(Node::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.warn_of_literal(&self.path.item(at), Some(item));
                }
            }
            node => self.warn_of_literal(&self.path, node),
        }
        let secrets = self.optional_list(|text| parse(self.tidied(text)))?.unwrap_or_default();
        if secrets.iter().any(|secret| plain_secret::is_sample(secret.expose())) {
            self.diagnostics.warning(&self.path, &plain_secret::sample());
        }
        Ok(secrets)
    }

    pub(super) fn flag(&self) -> Result<bool, Reported> {
        let invalid = || Invalid::new("is not true or false");
        self.value(|text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(match other.to_ascii_lowercase().as_str() {
                "yes" | "on" | "true" | "y" | "1" => invalid().suggest("true"),
                "no" | "off" | "false" | "n" | "0" => invalid().suggest("false"),
                _ => invalid(),
            }),
        })
    }

    /// One of the words of a choice, converted by `of`.
    pub(super) fn choice<T>(&self, of: impl Fn(&str) -> Option<T>) -> Result<T, Reported> {
        self.value(|text| self.chosen(text, &of))
    }

    pub(super) fn optional_choice<T>(
        &self,
        of: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Reported> {
        self.optional(|text| self.chosen(text, &of))
    }

    pub(super) fn duration(&self) -> Result<Duration, Reported> {
        self.value(|text| self.duration_of(text))
    }

    pub(super) fn optional_duration(&self) -> Result<Option<Duration>, Reported> {
        self.optional(|text| self.duration_of(text))
    }

    pub(super) fn optional_size(&self) -> Result<Option<u64>, Reported> {
        self.optional(|text| self.number_of(text))
    }

    /// A number, or a size in bytes, that fits into `usize`.
    pub(super) fn count(&self) -> Result<usize, Reported> {
        self.optional_count()?.ok_or_else(|| self.missing(None))
    }

    pub(super) fn optional_count(&self) -> Result<Option<usize>, Reported> {
        self.optional(|text| {
            usize::try_from(self.number_of(text)?).map_err(|_| Invalid::new("is too large"))
        })
    }

    /// Returns a secret without a byte order mark. Warns about one that was probably copied with other characters.
    fn tidied<'t>(&self, text: &'t str) -> &'t str {
        for invalid in plain_secret::copied_with(text) {
            self.diagnostics.warning(&self.path, &invalid);
        }
        plain_secret::without_mark(text)
    }

    /// Warns about a secret in plain text: it is copied with the file into repositories, backups, chats.
    fn warn_of_literal(&self, path: &KeyPath, node: Option<&Node>) {
        let Some(Node::Text(text)) = node else { return };
        if let Some(invalid) = plain_secret::doubtful(text, |name| self.diagnostics.is_set(name)) {
            self.diagnostics.warning(path, &invalid);
        }
    }

    /// The value in the file, or the default.
    fn value_node(&self) -> Result<Option<Cow<'r, Node>>, Reported> {
        match (self.node, self.default) {
            (Some(Node::Null), _) => Err(self.empty()),
            (Some(node), _) => Ok(Some(Cow::Borrowed(node))),
            (None, DefaultValue::Is(yaml)) => Ok(document::parse(yaml).ok().map(Cow::Owned)),
            (None, DefaultValue::Unset(_)) => Ok(None),
            (None, DefaultValue::Required(example)) => Err(self.missing(Some(example))),
        }
    }

    fn scalar<T>(
        &self,
        node: &Node,
        kind: &Type,
        path: &KeyPath,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<T, Reported> {
        if !kind.accepts(node) {
            return Err(self.diagnostics.error(path, &type_mismatch(kind, node), None));
        }
        let resolved = match node {
            Node::Text(text) => self.diagnostics.resolve(path, text, kind)?,
            Node::Number(number) => Resolved { text: number.clone(), substituted: false },
            Node::Flag(flag) => Resolved { text: flag.to_string(), substituted: false },
            Node::Null | Node::List(_) | Node::Map(_) | Node::Tagged => {
                return Err(self.diagnostics.error(path, &type_mismatch(kind, node), None));
            }
        };
        // SECURITY: a message must not show a secret, nor a value that comes from the environment or another file.
        // The name of the file that a secret is read from is shown if it is written in the configuration.
        let named = !resolved.substituted && !has_password(&resolved.text);
        let shown = (named && !kind.is_secret()).then_some(resolved.text.as_str());
        parse(&resolved.text).map_err(|invalid| {
            let invalid = if named { invalid.with_file(shown) } else { invalid };
            self.diagnostics.error(path, &invalid, shown)
        })
    }

    fn chosen<T>(&self, text: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, Invalid> {
        of(text).ok_or_else(|| {
            let invalid = match self.kind.words() {
                [_] => Invalid::new("is not supported"),
                _ => Invalid::new(format!("is not {}", self.kind.describe())),
            };
            let words = self.kind.words().iter().copied();
            if let [only] = self.kind.words() {
                return invalid.hint(format!("write {only}, or remove the key"));
            }
            let lower = text.to_ascii_lowercase();
            match nearest(text, words.clone()).or_else(|| within_word(&lower, words)) {
                Some(word) => invalid.suggest(word),
                None => invalid,
            }
        })
    }

    fn duration_of(&self, text: &str) -> Result<Duration, Invalid> {
        let Type::Duration { least, most } = self.kind else { return units::duration(text) };
        // `0` or `0s` turns other programs' timeouts off.
        let is_zero = text == "0" || units::duration(text) == Ok(Duration::ZERO);
        if let (true, DefaultValue::Unset(without)) = (is_zero, self.default) {
            return Err(
                Invalid::new("is too short").hint(format!("leave it out [default: {without}]"))
            );
        }
        match (text.parse(), self.default) {
            (Ok(number), DefaultValue::Is(default)) => {
                Err(units::without_unit(number, default, *least, *most))
            }
            _ => units::within(units::duration(text)?, *least, *most, units::duration_text),
        }
    }

    fn number_of(&self, text: &str) -> Result<u64, Invalid> {
        if let Type::Size { least, most } = self.kind {
            return units::within(units::size(text)?, *least, *most, units::size_text);
        }
        let Type::Count { least, most } = self.kind else {
            return text.parse().map_err(|_| Invalid::new("is not a whole number"));
        };
        let invalid = |_| {
            let invalid = Invalid::new(format!("is not a whole number from {least} to {most}"));
            let digits: String =
                text.chars().filter(|c| !matches!(c, '_' | ',' | '\'' | ' ')).collect();
            match digits.parse::<u64>() {
                Ok(number) if (*least..=*most).contains(&number) => invalid.suggest(digits),
                Ok(_) | Err(_) => invalid,
            }
        };
        let number = text.parse().map_err(invalid)?;
        units::within(number, *least, *most, |number| number.to_string())
    }
}

/// Whether a text may be a URL with a password, `user:password@host`, with or without a scheme.
fn has_password(text: &str) -> bool {
    text.split_once('@').is_some_and(|(before, _)| before.contains(':'))
}

fn some_text(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new("is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new("contains a control character or a line break").hint(
            "check the end of the value: a block in `|` ends with a line break, write `|-` instead",
        ));
    }
    Ok(text.to_owned())
}
