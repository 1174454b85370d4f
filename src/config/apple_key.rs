//! `client_key` of kind apple, with the options `key_id` and `team_id` -> the client's authentication.
//! Invariant: no other credential is set. The client secret is made from the key.

use crate::config::diagnostics::Reported;
use crate::config::invalid::Invalid;
use crate::config::pem;
use crate::config::section::Section;
use crate::providers::kinds::KindOptions;
use crate::providers::{AuthMethods, ClientAuth};

/// The credentials. `options` is `None` if they are wrong, which is reported elsewhere.
pub(super) fn read(
    section: &Section<'_>,
    options: Option<&KindOptions>,
) -> Result<AuthMethods, Reported> {
    let others = OTHERS.map(|name| {
        let field = section.field(name);
        let invalid = Invalid::new("has no effect for kind apple")
            .hint("remove it: the client secret is made from client_key, key_id and team_id");
        if field.node.is_some() { Err(field.error(&invalid)) } else { Ok(()) }
    });
    let field = section.field("client_key");
    let key = pem::key(&field)?.ok_or_else(|| {
        field.error(&Invalid::new("is required for kind apple").hint(
            "register a key for Sign in with Apple, and write `client_key: /run/secrets/AuthKey_F6G7H8J9K0.p8`",
        ))
    })?;
    others.into_iter().collect::<Result<(), Reported>>()?;
    let option = |name| options.and_then(|options| options.one(name)).unwrap_or_default();
    let method = ClientAuth::apple_jwt(key.text.expose(), option("key_id"), option("team_id"));
    method.map(AuthMethods::Only).ok_or_else(|| {
        field.error(
            &Invalid::new("is not a key for Sign in with Apple: those are EC on P-256")
                .hint("name the file AuthKey_….p8 that Apple let you download"),
        )
    })
}

const OTHERS: [&str; 4] =
    ["token_endpoint_auth_method", "client_secret", "client_assertion_file", "client_certificate"];
