//! The component's own core, compiled natively, as a source of the host: for speed.
//!
//! The core's calls are synchronous and wait for nobody. So time passes inside of a call on paper: each request makes the
//! call longer by its latency, the simulator is asked at the time that it would be then, and when the call ends, the host
//! waits as long.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_source as core;
use mimecast_source::code::Code;
use mimecast_source::effects::{Body, Effects, Method, Request, Response, TransportError};
use tributary_host::collect::{Call, Reader, Source};
use tributary_host::deliver::Head;
use tributary_host::sandbox::{
    Budget, Chunk, Fault, FaultClass, Gap, GuestError, LogStream, Malformed, Next, Quota, Session, Start,
};

use crate::wires::Wires;

thread_local! {
    /// The core's readers are not `Send`, and the host wants readers that are. They stay on the thread of their run.
    static READERS: RefCell<HashMap<u64, core::Reader>> = RefCell::default();
}

/// The core with a configuration, and its way to the simulator.
pub struct Native {
    pub settings: Arc<str>,
    pub wires: Arc<Wires>,
}

/// What the core says of a configuration.
pub fn plan(settings: &str) -> (Vec<LogStream>, Vec<Quota>) {
    let plan = core::plan_for(settings).unwrap_or_else(|fault| panic!("{fault}"));
    let streams = plan.streams.into_iter().map(|stream| LogStream {
        name: stream.name,
        description: stream.description,
        interval_ms: stream.interval_ms,
        retention_ms: stream.retention_ms,
        repeats_within_ms: stream.repeats_within_ms,
        quota: stream.quota.map(str::to_owned),
    });
    let quotas = core::describe().quotas.into_iter().map(|quota| Quota {
        name: quota.name.to_owned(),
        requests: quota.requests,
        window_ms: quota.window_ms,
    });
    (streams.collect(), quotas.collect())
}

impl Source for Native {
    fn authenticate(&self) -> Call<'_, Session> {
        Box::pin(async {
            let mut outside = Outside::new(&self.wires);
            let session = guarded(|| core::authenticate(&self.settings, &mut outside));
            outside.wait().await;
            session.map(|session| Session { secret: session.secret, expires_at: session.expires_at })
        })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        Box::pin(async move {
            let start = match start {
                Start::Configured => core::chunk::Start::Configured,
                Start::After(position) => core::chunk::Start::After(position),
                Start::Oldest(lost) => core::chunk::Start::Oldest(lost),
                Start::Now(lost) => core::chunk::Start::Now(lost),
                Start::Span(begin, end) => core::chunk::Start::Span(begin, end),
            };
            let reader = guarded(|| core::Reader::open(&self.settings, stream, start))?;
            let number = self.wires.number();
            READERS.with_borrow_mut(|readers| readers.insert(number, reader));
            Ok(Box::new(NativeReader { number, wires: Arc::clone(&self.wires) }) as Box<dyn Reader>)
        })
    }
}

struct NativeReader {
    number: u64,
    wires: Arc<Wires>,
}

impl NativeReader {
    fn call(
        &self,
        outside: &mut Outside<'_>,
        session: &Session,
        budget: &core::chunk::Budget,
    ) -> Result<core::chunk::Chunk, GuestError> {
        // Taken out: after a panic it is gone, as an instance is after a trap.
        let Some(mut reader) = READERS.with_borrow_mut(|readers| readers.remove(&self.number)) else {
            return Err(GuestError::Trap { message: "the instance is used up".into(), backtrace: String::new() });
        };
        let answer = guarded(|| reader.pull(outside, &session.secret, budget));
        if matches!(answer, Ok(_) | Err(GuestError::Fault(_))) {
            READERS.with_borrow_mut(|readers| readers.insert(self.number, reader));
        }
        answer
    }
}

impl Drop for NativeReader {
    fn drop(&mut self) {
        // The thread may be ending, and its readers with it.
        let _ = READERS.try_with(|readers| readers.borrow_mut().remove(&self.number));
    }
}

impl Reader for NativeReader {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk> {
        Box::pin(async move {
            let Budget { events, bytes, time_ms, requests, verbatim } = budget;
            let budget = core::chunk::Budget { events, bytes, time_ms, requests, verbatim };
            let mut outside = Outside::new(&self.wires);
            let answer = self.call(&mut outside, session, &budget);
            outside.wait().await;
            answer.map(chunk)
        })
    }
}

fn guarded<T>(call: impl FnOnce() -> Result<T, core::chunk::Fault>) -> Result<T, GuestError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| fault(error).into()),
        Err(_) => Err(GuestError::Trap { message: "the core panicked".into(), backtrace: String::new() }),
    }
}

