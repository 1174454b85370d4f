//! Claims of the access token: which a session has, and which it must not have.

use super::*;
use crate::identity::Identity;
use crate::identity::claims::{ClaimPath, GroupsPath};
use crate::identity::incomplete::Incomplete;

const ROLES: &str = "access_token:/realm_access/roles";

/// A provider whose roles are in the access token. Its ID token has all other claims.
async fn scene_with_roles() -> Scene {
    let scene = scene(|settings| {
        settings.claims.groups = GroupsPath::parse(ROLES).unwrap();
    })
    .await;
    scene.script(|script| {
        script.id_token = json!({"preferred_username": "al", "email_verified": true});
        script.access_token = json!({});
    });
    scene
}

fn groups(identity: &Identity) -> Vec<String> {
    identity.groups().map(|group| group.into_owned()).collect()
}

fn incomplete(identity: &Identity) -> Option<Incomplete> {
    identity.incomplete(&ClaimPath::parse_with_source(ROLES).unwrap())
}

impl Scene {
    async fn refresh_of(&self, signed_in: &SignedIn) -> Identity {
        let held = SessionBefore {
            identity: &signed_in.identity,
            baseline: &signed_in.baseline,
            outage_grace: Duration::ZERO,
        };
        let request = RefreshRequest { refresh_token: &Secret::new("rt"), held };
        self.provider.refresh(&request).await.unwrap().identity.unwrap()
    }
}

#[tokio::test]
async fn roles_of_the_access_token_are_groups_at_sign_in_and_at_each_refresh() {
    let scene = scene_with_roles().await;
    let signed_in = scene.complete().await.unwrap();
    assert_eq!(groups(&signed_in.identity), ["editor", "admin"]);
    assert_eq!(incomplete(&signed_in.identity), None);
    let kept = signed_in.identity.claims.read();
    assert_eq!(kept[ROLES], json!(["editor", "admin"]));
    assert_eq!((&kept["sub"], &kept["aud"]), (&json!("alice"), &json!("us")));
    assert!(!kept.contains_key("azp") && !kept.contains_key("realm_access"), "{kept:?}");
    assert!(scene.op.seen("/userinfo").is_empty());

    scene.script(|script| script.access_token = json!({"realm_access": {"roles": ["editor"]}}));
    assert_eq!(groups(&scene.refresh_of(&signed_in).await), ["editor"]);
    // A refresh may leave out the ID token, but the roles are in the new access token.
    scene.script(|script| script.reply = json!({"id_token": null}));
    let identity = scene.refresh_of(&signed_in).await;
    assert_eq!(
        (groups(&identity), identity.name.as_deref()),
        (vec!["editor".into()], Some("Alice"))
    );
    scene.script(|script| script.access_token = json!("opaque"));
    let identity = scene.refresh_of(&signed_in).await;
    assert_eq!((groups(&identity).len(), identity.name.as_deref()), (0, Some("Alice")));
    assert_eq!(incomplete(&identity), Some(Incomplete::NoAccessToken));
}

#[tokio::test]
async fn access_token_for_an_api_is_read() {
    let scene = scene_with_roles().await;
    for members in [
        json!({"azp": null}),
        json!({"azp": null, "client_id": "us"}),
        json!({"aud": null, "nbf": 1}),
        json!({"aud": ["account", "api"]}),
    ] {
        scene.script(|script| script.access_token = members.clone());
        let identity = scene.complete().await.unwrap().identity;
        assert_eq!(groups(&identity), ["editor", "admin"], "{members}");
    }
}

#[tokio::test]
async fn access_token_that_is_not_valid_costs_its_claims_and_not_the_sign_in() {
    let scene = scene_with_roles().await;
    let issuer = scene.op.issuer();
    let UnixTime(now) = Clock::system().unix();
    let forged = {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let claims = json!({"iss": issuer, "azp": "us", "exp": now + 60,
                            "realm_access": {"roles": ["admin"]}});
        key.sign("at+jwt", claims.as_object().unwrap()).unwrap()
    };
    let mut unsigned = forged.clone();
    unsigned.truncate(forged.rfind('.').unwrap() + 1);
    for token in [
        json!("opaque"),
        json!("a.b.c"),
        json!(forged),
        json!(unsigned),
        json!({"iss": "https://op.example"}),
        json!({"iss": null}),
        json!({"exp": now - 61}),
        json!({"exp": null}),
        json!({"nbf": now + 3600}),
        json!({"azp": "them"}),
        json!({"azp": ["us"]}),
        json!({"client_id": "them"}),
    ] {
        scene.script(|script| script.access_token = token.clone());
        let identity = scene.complete().await.unwrap().identity;
        assert_eq!(groups(&identity), [""; 0], "{token}");
        assert_eq!(identity.name.as_deref(), Some("Alice"));
        assert_eq!(incomplete(&identity), Some(Incomplete::NoAccessToken), "{token}");
    }
}

/// Keycloak with lightweight access tokens.
#[tokio::test]
async fn access_token_without_roles_gives_no_groups() {
    let scene = scene_with_roles().await;
    scene.script(|script| script.access_token = json!({"realm_access": null}));
    let identity = scene.complete().await.unwrap().identity;
    assert_eq!((groups(&identity).len(), incomplete(&identity)), (0, None));
}

#[tokio::test]
async fn no_token_can_imitate_the_claims_of_the_other() {
    let scene = scene_with_roles().await;
    let claims = json!({ROLES: ["admin"], "access_token:": {"realm_access": {"roles": ["admin"]}},
        "access_token": {"realm_access": {"roles": ["admin"]}},
        "realm_access": {"roles": ["admin"]}});
    scene.script(|script| {
        script.id_token.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        script.access_token = json!("opaque");
        script.userinfo = Reply::json(200, &with(json!({"sub": "alice"}), &claims).into());
    });
    let signed_in = scene.complete().await.unwrap();
    assert_eq!(groups(&signed_in.identity), [""; 0]);
    assert_eq!(incomplete(&signed_in.identity), Some(Incomplete::NoAccessToken));
    assert_eq!(groups(&scene.refresh_of(&signed_in).await), [""; 0]);

    // Without a path into the access token, nothing of it is kept.
    let members = json!({"email": "root@example.com", "email_verified": true, "groups": ["root"]});
    let plain = self::scene(|settings| settings.userinfo = Userinfo::Never).await;
    plain.script(|script| {
        script.access_token = members;
        script.id_token = json!({ROLES: ["admin"]});
    });
    let identity = plain.complete().await.unwrap().identity;
    assert_eq!((identity.email.as_deref(), groups(&identity).len()), (None, 0));
    assert!(!identity.claims.read().keys().any(|name| name.starts_with("access_token")));
}

#[tokio::test]
async fn unverified_email_of_the_access_token_counts_for_nothing() {
    let path = ClaimPath::parse_with_source("access_token:email").unwrap();
    let scene = scene(|settings| settings.claims.email = path.clone()).await;
    scene.script(|script| {
        script.access_token = json!({"email": "root@example.com", "email_verified": true})
    });
    let identity = scene.complete().await.unwrap().identity;
    assert_eq!((identity.email.as_deref(), identity.email_withheld), (None, true));
    assert!(identity.claims.find(&path).is_none());
}
