//! The commands of a Redis server that sessions need.
//! Invariants: each is one step for all other clients. After our own write of a record the server is asked to track it
//! again in the same step, because our write ended the tracking. No command has keys of two hash tags. All are in Redis 6.2.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd};

use crate::session::redis::error::RedisError;
use crate::session::redis::reply::{bytes, is_any, is_set, list};
use crate::session::redis::server::RedisServer;
use crate::telemetry::metrics::StoreOperation;

/// A value on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its bytes.
    pub value: Vec<u8>,
    /// How long it is still kept; [`Duration::MAX`] if another program has taken the limit away.
    pub ttl: Duration,
}

impl RedisServer {
    /// The value of a key.
    pub async fn read(&self, key: &str) -> Result<Option<Stored>, RedisError> {
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("GET").arg(key).cmd("PTTL").arg(key);
        let mut replies = self.run(StoreOperation::Read, &commands).await?.into_iter();
        let (Some(value), Some(Value::Int(left))) = (replies.next(), replies.next()) else {
            return Err(RedisError::Unexpected);
        };
        if value == Value::Nil || left == EXPIRED {
            return Ok(None);
        }
        let ttl = u64::try_from(left).map_or(Duration::MAX, Duration::from_millis);
        Ok(Some(Stored { value: bytes(value)?, ttl }))
    }

    /// Stores a value under a key, whatever was there.
    pub async fn insert(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), RedisError> {
        let mut set = cmd("SET");
        set.arg(key).arg(value).arg("PX").arg(millis(ttl));
        match is_set(&self.write_and_track(StoreOperation::Write, set, key).await?)? {
            true => Ok(()),
            false => Err(RedisError::Unexpected),
        }
    }

    /// Replaces a value, if its bytes from the second on are those of `generation`, and `lock` has `owner`. It keeps the
    /// time that it had left. False if there is no such value: one that was removed does not come back.
    pub async fn replace(
        &self,
        key: &str,
        lock: &str,
        owner: &str,
        generation: &[u8],
        value: &[u8],
    ) -> Result<bool, RedisError> {
        let arguments = [owner.as_bytes(), generation, value];
        let keys = [key, lock];
        is_any(
            &self.run_script(StoreOperation::Write, |all| &all.replace, &keys, &arguments).await?,
        )
    }

    /// Removes a key. False if there was none.
    pub async fn remove(&self, key: &str) -> Result<bool, RedisError> {
        let mut unlink = cmd("UNLINK");
        unlink.arg(key);
        is_any(&self.run_one(StoreOperation::Remove, unlink).await?)
    }

    /// Removes a key under the conditions of [`Self::replace`].
    pub async fn remove_if(
        &self,
        key: &str,
        lock: &str,
        owner: &str,
        generation: &[u8],
    ) -> Result<bool, RedisError> {
        let (keys, arguments) = ([key, lock], [owner.as_bytes(), generation]);
        let call = self.run_script(StoreOperation::Remove, |all| &all.remove_if, &keys, &arguments);
        is_any(&call.await?)
    }

    /// Keeps a key for this long from now on. False if there is none.
    pub async fn extend(&self, key: &str, ttl: Duration) -> Result<bool, RedisError> {
        let mut expire = cmd("PEXPIRE");
        expire.arg(key).arg(millis(ttl));
        is_any(&self.write_and_track(StoreOperation::Extend, expire, key).await?)
    }

    /// Takes a lock for this long. False if another owner has it.
    pub async fn lock(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool, RedisError> {
        self.set_new(StoreOperation::Lock, key, owner, ttl).await
    }

    /// Keeps a lock for this long from now on. False if the owner has it no more.
    pub async fn renew_lock(
        &self,
        key: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<bool, RedisError> {
        let (keys, ttl) = ([key], millis(ttl).to_string());
        let arguments = [owner.as_bytes(), ttl.as_bytes()];
        is_any(
            &self
                .run_script(StoreOperation::Lock, |all| &all.renew_lock, &keys, &arguments)
                .await?,
        )
    }

    /// Gives a lock back, if the owner still has it.
    pub async fn unlock(&self, key: &str, owner: &str) -> Result<(), RedisError> {
        let (keys, arguments) = ([key], [owner.as_bytes()]);
        let given =
            self.run_script(StoreOperation::Lock, |all| &all.unlock, &keys, &arguments).await?;
        is_any(&given).map(|_| ())
    }

    /// Adds a member to an index, which is kept for at least this long from now on. Returns the members with the lowest
    /// scores, by which there are more than `most`; they are still in it.
    pub async fn index(
        &self,
        key: &str,
        member: &[u8],
        score: u64,
        ttl: Duration,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, RedisError> {
        let (score, ttl) = (score.to_string(), millis(ttl).to_string());
        // Counted from the end: -1 is the member with the highest score.
        let last = format!("-{}", most.saturating_add(1));
        let arguments = [score.as_bytes(), member, ttl.as_bytes(), last.as_bytes()];
        let reply =
            self.run_script(StoreOperation::Index, |all| &all.index, &[key], &arguments).await?;
        list(reply)?.into_iter().map(bytes).collect()
    }

    /// Changes the score of a member, if the index has it.
    pub async fn index_score(
        &self,
        key: &str,
        member: &[u8],
        score: u64,
    ) -> Result<(), RedisError> {
        let mut add = cmd("ZADD");
        add.arg(key).arg("XX").arg(score).arg(member);
        self.run_one(StoreOperation::Index, add).await.map(|_| ())
    }

    /// Removes a member from an index.
    pub async fn unindex(&self, key: &str, member: &[u8]) -> Result<(), RedisError> {
        let mut remove = cmd("ZREM");
        remove.arg(key).arg(member);
        self.run_one(StoreOperation::Index, remove).await.map(|_| ())
    }

    /// Takes a key for this long. False if it is taken.
    pub async fn claim(&self, key: &str, ttl: Duration) -> Result<bool, RedisError> {
        self.set_new(StoreOperation::Claim, key, "1", ttl).await
    }

    /// Whether there is a key.
    pub async fn exists(&self, key: &str) -> Result<bool, RedisError> {
        let mut exists = cmd("EXISTS");
        exists.arg(key);
        is_any(&self.run_one(StoreOperation::Read, exists).await?)
    }

    async fn set_new(
        &self,
        operation: StoreOperation,
        key: &str,
        value: &str,
        ttl: Duration,
    ) -> Result<bool, RedisError> {
        let mut set = cmd("SET");
        set.arg(key).arg(value).arg("NX").arg("PX").arg(millis(ttl));
        is_set(&self.run_one(operation, set).await?)
    }

    /// The reply to a write of a key. It is tracked again before another client can change it.
    async fn write_and_track(
        &self,
        operation: StoreOperation,
        write: Cmd,
        key: &str,
    ) -> Result<Value, RedisError> {
        let mut commands = Pipeline::with_capacity(4);
        commands.cmd("MULTI").add_command(write).cmd("EXISTS").arg(key).cmd("EXEC");
        let replied = self.run(operation, &commands).await?.pop().ok_or(RedisError::Unexpected)?;
        list(replied)?.into_iter().next().ok_or(RedisError::Unexpected)
    }
}

/// A server rejects 0, and removes a key that is to be kept for no time.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, LONGEST)
}

/// What `PTTL` replies for a key that is not there.
const EXPIRED: i64 = -2;

/// A hundred years. A server rejects what is, with the present time, over 64 bits.
const LONGEST: u64 = 100 * 366 * 24 * 60 * 60 * 1000;
