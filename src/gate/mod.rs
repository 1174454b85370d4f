//! The path of one request.

pub mod route;
