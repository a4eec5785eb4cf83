//! Counts what one call of a guest uses of the outside: requests, bytes of answers, lines, time.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use wasmtime_wasi_http::Error as WasiError;

use super::{Body, Limit, Limits};
use crate::outside::thread_cpu;

/// What an instance's hooks, its standard error and its calls share.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    used: Mutex<Used>,
    cpu: Cpu,
    /// Woken when a limit was passed: a guest that goes on regardless is stopped at its next tick or wait.
    passed: Notify,
}

#[derive(Debug)]
struct Used {
    requests: u32,
    response_bytes: u64,
    stderr_bytes: usize,
    /// When an answer last brought something, or the call began.
    progress: Instant,
    /// The first limit that was passed. The instance is used up then.
    exceeded: Option<Limit>,
}

/// Why a call was given up.
#[derive(Debug)]
pub(super) enum Ended<T> {
    Answered(wasmtime::Result<T>),
    Stopped(Limit),
}

impl Meter {
    pub fn new(limits: Limits) -> Self {
        let used = Used { requests: 0, response_bytes: 0, stderr_bytes: 0, progress: Instant::now(), exceeded: None };
        Self { limits, used: Mutex::new(used), cpu: Cpu::default(), passed: Notify::new() }
    }

    /// A new call: all is counted for each.
    pub fn begin(&self) {
        self.cpu.spent.store(0, Ordering::Relaxed);
        let mut used = self.lock();
        (used.requests, used.response_bytes, used.stderr_bytes) = (0, 0, 0);
        used.progress = Instant::now();
    }

