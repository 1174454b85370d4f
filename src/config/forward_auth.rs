//! `server.forward_auth:` -> `server::ForwardAuth`.

use ipnet::IpNet;

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::gate::route::Settings as Route;
use crate::server::{
    ForwardAuth, ForwardAuthClient, ForwardAuthProxy, ListenAddress, Settings, TrustedProxies,
};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "clients",
        Type::List { of: &Type::Section(CLIENT), least: 0 },
        DefaultValue::Unset("none"),
        "The proxies that may ask; no other peer is admitted there.",
    ),
    key(
        "listen",
        Type::Scalar,
        DefaultValue::Unset("the auth endpoints are on the public listener"),
        "A listener for the auth endpoints alone: HOST:PORT or unix:PATH.",
    ),
];

const CLIENT: &[KeySpec] = &[
    key(
        "from",
        Type::OneOrMore(&Type::Text),
        DefaultValue::Required("from: [127.0.0.1/32]"),
        "Where the proxy asks from: CIDRs, or unix for unix sockets.",
    ),
    key(
        "proxy",
        Type::Choice(&[
            "nginx",
            "ingress-nginx",
            "nginx-gateway-fabric",
            "traefik",
            "caddy",
            "haproxy",
            "envoy",
        ]),
        DefaultValue::Required("proxy: nginx"),
        "What it is, which says in which headers it names the request; all others are ignored.",
    ),
];

/// All of it; `listen` are the public listeners, where they are known.
pub(super) fn settings(
    server: &Section<'_>,
    listen: Option<&[ListenAddress]>,
) -> Result<ForwardAuth, Reported> {
    let section = server.section("forward_auth")?;
    let clients = clients(&section.field("clients"));
    let listen = own_listener(&section.field("listen"), listen.unwrap_or_default());
    let (clients, listen) = (clients?, listen?);
    if clients.is_empty() && listen.is_some() {
        let invalid = Invalid::new("is for nobody: no proxy is in clients").hint(
            "declare the proxies that ask: `clients: [{ from: [127.0.0.1/32], proxy: nginx }]`",
        );
        section.diagnostics.warning(&section.path.key("listen"), &invalid);
    }
    Ok(ForwardAuth { clients, listen })
}

fn own_listener(
    field: &Field<'_>,
    public: &[ListenAddress],
) -> Result<Option<ListenAddress>, Reported> {
    let address = field.optional(|text| address::listen(text, field.diagnostics))?;
    match address {
        // SECURITY: what is for proxies alone would be public.
        Some(own) if public.iter().any(|other| address::clash(&own, other)) => {
            let invalid =
                Invalid::new("is an address of server.listen too").hint("choose another port");
            Err(field.error(&invalid))
        }
        address => Ok(address),
    }
}

fn clients(field: &Field<'_>) -> Result<Vec<ForwardAuthClient>, Reported> {
    let items = field.items()?;
    let clients: Vec<_> =
        items.iter().map(|item| Section::of(item).and_then(|section| client(&section))).collect();
    let clients = clients.into_iter().collect::<Result<Vec<_>, Reported>>()?;
    // SECURITY: a header would count by one row or by another, whichever stands first.
    for (at, client) in clients.iter().enumerate() {
        let overlapping = |other: &ForwardAuthClient| overlap(client, other);
        if let Some(before) = clients.iter().take(at).position(overlapping) {
            let what = format!("has peers in common with {}", field.path.item(before));
            let invalid = Invalid::new(format!("{what}, which has another `proxy`"))
                .hint("give each proxy its own addresses");
            return Err(field.diagnostics.error(&field.path.item(at).key("from"), &invalid, None));
        }
    }
    let networks: Vec<IpNet> =
        clients.iter().flat_map(|client| client.networks.iter().copied()).collect();
    if address::covers_the_internet(&networks) {
        let invalid = Invalid::new("cover the internet together, so that anyone may ask")
            .hint("name the addresses of your proxies, such as 10.0.0.0/8");
        return Err(field.error(&invalid));
    }
    Ok(clients)
}

