//! Sessions on a Redis or Valkey server, which several instances of the gateway share.

mod commands;
mod connect;
mod error;
mod link;
mod log;
mod reply;
mod scripts;
mod server;
mod settings;

pub use commands::Stored;
pub use error::{ErrorReply, ErrorReplyKind, RedisError};
pub use link::LinkState;
pub use server::{Notice, RedisServer};
pub use settings::{RedisAddress, RedisSettings, RedisTls};
