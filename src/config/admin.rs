//! `admin:` -> the address of the admin listener, and its token.

use crate::admin::AdminSettings;
use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::secret::Secret;
use crate::server::{ListenAddress, Settings};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "listen",
        Type::Scalar,
        DefaultValue::Is("127.0.0.1:4181"),
        "Listen address for /healthz, /readyz, /metrics and /reload, or `off`.",
    ),
    key(
        "token",
        Type::Secret,
        DefaultValue::Unset("none; beyond loopback, /reload then is 403"),
        "Bearer token for everything but /healthz, /readyz and /metrics.",
    ),
];

/// Shortest token: nothing limits how often a client tries.
const LEAST_TOKEN: usize = 32;

/// The section `admin`. `server` is the section with the addresses that are taken, if it is known.
pub(super) fn settings(
    root: &Section<'_>,
    server: Option<&Settings>,
) -> Result<AdminSettings, Reported> {
    let field = root.field("admin");
    if let Some(Node::Flag(_) | Node::Text(_)) = field.node {
        let invalid = Invalid::new("must be a mapping").hint(
            "write `admin: { listen: 127.0.0.1:4181 }`, or `admin: { listen: off }` to turn it off",
        );
        return Err(field.error(&invalid));
    }
    let section = Section::of(&field)?;
    let (listen, token) = (listen(&section, server), token(&section));
    Ok(AdminSettings { listen: listen?, token: token? })
}

fn token(section: &Section<'_>) -> Result<Option<Secret>, Reported> {
    let field = section.field("token");
    match field.secret()? {
        Some(token) if token.expose().len() < LEAST_TOKEN => {
            let invalid =
                Invalid::new("is shorter than 32 bytes").hint("make one with `portcullis keygen`");
            Err(field.error(&invalid))
        }
        token => Ok(token),
    }
}

/// `admin.listen`; `None`: off. It must not be an address of `server`, if that is known.
fn listen(
    section: &Section<'_>,
    server: Option<&Settings>,
) -> Result<Option<ListenAddress>, Reported> {
    let field = section.field("listen");
    let address = field.value(|text| match text {
        "off" | "false" => Ok(None),
        "true" | "on" => {
            Err(Invalid::new("is not an address").hint("write 127.0.0.1:4181, or off"))
        }
        address => address::listen(address, field.diagnostics).map(Some),
    })?;
    let taken = |address: &ListenAddress| {
        let own = server.map(|server| {
            server.listen.iter().chain(&server.redirect_http).chain(&server.forward_auth.listen)
        });
        own.into_iter().flatten().any(|other| address::clash(address, other))
    };
    // SECURITY: on a public listener, metrics would be public.
    match address {
        Some(address) if taken(&address) => {
            let invalid =
                Invalid::new("conflicts with a listener of `server`: both need the same address")
                    .hint("choose another port, or `off`");
            Err(field.error(&invalid))
        }
        address => Ok(address),
    }
}