fn client(section: &Section<'_>) -> Result<ForwardAuthClient, Reported> {
    let from = section.field("from");
    let peers = from.list(|text| match text {
        "unix" => Ok(None),
        network => address::network(network).map(Some),
    });
    let proxy = section.field("proxy").choice(ForwardAuthProxy::parse);
    let (peers, proxy) = (peers?, proxy?);
    let meant = |(at, network): (_, Option<_>)| Some(address::without_host(network?, &from, at));
    Ok(ForwardAuthClient {
        unix: peers.contains(&None),
        networks: peers.into_iter().enumerate().filter_map(meant).collect(),
        proxy,
    })
}

/// Whether a peer may belong to two entries that read different headers.
fn overlap(one: &ForwardAuthClient, other: &ForwardAuthClient) -> bool {
    let common = |network: &IpNet| {
        other.networks.iter().any(|it| it.contains(network) || network.contains(it))
    };
    one.proxy != other.proxy && (one.unix && other.unix || one.networks.iter().any(common))
}

/// Warns of what the operator may not expect of the auth endpoints.
pub(super) fn warnings(root: &Section<'_>, server: &Settings, routes: &[Route]) {
    let forward_auth = &server.forward_auth;
    if forward_auth.clients.is_empty() {
        warn_of_nobody_to_ask(root, server, routes);
    } else if forward_auth.listen.is_none() {
        let invalid = Invalid::new(
            "shares the public listener: where the proxy brings a visitor's own request for an auth endpoint \
             here, script can read the cookies in its answer; and identity headers made of tokens are empty \
             in the answers",
        )
        .hint(
            "give it a listener of its own, `listen: 127.0.0.1:4182`, that the proxy alone asks; without it, \
             see that the proxy passes no visitor's request for an auth endpoint on",
        );
        root.diagnostics.warning(&root.path.key("server").key("forward_auth"), &invalid);
    }
}

/// Without an upstream a route is for proxies that ask, and nobody may ask who is not declared.
fn warn_of_nobody_to_ask(root: &Section<'_>, server: &Settings, routes: &[Route]) {
    let Some(at) = routes.iter().position(|route| route.upstream.is_none()) else { return };
    let invalid = Invalid::new(
        "is not written, and no proxy may ask: nobody can ask about this route",
    )
    .hint(format!(
        "declare the proxy that asks, by its addresses and its kind: `server: {{ forward_auth: {{ \
             clients: [{{ from: [{}], proxy: nginx }}] }} }}` (or {}); or write an upstream",
        migrated(root, &server.trusted_proxies),
        ForwardAuthProxy::ALL[1..].iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
    ));
    root.diagnostics.warning(&root.path.key("routes").item(at).key("upstream"), &invalid);
}

/// The trusted proxies as `from` has them, for whoever let those ask before; else an example.
fn migrated(root: &Section<'_>, proxies: &TrustedProxies) -> String {
    let literal =
        root.section("server").is_ok_and(|server| server.field("trusted_proxies").is_literal());
    let networks = proxies.networks.iter().map(ToString::to_string);
    let mut from: Vec<String> = networks.chain(proxies.unix.then(|| "unix".to_owned())).collect();
    if !literal || from.is_empty() {
        from = vec!["127.0.0.1/32".to_owned()];
    }
    // In a flow sequence an IPv6 address needs quotes.
    from.iter_mut().filter(|it| it.contains(':')).for_each(|it| *it = format!("\"{it}\""));
    from.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_table_are_those_of_the_room() {
        let proxy = CLIENT.iter().find(|key| key.name == "proxy").unwrap();
        let Type::Choice(words) = proxy.kind else { panic!("it is a choice") };
        assert_eq!(words, ForwardAuthProxy::ALL.map(ForwardAuthProxy::as_str));
    }
}
