//! A folder for the file of `session.snapshot`, and who is signed in over restarts of its gateway.

use std::path::{Path, PathBuf};

use http::Method;
use tempfile::TempDir;

use super::browser::Browser;
use super::gateway::Gateway;
use super::stack::{Builder, Stack};

/// A folder for a snapshot.
pub(crate) struct SnapshotFolder(TempDir);

impl SnapshotFolder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        self.path().join("sessions")
    }

    /// The usual setup, with its sessions here, and these keys of the section `session`, each after a comma.
    pub(crate) fn builder(&self, keys: &str) -> Builder {
        let file = self.snapshot();
        let secret = "0123456789abcdef0123456789abcdef";
        let section =
            format!("session: {{ secret: {secret}, snapshot: {}{keys} }}", file.display());
        Stack::builder().admin().sections(&section)
    }
}

/// Whether the browser is signed in at the gateway.
pub(crate) async fn is_signed_in(browser: &mut Browser, gateway: &Gateway) -> bool {
    browser.moved_to(gateway);
    browser.fetch("/oauth2/userinfo").await.status == 200
}

pub(crate) async fn sign_out(browser: &mut Browser) {
    let answer = browser.ask(Method::POST, "/oauth2/sign_out").await;
    assert!(answer.status.is_success() || answer.status.is_redirection(), "{answer:?}");
}
