//! Listen addresses and networks: `HOST:PORT`, `unix:PATH`, `systemd`, CIDR.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::diagnostics::Diagnostics;
use crate::config::field::Field;
use crate::config::host_names::check_host;
use crate::config::invalid::Invalid;
use crate::server::{ListenAddress, PassedSocketName, UnixSocket};
use crate::upstream::Target;

const HINT: &str = "write HOST:PORT, such as 127.0.0.1:4180, or unix:PATH, or systemd";

const HOST_BITS_IGNORED: &str = "the bits after the prefix length are ignored";

/// Maximum length of a socket's path: Linux has 108 bytes for it, and the last is zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// Parses a listen address.
pub(super) fn listen(text: &str, diagnostics: &Diagnostics<'_>) -> Result<ListenAddress, Invalid> {
    if let Some(path) = text.strip_prefix("unix:") {
        let (path, options) = path.split_once('?').unwrap_or((path, ""));
        let socket = UnixSocket::at(socket(path, diagnostics)?);
        return with_options(socket, options, diagnostics).map(ListenAddress::Unix);
    }
    if text == "systemd" {
        return Ok(ListenAddress::Passed(PassedSocketName::Any));
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        return passed_socket(name).map(ListenAddress::Passed);
    }
    tcp(text, diagnostics)
}

/// Parses `HOST:PORT`.
fn tcp(text: &str, diagnostics: &Diagnostics<'_>) -> Result<ListenAddress, Invalid> {
    if text.contains("://") {
        let bare = text.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
        let invalid = Invalid::new("is a URL, but a listen address is HOST:PORT").hint(HINT);
        return Err(match listen(bare, diagnostics).is_ok() {
            true => invalid.suggest(bare),
            false => invalid,
        });
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Invalid::new("has no host").suggest(format!("127.0.0.1:{text}")));
    }
    // nginx has words after the port: `443 ssl`.
    if let Some((port, _)) = text.split_once(' ')
        && port.parse::<u16>().is_ok()
    {
        return Err(Invalid::new("is not HOST:PORT").suggest(format!("0.0.0.0:{port}")));
    }
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| Invalid::new("has no port").hint(HINT))?;
    if host.is_empty() {
        let meant = format!("0.0.0.0:{port}");
        return Err(Invalid::new("has no host; to listen on all addresses, use 0.0.0.0 or [::]")
            .suggest(meant));
    }
    if port.parse::<u16>().is_err() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Invalid::new("has an invalid port; ports are 0 to 65535").hint(HINT));
    }
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if text.contains(',') {
        return Err(
            Invalid::new("is more than one address").hint("write a list: [ADDRESS, ADDRESS]")
        );
    }
    if host.contains(':') && !bracketed && host.parse::<Ipv6Addr>().is_ok() {
        let meant = format!("[{host}]:{port}");
        return Err(Invalid::new("has an IPv6 address without brackets").suggest(meant));
    }
    if host == "*" {
        return Err(Invalid::new(
            "has `*` as the host; to listen on all addresses, use 0.0.0.0 or [::]",
        )
        .suggest(format!("0.0.0.0:{port}")));
    }
    check_host(host).map_err(|_| Invalid::new("has an invalid host").hint(HINT))?;
    // The system's resolver reads `1` and `010.0.0.1` as other addresses than they look like, or as none.
    let numbers = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numbers && host.parse::<Ipv4Addr>().is_err() {
        return Err(Invalid::new("has a host that is neither a valid IPv4 address nor a name")
            .hint(
                "an IPv4 address is four numbers without leading zeros; 0.0.0.0 is all addresses",
            ));
    }
    Ok(ListenAddress::Tcp(text.to_owned()))
}

/// Parses the name of sockets that systemd passes (`FileDescriptorName=` in systemd.socket(5)).
fn passed_socket(name: &str) -> Result<PassedSocketName, Invalid> {
    let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b':';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(plain) {
        return Err(Invalid::new("has no valid socket name").hint(
            "write systemd, or systemd:NAME with the FileDescriptorName= of the socket unit",
        ));
    }
    Ok(PassedSocketName::Only(name.to_owned()))
}

/// Parses the path of a unix socket.
pub(super) fn socket(path: &str, diagnostics: &Diagnostics<'_>) -> Result<PathBuf, Invalid> {
    if path.is_empty() {
        return Err(Invalid::new("has no path")
            .hint("write the path of the socket: unix:/run/portcullis.sock"));
    }
    let path = diagnostics.at(path);
    if path.as_os_str().len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            "is too long: the path of a socket has at most {LONGEST_SOCKET_PATH} bytes"
        )
        .into());
    }
    Ok(path)
}

