//! How a visitor wants to sign in, as it travels in the query from page to page of ours.
//! Invariant: the addresses of `start` and `sign_in` are written here alone, so that no page on the way
//! forgets a part of it.

use url::form_urlencoded::Serializer;

/// What `start` and `sign_in` take beside `rd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignInOptions<'a> {
    /// The ID of the provider; `None`: the only one, or the visitor's choice.
    pub provider: Option<&'a str>,
    /// `prompt` (OIDC Core §3.1.2.1).
    pub prompt: Option<Prompt>,
    /// `login_hint`.
    pub login_hint: Option<&'a str>,
    /// `ui_locales`.
    pub ui_locales: Option<&'a str>,
    /// Whether this sign-in was begun before and lost its login cookie to another tab.
    pub restarted: bool,
}

/// What the provider is asked to ask the visitor again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// The credentials.
    Login,
    /// The account.
    SelectAccount,
}

impl<'a> SignInOptions<'a> {
    /// To sign in at this provider, if it is known.
    pub fn at(provider: Option<&'a str>) -> Self {
        Self { provider, ..Self::default() }
    }

    /// Where the sign-in starts, below the prefix; it leads to `target`.
    pub fn start(&self, target: &str) -> String {
        self.page("/start", target)
    }

    /// Where the visitor chooses the provider, below the prefix.
    pub fn sign_in(&self, target: &str) -> String {
        self.page("/sign_in", target)
    }

    fn page(&self, path: &str, target: &str) -> String {
        let told = [
            ("provider", self.provider),
            ("prompt", self.prompt.map(Prompt::as_str)),
            ("login_hint", self.login_hint),
            ("ui_locales", self.ui_locales),
            ("restarted", self.restarted.then_some("1")),
        ];
        let told = told.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query = Serializer::new(String::new())
            .append_pair("rd", fitting(target))
            .extend_pairs(told)
            .finish();
        format!("{path}?{query}")
    }
}

/// A longer target is none to come back to, and its address might be too long to be asked for.
fn fitting(target: &str) -> &str {
    let fits = |target: &&str| target.len() <= MOST_BYTES;
    let without_query = || target.split(['?', '#']).next().filter(fits);
    Some(target).filter(fits).or_else(without_query).unwrap_or("/")
}

/// A path and query that `return_to` takes, behind an origin.
const MOST_BYTES: usize = 2048 + 280;

impl Prompt {
    /// Reads the parameter; other values are not passed on.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "login" => Some(Self::Login),
            "select_account" => Some(Self::SelectAccount),
            _ => None,
        }
    }

    /// The parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::SelectAccount => "select_account",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_too_long_to_come_back_to_is_not_taken_along() {
        let check = |target: String, expected: &str| {
            let address = SignInOptions::default().start(&target);
            assert_eq!(address, format!("/start?rd={expected}"), "{target}");
        };
        check(format!("/a?{}", "x".repeat(2000)), &format!("%2Fa%3F{}", "x".repeat(2000)));
        check(format!("/a?{}", "/".repeat(6000)), "%2Fa");
        check(format!("https://b.example/a?{}", "x".repeat(6000)), "https%3A%2F%2Fb.example%2Fa");
        check(format!("/{}", "x".repeat(6000)), "%2F");
    }

    #[test]
    fn all_of_a_wish_is_written() {
        assert_eq!(SignInOptions::default().sign_in("/a?b&c=d"), "/sign_in?rd=%2Fa%3Fb%26c%3Dd");
        let options = SignInOptions {
            provider: Some("company"),
            prompt: Some(Prompt::SelectAccount),
            login_hint: Some("a&b@example.com"),
            ui_locales: Some("de en"),
            restarted: true,
        };
        assert_eq!(
            options.start("/"),
            "/start?rd=%2F&provider=company&prompt=select_account\
             &login_hint=a%26b%40example.com&ui_locales=de+en&restarted=1"
        );
    }
}
