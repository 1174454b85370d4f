//! The networks of a compose file: a bridge each, with an address for each service.
//! Invariant: subnets and fixed addresses are those of the file. A service that uses the network of another one has its
//! namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::Value;

/// All networks of one file, by their names.
pub(super) struct Networks {
    networks: BTreeMap<String, Network>,
    /// The namespace of each service.
    namespaces: BTreeMap<String, String>,
    /// Further names of services in a network: network, service, name.
    aliases: Vec<(String, String, String)>,
}

struct Network {
    /// The address of the engine.
    gateway: Ipv4Addr,
    prefix: String,
    /// Those of the services.
    addresses: BTreeMap<String, Ipv4Addr>,
}

impl Networks {
    pub(super) fn of(config: &Value) -> Self {
        let services = config["services"].as_object().unwrap();
        let namespaces = services.iter().map(|(name, service)| {
            let mode = service["network_mode"].as_str();
            let shared = mode.map(|mode| mode.strip_prefix("service:").unwrap());
            (name.clone(), shared.unwrap_or(name).to_owned())
        });
        let namespaces: BTreeMap<_, _> = namespaces.collect();
        let mut members: BTreeMap<String, Vec<(&String, &Value)>> = BTreeMap::new();
        let mut aliases = Vec::new();
        for (name, service) in services.iter().filter(|(name, _)| namespaces[*name] == **name) {
            let default = || vec!["default".to_owned()];
            let names = service["networks"].as_object();
            let names = names.map_or_else(default, |names| names.keys().cloned().collect());
            for network in names {
                let here = &service["networks"][&network];
                for alias in here["aliases"].as_array().into_iter().flatten() {
                    let alias = alias.as_str().unwrap().to_owned();
                    aliases.push((network.clone(), name.clone(), alias));
                }
                let fixed = &here["ipv4_address"];
                members.entry(network).or_default().push((name, fixed));
            }
        }
        let networks = members.into_iter().enumerate().map(|(at, (name, members))| {
            let network =
                Network::of(&config["networks"][&name]["ipam"]["config"][0], at, &members);
            (name, network)
        });
        Self { networks: networks.collect(), namespaces, aliases }
    }

    /// The namespace of a service.
    pub(super) fn namespace(&self, service: &str) -> &str {
        &self.namespaces[service]
    }

    /// The address of a service in the first of its networks.
    pub(super) fn address(&self, service: &str) -> Ipv4Addr {
        self.of_service(service).next().unwrap().1
    }

    /// The addresses of a service, by network.
    pub(super) fn of_service<'a>(
        &'a self,
        service: &'a str,
    ) -> impl Iterator<Item = (&'a String, Ipv4Addr)> {
        let namespace = self.namespace(service);
        self.networks
            .iter()
            .filter_map(move |(name, network)| Some((name, *network.addresses.get(namespace)?)))
    }

    /// The file `hosts` of all containers, in place of the name server of an engine.
    pub(super) fn hosts(&self) -> String {
        let services = self.namespaces.keys();
        let lines = services.map(|name| format!("{} {name}\n", self.address(name)));
        let aliases = self.aliases.iter().map(|(network, service, alias)| {
            format!("{} {alias}\n", self.networks[network].addresses[service])
        });
        format!("127.0.0.1 localhost\n{}", lines.chain(aliases).collect::<String>())
    }

    /// The commands that make bridges and namespaces, for a shell in a network namespace of its own.
    pub(super) fn script(&self) -> String {
        let mut script = "ip link set lo up\n".to_owned();
        let owners: BTreeSet<_> = self.namespaces.values().collect();
        for name in owners {
            script += &format!("ip netns add {name}\nip -n {name} link set lo up\n");
        }
        let mut cables = 0;
        for (at, Network { gateway, prefix, addresses }) in self.networks.values().enumerate() {
            script += &format!(
                "ip link add br{at} type bridge\nip addr add {gateway}/{prefix} dev br{at}\n\
                 ip link set br{at} up\n"
            );
            for (name, address) in addresses {
                script += &format!(
                    "ip link add cable{cables} type veth peer name eth{at} netns {name}\n\
                     ip link set cable{cables} master br{at} up\n\
                     ip -n {name} addr add {address}/{prefix} dev eth{at}\n\
                     ip -n {name} link set eth{at} up\n"
                );
                cables += 1;
            }
        }
        script
    }
}

impl Network {
    /// A network with these addresses, and these services, of which some have a fixed address.
    fn of(ipam: &Value, at: usize, members: &[(&String, &Value)]) -> Self {
        let parse = |text: &Value| text.as_str().map(|text| text.parse::<Ipv4Addr>().unwrap());
        let subnet = ipam["subnet"].as_str().map_or(format!("10.200.{at}.0/24"), str::to_owned);
        let (base, prefix) = subnet.split_once('/').unwrap();
        let base = u32::from(base.parse::<Ipv4Addr>().unwrap());
        let fixed: Vec<_> = members.iter().filter_map(|(_, fixed)| parse(fixed)).collect();
        let range = ipam["ip_range"].as_str().map(|range| range.split_once('/').unwrap().0);
        let first = range.map_or(base + 2, |first| first.parse::<Ipv4Addr>().unwrap().into());
        let mut free = (first..).map(Ipv4Addr::from).filter(|address| !fixed.contains(address));
        let addresses = members.iter().map(|(name, fixed)| {
            ((*name).clone(), parse(fixed).unwrap_or_else(|| free.next().unwrap()))
        });
        Self {
            gateway: parse(&ipam["gateway"]).unwrap_or(Ipv4Addr::from(base + 1)),
            prefix: prefix.to_owned(),
            addresses: addresses.collect(),
        }
    }
}