/// Reads the options of a unix socket: `mode=0666&group=www-data`.
fn with_options(
    mut socket: UnixSocket,
    options: &str,
    diagnostics: &Diagnostics<'_>,
) -> Result<UnixSocket, Invalid> {
    let hint = "the options of a unix socket are mode and group: unix:/run/p.sock?mode=0666&group=www-data";
    for option in options.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("mode", text)) => {
                let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
                let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal);
                let usable = |mode: &u32| mode & 0o600 == 0o600 && mode & 0o7111 == 0;
                socket.mode = mode.filter(usable).ok_or_else(|| {
                    Invalid::new("has an invalid mode: read and write permissions in octal")
                        .hint("write 0600, 0660 or 0666")
                })?;
            }
            Some(("group", name)) if !name.is_empty() => {
                socket.group = Some(match name.parse() {
                    Ok(number) => number,
                    Err(_) => group(name, diagnostics)?,
                });
            }
            Some(_) | None => return Err(Invalid::new("has an unknown option").hint(hint)),
        }
    }
    Ok(socket)
}

/// The number of a group of this system, from `/etc/group`: lines of name, password, number and members.
fn group(name: &str, diagnostics: &Diagnostics<'_>) -> Result<u32, Invalid> {
    let groups = diagnostics.file("/etc/group")?;
    let groups = String::from_utf8_lossy(&groups);
    let mut lines = groups.lines().map(|line| line.split(':'));
    let found = lines.find_map(|mut fields| match fields.next() == Some(name) {
        true => fields.nth(1)?.parse().ok(),
        false => None,
    });
    found.ok_or_else(|| {
        Invalid::new("names a group that is not in /etc/group")
            .hint("write the number of the group")
    })
}

/// Whether two listeners on these addresses would conflict.
pub(super) fn clash(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Unix(one), ListenAddress::Unix(other)) => one.path == other.path,
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => tcp_clash(one, other),
        (ListenAddress::Passed(one), ListenAddress::Passed(other)) => one == other,
        (ListenAddress::Unix(_) | ListenAddress::Passed(_), ListenAddress::Tcp(_))
        | (ListenAddress::Tcp(_) | ListenAddress::Passed(_), ListenAddress::Unix(_))
        | (ListenAddress::Tcp(_) | ListenAddress::Unix(_), ListenAddress::Passed(_)) => false,
    }
}

fn tcp_clash(one: &str, other: &str) -> bool {
    let (Some((one, port)), Some((other, other_port))) =
        (one.rsplit_once(':'), other.rsplit_once(':'))
    else {
        return false;
    };
    // Port 0 is a new port each time.
    if port != other_port || port.trim_start_matches('0').is_empty() {
        return false;
    }
    let every = |host| matches!(host, "0.0.0.0" | "[::]");
    one.eq_ignore_ascii_case(other)
        || every(one) && (every(other) || one.starts_with('[') == other.starts_with('['))
        || every(other) && one.starts_with('[') == other.starts_with('[')
}

/// Whether an upstream is certainly a listener of the gateway. Other names may be one, which is not known here.
pub(super) fn is_ours(target: &Target, listen: &ListenAddress) -> bool {
    match (target, listen) {
        (Target::Unix(target), ListenAddress::Unix(listen)) => *target == listen.path,
        (Target::Origin(origin), ListenAddress::Tcp(listen)) => {
            let Some((host, port)) = listen.rsplit_once(':') else { return false };
            let every = matches!(host, "0.0.0.0" | "[::]") && origin.is_loopback();
            port.parse() == Ok(origin.port()) && (every || host.eq_ignore_ascii_case(origin.host()))
        }
        (Target::Unix(_), ListenAddress::Tcp(_) | ListenAddress::Passed(_))
        | (Target::Origin(_), ListenAddress::Unix(_) | ListenAddress::Passed(_)) => false,
    }
}

/// Parses a network or one address; the bits after the prefix length are kept.
pub(super) fn network(text: &str) -> Result<IpNet, Invalid> {
    let hint = "write a network such as 10.0.0.0/8 or fd00::/8, or one IP address; host names are not supported";
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            match text.split_once('/').map(|(address, _)| address.parse()) {
                Some(Ok(IpAddr::V4(_))) => {
                    Invalid::new("has a wrong prefix length: IPv4 networks have 0 to 32").hint(hint)
                }
                Some(Ok(IpAddr::V6(_))) => {
                    Invalid::new("has a wrong prefix length: IPv6 networks have 0 to 128")
                        .hint(hint)
                }
                Some(Err(_)) | None => {
                    Invalid::new("is neither a network (CIDR) nor an IP address").hint(hint)
                }
            }
        })?,
    };
    // A client with the address ::ffff:1.2.3.4 is compared as 1.2.3.4.
    if let IpAddr::V6(address) = network.addr()
        && address.to_ipv4_mapped().is_some()
    {
        return Err(Invalid::new("is an IPv4-mapped IPv6 address, which never matches")
            .hint("write it as IPv4: clients are compared as IPv4"));
    }
    Ok(network)
}

