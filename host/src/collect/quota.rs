//! The vendor's limits that streams share, spent evenly and not whole: customers' other tools use the same keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Requests that one pull may make at most.
const REQUESTS_A_PULL: f64 = 10.0;

/// How much of the share may be spent at once after a quiet time; the rest is spent evenly. A source has about ten
/// streams on one quota, and each wants a request or two when the host starts.
const BURST: f64 = 0.25;

/// One quota of one source.
#[derive(Debug)]
pub struct Quota {
    /// Requests in a second, on average.
    rate: f64,
    /// Requests that may be made at once, after a quiet time.
    burst: f64,
    /// Requests that one pull is granted: a tenth of the burst, so that streams take turns.
    portion: f64,
    /// What other users of the same keys are left, out of each window.
    others: u32,
    /// What the vendor grants in a window, to all users of the keys.
    limit: u32,
    bucket: Mutex<Bucket>,
    /// Whoever waits holds it, so turns are taken in order.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    paused_until: Option<Instant>,
    /// What the vendor last said is left of its window.
    left: Option<u32>,
}

/// How a quota stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuotaStatus {
    /// Requests that the vendor grants in a window, to all users of the keys.
    pub limit: u32,
    /// What the vendor last said is left of them; none if it says nothing, or was not asked yet.
    pub left: Option<u32>,
    /// How long the vendor's pause still lasts.
    pub paused: Duration,
}

impl Quota {
    /// Spends at most `share` of `requests` in any span as long as `window`.
    pub fn new(requests: u32, window: Duration, share: f64) -> Self {
        let mine = (f64::from(requests) * share).max(1.0);
        // Both add up to the share. Where the share is a few requests, it is one at a time.
        let burst = (mine * BURST).floor().max(1.0);
        let even = (mine - burst).max(mine / 2.0);
        Self {
            rate: even / window.as_secs_f64().max(f64::MIN_POSITIVE),
            burst,
            portion: (burst / 10.0).floor().clamp(1.0, REQUESTS_A_PULL),
            limit: requests,
            others: (f64::from(requests) - mine).max(0.0) as u32,
            bucket: Mutex::new(Bucket { tokens: burst, filled: Instant::now(), paused_until: None, left: None }),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Waits for one request at least, and grants some.
    pub async fn take(self: &Arc<Self>) -> Grant {
        let _turn = self.turn.lock().await;
        loop {
            let wait = match self.try_take() {
                Ok(requests) => return Grant { quota: Some(Arc::clone(self)), requests, in_use: false },
                Err(wait) => wait,
            };
            sleep(wait).await;
        }
    }

    /// Grants what is there without waiting, which may be nothing: enough to read on in what was listed already.
    pub fn take_now(self: &Arc<Self>) -> Grant {
        // Whoever waits for a turn comes first.
        let requests = self.turn.try_lock().map_or(0, |_turn| self.try_take().unwrap_or(0));
        Grant { quota: Some(Arc::clone(self)), requests, in_use: false }
    }

    fn try_take(&self) -> Result<u32, Duration> {
        let now = Instant::now();
        let mut bucket = self.refilled(now);
        if let Some(until) = bucket.paused_until {
            if until > now {
                return Err(until - now);
            }
            bucket.paused_until = None;
        }
        if bucket.tokens < 1.0 {
            // A millisecond more, so that rounding does not wake it just before.
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.rate) + Duration::from_millis(1));
        }
        let requests = bucket.tokens.floor().min(self.portion);
        bucket.tokens -= requests;
        Ok(requests as u32)
    }

    /// The vendor wants a pause: one for all streams of the quota, and an even start after it.
    pub fn pause(&self, pause: Duration) {
        let now = Instant::now();
        let mut bucket = self.refilled(now);
        let until = now + pause;
        bucket.paused_until = Some(bucket.paused_until.map_or(until, |other| other.max(until)));
        bucket.tokens = bucket.tokens.min(0.0);
    }

    /// How it stands.
    pub fn status(&self) -> QuotaStatus {
        let now = Instant::now();
        let bucket = self.refilled(now);
        let paused = bucket.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        QuotaStatus { limit: self.limit, left: bucket.left, paused }
    }

    fn settle(&self, granted: u32, used: u32, left: Option<u32>) {
        let mut bucket = self.refilled(Instant::now());
        bucket.left = left.or(bucket.left);
        bucket.tokens = (bucket.tokens + f64::from(granted) - f64::from(used)).min(self.burst);
        if left.is_some_and(|left| left < self.others) {
            // Others have spent of our share; what is left is theirs.
            bucket.tokens = bucket.tokens.min(0.0);
        }
    }

