//! `Identity` -> headers for upstreams, and the names of headers to remove from requests.
//! Invariant: a client's own header with one of these names never reaches an upstream, whether we set it or not.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::Identity;
use crate::identity::claims::ClaimPath;
use crate::secret::Secret;

/// A header that describes the user to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Its name.
    pub name: HeaderName,
    /// Its value, with placeholders.
    pub template: Template,
}

/// A header value with placeholders; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// `{user}`.
    User,
    /// `{subject}`.
    Subject,
    /// `{email}`.
    Email,
    /// `{groups}`, joined by commas; inside a group `%` is `%25` and a comma is `%2C`.
    Groups,
    /// `{name}`.
    Name,
    /// `{preferred_username}`.
    PreferredUsername,
    /// `{provider}`.
    Provider,
    /// `{access_token}`, only while it is valid.
    AccessToken,
    /// `{id_token}`.
    IdToken,
    /// `{claim:PATH}`; a list is joined like groups.
    Claim(ClaimPath),
}

/// The values of placeholders.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The user.
    pub identity: &'a Identity,
    /// The access token, valid or not: [`Rendered`] separates the headers that contain it.
    pub access_token: Option<&'a Secret>,
    /// The ID token, unchanged.
    pub id_token: Option<&'a Secret>,
}

/// The headers of one session by one set of rules: rendered once, sent with every request.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// Always sent.
    pub always: Vec<(HeaderName, HeaderValue)>,
    /// Sent only while the access token is valid.
    pub with_access_token: Vec<(HeaderName, HeaderValue)>,
    /// Names of headers that were left out because all together were too long.
    pub left_out: Vec<HeaderName>,
}

/// `X-Forwarded-User`, `-Email`, `-Groups` and `-Preferred-Username`.
pub fn default_rules() -> Vec<HeaderRule> {
    [
        ("x-forwarded-user", Piece::User),
        ("x-forwarded-email", Piece::Email),
        ("x-forwarded-groups", Piece::Groups),
        ("x-forwarded-preferred-username", Piece::PreferredUsername),
    ]
    .map(rule)
    .into()
}

/// `X-Forwarded-Provider`, the fifth default header if several providers are configured.
// SECURITY: the same `sub` or e-mail at another provider is another person, and without this header an
// upstream could not tell them apart.
pub fn provider_rule() -> HeaderRule {
    rule(("x-forwarded-provider", Piece::Provider))
}

/// `X-Auth-Request-User`, `-Email`, `-Groups` and `-Preferred-Username`: for answers to auth subrequests.
pub fn auth_request_rules() -> Vec<HeaderRule> {
    [
        ("x-auth-request-user", Piece::User),
        ("x-auth-request-email", Piece::Email),
        ("x-auth-request-groups", Piece::Groups),
        ("x-auth-request-preferred-username", Piece::PreferredUsername),
    ]
    .map(rule)
    .into()
}