fn fault(fault: core::chunk::Fault) -> Fault {
    use core::chunk::FaultClass as Class;
    let class = match fault.class {
        Class::Configuration => FaultClass::Configuration,
        Class::Credentials => FaultClass::Credentials,
        Class::NotEntitled => FaultClass::NotEntitled,
        Class::SessionExpired => FaultClass::SessionExpired,
        Class::Throttled(ms) => FaultClass::Throttled(ms),
        Class::Unavailable => FaultClass::Unavailable,
        Class::PositionLost => FaultClass::PositionLost,
        Class::Protocol => FaultClass::Protocol,
    };
    Fault { class, code: fault.code, message: fault.message, hint: fault.hint, status: fault.status }
}

fn chunk(given: core::chunk::Chunk) -> Chunk {
    let mut begin = 0;
    let events = given.events.into_iter().map(|event| {
        let id = |digest: core::chunk::Digest| u128::from(digest.0) << 64 | u128::from(digest.1);
        let core::chunk::Event { time, kind, class, severity, end, .. } = event;
        let head =
            Head { id: id(event.id), time, kind, class, severity, alert_key: event.alert_key.map(id), begin, end };
        begin = end;
        head
    });
    let events: Vec<Head> = events.collect();
    assert_eq!(begin as usize, given.bodies.len(), "the last event ends where the bodies end");
    let malformed =
        given.malformed.into_iter().map(|one| Malformed { reason: one.reason, head: one.head, size: one.size });
    let gaps =
        given.gaps.into_iter().map(|gap| Gap { what: gap.what, begin: gap.begin, end: gap.end, reason: gap.reason });
    Chunk {
        events,
        bodies: given.bodies.into(),
        malformed: malformed.collect(),
        gaps: gaps.collect(),
        records: given.records,
        merged: given.merged,
        pieces: tributary_host::sandbox::Pieces {
            listed: given.pieces.listed,
            fetched: given.pieces.fetched,
            gone: given.pieces.gone,
        },
        requests: given.requests,
        quota_left: given.quota_left,
        position: given.position,
        next: match given.next {
            core::chunk::Next::More => Next::More,
            core::chunk::Next::CaughtUp => Next::CaughtUp,
            core::chunk::Next::Pause(ms) => Next::Pause(ms),
        },
    }
}

/// The outside of one call of the core.
struct Outside<'a> {
    wires: &'a Wires,
    elapsed_ms: u64,
}

impl<'a> Outside<'a> {
    fn new(wires: &'a Wires) -> Self {
        Self { wires, elapsed_ms: 0 }
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(self.elapsed_ms)).await;
    }
}

impl Effects for Outside<'_> {
    fn now(&mut self) -> u64 {
        (self.wires.local_ms() + self.elapsed_ms) * 1_000_000
    }

    fn monotonic_ms(&mut self) -> u64 {
        self.wires.true_ms() + self.elapsed_ms
    }

    fn random(&mut self) -> [u8; 16] {
        u128::from(self.wires.dice.number()).to_le_bytes()
    }

    fn send(&mut self, request: Request) -> Result<Response, TransportError> {
        let closed = || TransportError { code: Code::Closed, message: "the connection broke off".into() };
        let (latency, cut) = self.wires.before();
        self.elapsed_ms += latency;
        if cut {
            return Err(closed());
        }
        let answer = self.wires.ask(&simulated(request), self.elapsed_ms);
        self.elapsed_ms += answer.delay_ms.min(FIRST_BYTE_MS);
        if answer.delay_ms > FIRST_BYTE_MS {
            return Err(TransportError { code: Code::ResponseTimeout, message: "there was no answer in time".into() });
        }
        if self.wires.after() {
            return Err(closed());
        }
        let (body, broken) = self.wires.body(&answer);
        let pieces = body.chunks(16 << 10).map(<[u8]>::to_vec).collect();
        Ok(Response {
            status: answer.status,
            headers: answer
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.into_bytes()))
                .collect(),
            body: Box::new(Pieces { pieces, broken }),
        })
    }
}

/// The component waits no longer for the first byte.
const FIRST_BYTE_MS: u64 = 60_000;

struct Pieces {
    pieces: std::collections::VecDeque<Vec<u8>>,
    broken: bool,
}

impl Body for Pieces {
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        match self.pieces.pop_front() {
            None if self.broken => {
                Err(TransportError { code: Code::Closed, message: "the connection broke off".into() })
            }
            piece => Ok(piece),
        }
    }
}

fn simulated(request: Request) -> sim::Request {
    let target = sim::Request::get(&request.url);
    let headers = request.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    sim::Request { method: method.to_owned(), headers, body: request.body, ..target }
}
