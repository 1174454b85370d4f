//! What replies of a Redis server are.
//! Invariant: a reply of another form than its command has is an error, never "no" or "nothing".

use redis::Value;

use crate::session::redis::error::{ErrorReply, RedisError};

/// Whether at least one was there.
pub(super) fn is_any(reply: &Value) -> Result<bool, RedisError> {
    let Value::Int(count) = reply else { return Err(RedisError::Unexpected) };
    Ok(*count > 0)
}

/// Whether it was set; nil if a condition did not hold.
pub(super) fn is_set(reply: &Value) -> Result<bool, RedisError> {
    match (reply == &Value::Okay, reply == &Value::Nil) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        (false, false) => Err(RedisError::Unexpected),
    }
}

/// Bytes.
pub(super) fn bytes(reply: Value) -> Result<Vec<u8>, RedisError> {
    let Value::BulkString(bytes) = reply else { return Err(RedisError::Unexpected) };
    Ok(bytes)
}

/// A list.
pub(super) fn list(reply: Value) -> Result<Vec<Value>, RedisError> {
    let Value::Array(replies) = reply else { return Err(RedisError::Unexpected) };
    Ok(replies)
}

/// A text, in any of the forms that a server has for it.
pub(super) fn text(reply: &Value) -> Option<&str> {
    if let Value::BulkString(bytes) = reply {
        return str::from_utf8(bytes).ok();
    }
    let (Value::SimpleString(text) | Value::VerbatimString { text, .. }) = reply else {
        return None;
    };
    Some(text)
}

/// The text of a field in a map.
pub(super) fn field<'r>(reply: &'r Value, name: &str) -> Option<&'r str> {
    let Value::Map(fields) = reply else { return None };
    let (_, value) = fields.iter().find(|(key, _)| text(key) == Some(name))?;
    text(value)
}

/// The first error in replies, also inside of a list, as `EXEC` replies.
pub(super) fn first_error(replies: &[Value]) -> Option<ErrorReply> {
    replies.iter().find_map(|reply| {
        if let Value::Array(inner) = reply {
            return first_error(inner);
        }
        let Value::ServerError(error) = reply else { return None };
        Some(ErrorReply::new(error.code(), error.details().unwrap_or_default()))
    })
}
