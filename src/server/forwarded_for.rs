//! `X-Forwarded-For`, or the field in its place: which entry is the client, and what is sent to the upstream.
//! Invariant: the chain is read as bytes, from the right, entry by entry, up to the right-most entry that is not a
//! trusted proxy. All text to the left of that may come from the client and has no effect.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::server::peer::Peer;
use crate::server::request_head::HeadError;

/// The client according to the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedFor {
    /// There is no such field.
    Absent,
    /// The right-most entry that is not a trusted proxy.
    Client(IpAddr),
    /// Every entry is a trusted proxy; this one is the left-most.
    AllTrusted(IpAddr),
    /// An entry is empty or not an address, and no untrusted address is to its right.
    // SECURITY: the proxy did write an entry, so the client is not the proxy itself.
    Invalid,
}

impl ForwardedFor {
    /// Reads the fields, in the order of the request; several are one list (RFC 9110 §5.3). An empty field is
    /// an empty entry.
    pub fn read<'h>(
        fields: impl DoubleEndedIterator<Item = &'h [u8]>,
        is_trusted: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let mut read = Self::Absent;
        for entry in fields.rev().flat_map(|field| field.rsplit(|byte| *byte == b',')) {
            let Some(address) = address(entry) else { return Self::Invalid };
            if !is_trusted(address) {
                return Self::Client(address);
            }
            read = Self::AllTrusted(address);
        }
        read
    }
}

/// An address without IPv4 mapping, alone or with the port that some load balancers add; IPv6 also in brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry.trim_ascii()).ok()?;
    let bracketed = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => match entry.parse() {
            Ok(address) => address,
            Err(_) => entry.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(address.to_canonical())
}

/// The single value of a field. A list of equal values counts as one value.
// SECURITY: of two different values, one may be the client's.
pub(super) fn single_value<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h [u8]>, HeadError> {
    let fields = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut entries =
        fields.flat_map(|field| field.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let first = entries.next();
    if entries.any(|other| Some(other) != first) {
        return Err(HeadError::Forwarded);
    }
    Ok(first)
}

/// All fields with this name as one list, with the peer appended.
pub(super) fn chain(
    headers: &HeaderMap,
    name: &HeaderName,
    peer: Peer,
    peer_text: &HeaderValue,
) -> Option<HeaderValue> {
    let mut chain = Vec::with_capacity(64);
    for field in headers.get_all(name) {
        chain.extend_from_slice(field.as_bytes());
        chain.extend_from_slice(if field.is_empty() { b"" } else { b", " });
    }
    if chain.is_empty() {
        return None;
    }
    match peer {
        Peer::Ip(_) | Peer::Unknown => chain.extend_from_slice(peer_text.as_bytes()),
        // A proxy on this machine has no address to append.
        Peer::Unix => chain.truncate(chain.len().saturating_sub(2)),
    }
    HeaderValue::from_maybe_shared(Bytes::from(chain)).ok()
}

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&[u8]]) -> ForwardedFor {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse::<ipnet::IpNet>().unwrap());
        let is_trusted = |address| proxies.iter().any(|network| network.contains(&address));
        ForwardedFor::read(fields.iter().copied(), is_trusted)
    }

    #[track_caller]
    fn check(fields: &[&[u8]], client: &str) {
        assert_eq!(read(fields), ForwardedFor::Client(client.parse().unwrap()), "{fields:?}");
    }

    #[track_caller]
    fn check_trusted(fields: &[&[u8]], left_most: &str) {
        assert_eq!(read(fields), ForwardedFor::AllTrusted(left_most.parse().unwrap()));
    }

    #[test]
    fn right_most_untrusted_entry_is_the_client() {
        check(&[b"198.51.100.1"], "198.51.100.1");
        check(&[b"1.1.1.1, 198.51.100.1, 10.2.3.4"], "198.51.100.1");
        check(&[b"1.1.1.1", b"198.51.100.1", b"10.2.3.4,\t10.2.3.5"], "198.51.100.1");
        check(&[b"::ffff:198.51.100.1"], "198.51.100.1");
        check(&[b"198.51.100.1, ::ffff:10.0.0.1"], "198.51.100.1");
        check(&[b"2001:db8::1"], "2001:db8::1");
        check(&[b"198.51.100.1:4711"], "198.51.100.1");
        check(&[b"[2001:db8::1]:4711"], "2001:db8::1");
        check(&[b"[2001:db8::1]"], "2001:db8::1");
    }

    #[test]
    fn entries_left_of_the_client_have_no_effect() {
        for left in
            [&b"\xff"[..], b"unix:", b"", b",,", b"a b", b"10.0.0.1", b"\xe2\x80\xae", b"\""]
        {
            check(&[&[left, b", 198.51.100.1"].concat()], "198.51.100.1");
            check(&[left, b"198.51.100.1, 10.0.0.1"], "198.51.100.1");
        }
    }

    #[test]
    fn invalid_entry_makes_the_client_unknown() {
        for entry in [
            &b"\xff"[..],
            b"unix:",
            b"unknown",
            b"_hidden",
            b"",
            b" ",
            b"\t",
            b"198.51.100",
            b"198.51.100.256",
            b"198.51.100.1:",
            b"198.51.100.1:x",
            b"198.51.100.1:65536",
            b"[198.51.100.1]",
            b"[2001:db8::1",
            b"2001:db8::1%eth0",
            b"\"198.51.100.1\"",
            b"for=198.51.100.1",
            b"198.51.100.1 198.51.100.2",
            b"198.51.100.1\xa0",
            b"0x7f.1",
            b"localhost",
        ] {
            assert_eq!(read(&[entry]), ForwardedFor::Invalid, "{entry:?}");
            for (before, behind) in [
                (&b"203.0.113.9, "[..], &b""[..]),
                (b"", b", 10.0.0.1"),
                (b"203.0.113.9,", b",10.0.0.1"),
            ] {
                let chain = [before, entry, behind].concat();
                assert_eq!(read(&[&chain]), ForwardedFor::Invalid, "{chain:?}");
            }
            assert_eq!(read(&[b"203.0.113.9", entry]), ForwardedFor::Invalid, "{entry:?}");
            assert_eq!(read(&[entry, b"10.0.0.1"]), ForwardedFor::Invalid, "{entry:?}");
        }
        assert_eq!(read(&[b"203.0.113.9,"]), ForwardedFor::Invalid);
        assert_eq!(read(&[b",10.0.0.1"]), ForwardedFor::Invalid);
        assert_eq!(read(&[b"", b"203.0.113.9", b""]), ForwardedFor::Invalid);
    }

    #[test]
    fn left_most_entry_is_the_client_if_all_are_trusted() {
        check_trusted(&[b"10.9.9.9, 10.2.3.4"], "10.9.9.9");
        check_trusted(&[b"10.9.9.9", b"[fd00::1]:80"], "10.9.9.9");
        check_trusted(&[b"::ffff:10.0.0.1"], "10.0.0.1");
    }

    #[test]
    fn empty_field_is_invalid_and_not_absent() {
        assert_eq!(read(&[]), ForwardedFor::Absent);
        assert_eq!(read(&[b""]), ForwardedFor::Invalid);
    }
}
