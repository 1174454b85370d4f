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
        "Proxies that can send auth subrequests. Requests of other peers are denied.",
    ),
    key(
        "listen",
        Type::Scalar,
        DefaultValue::Unset("the public listeners"),
        "Separate listener for the auth endpoints: HOST:PORT, unix:PATH or systemd:NAME.",
    ),
];

const CLIENT: &[KeySpec] = &[
    key(
        "from",
        Type::OneOrMore(&Type::Text),
        DefaultValue::Required("from: [127.0.0.1/32]"),
        "Addresses of the proxy: networks (CIDR), or unix for peers on unix sockets.",
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
        "Kind of proxy. It decides which headers describe the original request; all others are ignored.",
    ),
];

/// `server.forward_auth`; `public` are the other listeners of `server`, as far as they are known.
pub(super) fn settings(
    server: &Section<'_>,
    public: &[ListenAddress],
) -> Result<ForwardAuth, Reported> {
    let section = server.section("forward_auth")?;
    let clients = clients(&section.field("clients"));
    let listen = own_listener(&section.field("listen"), public);
    let (clients, listen) = (clients?, listen?);
    if clients.is_empty() && listen.is_some() {
        let invalid = Invalid::new("has no effect: there are no `clients`")
            .hint("declare your proxies: `clients: [{ from: [127.0.0.1/32], proxy: nginx }]`");
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
        // SECURITY: endpoints for proxies only would be public.
        Some(own) if public.iter().any(|other| address::clash(&own, other)) => {
            let invalid = Invalid::new(
                "conflicts with another listener of `server`: both need the same address",
            )
            .hint("choose another port");
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
    // SECURITY: the order of the entries would decide which headers are used.
    for (at, client) in clients.iter().enumerate() {
        let overlapping = |other: &ForwardAuthClient| overlap(client, other);
        if let Some(before) = clients.iter().take(at).position(overlapping) {
            let what = format!("overlaps with {}", field.path.item(before));
            let invalid = Invalid::new(format!("{what}, which has a different `proxy`"))
                .hint("use different addresses for each kind of proxy");
            return Err(field.diagnostics.error(&field.path.item(at).key("from"), &invalid, None));
        }
    }
    let networks: Vec<IpNet> =
        clients.iter().flat_map(|client| client.networks.iter().copied()).collect();
    if address::covers_the_internet(&networks) {
        let invalid = Invalid::new(
            "together cover the whole internet, so every client could send auth subrequests",
        )
        .hint("list only the addresses of your proxies, such as 10.0.0.0/8");
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

/// Whether a peer can match two entries with different proxies.
fn overlap(one: &ForwardAuthClient, other: &ForwardAuthClient) -> bool {
    let common = |network: &IpNet| {
        other.networks.iter().any(|it| it.contains(network) || network.contains(it))
    };
    one.proxy != other.proxy && (one.unix && other.unix || one.networks.iter().any(common))
}

/// Warns about auth endpoints on a shared listener, and about routes without an upstream that no proxy can use.
pub(super) fn warnings(root: &Section<'_>, server: &Settings, routes: &[Route]) {
    let forward_auth = &server.forward_auth;
    if forward_auth.clients.is_empty() {
        warn_of_routes_without_clients(root, server, routes);
    } else if forward_auth.listen.is_none() {
        let invalid = Invalid::new(
            "uses the public listener. If the proxy also forwards clients' own requests for the auth endpoints, \
             scripts of a page can read cookies from the responses. Identity headers that contain tokens are \
             empty in the responses",
        )
        .hint(
            "set `listen: 127.0.0.1:4182` and send auth subrequests only there; otherwise, make sure that the proxy \
             does not forward clients' requests for the auth endpoints",
        );
        root.diagnostics.warning(&root.path.key("server").key("forward_auth"), &invalid);
    }
}

/// A route without an upstream is only for auth subrequests, which need declared clients.
fn warn_of_routes_without_clients(root: &Section<'_>, server: &Settings, routes: &[Route]) {
    let Some(at) = routes.iter().position(|route| route.upstream.is_none()) else { return };
    let invalid = Invalid::new(
        "is not set, and there are no forward auth clients: this route is never used",
    )
    .hint(format!(
        "set an upstream, or declare your proxy: `server: {{ forward_auth: {{ clients: [{{ from: [{}], \
             proxy: nginx }}] }} }}` (`proxy` is one of nginx, {})",
        migrated(root, &server.trusted_proxies),
        ForwardAuthProxy::ALL[1..].iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
    ));
    root.diagnostics.warning(&root.path.key("routes").item(at).key("upstream"), &invalid);
}

/// Returns the trusted proxies as a value for `from`, or an example if there are none.
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
    fn proxies_are_those_of_the_server_room() {
        let proxy = CLIENT.iter().find(|key| key.name == "proxy").unwrap();
        let Type::Choice(words) = proxy.kind else { panic!("it is a choice") };
        assert_eq!(words, ForwardAuthProxy::ALL.map(ForwardAuthProxy::as_str));
    }
}
