//! The header fields of a subrequest in which some kind of proxy describes the original request.
//! Invariant: they are collected in one pass, and fields with one name and different values have no value.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::SubrequestError;

/// A header in which some kind of proxy describes a part of the original request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DescribingHeader {
    OriginalUri,
    OriginalUrl,
    OriginalMethod,
    Path,
    Method,
    ForwardedUri,
    ForwardedMethod,
    ForwardedHost,
    ForwardedProto,
    ForwardedFor,
}

impl DescribingHeader {
    const COUNT: usize = 10;

    /// The header with this name.
    pub(super) fn named(name: &HeaderName) -> Option<Self> {
        Some(match name.as_str() {
            "x-original-uri" => Self::OriginalUri,
            "x-original-url" => Self::OriginalUrl,
            "x-original-method" => Self::OriginalMethod,
            "path" => Self::Path,
            "method" => Self::Method,
            "x-forwarded-uri" => Self::ForwardedUri,
            "x-forwarded-method" => Self::ForwardedMethod,
            "x-forwarded-host" => Self::ForwardedHost,
            "x-forwarded-proto" => Self::ForwardedProto,
            "x-forwarded-for" => Self::ForwardedFor,
            _ => return None,
        })
    }

    /// Its name in the usual spelling.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::OriginalUri => "X-Original-URI",
            Self::OriginalUrl => "X-Original-URL",
            Self::OriginalMethod => "X-Original-Method",
            Self::Path => "Path",
            Self::Method => "Method",
            Self::ForwardedUri => "X-Forwarded-Uri",
            Self::ForwardedMethod => "X-Forwarded-Method",
            Self::ForwardedHost => "X-Forwarded-Host",
            Self::ForwardedProto => "X-Forwarded-Proto",
            Self::ForwardedFor => "X-Forwarded-For",
        }
    }
}

/// The fields of one subrequest.
#[derive(Debug)]
pub(super) struct Described<'a> {
    /// By [`DescribingHeader`].
    fields: [Field<'a>; DescribingHeader::COUNT],
}

/// The fields with one name.
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Absent,
    /// One, or several with the same value.
    Value(&'a HeaderValue),
    /// Several with different values.
    // SECURITY: one may be the proxy's, and the other the visitor's (T53).
    Differing,
}

impl<'a> Described<'a> {
    /// Collects the fields of a subrequest.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = [Field::Absent; DescribingHeader::COUNT];
        for (name, value) in headers {
            let header = DescribingHeader::named(name);
            if let Some(field) = header.and_then(|header| fields.get_mut(header as usize)) {
                field.add(value);
            }
        }
        Self { fields }
    }

    /// Whether the subrequest has a header.
    pub(super) fn has(&self, header: DescribingHeader) -> bool {
        !matches!(self.field(header), Field::Absent)
    }

    /// The text of a header. Several fields must have the same value.
    pub(super) fn text(
        &self,
        header: DescribingHeader,
    ) -> Result<Option<&'a str>, SubrequestError> {
        let unclear = SubrequestError::Unclear(header.as_str());
        match self.field(header) {
            Field::Absent => Ok(None),
            Field::Value(value) => value.to_str().map(Some).map_err(|_| unclear),
            Field::Differing => Err(unclear),
        }
    }

    // SECURITY: a header that had no place here must not count as absent, because an absent one contradicts nothing.
    fn field(&self, header: DescribingHeader) -> Field<'a> {
        self.fields.get(header as usize).copied().unwrap_or(Field::Differing)
    }
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = match self {
            Self::Absent => Self::Value(value),
            Self::Value(known) if *known == value => Self::Value(value),
            Self::Value(_) | Self::Differing => Self::Differing,
        };
    }
}
