//! Forwards a request that has a `Permit`: removes spoofed headers, adds identity headers, sends it to the upstream.
//! Invariant: no other code sends a client's request to an upstream, and none does without a permit for its route.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;

use crate::error::Error;
use crate::gate::Gate;
use crate::gate::decide::Permit;
use crate::gate::identify::{Authentication, Member, Visitor};
use crate::gate::leaving::end_with_process;
use crate::gate::present_rules::Standing;
use crate::gate::reach::remove_overrides;
use crate::gate::route::Route;
use crate::server::{Answered, ClientInfo, Incoming, Peer};
use crate::session::Freshness;
use crate::telemetry::access_log::{LoggedDecision, Outcome};
use crate::telemetry::metrics::Limit;
use crate::upstream::{
    self, Answer, BoundConnections, Carrier, ClientSide, Forwarded, Holder, StrippedRequest,
};

impl Gate {
    /// Forwards a request, and streams the response.
    pub async fn forward(&self, permit: Permit<'_>, incoming: Incoming) -> Result<Answered, Error> {
        let client = Arc::clone(&incoming.client);
        let (member, authentication) = (permit.visitor().member(), permit.authentication());
        // Prepared before the first await, so that the values used for it are not held until the answer.
        let sent = self.send(&permit, incoming)?;
        // Boxed because hyper keeps memory for the whole future while the client's connection is idle.
        let answer = Box::pin(sent).await?;
        let mut response = match answer {
            Answer::Response(response) => response,
            Answer::Switched(response, tunnel) => {
                let on_bytes = self.touching(member.map(|member| &member.session));
                let standing = member.map(|member| Standing::of(self, member, authentication));
                let ending = self.tunnel_ending(standing, &client);
                client.tasks().spawn(tunnel.run(on_bytes, ending));
                response
            }
        };
        self.party.cookies().strip_response(response.headers_mut());
        if let Some(member) = member {
            if !response.headers().contains_key(CACHE_CONTROL) {
                // SECURITY: a shared cache would show a user's page to other users.
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private"));
            }
            self.bind_response(&client, &response, member, authentication);
        }
        end_with_process(&mut response, &client);
        let outcome = Outcome {
            decision: Some(LoggedDecision::Allow),
            subject: member.map(|member| member.data.identity.subject.clone()),
            ..Outcome::default()
        };
        Ok(Answered { response, outcome })
    }

