//! Discord. Its discovery document has no userinfo endpoint. With the option `guilds`, groups are all guilds of the user
//! (the ID), and the roles in these guilds (`guild:role`).
//! Source: discord.com/developers/docs, "OAuth2" and "Users Resource".

use crate::providers::fetch::{Fetch, Paging};
use crate::providers::kinds::{
    Api, GroupList, Groups, Guide, IssuerSource, KindOption, KnownEndpoint, Nonce, ProviderKind,
    SignInProtocol,
};

/// Discord.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "discord",
    label: "Discord",
    // A headset.
    icon: "M4 14v-2a8 8 0 0 1 16 0v2M4 13h3v6H5a1 1 0 0 1-1-1zm16 0h-3v6h2a1 1 0 0 0 1-1z",
    protocol: SignInProtocol::OpenId {
        issuer: IssuerSource::Template("https://discord.com"),
        nonce: Nonce::Required,
    },
    endpoints: &[(KnownEndpoint::Userinfo, "https://discord.com/api/oauth2/userinfo")],
    api: Some(Api { base: "https://discord.com/api", own: None }),
    scopes: &["openid", "identify", "email"],
    option_scopes: &[("guilds", &["guilds", "guilds.members.read"])],
    groups: Groups::Api {
        lists: &[
            GroupList {
                fetch: Fetch {
                    path: "/users/@me/guilds",
                    list: "",
                    item: "{/id}",
                    paging: Paging::None,
                },
                scope: "guilds",
                for_each: None,
            },
            GroupList {
                fetch: Fetch {
                    path: "/users/@me/guilds/{guilds}/member",
                    list: "/roles",
                    item: "{guilds}:{}",
                    paging: Paging::None,
                },
                scope: "guilds.members.read",
                for_each: Some("guilds"),
            },
        ],
    },
    options: &[KindOption { name: "guilds", default: None, required: None, unset: None }],
    guide: Guide {
        register: &[
            "Open discord.com/developers/applications, create an application, and open OAuth2.",
            "Redirects: CALLBACK",
            "Copy the client ID, and reset the client secret to see it.",
        ],
        groups: "None, unless `guilds` has the IDs of your guilds (servers). Then groups are the IDs of all guilds of the user, \
                 and for each guild in `guilds` the roles of the user (`81384788765712384:41771983423143936`). Turn on Developer \
                 Mode in Discord to copy IDs.",
        pitfalls: &[
            "Write a rule: everyone can have an account at Discord.",
            "Rules name IDs of guilds and roles, not their names, which can be changed.",
            "Sign-out ends the session here only: Discord has no endpoint for it.",
        ],
    },
    ..ProviderKind::oidc()
};
