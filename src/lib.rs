//! Portcullis: a reverse-proxy authentication gateway, the OpenID Connect client in front of
//! applications that know nothing of it. This page is the map.

pub mod app;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod endpoints;
pub mod error;
pub mod gate;
pub mod identity;
pub mod jose;
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
pub mod telemetry;
pub mod upstream;
