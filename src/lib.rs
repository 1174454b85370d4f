//! Portcullis: a reverse-proxy authentication gateway. It is the OpenID Connect relying party in
//! front of applications that know nothing of it. This page is the map.
//!
//! # One request
//!
//! [`server`] accepts a connection, holds its deadlines and refuses what is not clearly HTTP
//! (`connection`, `request_head`, `service`) → [`app`] finds one of our own paths or a route
//! (`dispatch`) → [`routing`] knows every way to read a path → [`gate`] identifies the visitor by
//! the session cookie, asks [`policy`] through `gate::decide`, and with the permit that only
//! `decide` can make forwards through [`upstream`]. Whoever is not signed in is challenged instead
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
//! | [`app`] | one configuration at run time; the only place that knows all rooms | everything below |
//! | [`endpoints`] | our own paths: parse, call one room, render | `gate` `login` `pages` … |
//! | [`config`] | the only room that knows YAML; turns it, or flags in its place, into each room's `Settings` | every `Settings` |
//! | [`gate`] | the path of one request: identify, decide, forward or challenge | `session` `policy` `upstream` … |
//! | [`error`] | every room's error → status and public text; the only HTTP mapping | all error types |
//! | [`login`] | the authorization code flow from above; builds no HTML, sets no status | `providers` `session` |
//! | [`providers`] | where visitors sign in: data, and the client and issuer made of it | `oidc` `oauth` `identity` |
//! | [`demo`] | loopback only: the identity provider and the application of `portcullis demo` | `jose` `server` |
//! | [`pages`] | what people see; cannot see a token | `identity` |
//! | [`policy`] | who may pass; pure | `identity` `routing` |
//! | [`session`] | signed-in browsers, their cookie, single-flight refresh; knows no provider | `oauth` `identity` |
//! | [`oidc`] | OpenID Connect Core as a relying party | `oauth` `identity` `jose` |
//! | [`server`] [`upstream`] | sockets and framing toward clients · toward applications | ground |
//! | [`oauth`] | RFC 6749 as a client | `jose` |
//! | [`identity`] | claims → who someone is → headers | ground |
//! | [`routing`] [`jose`] [`telemetry`] | host and path → T · signatures · logs, metrics | ground |
//! | [`secret`] [`clock`] [`random`] [`lock`] [`single_flight`] [`deadline`] [`body`] [`origin`] [`trust`] [`client_address`] | the ground | nothing of ours |
//!
//! # Lexicon
//!
//! The standards' words: *authorization endpoint*, *token endpoint*, `redirect_uri`,
//! `code_verifier`, `state`, `nonce`, *challenge*, `end_session_endpoint` (RFC 6749, RFC 7636, OpenID
//! Connect Core). "Upstream" is the trade's word for the application behind us. Ours: a *session* is
//! a browser with us, a *token set* is us with the provider, a *pending* is a sign-in under way, a
//! *visitor* is whoever asks, a *permit* is proof that a visitor may pass on a route.
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
