//! The provider misbehaving: each fault does what its line says, and nothing else.

use super::*;
use jose::Error;

/// The ID Token of a sign-in with this fault, if there is one.
async fn faulty_token(scene: &Scene, fault: IdTokenFault) -> Option<String> {
    scene.idp.set_faults(&[Fault::IdToken(GrantType::SignIn, fault)]);
    scene.tokens().await["id_token"].as_str().map(str::to_owned)
}

/// The faults that show before any claim is read, and as what; the others are rightly signed.
const UNVERIFIABLE: [(IdTokenFault, Error); 22] = {
    use IdTokenFault as F;
    [
        (F::AlgNone, Error::Algorithm),
        (F::AlgNoneMixedCase, Error::Algorithm),
        (F::Hs256WrongSecret, Error::Algorithm),
        (F::Hs256ClientSecret, Error::Algorithm),
        (F::Hs256PublicKey, Error::Algorithm),
        (F::Hs256PublishedOct, Error::Algorithm),
        (F::KidTraversal, Error::Algorithm),
        (F::BitTurned, Error::Signature),
        (F::BitTurnedEs256, Error::Signature),
        (F::SignatureEmpty, Error::Signature),
        (F::SignatureDer, Error::Signature),
        (F::SignatureZero, Error::Signature),
        (F::HeaderJwk, Error::Signature),
        (F::HeaderJku, Error::UnknownKey),
        (F::HeaderX5u, Error::UnknownKey),
        (F::KidUnknown, Error::UnknownKey),
        (F::EncryptionKey, Error::UnknownKey),
        (F::HeaderCrit, Error::Critical),
        (F::NotAJwt, Error::NotCompact),
        (F::Empty, Error::NotCompact),
        (F::FiveParts, Error::Encrypted),
        (F::Padded, Error::Encoding),
    ]
};

/// Those that are rightly signed over what is no claims set of a bearable size.
const UNREADABLE: [(IdTokenFault, Error); 5] = {
    use IdTokenFault as F;
    [
        (F::PayloadText, Error::Payload),
        (F::PayloadArray, Error::Payload),
        (F::SubTwice, Error::Payload),
        (F::Deep, Error::Payload),
        (F::Huge, Error::TooLarge),
    ]
};

#[tokio::test]
async fn fault_of_an_id_token_changes_what_its_row_names() {
    let scene = Scene::start().await;
    for fault in IdTokenFault::ALL {
        let Some(token) = faulty_token(&scene, *fault).await else {
            assert_eq!(*fault, IdTokenFault::Missing);
            continue;
        };
        let rejected =
            UNVERIFIABLE.iter().chain(&UNREADABLE).find(|(rejected, _)| rejected == fault);
        let expected = rejected.map_or(Ok(()), |(_, error)| Err(*error));
        assert_eq!(scene.verify(&token).await.map(|_claims| ()), expected, "{}", fault.words());
    }
    scene.idp.set_faults(&[]);
    assert!(scene.verify(scene.tokens().await["id_token"].as_str().unwrap()).await.is_ok());
    assert_eq!(scene.idp.counts().evil, 0);
}

#[tokio::test]
async fn fault_of_claims_changes_what_its_row_names() {
    let scene = Scene::start().await;
    let now = scene.clock.unix().0;
    let issuer = scene.idp.issuer().to_owned();
    for (fault, claim, expected) in [
        (IdTokenFault::IssSlash, "iss", json!(format!("{issuer}/"))),
        (IdTokenFault::AudOther, "aud", json!("someone-else")),
        (IdTokenFault::NoAud, "aud", Value::Null),
        (IdTokenFault::AudLetter, "aud", json!("gatewayx")),
        (IdTokenFault::AudArray, "aud", json!(["gateway"])),
        (IdTokenFault::AudTwoAzpOther, "azp", json!("other")),
        (IdTokenFault::NoSub, "sub", Value::Null),
        (IdTokenFault::ExpHuge, "exp", json!(1e300)),
        (IdTokenFault::NonceArray, "nonce", json!(["n0nce"])),
        (IdTokenFault::NonceOther, "nonce", json!("other")),
    ] {
        let token = faulty_token(&scene, fault).await.unwrap();
        let claims = scene.verify(&token).await.unwrap();
        assert_eq!(claims[claim], expected, "{}", fault.words());
    }
    let token = faulty_token(&scene, IdTokenFault::ExpPast).await.unwrap();
    assert!(scene.verify(&token).await.unwrap()["exp"].as_i64().unwrap() < now - 3500);
}

