//! E-mail addresses of rules: `emails`, and `emails_file`, which names a file with one a line.
//! Invariant: a line of the file is an address, empty, or a comment that begins with `#`; anything else is an error, so that a
//! misspelt address is noticed. No line is shown in a message: the file may be a list of people.

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::policy::rule::EmailList;

/// Parses an e-mail address.
pub(super) fn email(text: &str) -> Result<String, Invalid> {
    let mut parts = text.split('@');
    let (local, domain) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if parts.next().is_some() {
        return Err("is not an e-mail address: it contains more than one @".into());
    }
    if local.is_empty() && !domain.is_empty() {
        return Err(Invalid::new("is not an e-mail address")
            .hint("to allow a whole domain, use `email_domains`"));
    }
    if domain.is_empty() || text.contains('*') || text.contains(char::is_whitespace) {
        return Err(Invalid::new("is not an e-mail address")
            .hint("write an address such as ada@example.com; to allow a whole domain, use `email_domains`"));
    }
    Ok(text.to_ascii_lowercase())
}

/// Reads the file that a key names.
pub(super) fn emails_file(field: &Field<'_>) -> Result<Option<EmailList>, Reported> {
    let addresses = field.optional(|name| {
        if name.trim().is_empty() {
            return Err("is empty".into());
        }
        addresses(&field.diagnostics.file(name)?)
    })?;
    if addresses.as_ref().is_some_and(Vec::is_empty) {
        let invalid = Invalid::new("names a file without an address: the rule never matches")
            .hint("write one address a line");
        field.diagnostics.warning(&field.path, &invalid);
    }
    Ok(addresses.map(EmailList::new))
}

fn addresses(bytes: &[u8]) -> Result<Vec<String>, Invalid> {
    let text = std::str::from_utf8(bytes).map_err(|_| "names a file that is not UTF-8 text")?;
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut addresses = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        match email(line) {
            Ok(address) => addresses.push(address),
            Err(invalid) => {
                let what = format!("names a file whose line {} {}", at + 1, invalid.what);
                return Err(Invalid::new(what).hint(LINES));
            }
        }
    }
    Ok(addresses)
}

/// The line without a comment, which begins with a `#` at the start of the line or after a blank: an address may
/// contain a `#`.
fn without_comment(line: &str) -> &str {
    let begins =
        |at: usize| line.get(..at).is_none_or(|it| it.is_empty() || it.ends_with([' ', '\t']));
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| begins(*at));
    comment.and_then(|at| line.get(..at)).unwrap_or(line)
}

const LINES: &str =
    "write one address a line; `#` begins a comment. To allow a whole domain, use `email_domains`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_address_has_one_at_sign() {
        assert_eq!(email("Ada@Example.com").unwrap(), "ada@example.com");
        assert_eq!(email("\u{212a}@a.example").unwrap(), "\u{212a}@a.example");
        for invalid in
            ["", "ada", "@example.com", "ada@", "a@evil.example@example.com", "*@a.example"]
        {
            assert!(email(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn file_has_one_address_a_line_and_comments() {
        let text = "\u{feff}# staff\nAda@Example.com\r\n\n  bob@example.com\t# Bob, since May\n#eve@example.com\na#b@example.com";
        let expected = ["ada@example.com", "bob@example.com", "a#b@example.com"];
        assert_eq!(addresses(text.as_bytes()).unwrap(), expected);
        assert_eq!(addresses(b"# none\n\n").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn line_that_is_no_address_is_an_error_that_names_only_its_number() {
        for line in ["ada", "*", "@example.com", "ada@example.com, bob@example.com", "ada@b ada@c"]
        {
            let error = addresses(format!("# x\n{line}\n").as_bytes()).unwrap_err();
            let what = error.what;
            assert!(
                what.starts_with("names a file whose line 2 is not an e-mail"),
                "{line}: {what}"
            );
            assert!(!what.contains("ada"), "{what}");
        }
    }
}
