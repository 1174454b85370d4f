//! `allowed_groups`, `allowed_emails` and `allowed_email_domains`: what an asker wants of the visitor
//! beside the route's rules, as oauth2-proxy has it.
//! Invariant: a parameter that could be meant to narrow, and cannot be understood, lets nobody pass.

use crate::endpoints::query::Query;
use crate::error::SubrequestError;
use crate::policy::Policy;
use crate::policy::rule::{EmailDomain, Rule};

/// The narrower rules of a query; `None` where it has none.
pub(super) fn of(query: &Query) -> Result<Option<Policy>, SubrequestError> {
    // SECURITY: `allowed_group` without its s must not mean everybody.
    if !query.names().any(|name| name.starts_with(PREFIX)) {
        return Ok(None);
    }
    if query.names().any(|name| name.starts_with(PREFIX) && !KNOWN.contains(&name)) {
        return Err(SubrequestError::Narrowing);
    }
    let domains = list(query, DOMAINS)?.map(|domains| {
        domains.iter().map(|domain| EmailDomain::parse(domain)).collect::<Result<Vec<_>, _>>()
    });
    let rule = Rule {
        groups: list(query, GROUPS)?,
        emails: list(query, EMAILS)?,
        email_domains: domains.transpose().map_err(|_| SubrequestError::Narrowing)?,
        ..Rule::default()
    };
    Ok(Some(Policy::Rules(vec![rule])))
}

/// The items of a parameter; it stands there once, or not at all.
fn list(query: &Query, name: &str) -> Result<Option<Vec<String>>, SubrequestError> {
    if !query.names().any(|known| known == name) {
        return Ok(None);
    }
    let text = query.one(name).ok_or(SubrequestError::Narrowing)?;
    let items: Vec<String> =
        text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect();
    if items.is_empty() { Err(SubrequestError::Narrowing) } else { Ok(Some(items)) }
}

const PREFIX: &str = "allowed_";
const GROUPS: &str = "allowed_groups";
const EMAILS: &str = "allowed_emails";
const DOMAINS: &str = "allowed_email_domains";
const KNOWN: [&str; 3] = [GROUPS, EMAILS, DOMAINS];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<Option<(usize, usize, usize)>, SubrequestError>) {
        let counts = of(&Query::parse(query)).map(|policy| match policy {
            None | Some(Policy::Public | Policy::Authenticated) => None,
            Some(Policy::Rules(rules)) => {
                let Rule { groups, emails, email_domains, .. } = &rules[0];
                let count = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
                Some((count(groups), count(emails), email_domains.as_ref().map_or(0, Vec::len)))
            }
        });
        assert_eq!(counts, expected, "{query}");
    }

    #[test]
    fn lists_are_read() {
        check("", Ok(None));
        check("x=y&rd=%2F", Ok(None));
        check("allowed_groups=a,b%2Cc,,d", Ok(Some((4, 0, 0))));
        check("allowed_emails=a@b.c&allowed_email_domains=b.c,*.d.e&x", Ok(Some((0, 1, 2))));
    }

    #[test]
    fn what_cannot_be_meant_lets_nobody_pass() {
        for query in [
            "allowed_groups=",
            "allowed_groups",
            "allowed_groups=,",
            "allowed_groups=a&allowed_emails=",
            "allowed_groups=a&allowed_groups=b",
            "allowed_group=a",
            "allowed_email_domains=@b.c",
            "allowed_email_domains=*",
        ] {
            check(query, Err(SubrequestError::Narrowing));
        }
    }
}