    /// CPU time of the last call, as far as it has been polled.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.spent.load(Ordering::Relaxed))
    }

    /// Whether the call that runs now may go on; asked by the guest's own thread, at each tick.
    pub fn has_cpu_left(&self) -> bool {
        let limit = self.limits.cpu;
        self.cpu.spent_now() <= limit || self.check(&mut self.lock(), |_| false, Limit::cpu(limit))
    }

    /// Counts a request; false if it may not be made.
    pub fn request(&self) -> bool {
        let mut used = self.lock();
        used.requests = used.requests.saturating_add(1);
        self.check(&mut used, |used| used.requests <= self.limits.requests, Limit::requests(self.limits.requests))
    }

    /// Counts what an answer brought; false if it is too much.
    fn received(&self, bytes: usize) -> bool {
        let mut used = self.lock();
        used.progress = Instant::now();
        used.response_bytes = used.response_bytes.saturating_add(bytes as u64);
        let limit = self.limits.response_bytes;
        used.response_bytes <= limit || self.check(&mut used, |_| false, Limit::response_bytes(limit))
    }

    /// Counts what goes to standard error; false if it is too much.
    pub fn written(&self, bytes: usize) -> bool {
        let mut used = self.lock();
        used.stderr_bytes = used.stderr_bytes.saturating_add(bytes);
        let limit = self.limits.stderr_bytes;
        self.check(&mut used, |used| used.stderr_bytes <= limit, Limit::stderr_bytes(limit))
    }

    /// Remembers a limit that was passed, if it is the first.
    pub fn exceed(&self, limit: Limit) {
        self.check(&mut self.lock(), |_| false, limit);
    }

    /// What was passed, if anything was.
    pub fn exceeded(&self) -> Option<Limit> {
        self.lock().exceeded.clone()
    }

    /// Counts an answer's body while it is read.
    pub fn answer(self: &Arc<Self>, response: http::Response<Body>) -> http::Response<Body> {
        self.received(0);
        let meter = Arc::clone(self);
        response.map(|body| BodyExt::boxed_unsync(Counted { body, meter }))
    }

    /// Runs a call until it answers or has to be stopped.
    pub async fn within<T>(&self, time: Time, call: impl Future<Output = wasmtime::Result<T>>) -> Ended<T> {
        let mut call = std::pin::pin!(call);
        let call = std::future::poll_fn(|context| self.cpu.count(|| call.as_mut().poll(context)));
        // An answer that is there counts first, as with a plain time-out.
        tokio::select! {
            biased;
            answer = call => Ended::Answered(answer),
            limit = self.passed() => Ended::Stopped(limit),
            limit = self.overdue(time) => Ended::Stopped(limit),
        }
    }

    async fn passed(&self) -> Limit {
        loop {
            if let Some(limit) = self.exceeded() {
                return limit;
            }
            self.passed.notified().await;
        }
    }

    /// Waits until the call has taken too long.
    async fn overdue(&self, time: Time) -> Limit {
        let patience = match time {
            Time::Quick => {
                tokio::time::sleep(Limits::QUICK_CALL).await;
                return Limit::quick_call();
            }
            Time::Network => self.limits.wall,
        };
        let longest = patience * Limits::LONGEST;
        let end = Instant::now() + longest;
        loop {
            let deadline = self.lock().progress + patience;
            let now = Instant::now();
            if now >= end {
                return Limit::longest(longest);
            }
            if now >= deadline {
                return Limit::wall(patience);
            }
            sleep_until(deadline.min(end)).await;
        }
    }

    fn check(&self, used: &mut Used, holds: impl Fn(&Used) -> bool, limit: Limit) -> bool {
        let holds = holds(used);
        if !holds && used.exceeded.is_none() {
            used.exceeded = Some(limit);
            self.passed.notify_one();
        }
        holds
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The CPU time of a call, as the system counts it: what the guest's thread has while the call is polled. Neither a wait nor
/// another process that takes the CPU makes it more.
#[derive(Debug, Default)]
struct Cpu {
    /// Nanoseconds of the polls that are over.
    spent: AtomicU64,
    /// What the thread's clock said when the poll that is under way began, in nanoseconds.
    begun: AtomicU64,
}

impl Cpu {
    fn count<T>(&self, poll: impl FnOnce() -> T) -> T {
        let begun = thread_nanos();
        self.begun.store(begun, Ordering::Relaxed);
        let polled = poll();
        self.spent.fetch_add(thread_nanos().saturating_sub(begun), Ordering::Relaxed);
        polled
    }

    /// While it is polled, on the thread that does.
    fn spent_now(&self) -> Duration {
        let running = thread_nanos().saturating_sub(self.begun.load(Ordering::Relaxed));
        Duration::from_nanos(self.spent.load(Ordering::Relaxed).saturating_add(running))
    }
}

/// CPU time of this thread.
fn thread_nanos() -> u64 {
    u64::try_from(thread_cpu().as_nanos()).unwrap_or(u64::MAX)
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// It has nothing to wait for.
    Quick,
    /// It waits for the vendor.
    Network,
}

/// An answer's body that is counted as it is read.
struct Counted {
    body: Body,
    meter: Arc<Meter>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && !self.meter.received(data.len())
        {
            return Poll::Ready(Some(Err(WasiError::HttpResponseBodySize(Some(self.meter.limits.response_bytes)))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn meter() -> Arc<Meter> {
        Arc::new(Meter::new(Limits { wall: 10 * SECOND, requests: 2, stderr_bytes: 5, ..Limits::default() }))
    }

    fn stopped(ended: Ended<()>) -> Limit {
        match ended {
            Ended::Stopped(limit) => limit,
            Ended::Answered(answer) => panic!("{answer:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hears_nothing_is_stopped_and_one_that_does_goes_on() {
        let meter = meter();
        let started = Instant::now();
        let silent = meter.within(Time::Network, std::future::pending::<wasmtime::Result<()>>()).await;
        assert_eq!(stopped(silent), Limit::wall(10 * SECOND));
        assert_eq!(started.elapsed(), 10 * SECOND);
        // A byte every nine seconds, for ten times the limit.
        meter.begin();
        let slow = async {
            for _ in 0..11 {
                tokio::time::sleep(9 * SECOND).await;
                assert!(meter.received(1));
            }
            Ok(())
        };
        assert!(matches!(meter.within(Time::Network, slow).await, Ended::Answered(Ok(()))));
        // Not for ever.
        meter.begin();
        let started = Instant::now();
        let endless = async {
            loop {
                tokio::time::sleep(9 * SECOND).await;
                meter.received(1);
            }
        };
        assert_eq!(stopped(meter.within(Time::Network, endless).await), Limit::longest(120 * SECOND));
        assert_eq!(started.elapsed(), 120 * SECOND);
        meter.begin();
        let quick = meter.within(Time::Quick, std::future::pending::<wasmtime::Result<()>>()).await;
        assert_eq!(stopped(quick), Limit::quick_call());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_counted_is_counted_for_each_call() {
        let meter = meter();
        for _ in 0..2 {
            meter.begin();
            assert!(meter.request() && meter.request() && meter.written(5));
        }
        assert_eq!(meter.exceeded(), None);
        assert!(!meter.request() && !meter.written(1));
        assert_eq!(meter.exceeded(), Some(Limit::requests(2)), "the first is told");
        // Even if the guest says nothing of it.
        let stays = meter.within(Time::Network, std::future::pending::<wasmtime::Result<()>>()).await;
        assert_eq!(stopped(stays), Limit::requests(2));
    }
}
