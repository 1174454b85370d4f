//! Sign-ins and refreshes without OpenID Connect: profile, e-mail addresses, groups by API, revocation.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::identity::Identity;
use crate::oauth::loopback::Seen;

type Replies = Arc<Mutex<HashMap<String, Reply>>>;

pub(super) struct Api {
    pub(super) provider: Provider,
    op: Loopback,
    replies: Replies,
}

pub(super) const USER: &str = "/api/v3/user";
const EMAILS: &str = "/api/v3/user/emails";
const ORGS: &str = "/api/v3/user/orgs";
pub(super) const TEAMS: &str = "/api/v3/user/teams";
const TOKEN: &str = "/login/oauth/access_token";

pub(super) fn ok(body: &Value) -> Reply {
    Reply::json(200, body)
}

/// A provider of this kind, and GitHub's answers.
async fn api_of(kind: &str, url: Option<&str>, changes: impl FnOnce(&mut Settings)) -> Api {
    let answers = [
        (
            TOKEN,
            json!({"access_token": "at", "token_type": "bearer", "refresh_token": "rt",
                   "scope": "read:org,user:email"}),
        ),
        (
            USER,
            json!({"id": 583_231, "login": "alice", "name": "Alice", "sub": "1",
                   "email": "public@example.com", "email_verified": true}),
        ),
        (
            EMAILS,
            json!([{"email": "old@example.com", "primary": false, "verified": true},
                   {"email": "alice@example.com", "primary": true, "verified": true}]),
        ),
        (ORGS, json!([{"login": "example"}])),
        (TEAMS, json!([{"slug": "ops", "organization": {"login": "example"}}])),
    ];
    let answers = answers.map(|(path, body)| (path.to_owned(), ok(&body)));
    let replies: Replies = Arc::new(Mutex::new(HashMap::from(answers)));
    let shared = Arc::clone(&replies);
    let answer = move |_: &Url, seen: &Seen| {
        let reply = shared.lock().unwrap().get(&seen.path).cloned();
        reply.unwrap_or_else(|| Reply::json(404, &json!({"message": "Not Found"})))
    };
    let op = Loopback::start(answer).await;
    let kind = ProviderKind::by_name(kind).unwrap();
    let url = url.map(|url| ("url", vec![url.to_owned()]));
    let options = KindOptions::new(kind, url.into_iter().collect::<BTreeMap<_, _>>());
    let configured = ProviderEndpoints {
        authorization: Some(op.url("/login/oauth/authorize")),
        token: Some(op.url(TOKEN)),
        userinfo: Some(op.url(USER)),
        ..ProviderEndpoints::default()
    };
    let (endpoints, api) = kind.endpoints(&options, None, configured, None);
    let mut settings = Settings {
        kind,
        options,
        endpoints,
        api,
        scopes: kind.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..settings(op.issuer())
    };
    changes(&mut settings);
    let provider = Provider::new(settings, &states()).unwrap();
    Api { provider, op, replies }
}

pub(super) async fn github() -> Api {
    api_of("github", None, |_| {}).await
}