fn rule((name, piece): (&'static str, Piece)) -> HeaderRule {
    HeaderRule { name: HeaderName::from_static(name), template: Template(vec![piece]) }
}

/// Renders headers with the values in `known`. A header with a placeholder that has no value is left out, and so is
/// the largest one while names and values have more than `most` bytes.
pub fn render(rules: &[HeaderRule], known: Known<'_>, most: usize) -> Rendered {
    let mut made: Vec<(&HeaderRule, HeaderValue)> =
        rules.iter().filter_map(|rule| Some((rule, rule.template.render(known)?))).collect();
    let mut left_out = Vec::new();
    let size = |(rule, value): &(&HeaderRule, HeaderValue)| rule.name.as_str().len() + value.len();
    while made.iter().map(size).sum::<usize>() > most {
        let Some(largest) = (0..made.len()).max_by_key(|at| made.get(*at).map(size)) else { break };
        left_out.push(made.swap_remove(largest).0.name.clone());
    }
    let (tokens, always): (Vec<_>, Vec<_>) =
        made.into_iter().partition(|(rule, _)| rule.template.uses_access_token());
    let own = |(rule, value): (&HeaderRule, HeaderValue)| (rule.name.clone(), value);
    Rendered {
        always: always.into_iter().map(own).collect(),
        with_access_token: tokens.into_iter().map(own).collect(),
        left_out,
    }
}

/// The headers of these rules that say nothing about a user. They are sent with every request.
pub fn constants(rules: &[HeaderRule]) -> Vec<(HeaderName, HeaderValue)> {
    let constant = |rule: &HeaderRule| Some((rule.name.clone(), rule.template.constant()?));
    rules.iter().filter_map(constant).collect()
}

/// An item of a list that is joined by commas.
// SECURITY: a comma inside an item would make two items, and an item `a%2Cb` would decode to `a,b`.
pub fn list_item(item: &str) -> String {
    item.replace('%', "%25").replace(',', "%2C")
}

impl Template {
    /// Parses a text with `{placeholders}`; `{{` and `}}` are braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("contains a control character".into());
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(from.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let inside = from
                .strip_prefix('{')
                .ok_or("has a `}` without a `{`; for a literal brace, write }}")?;
            let (name, after) = inside.split_once('}').ok_or("has a `{` without a `}`")?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::parse(name)?);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        if pieces.is_empty() {
            return Err("is empty".into());
        }
        Ok(Self(pieces))
    }

    /// Whether the value contains a token, with which its recipient can act as the user.
    pub fn uses_token(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::AccessToken | Piece::IdToken))
    }

    /// Whether the value contains the access token, so that it is not sent once that has expired.
    pub fn uses_access_token(&self) -> bool {
        self.0.contains(&Piece::AccessToken)
    }

    /// Whether the value contains the ID token.
    pub fn uses_id_token(&self) -> bool {
        self.0.contains(&Piece::IdToken)
    }

    /// The paths of the claims in the value.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.0
            .iter()
            .filter_map(|piece| if let Piece::Claim(path) = piece { Some(path) } else { None })
    }

    /// Whether the value depends on the user.
    pub fn describes_user(&self) -> bool {
        self.0.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// The value, if it has no placeholder.
    fn constant(&self) -> Option<HeaderValue> {
        let text =
            |piece: &Piece| if let Piece::Text(text) = piece { Some(text.clone()) } else { None };
        let text: String = self.0.iter().map(text).collect::<Option<_>>()?;
        HeaderValue::from_bytes(text.as_bytes()).ok()
    }

    /// Whether the value contains the user's provider.
    pub fn names_provider(&self) -> bool {
        self.0.contains(&Piece::Provider)
    }

    fn render(&self, known: Known<'_>) -> Option<HeaderValue> {
        let mut value = String::new();
        for piece in &self.0 {
            value.push_str(&piece.value(known)?);
        }
        // SECURITY: a claim with CR LF would become a second header; `from_bytes` rejects it.
        let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        value.set_sensitive(self.uses_token());
        Some(value)
    }
}

impl Piece {
    fn parse(name: &str) -> Result<Self, String> {
        if let Some(path) = name.strip_prefix("claim:") {
            return ClaimPath::parse(path)
                .map(Self::Claim)
                .map_err(|wrong| format!("{{claim:}} {wrong}"));
        }
        Ok(match name {
            "user" => Self::User,
            "subject" => Self::Subject,
            "email" => Self::Email,
            "groups" => Self::Groups,
            "name" => Self::Name,
            "preferred_username" => Self::PreferredUsername,
            "provider" => Self::Provider,
            "access_token" => Self::AccessToken,
            "id_token" => Self::IdToken,
            _ => {
                return Err(format!(
                    "has an unknown placeholder; the placeholders are {PLACEHOLDERS}"
                ));
            }
        })
    }

