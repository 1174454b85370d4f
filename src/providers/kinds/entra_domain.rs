//! Whether an e-mail address at Entra is verified. Anyone who administers a tenant can write any address into the claim
//! `email` of its users.
//! Invariant: what a claim `email_verified` says has no part in it.
//! Source: learn.microsoft.com, "Migrate away from using email claims for user identification or authorization" for
//! `xms_edov`, and the ID token claims reference for `idp`.

use serde_json::{Map, Value};

use crate::oidc::discovery::IssuerMatch;

/// Replaces `email_verified` by what the ID token says about its own e-mail address.
pub fn write_email_verified(
    claims: &mut Map<String, Value>,
    id_token: &Map<String, Value>,
    tenants: &IssuerMatch,
) {
    let is_own = claims.get(EMAIL).is_some() && claims.get(EMAIL) == id_token.get(EMAIL);
    let is_verified = is_own && is_of_domain_owner(id_token, tenants);
    claims.insert("email_verified".into(), is_verified.into());
}

/// `xms_edov`, if the ID token has it. Without it, only the one tenant that the operator names is believed, about users
/// of its own.
// SECURITY: the account of a guest is administered elsewhere, and any tenant can invent addresses ("nOAuth").
fn is_of_domain_owner(id_token: &Map<String, Value>, tenants: &IssuerMatch) -> bool {
    match (id_token.get("xms_edov"), tenants) {
        (Some(Value::Bool(mark)), _) => *mark,
        (Some(Value::Number(mark)), _) => mark.as_u64() == Some(1),
        (Some(Value::String(mark)), _) => mark == "1" || mark == "true",
        (Some(Value::Null | Value::Array(_) | Value::Object(_)), _) => false,
        (None, IssuerMatch::OfTenant(_)) => false,
        (None, IssuerMatch::Exact) => is_no_guest(id_token),
    }
}

/// Whether the identity provider of the user is the tenant itself.
fn is_no_guest(id_token: &Map<String, Value>) -> bool {
    let text = |name| id_token.get(name).and_then(Value::as_str);
    match (id_token.get("idp"), text("tid")) {
        (None, _) => true,
        (Some(Value::String(idp)), tid) => {
            let of_tenant = tid.map(|tid| format!("https://sts.windows.net/{tid}/"));
            Some(idp.as_str()) == text("iss") || Some(idp) == of_tenant.as_ref()
        }
        (Some(_), _) => false,
    }
}

const EMAIL: &str = "email";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    #[track_caller]
    fn check(changes: Value, in_one: bool, in_several: bool) {
        let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
        let mut token = json!({"iss": issuer, "tid": TENANT, "email": "alice@example.com",
                               "email_verified": true});
        for (name, value) in changes.as_object().unwrap() {
            token[name] = value.clone();
        }
        let token = token.as_object().unwrap().clone();
        let several =
            IssuerMatch::OfTenant("https://login.microsoftonline.com/{tenantid}/v2.0".into());
        for (tenants, expected) in [(IssuerMatch::Exact, in_one), (several, in_several)] {
            let mut claims = token.clone();
            write_email_verified(&mut claims, &token, &tenants);
            assert_eq!(claims["email_verified"], expected, "{changes} {tenants:?}");
        }
    }

    #[test]
    fn mark_of_the_domain_owner_decides_where_there_is_one() {
        for mark in [json!(true), json!(1), json!("1"), json!("true")] {
            check(json!({"xms_edov": mark}), true, true);
            check(json!({"xms_edov": mark, "idp": "https://other.example"}), true, true);
        }
        for mark in
            [json!(false), json!(0), json!(2), json!("0"), json!("yes"), json!(null), json!([true])]
        {
            check(json!({"xms_edov": mark}), false, false);
        }
    }

    #[test]
    fn without_the_mark_only_members_of_one_tenant_are_believed() {
        check(json!({}), true, false);
        check(json!({"idp": format!("https://sts.windows.net/{TENANT}/")}), true, false);
        check(
            json!({"idp": format!("https://login.microsoftonline.com/{TENANT}/v2.0")}),
            true,
            false,
        );
        check(
            json!({"idp": "https://sts.windows.net/9122040d-6c67-4c5b-b112-36a304b66dad/"}),
            false,
            false,
        );
        check(json!({"idp": "live.com"}), false, false);
        check(json!({"idp": null}), false, false);
    }

    #[test]
    fn address_of_userinfo_is_not_verified_by_the_id_token() {
        let token = json!({"tid": TENANT, "xms_edov": true}).as_object().unwrap().clone();
        let mut claims = token.clone();
        claims.insert("email".into(), "mallory@example.net".into());
        claims.insert("email_verified".into(), true.into());
        write_email_verified(&mut claims, &token, &IssuerMatch::Exact);
        assert_eq!(claims["email_verified"], false);
    }
}
