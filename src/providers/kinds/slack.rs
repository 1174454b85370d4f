//! Slack.
//!
//! Anyone can create a workspace, so almost every operator needs the option `team`. The claim of the ID token is checked,
//! because the parameter of the authorization request is only a hint. Token and userinfo endpoint send errors with
//! status 200, `"ok": false` and codes of their own. There is a refresh token only with token rotation, and no end session endpoint.
//! Source: docs.slack.dev, "Sign in with Slack" and "openid.connect.token".

use crate::providers::kinds::{
    CodeMeaning, EndSession, ErrorForm, Guide, IssuerSource, KindOption, Nonce, ProviderKind,
    RequiredClaim, ResourceCodeMeaning, SignInProtocol,
};

/// Slack.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "slack",
    label: "Slack",
    // A speech bubble.
    icon: "M4 5h16v11h-8l-4 4v-4H4z",
    protocol: SignInProtocol::OpenId {
        issuer: IssuerSource::Template("https://slack.com"),
        nonce: Nonce::Required,
    },
    parameters: &[("team", "{team}")],
    error_form: ErrorForm::OkFalse,
    error_codes: &[
        ("bad_client_secret", CodeMeaning::InvalidClient),
        ("invalid_client_id", CodeMeaning::InvalidClient),
        ("invalid_code", CodeMeaning::InvalidGrant),
        ("code_already_used", CodeMeaning::InvalidGrant),
        ("invalid_refresh_token", CodeMeaning::InvalidGrant),
        ("internal_error", CodeMeaning::Temporary),
        ("fatal_error", CodeMeaning::Temporary),
        ("service_unavailable", CodeMeaning::Temporary),
        ("request_timeout", CodeMeaning::Temporary),
        ("ratelimited", CodeMeaning::Temporary),
    ],
    resource_error_codes: &[
        ("invalid_auth", ResourceCodeMeaning::Ended),
        ("account_inactive", ResourceCodeMeaning::Ended),
        ("token_revoked", ResourceCodeMeaning::Ended),
        ("token_expired", ResourceCodeMeaning::Ended),
        ("user_removed_from_team", ResourceCodeMeaning::Ended),
        ("internal_error", ResourceCodeMeaning::Temporary),
        ("fatal_error", ResourceCodeMeaning::Temporary),
        ("service_unavailable", ResourceCodeMeaning::Temporary),
        ("request_timeout", ResourceCodeMeaning::Temporary),
        ("ratelimited", ResourceCodeMeaning::Temporary),
        ("rate_limited", ResourceCodeMeaning::Temporary),
        ("team_added_to_org", ResourceCodeMeaning::Temporary),
    ],
    end_session: EndSession::None,
    options: &[KindOption {
        unset: Some(
            "is not set: members of every workspace can sign in, and anyone can create one",
        ),
        ..KindOption::named("team")
    }],
    required_claims: &[RequiredClaim { claim: "https://slack.com/team_id", option: "team" }],
    guide: Guide {
        register: &[
            "Create an app at api.slack.com/apps in the workspace.",
            "Redirect URL (\"OAuth & Permissions\"): CALLBACK",
            "Copy the client ID and the client secret from \"Basic Information\".",
            "Copy the ID of the workspace, which begins with T, from the address of Slack in a browser.",
        ],
        groups: "None. Use rules about e-mail addresses or users.",
        pitfalls: &[
            "Users of another workspace are denied: the ID token has another team than `team`.",
            "Claims are as old as the sign-in, unless token rotation is on for the app.",
            "Sign-out ends the session here only. Slack has no endpoint to end its own.",
        ],
    },
    ..ProviderKind::oidc()
};
