//! The PROXY protocol, versions 1 and 2: a load balancer announces the client before the first byte of the client
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//! Invariant: only a trusted proxy can announce a client, and it always has to. The header is read to its last byte and
//! no further, and an announced address never makes its own announcement.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use ppp::{v1, v2};

use crate::server::peer::Peer;
use crate::server::transport::Accepted;

/// Whether a connection may begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyHeader {
    /// The protocol is off: a header is not looked for.
    Ignored,
    /// The peer is a trusted proxy, which must send one.
    // SECURITY: without this, a client that reaches the proxy's own address could send a header of its own.
    Required,
    /// The peer is another one, which must not send one.
    Forbidden,
}

/// The client that a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// The proxy itself, for example with a health check.
    Proxy,
    /// The client at this address.
    Client(IpAddr),
    /// A client whose address the header does not say: it has none, or it is on a unix socket of the proxy.
    Unknown,
}

/// The reason why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// A trusted proxy sent no header.
    #[error("a trusted proxy sent no PROXY header")]
    Missing,
    /// Another peer sent one.
    #[error("a peer that is not a trusted proxy sent a PROXY header")]
    Forbidden,
    /// The header does not follow the specification.
    #[error("a trusted proxy sent a malformed PROXY header")]
    Malformed,
    /// The header is longer than this server reads.
    #[error("a trusted proxy sent a PROXY header of more than {LONGEST_V2} bytes")]
    TooLong,
}

/// Reads the header of a new connection, if it may have one. Returns the client, if one is announced, and the bytes
/// that were read after the header.
pub(super) async fn read(
    accepted: &mut Accepted,
    rule: ProxyHeader,
) -> std::io::Result<(Option<Announced>, Bytes)> {
    if rule == ProxyHeader::Ignored {
        return Ok((None, Bytes::new()));
    }
    let mut bytes = BytesMut::with_capacity(FIRST_READ);
    loop {
        match (start(&bytes), rule) {
            (Start::Undecided, _) => {}
            (Start::None, ProxyHeader::Required) => return Err(failed(HeaderError::Missing)),
            (Start::None, ProxyHeader::Forbidden | ProxyHeader::Ignored) => {
                return Ok((None, bytes.freeze()));
            }
            (Start::V1 | Start::V2, ProxyHeader::Forbidden | ProxyHeader::Ignored) => {
                return Err(failed(HeaderError::Forbidden));
            }
            (version @ (Start::V1 | Start::V2), ProxyHeader::Required) => {
                if let Some((announced, length)) = parse(version, &bytes).map_err(failed)? {
                    return Ok((Some(announced), bytes.split_off(length).freeze()));
                }
            }
        }
        bytes.reserve(FIRST_READ);
        if accepted.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn failed(error: HeaderError) -> std::io::Error {
    std::io::Error::other(error)
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Too few bytes to decide.
    Undecided,
    /// With a header of version 1.
    V1,
    /// With a header of version 2.
    V2,
    /// Without a header.
    None,
}

fn start(bytes: &[u8]) -> Start {
    if bytes.starts_with(V1) {
        Start::V1
    } else if bytes.starts_with(V2) {
        Start::V2
    } else if V1.starts_with(bytes) || V2.starts_with(bytes) {
        Start::Undecided
    } else {
        Start::None
    }
}

/// The client and the length of a whole header; `None` while bytes are missing.
fn parse(version: Start, bytes: &[u8]) -> Result<Option<(Announced, usize)>, HeaderError> {
    let length = match version {
        Start::V2 => length_of_v2(bytes)?,
        Start::V1 | Start::Undecided | Start::None => length_of_v1(bytes)?,
    };
    let Some((header, length)) = length.and_then(|it| Some((bytes.get(..it)?, it))) else {
        return Ok(None);
    };
    let announced = match version {
        Start::V2 => of_v2(&v2::Header::try_from(header).map_err(|_| HeaderError::Malformed)?),
        Start::V1 | Start::Undecided | Start::None => {
            of_v1(&v1::Header::try_from(header).map_err(|_| HeaderError::Malformed)?)
        }
    };
    Ok(Some((announced, length)))
}

/// Version 1 is one line.
fn length_of_v1(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    match bytes.iter().take(LONGEST_V1).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(end + 1)),
        None if bytes.len() < LONGEST_V1 => Ok(None),
        None => Err(HeaderError::Malformed),
    }
}

