//! The ID of a request: in the log, in the response, and in the request to the upstream.
//! Invariant: 1 to 128 characters of `[A-Za-z0-9._-]`, so it fits any log line and header unescaped.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;

/// A request's ID. Stored inline, so that a copy allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; LONGEST],
    length: u8,
}

const LONGEST: usize = 128;

impl RequestId {
    /// The ID of the `count`th request of a connection: 32 hexadecimal digits. `base` is random for each
    /// connection, which is enough: an ID must be unique, not secret.
    pub(super) fn of(base: u128, count: u32) -> Self {
        let mut rest = base.wrapping_add(u128::from(count)).to_be_bytes().into_iter();
        let mut text = [0; LONGEST];
        for pair in text.chunks_exact_mut(2) {
            let (Some(byte), [high, low]) = (rest.next(), pair) else { break };
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
        Self { text, length: 32 }
    }

    /// Parses the ID that a trusted proxy sent.
    pub(super) fn parse(given: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let length = u8::try_from(given.len()).ok()?;
        let mut text = [0; LONGEST];
        text.get_mut(..given.len())?.copy_from_slice(given);
        (length > 0 && given.iter().all(plain)).then_some(Self { text, length })
    }

    /// The text as a field's value.
    pub fn to_value(&self) -> HeaderValue {
        HeaderValue::from_maybe_shared(Bytes::from_owner(*self))
            .unwrap_or(HeaderValue::from_static(""))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_ref()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for RequestId {
    fn as_ref(&self) -> &[u8] {
        self.text.get(..usize::from(self.length)).unwrap_or_default()
    }
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_connection_differ() {
        assert_eq!(RequestId::of(0x0a, 1).as_str(), format!("{:032x}", 0x0b));
        assert_eq!(RequestId::of(u128::MAX, 1).as_str(), "0".repeat(32));
    }

    #[test]
    fn id_with_other_characters_is_rejected() {
        assert_eq!(RequestId::parse(b"a-B_1.2").unwrap().as_str(), "a-B_1.2");
        assert_eq!(RequestId::parse(&[b'a'; 128]).unwrap().as_str().len(), 128);
        for bad in [&b""[..], &[b'a'; 129], &[b'a'; 300], b"a b", b"a\n", b"a\"", b"\xc3\xa4"] {
            assert_eq!(RequestId::parse(bad), None, "{bad:?}");
        }
    }
}
