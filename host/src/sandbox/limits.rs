//! What a guest may use, and how the runtime holds it to that.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{ResourceLimiter, Result};

use super::meter::Meter;

/// What one instance may use. Each is enforced by the runtime, for that instance only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, in bytes. A guest that grows beyond it is stopped.
    pub memory: usize,
    /// CPU time of one call, with what the host does for it meanwhile. Waiting is free, also for the CPU. It is looked at in
    /// ticks of [`Limits::TICK`].
    pub cpu: Duration,
    /// Wall-clock time of one call that may use the network, since an answer last brought something. A slow answer that
    /// goes on arriving is not cut off before [`Limits::LONGEST`] times as long.
    pub wall: Duration,
    /// Bytes that one call may hand over to the host: bodies, heads, texts, position, together.
    pub chunk_bytes: usize,
    /// Events, malformed records and gaps of one chunk.
    pub chunk_events: usize,
    /// Handles that an instance may hold at once: of what the host lends it, and as many of its own. Behind each the host may
    /// keep a hundred kilobytes for it.
    pub handles: usize,
    /// Elements of one of its tables.
    pub table_elements: usize,
    /// Bytes of all answers' bodies that one call may read.
    pub response_bytes: u64,
    /// Requests that one call may make, denied ones too.
    pub requests: u32,
    /// Bytes that one call may write to its standard error.
    pub stderr_bytes: usize,
    /// Bytes of a position.
    pub position_bytes: usize,
}

impl Limits {
    /// How often a running guest lets others run, and its time is looked at.
    pub const TICK: Duration = Duration::from_millis(10);

    /// Wall-clock time of a call without I/O (`describe`, `plan-for`, `open`).
    pub const QUICK_CALL: Duration = Duration::from_secs(10);

    /// How many times [`Limits::wall`] a call may take whose answers go on arriving. A source looks at its budget of time
    /// after each piece, so only one that does not care about it, with a server that drips, comes this far.
    pub const LONGEST: u32 = 12;

    /// Headers of one request, in bytes.
    pub(super) const HEADER: usize = 32 << 10;

    /// The contract's limit of a position.
    pub const POSITION: usize = 64 << 10;

    /// 32 MiB and 30 s of CPU: a pull of the default budget takes 2 MiB and 50 ms. Five minutes: a pull that waits for a
    /// slow vendor through its own retries ends before. 32 MiB handed over: a budget of 4 MiB, exceeded by one record; and
    /// twice its 5,000 events. A request takes a dozen handles, a component's function table some hundred elements.
    /// What a pull can read in its five seconds is a tenth of a gibibyte on most lines, and a few hundred requests.
    pub const DEFAULT: Self = Self {
        memory: 32 << 20,
        cpu: Duration::from_secs(30),
        wall: Duration::from_secs(300),
        chunk_bytes: 32 << 20,
        chunk_events: 10_000,
        handles: 256,
        table_elements: 20_000,
        response_bytes: 1 << 30,
        requests: 10_000,
        stderr_bytes: 1 << 20,
        position_bytes: Self::POSITION,
    };

    /// The larger of both where it decides on the size of a slot.
    #[must_use]
    pub fn room_for(self, other: &Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            table_elements: self.table_elements.max(other.table_elements),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A limit that a guest went over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}. {}", self.what(), self.hint())]
pub struct Limit {
    pub name: &'static str,
    /// The limit, and what was asked where that is known, with units.
    pub figure: String,
    /// The setting that raises it; empty, if there is none.
    pub setting: &'static str,
}

impl Limit {
    pub fn what(&self) -> String {
        format!("the component went over its limit of {} ({})", self.name, self.figure)
    }

    /// What the operator should do next.
    pub fn hint(&self) -> String {
        match self.setting {
            "" => "This is a fault of the component; report it".into(),
            setting => format!("If that is lawful, raise {setting}"),
        }
    }

    pub(super) fn memory(limit: usize, desired: usize) -> Self {
        let figure = format!("{}, {} wanted", size(limit as u64), size(desired as u64));
        Self { name: "memory", figure, setting: "limits.memory_bytes" }
    }

    pub(super) fn cpu(limit: Duration) -> Self {
        Self { name: "CPU time of a call", figure: format!("{limit:?}"), setting: "limits.cpu_secs" }
    }

    pub(super) fn wall(limit: Duration) -> Self {
        let figure = format!("{limit:?} without anything new");
        Self { name: "time of a call", figure, setting: "limits.wall_secs" }
    }

