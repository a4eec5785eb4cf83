//! The engine that all guests share, and its instance slots.

use std::sync::Arc;
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};

use super::request_parts;
use super::state::State;
use super::{Component, Limits, LoadError};
use crate::protect::lifted;

/// How the engine is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What each instance may use, unless its source has limits of its own; and the room of a slot: no source's memory or
    /// tables may be larger.
    pub limits: Limits,
    /// Instances that may live at the same time; more wait for a slot. An instance lives only while its stream is
    /// being read.
    pub slots: u32,
    /// Counts CPU time and lets others run, at the price of a fifth of the speed. Off only in simulation, where a
    /// ticker in real time would make runs differ.
    pub ticker: bool,
}

impl Settings {
    /// The kernel allows about ten thousand instances before it runs out of memory mappings.
    pub const SLOTS: u32 = 256;
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: Limits::default(), slots: Self::SLOTS, ticker: true }
    }
}

/// Compiles components and makes instances of them.
#[derive(Clone)]
pub struct Sandbox {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<State>>,
    pub(super) limits: Limits,
    /// The same, with what a slot has room for.
    pub(super) room: Limits,
    slots: Arc<Semaphore>,
}

impl Sandbox {
    /// # Errors
    /// When the system refuses the address space.
    pub fn new(settings: Settings) -> Result<Self, LoadError> {
        let Settings { limits, slots, ticker } = settings;
        // At least what components usually start with: one whose own limit is too small can say so then.
        let room = Limits::default().room_for(&limits);
        let engine = || {
            Engine::new(&config(&room, slots, Reservation::Whole))
                .or_else(|_| Engine::new(&config(&room, slots, Reservation::Limit)))
        };
        let engine = lifted(engine).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        let linker = linker(&engine).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        if ticker {
            tick(&engine).map_err(|error| LoadError::Engine(error.to_string()))?;
        }
        Ok(Self { engine, linker: Arc::new(linker), limits, room, slots: Arc::new(Semaphore::new(slots as usize)) })
    }

    /// Checks and compiles a component, and asks it what it is.
    ///
    /// # Errors
    /// When it is not a component, wants more than a source may have, or cannot describe itself.
    pub async fn load(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        Component::load(self, bytes).await
    }

    /// Whether instances with these limits fit into the slots that the engine was made with. What does not fit is cut.
    pub fn has_room_for(&self, limits: &Limits) -> bool {
        limits.memory <= self.room.memory && limits.table_elements <= self.room.table_elements
    }

    /// A place for one instance.
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so there is always a permit in the end.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }
}

/// Address space of a slot. None of it is memory before a guest uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reservation {
    /// All that a guest can address: it runs without a check before each access, a fifth faster. 256 slots are a tebibyte,
    /// which the kernel gives unless the process is limited (`ulimit -v`).
    Whole,
    /// What a guest may use, so that the pool fits into any limit.
    Limit,
}

/// Memory that a slot keeps for its next guest: what an empty pull touches. Cleared, not given back: for an instance that
/// lives for a tenth of a millisecond, the kernel's work for its pages is a third of the cost.
const KEPT: usize = 256 << 10;

/// The same of its tables: a component's function table is a few kilobytes.
const KEPT_OF_TABLES: usize = 64 << 10;

/// Whether the kernel (Linux 6.7) tells which pages of an instance were written.
pub fn tells_written_pages() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

fn config(limits: &Limits, slots: u32, reservation: Reservation) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(4 * slots)
        .total_memories(slots)
        .total_tables(4 * slots)
        .total_stacks(slots)
        .max_memory_size(limits.memory)
        .table_elements(limits.table_elements)
        .max_core_instances_per_component(8)
        .max_memories_per_component(1)
        .max_tables_per_component(8);
    // Without that all that is kept has to be cleared, which costs more than it saves.
    if tells_written_pages() {
        pool.pagemap_scan(Enabled::Auto).linear_memory_keep_resident(KEPT).table_keep_resident(KEPT_OF_TABLES);
    }
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(match reservation {
            Reservation::Whole => 4 << 30,
            Reservation::Limit => limits.memory as u64,
        })
        .epoch_interruption(true)
        // The contract is WASI 0.2: calls are four times cheaper without the machinery of 0.3.
        .concurrency_support(false);
    config
}

/// Only what the contract allows a source to import.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    struct Table;
    impl HasData for Table {
        type Data<'a> = &'a mut ResourceTable;
    }
    let mut linker = Linker::new(engine);
    wasi::io::error::add_to_linker::<State, Table>(&mut linker, |state| &mut state.table)?;
    wasi::io::poll::add_to_linker::<State, Table>(&mut linker, |state| &mut state.table)?;
    wasi::io::streams::add_to_linker::<State, Table>(&mut linker, |state| &mut state.table)?;
    wasi::clocks::wall_clock::add_to_linker::<State, WasiClocks>(&mut linker, State::clocks)?;
    wasi::clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(&mut linker, State::clocks)?;
    wasi::random::random::add_to_linker::<State, WasiRandom>(&mut linker, State::random)?;
    wasi::cli::stderr::add_to_linker::<State, WasiCli>(&mut linker, State::cli)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    request_parts::bound(&mut linker)?;
    Ok(linker)
}

/// Advances the epoch for as long as the engine lives.
fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new().name("tributary-epoch".into()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(Limits::TICK);
        }
    })?;
    Ok(())
}