    /// Replaces headers of a request for the upstream, and sends it.
    fn send<'r>(
        &self,
        permit: &Permit<'r>,
        Incoming { mut request, client }: Incoming,
    ) -> Result<impl Future<Output = Result<Answer, upstream::Error>> + use<'r>, Error> {
        let route = permit.route();
        let upstream = route.upstream.as_ref().ok_or(Error::NoRoute)?;
        // First hop-by-hop headers are removed, then identity headers; then the gateway's own are added.
        let stripped = upstream::strip(&mut request);
        self.strip(route, request.headers_mut());
        self.inject(permit, request.headers_mut())?;
        // A user who sends a body is not idle, even if that takes longer than the idle timeout.
        let sender = permit.visitor().member().filter(|_| !request.body().is_end_stream());
        let on_bytes = self.touching(sender.map(|member| &member.session));
        if let Some(sender) = sender {
            self.bind(&client, sender, permit.authentication());
        }
        let holder = holder(permit.visitor(), &client);
        let forwarded = forwarded(&client);
        let side = ClientSide { holder, carrier: carrier(&stripped, client) };
        Ok(upstream.send(request, stripped, forwarded, route.request_body, side, on_bytes))
    }

    /// Removes headers that only the gateway may set, and cookies that only it may read.
    fn strip(&self, route: &Route, headers: &mut HeaderMap) {
        self.stripped.strip(headers);
        self.party.cookies().strip_request(headers);
        if route.sets_authorization {
            headers.remove(AUTHORIZATION);
        }
        if route.restricts_methods {
            remove_overrides(headers);
        }
    }

    /// The fields of an answer that allows the auth subrequest.
    pub fn answer_headers(&self, permit: &Permit<'_>) -> Result<HeaderMap, Error> {
        let (route, most) = (permit.route(), self.identity_header_bytes);
        let Some(member) = permit.visitor().member() else { return Ok(route.answer.anonymous()) };
        let values = member.data.answer(&route.answer, &route.identity_headers, most);
        self.report_left_out(route, member, &values.left_out);
        let mut headers = route.answer.filled(&values);
        if route.uses_access_token {
            self.inject_access_token(permit, member, &mut headers)?;
            for name in route.answer.withheld() {
                headers.insert(name, HeaderValue::from_static(""));
            }
        }
        Ok(headers)
    }

    /// Adds the identity headers of the route; for a visitor who is not signed in, those without a placeholder.
    pub fn inject(&self, permit: &Permit<'_>, headers: &mut HeaderMap) -> Result<(), Error> {
        let route = permit.route();
        for (name, value) in &route.constant_headers {
            headers.insert(name, value.clone());
        }
        let Some(member) = permit.visitor().member() else { return Ok(()) };
        let rendered = member.data.headers(&route.identity_headers, self.identity_header_bytes);
        self.report_left_out(route, member, &rendered.left_out);
        for (name, value) in &rendered.always {
            headers.insert(name, value.clone());
        }
        if route.uses_access_token {
            self.inject_access_token(permit, member, headers)?;
        }
        Ok(())
    }

    /// Adds the identity headers that contain the access token, while it is valid.
    fn inject_access_token(
        &self,
        permit: &Permit<'_>,
        member: &Member,
        headers: &mut HeaderMap,
    ) -> Result<(), Error> {
        let (data, now) = (&member.data, self.party.clock().moment());
        if data.tokens.access_token_is_valid(now) {
            let rules = &permit.route().identity_headers;
            let rendered = data.headers(rules, self.identity_header_bytes);
            for (name, value) in &rendered.with_access_token {
                headers.insert(name, value.clone());
            }
        } else if data.tokens.freshness(now) == Freshness::Expired
            && permit.authentication() == Authentication::Required
        {
            // The provider is unavailable, and the upstream would reject the request without a valid token.
            return Err(Error::NoAccessToken);
        }
        Ok(())
    }
}

impl Gate {
    /// Counts and logs identity headers that were left out.
    fn report_left_out(&self, route: &Route, member: &Member, names: &[HeaderName]) {
        if names.is_empty() {
            return;
        }
        let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
        let (names, subject) = (names.join(", "), &member.data.identity.subject);
        let detail = format_args!(
            "{names} of {subject:?} left out on the route {}: all of them together are longer than \
             server.limits.identity_header_bytes",
            route.name
        );
        self.party.metrics().limit_hit(Limit::IdentityHeaders, detail);
    }
}

/// Whose share of the upstream connections a request uses.
fn holder(visitor: &Visitor, client: &ClientInfo) -> Holder {
    match visitor.member() {
        Some(member) => Holder::Counted(Arc::clone(member.session.upstream_connections())),
        // A connection of a proxy carries requests of many clients.
        None if client.is_trusted() => Holder::Address(client.address()),
        None => Holder::Counted(Arc::clone(client.upstream_connections())),
    }
}

/// Whether the client's connection carries requests of one visitor only. A connection of a proxy carries many, and
/// one of HTTP/2 may.
fn carrier(
    stripped: &StrippedRequest,
    client: Arc<ClientInfo>,
) -> Carrier<impl FnOnce() -> BoundConnections + use<>> {
    let bound = client.attached::<BoundConnections>();
    if stripped.carries_several() || client.is_trusted() || !matches!(client.peer(), Peer::Ip(_)) {
        // SECURITY: a connection to the upstream that is authenticated by NTLM for one visitor must not serve another.
        bound.inspect(|bound| bound.close());
        return Carrier::SeveralClients;
    }
    let bound = bound.cloned();
    let bind = move || client.attach::<BoundConnections>().cloned().unwrap_or_default();
    Carrier::OneClient { bound, bind }
}

fn forwarded(client: &ClientInfo) -> Forwarded {
    Forwarded {
        chain: client.forwarded_for(),
        proto: HeaderValue::from_static(client.scheme().as_str()),
        host: client.authority().to_value(),
        port: match client.port() {
            // Nearly every request has one of these ports.
            443 => HeaderValue::from_static("443"),
            80 => HeaderValue::from_static("80"),
            port => HeaderValue::from(port),
        },
        prefix: None,
        address: client.real_ip(),
        request_id: client.request_id().to_value(),
    }
}
