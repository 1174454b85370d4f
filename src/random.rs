//! The one source of randomness: ids, salts, keys, from the operating system's generator.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` random bytes.
#[expect(clippy::disallowed_methods, reason = "this is the one door to randomness")]
#[expect(clippy::expect_used, reason = "without randomness nothing here is safe to go on")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A number to begin with, where it does not matter with which.
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
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(), bytes::<32>());
        assert_eq!(text::<32>().len(), 43);
    }
}
