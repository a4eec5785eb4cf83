//! Looks every day whether the state of a source that is gone is to be dropped.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::Config;
use crate::deliver::{Disk, Storage, blocking};
use crate::outside::Clock;
use crate::state::{KEPT, Retired, StateError};

/// A host may run for months without a source that comes or goes.
const EVERY: Duration = Duration::from_secs(86_400);

/// The sources whose state stays: those that the operator wants, also where something is wrong with them. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Wanted(Arc<Mutex<Arc<BTreeSet<String>>>>);

impl Wanted {
    pub fn set(&self, config: &Config) {
        let refused = config.refused.iter().map(|file| &file.id);
        let wanted = config.sources.keys().chain(refused).cloned().collect();
        // Written whole, so a panic elsewhere cannot have left half of it.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(wanted);
    }

    fn get(&self) -> Arc<BTreeSet<String>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes in the state which sources are gone, and which are back, and drops what was kept long enough.
    pub async fn retire(&self, disk: &Arc<Disk>, now_ms: u64) -> Result<Vec<Retired>, StateError> {
        let (storage, disk, wanted) = (Arc::clone(disk) as Arc<dyn Storage>, Arc::clone(disk), self.get());
        blocking(&storage, move |_| disk.store.retire(|source| wanted.contains(source), now_ms)).await
    }
}

/// Goes on for as long as the host runs.
pub(super) async fn daily(wanted: Wanted, disk: Arc<Disk>, clock: Clock) {
    loop {
        tokio::time::sleep(EVERY).await;
        let now_ms = clock.millis();
        match wanted.retire(&disk, now_ms).await {
            // How many days the others have left was said when they went.
            Ok(retired) => {
                let dropped: Vec<Retired> = retired.into_iter().filter(|retired| retired.dropped).collect();
                tell(&dropped, now_ms);
            }
            // It is looked at tomorrow.
            Err(error) => tracing::warn!("the state of sources that are gone cannot be looked after: {error}"),
        }
    }
}

/// Says what becomes of the state of sources that are no longer configured.
pub(crate) fn tell(retired: &[Retired], now_ms: u64) {
    for Retired { source, since_ms, dropped } in retired {
        if *dropped {
            tracing::warn!(%source, "no longer configured for 30 days: its positions and seen ids are dropped, its ledger stays");
            continue;
        }
        let left = KEPT.saturating_sub(Duration::from_millis(now_ms.saturating_sub(*since_ms)));
        let days = left.as_secs().div_ceil(86_400);
        if days > 0 {
            tracing::info!(%source, days_left = days, "no longer configured: its state is kept, and goes on if it is added again; `tributary state move` gives it another name");
        }
    }
}
