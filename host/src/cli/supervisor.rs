//! What a service manager is told, by the protocol of `sd_notify(3)`. Where there is none, nothing is said to anybody.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// A service that runs, as its manager sees it. Dropped, it keeps no watchdog quiet any more.
#[derive(Debug)]
pub struct Supervised {
    watchdog: Option<JoinHandle<()>>,
}

impl Supervised {
    /// It runs, as `status` says. From now on the manager's watchdog is told that the runtime's tasks are served; it is
    /// told twice in its time, as `sd_watchdog_enabled(3)` advises.
    pub fn ready(status: &str) -> Self {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
        let watchdog = sd_notify::watchdog_enabled().map(|within| tokio::spawn(watch(within / 2)));
        Self { watchdog }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.abort();
        }
    }
}

async fn watch(every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
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
