//! Random IDs, salts and keys, from the operating system's generator.
//! Invariant: all randomness comes from here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` random bytes.
#[expect(clippy::disallowed_methods, reason = "this is the one source of randomness")]
#[expect(clippy::expect_used, reason = "without randomness nothing is safe")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system returns random bytes");
    bytes
}

/// A number to start a rotation with.
pub fn turn() -> usize {
    usize::from(u16::from_ne_bytes(bytes()))
}

/// `N` random bytes as unpadded base64url text.
pub fn text<const N: usize>() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<N>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_return_different_bytes() {
        assert_ne!(bytes::<32>(), bytes::<32>());
        assert_eq!(text::<32>().len(), 43);
    }
}
