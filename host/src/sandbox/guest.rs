//! One instance of a component, and its calls.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{ResourceAny, ResourceTableError};
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use super::bindings::{LogSource, types};
use super::convert;
use super::meter::{Ended, Meter, Time};
use super::state::State;
use super::transport::Nowhere;
use super::{
    Budget, Chunk, Component, Descriptor, Egress, GuestError, Limit, Limits, Notes, Plan, Session, Start, Transport,
    TransportError,
};
use crate::outside::{Clock, Random};

/// What an instance is given of the outside, and the name under which its lines are logged.
#[derive(Clone)]
pub struct Context {
    pub source: Arc<str>,
    pub egress: Arc<Egress>,
    pub transport: Arc<dyn Transport>,
    pub clock: Clock,
    pub random: Random,
    pub notes: Arc<Notes>,
}

impl Context {
    /// Without a network: for `describe` and `plan-for`.
    pub fn sealed(source: &str, clock: Clock, random: Random) -> Self {
        let (egress, transport) = (Arc::new(Egress::nothing()), Arc::new(Nowhere));
        Self { source: source.into(), egress, transport, clock, random, notes: Arc::default() }
    }
}

/// An instance. After any error but a fault it is used up, and dropped.
pub struct Guest {
    store: Store<State>,
    source: LogSource,
    reader: Option<ResourceAny>,
    meter: Arc<Meter>,
    limits: Limits,
    kinds: usize,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Guest {
    pub(super) async fn instantiate(component: &Component, context: &Context) -> Result<Self, GuestError> {
        let sandbox = &component.sandbox;
        let slot = sandbox.slot().await;
        let limits = component.limits;
        let meter = Arc::new(Meter::new(limits));
        let mut store = Store::new(&sandbox.engine, State::new(context, &limits, &meter));
        store.limiter(|state| &mut state.gauge);
        // For each call and each list or text in it alike; the heads of events count as they lie in memory.
        store.set_hostcall_fuel(limits.chunk_bytes);
        store.set_max_component_handles(limits.handles);
        store.set_epoch_deadline(1);
        let counted = Arc::clone(&meter);
        store.epoch_deadline_callback(move |_| match counted.has_cpu_left() {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Ok(UpdateDeadline::Interrupt),
        });
        let kinds = component.descriptor().kinds.len();
        let made = meter.within(Time::Quick, component.pre.instantiate_async(&mut store)).await;
        store.data().used(meter.cpu());
        let source = settle(&store, &meter, &limits, made)?;
        Ok(Self { store, source, reader: None, meter, limits, kinds, _slot: slot })
    }

    /// What the source is.
    ///
    /// # Errors
    /// When the guest breaks down or breaks the contract.
    pub async fn describe(&mut self) -> Result<Descriptor, GuestError> {
        self.begin();
        let call = self.source.tributary_source_source().call_describe(&mut self.store);
        let answer = self.meter.within(Time::Quick, call).await;
        let descriptor = self.settle(answer)?;
        convert::descriptor(descriptor)
    }

    /// What `config` (JSON text) selects.
    ///
    /// # Errors
    /// The source's judgement, or a breakdown.
    pub async fn plan_for(&mut self, config: &str) -> Result<Plan, GuestError> {
        self.begin();
        let call = self.source.tributary_source_source().call_plan_for(&mut self.store, config);
        let answer = self.meter.within(Time::Quick, call).await;
        let plan = self.settle(answer)?;
        convert::plan(plan.map_err(|fault| GuestError::from(convert::fault(fault)))?)
    }

    /// Proves the credentials to the vendor.
    ///
    /// # Errors
    /// The vendor's refusal, trouble on the way, or a breakdown.
    pub async fn authenticate(&mut self, config: &str) -> Result<Session, GuestError> {
        self.begin();
        let call = self.source.tributary_source_source().call_authenticate(&mut self.store, config);
        let answer = self.meter.within(Time::Network, call).await;
        let session = self.settle(answer)?;
        convert::session(session.map_err(|fault| GuestError::from(convert::fault(fault)))?)
    }

    /// Opens a stream for reading; an instance reads one at a time.
    ///
    /// # Errors
    /// The source's judgement of configuration and position, or a breakdown.
    pub async fn open(&mut self, config: &str, stream: &str, start: Start) -> Result<(), GuestError> {
        self.begin();
        self.reader = None;
        let start = convert::start(start);
        let reader = self.source.tributary_source_source().reader();
        let call = reader.call_open(&mut self.store, config, stream, &start);
        let answer = self.meter.within(Time::Quick, call).await;
        let opened = self.settle(answer)?;
        self.reader = Some(opened.map_err(|fault| GuestError::from(convert::fault(fault)))?);
        Ok(())
    }

    /// Reads on in the open stream.
    ///
    /// # Errors
    /// The source's fault, a breakdown, or a chunk that breaks the contract.
    pub async fn pull(&mut self, secret: &[u8], budget: Budget) -> Result<Chunk, GuestError> {
        let Some(reader) = self.reader else {
            return Err(GuestError::Breach("the host pulled before it had opened a stream".into()));
        };
        self.begin();
        let budget = lawful(budget, &self.limits);
        let resource = self.source.tributary_source_source().reader();
        let call = resource.call_pull(&mut self.store, reader, secret, budget);
        let answer = self.meter.within(Time::Network, call).await;
        let chunk = self.settle(answer)?;
        convert::chunk(chunk.map_err(|fault| GuestError::from(convert::fault(fault)))?, self.kinds, &self.limits)
    }

    /// Why the last request got no answer; `None` once one did.
    pub fn transport_error(&self) -> Option<TransportError> {
        self.store.data().transport_error()
    }

    /// The most linear memory that the instance had, in bytes.
    pub fn peak_memory(&self) -> usize {
        self.store.data().gauge.peak
    }

    /// What is counted, is counted for each call.
    fn begin(&mut self) {
        self.meter.begin();
        self.store.set_epoch_deadline(1);
    }

    fn settle<T>(&self, ended: Ended<T>) -> Result<T, GuestError> {
        self.store.data().used(self.meter.cpu());
        settle(&self.store, &self.meter, &self.limits, ended)
    }
}

/// What a source that keeps to its budget, exceeded by one record, can keep to within its limits. A quarter of the bytes:
/// heads and texts count too, and the record that exceeds it may be large.
fn lawful(budget: Budget, limits: &Limits) -> types::Budget {
    let most = |figure: usize| u32::try_from(figure).unwrap_or(u32::MAX);
    types::Budget {
        // A budget of none would be no budget: such a limit is for the guest to pass.
        events: budget.events.min(most(limits.chunk_events.saturating_sub(1)).max(1)),
        bytes: budget.bytes.min(most(limits.chunk_bytes / 4)),
        time_ms: budget.time_ms,
        requests: budget.requests.min(limits.requests),
        verbatim: budget.verbatim,
    }
}

/// Bytes of a backtrace, which goes to the log and into the status.
const BACKTRACE: usize = 8 << 10;

/// Tells what ended a call.
fn settle<T>(store: &Store<State>, meter: &Meter, limits: &Limits, ended: Ended<T>) -> Result<T, GuestError> {
    let answer = match ended {
        Ended::Answered(answer) => answer,
        Ended::Stopped(limit) => return Err(limit.into()),
    };
    // A guest that answers all the same has gone over it.
    if let Some(limit) = meter.exceeded() {
        return Err(limit.into());
    }
    let error = match answer {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let cause = error.root_cause().to_string();
    if let Some(limit) = passed_in_the_runtime(&error, &cause, limits) {
        return Err(limit.into());
    }
    let mut backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    // Its names are the component's own, as long as it likes.
    backtrace.truncate(backtrace.floor_char_boundary(BACKTRACE));
    // A panic's message went to standard error just before its trap, which itself says only `unreachable`.
    let last = store.data().stderr.last_line();
    let message = if last.is_empty() { cause } else { format!("{cause}; its last line was: {last}") };
    Err(GuestError::Trap { message, backtrace: backtrace.trim_end().to_owned() })
}

/// A limit that wasmtime itself holds.
fn passed_in_the_runtime(error: &wasmtime::Error, cause: &str, limits: &Limits) -> Option<Limit> {
    // Wasmtime has no type for these three.
    if cause.contains("fuel allocated for hostcalls") {
        return Some(Limit::chunk_bytes(limits.chunk_bytes));
    }
    if cause.contains("total size of fields exceeds limit") {
        return Some(Limit::header_bytes());
    }
    let full = matches!(error.downcast_ref(), Some(ResourceTableError::Full));
    if full || cause.contains("store handle limit exceeded") {
        return Some(Limit::handles(limits.handles));
    }
    matches!(error.downcast_ref(), Some(Trap::StackOverflow)).then(Limit::stack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_leaves_room_in_the_limits_and_is_never_none() {
        let events = |chunk_events, asked| {
            let budget = Budget { events: asked, ..Budget::default() };
            lawful(budget, &Limits { chunk_events, ..Limits::default() }).events
        };
        assert_eq!((events(200, 5_000), events(200, 100), events(2, 5_000)), (199, 100, 1));
        assert_eq!((events(1, 5_000), events(0, 5_000)), (1, 1));
    }
}
