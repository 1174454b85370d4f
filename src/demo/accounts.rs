//! The people who can sign in at the demo provider.

use serde_json::{Map, Value, json};

/// One person. The password is the username, and the sign-in page says so.
#[derive(Clone, Debug)]
pub struct Account {
    /// What is typed into the sign-in form.
    pub username: String,
    /// `sub`: never changes, never reused.
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

    /// Alice, who is staff, and Bob, who is not.
    pub fn demo() -> Vec<Self> {
        vec![Self::new("alice", "Alice Adams", &["staff"]), Self::new("bob", "Bob Brown", &[])]
    }

    /// What a client learns of this person for these scopes (OIDC Core §5.4), `sub` included.
    pub(super) fn claims(&self, scope: &str) -> Map<String, Value> {
        let asked = |name: &str| scope.split(' ').any(|scope| scope == name);
        let mut claims = Map::new();
        claims.insert("sub".into(), json!(self.subject));
        claims.insert("groups".into(), json!(self.groups));
        if asked("email") {
            claims.insert("email".into(), json!(self.email));
            claims.insert("email_verified".into(), json!(self.email_verified));
        }
        if asked("profile") {
            claims.insert("name".into(), json!(self.name));
            claims.insert("preferred_username".into(), json!(self.username));
        }
        claims
    }
}