    fn value(&self, known: Known<'_>) -> Option<String> {
        let identity = known.identity;
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::User => identity.user.as_deref().map(str::to_owned),
            Self::Subject => Some(identity.subject.to_string()),
            Self::Email => identity.email.clone(),
            Self::Groups => joined(identity.groups()),
            Self::Name => identity.name.clone(),
            Self::PreferredUsername => identity.preferred_username.clone(),
            Self::Provider => Some(identity.provider.to_string()),
            Self::AccessToken => known.access_token.map(|token| token.expose().to_owned()),
            Self::IdToken => known.id_token.map(|token| token.expose().to_owned()),
            Self::Claim(path) => {
                let claim = identity.claims.find(path)?;
                if claim.is_list() {
                    joined(claim.texts())
                } else {
                    claim.texts().next().map(Cow::into_owned)
                }
            }
        }
    }
}

/// Names of identity headers, removed from every request. They are compared with every character but letters and
/// digits folded to `-`, because many servers fold them to `_`.
#[derive(Clone, Debug)]
pub struct IdentityHeaderNames {
    /// Folded.
    names: Vec<String>,
    /// Prefixes of families of names.
    families: Vec<&'static str>,
    /// One bit for each first byte of them. Most names in requests begin with another byte.
    firsts: u128,
}

impl IdentityHeaderNames {
    /// These names, the defaults, and those that only a gateway sets. `Authorization` is not one of them: a client's
    /// own is forwarded on routes that do not set it.
    pub fn new<'n>(configured: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        let configured = configured.into_iter().filter(|name| *name != AUTHORIZATION);
        let configured =
            configured.map(|name| name.as_str().bytes().map(fold).map(char::from).collect());
        let defaults = default_rules().into_iter().chain([provider_rule()]);
        let defaults = defaults.map(|rule| rule.name.to_string());
        let names = configured.chain(defaults).chain(["x-forwarded-access-token".to_owned()]);
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names.dedup();
        // SECURITY: if the gateway sets `Impersonate-User`, with a token that may impersonate, a client must not add
        // `Impersonate-Group: system:masters` (Kubernetes).
        let impersonates = names.iter().any(|name| name.starts_with(IMPERSONATE));
        let families = [AUTH_REQUEST].into_iter().chain(impersonates.then_some(IMPERSONATE));
        let families: Vec<&str> = families.collect();
        let begins = names.iter().map(String::as_str).chain(families.iter().copied());
        let firsts = begins.fold(0, |firsts, name| firsts | first(name));
        Self { names, families, firsts }
    }

    /// Removes headers with these names.
    // SECURITY: removed even if we set none, because a client could send its own.
    pub fn strip(&self, headers: &mut HeaderMap) {
        let forged: Vec<HeaderName> =
            headers.keys().filter(|name| self.contains(name.as_str())).cloned().collect();
        for name in forged {
            headers.remove(name);
        }
    }

    /// Whether a name is one of them, in any spelling.
    pub fn contains(&self, name: &str) -> bool {
        let same = |known: &str, name: &str| {
            known.len() == name.len() && name.bytes().map(fold).eq(known.bytes())
        };
        let is_below = |family: &str| name.get(..family.len()).is_some_and(|it| same(family, it));
        self.firsts & first(name) != 0
            && (self.names.iter().any(|known| same(known, name))
                || self.families.iter().any(|family| is_below(family)))
    }
}

/// Whether two names are spellings of one.
pub fn is_spelling_of(name: &str, other: &str) -> bool {
    name.len() == other.len() && name.bytes().map(fold).eq(other.bytes().map(fold))
}

/// Whether a name, in any spelling, is one with which a Kubernetes client acts as another user.
pub fn is_impersonation(name: &str) -> bool {
    name.get(..IMPERSONATE.len()).is_some_and(|begin| is_spelling_of(begin, IMPERSONATE))
}

/// The bit of a name's first byte, folded.
fn first(name: &str) -> u128 {
    name.bytes().next().map_or(0, |byte| 1 << (fold(byte) & 0x7f))
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// A list as one text. The recipient splits it at commas and percent-decodes each item.
fn joined<'i>(items: impl Iterator<Item = Cow<'i, str>>) -> Option<String> {
    let escaped: Vec<String> = items.map(|item| list_item(&item)).collect();
    (!escaped.is_empty()).then(|| escaped.join(","))
}

