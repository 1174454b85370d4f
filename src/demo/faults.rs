//! How the demo provider misbehaves on demand: every fault is one line of a table.
//! A fault changes an honest answer just before it is sent, so that everything else about it stays right.
//! Several may be active at once; each touches its own part.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::authorization::AuthorizationResponse;
pub use super::id_token_faults::IdTokenFault;
use super::keyring::Keyring;
pub use super::network_faults::{Endpoint, NetworkFault};
use crate::jose::Algorithm;

/// One thing that is wrong with the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An endpoint fails below its protocol.
    Network(Endpoint, NetworkFault),
    /// The redirect back to the client.
    Authorization(AuthorizationFault),
    /// The ID Token of a grant.
    IdToken(Grant, IdTokenFault),
    /// The token endpoint's answer to a grant.
    Token(Grant, TokenFault),
    /// The token endpoint's answers of this kind come when the faults change.
    Late(TokenAnswer),
    /// The userinfo answer.
    Userinfo(UserinfoFault),
    /// The discovery document.
    Discovery(DiscoveryFault),
    /// The JWK Set.
    Jwks(JwksFault),
}

/// Which request of the token endpoint a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// `authorization_code`.
    SignIn,
    /// `refresh_token`.
    Refresh,
}

/// A kind of answer of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// Tokens.
    Tokens,
    /// An error, as to a code that was never issued.
    Error,
}

/// What a fault may want to know.
pub(super) struct Facts<'f> {
    pub(super) issuer: &'f str,
    pub(super) client_id: &'f str,
    pub(super) client_secret: &'f str,
    pub(super) now: i64,
    pub(super) keys: &'f Keyring,
}

/// Makes an enum of the left sides: what is wrong, said in words, and how it is done.
macro_rules! faults {
    ($(#[$doc:meta])* $name:ident of $part:ty { $($variant:ident $words:literal => $spoil:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $words] $variant,)*
        }

        impl $name {
            /// Every one of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What is wrong, in a few words.
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }

            pub(super) fn spoil(self, part: &mut $part, facts: &$crate::demo::faults::Facts<'_>) {
                let spoil: fn(&mut $part, &$crate::demo::faults::Facts<'_>) = match self {
                    $(Self::$variant => $spoil,)*
                };
                spoil(part, facts);
            }
        }
    };
}

pub(super) use faults;

faults! {
    /// What is wrong with the redirect back to the client.
    AuthorizationFault of AuthorizationResponse {
        IssOther "other iss parameter" => |response, _| response.set("iss", "https://evil.example"),
        IssTwice "right iss, then a wrong one" =>
            |response, _| response.add("iss", "https://evil.example"),
        NoIss "no iss parameter, though it was announced" => |response, _| response.remove("iss"),
        StateOther "other state" => |response, _| response.set("state", "other"),
        NoState "no state" => |response, _| response.remove("state"),
        NoCode "no code" => |response, _| response.remove("code"),
        NoParameters "no parameters" => |response, _| response.parameters.clear(),
        CodeTwice "two codes" => |response, _| response.add("code", "another"),
        CodeOther "a code that was never issued" => |response, _| response.set("code", "another"),
        AccessDenied "access_denied" => |response, _| response.fail("access_denied"),
        LoginRequired "login_required" => |response, _| response.fail("login_required"),
        TemporarilyUnavailable "temporarily_unavailable" =>
            |response, _| response.fail("temporarily_unavailable"),
        ErrorScript "error_description with a script" => |response, _| {
            response.fail("server_error");
            response.add("error_description", "<script>alert(1)</script>");
        },
        ErrorAndCode "error and code together" =>
            |response, _| response.add("error", "server_error"),
        ErrorStateOther "error with another state" => |response, _| {
            response.fail("access_denied");
            response.set("state", "other");
        },
        UnknownParameters "unknown parameters beside the right ones" => |response, _| {
            response.add("session_state", "abc");
            response.add("future", "1");
        },
        Fragment "parameters in the fragment" => |response, _| response.in_fragment = true,
    }
}

faults! {
    /// What is wrong with the token endpoint's answer.
    TokenFault of Answer {
        NoTokenType "no token_type" => |answer, _| drop(answer.members.remove("token_type")),
        TokenTypeMac "token_type is mac" => |answer, _| set(answer, "token_type", json!("mac")),
        NoAccessToken "no access_token" => |answer, _| drop(answer.members.remove("access_token")),
        NoRefreshToken "no refresh_token" =>
            |answer, _| drop(answer.members.remove("refresh_token")),
        NoExpiresIn "no expires_in" => |answer, _| drop(answer.members.remove("expires_in")),
        ExpiresNegative "expires_in is -1" => |answer, _| set(answer, "expires_in", json!(-1)),
        ExpiresHuge "expires_in is 1e18" => |answer, _| set(answer, "expires_in", json!(1e18)),
        ExpiresFraction "expires_in is 3600.5" =>
            |answer, _| set(answer, "expires_in", json!(3600.5)),
        ExpiresText "expires_in is a text" => |answer, _| set(answer, "expires_in", json!("3600")),
        InvalidGrant "400 invalid_grant" =>
            |answer, _| *answer = Answer::error(StatusCode::BAD_REQUEST, "invalid_grant", "on demand"),
        RefusalOther "invalid_request to a code that is refused" => |answer, _| {
            if answer.status == StatusCode::BAD_REQUEST {
                *answer = Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "on demand");
            }
        },
        RefusalFails "500 to a code that is refused" => |answer, _| {
            if answer.status == StatusCode::BAD_REQUEST {
                answer.status = StatusCode::INTERNAL_SERVER_ERROR;
            }
        },
        InvalidClient "401 invalid_client" =>
            |answer, _| *answer = Answer::error(StatusCode::UNAUTHORIZED, "invalid_client", "on demand"),
        ErrorAsSuccess "an error body with status 200" =>
            |answer, _| *answer = Answer::error(StatusCode::OK, "invalid_grant", "on demand"),
        Created "the right body with status 201" => |answer, _| answer.status = StatusCode::CREATED,
        TextPlain "the right body as text/plain" => |answer, _| answer.content_type = "text/plain",
        ByteOrderMark "the right body behind a byte order mark" => |answer, _| {
            answer.text = Some(format!("\u{feff}{}", json!(answer.members)));
        },
        RedirectAway "302 to /evil" => |answer, facts| go(answer, StatusCode::FOUND, evil(facts)),
        RedirectAgain "307 to /evil" =>
            |answer, facts| go(answer, StatusCode::TEMPORARY_REDIRECT, evil(facts)),
    }
}

