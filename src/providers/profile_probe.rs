//! Checks the profile of a provider without OpenID Connect, for `check --online`.

use http::StatusCode;

use crate::oidc::discovery::Metadata;
use crate::providers::Provider;
use crate::providers::probe::ProbeReport;
use crate::random;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

impl Provider {
    /// Requests the profile with a random access token. An API rejects the token; another server does not know the path.
    pub(super) async fn try_profile(&self, metadata: &Metadata, report: &mut ProbeReport) {
        let Some(profile) = &metadata.userinfo else { return };
        let token = Secret::new(random::text::<20>());
        let answer = self.http.get_with_token(ProviderEndpoint::Userinfo, profile, &token).await;
        match answer.map(|answer| answer.status) {
            Ok(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
                let message = format!("has no profile at {profile}");
                let hint = "compare it with the documentation of the provider's API";
                report.fatal("endpoints.userinfo", message, Some(hint));
            }
            Ok(status) if status.is_success() || status.is_redirection() => {
                let message = format!("answers a random access token with status {status}");
                report.warn(
                    "endpoints.userinfo",
                    message,
                    Some("name the URL of the profile in the API"),
                );
            }
            Ok(status) if status.is_client_error() => report.passed.push("the profile in its API"),
            Ok(status) => {
                let message = format!("fails at the profile {profile}: status {status}");
                report.warn("endpoints.userinfo", message, Some("try again later"));
            }
            Err(error) => {
                let message = format!("cannot be reached at the profile: {error}");
                report.fatal("endpoints.userinfo", message, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::oauth::loopback::{Loopback, Reply};
    use crate::providers::kinds::ProviderKind;
    use crate::providers::tests::{settings, states};
    use crate::providers::{Provider, ProviderEndpoints, Settings};

    /// What is found at a GitHub that answers so: the keys of fatal findings, and what passed.
    async fn probed(profile: u16, token: Value) -> (Vec<&'static str>, Vec<&'static str>) {
        let op = Loopback::start(move |_, seen| match seen.path.as_str() {
            "/api/v3/user" => Reply::json(profile, &json!({"message": "Bad credentials"})),
            "/token" => Reply::json(200, &token),
            _ => Reply::json(200, &json!({})),
        })
        .await;
        let endpoints = ProviderEndpoints {
            authorization: Some(op.url("/authorize")),
            token: Some(op.url("/token")),
            userinfo: Some(op.url("/api/v3/user")),
            ..ProviderEndpoints::default()
        };
        let kind = ProviderKind::by_name("github").unwrap();
        let provider = Settings { kind, endpoints, ..settings(op.issuer()) };
        let provider = Provider::new(provider, &states()).unwrap();
        let report =
            provider.probe("https://app.example/cb", "https://app.example/out", false).await;
        let fatal = report.findings.iter().filter(|found| found.is_fatal).map(|found| found.key);
        (fatal.collect(), report.passed)
    }

    #[tokio::test]
    async fn registration_is_judged_by_the_codes_of_the_kind() {
        let (fatal, passed) = probed(401, json!({"error": "bad_verification_code"})).await;
        assert_eq!(fatal, [""; 0]);
        assert_eq!(passed, ["the profile in its API", "the client's authentication"]);
        let (fatal, _) = probed(401, json!({"error": "incorrect_client_credentials"})).await;
        assert_eq!(fatal, ["client_secret"]);
    }

    #[tokio::test]
    async fn url_without_a_profile_is_found() {
        let (fatal, passed) = probed(404, json!({"error": "bad_verification_code"})).await;
        assert_eq!(fatal, ["endpoints.userinfo"]);
        assert_eq!(passed, ["the client's authentication"]);
    }
}
