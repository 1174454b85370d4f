//! Checks without a user whether the provider redirects back after a sign-out, for `check --online`.
//! Invariant: nothing is signed out, because the requests have no cookie and no `id_token_hint`.
//! Source: OpenID Connect RP-Initiated Logout 1.0 §2 and §3.

use url::Url;

use crate::oauth::http::HttpResponse;
use crate::providers::Provider;
use crate::providers::probe::ProbeReport;
use crate::telemetry::metrics::ProviderEndpoint;

impl Provider {
    /// Compares the responses to our `post_logout_redirect_uri`, to one that is not registered, and to none.
    pub(super) async fn try_sign_out(&self, signed_out: &str, report: &mut ProbeReport) {
        let ask = async |uri: &str| {
            let url = self.logout_request(uri, None)?.url();
            self.http.get(ProviderEndpoint::Discovery, &url).await.ok()
        };
        let Some(ours) = ask(signed_out).await else { return };
        let Some(unregistered) = ask(UNREGISTERED).await else { return };
        match WayBack::of(&ours, &unregistered, signed_out) {
            WayBack::Registered => report.passed.push("the way back from sign-out"),
            WayBack::NotRegistered => {
                let status = ours.status.as_u16();
                let message = format!(
                    "the provider rejected the post-logout redirect URI {signed_out} (HTTP {status}), so sign-out ends \
                     at an error page"
                );
                let hint = format!("register {signed_out} as a post-logout redirect URI");
                report.warn("client_id", message, Some(&hint));
            }
            WayBack::Unknown => {}
        }
    }
}

/// What is known about the registration of a `post_logout_redirect_uri`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WayBack {
    Registered,
    NotRegistered,
    /// The provider does not look at the URI without a user.
    Unknown,
}

impl WayBack {
    fn of(ours: &HttpResponse, unregistered: &HttpResponse, signed_out: &str) -> Self {
        let target = ours.location().and_then(|to| Url::parse(to).ok());
        let returns = target.is_some_and(|to| to.as_str().starts_with(signed_out));
        let rejects = |response: &HttpResponse| response.status.is_client_error();
        match (rejects(ours), rejects(unregistered)) {
            (false, true) => Self::Registered,
            (false, false) if returns => Self::Registered,
            // Some providers reject every URI without an ID token.
            (true, true) if is_about_the_uri(ours) => Self::NotRegistered,
            (true, true | false) | (false, false) => Self::Unknown,
        }
    }
}

/// Whether an error page is about the URI, and not about the absent `id_token_hint`.
fn is_about_the_uri(response: &HttpResponse) -> bool {
    let text = String::from_utf8_lossy(response.body()).to_ascii_lowercase();
    text.contains("redirect") && !text.contains("hint")
}

/// Registered nowhere: `.invalid` is reserved (RFC 6761 §6.4).
const UNREGISTERED: &str = "https://unregistered.invalid/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_is_known_where_the_responses_differ_or_name_the_uri() {
        let signed_out = "https://app.example/oauth2/signed_out";
        let check = |ours: (u16, &str), unregistered: u16, expected| {
            let ours = HttpResponse::of(ours.0, ours.1.to_owned());
            let unregistered = HttpResponse::of(unregistered, String::new());
            assert_eq!(WayBack::of(&ours, &unregistered, signed_out), expected, "{ours:?}");
        };
        check((200, "Do you want to sign out?"), 400, WayBack::Registered);
        check((302, ""), 400, WayBack::Registered);
        check((400, "<p>Invalid redirect uri</p>"), 400, WayBack::NotRegistered);
        let hint = "A post_logout_redirect_uri requires an id_token_hint.";
        check((400, hint), 400, WayBack::Unknown);
        check((404, "Not found"), 404, WayBack::Unknown);
        check((200, "Do you want to sign out?"), 200, WayBack::Unknown);
        check((400, "Invalid redirect uri"), 200, WayBack::Unknown);
    }
}
