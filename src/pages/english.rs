//! The English texts of reasons and statuses. Another language is another file like this.
//! Invariant: short sentences for people who know nothing of the gateway, which say what to do next. The key
//! of the configuration stands in brackets, for the operator whom they ask for help.

use http::StatusCode;

use crate::pages::reason::{DenialReason, SignInReason};

/// Why a sign-in failed.
pub(super) fn sign_in(reason: SignInReason) -> &'static str {
    match reason {
        SignInReason::UnknownProvider => "This sign-in service is not available here.",
        SignInReason::ChoiceNeeded => "Please choose where to sign in.",
        SignInReason::IncompleteResponse => "The sign-in service sent an incomplete answer.",
        SignInReason::Expired => "The sign-in took longer than ten minutes.",
        SignInReason::AlreadyUsed => "This sign-in was used already.",
        SignInReason::OtherBrowser => {
            "The sign-in was started in another browser, or cookies are blocked."
        }
        SignInReason::NotStartedHere => {
            "The sign-in was not started here, or this site has been restarted since."
        }
        SignInReason::WrongRedirectUri => {
            "The sign-in service sent its answer to the wrong address."
        }
        SignInReason::DeniedByProvider => "The sign-in service did not allow the sign-in.",
        SignInReason::AccountTooLarge => {
            "Your account has more data, such as groups, than this site accepts (session.max_bytes)."
        }
        SignInReason::TooManyFailures => {
            "There were too many failed attempts from your network address. Please wait a moment."
        }
        SignInReason::UnusableResponse => {
            "The sign-in service sent an answer that this site cannot use."
        }
        SignInReason::ProviderUnavailable => {
            "The sign-in service cannot be reached or has a problem. This is not your fault. Please \
             wait a minute."
        }
        SignInReason::ProviderMisconfigured => {
            "The sign-in service does not accept this site. This is not your fault, and waiting does \
             not help."
        }
    }
}

/// Why a request was denied.
pub(super) fn denial(reason: DenialReason) -> &'static str {
    match reason {
        DenialReason::Email => "Your e-mail address is not on the list (emails).",
        DenialReason::EmailDomain => {
            "Your e-mail address is not in an allowed domain (email_domains)."
        }
        DenialReason::EmailUnverified => {
            "The sign-in service does not say that your e-mail address is verified (email_verified)."
        }
        DenialReason::Group => "You are not in an allowed group (groups).",
        DenialReason::User => "Your user name is not on the list (users).",
        DenialReason::Provider => {
            "You signed in with a service that is not accepted here (providers)."
        }
        DenialReason::Claim => "Your account does not have what this page requires (claims).",
        DenialReason::Method => "This kind of request is not allowed here (methods).",
        DenialReason::Path => "You are not allowed to open this address (paths).",
        DenialReason::ClientAddress => "Your network is not allowed (client_addresses).",
    }
}

/// Title and text of a status's own page.
pub(super) fn status(status: StatusCode) -> Words {
    if status.is_client_error() { client_error(status) } else { server_error(status) }
}

type Words = (&'static str, &'static str);

fn client_error(status: StatusCode) -> Words {
    match status.as_u16() {
        400 => (
            "This address does not work",
            "The address or the request is malformed, or could be understood in two ways. Please \
             check the address, or go back and try another link.",
        ),
        401 => ("Please sign in", "This page is only for people who are signed in."),
        403 => ("You have no access to this page", "This page cannot be opened in this way."),
        404 => (
            "There is nothing here",
            "The page may have moved, or the address may have a typing error.",
        ),
        405 => (
            "This does not work here",
            "The page exists, but it does not accept this kind of request.",
        ),
        408 => (
            "That took too long",
            "The request did not arrive in time. Please check your connection and try again.",
        ),
        413 => (
            "That is too large",
            "The file or form is larger than this page accepts. Please try a smaller one.",
        ),
        414 => (
            "This address is too long",
            "Please go back and try a shorter address, or start again from the front page.",
        ),
        421 => ("There is nothing at this address", "This site does not have that name."),
        429 => ("Too many attempts", "Please wait a minute, then try again."),
        431 => (
            "The request is too large",
            "Your browser sent too much data. Deleting the cookies of this site often helps.",
        ),
        _ => (
            "That did not work",
            "The request was not accepted. Please go back and try another way.",
        ),
    }
}

fn server_error(status: StatusCode) -> Words {
    match status.as_u16() {
        502 => (
            "The application does not answer",
            "This is not your fault: the application behind this page cannot be reached. Please try \
             again in a minute.",
        ),
        503 => ("This site is busy", "This is not your fault. Please try again in a moment."),
        504 => (
            "The application takes too long",
            "This is not your fault: the application behind this page did not answer in time. \
             Please try again in a minute.",
        ),
        505 => ("This does not work here", "This version of HTTP is not supported."),
        _ => (
            "Something went wrong",
            "This is not your fault. Please try again. If it keeps happening, tell the people who \
             run this site, and give them the reference.",
        ),
    }
}
