//! One run: processes that begin and end, around a simulator, a disk and far sides that outlive them.

mod healing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mimecast_simulator as sim;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tributary_host::collect::{Source, StreamState};
use tributary_host::config::{self, Settings};
use tributary_host::deliver::Storage;
use tributary_host::outside::{Clock, Outside, Random};
use tributary_host::state::{StateError, StreamKey};
use tributary_host::{Host, Options, Ready, Running};
use tributary_tests::memory::Memory;

use crate::bugs::Bug;
use crate::dice::Dice;
use crate::disk::{Disk, Mounted};
use crate::far::Far;
use crate::life::Life;
use crate::native::{self, Native};
use crate::oracle::Outcome;
use crate::scenario::{LifePlan, Scenario, TENANT};
use crate::sinks::Carrier;
use crate::storage::{Pull, State};
use crate::tap::Tap;
use crate::trace::Trace;
use crate::wires::{Wired, Wires};

pub struct World {
    pub scenario: Scenario,
    pub memory: Memory,
    pub clock: Clock,
    pub trace: Arc<Trace>,
    pub far: Far,
    pub folder: TempDir,
    pub violations: Vec<String>,
    disk: Disk,
    dice: Dice,
    quiet: Arc<AtomicBool>,
    /// What was pulled since the state was last looked at, by stream, in its order.
    in_flight: BTreeMap<String, Vec<Pull>>,
    /// What the store knew then that sinks have though no position covers it, by stream and sink.
    noted: BTreeMap<(String, &'static str), BTreeSet<u128>>,
    /// Where each stream stood then.
    stood: BTreeMap<String, Option<Vec<u8>>>,
    simulator_faults: BTreeMap<String, u64>,
}

/// A process at work.
struct Process {
    running: Running,
    state: Arc<State>,
    life: Life,
}

/// Runs a scenario to its end, in this thread.
pub fn run(scenario: Scenario, told: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(scenario, told);
        world.run().await
    })
}

impl World {
    fn new(scenario: Scenario, told: bool) -> Self {
        let clock = Clock::simulated(Duration::from_millis(scenario.settings.start_ms));
        let memory = Memory::new(sim::Simulator::new(scenario.settings.clone()).unwrap(), clock);
        let place = std::path::Path::new("/dev/shm");
        let folder = if place.is_dir() { tempfile::tempdir_in(place) } else { tempfile::tempdir() };
        Self {
            dice: Dice::new(scenario.seed),
            memory,
            clock,
            trace: Arc::new(Trace::new(clock, told)),
            far: Far::default(),
            folder: folder.unwrap(),
            violations: Vec::new(),
            disk: Disk::new(),
            quiet: Arc::default(),
            in_flight: BTreeMap::new(),
            noted: BTreeMap::new(),
            stood: BTreeMap::new(),
            simulator_faults: BTreeMap::new(),
            scenario,
        }
    }

    async fn run(&mut self) -> Outcome {
        let begun = Instant::now();
        let lives = self.scenario.lives.clone();
        let mut left = None;
        for (number, plan) in lives.iter().enumerate() {
            for (fault, when) in &plan.faults {
                self.memory.simulator().inject(TENANT, fault.clone(), *when).unwrap();
            }
            let last = number + 1 == lives.len();
            left = self.live(plan, last && self.heals_in_place(plan)).await;
            if left.is_none() {
                sleep(plan.down).await;
            }
        }
        self.end_faults(left.as_ref());
        let stopped = |process: &Process| process.running.status().iter().any(|row| row.state == StreamState::Stopped);
        if let Some(process) = left.take_if(|process| stopped(process)) {
            self.told_why(&process);
            self.finish(process, false).await;
        }
        let calm = healing::calm(&lives[lives.len() - 1]);
        let process = match left {
            Some(process) => process,
            None => self.start(&calm, None).await.expect("nothing strikes any more"),
        };
        let outcome = self.heal(process, &calm).await;
        Outcome { simulated: begun.elapsed(), ..outcome }
    }

    fn heals_in_place(&self, plan: &LifePlan) -> bool {
        self.scenario.heals_in_place && plan.skew_ms == 0 && plan.left_out.is_empty()
    }

