//! What a service manager is told, by the protocol of `sd_notify(3)`. Where there is none, nothing is said to anybody.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::Control;

/// A service that runs, as its manager sees it. Dropped, it keeps no watchdog quiet any more.
#[derive(Debug)]
pub struct Supervised {
    watchdog: Option<JoinHandle<()>>,
}

impl Supervised {
    /// It runs, as `status` says. From now on the manager's watchdog is told that work is done, as far as `probe` comes
    /// back; it is told twice in its time, as `sd_watchdog_enabled(3)` advises.
    pub fn ready<F>(status: &str, probe: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
        let watch = |within| watch(within / 2, probe, || tell(&[NotifyState::Watchdog]));
        let watchdog = sd_notify::watchdog_enabled().map(|within| tokio::spawn(watch(within)));
        Self { watchdog }
    }
}

/// Comes back once a thread that may block was free and every stream's state could be looked at. That this task runs says
/// nothing of those: where all threads hang on a dead disk, or a lock is never given back, nothing is collected any more.
pub async fn works(control: Control) {
    let looked = spawn_blocking(move || control.is_ready()).await;
    // The answer is yes or no, and both are one. It broke down: nobody knows, so the manager hears nothing.
    if looked.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.abort();
        }
    }
}

/// Tells again and again, but never before `probe` has come back.
async fn watch<F: Future<Output = ()>>(every: Duration, probe: impl Fn() -> F, tell: impl Fn()) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        probe().await;
        tell();
    }
}

/// The configuration is read again, until [`reloaded`].
pub fn reloading() {
    // Which moment it is, so that a manager can tell this from an earlier one (`Type=notify-reload`).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It was read, and `status` says what came of it.
pub fn reloaded(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It stops, and may take `limit` for that.
pub fn stopping(limit: Duration) {
    // Some time for what comes after the drain.
    let limit = u32::try_from((limit + Duration::from_secs(10)).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what was pulled"),
        NotifyState::ExtendTimeoutUsec(limit),
    ]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager cannot be told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use tokio::sync::Notify;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_in_which_nothing_works_is_not_said_to_live() {
        let (hangs, freed) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let told = Arc::new(AtomicU64::new(0));
        let probe = {
            let (hangs, freed) = (Arc::clone(&hangs), Arc::clone(&freed));
            move || {
                let (hangs, freed) = (Arc::clone(&hangs), Arc::clone(&freed));
                async move {
                    if hangs.load(Ordering::SeqCst) {
                        freed.notified().await;
                    }
                }
            }
        };
        let count = Arc::clone(&told);
        let task = tokio::spawn(watch(Duration::from_secs(30), probe, move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let so_far = || told.load(Ordering::SeqCst);
        sleep(Duration::from_secs(95)).await;
        assert_eq!(so_far(), 4);
        hangs.store(true, Ordering::SeqCst);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(so_far(), 4);
        // Once it works again, it is told again.
        hangs.store(false, Ordering::SeqCst);
        freed.notify_one();
        sleep(Duration::from_secs(65)).await;
        assert!((6..=8).contains(&so_far()), "{}", so_far());
        task.abort();
    }
}