/// Version 2 has its length in the last two of sixteen bytes.
fn length_of_v2(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    let Some([.., high, low]) = bytes.get(..V2_FIXED) else { return Ok(None) };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST_V2 { Err(HeaderError::TooLong) } else { Ok(Some(length)) }
}

fn of_v1(header: &v1::Header<'_>) -> Announced {
    match header.addresses {
        v1::Addresses::Tcp4(addresses) => Announced::Client(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Announced::Client(addresses.source_address.into()),
        v1::Addresses::Unknown => Announced::Unknown,
    }
}

fn of_v2(header: &v2::Header<'_>) -> Announced {
    match (header.command, header.protocol, header.addresses) {
        (v2::Command::Local, ..) => Announced::Proxy,
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv4(addresses)) => {
            Announced::Client(addresses.source_address.into())
        }
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv6(addresses)) => {
            Announced::Client(addresses.source_address.into())
        }
        (v2::Command::Proxy, ..) => Announced::Unknown,
    }
}

impl Announced {
    /// The peer in place of the proxy; `None`: the proxy itself.
    pub(super) fn peer(self) -> Option<Peer> {
        match self {
            Self::Proxy => None,
            Self::Client(address) => Some(Peer::Ip(address.to_canonical())),
            // SECURITY: not the proxy, whose X-Forwarded-For is trusted.
            Self::Unknown => Some(Peer::Unknown),
        }
    }
}

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1 (§2.1).
const LONGEST_V1: usize = 107;

/// The part of version 2 before the addresses (§2.2).
const V2_FIXED: usize = 16;

/// Addresses take 216 bytes at most. The rest is for extensions, which are ignored.
const LONGEST_V2: usize = 4096;

/// Enough for a usual header. Few, because every silent connection reserves them.
const FIRST_READ: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A beginning that is parsed is the whole header, and more bytes change nothing.
    fn check(bytes: &[u8], version: Start) -> Result<(), TestCaseError> {
        let whole = parse(version, bytes);
        for cut in 0..bytes.len() {
            let begun = &bytes[..cut];
            prop_assert!(matches!(start(begun), Start::Undecided) || start(begun) == version);
            let parsed = parse(version, begun);
            prop_assert!(
                parsed == Ok(None) || parsed == whole,
                "{cut} bytes: {parsed:?} {whole:?}"
            );
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn no_bytes_of_version_1_break_the_parser(rest in vec(any::<u8>(), 0..120)) {
            check(&[V1, &rest].concat(), Start::V1)?;
        }

        #[test]
        fn no_words_of_version_1_break_the_parser(rest in "(TCP4|TCP6|UNKNOWN|)( [0-9a-f.:]{0,9}){0,6}\r?\n?.?") {
            check(&[V1, rest.as_bytes()].concat(), Start::V1)?;
        }

        #[test]
        fn no_bytes_of_version_2_break_the_parser(
            command in any::<u8>(),
            family in any::<u8>(),
            claimed in any::<Option<u16>>(),
            rest in vec(any::<u8>(), 0..250),
        ) {
            let length = claimed.unwrap_or(u16::try_from(rest.len()).unwrap()).to_be_bytes();
            check(&[V2, &[command, family], &length, &rest].concat(), Start::V2)?;
            // The values that exist.
            let (command, family) = (0x20 | command & 1, [0, 0x11, 0x21, 0x31][usize::from(family % 4)]);
            check(&[V2, &[command, family], &length, &rest].concat(), Start::V2)?;
        }
    }
}
