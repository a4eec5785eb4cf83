//! One instance of a component, and its calls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::error::Elapsed;
use wasmtime::component::ResourceAny;
use wasmtime::{Store, UpdateDeadline, WasmBacktrace};

use super::bindings::{LogSource, types};
use super::convert;
use super::limits::Gauge;
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
    limits: Limits,
    kinds: usize,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Guest {
    pub(super) async fn instantiate(component: &Component, context: &Context) -> Result<Self, GuestError> {
        let sandbox = &component.sandbox;
        let slot = sandbox.slot().await;
        let limits = sandbox.limits;
        let mut store = Store::new(&sandbox.engine, State::new(context, &limits));
        store.limiter(|state| &mut state.gauge);
        store.set_hostcall_fuel(limits.handover);
        let ticks = u32::try_from(limits.cpu.as_millis() / Limits::TICK.as_millis()).unwrap_or(u32::MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut store| {
            let gauge: &mut Gauge = &mut store.data_mut().gauge;
            gauge.ticks += 1;
            if gauge.ticks > ticks {
                gauge.exceeded = Some(Limit::cpu(limits.cpu));
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(UpdateDeadline::Yield(1))
        });
        let kinds = component.descriptor().kinds.len();
        let made = tokio::time::timeout(Limits::QUICK_CALL, component.pre.instantiate_async(&mut store)).await;
        let source = settle(&mut store, made, Limits::QUICK_CALL, &limits)?;
        Ok(Self { store, source, reader: None, limits, kinds, _slot: slot })
    }

    /// What the source is.
    ///
    /// # Errors
    /// When the guest breaks down or breaks the contract.
    pub async fn describe(&mut self) -> Result<Descriptor, GuestError> {
        self.begin();
        let call = self.source.tributary_source_source().call_describe(&mut self.store);
        let answer = tokio::time::timeout(Limits::QUICK_CALL, call).await;
        let descriptor = settle(&mut self.store, answer, Limits::QUICK_CALL, &self.limits)?;
        convert::descriptor(descriptor)
    }

    /// What `config` (JSON text) selects.
    ///
    /// # Errors
    /// The source's judgement, or a breakdown.
    pub async fn plan_for(&mut self, config: &str) -> Result<Plan, GuestError> {
        self.begin();
        let call = self.source.tributary_source_source().call_plan_for(&mut self.store, config);
        let answer = tokio::time::timeout(Limits::QUICK_CALL, call).await;
        let plan = settle(&mut self.store, answer, Limits::QUICK_CALL, &self.limits)?;
        plan.map(convert::plan).map_err(|fault| convert::fault(fault).into())
    }

    /// Proves the credentials to the vendor.
    ///
    /// # Errors
    /// The vendor's refusal, trouble on the way, or a breakdown.
    pub async fn authenticate(&mut self, config: &str) -> Result<Session, GuestError> {
        self.begin();
        let call = self.source.tributary_source_source().call_authenticate(&mut self.store, config);
        let answer = tokio::time::timeout(self.limits.call, call).await;
        let session = settle(&mut self.store, answer, self.limits.call, &self.limits)?;
        session.map(convert::session).map_err(|fault| convert::fault(fault).into())
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
        let answer = tokio::time::timeout(Limits::QUICK_CALL, call).await;
        let opened = settle(&mut self.store, answer, Limits::QUICK_CALL, &self.limits)?;
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
        let budget = types::Budget {
            events: budget.events,
            bytes: budget.bytes,
            time_ms: budget.time_ms,
            requests: budget.requests,
            verbatim: budget.verbatim,
        };
        let resource = self.source.tributary_source_source().reader();
        let call = resource.call_pull(&mut self.store, reader, secret, budget);
        let answer = tokio::time::timeout(self.limits.call, call).await;
        let chunk = settle(&mut self.store, answer, self.limits.call, &self.limits)?;
        convert::chunk(chunk.map_err(|fault| GuestError::from(convert::fault(fault)))?, self.kinds)
    }

    /// Why the last request got no answer; `None` once one did.
    pub fn transport_error(&self) -> Option<TransportError> {
        self.store.data().transport_error()
    }

    /// The most linear memory that the instance had, in bytes.
    pub fn peak_memory(&self) -> usize {
        self.store.data().gauge.peak
    }

    /// CPU time and what is handed over are counted for each call.
    fn begin(&mut self) {
        self.store.data_mut().gauge.ticks = 0;
        self.store.set_epoch_deadline(1);
    }
}

/// Tells what ended a call.
fn settle<T>(
    store: &mut Store<State>,
    answer: Result<wasmtime::Result<T>, Elapsed>,
    wall: Duration,
    limits: &Limits,
) -> Result<T, GuestError> {
    let error = match answer {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
        Err(_) => return Err(Limit::call(wall).into()),
    };
    if let Some(limit) = store.data_mut().gauge.exceeded.take() {
        return Err(limit.into());
    }
    let cause = error.root_cause().to_string();
    // Wasmtime has no type for this one.
    if cause.contains("fuel allocated for hostcalls") {
        return Err(Limit::handover(limits.handover).into());
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    // A panic's message went to standard error just before its trap, which itself says only `unreachable`.
    let last = store.data().stderr.last_line();
    let message = if last.is_empty() { cause } else { format!("{cause}; its last line was: {last}") };
    Err(GuestError::Trap { message, backtrace: backtrace.trim_end().to_owned() })
}
