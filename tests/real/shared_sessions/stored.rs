//! What is stored in Redis, as someone sees it who can read all of it.

use std::collections::BTreeMap;

use redis::Value;

use crate::component::redis::RealRedis;

/// All keys with their values: a text, or the members of a set.
pub(super) fn values(redis: &RealRedis) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for key in texts(redis.command(&["KEYS", "*"])) {
        let key = String::from_utf8(key).unwrap();
        let kind = redis.command(&["TYPE", &key]);
        let of_kind = |name: &str| kind == Value::SimpleString(name.to_owned());
        let value = if of_kind("string") {
            redis.command(&["GET", &key])
        } else if of_kind("zset") {
            redis.command(&["ZRANGE", &key, "0", "-1"])
        } else {
            assert!(of_kind("none"), "{key} is a {kind:?}");
            continue;
        };
        found.insert(key, texts(value));
    }
    found
}

/// The records of sessions, by key.
pub(super) fn records(redis: &RealRedis) -> Vec<(String, Vec<u8>)> {
    let of_sessions = values(redis).into_iter().filter(|(key, _)| key.ends_with("}:s"));
    of_sessions.filter_map(|(key, mut value)| Some((key, value.pop()?))).collect()
}

/// How many commands with these names it has processed.
pub(super) fn count(redis: &RealRedis, names: &[&str]) -> u64 {
    let text = texts(redis.command(&["INFO", "commandstats"])).concat();
    let text = String::from_utf8(text).unwrap();
    let counts = text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let count = rest.split(',').next()?;
        names.contains(&name).then(|| count.parse::<u64>().unwrap())
    });
    counts.sum()
}

/// The texts of a reply.
fn texts(reply: Value) -> Vec<Vec<u8>> {
    if let Value::BulkString(text) = reply {
        return vec![text];
    }
    let items = reply.into_sequence().unwrap_or_default();
    items.into_iter().flat_map(texts).collect()
}
