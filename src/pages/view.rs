//! What a page says and offers, the same in every format.
//! Invariant: an address is `http`, `https` or on this host.

use std::borrow::Cow;

use serde::Serialize;

/// The parts of a page, the same in every format.
#[derive(Debug, Serialize)]
pub(super) struct View<'a> {
    /// `error` of the JSON answer; `None` if the page is not about an error.
    pub(super) error: Option<&'static str>,
    pub(super) title: &'a str,
    /// Sentences.
    pub(super) text: Vec<Cow<'a, str>>,
    /// The names of the rule keys that failed, for programs only.
    pub(super) failed: &'a [&'static str],
    pub(super) actions: Vec<Action<'a>>,
}

/// A button or link.
#[derive(Debug, Serialize)]
pub(super) struct Action<'a> {
    pub(super) label: Cow<'a, str>,
    pub(super) href: Cow<'a, str>,
    pub(super) kind: ActionKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionKind {
    /// The action that most users want: a filled button.
    Primary,
    /// Another action: an outlined button.
    Secondary,
    /// The sign-in at one provider: an outlined button with an icon.
    Provider {
        /// The path of the icon.
        icon: &'static str,
    },
    /// The same request again: it stays in its frame.
    Retry,
    /// The action that most users want, in a new tab: what the page itself holds must stay.
    NewTab,
    /// A button that posts.
    Post,
}

impl View<'_> {
    /// All sentences on one line, for JSON and gRPC.
    pub(super) fn message(&self) -> String {
        let mut message = self.text.join(" ");
        if !self.failed.is_empty() {
            message.push_str(" Rule keys that failed: ");
            message.push_str(&self.failed.join(", "));
            message.push('.');
        }
        message
    }
}

impl<'a> Action<'a> {
    pub(super) fn new(
        kind: ActionKind,
        label: impl Into<Cow<'a, str>>,
        href: impl Into<Cow<'a, str>>,
    ) -> Self {
        let href = href.into();
        // SECURITY: a click on a `javascript:` or `data:` address would run it in the gateway's origin.
        // An empty one is that of the page itself.
        let known = href.is_empty()
            || ["/", "https://", "http://"].iter().any(|start| href.starts_with(start));
        let href = if known { href } else { "/".into() };
        Self { label: label.into(), href, kind }
    }
}
