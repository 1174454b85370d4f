//! Accounts of the demo provider.

use serde_json::{Map, Value, json};

/// An account. Its password is the username, as the sign-in page shows.
#[derive(Clone, Debug)]
pub struct Account {
    /// The username for the sign-in form.
    pub username: String,
    /// `sub`: never changed or reused.
    pub subject: String,
    /// `name`.
    pub name: String,
    /// `email`.
    pub email: String,
    /// `email_verified`.
    pub email_verified: bool,
    /// `groups`.
    pub groups: Vec<String>,
}

impl Account {
    /// An account at example.com.
    pub fn new(username: &str, name: &str, groups: &[&str]) -> Self {
        Self {
            username: username.to_owned(),
            subject: format!("demo-{username}"),
            name: name.to_owned(),
            email: format!("{username}@example.com"),
            email_verified: true,
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    /// The accounts `alice`, in the group `staff`, and `bob`, in no group.
    pub fn demo() -> Vec<Self> {
        vec![Self::new("alice", "Alice Adams", &["staff"]), Self::new("bob", "Bob Brown", &[])]
    }

    /// The claims for these scopes (OIDC Core §5.4), with `sub`.
    pub(super) fn claims(&self, scope: &str) -> Map<String, Value> {
        let requested = |name: &str| scope.split(' ').any(|scope| scope == name);
        let mut claims = Map::new();
        claims.insert("sub".into(), json!(self.subject));
        claims.insert("groups".into(), json!(self.groups));
        if requested("email") {
            claims.insert("email".into(), json!(self.email));
            claims.insert("email_verified".into(), json!(self.email_verified));
        }
        if requested("profile") {
            claims.insert("name".into(), json!(self.name));
            claims.insert("preferred_username".into(), json!(self.username));
        }
        claims
    }
}
