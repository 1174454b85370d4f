//! What a client speaks on a connection: the HTTP version, and the scheme.
//! Invariant: both are known before the first request is read.

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// The scheme in lower case, without a colon, as in `X-Forwarded-Proto`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Parses one entry of `X-Forwarded-Proto`. Traefik sends `ws` and `wss` for WebSockets.
    pub fn forwarded(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" | "ws" => Some(Self::Http),
            "https" | "wss" => Some(Self::Https),
            _ => None,
        }
    }
}

/// The scheme according to `X-Forwarded-Proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedProto {
    /// There is no such field.
    Absent,
    /// All entries are this scheme.
    Scheme(Scheme),
    /// The entries differ: one proxy received the request over TLS, the next one without.
    // SECURITY: one of them may be the client's, so none of them is used.
    Differing,
    /// No entry is a scheme.
    Unknown,
}

impl ForwardedProto {
    /// Reads the fields, which together are one list (RFC 9110 §5.3).
    pub fn read<'h>(fields: impl Iterator<Item = &'h [u8]>) -> Self {
        let entries = fields.flat_map(|field| field.split(|byte| *byte == b','));
        let mut schemes = entries
            .map(|entry| Scheme::forwarded(str::from_utf8(entry.trim_ascii()).unwrap_or_default()));
        let Some(first) = schemes.next() else { return Self::Absent };
        if schemes.any(|other| other != first) {
            return Self::Differing;
        }
        first.map_or(Self::Unknown, Self::Scheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_scheme_is_used_if_all_entries_are_equal() {
        let check = |fields: &[&str], expected| {
            let read = ForwardedProto::read(fields.iter().map(|field| field.as_bytes()));
            assert_eq!(read, expected, "{fields:?}");
        };
        check(&[], ForwardedProto::Absent);
        check(&["https"], ForwardedProto::Scheme(Scheme::Https));
        check(&["HTTPS,wss"], ForwardedProto::Scheme(Scheme::Https));
        check(&["http", "http, ws"], ForwardedProto::Scheme(Scheme::Http));
        check(&["https,http"], ForwardedProto::Differing);
        check(&["https", "http"], ForwardedProto::Differing);
        check(&["https,"], ForwardedProto::Differing);
        check(&["https, gopher"], ForwardedProto::Differing);
        check(&["gopher"], ForwardedProto::Unknown);
        check(&[""], ForwardedProto::Unknown);
    }
}
