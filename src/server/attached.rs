//! A value that a handler keeps for one connection.
//! Invariant: it is dropped with the connection. The server does not know its type.

use std::any::Any;
use std::sync::OnceLock;

/// One value, made by the first request that needs it.
#[derive(Debug, Default)]
pub(super) struct Attached(OnceLock<Box<dyn Any + Send + Sync>>);

impl Attached {
    /// The value, if it exists.
    pub(super) fn get<T: Any>(&self) -> Option<&T> {
        self.0.get()?.downcast_ref()
    }

    /// The value, made if it does not exist; `None` if there is one of another type.
    pub(super) fn get_or_default<T: Any + Send + Sync + Default>(&self) -> Option<&T> {
        self.0.get_or_init(|| Box::<T>::default()).downcast_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_made_once_and_on_demand() {
        let attached = Attached::default();
        assert_eq!(attached.get::<String>(), None);
        let made: *const String = attached.get_or_default::<String>().unwrap();
        assert!(std::ptr::eq(made, attached.get_or_default::<String>().unwrap()));
        assert_eq!(attached.get::<String>(), Some(&String::new()));
        assert_eq!((attached.get::<u8>(), attached.get_or_default::<u8>()), (None, None));
    }
}
