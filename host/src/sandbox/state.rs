//! What a store holds beside the guest: its tables, clocks, hooks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use super::limits::Gauge;
use super::meter::Meter;
use super::stderr::GuestStderr;
use super::{Context, Egress, EgressMode, Limits, Notes, RequestOptions, Transport, TransportError};
use crate::outside::Clock;

/// What of a request's body waits for its connection.
const BODY_BYTES: usize = 64 << 10;

/// Bytes of random numbers in one call: request ids are 16.
const RANDOM_BYTES: u64 = 4 << 10;

pub struct State {
    pub(super) table: ResourceTable,
    pub(super) gauge: Gauge,
    pub(super) stderr: GuestStderr,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
}

impl State {
    pub(super) fn new(context: &Context, limits: &Limits, meter: &Arc<Meter>) -> Self {
        let stderr = GuestStderr::new(Arc::clone(&context.source), Arc::clone(meter));
        let wasi = WasiCtx::builder()
            .wall_clock(WallClock(context.clock))
            .monotonic_clock(MonotonicClock(Instant::now()))
            .secure_random(context.random.fork())
            .max_random_size(RANDOM_BYTES)
            .stderr(stderr.clone())
            .build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(Limits::HEADER);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            table,
            gauge: Gauge::new(limits, Arc::clone(meter)),
            stderr,
            wasi,
            http,
            hooks: Hooks {
                source: Arc::clone(&context.source),
                egress: Arc::clone(&context.egress),
                transport: Arc::clone(&context.transport),
                clock: context.clock,
                notes: Arc::clone(&context.notes),
                meter: Arc::clone(meter),
                failure: Failure::default(),
            },
        }
    }

    /// Counts what a call used.
    pub(super) fn used(&self, cpu: Duration) {
        self.hooks.notes.used(cpu, self.gauge.peak);
    }

    /// Why the last request got no answer; `None` once one did.
    pub(super) fn transport_error(&self) -> Option<TransportError> {
        lock(&self.hooks.failure).clone()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

struct WallClock(Clock);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.now()
    }
}

/// Counts from the instance's birth, in tokio's time.
struct MonotonicClock(Instant);

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Policy first, then the network.
struct Hooks {
    source: Arc<str>,
    egress: Arc<Egress>,
    transport: Arc<dyn Transport>,
    clock: Clock,
    notes: Arc<Notes>,
    meter: Arc<Meter>,
    failure: Failure,
}

/// Why the last request of this instance got no answer; `None` once one did.
type Failure = Arc<Mutex<Option<TransportError>>>;

fn lock(failure: &Failure) -> MutexGuard<'_, Option<TransportError>> {
    // Written whole, so a panic elsewhere cannot have left half of it.
    failure.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hooks {
    fn fail(&self, error: &TransportError) {
        self.notes.failed(error);
        *lock(&self.failure) = Some(error.clone());
    }
}

type Processing = Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>;
type Answer =
    Box<dyn Future<Output = Result<(http::Response<WasiBody>, Processing), wasmtime_wasi_http::Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_BYTES
    }

    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<wasmtime_wasi_http::RequestOptions>,
        _processing: Processing,
    ) -> Answer {
        // What is denied counts too: it costs a line in the log. A tunnel would carry what nobody judges.
        if !self.meter.request() || request.method() == http::Method::CONNECT {
            return Box::new(async { Err(wasmtime_wasi_http::Error::HttpRequestDenied) });
        }
        if let Err(refusal) = self.egress.judge(request.uri()) {
            self.notes.refused(&self.source, &refusal, self.egress.mode());
            if self.egress.mode() == EgressMode::Enforce {
                self.fail(&TransportError::Egress(refusal));
                return Box::new(async { Err(wasmtime_wasi_http::Error::HttpRequestDenied) });
            }
        }
        self.notes.requested();
        // The client adds it, in the form that HTTP/1.1 wants.
        request.headers_mut().remove(http::header::HOST);
        let source = Arc::clone(&self.source);
        let (clock, notes, meter) = (self.clock, Arc::clone(&self.notes), Arc::clone(&self.meter));
        let failure = Arc::clone(&self.failure);
        let host = request.uri().host().unwrap_or("").to_owned();
        let sent = self.transport.send(request, RequestOptions::from(options.unwrap_or_default()));
        Box::new(async move {
            match sent.await {
                Ok(response) => {
                    notes.answered(response.status().as_u16(), response.headers(), &clock);
                    *lock(&failure) = None;
                    Ok((meter.answer(response), Box::new(async { Ok(()) }) as Processing))
                }
                Err(error) => {
                    tracing::debug!(source = %source, host, "request failed: {error}");
                    notes.failed(&error);
                    *lock(&failure) = Some(error.clone());
                    Err(error.into())
                }
            }
        })
    }
}
