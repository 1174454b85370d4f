//! `admin:` -> the address of the admin listener.

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::document::Node;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::server::{ListenAddress, Settings};

pub(super) const KEYS: &[KeySpec] = &[key(
    "listen",
    Type::Scalar,
    DefaultValue::Is("127.0.0.1:4181"),
    "Listen address for /healthz, /readyz and /metrics, or `off`.",
)];

/// `admin.listen`; `None`: off. It must not be an address of `server`, if that is known.
pub(super) fn listen(
    root: &Section<'_>,
    server: Option<&Settings>,
) -> Result<Option<ListenAddress>, Reported> {
    let section = root.field("admin");
    if let Some(Node::Flag(_) | Node::Text(_)) = section.node {
        let invalid = Invalid::new("must be a mapping").hint(
            "write `admin: { listen: 127.0.0.1:4181 }`, or `admin: { listen: off }` to turn it off",
        );
        return Err(section.error(&invalid));
    }
    let field = Section::of(&section)?.field("listen");
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