const AUTH_REQUEST: &str = "x-auth-request-";
const IMPERSONATE: &str = "impersonate-";
const PLACEHOLDERS: &str = "{user} {subject} {email} {groups} {name} {preferred_username} {provider} \
                            {access_token} {id_token} {claim:NAME}";

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::identity::tests::person;

    pub(in crate::identity) fn alice() -> Identity {
        let claims = json!({"groups": ["staff", "a,b", "50%2C"], "n": 1, "yes": true, "list": ["x", 2, "a,b%2C"],
                            "one": ["100%"], "text": "Doe, J. 100%", "o": {}, "none": []});
        Identity {
            email: Some("alice@example.com".into()),
            name: Some("Älice".into()),
            claims: claims.as_object().unwrap().clone().into(),
            ..person("1")
        }
    }

    #[track_caller]
    fn check(template: &str, expected: Option<&str>) {
        let token = Secret::new("at");
        let identity = alice();
        let known = Known { identity: &identity, access_token: Some(&token), id_token: None };
        let value = Template::parse(template).unwrap().render(known);
        let value = value.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap());
        assert_eq!(value.as_deref(), expected, "{template}");
    }

    #[test]
    fn placeholders_are_replaced() {
        check("{user}", Some("1"));
        check("Bearer {access_token}", Some("Bearer at"));
        check("{groups}", Some("staff,a%2Cb,50%252C"));
        check("{name}", Some("Älice"));
        check("{{{provider}}}", Some("{company}"));
        check("{claim:/list}|{claim:n}|{claim:yes}", Some("x,2,a%2Cb%252C|1|true"));
        check("{claim:one}|{claim:/one/0}|{claim:text}", Some("100%25|100%|Doe, J. 100%"));
    }

    proptest! {
        #[test]
        fn joined_list_splits_and_decodes_to_the_same_items(items in vec("[a,%2C5]{0,6}", 1..5)) {
            let text = joined(items.iter().map(Cow::from)).unwrap();
            let decoded = text.split(',').map(|item| item.replace("%2C", ",").replace("%25", "%"));
            prop_assert_eq!(decoded.collect::<Vec<_>>(), items);
        }
    }

    #[test]
    fn template_with_an_absent_value_renders_nothing() {
        check("{preferred_username}", None);
        check("{id_token}", None);
        check("x {claim:o}", None);
        check("{claim:none}", None);
        check("{claim:absent}", None);
    }

    #[test]
    fn invalid_templates_are_rejected() {
        for wrong in ["", "{unknown}", "{user", "user}", "{claim:}", "a\nb"] {
            assert!(Template::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn largest_header_over_the_limit_is_left_out() {
        let claims = json!({"groups": ["g".repeat(9000)]}).as_object().unwrap().clone().into();
        let identity = Identity { claims, ..alice() };
        let known = Known { identity: &identity, access_token: None, id_token: None };
        let rendered = render(&default_rules(), known, 8 * 1024);
        assert_eq!(rendered.left_out, [HeaderName::from_static("x-forwarded-groups")]);
        assert_eq!(rendered.always.len(), 2);
    }

    #[test]
    fn identity_header_names_are_matched_in_every_spelling() {
        let stripped = IdentityHeaderNames::new(&[]);
        for name in
            ["x-forwarded-user", "X_Forwarded_User", "x.forwarded-email", "x-auth-request-x"]
        {
            assert!(stripped.contains(name), "{name}");
        }
        assert!(!stripped.contains("x-forwarded-users"));
        assert!(!stripped.contains("impersonate-group"));
        let user = Template::parse("{email}").unwrap();
        let user = HeaderRule { name: HeaderName::from_static("impersonate-user"), template: user };
        for name in ["impersonate-user", "Impersonate-Group", "impersonate_extra-scopes"] {
            assert!(IdentityHeaderNames::new([&user.name]).contains(name), "{name}");
        }
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-user", HeaderValue::from_static("admin"));
        headers.append("x-forwarded-user", HeaderValue::from_static("root"));
        headers.append("accept", HeaderValue::from_static("*/*"));
        stripped.strip(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
