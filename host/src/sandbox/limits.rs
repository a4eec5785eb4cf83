//! What a guest may use, and how the runtime holds it to that.

use std::time::Duration;

use wasmtime::{ResourceLimiter, Result};

/// What one instance may use. Each is enforced by the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, in bytes. A guest that grows beyond it is stopped.
    pub memory: usize,
    /// CPU time of one call. Counted in ticks of [`Limits::TICK`] while the guest's own code runs, so waiting is free.
    pub cpu: Duration,
    /// Wall-clock time of one call that may use the network.
    pub call: Duration,
    /// Bytes that one call may hand over to the host.
    pub handover: usize,
}

impl Limits {
    /// How often a running guest lets others run, and its time is counted.
    pub const TICK: Duration = Duration::from_millis(10);

    /// Wall-clock time of a call without I/O (`describe`, `plan-for`, `open`).
    pub const QUICK_CALL: Duration = Duration::from_secs(10);
}

impl Default for Limits {
    /// 32 MiB and 30 s of CPU: a pull of the default budget takes 2 MiB and 50 ms. Five minutes: a pull that waits for a
    /// slow vendor through its own retries ends before. 32 MiB handed over: a budget of 4 MiB, exceeded by one record.
    fn default() -> Self {
        Self { memory: 32 << 20, cpu: Duration::from_secs(30), call: Duration::from_secs(300), handover: 32 << 20 }
    }
}

/// A limit that a guest went over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the component went over its limit of {name} ({figure}). If that is lawful, raise {setting}")]
pub struct Limit {
    pub name: &'static str,
    /// The limit and what was asked, with units.
    pub figure: String,
    /// The setting that raises it.
    pub setting: &'static str,
}

impl Limit {
    pub(super) fn memory(limit: usize, desired: usize) -> Self {
        Self {
            name: "memory",
            figure: format!("{} MiB, {:.1} MiB wanted", limit >> 20, desired as f64 / f64::from(1 << 20)),
            setting: "limits.memory",
        }
    }

    pub(super) fn cpu(limit: Duration) -> Self {
        Self { name: "CPU time of a call", figure: format!("{limit:?}"), setting: "limits.cpu" }
    }

    pub(super) fn call(limit: Duration) -> Self {
        Self { name: "time of a call", figure: format!("{limit:?}"), setting: "limits.call" }
    }

    pub(super) fn handover(limit: usize) -> Self {
        Self { name: "bytes handed over in a call", figure: format!("{} MiB", limit >> 20), setting: "limits.handover" }
    }

    pub(super) fn tables(limit: usize) -> Self {
        Self { name: "table elements", figure: limit.to_string(), setting: "the component's build" }
    }
}

/// Holds an instance to its memory, and remembers what it went over.
#[derive(Debug)]
pub(super) struct Gauge {
    memory: usize,
    pub exceeded: Option<Limit>,
    /// Ticks of CPU time in this call.
    pub ticks: u32,
    /// The most memory that the instance had, in bytes.
    pub peak: usize,
}

/// Elements of all tables: a component has a function table of some hundred.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

impl Gauge {
    pub fn new(limits: &Limits) -> Self {
        Self { memory: limits.memory, exceeded: None, ticks: 0, peak: 0 }
    }

    fn exceed(&mut self, limit: Limit) -> Result<bool> {
        let message = limit.to_string();
        self.exceeded = Some(limit);
        // An error traps at once and keeps the cause; `false` would end in the guest's own out-of-memory handling.
        Err(wasmtime::Error::msg(message))
    }
}

impl ResourceLimiter for Gauge {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > self.memory {
            return self.exceed(Limit::memory(self.memory, desired));
        }
        self.peak = self.peak.max(desired);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > TABLE_ELEMENTS { self.exceed(Limit::tables(TABLE_ELEMENTS)) } else { Ok(true) }
    }
}
