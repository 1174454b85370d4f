//! Where the requests of the client go, and how its kind wants assertions.

use std::collections::HashMap;

use super::*;

/// The paths of the provider that got a request, of these.
fn asked(scene: &Scene) -> Vec<&'static str> {
    let paths = ["/token", "/userinfo", "/revoke"];
    let at_alias = ["/mtls/token", "/mtls/userinfo", "/mtls/revoke"];
    paths.into_iter().chain(at_alias).filter(|path| !scene.op.seen(path).is_empty()).collect()
}

async fn sign_in_and_out(scene: &Scene) {
    let signed_in = scene.complete().await.unwrap();
    scene.refresh(&signed_in.baseline).await.unwrap();
    scene.provider.revoke(None, signed_in.tokens.refresh_token.as_ref()).await.unwrap();
}

/// Names endpoints for mTLS in the metadata.
fn announce_aliases(scene: &Scene) {
    let at = |path: &str| format!("{}/mtls{path}", scene.op.issuer());
    let [token, userinfo, revoke] = ["/token", "/userinfo", "/revoke"].map(at);
    let aliases = json!({"token_endpoint": token, "userinfo_endpoint": userinfo,
        "revocation_endpoint": revoke});
    scene.script(|script| script.discovery = json!({"mtls_endpoint_aliases": aliases}));
}

#[tokio::test]
async fn client_with_a_certificate_uses_the_endpoints_for_it_and_any_other_does_not() {
    let key = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    let certificate = ClientCertificate {
        chain: key.cert.pem(),
        key: Secret::new(key.signing_key.serialize_pem()),
    };
    let methods = [ClientAuth::TlsClientAuth, ClientAuth::SelfSignedTlsClientAuth]
        .map(|method| AuthMethods::Only(method(certificate.clone())));
    for method in methods {
        let scene = scene(|settings| settings.client_auth = method).await;
        announce_aliases(&scene);
        sign_in_and_out(&scene).await;
        assert_eq!(asked(&scene), ["/mtls/token", "/mtls/userinfo", "/mtls/revoke"]);
        let request = &scene.op.seen("/mtls/revoke")[0];
        assert_eq!(request.form.get("client_id").map(String::as_str), Some("us"));
    }
    let scene = scene(|_| {}).await;
    announce_aliases(&scene);
    sign_in_and_out(&scene).await;
    assert_eq!(asked(&scene), ["/token", "/userinfo", "/revoke"]);
}

/// The header and the claims of a JWT.
fn parts(token: &str) -> [Value; 2] {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&engine.decode(part).unwrap()).unwrap())
        .collect();
    parts.try_into().unwrap()
}

#[tokio::test]
async fn assertion_has_the_audience_and_the_algorithm_of_the_kind() {
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let key = Arc::new(key);
    for (kind, algorithm, at_token, at_revocation) in [
        ("oidc", "RS256", "", ""),
        ("keycloak", "RS256", "", ""),
        ("okta", "RS256", "/token", "/revoke"),
        ("entra", "PS256", "/token", "/token"),
    ] {
        let method = ClientAuth::PrivateKeyJwt { key: Arc::clone(&key), certificate: None };
        let scene = scene(|settings| {
            settings.kind = ProviderKind::by_name(kind).unwrap();
            settings.client_auth = AuthMethods::Only(method);
        })
        .await;
        let tokens = &Secret::new("rt");
        scene.provider.revoke(None, Some(tokens)).await.unwrap();
        drop(scene.complete().await);
        let check = |path: &str, audience: &str| {
            let form: HashMap<_, _> = scene.op.seen(path).remove(0).form;
            let [header, claims] = parts(&form["client_assertion"]);
            assert_eq!(header["alg"], algorithm, "{kind}");
            assert_eq!(claims["aud"], format!("{}{audience}", scene.op.issuer()), "{kind} {path}");
        };
        check("/token", at_token);
        check("/revoke", at_revocation);
    }
}

#[tokio::test]
async fn assertion_at_entra_names_the_certificate_as_entra_wants_it() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let parameters = rcgen::CertificateParams::new(["client.example".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&pair).unwrap();
    let method = ClientAuth::private_key_jwt(&pair.serialize_pem(), Some(certificate.der()));
    let scene = scene(|settings| {
        settings.kind = ProviderKind::by_name("entra").unwrap();
        settings.client_auth = AuthMethods::Only(method.unwrap());
    })
    .await;
    drop(scene.complete().await);
    let form = scene.op.seen("/token").remove(0).form;
    let [header, _] = parts(&form["client_assertion"]);
    let thumbprint = crate::oauth::client_assertion::Thumbprint::of(certificate.der());
    let expected = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint.as_str()});
    assert_eq!(header, expected);
}
