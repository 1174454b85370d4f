//! Portcullis: a reverse-proxy authentication gateway. It is the OpenID Connect relying party in
//! front of applications that know nothing of it. This page is the map.
//!
//! # One request
//!
//! [`server`] accepts a connection, holds its deadlines and refuses what is not clearly HTTP
//! (`connection`, `request_head`, `service`) → [`app`] finds one of our own paths or a route
//! (`dispatch`) → [`routing`] knows every way to read a path → [`gate`] identifies the visitor by
//! the session cookie, asks [`policy`] through `gate::decide`, and with the permit that only
//! `decide` can make forwards through [`upstream`]. A client without a session is challenged instead
//! (`gate::challenge`).
//!
//! A proxy with a way of its own to the application asks at [`endpoints`] `auth` instead: the same
//! route, visitor and decision, and an answer in place of the forwarding. `app::explain` writes down the
//! same for an operator.
//!
//! # One sign-in
//!
//! [`endpoints`] `start` → [`login`] `begin` seals what has to be remembered into the `state`
//! parameter (`pending`) → the provider → `callback` → `login::complete` opens the state, once, and
//! only for the browser that asked → [`providers`] exchanges the code ([`oauth`]), verifies the ID
//! token step by step ([`oidc`] on [`jose`]) and reads an [`identity`] out of its claims →
//! [`session`] keeps it, with the tokens, under the hash of a new random id.
//!
//! # Rooms and arrows
//!
//! A room imports only rooms below its line; `tests/it/tidy.rs` holds the exact arrows.
//!
//! | room | what it is | knows |
//! |---|---|---|
//! | [`cli`] | the commands and their exit codes | `app` `config` `server` `demo` |
//! | [`app`] | one configuration at run time (`lasting`: what outlives it); the only place that knows all rooms | everything below |
//! | [`admin`] | the admin listener: health, readiness, metrics | `login` `providers` `pages` … |
//! | [`endpoints`] | our own paths: parse, call one room, render | `gate` `login` `pages` … |
//! | [`config`] | the only room that knows YAML; turns it, or flags in its place, into each room's `Settings` | every `Settings` |
//! | [`gate`] | the path of one request: identify, decide, forward or challenge | `session` `policy` `upstream` … |
//! | [`error`] | every room's error → status and public text; the only HTTP mapping | all error types |
//! | [`login`] | the authorization code flow from above; builds no HTML, sets no status | `providers` `session` |
//! | [`providers`] | where visitors sign in: data, and the client and issuer made of it | `oidc` `oauth` `identity` |
//! | [`demo`] | loopback only: the identity provider and the application of `portcullis demo` | `jose` `server` |
//! | [`pages`] | what people see; cannot see a token | `identity` |
//! | [`policy`] | who is allowed; pure | `identity` `routing` |
//! | [`session`] | signed-in browsers, their cookie, single-flight refresh; knows no provider | `oauth` `identity` |
//! | [`oidc`] | OpenID Connect Core as a relying party | `oauth` `identity` `jose` |
//! | [`server`] [`upstream`] | sockets and framing toward clients · toward applications | ground |
//! | [`oauth`] | RFC 6749 as a client | `jose` |
//! | [`identity`] | claims → who someone is → headers | ground |
//! | [`routing`] [`jose`] [`telemetry`] | host and path → T · signatures · logs, metrics | ground |
//! | [`secret`] [`clock`] [`random`] [`lock`] [`single_flight`] [`deadline`] [`weak_map`] [`body`] [`origin`] [`trust`] [`client_address`] | the ground | nothing of ours |
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
//! | the state that one browser has at the gateway | *session* | login session |
//! | what the provider issued for a session | *token set* | |
//! | a sign-in between authorization request and callback | *pending* | wish |
//! | to get tokens for an authorization code | *exchange* | redeem, redeems, redeemed |
//! | the rules' answer to a request | *allow*, *deny* | admit, admits, admitted, let in, lets in, let through, lets through, may pass |
//! | the proof that a visitor is allowed on a route | *permit* | |
//! | the answer to a malformed request or configuration | *reject* | |
//! | the application behind the gateway (in RFC 9110 an origin server) | *upstream* | |
//! | the request by which a proxy asks for a decision | *auth subrequest*; the way of working, *forward auth* | asker, askers |
//! | a client that is a program | *API client* | |
//! | the removal of a session that still lives, to make room | *eviction* | displaced, displacement |
//! | one call that all waiting callers share | *single-flight* | |
//! | fields that concern one connection (RFC 9110 §7.6.1) | *hop-by-hop* | |
//! | ways in which an application may read a path | *path interpretations* | |
//! | to pass on information; to get it | *report*, *say*, *receive* | told, heard, unheard |
//! | rarely, again, next to, similar | these words | seldom, anew, beside, besides, kin, kindred |
//!
//! # Deliberately absent
//!
//! - No room below [`app`] has seen a [`config::Config`]; `config` is the last to know, not the first.
//! - [`session`] is handed the future that refreshes; it knows neither provider nor protocol.
//! - [`policy`], [`gate::decide`] and [`routing`] do no I/O and read no clock.
//! - Nothing is kept for a sign-in under way: a flood of visitors costs no memory.
//! - No token is in a cookie, a page or a log, and in a URL only the ID token that ends a session at its
//!   provider; [`secret::Secret`] has no `Display`.
//! - No switch turns off PKCE, `state`, `nonce`, signature or issuer checks.
//! - No path is rewritten: what was decided on is forwarded byte for byte.
//! - No cargo feature changes what the gateway does. No global state but the log and the
//!   numbers that threads count by.

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
pub mod telemetry;
pub mod trust;
pub mod upstream;
pub mod weak_map;