faults! {
    /// What is wrong with the userinfo answer.
    UserinfoFault of Answer {
        NoSub "no sub" => |answer, _| drop(answer.members.remove("sub")),
        SubOther "another person's sub" => |answer, _| set(answer, "sub", json!("demo-mallory")),
        Signed "a signed JWT" => |answer, facts| {
            answer.content_type = "application/jwt";
            answer.text = facts.keys.main.sign("JWT", &answer.members).ok();
        },
        InvalidToken "401 invalid_token" => |answer, _| {
            *answer = Answer::error(StatusCode::UNAUTHORIZED, "invalid_token", "on demand")
                .challenge(r#"Bearer error="invalid_token""#);
        },
        RedirectAgain "307 to /evil" =>
            |answer, facts| go(answer, StatusCode::TEMPORARY_REDIRECT, evil(facts)),
        LineBreaks "CR LF in email, name and groups" => |answer, _| {
            set(answer, "email", json!("alice@example.com\r\nX-Injected: 1"));
            set(answer, "name", json!("Alice\r\nX-Injected: 1"));
            set(answer, "groups", json!(["staff\r\nX-Injected: 1", "\nstaff\0"]));
        },
        WrongTypes "email an object, groups a text, name null" => |answer, _| {
            set(answer, "email", json!({"value": "alice@example.com"}));
            set(answer, "groups", json!("staff"));
            set(answer, "name", Value::Null);
        },
        EmailUnverified "email_verified is false" =>
            |answer, _| set(answer, "email_verified", json!(false)),
        EmailVerifiedText "email_verified is the text true" =>
            |answer, _| set(answer, "email_verified", json!("true")),
    }
}

faults! {
    /// What is wrong with the discovery document.
    DiscoveryFault of Answer {
        IssuerOther "other issuer" =>
            |answer, _| set(answer, "issuer", json!("https://evil.example")),
        IssuerSlash "issuer with a slash added" =>
            |answer, facts| set(answer, "issuer", json!(format!("{}/", facts.issuer))),
        NoIssuer "no issuer" => |answer, _| drop(answer.members.remove("issuer")),
        UnknownMembers "unknown members" =>
            |answer, _| set(answer, "future", json!({"of": ["unknown", "kind"]})),
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
            |answer, _| set(answer, "jwks_uri", json!("file:///etc/passwd")),
        OnlyNone "only none advertised" =>
            |answer, _| set(answer, "id_token_signing_alg_values_supported", json!(["none"])),
        NoPkce "code_challenge_methods_supported absent" =>
            |answer, _| drop(answer.members.remove("code_challenge_methods_supported")),
        IssNotAnnounced "iss parameter not announced, though sent" => |answer, _| {
            drop(answer.members.remove("authorization_response_iss_parameter_supported"));
        },
        TextPlain "as text/plain" => |answer, _| answer.content_type = "text/plain",
        Redirect "302 to a valid copy under the same issuer" => |answer, facts| {
            go(answer, StatusCode::FOUND, format!("{}/discovery-copy", facts.issuer));
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
            let other = if facts.keys.main.algorithm() == Algorithm::PS256 { "RS256" } else { "PS256" };
            keys(answer, |keys| each(keys.get_mut(..1).unwrap_or_default(), |key| {
                key.insert("alg".into(), json!(other));
            }));
        },
    }
}

fn set(answer: &mut Answer, name: &str, value: Value) {
    answer.members.insert(name.to_owned(), value);
}

fn go(answer: &mut Answer, status: StatusCode, to: String) {
    answer.status = status;
    answer.location = Some(to);
    answer.members.clear();
}

/// Where no request must ever arrive; the provider counts those that do.
pub(super) fn evil(facts: &Facts<'_>) -> String {
    format!("{}/evil", facts.issuer)
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
    let main = &facts.keys.main;
    let of_curve = main.algorithm() == Algorithm::ES256;
    let mut twin = if of_curve { &facts.keys.attacker } else { main }.public_jwk();
    each(std::slice::from_mut(&mut twin), |key| {
        if let Some(Value::String(n)) = key.get_mut("n") {
            // Still odd, still as long: a modulus to every reader, though nobody has its factors.
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

/// The secret of [`JwksFault::Oct`], and the same as a JWK has it.
pub(super) const OCT_SECRET: &str = "published-secret";
const OCT_KEY: &str = "cHVibGlzaGVkLXNlY3JldA";
