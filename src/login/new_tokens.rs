//! The tokens of a sign-in, and when a new session asks its provider again.

use crate::clock::Moment;
use crate::login::Login;
use crate::oauth::token::TokenSet;
use crate::providers::Provider;
use crate::session::Tokens;

impl Login {
    /// The tokens of a new session, and when its provider is asked again.
    pub(super) fn tokens(&self, provider: &Provider, set: TokenSet, now: Moment) -> Tokens {
        let tokens = Tokens::new(set, self.settings.refresh_before);
        let is_short = tokens.expires.is_some_and(|it| it < now.after(self.settings.lifetime));
        if self.settings.recheck.is_some() && tokens.refresh_token.is_none() && is_short {
            provider.recheck_ends_early();
        }
        tokens.due_within(self.settings.recheck, now)
    }
}
