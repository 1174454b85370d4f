//! Tests from outside: the rules of the source itself, and the real binary over sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test says what it expects by failing"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests read the repository and write configurations"
)]

mod access_log;
mod admin;
mod auth_request;
mod check_online;
mod demo;
mod demo_command;
mod documents;
mod event_streams;
mod ext_authz;
mod flags;
mod form_post;
mod forward_auth;
mod full;
mod fuzz;
mod headers;
mod hostile_client;
mod hostile_idp;
mod internal_origin;
mod kinds;
mod known_commands;
mod kubernetes;
mod lexicon;
mod listeners;
mod lost_log;
mod ntlm;
mod pages;
mod pods;
mod policy;
mod properties;
mod redirect_cycle;
mod refresh;
mod reload;
mod reload_files;
mod reload_load;
mod restart;
mod restart_under_load;
mod session_bound;
mod session_size;
mod several_providers;
mod shutdown;
mod sign_in;
mod sign_in_admission;
mod sign_in_state;
mod sign_out;
mod snapshot;
mod source_files;
mod streaming;
mod supply;
mod support;
mod telemetry;
mod tidy;
mod unauthenticated;
mod uploads;
mod websocket;
