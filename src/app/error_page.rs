//! Any error -> its page, its line in the log, and its count.
//! Invariant: nothing is decided here; [`Error::report`] says all that differs between errors.

use http::Response;

use crate::app::App;
use crate::body::Body;
use crate::error::{DeniedUser, Error, ErrorPage};
use crate::login::FailedSignIn;
use crate::login::sign_in_options::{Prompt, SignInOptions};
use crate::pages::{Forbidden, Page, ResponseContext, SignInFailure, SignInReason};
use crate::server::Answered;
use crate::telemetry::access_log::Outcome;

impl App {
    /// Answers a request with an error.
    pub(super) fn error_page(&self, error: &Error, context: &ResponseContext<'_>) -> Answered {
        let report = error.report();
        if let Some(limit) = report.limit {
            self.metrics.limit_hit(limit, error);
        }
        let respond = |page: &Page<'_>| self.pages.respond(context, report.status, page);
        let public_url = self.party.site().public_url();
        let mut response = match report.page {
            ErrorPage::Status(status) => respond(&Page::Status(status)),
            ErrorPage::SignInRequired { login_url } => respond(&Page::SignInRequired { login_url }),
            ErrorPage::SessionEnded { login_url } => respond(&Page::SessionEnded { login_url }),
            ErrorPage::Denied(user) => self.denied(user, respond),
            ErrorPage::DeniedNetwork => respond(&Page::DeniedNetwork),
            ErrorPage::ProviderUnavailable => respond(&Page::ProviderUnavailable),
            ErrorPage::WrongHost if self.routes.has_host(public_url.host()) => {
                respond(&Page::WrongHost { public_url })
            }
            // A link to `public_url` would lead to a page without an application.
            ErrorPage::WrongHost | ErrorPage::SignInOnly => {
                respond(&Page::SignInOnly { public_url })
            }
            ErrorPage::RedirectLoop => respond(&Page::RedirectLoop),
            ErrorPage::SignInFailed(failure, reason) => {
                self.sign_in_failed(failure, reason, respond)
            }
        };
        for (name, value) in report.fields {
            response.headers_mut().append(name, value);
        }
        let outcome = Outcome {
            decision: Some(report.decision),
            reason: Some(report.reason.text()),
            subject: report.subject.cloned(),
            claims: report.claims.cloned().map(Box::new),
            visitor_status: None,
        };
        Answered::new(response, outcome)
    }

    fn denied(
        &self,
        user: &DeniedUser,
        respond: impl Fn(&Page<'_>) -> Response<Body>,
    ) -> Response<Body> {
        // Absolute: the request may be a proxy's auth subrequest, and the host in it need not have the
        // gateway's own paths.
        let options =
            SignInOptions { prompt: Some(Prompt::SelectAccount), ..SignInOptions::default() };
        respond(&Page::Forbidden(Forbidden {
            identity: &user.identity,
            provider: &user.provider,
            reason: user.reason(),
            failed: &user.failed.iter().map(|key| key.as_str()).collect::<Vec<_>>(),
            other_account: &self.party.site().own_url(&options.start(&user.return_to)),
            sign_out: &self.party.site().own_url("/sign_out"),
        }))
    }

    fn sign_in_failed(
        &self,
        failure: &FailedSignIn,
        reason: SignInReason,
        respond: impl Fn(&Page<'_>) -> Response<Body>,
    ) -> Response<Body> {
        let target = failure.target.as_str();
        let provider = failure.provider.as_deref();
        let provider = provider.and_then(|id| self.party.providers().by_id(id));
        let prefixed = |path: String| self.party.site().own_path(&path);
        let try_again = prefixed(match provider {
            Some(provider) => SignInOptions::at(Some(provider.id())).start(target),
            None => SignInOptions::default().sign_in(target),
        });
        let has_choice = || self.endpoints.providers_for(&failure.target).count() > 1;
        let choice = (provider.is_some() && has_choice())
            .then(|| prefixed(SignInOptions::default().sign_in(target)));
        respond(&Page::SignInFailed(SignInFailure {
            reason,
            provider: provider.map(|provider| provider.name()),
            try_again: &try_again,
            choice: choice.as_deref(),
        }))
    }
}
