//! How the JSON answers can be wrong: those of the token endpoint, userinfo, the discovery document and the
//! JWK Set.

use http::StatusCode;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use portcullis::jose::Algorithm;
use serde_json::{Map, Value, json};

use super::Facts;
use super::answer::Answer;

faults! {
    /// What is wrong with the token endpoint's answer.
    TokenFault of Answer {
        NoTokenType "no token_type" => |answer, _| drop(answer.members.remove("token_type")),
        TokenTypeMac "token_type is mac" => |answer, _| answer.set("token_type", json!("mac")),
        NoAccessToken "no access_token" => |answer, _| drop(answer.members.remove("access_token")),
        NoRefreshToken "no refresh_token" =>
            |answer, _| drop(answer.members.remove("refresh_token")),
        NoExpiresIn "no expires_in" => |answer, _| drop(answer.members.remove("expires_in")),
        ExpiresNegative "expires_in is -1" => |answer, _| answer.set("expires_in", json!(-1)),
        ExpiresHuge "expires_in is 1e18" => |answer, _| answer.set("expires_in", json!(1e18)),
        ExpiresFraction "expires_in is 3600.5" =>
            |answer, _| answer.set("expires_in", json!(3600.5)),
        ExpiresText "expires_in is a text" => |answer, _| answer.set("expires_in", json!("3600")),
        InvalidGrant "400 invalid_grant" =>
            |answer, _| *answer = Answer::error(StatusCode::BAD_REQUEST, "invalid_grant"),
        ErrorOther "invalid_request in place of invalid_grant" => |answer, _| {
            if answer.status == StatusCode::BAD_REQUEST {
                *answer = Answer::error(StatusCode::BAD_REQUEST, "invalid_request");
            }
        },
        ErrorFails "500 in place of invalid_grant" => |answer, _| {
            if answer.status == StatusCode::BAD_REQUEST {
                answer.status = StatusCode::INTERNAL_SERVER_ERROR;
            }
        },
        InvalidClient "401 invalid_client" =>
            |answer, _| *answer = Answer::error(StatusCode::UNAUTHORIZED, "invalid_client"),
        WrongSecret "401 unauthorized_client" =>
            |answer, _| *answer = Answer::error(StatusCode::UNAUTHORIZED, "unauthorized_client"),
        UnauthorizedClient "400 unauthorized_client" =>
            |answer, _| *answer = Answer::error(StatusCode::BAD_REQUEST, "unauthorized_client"),
        InteractionRequired "400 interaction_required" =>
            |answer, _| *answer = Answer::error(StatusCode::BAD_REQUEST, "interaction_required"),
        SlowDown "400 slow_down" =>
            |answer, _| *answer = Answer::error(StatusCode::BAD_REQUEST, "slow_down"),
        NotOk "200 with ok: false" => |answer, _| {
            answer.members.clear();
            answer.set("ok", json!(false));
        },
        ErrorAsSuccess "an error body with status 200" =>
            |answer, _| *answer = Answer::error(StatusCode::OK, "invalid_grant"),
        Created "the right body with status 201" => |answer, _| answer.status = StatusCode::CREATED,
        TextPlain "the right body as text/plain" => |answer, _| answer.head(CONTENT_TYPE, "text/plain"),
        ByteOrderMark "the right body behind a byte order mark" => |answer, _| {
            answer.text = Some(format!("\u{feff}{}", json!(answer.members)));
        },
        RedirectAway "302 to /evil" => |answer, facts| answer.go(StatusCode::FOUND, &facts.evil()),
        RedirectAgain "307 to /evil" =>
            |answer, facts| answer.go(StatusCode::TEMPORARY_REDIRECT, &facts.evil()),
    }
}