    pub(super) fn longest(limit: Duration) -> Self {
        let figure = format!("{limit:?}, with answers that went on arriving");
        Self { name: "time of a call", figure, setting: "limits.wall_secs" }
    }

    /// Of a call that has no business with the network.
    pub(super) fn quick_call() -> Self {
        let figure = format!("{:?} for one that makes no request", Limits::QUICK_CALL);
        Self { name: "time of a call", figure, setting: "" }
    }

    pub(super) fn chunk_bytes(limit: usize) -> Self {
        let figure = size(limit as u64);
        Self { name: "bytes handed over in a call", figure, setting: "limits.chunk_bytes" }
    }

    pub(super) fn chunk_events(limit: usize, given: usize) -> Self {
        Self { name: "events of a chunk", figure: format!("{limit}, {given} given"), setting: "limits.chunk_events" }
    }

    pub(super) fn handles(limit: usize) -> Self {
        Self { name: "handles", figure: limit.to_string(), setting: "limits.handles" }
    }

    pub(super) fn tables(limit: usize, desired: usize) -> Self {
        let figure = format!("{limit}, {desired} wanted");
        Self { name: "table elements", figure, setting: "limits.table_elements" }
    }

    pub(super) fn response_bytes(limit: u64) -> Self {
        Self { name: "bytes of answers in a call", figure: size(limit), setting: "limits.response_bytes" }
    }

    pub(super) fn requests(limit: u32) -> Self {
        Self { name: "requests of a call", figure: limit.to_string(), setting: "limits.requests" }
    }

    pub(super) fn stderr_bytes(limit: usize) -> Self {
        let figure = size(limit as u64);
        Self { name: "bytes to standard error in a call", figure, setting: "limits.stderr_bytes" }
    }

    pub(super) fn position_bytes(limit: usize, given: usize) -> Self {
        let figure = format!("{limit} bytes, {given} given");
        // The contract allows no more, so there nothing can be raised.
        let setting = if limit < Limits::POSITION { "limits.position_bytes" } else { "" };
        Self { name: "bytes of a position", figure, setting }
    }

    /// Of what waits to be sent; tokens have a few kilobytes.
    pub(super) fn header_bytes() -> Self {
        Self { name: "bytes of a request's headers", figure: size(Limits::HEADER as u64), setting: "" }
    }

    /// Calls within calls; the runtime's own limit.
    pub(super) fn stack() -> Self {
        Self { name: "stack", figure: "512 KiB".into(), setting: "" }
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes.is_multiple_of(*unit) => format!("{} {name}", bytes / unit),
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// Holds an instance to its memory and tables, and counts its CPU time.
#[derive(Debug)]
pub(super) struct Gauge {
    memory: usize,
    table_elements: usize,
    meter: Arc<Meter>,
    /// The most memory that the instance had, in bytes.
    pub peak: usize,
}

impl Gauge {
    pub fn new(limits: &Limits, meter: Arc<Meter>) -> Self {
        Self { memory: limits.memory, table_elements: limits.table_elements, meter, peak: 0 }
    }

    pub fn exceed(&self, limit: Limit) {
        self.meter.exceed(limit);
    }

    /// An error traps at once and keeps the cause; `false` would end in the guest's own out-of-memory handling.
    fn trap(&self, limit: Limit) -> Result<bool> {
        let message = limit.to_string();
        self.exceed(limit);
        Err(wasmtime::Error::msg(message))
    }
}

impl ResourceLimiter for Gauge {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > self.memory {
            return self.trap(Limit::memory(self.memory, desired));
        }
        self.peak = self.peak.max(desired);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > self.table_elements { self.trap(Limit::tables(self.table_elements, desired)) } else { Ok(true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_its_figure_and_its_setting() {
        assert_eq!(
            Limit::memory(32 << 20, (33 << 20) + (512 << 10)).to_string(),
            "the component went over its limit of memory (32 MiB, 33.5 MiB wanted). If that is lawful, raise \
             limits.memory_bytes"
        );
        assert!(Limit::position_bytes(100, 101).to_string().ends_with("raise limits.position_bytes"));
        assert!(Limit::position_bytes(Limits::POSITION, 70_000).to_string().ends_with("report it"));
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        let told: Vec<String> = [0, 1023, 1024, 1536, 5 << 20, 1 << 30].into_iter().map(size).collect();
        assert_eq!(told, ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "5 MiB", "1 GiB"]);
    }
}