#[tokio::test]
async fn fault_of_a_refresh_leaves_sign_ins_unchanged() {
    let scene = Scene::start().await;
    let faults = [
        Fault::IdToken(GrantType::Refresh, IdTokenFault::AudOther),
        Fault::Token(GrantType::Refresh, TokenFault::NoRefreshToken),
    ];
    scene.idp.set_faults(&faults);
    let tokens = scene.tokens().await;
    let claims = scene.verify(tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["aud"], "gateway");
    let refreshed = scene.refresh(tokens["refresh_token"].as_str().unwrap()).await.json();
    assert_eq!(refreshed["refresh_token"], Value::Null);
    let claims = scene.verify(refreshed["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["aud"], "someone-else");
}

#[tokio::test]
async fn fault_of_an_authorization_response_changes_what_its_row_names() {
    let scene = Scene::start().await;
    let SignedIn { cookie, .. } = scene.sign_in("alice").await;
    for fault in AuthorizationFault::ALL {
        scene.idp.set_faults(&[Fault::Authorization(*fault)]);
        let (_, answer) = scene.authorize(&[], &cookie).await;
        let location = Url::parse(&answer.headers["location"]).unwrap();
        let all = |name: &str| -> Vec<String> {
            let pairs = location.query_pairs().into_owned();
            pairs.filter(|(present, _)| present == name).map(|(_, value)| value).collect()
        };
        let issuer = scene.idp.issuer();
        use AuthorizationFault as F;
        let holds = match fault {
            F::IssOther => all("iss") == ["https://evil.example"],
            F::IssTwice => all("iss") == [issuer, "https://evil.example"],
            F::NoIss => all("iss").is_empty(),
            F::StateOther => all("state") == ["other"],
            F::NoState => all("state").is_empty(),
            F::NoCode => all("code").is_empty() && all("error").is_empty(),
            F::NoParameters => location.query().is_none(),
            F::CodeTwice => all("code").len() == 2,
            F::CodeOther => all("code") == ["another"],
            F::AccessDenied => all("error") == ["access_denied"] && all("code").is_empty(),
            F::LoginRequired => all("error") == ["login_required"],
            F::TemporarilyUnavailable => all("error") == ["temporarily_unavailable"],
            F::ErrorScript => all("error_description")[0].contains("<script>"),
            F::ErrorAndCode => all("error").len() == 1 && all("code").len() == 1,
            F::ErrorStateOther => all("error").len() == 1 && all("state") == ["other"],
            F::UnknownParameters => all("session_state").len() == 1 && all("code").len() == 1,
            F::Fragment => location.query().is_none() && location.fragment().is_some(),
        };
        assert!(holds, "{}: {location}", fault.words());
    }
}

/// Status, content type, target and body: all that a client can tell apart.
fn essence(received: &Received) -> (u16, &str, Option<&String>, &str) {
    let content_type = received.headers["content-type"].as_str();
    (received.status, content_type, received.headers.get("location"), &received.body)
}

#[tokio::test]
async fn fault_of_a_document_shows_until_it_is_removed() {
    let scene = Scene::start().await;
    let discovery = "/.well-known/openid-configuration";
    let faults = DiscoveryFault::ALL.iter().map(|fault| (discovery, Fault::Discovery(*fault)));
    let faults = faults.chain(JwksFault::ALL.iter().map(|fault| ("/jwks", Fault::Jwks(*fault))));
    let honest = HashMap::from([
        (discovery, scene.get(discovery).await),
        ("/jwks", scene.get("/jwks").await),
    ]);
    for (path, fault) in faults {
        // These need another scheme or key than this scene has.
        let needs_more = [
            Fault::Discovery(DiscoveryFault::HttpTokenEndpoint),
            Fault::Discovery(DiscoveryFault::HttpJwksUri),
            Fault::Discovery(DiscoveryFault::HttpAuthorizationEndpoint),
            Fault::Jwks(JwksFault::ShortRsa),
        ];
        scene.idp.set_faults(&[fault]);
        let spoiled = scene.get(path).await;
        let same = essence(&spoiled) == essence(&honest[path]);
        assert_eq!(same, needs_more.contains(&fault), "{fault:?}: {}", spoiled.body);
        scene.idp.set_faults(&[]);
        assert_eq!(essence(&scene.get(path).await), essence(&honest[path]), "after {fault:?}");
    }
}

#[tokio::test]
async fn fault_of_a_key_set_changes_what_its_row_names() {
    let scene = Scene::start().await;
    let honest = scene.tokens().await["id_token"].as_str().unwrap().to_owned();
    let nameless = faulty_token(&scene, IdTokenFault::NoKid).await.unwrap();
    for fault in JwksFault::ALL {
        scene.idp.set_faults(&[Fault::Jwks(*fault)]);
        use JwksFault as F;
        let (token, expected) = match fault {
            F::OneKeyNoKid | F::NoKids | F::TwinNoKid => (&nameless, Ok(())),
            F::UnknownType | F::NoUseNoAlg | F::Oct | F::SameKid | F::ShortRsa => (&honest, Ok(())),
            F::Nulls | F::Padded => (&honest, Ok(())),
            F::NoKeys => (&honest, Err(Error::UnknownKey)),
            // An EC key that says PS256 can do nothing.
            F::AlgOther => (&honest, Err(Error::UnknownKey)),
            F::NoMember => continue,
        };
        assert_eq!(scene.verify(token).await.map(|_| ()), expected, "{}", fault.words());
    }
}

#[tokio::test]
async fn fault_of_an_rsa_key_set_changes_what_its_row_names() {
    let clock = Clock::system();
    let idp = IdentityProvider::start(Settings::default(), clock.clone()).await.unwrap();
    let scene = Scene { idp, clock };
    let token = scene.idp.sign("JWT", &serde_json::Map::new()).unwrap();
    for (fault, expected) in [
        (JwksFault::NoUseNoAlg, Ok(())),
        (JwksFault::SameKid, Ok(())),
        (JwksFault::ShortRsa, Err(Error::UnknownKey)),
        (JwksFault::AlgOther, Err(Error::KeyMismatch)),
    ] {
        scene.idp.set_faults(&[Fault::Jwks(fault)]);
        assert_eq!(scene.verify(&token).await.map(|_| ()), expected, "{}", fault.words());
    }
}

#[tokio::test]
async fn fault_of_the_token_endpoint_shows_in_its_answer() {
    let scene = Scene::start().await;
    for fault in TokenFault::ALL {
        scene.idp.set_faults(&[Fault::Token(GrantType::SignIn, *fault)]);
        let SignedIn { code, .. } = scene.sign_in("alice").await;
        let answer = scene.exchange(&code, &[]).await;
        let members = || answer.json();
        use TokenFault as F;
        let holds = match fault {
            F::NoTokenType => members()["token_type"].is_null(),
            F::TokenTypeMac => members()["token_type"] == "mac",
            F::NoAccessToken => members()["access_token"].is_null(),
            F::NoRefreshToken => members()["refresh_token"].is_null(),
            F::NoExpiresIn => members()["expires_in"].is_null(),
            F::ExpiresNegative => members()["expires_in"] == -1,
            F::ExpiresHuge => members()["expires_in"] == 1e18,
            F::ExpiresFraction => members()["expires_in"] == 3600.5,
            F::ExpiresText => members()["expires_in"] == "3600",
            F::InvalidGrant => answer.status == 400 && members()["error"] == "invalid_grant",
            // These two change error responses only.
            F::ErrorOther | F::ErrorFails => {
                let rejected = scene.exchange("unknown", &[]).await;
                let other = *fault == F::ErrorOther;
                let (status, error) =
                    if other { (400, "invalid_request") } else { (500, "invalid_grant") };
                members()["access_token"].is_string()
                    && rejected.status == status
                    && rejected.json()["error"] == error
            }
            F::InvalidClient => answer.status == 401 && members()["error"] == "invalid_client",
            F::WrongSecret => answer.status == 401 && members()["error"] == "unauthorized_client",
            F::UnauthorizedClient => {
                answer.status == 400 && members()["error"] == "unauthorized_client"
            }
            F::InteractionRequired => members()["error"] == "interaction_required",
            F::SlowDown => answer.status == 400 && members()["error"] == "slow_down",
            F::NotOk => answer.status == 200 && members() == json!({"ok": false}),
            F::ErrorAsSuccess => answer.status == 200 && members()["error"] == "invalid_grant",
            F::Created => answer.status == 201 && members()["access_token"].is_string(),
            F::TextPlain => answer.headers["content-type"] == "text/plain",
            F::ByteOrderMark => answer.body.starts_with("\u{feff}{"),
            F::RedirectAway => {
                answer.status == 302 && answer.headers["location"].ends_with("/evil")
            }
            F::RedirectAgain => {
                answer.status == 307 && answer.headers["location"].ends_with("/evil")
            }
        };
        assert!(holds, "{}: {}", fault.words(), answer.body);
    }
}

#[tokio::test]
async fn fault_of_userinfo_shows_in_its_answer() {
    let scene = Scene::start().await;
    let token = scene.tokens().await["access_token"].clone();
    for fault in UserinfoFault::ALL {
        scene.idp.set_faults(&[Fault::Userinfo(*fault)]);
        let answer = scene.userinfo(&token).await;
        let members = || answer.json();
        use UserinfoFault as F;
        let holds = match fault {
            F::NoSub => members()["sub"].is_null(),
            F::SubOther => members()["sub"] == "demo-mallory",
            F::Signed => scene.verify(&answer.body).await.unwrap()["sub"] == "demo-alice",
            F::InvalidToken => answer.status == 401 && members()["error"] == "invalid_token",
            F::RedirectAgain => {
                answer.status == 307 && answer.headers["location"].ends_with("/evil")
            }
            F::LineBreaks => members()["email"].as_str().unwrap().contains("\r\n"),
            F::WrongTypes => members()["email"].is_object() && members()["name"].is_null(),
            F::Html => answer.body == "<html>",
            F::EmailUnverified => members()["email_verified"] == false,
            F::EmailVerifiedText => members()["email_verified"] == "true",
        };
        assert!(holds, "{}: {}", fault.words(), answer.body);
    }
}
