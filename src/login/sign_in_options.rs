//! How a user wants to sign in: the query parameters of `start` and `sign_in`.
//! Invariant: the links to these endpoints are made here only, so that no page drops a parameter.

use url::form_urlencoded::Serializer;

/// The parameters of `start` and `sign_in` apart from `rd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignInOptions<'a> {
    /// The ID of the provider. `None`: the only one, or the one that the user chooses.
    pub provider: Option<&'a str>,
    /// `prompt` (OIDC Core §3.1.2.1).
    pub prompt: Option<Prompt>,
    /// `login_hint`.
    pub login_hint: Option<&'a str>,
    /// `ui_locales`.
    pub ui_locales: Option<&'a str>,
    /// Whether this sign-in is a second attempt. There is no third one.
    pub restarted: bool,
    /// Whether the link leads from another host to that of `public_url`.
    pub redirected: bool,
}

/// What the provider asks the user again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// The credentials.
    Login,
    /// The account.
    SelectAccount,
}

impl<'a> SignInOptions<'a> {
    /// Sign in at the provider with this ID, if any.
    pub fn at(provider: Option<&'a str>) -> Self {
        Self { provider, ..Self::default() }
    }

    /// The link that starts a sign-in, below the endpoint prefix. `target` is where the browser goes afterwards.
    pub fn start(&self, target: &str) -> String {
        self.page("/start", target)
    }

    /// The link to the choice of a provider, below the endpoint prefix.
    pub fn sign_in(&self, target: &str) -> String {
        self.page("/sign_in", target)
    }

    fn page(&self, path: &str, target: &str) -> String {
        let parameters = [
            ("provider", self.provider),
            ("prompt", self.prompt.map(Prompt::as_str)),
            ("login_hint", self.login_hint),
            ("ui_locales", self.ui_locales),
            ("restarted", self.restarted.then_some("1")),
            ("redirected", self.redirected.then_some("1")),
        ];
        let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let target = shorten(target);
        // Room for `?rd=`, for a provider, and for the escapes of an origin.
        let mut link = String::with_capacity(path.len() + target.len() + 64);
        link.push_str(path);
        link.push('?');
        let query = link.len();
        Serializer::for_suffix(link, query)
            .append_pair("rd", target)
            .extend_pairs(parameters)
            .finish()
    }
}

/// Shortens a target that `return_to` would reject for its length. With it, the link could be longer than a server
/// accepts.
fn shorten(target: &str) -> &str {
    let fits = |target: &&str| target.len() <= MAX_BYTES;
    let without_query = || target.split(['?', '#']).next().filter(fits);
    Some(target).filter(fits).or_else(without_query).unwrap_or("/")
}

/// The longest target that `return_to` accepts, in bytes: an origin, and a path with its query.
const MAX_BYTES: usize = 2048 + 280;

impl Prompt {
    /// Parses the parameter. Other values are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "login" => Some(Self::Login),
            "select_account" => Some(Self::SelectAccount),
            _ => None,
        }
    }

    /// The value of the parameter.
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
    fn target_that_is_too_long_is_shortened_in_the_link() {
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
    fn link_has_every_option() {
        assert_eq!(SignInOptions::default().sign_in("/a?b&c=d"), "/sign_in?rd=%2Fa%3Fb%26c%3Dd");
        let options = SignInOptions {
            provider: Some("company"),
            prompt: Some(Prompt::SelectAccount),
            login_hint: Some("a&b@example.com"),
            ui_locales: Some("de en"),
            restarted: true,
            redirected: true,
        };
        assert_eq!(
            options.start("/"),
            "/start?rd=%2F&provider=company&prompt=select_account\
             &login_hint=a%26b%40example.com&ui_locales=de+en&restarted=1&redirected=1"
        );
    }
}
