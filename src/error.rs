//! Every room's error -> status, code and reason: the only HTTP mapping.
//! Two audiences: the log gets the cause, the page gets what this says; one exhaustive match each.

use http::{HeaderValue, StatusCode};

use crate::identity::Identity;
use crate::login::{self, StateFault};
use crate::oauth::error::ErrorCode;
use crate::policy::rule::Key;
use crate::providers;
use crate::routing::path::Malformed;
use crate::server::Stalled;
use crate::upstream;

/// Why a request does not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("the request is malformed")]
    Malformed,
    /// The path is not one.
    #[error("the path has {0}")]
    Path(#[from] Malformed),
    /// An upstream could read the path in a way that has another route or decision.
    #[error("the path can be read as {interpretation:?} too, which has another answer")]
    Ambiguous {
        /// The path as such an upstream reads it.
        interpretation: String,
    },
    /// No route has this host.
    #[error("no route has this host")]
    WrongHost,
    /// The same, at `public_url`: applications have other hosts.
    #[error("no route has the host of public_url")]
    SignInOnly,
    /// No route has this path, or nothing is behind it.
    #[error("no route has this path")]
    NoRoute,
    /// One of our own paths, with a method that it does not have.
    #[error("the method is not allowed here")]
    Method {
        /// `Allow`.
        allow: &'static str,
    },
    /// Nobody is signed in, and signing in may help.
    #[error("not signed in")]
    NotSignedIn {
        /// Where to.
        login_url: String,
        /// `Set-Cookie`, where cookies have to go.
        cookies: Option<Vec<HeaderValue>>,
    },
    /// Nobody is signed in, and signing in would not help.
    #[error("the rules refuse this request, whoever asks")]
    DeniedForEveryone {
        /// The keys that failed.
        failed: Vec<Key>,
    },
    /// Somebody is signed in, and may not pass.
    #[error("the rules refuse this visitor")]
    Forbidden(Box<Forbidden>),
    /// A page of another origin asked for a WebSocket with the visitor's cookie.
    #[error("a WebSocket from a foreign origin")]
    ForeignOrigin,
    /// The sign-in came to nothing.
    #[error("sign-in failed: {0}")]
    SignIn(#[from] Box<login::Failure>),
    /// The access token expired and cannot be renewed at the moment.
    #[error("no access token, for the provider cannot be reached")]
    NoAccessToken,
    /// The application behind us.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// The request reaches a second path, and may not.
    #[error(transparent)]
    SecondPath(#[from] SecondPathFault),
    /// Whoever asks at an auth endpoint does not say clearly what about.
    #[error(transparent)]
    SubrequestMode(#[from] SubrequestError),
    /// Any of these, said to somebody who asks at an auth endpoint.
    #[error("{0}")]
    ForAsker(Box<Self>),
    /// The request is over a limit, or broke off: as the server found it.
    #[error("refused with {0}")]
    Refused(StatusCode),
}

/// Why a request that reaches beyond its own path is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecondPathFault {
    /// On a route with `paths` rules.
    #[error("the method needs a Destination header on a route with `paths` rules")]
    NoDestination,
    /// A method that names its second path in the body, on a route with `paths` rules.
    #[error("the method names a second path in its body, which `paths` rules cannot be applied to")]
    InBody,
    /// Neither a path nor an absolute URL, or more than one value.
    #[error("Destination is repeated or malformed")]
    Malformed,
    /// Another scheme, host or port than the request's own.
    #[error("Destination names another origin")]
    OtherOrigin,
    /// The path of another route, or of none.
    #[error("Destination is not on the route of the request")]
    OtherRoute,
    /// Not the decision that the request's own path has.
    #[error("the rules do not allow the path in Destination")]
    Denied,
    /// The request moves, copies or deletes a tree with such a path in it.
    #[error("the method acts on all paths below, and one of them has rules of its own")]
    AboveRuledPath,
}

/// What is wrong with a question at an auth endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubrequestError {
    /// A peer that is not declared may not ask about requests.
    #[error("an auth endpoint was asked by a peer that is not in server.forward_auth.clients")]
    Undeclared,
    /// The header of the declared proxy that names the URI did not come.
    #[error("the question at an auth endpoint has no URI: write {write}{}", or_declare(.others))]
    NoUri {
        /// What to write in the configuration of the proxy.
        write: String,
        /// The other kinds of proxy whose header came.
        others: String,
    },
    /// The question names no host.
    #[error("the question at an auth endpoint has no host")]
    NoHost,
    /// A path behind the endpoint's own, from a proxy that names the URI in a header.
    #[error("a path behind an auth endpoint is read from `proxy: envoy` only")]
    Suffix,
    /// A field that came with different values, or cannot be read.
    #[error("{0} is contradictory or malformed")]
    Unclear(&'static str),
    /// A field that the declared proxy does not send, and that names another request.
    #[error("{0} names another request than the headers of the declared proxy")]
    Contradiction(&'static str),
    /// An identity header in a spelling that no answer can remove.
    #[error("an identity header in another spelling than its own")]
    Spelling,
    /// A method override, which no answer can remove, on a route with rules on methods.
    #[error("a method override on a route whose rules name methods")]
    MethodOverride,
    /// A parameter that narrows the rules to nothing that can be meant.
    #[error("an allowed_… parameter of an auth endpoint is empty, repeated, malformed or unknown")]
    Narrowing,
    /// Such a parameter on a route where several providers sign in.
    #[error(
        "an allowed_… parameter of an auth endpoint does not say of which provider, and several sign in \
         on the route: write the rule into `allow`, with `providers`"
    )]
    NarrowingOfSeveral,
}

fn or_declare(others: &str) -> String {
    if others.is_empty() {
        return String::new();
    }
    format!(
        "; the header of another kind of proxy came: if it is that, declare it as `proxy`: {others}"
    )
}

/// What a 403 tells to whom it concerns.
#[derive(Debug)]
pub struct Forbidden {
    /// Who is signed in.
    pub identity: Identity,
    /// The provider's name, as on the sign-in page.
    pub provider: String,
    /// The keys that failed.
    pub failed: Vec<Key>,
    /// What was asked for, as `rd` at `public_url`.
    pub return_to: String,
}

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed | Self::Path(_) | Self::Ambiguous { .. } => StatusCode::BAD_REQUEST,
            Self::WrongHost | Self::SignInOnly => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotSignedIn { .. } => StatusCode::UNAUTHORIZED,
            Self::DeniedForEveryone { .. }
            | Self::Forbidden(_)
            | Self::ForeignOrigin
            | Self::SubrequestMode(_)
            | Self::ForAsker(_) => StatusCode::FORBIDDEN,
            Self::SecondPath(fault) => of_second_path(*fault),
            Self::SignIn(failure) => of_sign_in(&failure.error),
            Self::NoAccessToken => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(error) => of_upstream(error),
            Self::Refused(status) => *status,
        }
    }
}

