//! The checks of one source that runs: one at a time, and the last one is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::check::{Finding, Verdict};

/// What a check gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether all is well.
    pub good: bool,
    /// Whether streams that had been given up are tried again now.
    pub resumed: bool,
    /// The whole source first, then by stream.
    pub findings: Vec<Finding>,
}

impl Checked {
    pub fn new(at_ms: u64, findings: Vec<Finding>) -> Self {
        let good = findings.iter().all(|finding| matches!(finding.verdict, Verdict::Good | Verdict::NotLicensed));
        Self { at_ms, good, resumed: false, findings }
    }

    /// Whether this stream works.
    pub fn is_good(&self, stream: &str) -> bool {
        let good = |stream: &str| {
            self.findings.iter().any(|finding| finding.stream == stream && finding.verdict == Verdict::Good)
        };
        good("") && good(stream)
    }
}

/// See the module.
#[derive(Default)]
pub struct Checks(Mutex<State>);

#[derive(Default)]
struct State {
    running: Option<watch::Receiver<Option<Arc<Checked>>>>,
    last: Option<Arc<Checked>>,
}

impl Checks {
    pub fn last(&self) -> Option<Arc<Checked>> {
        self.lock().last.clone()
    }

    /// The result of the check that is under way; if none is, of the one that `begin` makes. It goes on when whoever asked
    /// has gone. `None` if it came to no end, since the host stops.
    pub async fn once<F>(self: &Arc<Self>, begin: impl FnOnce() -> F) -> Option<Arc<Checked>>
    where
        F: Future<Output = Option<Checked>> + Send + 'static,
    {
        let mut result = {
            let mut state = self.lock();
            match &state.running {
                Some(running) if running.has_changed().is_ok() => running.clone(),
                _ => {
                    let (sender, receiver) = watch::channel(None);
                    state.running = Some(receiver.clone());
                    tokio::spawn(Arc::clone(self).run(begin(), sender));
                    receiver
                }
            }
        };
        let ended = result.wait_for(Option::is_some).await.ok()?;
        ended.clone()
    }

    /// The sender goes with it, so that nobody waits for a check that broke down.
    async fn run(
        self: Arc<Self>,
        check: impl Future<Output = Option<Checked>>,
        done: watch::Sender<Option<Arc<Checked>>>,
    ) {
        let checked = check.await.map(Arc::new);
        let mut state = self.lock();
        state.running = None;
        if checked.is_some() {
            state.last.clone_from(&checked);
        }
        drop(state);
        done.send_replace(checked);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    fn checked(at_ms: u64) -> Checked {
        Checked::new(at_ms, vec![Finding::good("", "x"), Finding::good("a", "x"), Finding::passing("b", "x", "x")])
    }

    #[tokio::test(start_paused = true)]
    async fn two_at_once_are_one_and_two_in_turn_are_two() {
        let (checks, begun) = (Arc::new(Checks::default()), Arc::new(AtomicU64::new(0)));
        let check = || {
            let (checks, begun) = (Arc::clone(&checks), Arc::clone(&begun));
            async move {
                let begin = || {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    async move {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Some(checked(number))
                    }
                };
                checks.once(begin).await.map(|checked| checked.at_ms)
            }
        };
        assert_eq!(tokio::join!(check(), check(), check()), (Some(1), Some(1), Some(1)));
        assert_eq!(checks.last().unwrap().at_ms, 1);
        assert_eq!(check().await, Some(2));
        // Who goes away leaves it running for others.
        assert!(tokio::time::timeout(Duration::from_millis(1), check()).await.is_err());
        assert_eq!(check().await, Some(3));
    }

    #[tokio::test]
    async fn one_that_breaks_down_holds_up_nobody() {
        let checks = Arc::new(Checks::default());
        assert_eq!(checks.once(|| async { panic!("a defect") }).await, None);
        assert_eq!(checks.once(|| async { None }).await, None);
        assert!(checks.last().is_none());
        assert!(checks.once(|| async { Some(checked(1)) }).await.is_some());
    }

    #[test]
    fn a_stream_is_good_if_its_source_is() {
        let all = checked(0);
        assert!(!all.good && all.is_good("a") && !all.is_good("b") && !all.is_good("c"));
        let refused = Checked::new(0, vec![Finding::passing("", "x", "x"), Finding::good("a", "x")]);
        assert!(!refused.is_good("a"));
    }
}