    /// One process from its start to its end. With `stays`, it is given back unless it crashed.
    async fn live(&mut self, plan: &LifePlan, stays: bool) -> Option<Process> {
        let process = self.start(plan, plan.end).await?;
        let crashed = tokio::select! {
            biased;
            () = process.life.struck() => true,
            () = sleep(plan.lasts) => false,
        };
        if crashed || stays {
            if !crashed {
                return Some(process);
            }
            self.finish(process, true).await;
            return None;
        }
        let orderly = plan.end.is_none_or(|(point, _)| point == "stop.close") && self.dice.chance(700);
        if orderly || plan.end.is_some_and(|(point, _)| point == "stop.close") {
            self.finish(process, false).await;
        } else {
            process.life.end("moment");
            self.finish(process, true).await;
        }
        None
    }

    async fn start(&mut self, plan: &LifePlan, end: Option<(&'static str, u64)>) -> Option<Process> {
        let life = Life::new(Arc::clone(&self.trace), end);
        let dice = self.dice.fork("life");
        let (disk, faults) = (self.disk.clone(), plan.disk.clone());
        let shared = Arc::clone(&self.trace);
        let trace = || Arc::clone(&shared);
        let mounted = Mounted::new(disk, life.clone(), dice.fork("disk"), faults, trace(), Arc::clone(&self.quiet));
        let state = loop {
            let letters = if self.quiet.load(Ordering::Relaxed) { 0 } else { plan.failing_letters };
            let letters_dice = dice.fork("letters");
            let opened =
                State::open(Arc::clone(&mounted), self.folder.path(), letters, life.clone(), letters_dice, trace());
            match opened {
                _ if life.is_over() => {
                    self.crash();
                    return None;
                }
                Ok(state) => break Arc::new(state),
                Err(error) => {
                    if matches!(error, StateError::Damaged { .. }) {
                        self.violations.push(format!("the state does not survive: {error}"));
                        return None;
                    }
                    self.trace.step("open failed", "", 0, 0);
                    // A supervisor starts it again.
                    sleep(Duration::from_secs(10)).await;
                }
            }
        };
        self.look_back(&state);
        let skewed = self.clock_skewed(plan.skew_ms);
        let wires = Arc::new(Wires {
            memory: self.memory.clone(),
            truth: self.clock,
            local: skewed,
            jump_ms: plan.jump_ms,
            jump_from: plan.jump_from,
            life: life.clone(),
            dice: dice.fork("wires"),
            trace: trace(),
            quiet: Arc::clone(&self.quiet),
            cuts: plan.cuts,
            numbers: AtomicU64::new(0),
            since: Instant::now(),
        });
        let outside = Outside {
            clock: skewed,
            random: Random::seeded(dice.number()),
            network: Arc::new(Wired(Arc::clone(&wires))),
        };
        let source = config::Source {
            id: TENANT.into(),
            kind: "mimecast".into(),
            tenant: TENANT.into(),
            settings: Settings::new(self.scenario.source(plan).to_string()),
            quota_share: 0.8,
            quotas: BTreeMap::new(),
            retry_for: Duration::from_secs(90 * 60),
            on_position_lost: self.scenario.on_position_lost,
            max_in_flight_bytes: plan.in_flight_bytes,
            limits: Default::default(),
            network: tributary_tests::guest::network(),
            alert_window: Duration::from_secs(86_400),
            rules: Default::default(),
        };
        let (inner, streams, quotas): (Arc<dyn Source>, _, _) = if self.scenario.real_component {
            let options = Options { outside: outside.clone(), ..Options::new(tributary_host::COMPONENT) };
            let host = Host::around(tributary_tests::world::component().await, options);
            let planned = host.plan(&source).await.unwrap();
            (planned.source, planned.plan.streams, host.component().await.unwrap().descriptor().quotas.clone())
        } else {
            let (streams, quotas) = native::plan(source.settings.as_json());
            (Arc::new(Native { settings: source.settings.as_json().into(), wires }), streams, quotas)
        };
        let bug = self.scenario.bug;
        let tap = Tap {
            inner: Bug::inside_source(bug, inner),
            life: life.clone(),
            trace: trace(),
            dice: dice.fork("tap"),
            pulled: state.pulled.clone(),
            quiet: Arc::clone(&self.quiet),
            breakdowns: plan.breakdowns,
            poison: self.scenario.poison,
        };
        let sinks = plan.sinks.iter().map(|manner| {
            let carrier = Carrier {
                manner: manner.clone(),
                far: self.far.clone(),
                life: life.clone(),
                dice: dice.fork(manner.id),
                trace: trace(),
                clock: self.clock,
                quiet: Arc::clone(&self.quiet),
            };
            carrier.attach(|sink| Bug::around_sink(bug, sink))
        });
        let ready = Ready { config: source, streams, quotas, source: Bug::around_source(bug, Arc::new(tap)) };
        let storage = Bug::around_storage(bug, Arc::clone(&state) as Arc<dyn Storage>);
        let drain = Duration::from_secs(30);
        let running = Running::new(vec![ready], sinks.collect(), storage, plan.in_flight_bytes, outside, drain);
        Some(Process { running, state, life })
    }

    fn clock_skewed(&self, skew_ms: i64) -> Clock {
        Clock::simulated(Duration::from_millis(self.clock.millis().saturating_add_signed(skew_ms)))
    }

    /// Ends a process, by a crash or in good order; the latter may crash all the same.
    async fn finish(&mut self, process: Process, crashed: bool) {
        let Process { running, state, life } = process;
        let mut crashed = crashed;
        if crashed {
            running.kill().await;
        } else {
            let stop = running.stop();
            tokio::pin!(stop);
            crashed = tokio::select! {
                biased;
                () = life.struck() => true,
                drained = &mut stop => {
                    self.trace.step("stopped", "", u64::from(drained), 0);
                    false
                }
            };
        }
        for (stream, pulls) in state.pulled.take() {
            if pulls.iter().any(|pull| pull.caught_up) {
                self.forgotten(&stream);
            }
            self.in_flight.entry(stream).or_default().extend(pulls);
        }
        if crashed {
            life.close();
        }
        // Tasks that were dropped hold it no longer; a store that was not crashed writes its last word here.
        tokio::task::yield_now().await;
        drop(state);
        life.close();
        if crashed {
            self.crash();
        }
    }

    /// The source said that there is no more: what had not come again by then would never do, and the host no longer knows who
    /// has it. A vendor that answers with nothing in the middle of a backlog makes it come again after all.
    fn forgotten(&mut self, stream: &str) {
        let name: Arc<str> = stream.into();
        let mut far = self.far.all();
        for ((of, sink), ids) in &mut self.noted {
            if of == stream
                && let Some(heap) = far.get_mut(sink)
            {
                std::mem::take(ids).into_iter().for_each(|id| heap.excuse(&name, id));
            }
        }
    }

    fn crash(&mut self) {
        self.disk.crash(&self.dice.fork("crash"));
    }

    /// Compares what is durable with what the process before had pulled: what the position covers must be at every sink,
    /// and what it does not cover may come there again, unless the store knows who has it.
    fn look_back(&mut self, state: &State) {
        let base = self.scenario.base_sinks();
        // Those from which nothing was pulled too: then their position stays where it is.
        for stream in self.scenario.streams.clone() {
            let key = StreamKey::new(TENANT, stream);
            let Ok(stored) = state.store().stream(&key) else { continue };
            let (stream, pulls) = (stream.to_owned(), self.in_flight.remove(stream).unwrap_or_default());
            // A window that is read again gives the same position more than once: only the first is certain.
            let covered = pulls.iter().position(|pull| Some(&pull.position) == stored.position.as_ref());
            // Nor is anything certain where it has not moved at all: windows may come again without moving it.
            let moved = self.stood.insert(stream.clone(), stored.position.clone()) != Some(stored.position.clone());
            if moved && stored.position.is_some() && covered.is_none() {
                self.violations.push(format!("P1: no pull has given the position that is stored of {stream}"));
            }
            let covered = covered.filter(|_| moved).map_or(0, |last| last + 1);
            let name: Arc<str> = stream.as_str().into();
            let mut far = self.far.all();
            for manner in &base {
                let heap = far.entry(manner.id).or_default();
                let covered_ids = pulls[..covered].iter().flat_map(|pull| &pull.ids);
                let lacking = covered_ids.filter(|id| !manner.refuses(**id) && !heap.has(&name, **id)).count();
                if lacking > 0 {
                    self.violations.push(format!(
                        "P1: the position of {stream} covers {lacking} events that sink {} does not have",
                        manner.id
                    ));
                }
            }
            for (sink, heap) in far.iter_mut() {
                let had = stored.partly.get(*sink);
                let flying: BTreeSet<u128> =
                    pulls[covered..].iter().flat_map(|pull| pull.ids.iter().copied()).collect();
                for id in flying {
                    match had {
                        Some(had) if had.contains(&id) => {
                            self.noted.entry((stream.clone(), sink)).or_default().insert(id);
                        }
                        _ => heap.excuse(&name, id),
                    }
                }
            }
        }
    }
}