faults! {
    /// What is wrong with the userinfo answer.
    UserinfoFault of Answer {
        NoSub "no sub" => |answer, _| drop(answer.members.remove("sub")),
        SubOther "another person's sub" => |answer, _| answer.set("sub", json!("demo-mallory")),
        Signed "a signed JWT" => |answer, facts| {
            answer.head(CONTENT_TYPE, "application/jwt");
            answer.text = facts.keys.main().sign("JWT", &answer.members).ok();
        },
        InvalidToken "401 invalid_token" => |answer, _| {
            *answer = Answer::error(StatusCode::UNAUTHORIZED, "invalid_token");
            answer.head(WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#);
        },
        RedirectAgain "307 to /evil" =>
            |answer, facts| answer.go(StatusCode::TEMPORARY_REDIRECT, &facts.evil()),
        LineBreaks "CR LF in email, name and groups" => |answer, _| {
            answer.set("email", json!("alice@example.com\r\nX-Injected: 1"));
            answer.set("name", json!("Alice\r\nX-Injected: 1"));
            answer.set("groups", json!(["staff\r\nX-Injected: 1", "\nstaff\0"]));
        },
        WrongTypes "email an object, groups a text, name null" => |answer, _| {
            answer.set("email", json!({"value": "alice@example.com"}));
            answer.set("groups", json!("staff"));
            answer.set("name", Value::Null);
        },
        Html "an HTML page with status 200" => |answer, _| {
            answer.head(CONTENT_TYPE, "text/html");
            answer.text = Some("<html>".to_owned());
        },
        EmailUnverified "email_verified is false" =>
            |answer, _| answer.set("email_verified", json!(false)),
        EmailVerifiedText "email_verified is the text true" =>
            |answer, _| answer.set("email_verified", json!("true")),
    }
}

faults! {
    /// What is wrong with the discovery document.
    DiscoveryFault of Answer {
        IssuerOther "other issuer" =>
            |answer, _| answer.set("issuer", json!("https://evil.example")),
        IssuerSlash "issuer with a slash added" =>
            |answer, facts| answer.set("issuer", json!(format!("{}/", facts.issuer))),
        NoIssuer "no issuer" => |answer, _| drop(answer.members.remove("issuer")),
        UnknownMembers "unknown members" =>
            |answer, _| answer.set("future", json!({"of": ["unknown", "kind"]})),
        NoJwksUri "no jwks_uri" => |answer, _| drop(answer.members.remove("jwks_uri")),
        NoTokenEndpoint "no token_endpoint" =>
            |answer, _| drop(answer.members.remove("token_endpoint")),
        NoAuthorizationEndpoint "no authorization_endpoint" =>
            |answer, _| drop(answer.members.remove("authorization_endpoint")),
        EndpointArrays "endpoints are arrays" => |answer, _| {
            for (name, value) in &mut answer.members {
                if name.ends_with("_endpoint") {
                    *value = json!([value]);
                }
            }
        },
        HttpTokenEndpoint "http token_endpoint" => |answer, _| downgrade(answer, "token_endpoint"),
        HttpJwksUri "http jwks_uri" => |answer, _| downgrade(answer, "jwks_uri"),
        HttpAuthorizationEndpoint "http authorization_endpoint" =>
            |answer, _| downgrade(answer, "authorization_endpoint"),
        JwksFile "jwks_uri file:///etc/passwd" =>
            |answer, _| answer.set("jwks_uri", json!("file:///etc/passwd")),
        OnlyNone "only none advertised" =>
            |answer, _| answer.set("id_token_signing_alg_values_supported", json!(["none"])),
        NoPkce "code_challenge_methods_supported absent" =>
            |answer, _| drop(answer.members.remove("code_challenge_methods_supported")),
        IssNotAnnounced "iss parameter not announced, though sent" => |answer, _| {
            drop(answer.members.remove("authorization_response_iss_parameter_supported"));
        },
        TextPlain "as text/plain" => |answer, _| answer.head(CONTENT_TYPE, "text/plain"),
        Nulls "null in optional members" => |answer, _| {
            for name in [
                "end_session_endpoint",
                "revocation_endpoint",
                "token_endpoint_auth_methods_supported",
                "code_challenge_methods_supported",
                "authorization_response_iss_parameter_supported",
                "prompt_values_supported",
                "scopes_supported",
            ] {
                answer.set(name, Value::Null);
            }
        },
        OptionalUnusable "optional endpoints that cannot be used" => |answer, _| {
            answer.set("userinfo_endpoint", json!("/userinfo"));
            answer.set("end_session_endpoint", json!(["https://op.example"]));
            answer.set("revocation_endpoint", json!("ftp://op.example/revoke"));
        },
        NoSelectAccount "no prompt select_account" =>
            |answer, _| answer.set("prompt_values_supported", json!(["none", "login", "consent"])),
        Redirect "302 to a valid copy under the same issuer" => |answer, facts| {
            answer.go(StatusCode::FOUND, &format!("{}/discovery-copy", facts.issuer));
        },
    }
}

faults! {
    /// What is wrong, or unusual, with the JWK Set. The signing key comes first in it.
    JwksFault of Answer {
        OneKeyNoKid "one key, no kid" => |answer, _| keys(answer, |keys| {
            keys.truncate(1);
            without(keys, &["kid"]);
        }),
        NoKids "several keys, no kid" => |answer, _| keys(answer, |keys| without(keys, &["kid"])),
        UnknownType "an unknown kty in front" =>
            |answer, _| keys(answer, |keys| keys.insert(0, json!({"kty": "FUTURE", "kid": "f"}))),
        NoUseNoAlg "no use, no alg" =>
            |answer, _| keys(answer, |keys| without(keys, &["use", "alg"])),
        Nulls "null in optional members" => |answer, _| keys(answer, |keys| each(keys, |key| {
            for name in ["use", "alg", "key_ops", "x5t"] {
                key.insert(name.to_owned(), Value::Null);
            }
        })),
        Padded "key material with padding" => |answer, _| keys(answer, |keys| each(keys, |key| {
            for name in ["n", "x", "y"] {
                if let Some(Value::String(text)) = key.get_mut(name) {
                    text.push_str(&"=".repeat((4 - text.len() % 4) % 4));
                }
            }
        })),
        NoKeys "no keys" => |answer, _| keys(answer, Vec::clear),
        NoMember "no member keys" => |answer, _| drop(answer.members.remove("keys")),
        ShortRsa "the RSA key cut to 1024 bits" =>
            |answer, _| keys(answer, |keys| each(keys, |key| {
            if let Some(Value::String(n)) = key.get_mut("n") {
                n.truncate(171);
                n.pop();
                n.push('w');
            }
        })),
        Oct "an oct key" =>
            |answer, _| keys(answer, |keys| {
                keys.insert(0, json!({"kty": "oct", "kid": "oct", "k": OCT_KEY}));
            }),
        SameKid "the same kid twice, the second key is right" => |answer, facts| {
            keys(answer, |keys| keys.insert(0, twin(facts)));
        },
        TwinNoKid "two keys of one kind, no kid, the second is right" =>
            |answer, facts| keys(answer, |keys| {
            keys.truncate(1);
            keys.insert(0, twin(facts));
            without(keys, &["kid"]);
        }),
        AlgOther "the signing key says another alg" => |answer, facts| {
            let other = if facts.keys.main().algorithm() == Algorithm::PS256 { "RS256" } else { "PS256" };
            keys(answer, |keys| each(keys.get_mut(..1).unwrap_or_default(), |key| {
                key.insert("alg".into(), json!(other));
            }));
        },
    }
}

fn downgrade(answer: &mut Answer, name: &str) {
    if let Some(Value::String(url)) = answer.members.get_mut(name) {
        *url = url.replacen("https://", "http://", 1);
    }
}

fn keys(answer: &mut Answer, change: impl FnOnce(&mut Vec<Value>)) {
    if let Some(Value::Array(keys)) = answer.members.get_mut("keys") {
        change(keys);
    }
}

/// Another key of the signing key's kind, RSA or P-256, under its name.
fn twin(facts: &Facts<'_>) -> Value {
    let main = facts.keys.main();
    let of_curve = main.algorithm() == Algorithm::ES256;
    let mut twin = if of_curve { facts.attacker } else { main }.public_jwk();
    each(std::slice::from_mut(&mut twin), |key| {
        if let Some(Value::String(n)) = key.get_mut("n") {
            // Still odd, still as long: a modulus to every reader, though its factors are unknown.
            let mut letters: Vec<_> = n.chars().collect();
            letters.get_mut(8..300).unwrap_or_default().reverse();
            *n = letters.into_iter().collect();
        }
        key.insert("kid".into(), json!(main.kid()));
    });
    twin
}

fn each(keys: &mut [Value], change: impl Fn(&mut Map<String, Value>)) {
    keys.iter_mut().filter_map(Value::as_object_mut).for_each(change);
}

fn without(keys: &mut [Value], names: &[&str]) {
    each(keys, |key| key.retain(|name, _| !names.contains(&name.as_str())));
}

/// The secret of [`JwksFault::Oct`], and the same as in a JWK.
pub(super) const OCT_SECRET: &str = "published-secret";
const OCT_KEY: &str = "cHVibGlzaGVkLXNlY3JldA";
