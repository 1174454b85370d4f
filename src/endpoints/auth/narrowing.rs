//! `allowed_groups`, `allowed_emails` and `allowed_email_domains` in the query of an auth subrequest: rules in
//! addition to the route's, with the names of oauth2-proxy.
//! Invariant: a parameter that seems to narrow the rules, and is not valid, denies every request.

use crate::endpoints::query::Query;
use crate::error::SubrequestError;
use crate::policy::Policy;
use crate::policy::rule::{EmailDomain, Rule};

/// The rules of a query; `None` if it has none.
pub(super) fn of(query: &Query) -> Result<Option<Policy>, SubrequestError> {
    // SECURITY: `allowed_group` without its s must not allow every user.
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

/// The items of a parameter; `None` if it is absent.
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
    fn every_list_is_read() {
        check("", Ok(None));
        check("x=y&rd=%2F", Ok(None));
        check("allowed_groups=a,b%2Cc,,d", Ok(Some((4, 0, 0))));
        check("allowed_emails=a@b.c&allowed_email_domains=b.c,*.d.e&x", Ok(Some((0, 1, 2))));
    }

    #[test]
    fn parameter_that_is_empty_repeated_or_unknown_is_rejected() {
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