impl Api {
    pub(super) fn answers(&self, path: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    pub(super) async fn complete(&self) -> Result<SignedIn, Error> {
        let code = Code {
            response: ResponseCode { code: Secret::new("code"), name: None },
            redirect_uri: "https://app.example/cb".to_owned(),
            code_verifier: Secret::new("verifier"),
            nonce: "n".to_owned(),
        };
        let turn = self.provider.turn(ClientAddress::Unknown).await?;
        self.provider.complete(turn, &code).await
    }

    async fn identity(&self) -> Identity {
        self.complete().await.unwrap().identity
    }

    /// A refresh at a provider that fails `since` then.
    pub(super) async fn refresh(
        &self,
        signed_in: &SignedIn,
        since: i64,
        outage_grace: Duration,
    ) -> Result<Refreshed, RefreshError> {
        let refresh_token = &Secret::new("rt");
        let mut baseline = signed_in.baseline.clone();
        let UnixTime(now) = Clock::system().unix();
        baseline.stale_since = (since > 0).then(|| UnixTime(now - since));
        let held =
            SessionBefore { identity: &signed_in.identity, baseline: &baseline, outage_grace };
        self.provider.refresh(&RefreshRequest { refresh_token, held }).await
    }
}

pub(super) fn groups_of(identity: &Identity) -> Vec<String> {
    identity.groups().map(std::borrow::Cow::into_owned).collect()
}

#[tokio::test]
async fn profile_gives_user_address_and_groups_of_the_api() {
    let api = github().await;
    let signed_in = api.complete().await.unwrap();
    let identity = &signed_in.identity;
    assert_eq!(&*identity.subject, "583231", "the number, not `sub` of the profile");
    assert_eq!(identity.email.as_deref(), Some("alice@example.com"));
    assert_eq!(groups_of(identity), ["example", "example:ops"]);
    assert!(!identity.groups_missing && signed_in.baseline.stale_since.is_none());
    let [request] = &api.op.seen(TOKEN)[..] else { panic!("one token request") };
    assert_eq!(request.form["code_verifier"], "verifier");
    assert_eq!(api.op.seen(ORGS)[0].headers["x-github-api-version"], "2022-11-28");
}

#[tokio::test]
async fn profile_without_an_id_that_is_text_or_number_fails_the_sign_in() {
    let api = github().await;
    for id in [json!(null), json!({}), json!([1]), json!(true), json!("")] {
        api.answers(USER, ok(&json!({"id": id, "sub": "1", "login": "alice"})));
        assert!(api.complete().await.is_err(), "{id}");
    }
    api.answers(USER, ok(&json!({"sub": "1", "login": "alice"})));
    assert!(api.complete().await.is_err());
}

#[tokio::test]
async fn only_the_primary_and_verified_address_counts() {
    let api = github().await;
    let address = |primary, verified| {
        ok(&json!([{"email": "other@example.com", "primary": false, "verified": true},
            {"email": "alice@example.com", "primary": primary, "verified": verified}]))
    };
    for (primary, verified) in
        [(json!(true), json!(false)), (json!(false), json!(true)), (json!(true), json!("true"))]
    {
        api.answers(EMAILS, address(primary, verified));
        assert_eq!(api.identity().await.email, None);
    }
    api.answers(EMAILS, ok(&json!([])));
    assert_eq!(api.identity().await.email, None, "also not that of the profile");
}

#[tokio::test]
async fn server_of_ones_own_verifies_no_address() {
    let own = |strict| async move {
        let url = Some("https://git.example");
        let api = api_of("github", url, |it| it.require_email_verified = strict).await;
        api.identity().await.email
    };
    assert_eq!(own(true).await, None);
    assert_eq!(own(false).await.as_deref(), Some("alice@example.com"));
}

#[tokio::test]
async fn failed_list_of_addresses_fails_the_sign_in_only_for_now() {
    let api = github().await;
    for reply in [Reply::json(500, &json!({})), Reply::json(429, &json!({})), Reply::Drop] {
        api.answers(EMAILS, reply.clone());
        let error = api.complete().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{reply:?}: {error}");
    }
    let limited = Reply::Field(403, ("retry-after", "60".into()), "{}".into());
    api.answers(EMAILS, limited);
    assert!(matches!(api.complete().await, Err(Error::Unavailable(_))));
    for reply in [Reply::json(403, &json!({})), Reply::json(404, &json!({})), ok(&json!({}))] {
        api.answers(EMAILS, reply);
        let identity = api.identity().await;
        assert_eq!(identity.email, None);
        assert_eq!(groups_of(&identity), ["example", "example:ops"]);
    }
}

#[tokio::test]
async fn without_their_scopes_neither_addresses_nor_groups_are_requested() {
    let api = api_of("github", None, |it| it.scopes = vec!["read:user".into()]).await;
    let signed_in = api.complete().await.unwrap();
    assert_eq!(signed_in.identity.email, None);
    assert!(groups_of(&signed_in.identity).is_empty() && !signed_in.identity.groups_missing);
    for path in [EMAILS, ORGS, TEAMS] {
        assert_eq!(api.op.seen(path).len(), 0, "{path}");
    }
}

#[tokio::test]
async fn failed_list_leaves_no_groups_at_sign_in() {
    let api = github().await;
    for reply in [
        Reply::json(500, &json!({})),
        Reply::json(401, &json!({})),
        Reply::json(403, &json!({})),
        ok(&json!({"message": "x"})),
        Reply::Drop,
    ] {
        api.answers(TEAMS, reply.clone());
        let signed_in = api.complete().await.unwrap();
        let SignedIn { identity, baseline, .. } = &signed_in;
        assert!(groups_of(identity).is_empty() && identity.groups_missing, "{reply:?}");
        let is_for_now = !matches!(reply, Reply::Answer(200..500, ..));
        assert_eq!(baseline.stale_since.is_some(), is_for_now, "{reply:?}");
        assert_eq!(api.provider.health(), ProviderHealth::Up, "users can sign in");
    }
    // A claim of the profile with that name is no group.
    api.answers(USER, ok(&json!({"id": 1, "groups": ["admins"]})));
    assert!(groups_of(&api.identity().await).is_empty());
}

#[tokio::test]
async fn refresh_brings_new_groups_and_never_another_user() {
    let api = github().await;
    let signed_in = api.complete().await.unwrap();
    api.answers(ORGS, ok(&json!([{"login": "wiki"}])));
    api.answers(TEAMS, ok(&json!([])));
    let refreshed = api.refresh(&signed_in, 0, Duration::ZERO).await.unwrap();
    assert_eq!(groups_of(&refreshed.identity.unwrap()), ["wiki"]);
    api.answers(USER, ok(&json!({"id": 999_999, "login": "alice"})));
    let refused = api.refresh(&signed_in, 0, Duration::ZERO).await;
    assert!(matches!(refused, Err(RefreshError::Untrusted(_))), "{refused:?}");
    api.answers(USER, Reply::json(401, &json!({})));
    let refused = api.refresh(&signed_in, 0, Duration::ZERO).await;
    assert!(matches!(refused, Err(RefreshError::Untrusted(_))), "{refused:?}");
}

#[tokio::test]
async fn errors_of_github_with_status_200_are_errors() {
    let api = github().await;
    let error = |code: &str| ok(&json!({"error": code, "error_description": "x"}));
    api.answers(TOKEN, error("bad_verification_code"));
    assert!(matches!(api.complete().await, Err(Error::Refused(_))));
    api.answers(TOKEN, error("incorrect_client_credentials"));
    assert!(matches!(api.complete().await, Err(Error::Misconfigured(_))));

    let api = github().await;
    let signed_in = api.complete().await.unwrap();
    api.answers(TOKEN, error("bad_refresh_token"));
    let refused = api.refresh(&signed_in, 0, Duration::ZERO).await;
    assert!(matches!(refused, Err(RefreshError::Ended(_))), "{refused:?}");
    // A changed secret signs no user out.
    api.answers(TOKEN, error("incorrect_client_credentials"));
    let refused = api.refresh(&signed_in, 0, Duration::ZERO).await;
    assert!(matches!(refused, Err(RefreshError::Temporary(_))), "{refused:?}");
}

#[tokio::test]
async fn generic_oauth2_has_none_of_what_github_has() {
    let user = |it: &mut Settings| it.claims.user = ClaimPath::parse("id").unwrap();
    let api = api_of("oauth2", None, user).await;
    let signed_in = api.complete().await.unwrap();
    assert_eq!(&*signed_in.identity.subject, "583231");
    assert_eq!(signed_in.identity.email.as_deref(), Some("public@example.com"));
    assert!(groups_of(&signed_in.identity).is_empty());
    for path in [EMAILS, ORGS, TEAMS] {
        assert_eq!(api.op.seen(path).len(), 0, "{path}");
    }
    let error = json!({"error": "incorrect_client_credentials"});
    api.answers(TOKEN, ok(&error));
    let refused = api.refresh(&signed_in, 0, Duration::ZERO).await;
    assert!(matches!(refused, Err(RefreshError::Ended(_))), "{refused:?}");
    api.provider.revoke(Some(&Secret::new("at")), Some(&Secret::new("rt"))).await.unwrap();
    assert_eq!(api.op.seen(APPLICATION).len(), 0);
}

#[tokio::test]
async fn github_deletes_the_access_token() {
    let api = github().await;
    let revoked = || async { api.provider.revoke(Some(&Secret::new("at")), None).await };
    api.answers(APPLICATION, Reply::Answer(204, "", String::new()));
    revoked().await.unwrap();
    let [request] = &api.op.seen(APPLICATION)[..] else { panic!("one request") };
    assert_eq!(request.method, http::Method::DELETE);
    assert_eq!(request.headers["authorization"], "Basic dXM6c2VjcmV0");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["x-github-api-version"], "2022-11-28");
    assert_eq!(&request.body[..], br#"{"access_token":"at"}"#);
    for unknown in [404, 422] {
        api.answers(APPLICATION, Reply::json(unknown, &json!({})));
        revoked().await.unwrap();
    }
    for failure in [Reply::json(401, &json!({})), Reply::json(500, &json!({})), Reply::Drop] {
        api.answers(APPLICATION, failure.clone());
        assert!(revoked().await.is_err(), "{failure:?}");
    }
    let before = api.op.seen(APPLICATION).len();
    api.provider.revoke(None, Some(&Secret::new("rt"))).await.unwrap();
    assert_eq!(api.op.seen(APPLICATION).len(), before, "there is no access token");
}

const APPLICATION: &str = "/api/v3/applications/us/token";

#[tokio::test]
async fn facebook_gets_a_proof_of_the_secret_and_vouches_for_no_address() {
    let strict = |strict| async move {
        let api = api_of("facebook", None, |it| it.require_email_verified = strict).await;
        let me = json!({"id": "101", "email": "alice@example.com", "email_verified": true});
        api.answers(USER, ok(&me));
        let identity = api.identity().await;
        assert_eq!(&*identity.subject, "101");
        assert!(groups_of(&identity).is_empty());
        let [token] = &api.op.seen(TOKEN)[..] else { panic!("one token request") };
        assert_eq!(token.form["client_secret"], "secret");
        assert!(!token.headers.contains_key("authorization"));
        let [me] = &api.op.seen(USER)[..] else { panic!("one profile") };
        assert_eq!(me.query["fields"], "id,name,email");
        // echo -n at | openssl dgst -sha256 -hmac secret
        let proof = "71d6183b3a7d28dab38dc8d16d1ece5a9b4d8ea9d6f1a13e2f3f703624fc324f";
        assert_eq!(me.query["appsecret_proof"], proof);
        identity.email
    };
    assert_eq!(strict(true).await, None);
    assert_eq!(strict(false).await.as_deref(), Some("alice@example.com"));
}

#[tokio::test]
async fn bitbucket_has_workspaces_and_permissions_as_groups() {
    let workspaces = |names: &[&str]| {
        let one = |name: &&str| json!({"workspace": {"slug": name}});
        ok(&json!({"values": names.iter().map(one).collect::<Vec<_>>()}))
    };
    let api = api_of("bitbucket", None, |it| {
        let values = ["example", "other"].map(str::to_owned).to_vec();
        it.options = KindOptions::new(it.kind, BTreeMap::from([("workspaces", values)]));
    })
    .await;
    api.answers(USER, ok(&json!({"uuid": "{a-1}", "nickname": "alice", "username": "x"})));
    let address = json!({"email": "a@example.com", "is_primary": true, "is_confirmed": true});
    api.answers(EMAILS, ok(&json!({"values": [address]})));
    api.answers("/api/v3/user/workspaces", workspaces(&["example", "wiki"]));
    let permission = "/api/v3/user/workspaces/example/permission";
    api.answers(permission, ok(&json!({"permission": "owner"})));
    let identity = api.identity().await;
    assert_eq!(&*identity.subject, "{a-1}");
    assert_eq!(identity.email.as_deref(), Some("a@example.com"));
    assert_eq!(groups_of(&identity), ["example", "wiki", "example:owner"]);
    let other = "/api/v3/user/workspaces/other/permission";
    assert_eq!(api.op.seen(other).len(), 0, "the user is not a member");
    // The user has left in between.
    api.answers(permission, Reply::json(404, &json!({})));
    assert_eq!(groups_of(&api.identity().await), ["example", "wiki"]);
    api.answers(permission, Reply::json(500, &json!({})));
    let identity = api.identity().await;
    assert!(groups_of(&identity).is_empty() && identity.groups_missing);
    api.answers(permission, ok(&json!({"permission": "owner:x"})));
    assert!(groups_of(&api.identity().await).is_empty());
}
