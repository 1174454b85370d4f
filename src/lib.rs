//! Portcullis is a reverse-proxy authentication gateway: the OpenID Connect relying party in front of
//! applications that have no sign-in of their own. This page is the map of the code.
//!
//! # One request
//!
//! 1. [`server`] accepts the connection, holds its deadlines, and rejects what is not clearly one HTTP request
//!    (`connection`, `request_head`, `service`). `client_info` determines the client's address, which a load balancer may
//!    announce (`proxy_protocol`).
//! 2. [`app`] `dispatch` takes a path of the gateway to [`endpoints`], every other one to a route of [`gate`].
//! 3. [`routing`] lists the ways in which an application could interpret the path.
//! 4. [`gate`] finds the session by its cookie (`identify`) and decides (`decide`) by the rules of [`policy`]. Only
//!    `decide` makes a permit, and without a permit nothing is forwarded.
//! 5. `gate::forward` removes the headers that clients must not send (`upstream::reserved`), adds the identity headers
//!    (`identity::headers`), and sends the request to [`upstream`]. A client without a session is redirected to sign
//!    in, or gets 401 (`gate::challenge`).
//! 6. An error becomes status, page and log reason in [`error`], and a page in [`pages`].
//!
//! With forward auth a front proxy forwards the request itself. It sends an auth subrequest to `endpoints::auth`, which
//! has the same routes and rules, and answers with its `decision`. Envoy can call `endpoints::ext_authz` over gRPC
//! instead, which has the same `decision`. `app::explain` prints a decision for an operator.
//!
//! # One sign-in
//!
//! 1. `endpoints::start` calls `login::begin`. What the callback needs is sealed into the `state` parameter
//!    (`login::pending`); the gateway stores nothing.
//! 2. The provider authenticates the user and redirects to `endpoints::callback`, or its page posts there (`form`).
//! 3. `login::complete` opens the state, once, and only for the browser that began the sign-in.
//! 4. [`providers`] exchanges the code ([`oauth`]), verifies the ID token ([`oidc`] on [`jose`]), and makes an
//!    [`identity`] of its claims. Without OpenID Connect, the claims are a profile (`providers::profile`). How a provider
//!    differs from others is data (`providers::kinds`); groups can come from its API (`providers::groups`).
//! 5. [`session`] keeps identity and tokens under the hash of a new random id, which is the cookie's value
//!    (`session::cookie`). `session::sessions` is the door to them. `session::refresh` renews the tokens before they
//!    expire, `session::snapshot` keeps sessions in a file over a restart, and `session::redis` on a server, where several
//!    instances share them.
//!
//! # Rooms and arrows
//!
//! A room is a top-level module. It imports only rooms below its line; `tests/it/tidy.rs` holds the exact arrows.
//!
//! | room | what it is | imports |
//! |---|---|---|
//! | [`cli`] | the commands, their exit codes, and signals | `app` `config` `server` `demo` |
//! | [`app`] | one configuration at run time (`build`, `dispatch`), what outlives it (`lasting`), and its replacement (`reload`); the only room that knows all others | every room below |
//! | [`admin`] | the admin listener: health, readiness, metrics, and who may use it (`access`) | `login` `providers` `pages` … |
//! | [`endpoints`] | the gateway's own paths, each in a file named after it, unless it is a line in `mod`: parse, call one room, respond | `gate` `login` `pages` … |
//! | [`config`] | YAML or flags into the `Settings` of each room; a key stands in the file of its section (`routes`, `session`, …) | every `Settings` |
//! | [`gate`] | one request of a route: identify, decide, forward or challenge; ends WebSockets (`websockets`), uploads and streams (`session_bound`) with their session | `session` `policy` `upstream` … |
//! | [`error`] | errors of all rooms into status, page, log reason and limit; the only mapping to HTTP | all error types |
//! | [`login`] | sign-in and sign-out; sets no status and makes no HTML | `providers` `session` |
//! | [`providers`] | the configured providers and their kinds (`kinds`): sign-in, refresh and online check of each | `oidc` `oauth` `identity` |
//! | [`demo`] | identity provider and application of `portcullis demo` | `jose` `server` |
//! | [`pages`] | pages and their texts, per language (`english` has them all); knows no session and no provider | `identity` `grpc` |
//! | [`policy`] | the rules of `allow`; pure | `identity` `routing` |
//! | [`session`] | the session table, its cookie, eviction, single-flight refresh, the snapshot, and Redis; knows no provider | `oauth` `identity` |
//! | [`oidc`] | OpenID Connect as a relying party: discovery, keys, `id_token`, userinfo, logout | `oauth` `identity` `jose` |
//! | [`server`], [`upstream`] | HTTP toward clients; HTTP toward applications, with `reserved`, the headers that clients must not send | ground |
//! | [`oauth`] | OAuth 2.0 as a client: authorization request, token request, refresh, revocation | `jose` |
//! | [`identity`] | claims into an identity, and an identity into headers | ground |
//! | [`routing`], [`jose`], [`telemetry`] | host and path to a route; signatures and keys; log, audit, metrics (`metrics::list` has all) | ground |
//! | [`grpc`] | messages of Envoy's external authorization and of health checks, and the call that carries them | ground |
//! | [`secret`] [`clock`] [`random`] [`lock`] [`single_flight`] [`deadline`] [`weak_map`] [`body`] [`origin`] [`trust`] [`tcp`] [`client_address`] | the ground, one idea each | nothing of ours |
//!
//! # Not built yet, and where it will be
//!
//! - A logout that the provider sends (back-channel logout): `endpoints::backchannel_logout`. `oidc::logout` has the
//!   rules of its token already. `session::redis` has an index by `sid`, `session::table` still needs one.
//!
//! # Lexicon
//!
//! The standards' words win (RFC 6749, RFC 7636, RFC 9110, OpenID Connect Core): *authorization
//! endpoint*, *token endpoint*, `redirect_uri`, `code_verifier`, `state`, `nonce`,
//! `end_session_endpoint`. The words below are ours. `tests/it/lexicon.rs` finds every word of the third
//! column in code, comments, messages and documents.
//!
//! | concept | our word | words not used |
//! |---|---|---|
//! | the browser or program that sends a request | *client*; *visitor* where rules decide about it | whoever, whomever, somebody, nobody, anybody, everybody |
//! | a person with a session | *user* | |
//! | what `gate::identify` finds: a visitor with a session, or without | *member*, *stranger* | |
//! | the state that one browser has at the gateway | *session* | login session |
//! | what the provider issued for a session | *token set* | |
//! | a sign-in between authorization request and callback | *pending* | wish |
//! | to get tokens for an authorization code | *exchange*; in `server` and `upstream`, a request with its response | redeem, redeems, redeemed |
//! | the rules' answer to a request | *allow*, *deny* | admit, admits, admitted, let in, lets in, let through, lets through, may pass |
//! | the proof that a visitor is allowed on a route | *permit* | |
//! | the answer to a malformed request or configuration | *reject*; a sign-in to which the provider says no is *refused* | refusal, refusals, refuses, refusing |
//! | the application behind the gateway (in RFC 9110 an origin server) | *upstream* | |
//! | the request by which a proxy asks for a decision | *auth subrequest*; the way of working, *forward auth* | asker, askers |
//! | a client that is a program | *API client* | |
//! | the removal of a session that still lives, to make room | *eviction* | displaced, displacement |
//! | one call that all waiting callers share | *single-flight* | |
//! | fields that concern one connection (RFC 9110 §7.6.1) | *hop-by-hop* | |
//! | ways in which an application may read a path | *path interpretations* | |
//! | in general: to pass on information, to get it | *report*, *say*, *receive* | told, heard, unheard |
//! | in general: rarely, again, next to, similar | these words | seldom, anew, beside, besides, kin, kindred |
//!
//! # Deliberately absent
//!
//! - No room below [`app`] sees a [`config::Config`]: each gets its own `Settings`.
//! - [`session`] knows neither provider nor protocol: it gets the future that refreshes.
//! - [`policy`], [`gate::decide`] and [`routing`] do no I/O and read no clock.
//! - A sign-in under way takes no memory, so that a flood of visitors does not either.
//! - No token is in a cookie or a log. In a URL, and if it is too long for that, in a page's form, there is only the ID
//!   token that ends the session at its provider. [`secret::Secret`] has no `Display`.
//! - No key turns off PKCE, `state`, `nonce`, signature or issuer checks.
//! - No path is rewritten: the bytes that were decided on are forwarded.
//! - No cargo feature changes what the gateway does. Log and metrics are the only global state.

pub mod admin;
pub mod app;
pub mod body;
pub mod cli;
pub mod client_address;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod demo;
pub mod endpoints;
pub mod error;
pub mod gate;
pub mod grpc;
pub mod identity;
pub mod jose;
pub mod lock;
pub mod login;
pub mod oauth;
pub mod oidc;
pub mod origin;
pub mod pages;
pub mod policy;
pub mod providers;
pub mod random;
pub mod routing;
pub mod secret;
pub mod server;
pub mod session;
pub mod single_flight;
pub mod tcp;
pub mod telemetry;
pub mod trust;
pub mod upstream;
pub mod weak_map;
