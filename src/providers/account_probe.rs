//! Checks the service account that reads groups, for `check --online`.

use http::StatusCode;
use serde_json::Value;

use crate::oauth::error::{Error as OAuthError, ErrorCode, ErrorResponse};
use crate::oauth::http::HttpResponse;
use crate::providers::Provider;
use crate::providers::fetch::FetchError;
use crate::providers::probe::ProbeReport;
use crate::providers::service_account::{AccountGroups, ServiceAccount};
use crate::telemetry::metrics::ProviderEndpoint;

impl Provider {
    /// Requests a token of the service account, and with it the groups of the administrator or of the account itself.
    pub(super) async fn try_service_account(&self, report: &mut ProbeReport) {
        let (Some(groups), Some(account)) = (&self.account_groups, &self.settings.service_account)
        else {
            return;
        };
        let deadline = self.http.deadline();
        let token = match groups.access_token(None, deadline).await {
            Ok(token) => token,
            Err(error) => return judge_token(&error, account, groups, report),
        };
        let Ok(url) = groups.first_page(&self.http, &token, account.known_user()) else { return };
        let endpoint = ProviderEndpoint::Groups;
        let answer = self.http.get_resource(endpoint, &url, &token, &[], deadline).await;
        let host = url.host_str().unwrap_or_default();
        match answer {
            Ok(answer) => judge_list(&answer, host, account, groups, report),
            Err(error) => {
                let message = format!("cannot list groups at {host}: {error}");
                report.warn("service_account", message, None);
            }
        }
    }
}

/// What an answer in place of a token says.
fn judge_token(
    error: &FetchError,
    account: &ServiceAccount,
    groups: &AccountGroups,
    report: &mut ProbeReport,
) {
    let FetchError::ServiceAccount(OAuthError::Rejected(response)) = error else {
        let message = format!("gets no access token, so users have no groups: {error}");
        return match error.is_temporary() {
            true => report.warn("service_account", message, Some("try again later")),
            false => report.fatal("service_account", message, None),
        };
    };
    let hint = match (&response.code, account.admin_email()) {
        (
            ErrorCode::UnauthorizedClient | ErrorCode::InvalidScope | ErrorCode::AccessDenied,
            Some(_),
        ) => groups.list().remedy,
        (ErrorCode::InvalidGrant, Some(_)) => OF_KEY_OR_ADMIN,
        (_, _) => OF_KEY,
    };
    let message = format!("gets no access token, so users have no groups: {response}");
    report.fatal("service_account", message, Some(hint));
}

/// What an answer to the request for a list says.
fn judge_list(
    answer: &HttpResponse,
    host: &str,
    account: &ServiceAccount,
    groups: &AccountGroups,
    report: &mut ProbeReport,
) {
    let status = answer.status;
    if status == StatusCode::OK {
        return report.passed.push("the service account");
    }
    let user = account.known_user();
    let reason = reason_of(answer);
    let message =
        format!("cannot list the groups of {user} at {host} (HTTP {}){reason}", status.as_u16());
    let remedy = Some(groups.list().remedy);
    match account.admin_email() {
        _ if status.is_server_error() || answer.is_rate_limited() => {
            report.warn("service_account", message, Some("try again later"));
        }
        Some(_) if status.is_client_error() => report.fatal("admin_email", message, remedy),
        // It may be allowed to list those of users, and not its own.
        Some(_) | None => report.warn("service_account", message, remedy),
    }
}

/// The message of an error of Google's APIs, after a colon.
fn reason_of(answer: &HttpResponse) -> String {
    let body = answer.value().unwrap_or_default();
    let message = body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    match ErrorResponse::new("", message).description {
        text if text.is_empty() => String::new(),
        text => format!(": {text}"),
    }
}

const OF_KEY: &str = "check that the account and this key of it still exist, and that the clock of this machine is right; else \
                      create a new key";
const OF_KEY_OR_ADMIN: &str = "check that `admin_email` is an administrator of the organization, that the account and this key \
                               of it still exist, and that the clock of this machine is right";