/// Returns the network without the bits after its prefix length, with a warning; `at` is its index in a list.
pub(super) fn without_host(network: IpNet, field: &Field<'_>, at: usize) -> IpNet {
    let (meant, address) = (network.trunc(), network.addr());
    if meant != network {
        let invalid = match field.is_literal() {
            true => Invalid::new(format!("means all of {meant}: {HOST_BITS_IGNORED}"))
                .hint(format!("write {meant} for the network, or {address} for one address")),
            false => Invalid::new(HOST_BITS_IGNORED),
        };
        field.diagnostics.warning(&field.path.item(at), &invalid);
    }
    meant
}

/// Whether networks together contain every public address, of IPv4 or of IPv6. Leaving out private and other reserved
/// addresses makes no difference.
pub(super) fn covers_the_internet(networks: &[IpNet]) -> bool {
    let reserved = RESERVED.iter().filter_map(|text| text.parse().ok());
    let all: Vec<IpNet> = networks.iter().copied().chain(reserved).collect();
    let covered = IpNet::aggregate(&all);
    let internet = INTERNET.iter().filter_map(|text| text.parse::<IpNet>().ok());
    let mut internet =
        internet.filter(|it| networks.iter().any(|network| same_family(network, it)));
    internet.any(|internet| covered.iter().any(|network| network.contains(&internet)))
}

fn same_family(one: &IpNet, other: &IpNet) -> bool {
    one.addr().is_ipv4() == other.addr().is_ipv4()
}

/// All of IPv4, and the global unicast addresses of IPv6 (RFC 4291 §2.4).
const INTERNET: [&str; 2] = ["0.0.0.0/0", "2000::/3"];

