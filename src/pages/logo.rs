//! The picture on every page, which a page has in itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A picture.
#[derive(Clone, Debug)]
pub struct Logo {
    /// `image/svg+xml`, `image/png`, `image/jpeg` or `image/webp`.
    pub content_type: &'static str,
    /// The file's content.
    pub bytes: Vec<u8>,
}

impl Logo {
    pub(super) fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.content_type, STANDARD.encode(&self.bytes))
    }
}
