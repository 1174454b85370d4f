//! What people see. Cannot see a token; knows no other room but `identity`.

/// `pages:`, what an operator may change.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The title on every page; "Portcullis" unless written.
    pub title: Option<String>,
    /// A picture above the title.
    pub logo: Option<Logo>,
    /// A sentence under it.
    pub message: Option<String>,
    /// CSS text after our own.
    pub style: Option<String>,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Logo {
    /// `image/svg+xml`, `image/png`, `image/jpeg` or `image/webp`.
    pub content_type: &'static str,
    /// The file's content.
    pub bytes: Vec<u8>,
}