    fn refilled(&self, now: Instant) -> MutexGuard<'_, Bucket> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = (now - bucket.filled).as_secs_f64() * self.rate;
        bucket.tokens = (bucket.tokens + gained).min(self.burst);
        bucket.filled = now;
        bucket
    }
}

/// Requests that a pull may make. What was not settled when it is dropped comes back, but for one if it was in use.
#[derive(Debug)]
pub struct Grant {
    quota: Option<Arc<Quota>>,
    requests: u32,
    in_use: bool,
}

impl Grant {
    /// For a stream without a quota.
    pub fn unlimited() -> Self {
        Self { quota: None, requests: 50, in_use: false }
    }

    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// A pull begins. Should it fail, nobody says how many requests it made; it was one most likely.
    pub fn begin(&mut self) {
        self.in_use = true;
    }

    /// Gives back what was not used, or takes what was used beyond it.
    pub fn settle(mut self, used: u32, left: Option<u32>) {
        if let Some(quota) = self.quota.take() {
            quota.settle(self.requests, used, left);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(quota) = self.quota.take() {
            quota.settle(self.requests, self.requests.min(self.in_use.into()), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Requests that a greedy stream makes in each of `windows`.
    async fn spend(quota: &Arc<Quota>, window: Duration, windows: u32) -> Vec<u32> {
        let start = Instant::now();
        let mut spent = vec![0; windows as usize];
        loop {
            let grant = quota.take().await;
            let index = (start.elapsed().as_secs_f64() / window.as_secs_f64()) as usize;
            let Some(count) = spent.get_mut(index) else { return spent };
            *count += grant.requests();
            let used = grant.requests();
            grant.settle(used, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_greedy_stream_spends_its_share_and_no_more() {
        for (requests, share) in [(300, 0.8), (50, 0.5), (20, 0.8), (1000, 1.0)] {
            let quota = Arc::new(Quota::new(requests, HOUR, share));
            let mine = f64::from(requests) * share;
            for spent in spend(&quota, HOUR, 3).await {
                assert!(f64::from(spent) <= mine && f64::from(spent) > 0.7 * mine, "{spent} of {mine}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn spending_is_even() {
        let quota = Arc::new(Quota::new(300, HOUR, 0.8));
        let spent = spend(&quota, HOUR / 10, 10).await;
        assert!(spent[1..].iter().all(|count| (17..=19).contains(count)), "{spent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_everyone() {
        let quota = Arc::new(Quota::new(300, HOUR, 0.8));
        let start = Instant::now();
        quota.pause(Duration::from_secs(120));
        quota.pause(Duration::from_secs(30));
        let (one, two) = (Arc::clone(&quota), Arc::clone(&quota));
        let waits = [one, two].map(|quota| {
            tokio::spawn(async move {
                quota.take().await;
                start.elapsed()
            })
        });
        for wait in waits {
            assert!(wait.await.unwrap() >= Duration::from_secs(120));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_comes_back() {
        let quota = Arc::new(Quota::new(300, HOUR, 0.8));
        for _ in 0..100 {
            quota.take().await.settle(0, None);
        }
        let start = Instant::now();
        let grant = quota.take().await;
        assert_eq!((grant.requests(), start.elapsed()), (6, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn without_requests_nobody_waits_who_needs_none() {
        let quota = Arc::new(Quota::new(50, HOUR, 0.8));
        let mut grants: Vec<_> = (0..12).map(|_| quota.take_now()).collect();
        assert_eq!(grants.iter().map(Grant::requests).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
        // What was not begun comes back, and a grant of nothing costs nothing.
        grants[1..].iter_mut().for_each(Grant::begin);
        drop(grants);
        assert_eq!(quota.take_now().requests(), 1);
        let mut last = quota.take_now();
        last.begin();
        drop(last);
        let start = Instant::now();
        quota.take().await.settle(1, None);
        assert!(start.elapsed() < HOUR / 20, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_left_to_others() {
        let quota = Arc::new(Quota::new(300, HOUR, 0.8));
        quota.take().await.settle(1, Some(59));
        let start = Instant::now();
        quota.take().await.settle(1, Some(60));
        assert!(start.elapsed() > Duration::from_secs(10), "it goes on only at the even pace");
    }
}
