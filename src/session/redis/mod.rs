//! Sessions on a Redis or Valkey server, which several instances of the gateway share.

mod settings;

pub use settings::{RedisAddress, RedisSettings, RedisTls};
