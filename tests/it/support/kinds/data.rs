//! The form of a data file. In every text, `{origin}` is the origin of the engine, and these are values of the
//! sign-in: `{client_id}`, `{nonce}`, `{now}`, `{exp}`, `{access_token}`, `{refresh_token}`, `{id_token}`, `{at_hash}`,
//! `{scope}`, and `{100 groups}` is a list. A text that is nothing else than one of them becomes that value; a member whose value does not exist is
//! left out. Braces around other names stay.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    /// Where these shapes are documented.
    pub(super) source: String,
    /// The path of the discovery document, and the document.
    #[serde(default)]
    pub(super) discovery: Option<Document>,
    /// The path of the key set.
    #[serde(default)]
    pub(super) jwks: Option<String>,
    pub(super) authorization: Authorization,
    pub(super) token: Token,
    /// The claims of an ID token. Without them, none is issued.
    #[serde(default)]
    pub(super) id_token: Option<Map<String, Value>>,
    /// The claims of an access token that is a JWT.
    #[serde(default)]
    pub(super) access_token: Option<Map<String, Value>>,
    /// Its API, userinfo included, by method and path: `GET /user`.
    #[serde(default)]
    pub(super) apis: BTreeMap<String, Api>,
    #[serde(default)]
    pub(super) end_session: Option<EndSession>,
    #[serde(default)]
    pub(super) revocation: Option<Revocation>,
    /// Answers with an error, by name: `invalid_client`, `invalid_grant`, `refresh_refused`, `unauthorized`, `limited`
    /// and `failed_page`. Without an entry, it is as the standards say.
    #[serde(default)]
    pub(super) errors: BTreeMap<String, Reply>,
    /// Changes of this file (RFC 7396) by name: `unverified`, `cut`, `moved` …
    #[serde(default, rename = "variants")]
    _variants: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) path: String,
    pub(super) body: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authorization {
    pub(super) path: String,
    /// Scopes that give `invalid_scope`.
    #[serde(default)]
    pub(super) refused_scopes: Vec<String>,
    /// Whether it wants `response_mode=form_post`.
    #[serde(default)]
    pub(super) form_post: bool,
    /// Further parameters of the answer.
    #[serde(default)]
    pub(super) answer: BTreeMap<String, String>,
    /// Whether it decodes `state` once too often, as AD FS does.
    #[serde(default)]
    pub(super) decodes_state_twice: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) path: String,
    /// How its clients may authenticate.
    pub(super) authentication: Vec<Authentication>,
    pub(super) pkce: Pkce,
    /// A good answer.
    pub(super) body: Map<String, Value>,
    /// A good answer to a refresh, where it is another one.
    #[serde(default)]
    pub(super) body_of_refresh: Option<Map<String, Value>>,
    pub(super) refresh_token: RefreshToken,
    /// Whether a refresh token works once.
    #[serde(default)]
    pub(super) rotates: bool,
    /// Whether the answer is a form unless the request accepts JSON.
    #[serde(default)]
    pub(super) json_is_asked_for: bool,
    /// The service account that may get tokens by an assertion (RFC 7523 §2.1).
    #[serde(default)]
    pub(super) service_account: Option<String>,
}

/// How a client authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Authentication {
    ClientSecretBasic,
    ClientSecretPost,
    /// A client secret that is a JWT of the client's own key.
    AppleJwt,
}

/// What becomes of PKCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pkce {
    Checked,
    Ignored,
    /// A `code_verifier` is `invalid_client`.
    Rejected,
}

/// When there is a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefreshToken {
    Always,
    Never,
    Scope(String),
    Parameter(String, String),
}

/// One resource of the API, for the bearer of an access token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Api {
    /// The answer, or its pages.
    pub(super) pages: Vec<Value>,
    /// How a page leads to the next one.
    #[serde(default)]
    pub(super) next: Option<Next>,
    /// Parameters that the request must have.
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// Header fields that the request must have; an empty text stands for every value.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// The scope that the access token must have.
    #[serde(default)]
    pub(super) scope: Option<String>,
    /// The answer in place of the pages.
    #[serde(default)]
    pub(super) fails: Option<Reply>,
}

/// How a page leads to the next one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Next {
    /// The header field `Link` (RFC 8288).
    Link,
    /// A member of the body with the URL.
    Member(String),
    /// A member of the body with a token for this parameter.
    Token { member: String, parameter: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndSession {
    pub(super) path: String,
    /// The parameter with the way back.
    pub(super) back: String,
    /// Parameters that it cannot do without.
    #[serde(default)]
    pub(super) required: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Revocation {
    /// RFC 7009, at this path.
    Rfc7009(String),
    /// `DELETE /applications/CLIENT_ID/token` of GitHub, below this path.
    Github(String),
}

/// A fixed answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Value,
}

impl Data {
    /// Reads the file of a kind.
    pub(super) fn of(kind: &str) -> Value {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/kinds/data");
        let text = fs::read_to_string(folder.join(format!("{kind}.json")));
        let text = text.unwrap_or_else(|error| panic!("no data of {kind}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind}.json: {error}"))
    }

    /// The same with these variants, one on top of the other. `without_nonce` and `rejects_pkce` are variants of every kind.
    pub(super) fn with(kind: &str, variants: &[&str]) -> Self {
        let mut value = Self::of(kind);
        for name in variants {
            let change = match *name {
                "without_nonce" => json!({ "id_token": { "nonce": null } }),
                "rejects_pkce" => json!({ "token": { "pkce": "rejected" } }),
                _ => value["variants"][name].clone(),
            };
            assert!(change.is_object(), "{kind}.json has no variant {name}");
            merge(&mut value, &change);
        }
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{kind}.json: {error}"))
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().unwrap();
    for (name, change) in patch {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}

/// A value with texts in place of `{names}`; `None` where such a value does not exist.
pub(super) fn fill(value: &Value, known: &BTreeMap<&str, Value>) -> Option<Value> {
    Some(match value {
        Value::String(text) => {
            let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match name.and_then(|name| known.get(name)) {
                Some(Value::Null) => return None,
                Some(value) => value.clone(),
                None => Value::String(fill_text(text, known)),
            }
        }
        Value::Array(items) => items.iter().filter_map(|item| fill(item, known)).collect(),
        Value::Object(members) => Value::Object(fill_members(members, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// The same for the members of an object.
pub(super) fn fill_members(
    members: &Map<String, Value>,
    known: &BTreeMap<&str, Value>,
) -> Map<String, Value> {
    let filled = members.iter().map(|(name, value)| (fill_text(name, known), fill(value, known)));
    filled.filter_map(|(name, value)| Some((name, value?))).collect()
}

fn fill_text(text: &str, known: &BTreeMap<&str, Value>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.replace(&format!("{{{name}}}"), &value)
    })
}
