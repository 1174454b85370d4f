//! The scripts that run on the server.
//! Invariants: each is one step for all other clients; it names every key that it uses, and these have one hash tag.
//! Numbers are made into text here, because Lua would round them.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::Cmd;

/// A script by its text, and by the name that the server gives it.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    /// SHA-1 in hex.
    name: String,
}

/// All scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) replace: Script,
    pub(super) remove_if: Script,
    pub(super) renew_lock: Script,
    pub(super) unlock: Script,
    pub(super) index: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            replace: Script::of(REPLACE),
            remove_if: Script::of(REMOVE_IF),
            renew_lock: Script::of(RENEW_LOCK),
            unlock: Script::of(UNLOCK),
            index: Script::of(INDEX),
        }
    }
}

impl Script {
    fn of(text: &'static str) -> Self {
        let mut name = String::with_capacity(40);
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
            // Writing to a text cannot fail.
            write!(name, "{byte:02x}").ok();
        }
        Self { text, name }
    }

    /// Runs it by its name.
    pub(super) fn by_name(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.name, keys, arguments)
    }

    /// Runs it by its text, after which the server knows its name.
    pub(super) fn by_text(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        call("EVAL", self.text, keys, arguments)
    }
}

fn call(command: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(script).arg(keys.len());
    for key in keys {
        call.arg(*key);
    }
    for argument in arguments {
        call.arg(*argument);
    }
    call
}

/// Keys: record, lock. Arguments: owner, generation, new value. The record's lifetime stays. Our own write ends the
/// tracking of the record; the read after it asks for it again.
const REPLACE: &str = "\
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if redis.call('GETRANGE', KEYS[1], 1, #ARGV[2]) ~= ARGV[2] then return 0 end
if not redis.call('SET', KEYS[1], ARGV[3], 'XX', 'KEEPTTL') then return 0 end
redis.call('PTTL', KEYS[1])
return 1";

/// Keys: record, lock. Arguments: owner, generation.
const REMOVE_IF: &str = "\
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if redis.call('GETRANGE', KEYS[1], 1, #ARGV[2]) ~= ARGV[2] then return 0 end
return redis.call('UNLINK', KEYS[1])";

/// Key: lock. Arguments: owner, milliseconds.
const RENEW_LOCK: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Key: lock. Argument: owner.
const UNLOCK: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])";

/// Key: index. Arguments: score, member, milliseconds, the last place of those that are too many. (`PEXPIRE GT` needs
/// Redis 7.)
const INDEX: &str = "\
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return redis.call('ZRANGE', KEYS[1], 0, ARGV[4])";
