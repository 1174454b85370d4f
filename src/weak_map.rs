//! A map of shared values that are kept only as long as something outside the map uses them.
//! Invariant: two callers with the same key get the same value while either of them holds it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, Weak};

use crate::lock::lock;

/// Shared values by key. For few keys: a lookup compares with every key.
#[derive(Debug)]
pub struct WeakMap<K, V>(Mutex<Vec<(K, Weak<V>)>>);

impl<K: PartialEq, V> WeakMap<K, V> {
    /// The value of this key, if something uses it; else the result of `make`, which runs under the lock.
    pub fn get_or_insert(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        match self.try_get_or_insert(key, || Ok::<_, Infallible>(make())) {
            Ok(value) => value,
        }
    }

    /// The same with a `make` that can fail. Then nothing is inserted.
    pub fn try_get_or_insert<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let mut entries = lock(&self.0);
        entries.retain(|(_, value)| value.strong_count() > 0);
        let known = entries.iter().find(|(known, _)| *known == key);
        if let Some(value) = known.and_then(|(_, value)| value.upgrade()) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        entries.push((key, Arc::downgrade(&value)));
        Ok(value)
    }
}

impl<K, V> WeakMap<K, V> {
    /// The values in use, in the order of their first use.
    pub fn values(&self) -> Vec<Arc<V>> {
        let mut entries = lock(&self.0);
        entries.retain(|(_, value)| value.strong_count() > 0);
        entries.iter().filter_map(|(_, value)| value.upgrade()).collect()
    }
}

impl<K, V> Default for WeakMap<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(map: &WeakMap<u8, String>, key: u8, text: &str) -> Arc<String> {
        map.get_or_insert(key, || text.to_owned())
    }

    #[test]
    fn value_is_shared_while_it_is_in_use() {
        let map = WeakMap::default();
        let first = get(&map, 1, "first");
        assert!(Arc::ptr_eq(&first, &get(&map, 1, "second")));
        assert_eq!(*get(&map, 2, "other"), "other");
        assert_eq!(map.values(), [Arc::clone(&first)]);
        drop(first);
        assert!(map.values().is_empty() && lock(&map.0).is_empty());
        assert_eq!(*get(&map, 1, "third"), "third");
    }

    #[test]
    fn error_of_make_is_returned_and_nothing_is_stored() {
        let map = WeakMap::<u8, String>::default();
        assert_eq!(map.try_get_or_insert(1, || Err("no")), Err("no"));
        assert!(map.values().is_empty());
    }
}