/// Addresses that are not public (RFC 6890), and those of multicast.
const RESERVED: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// Parses a network or an address of trusted proxies.
pub(super) fn proxy_network(text: &str) -> Result<IpNet, Invalid> {
    let network = network(text)?;
    // SECURITY: if every peer is trusted, every client can forge its address and host (CVE-2026-76835).
    if network.prefix_len() == 0 {
        return Err(Invalid::new("trusts the X-Forwarded headers of every client")
            .hint("list only the addresses of your proxies, such as 10.0.0.0/8"));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::HostEnv;

    #[track_caller]
    fn check(text: &str, suggestion: Option<&str>) {
        let source = HostEnv::fixed([], []);
        let invalid = listen(text, &Diagnostics::new(&source, Path::new("/etc"))).unwrap_err();
        assert_eq!(invalid.suggestion(), suggestion, "{text}");
    }

    #[test]
    fn invalid_listen_address_is_rejected_with_a_suggestion() {
        check("4180", Some("127.0.0.1:4180"));
        check(":4180", Some("0.0.0.0:4180"));
        check("http://127.0.0.1:4180/", Some("127.0.0.1:4180"));
        check("::1:4180", Some("[::1]:4180"));
        check("fd://3", None);
        check("*:4180", Some("0.0.0.0:4180"));
        for text in ["010.0.0.1:1", "1:20", "127.1:1", "a..b:1", "{host}:1", "[::g]:1"] {
            check(text, None);
        }
        for text in ["", "localhost", "localhost:", "localhost:65536", "a b:1", "unix:", "a:+1"] {
            check(text, None);
        }
        check(&format!("unix:/{}", "x".repeat(107)), None);
    }

    #[test]
    fn passed_sockets_are_all_or_have_a_name() {
        let source = HostEnv::fixed([], []);
        let listen = |text: &str| listen(text, &Diagnostics::new(&source, Path::new("/etc")));
        let any = ListenAddress::Passed(PassedSocketName::Any);
        let only = ListenAddress::Passed(PassedSocketName::Only("https".to_owned()));
        assert_eq!(listen("systemd").unwrap(), any);
        assert_eq!(listen("systemd:https").unwrap(), only);
        for invalid in ["systemd:", "systemd:a:b", "systemd:\u{e4}", "Systemd"] {
            assert!(listen(invalid).is_err(), "{invalid}");
        }
        assert!(clash(&any, &any) && clash(&only, &only) && !clash(&any, &only));
        assert_eq!((any.to_string(), only.to_string()), ("systemd".into(), "systemd:https".into()));
    }

    #[test]
    fn relative_socket_path_starts_at_the_configuration_file() {
        let source = HostEnv::fixed([], []);
        let address = listen("unix:a.sock", &Diagnostics::new(&source, Path::new("/etc"))).unwrap();
        assert_eq!(address, ListenAddress::Unix(UnixSocket::at("/etc/a.sock".into())));
    }

    #[test]
    fn unix_socket_may_have_a_mode_and_a_group() {
        let groups = "root:x:0:\nwww:x:7:a\nwww-data:x:33:\nbroken\n";
        let source = HostEnv::fixed([("/etc/group".into(), groups.into())], []);
        let read = |options: &str| {
            let text = format!("unix:/a.sock{options}");
            match listen(&text, &Diagnostics::new(&source, Path::new("/etc"))) {
                Ok(ListenAddress::Unix(socket)) => Some((socket.mode, socket.group)),
                Ok(ListenAddress::Tcp(_) | ListenAddress::Passed(_)) | Err(_) => None,
            }
        };
        assert_eq!(read(""), Some((0o660, None)));
        assert_eq!(read("?mode=0666&group=www-data"), Some((0o666, Some(33))));
        assert_eq!(read("?group=www"), Some((0o660, Some(7))));
        assert_eq!(read("?group=44&mode=600"), Some((0o600, Some(44))));
        for invalid in [
            "?mode=",
            "?mode=0777",
            "?mode=04660",
            "?mode=0o666",
            "?mode=0066",
            "?mode=+66",
            "?mod=1",
            "?group=",
            "?group=ww",
            "?group=broken",
        ] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
    }

    #[track_caller]
    fn check_clash(one: &str, other: &str, expected: bool) {
        let [a, b] = [one, other].map(|text| ListenAddress::Tcp(text.into()));
        assert_eq!((clash(&a, &b), clash(&b, &a)), (expected, expected), "{one} {other}");
    }

    #[test]
    fn addresses_clash_by_port_and_host() {
        check_clash("127.0.0.1:1", "127.0.0.1:1", true);
        check_clash("127.0.0.1:1", "127.0.0.1:2", false);
        check_clash("127.0.0.1:0", "127.0.0.1:0", false);
        check_clash("0.0.0.0:1", "127.0.0.1:1", true);
        check_clash("[::]:1", "0.0.0.0:1", true);
        check_clash("0.0.0.0:1", "[::1]:1", false);
        check_clash("Localhost:1", "localhost:1", true);
    }

    #[test]
    fn upstream_is_ours_on_a_listen_address() {
        let check = |upstream: &str, listen: &str, expected: bool| {
            let target = Target::Origin(crate::origin::Origin::parse(upstream).unwrap());
            let listen = ListenAddress::Tcp(listen.into());
            assert_eq!(is_ours(&target, &listen), expected, "{upstream} {listen}");
        };
        check("http://127.0.0.1:8080", "127.0.0.1:8080", true);
        check("http://127.0.0.1:8080", "0.0.0.0:8080", true);
        check("http://localhost:8080", "[::]:8080", true);
        check("http://127.0.0.1", "127.0.0.1:80", true);
        check("http://127.0.0.1:8080", "127.0.0.1:8081", false);
        check("http://wiki:8080", "0.0.0.0:8080", false);
        check("http://127.0.0.2:8080", "127.0.0.1:8080", false);
    }

    #[test]
    fn single_address_is_a_network() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("fd00::1").unwrap().to_string(), "fd00::1/128");
        for invalid in ["", "10.0.0.0/33", "10.0.0", "example.com", "::ffff:10.0.0.1", "10.0.0.0-9"]
        {
            assert!(network(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn networks_that_together_cover_the_internet_are_found() {
        let check = |texts: &[&str], expected: bool| {
            let networks: Vec<IpNet> = texts.iter().map(|text| network(text).unwrap()).collect();
            assert_eq!(covers_the_internet(&networks), expected, "{texts:?}");
        };
        check(&["0.0.0.0/0"], true);
        check(&["0.0.0.0/1", "128.0.0.0/1"], true);
        check(&["128.0.0.0/2", "0.0.0.0/2", "192.0.0.0/3", "64.0.0.0/2"], true);
        check(&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/4"], false);
        check(&["::/0"], true);
        check(&["2000::/4", "3000::/4"], true);
        check(&["2000::/4", "fd00::/8"], false);
        check(&["10.0.0.0/8", "127.0.0.1/32", "192.168.0.0/16"], false);
        check(&[], false);
    }

    #[test]
    fn trusted_proxies_cannot_be_every_address() {
        for invalid in ["0.0.0.0/0", "::/0", "1.2.3.4/0"] {
            assert!(proxy_network(invalid).is_err(), "{invalid}");
        }
    }
}
