//! The way to the simulator, and what goes wrong on it: latency, and answers that are cut before and after the far side
//! has acted. Both the native core and the real component go this way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_host::outside::Clock;
use tributary_host::sandbox::{Body, Network, NetworkError, RequestOptions, Sent, Transport, TransportError, Way};
use tributary_tests::memory::Memory;

use crate::dice::{Dice, hash};
use crate::life::Life;
use crate::trace::Trace;

/// One process's way to the simulator.
pub struct Wires {
    pub memory: Memory,
    /// The simulator's clock.
    pub truth: Clock,
    /// The host's, which may be wrong.
    pub local: Clock,
    /// What the source's clock is ahead of the host's, in milliseconds, from a moment of this life on.
    pub jump_ms: i64,
    pub jump_from: Duration,
    pub life: Life,
    pub dice: Dice,
    pub trace: Arc<Trace>,
    /// No more faults.
    pub quiet: Arc<AtomicBool>,
    /// Of a thousand requests, so many are cut at each of three places: before, after, in the body.
    pub cuts: u64,
    pub numbers: AtomicU64,
    pub since: tokio::time::Instant,
}

impl Wires {
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub fn true_ms(&self) -> u64 {
        self.truth.millis()
    }

    /// What the source takes for the time.
    pub fn local_ms(&self) -> u64 {
        let jumped = self.since.elapsed() >= self.jump_from && !self.quiet.load(Ordering::Relaxed);
        self.local.millis().saturating_add_signed(if jumped { self.jump_ms } else { 0 })
    }

    fn cut(&self, kind: &str) -> bool {
        let cut = !self.quiet.load(Ordering::Relaxed) && self.dice.chance(self.cuts);
        if cut {
            self.trace.fault(kind);
        }
        cut
    }

    /// How long the request is on its way, in milliseconds, and whether it gets lost.
    pub fn before(&self) -> (u64, bool) {
        let latency = if self.dice.chance(20) { self.dice.between(1_000, 9_000) } else { self.dice.between(5, 300) };
        (latency, self.life.strikes("pull.request") || self.cut("wire: cut before the far side acted"))
    }

    /// Whether the answer gets lost.
    pub fn after(&self) -> bool {
        self.cut("wire: cut after the far side acted")
    }

    /// The simulator's answer, `later_ms` from now.
    pub fn ask(&self, request: &sim::Request, later_ms: u64) -> sim::Response {
        let answer = self.memory.simulator().handle(request, self.true_ms() + later_ms);
        self.trace.step("answer", &request.path, answer.status.into(), hash(&answer.body));
        answer
    }

    /// What arrives of the body, and whether it breaks off then.
    pub fn body(&self, answer: &sim::Response) -> (bytes::Bytes, bool) {
        let promised = answer.header_value("content-length").and_then(|length| length.parse::<usize>().ok());
        let mut cut = answer.cut_after.filter(|after| *after < answer.body.len());
        if !answer.body.is_empty() && self.cut("wire: cut in the body") {
            cut = Some(self.dice.between(0, answer.body.len() as u64 - 1) as usize);
        }
        let broken = cut.is_some() || promised.is_some_and(|length| length > answer.body.len());
        (answer.body.slice(..cut.unwrap_or(answer.body.len())), broken)
    }
}

/// For the real component.
#[derive(Clone)]
pub struct Wired(pub Arc<Wires>);

impl Network for Wired {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Transport for Wired {
    fn send(&self, request: http::Request<Body>, options: RequestOptions) -> Sent {
        let wires = Arc::clone(&self.0);
        let beyond = wires.memory.send(request, options);
        Box::pin(async move {
            wires.life.go_on().await;
            let (latency, cut) = wires.before();
            tokio::time::sleep(Duration::from_millis(latency)).await;
            if cut {
                return Err(TransportError::Closed);
            }
            wires.life.go_on().await;
            let answer = beyond.await;
            wires.trace.step(
                "answer",
                "component",
                answer.as_ref().map_or(0, |answer| answer.status().as_u16().into()),
                0,
            );
            if wires.after() { Err(TransportError::Closed) } else { answer }
        })
    }
}
