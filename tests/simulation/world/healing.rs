//! The end of a run: no more faults, everything comes through, and the oracle judges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mimecast_simulator as sim;
use tokio::time::{Instant, sleep};
use tributary_host::collect::StreamState;

use super::{Process, World};
use crate::disk::Mounted;
use crate::faults;
use crate::life::Life;
use crate::oracle::{self, Outcome};
use crate::scenario::{LifePlan, TENANT};
use crate::storage::State;

/// What appears so long after the end of the faults must still come through: a publication of files at least.
const AFTERMATH: Duration = Duration::from_secs(35 * 60);
/// A run that has not delivered everything by then has lost something.
const PATIENCE: Duration = Duration::from_secs(8 * 3600);

impl World {
    /// Nothing goes wrong from here on.
    pub(super) fn end_faults(&mut self, process: Option<&Process>) {
        self.quiet.store(true, Ordering::Relaxed);
        let now = self.clock.millis();
        let mut simulator = self.memory.simulator();
        for (fault, count) in simulator.fired(TENANT).into_iter().filter(|(_, count)| *count > 0) {
            *self.simulator_faults.entry(format!("mimecast: {}", fault.name())).or_default() += count;
        }
        simulator.clear_faults(TENANT).unwrap();
        for stream in &self.scenario.streams {
            simulator.insert_rows(TENANT, faults::kind(stream), 1, now, now, now).unwrap();
        }
        drop(simulator);
        self.trace.step("faults end", "", 0, 0);
        if let Some(process) = process {
            process.life.spare();
        }
    }

    /// A stream that waits for its operator must say for what.
    pub(super) fn told_why(&mut self, process: &Process) {
        for row in process.running.status() {
            if row.state == StreamState::Stopped && row.fault.is_none() {
                self.violations.push(format!("{} has stopped and does not say why", row.stream));
            }
        }
    }

    /// Behind a page of which every file is gone, nothing is read for as long as anything is kept: a proxy that refuses them
    /// must not declare them lost.
    fn patience(&self) -> Duration {
        let files = self.memory.simulator().files(TENANT, self.clock.millis());
        let kept = Duration::from_millis(self.scenario.settings.siem_retention_ms);
        if files.values().any(|(_, lost)| *lost > 0) { PATIENCE + kept } else { PATIENCE }
    }

    /// Waits until everything has come through, stops the host, and judges.
    pub(super) async fn heal(&mut self, process: Process, calm: &LifePlan) -> Outcome {
        let end = Instant::now();
        let end_ms = self.clock.millis();
        let due_ms = end_ms + AFTERMATH.as_millis() as u64;
        let due: Vec<sim::Issued> = self.memory.simulator().truth(TENANT, due_ms).collect();
        let mut process = process;
        loop {
            if !self.violations.is_empty() {
                break;
            }
            sleep(Duration::from_secs(120)).await;
            if self.clock.millis() >= due_ms && oracle::missing(self, &due, process.state.store(), end_ms).is_empty() {
                break;
            }
            if process.running.status().iter().any(|row| row.state == StreamState::Stopped) {
                self.told_why(&process);
                self.finish(process, false).await;
                process = self.start(calm, None).await.expect("nothing strikes any more");
            }
            if end.elapsed() > self.patience() {
                let states: Vec<_> = process
                    .running
                    .status()
                    .into_iter()
                    .map(|row| (row.stream, row.state, row.fault, row.held))
                    .collect();
                self.violations.push(format!("not everything came through: {states:?}"));
                break;
            }
        }
        let settled = end.elapsed();
        self.finish(process, false).await;
        let life = Life::new(Arc::clone(&self.trace), None);
        let faults = Default::default();
        let dice = self.dice.fork("last");
        let mounted = Mounted::new(
            self.disk.clone(),
            life.clone(),
            dice.clone(),
            faults,
            Arc::clone(&self.trace),
            Arc::clone(&self.quiet),
        );
        let state = State::open(mounted, self.folder.path(), 0, life, dice, Arc::clone(&self.trace));
        match state {
            Ok(state) => {
                self.look_back(&state);
                oracle::judge(self, &due, state.store(), end_ms, settled)
            }
            Err(error) => {
                self.violations.push(format!("the state does not survive: {error}"));
                oracle::failed(self)
            }
        }
    }

    /// Faults of both simulations, by kind.
    pub fn faults(&self) -> BTreeMap<String, u64> {
        let mut faults = self.trace.faults();
        faults.extend(self.simulator_faults.clone());
        faults
    }
}

/// The life in which everything heals: all streams, and nothing goes wrong.
pub(super) fn calm(last: &LifePlan) -> LifePlan {
    LifePlan {
        end: None,
        left_out: Vec::new(),
        faults: Vec::new(),
        disk: Default::default(),
        failing_letters: 0,
        cuts: 0,
        breakdowns: 0,
        skew_ms: 0,
        jump_ms: 0,
        ..last.clone()
    }
}
