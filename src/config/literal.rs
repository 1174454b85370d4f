//! A secret that stands in the file itself, and what its author more likely meant.

use crate::config::wrong::Wrong;

/// What is to be said of a secret as it is written; `None` for one that comes from elsewhere.
pub(super) fn doubtful(text: &str) -> Option<Wrong> {
    if text.contains("${") {
        return None;
    }
    Some(if is_bare_variable(text) {
        Wrong::new("is taken as it stands: a `$` without braces stands for itself")
            .hint("write ${NAME} for a variable of the environment; $$ is a dollar")
    } else if is_file_name(text) {
        Wrong::new("is taken as it stands, not as the name of a file")
            .hint("write ${file:PATH} for what stands in a file")
    } else {
        // It goes wherever the file goes: a repository, a backup, a chat.
        Wrong::new("is a secret in plain sight of whoever reads this file")
            .hint("keep it elsewhere: ${file:/run/secrets/NAME}, or ${NAME} of the environment")
    })
}

/// Whether a text is what a shell would put a variable in for: `$CLIENT_SECRET`.
fn is_bare_variable(text: &str) -> bool {
    let name = text.strip_prefix('$').unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// Whether a text is where other programs would read a secret.
fn is_file_name(text: &str) -> bool {
    let starts = ["file:", "/run/", "/etc/", "/var/", "./", "../", "~/"];
    starts.iter().any(|start| text.starts_with(start))
}
