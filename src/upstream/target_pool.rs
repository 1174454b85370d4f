//! Connections by target, shared by all routes to it and kept across configurations.
//! Invariant: two upstreams with the same target, TLS settings and limit of a head use the same connections, while either of them
//! is in use. Their deadlines may differ: a kept connection has none.

use std::fmt;
use std::sync::Arc;

use crate::upstream::connect::Connector;
use crate::upstream::connection_budget::ConnectionBudget;
use crate::upstream::error::SettingsFault;
use crate::upstream::pool::{Pool, PoolTimeouts};
use crate::upstream::{Connections, Settings, Target, TlsSettings};
use crate::weak_map::WeakMap;

/// All connections of the process to upstreams.
#[derive(Clone, Debug)]
pub struct TargetPools(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    budget: ConnectionBudget,
    timeouts: PoolTimeouts,
    pools: WeakMap<(Target, TlsSettings, usize), TargetPool>,
}

/// How to connect to one target, and the connections to it.
pub(super) struct TargetPool {
    pub(super) connector: Connector,
    pub(super) pool: Arc<Pool>,
    pub(super) target: Target,
}

impl TargetPools {
    /// No connections yet, and at most `most` at a time.
    pub fn new(most: usize) -> Self {
        Self::with_timeouts(most, super::POOL_TIMEOUTS)
    }

    pub(super) fn with_timeouts(most: usize, timeouts: PoolTimeouts) -> Self {
        let (budget, pools) = (ConnectionBudget::new(most), WeakMap::default());
        Self(Arc::new(Shared { budget, timeouts, pools }))
    }

    /// The connections to the target of these settings. Their system roots are those of the time when the target
    /// was first used.
    pub(super) fn get(&self, settings: &Settings) -> Result<Arc<TargetPool>, SettingsFault> {
        let key = (settings.target.clone(), settings.tls.clone(), settings.response_header_bytes);
        self.0.pools.try_get_or_insert(key, || {
            let connector = Connector::new(settings)?;
            let (pool, target) = (Arc::new(Pool::new(self.0.timeouts)), settings.target.clone());
            self.0.budget.enlist(&pool);
            Ok(TargetPool { connector, pool, target })
        })
    }

    /// Changes the limit to `most` connections at a time. If more are open, idle ones close at once, the others when
    /// their requests are over.
    pub fn resize(&self, most: usize) {
        self.0.budget.resize(most);
    }

    /// The limit that all of them share.
    pub(super) fn budget(&self) -> &ConnectionBudget {
        &self.0.budget
    }

    /// The number of connections by target, for each target in use; two with different TLS settings are apart.
    pub fn connections(&self) -> impl Iterator<Item = (Target, Connections)> {
        let pools = self.0.pools.values().into_iter();
        pools.map(|target| (target.target.clone(), target.pool.connections()))
    }
}

impl Default for TargetPools {
    /// Without a limit.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl fmt::Debug for TargetPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetPool").field("target", &self.target).finish_non_exhaustive()
    }
}
