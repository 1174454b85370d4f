//! `auth` and `forward_auth`: a proxy in front asks whether its visitor's request may pass.
//! What was asked (`original`, `narrowing`) -> `gate::decide`, as for our own proxying -> an answer.
//! Invariant: the answer is 202, 401 or 403, and 302 at `forward_auth`; it never sets a cookie, for not
//! every asker hands one on. nginx `auth_request`, Traefik ForwardAuth, Caddy `forward_auth`, HAProxy.

mod narrowing;
mod original;

use http::{HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::{Call, Endpoints};
use crate::error::{AskerFault, Error};
use crate::gate::challenge::{Asker, Challenged, answered, is_foreign_handshake};
use crate::gate::decide::{Asked, Decision, Permit, decide};
use crate::gate::identify::Visitor;
use crate::gate::reach::Reach;
use crate::gate::route::Route;
use crate::identity::headers::{Known, render};
use crate::pages::harden;
use crate::policy::Policy;
use crate::routing::path::Readings;
use crate::server::{Answered, Peer};
use crate::telemetry::access_log::Outcome;
use crate::telemetry::metrics::RouteMeter;
use original::Original;

/// A question that makes sense.
#[derive(Debug)]
struct Question<'a> {
    original: Original<'a>,
    route: &'a Route,
    readings: Readings<'a>,
    narrowing: Option<Policy>,
}

impl Endpoints {
    /// Any method at `auth[/PATH]` or `forward_auth[/PATH]`; counted at the route that is asked about.
    pub(super) async fn auth(
        &self,
        asker: Asker,
        suffix: Option<&str>,
        call: Call<'_>,
    ) -> (Option<&'static RouteMeter>, Result<Answered, Error>) {
        match self.question(suffix, call) {
            Ok(question) => (Some(question.route.meter), self.reply(&question, asker, call).await),
            Err(error) => (None, Err(error)),
        }
    }

    /// What is asked, and about which route.
    fn question<'a>(&'a self, suffix: Option<&str>, call: Call<'a>) -> Result<Question<'a>, Error> {
        // SECURITY: who may ask about any request could ask about one that passes, and mean another (T54).
        if !call.client.is_trusted() {
            return Err(self.distrust(call));
        }
        let original = Original::of(suffix, call).inspect_err(|fault| {
            if *fault == AskerFault::NoUri {
                tracing::warn!(request_id = %call.client.request_id(), "{fault}");
            }
        })?;
        let narrowing = match suffix {
            None => narrowing::of(&Query::parse(call.uri.query().unwrap_or_default()))?,
            // The query is the original request's.
            Some(_) => None,
        };
        let readings = Readings::of(original.target.split('?').next().unwrap_or_default())?;
        let route = self.routes.find(original.client.host(), &readings)?;
        // SECURITY: a stranger may have the same group or e-mail at another provider.
        if narrowing.is_some() && self.gate.takes_several(route) {
            return Err(AskerFault::NarrowingOfSeveral.into());
        }
        Ok(Question { original, route, readings, narrowing })
    }

    async fn reply(
        &self,
        question: &Question<'_>,
        asker: Asker,
        call: Call<'_>,
    ) -> Result<Answered, Error> {
        let Question { original, route, readings, narrowing } = question;
        let Original { client, method, target } = original;
        let (method, headers) = (method.as_ref(), call.headers);
        let reach = Reach::of(method, headers, &self.routes, route, || client.origin());
        let asked = Asked {
            route,
            method,
            readings,
            reach: &reach,
            client_address: client.address(),
            narrowing: narrowing.as_ref(),
            foreign_origin: is_foreign_handshake(route, headers, client),
        };
        let visitor = if matches!(route.allow, Policy::Public) && narrowing.is_none() {
            Visitor::Stranger
        } else {
            self.gate.identify(asked.need(), headers).await
        };
        match decide(&asked, visitor) {
            Decision::Forward(permit) => self.admit(&permit),
            Decision::Challenge => {
                let challenged = Challenged { route, method, headers, target, client };
                self.gate.challenge_for_asker(challenged, asker).map(answered)
            }
            Decision::Refuse(refusal) => Err(self.gate.refused(route, &refusal, client, target)),
            Decision::Ambiguous(reading) => Err(Error::Ambiguous { reading }),
        }
    }

    /// Tells the operator, who may just have forgotten a line; tells a stranger nothing new.
    fn distrust(&self, call: Call<'_>) -> Error {
        let peer = match call.client.peer() {
            Peer::Ip(address) => address.to_string(),
            Peer::Unix => "unix".to_owned(),
        };
        tracing::warn!(
            request_id = %call.client.request_id(),
            "{}: add {peer} to server.trusted_proxies",
            AskerFault::NotTrusted
        );
        match self.gate.session(call.headers) {
            Some(_) => AskerFault::NotTrusted.into(),
            None => Error::NotSignedIn { login_url: self.gate.own_url("/start"), cookies: None },
        }
    }

    /// 202, with all that an upstream may be told of its visitor.
    fn admit(&self, permit: &Permit<'_>) -> Result<Answered, Error> {
        let (route, member) = (permit.route(), permit.visitor().member());
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        // SECURITY: what is absent here some askers leave as their visitor sent it (CVE-2026-30851, T56).
        for rule in self.auth_request.iter().chain(route.identity_headers.iter()) {
            headers.insert(rule.name.clone(), HeaderValue::from_static(""));
        }
        if let Some(member) = member {
            let identity = &member.holding.identity;
            let known = Known { identity, access_token: None, id_token: None };
            let rendered = render(&self.auth_request, known);
            self.gate.report_left_out(route, member, &rendered.left_out);
            for (name, value) in rendered.always {
                headers.insert(name, value);
            }
        }
        self.gate.inject(permit, headers)?;
        harden(headers);
        let outcome = Outcome {
            route: Some(route.meter),
            decision: Some("admit"),
            reason: None,
            subject: member.map(|member| member.holding.identity.subject.clone()),
        };
        Ok(Answered::new(response, outcome))
    }
}
