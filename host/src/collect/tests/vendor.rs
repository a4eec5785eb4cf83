//! A vendor that is a script.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::collect::source::{Call, Reader, Source};
use crate::deliver::Head;
use crate::sandbox::{Budget, Chunk, Fault, FaultClass, GuestError, Malformed, Next, Session, Start};

/// A vendor with numbered records, one a second since the beginning, and a list of what goes wrong at its next pulls.
pub struct Vendor {
    pub start: Instant,
    state: Mutex<VendorState>,
}

#[derive(Default)]
pub struct VendorState {
    /// Records that are there from the beginning.
    pub backlog: u64,
    /// What the next pulls answer, in order.
    pub script: VecDeque<GuestError>,
    /// Records that break the component, unless they are read verbatim.
    pub poison: BTreeSet<u64>,
    /// Records that come a second time after this many.
    pub repeat_after: Option<u64>,
    /// Bytes that each event has beside its number.
    pub padding: usize,
    pub sessions: u64,
    /// What each login answers while this is set, and when they were tried.
    pub refuses: Option<GuestError>,
    pub logins: Vec<Duration>,
    /// Sessions up to this number are no longer good.
    pub expired: u64,
    /// Each start, with its time.
    pub opened: Vec<(Duration, Start)>,
    pub pulls: u64,
}

impl Vendor {
    pub fn new(backlog: u64) -> Arc<Self> {
        let state = VendorState { backlog, ..VendorState::default() };
        Arc::new(Self { start: Instant::now(), state: Mutex::new(state) })
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut VendorState) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    pub fn fails(&self, class: FaultClass) {
        self.with(|state| state.script.push_back(fault(class)));
    }

    pub fn records(&self) -> u64 {
        self.with(|state| state.backlog) + self.start.elapsed().as_secs()
    }
}

pub fn fault(class: FaultClass) -> GuestError {
    Fault { class, code: "code".into(), message: "It failed".into(), hint: None, status: None }.into()
}

fn trap() -> GuestError {
    GuestError::Trap { message: "unreachable".into(), backtrace: String::new() }
}

pub struct Scripted(pub Arc<Vendor>);

impl Source for Scripted {
    fn authenticate(&self) -> Call<'_, Session> {
        Box::pin(async {
            let number = self.0.with(|state| {
                state.logins.push(self.0.start.elapsed());
                if let Some(error) = &state.refuses {
                    return Err(error.clone());
                }
                state.sessions += 1;
                Ok(state.sessions)
            })?;
            Ok(Session { secret: number.to_be_bytes().to_vec(), expires_at: None })
        })
    }

    fn open<'a>(&'a self, _: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        Box::pin(async move {
            self.0.with(|state| state.opened.push((self.0.start.elapsed(), start.clone())));
            let at = match &start {
                Start::After(position) => number(position),
                Start::Now(_) => self.0.records(),
                Start::Configured | Start::Oldest(_) | Start::Span(..) => 0,
            };
            Ok(Box::new(ScriptedReader { vendor: Arc::clone(&self.0), at }) as Box<dyn Reader>)
        })
    }
}

pub fn number(position: &[u8]) -> u64 {
    u64::from_be_bytes(position.try_into().unwrap())
}

struct ScriptedReader {
    vendor: Arc<Vendor>,
    at: u64,
}

impl Reader for ScriptedReader {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk> {
        Box::pin(async move {
            sleep(Duration::from_millis(10)).await;
            let last = self.vendor.records();
            let (end, poisoned, repeat_after, padding) = self.vendor.with(|state| {
                state.pulls += 1;
                if number(&session.secret) <= state.expired {
                    return Err(fault(FaultClass::SessionExpired));
                }
                if let Some(error) = state.script.pop_front() {
                    return Err(error);
                }
                let end = (self.at + u64::from(budget.events)).min(last);
                let poisoned = state.poison.range(self.at..end).next().is_some();
                Ok((end, poisoned, state.repeat_after, state.padding))
            })?;
            if poisoned && !budget.verbatim {
                return Err(trap());
            }
            let malformed = poisoned.then(|| Malformed { reason: "verbatim".into(), head: vec![], size: None });
            let numbers: Vec<u64> = if poisoned { Vec::new() } else { (self.at..end).collect() };
            let (mut bodies, mut events) = (String::new(), Vec::new());
            for number in numbers {
                let begin = bodies.len() as u32;
                let id = repeat_after.map_or(number, |after| number % after);
                bodies += &format!("{{\"id\":{id}}}{:padding$}\n", "");
                let (id, end) = (id.into(), bodies.len() as u32);
                events.push(Head { id, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin, end });
            }
            let records = (end - self.at) as u32;
            self.at = end;
            Ok(Chunk {
                bodies: bodies.into(),
                malformed: malformed.into_iter().collect(),
                gaps: vec![],
                merged: 0,
                requests: 1,
                quota_left: None,
                pieces: Default::default(),
                position: end.to_be_bytes().to_vec(),
                next: if end == last { Next::CaughtUp } else { Next::More },
                records,
                events,
            })
        })
    }
}