impl Error {
    /// The same as askers understand it: they know 401 and 403, and take every other no for a fault of
    /// ours (nginx answers 500).
    #[must_use]
    pub fn in_subrequest(self) -> Self {
        match self.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self,
            _ => Self::ForAsker(Box::new(self)),
        }
    }
}

/// RFC 4918 §9.8.5: 502 where the destination is on another server.
fn of_second_path(fault: SecondPathFault) -> StatusCode {
    match fault {
        SecondPathFault::OtherOrigin => StatusCode::BAD_GATEWAY,
        SecondPathFault::NoDestination
        | SecondPathFault::InBody
        | SecondPathFault::Malformed
        | SecondPathFault::OtherRoute
        | SecondPathFault::Denied
        | SecondPathFault::AboveRuledPath => StatusCode::FORBIDDEN,
    }
}

fn of_sign_in(error: &login::Error) -> StatusCode {
    match error {
        login::Error::UnknownProvider
        | login::Error::ChoiceNeeded
        | login::Error::Response(_)
        | login::Error::State(_)
        | login::Error::WrongRedirectUri => StatusCode::BAD_REQUEST,
        login::Error::Provider(error) => of_provider(error),
        login::Error::TooLarge(_) => StatusCode::FORBIDDEN,
    }
}

/// What will pass by itself is 503, what is wrong at the provider or in the registration 502.
fn of_provider(error: &providers::Error) -> StatusCode {
    match error {
        providers::Error::Busy | providers::Error::Unavailable(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        providers::Error::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
        providers::Error::Refused(refusal) => of_refusal(&refusal.code),
        providers::Error::BadResponse(_) => StatusCode::BAD_REQUEST,
        providers::Error::Misconfigured(_)
        | providers::Error::Misbehaved(_)
        | providers::Error::Settings(_)
        | providers::Error::Claims(_) => StatusCode::BAD_GATEWAY,
    }
}

/// A code that is refused is mostly an old tab's; else it was the person, or rules over there.
fn of_refusal(code: &ErrorCode) -> StatusCode {
    if *code == ErrorCode::InvalidGrant { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN }
}

fn of_upstream(error: &upstream::Error) -> StatusCode {
    match error {
        upstream::Error::Settings(_)
        | upstream::Error::Unresolved { .. }
        | upstream::Error::Unreachable { .. }
        | upstream::Error::TlsFailed(_)
        | upstream::Error::Misbehaved(_)
        | upstream::Error::BrokeOff(_) => StatusCode::BAD_GATEWAY,
        upstream::Error::TooSlow(_) => StatusCode::GATEWAY_TIMEOUT,
        upstream::Error::Full | upstream::Error::FullForClient => StatusCode::SERVICE_UNAVAILABLE,
        upstream::Error::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        upstream::Error::Client(error) if has_stalled(error) => StatusCode::REQUEST_TIMEOUT,
        upstream::Error::Client(_) => StatusCode::BAD_REQUEST,
    }
}

/// Whether a body broke off because its client sent nothing for too long.
fn has_stalled(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.into_iter().any(<dyn std::error::Error>::is::<Stalled>)
}

/// Why a sign-in failed, in a sentence for the person who tried.
pub fn sign_in_reason(error: &login::Error) -> &'static str {
    match error {
        login::Error::UnknownProvider => "There is no such sign-in service here.",
        login::Error::ChoiceNeeded => "Please choose where to sign in.",
        login::Error::Response(_) => "The answer of the sign-in service was not complete.",
        login::Error::State(StateFault::Old) => "The sign-in took longer than ten minutes.",
        login::Error::State(StateFault::Used) => "This sign-in was used already.",
        login::Error::State(StateFault::OtherBrowser) => {
            "The sign-in was started in another browser, or cookies are blocked."
        }
        login::Error::State(StateFault::Forged | StateFault::UnknownProvider) => {
            "The sign-in was not started here, or this site has been restarted since."
        }
        login::Error::WrongRedirectUri => "The answer came to the wrong address.",
        login::Error::Provider(providers::Error::Refused(_)) => {
            "The sign-in service did not let you in."
        }
        login::Error::TooLarge(_) => {
            "Your account has more data, such as groups, than this site accepts (session.max_bytes)."
        }
        login::Error::Provider(providers::Error::TooManyFailures) => {
            "There were too many failed attempts from your address. Wait a moment."
        }
        login::Error::Provider(_) => "The answer of the sign-in service cannot be used.",
    }
}

/// Why a request was refused, in a sentence for the person who asked, with the rule's key for whoever
/// they ask for help.
pub fn denial_reason(key: Key) -> &'static str {
    match key {
        Key::Emails => "Your e-mail address is not on the list (emails).",
        Key::EmailDomains => {
            "Your e-mail address is not of a domain that is let in (email_domains)."
        }
        Key::EmailUnverified => {
            "The sign-in service does not say that your e-mail address is verified (email_verified)."
        }
        Key::Groups => "You are not in a group that is let in (groups).",
        Key::Users => "Your user name is not on the list (users).",
        Key::Providers => "You signed in with a service that is not accepted here (providers).",
        Key::Claims => "Your account does not have what this page asks for (claims).",
        Key::Methods => "This kind of request is not allowed here (methods).",
        Key::Paths => "This address is not open to you (paths).",
        Key::ClientAddresses => "You come from a network that is not let in (client_addresses).",
    }
}
