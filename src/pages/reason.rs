//! Why a sign-in failed or a request was denied, as a page says it.
//! Invariant: a closed set, so that every language has a text for each; no text of a provider is shown.

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInReason {
    /// There is no such provider.
    UnknownProvider,
    /// There are several providers, and none was chosen.
    ChoiceNeeded,
    /// The callback is no complete authorization response.
    IncompleteResponse,
    /// The `state` is too old.
    Expired,
    /// The `state` was used before.
    AlreadyUsed,
    /// The `state` is another browser's.
    OtherBrowser,
    /// The `state` is not of this gateway, from before a restart, or from another instance.
    NotStartedHere,
    /// The browser signed in three times, and no request brought one of the sessions.
    Cycle,
    /// The same, where proxies send auth subrequests.
    CycleWithForwardAuth,
    /// The browser signed in three times, and only requests that sign in brought one of the sessions.
    CycleAtPages,
    /// The same, where proxies send auth subrequests.
    CycleAtPagesWithForwardAuth,
    /// The browser signed in three times, and each session was of no use at its first request.
    CycleOfUnusableSessions,
    /// A proxy in front changes the host of requests.
    ChangedHost,
    /// The callback came at another provider's `redirect_uri`.
    WrongRedirectUri,
    /// The user cancelled at the provider, or the provider does not accept the user (`access_denied`).
    Cancelled,
    /// The provider rejected the user, or the code.
    DeniedByProvider,
    /// The account has more data than a session may hold.
    AccountTooLarge,
    /// The session cannot be looked up or stored.
    StoreUnavailable,
    /// The client's address failed too often.
    TooManyFailures,
    /// The provider's answer breaks a rule of the standard, or lacks a claim.
    UnusableResponse,
    /// The provider cannot be reached, fails, or is busy.
    ProviderUnavailable,
    /// The provider does not accept the gateway as its client.
    ProviderMisconfigured,
}

/// Which key of the rules a page names as the reason of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// `emails`.
    Email,
    /// `email_domains`.
    EmailDomain,
    /// `emails` or `email_domains`; the e-mail is not verified.
    EmailUnverified,
    /// `groups`.
    Group,
    /// `groups`, of which the provider may not have sent all.
    GroupsInPart,
    /// `users`.
    User,
    /// `providers`.
    Provider,
    /// `claims`.
    Claim,
    /// `methods`.
    Method,
    /// `paths`.
    Path,
    /// `client_addresses`.
    ClientAddress,
    /// Different keys of different rules: any one would be enough.
    Several,
}
