//! A decision -> the answer to a `Check`.
//! Invariant: every identity header is set or removed, in every spelling that the request has, and the application
//! never sees the gateway's cookies. A denial is the answer that a browser would get over HTTP.

use http::HeaderValue;
use http::header::COOKIE;

use crate::body::Body;
use crate::endpoints::auth::decision::{AllowedSubrequest, Changes, Grounds};
use crate::endpoints::ext_authz::described::DescribedRequest;
use crate::grpc::{self, CheckResponse, DecisionMetadata, DenialStatus, HeaderChanges};
use crate::server::{Answered, ClientInfo};

/// The request is allowed. `caller` is the client of the call, which has noted the route.
pub(super) fn allowed(
    allowed: AllowedSubrequest,
    described: &DescribedRequest,
    caller: &ClientInfo,
) -> Answered {
    let AllowedSubrequest { headers, cookies, outcome, changes } = allowed;
    let mut made = HeaderChanges::default();
    for (name, value) in &headers {
        match text(value) {
            Some(text) if !text.is_empty() => made.set.push((name.clone(), text)),
            // SECURITY: an absent identity header would pass as the visitor sent it (CVE-2026-30851, T56).
            Some(_) | None => made.remove.push(name.clone()),
        }
    }
    match cookies {
        // Nothing to hide: what is no text, and so cannot be set, stays as it is.
        Some(others)
            if text(&others).is_none() && described.headers.get(COOKIE) == Some(&others) => {}
        Some(others) => match texts_of(&others) {
            Some(text) => made.set.push((COOKIE, text)),
            None => made.remove.push(COOKIE),
        },
        None => made.remove.push(COOKIE),
    }
    let mut metadata = DecisionMetadata { route: route(caller), ..DecisionMetadata::default() };
    if let Some(changes) = changes {
        let Changes { remove, grounds: Grounds { user, rule } } = *changes;
        let others = remove.into_iter().filter(|name| !headers.contains_key(name));
        made.remove.extend(others);
        (metadata.user, metadata.rule) = (user, Some(rule));
    }
    let response = grpc::answer(&CheckResponse::allowed(made, metadata).encode());
    Answered::new(response, outcome)
}

/// The request is not allowed: the client of Envoy gets this answer. `user` is set if the error is about one.
pub fn denied(answer: Answered, user: Option<String>, caller: &ClientInfo) -> Answered {
    let metadata = DecisionMetadata {
        user,
        route: route(caller),
        rule: answer.outcome.reason.as_deref().map(str::to_owned),
    };
    rejected(answer, metadata)
}

/// The same for a call that is rejected before it has a client.
pub fn rejected(answer: Answered, metadata: DecisionMetadata) -> Answered {
    let Answered { response, mut outcome } = answer;
    let (head, body): (_, Body) = response.into_parts();
    // The gateway's own pages are not streamed.
    let body = body.into_bytes().unwrap_or_default();
    let status = DenialStatus::of(head.status);
    outcome.visitor_status = Some(status.http());
    let response = CheckResponse::denied(status, &head.headers, &body, metadata).encode();
    Answered::new(grpc::answer(&response), outcome)
}

fn route(caller: &ClientInfo) -> Option<String> {
    caller.route().map(|route| route.name().to_owned())
}

/// A value as a text, which is all that a message can have.
fn text(value: &HeaderValue) -> Option<String> {
    str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
}

/// The cookies that are texts; `None` if there are none.
fn texts_of(cookies: &HeaderValue) -> Option<String> {
    let all = cookies.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let texts: Vec<&str> = all.filter_map(|cookie| str::from_utf8(cookie).ok()).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
