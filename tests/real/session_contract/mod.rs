//! What sessions promise, wherever they are stored: in memory, in memory with a snapshot, on Redis, on Valkey.
//! Invariant: the same functions test every store. A test has two instances of the gateway: on a server these are two
//! processes with nothing else in common, otherwise two configurations of one process, as a reload makes them.

/// Makes a test of a function for each of these stores.
macro_rules! contract {
    ($contract:ident: $($store:ident $kind:ident),*) => {
        mod $contract {
            use crate::session_contract::world::{StoreKind, World};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $store() {
                    Box::pin(super::$contract(World::start(StoreKind::$kind).await)).await;
                }
            )*
        }
    };
}

/// What every store promises.
macro_rules! in_every_store {
    ($($contract:ident)*) => {$(
        contract!($contract: in_memory Memory, with_a_snapshot Snapshot, on_redis Redis, on_valkey Valkey);
    )*};
}

/// What a server promises to the instances that share it.
macro_rules! on_every_server {
    ($($contract:ident)*) => {$(contract!($contract: on_redis Redis, on_valkey Valkey);)*};
}

mod ends;
mod idle;
mod instance;
mod interruption;
mod limits;
mod lookups;
mod lost_notices;
mod outages;
mod records;
mod refreshes;
mod shared_refreshes;
mod world;
