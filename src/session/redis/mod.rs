//! Sessions on a Redis or Valkey server, which several instances of the gateway share.
//! `server` is the connection, and knows no sessions; `commands` are what it is asked. `record` makes a value of a session,
//! `names` names the keys. `shared` finds sessions, with the table of this process as a cache, `changes` changes them,
//! `follow` follows what the other instances change.

mod changes;
mod commands;
mod connect;
mod ends;
mod error;
mod follow;
mod link;
mod log;
mod names;
mod reading;
mod record;
mod refresh_lock;
mod reply;
mod scripts;
mod server;
mod settings;
mod shared;
mod store;

pub(super) use changes::EndedHere;
pub use commands::Stored;
pub use error::{ErrorReply, ErrorReplyKind, RedisError};
pub use link::LinkState;
pub(super) use reading::Reading;
pub(super) use refresh_lock::RefreshLock;
pub use server::{Notice, RedisServer};
pub use settings::{RedisAddress, RedisSettings, RedisTls};
pub use shared::SharedSessions;
pub use store::{RedisStore, StoreHealth};

#[cfg(test)]
mod tests;
