//! Which SIEM files a tenant has, and when each appears.
//!
//! Time is cut into slots of one publishing interval. A slot's records are those whose time lies in it; a little after its
//! end they are published as files, one or more for each kind. Nothing is stored: a slot is planned again when a request
//! needs it, and only the last planned one and the number of files of each are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kind::{Generation, Kind};
use crate::random::{combine, of_text};
use crate::records::message::{Calendar, Plan, Traffic, single};
use crate::settings::{Settings, Tenant};
use crate::time::Millis;

/// Which file: slot, kind, part. Their order is the order of publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    pub slot: u64,
    /// Index into [`Kind::FILES`].
    pub kind: u8,
    pub part: u32,
}

impl FileId {
    pub fn start_of(slot: u64) -> Self {
        Self { slot, kind: 0, part: 0 }
    }

    pub fn next(self) -> Self {
        Self { part: self.part + 1, ..self }
    }

    pub fn kind(self) -> Kind {
        Kind::from_index(usize::from(self.kind)).unwrap_or(Kind::Receipt)
    }
}

/// The files of one tenant.
#[derive(Debug)]
pub struct Publication {
    seed: u64,
    interval: Millis,
    lag: Millis,
    calendar: Calendar,
    events_per_day: u64,
    cloud_events_per_day: u64,
    /// The first slot that has records.
    first: u64,
    records_per_file: usize,
    /// Rows that a test or a fault put in, by the slot that publishes them.
    inserted: BTreeMap<u64, Vec<Plan>>,
    inserted_count: u64,
    /// Files of each kind in the slots that were asked for.
    counts: BTreeMap<u64, [u32; Kind::FILES.len()]>,
    planned: Option<(u64, Arc<Vec<Plan>>)>,
}

/// Counts of so many slots are kept; more than a week of minutes.
const COUNTED_SLOTS: usize = 20_000;

impl Publication {
    pub fn new(settings: &Settings, tenant: &Tenant) -> Self {
        let interval = match tenant.generation() {
            Generation::V2 => settings.publish_interval_v2_ms,
            Generation::V1 => settings.publish_interval_v1_ms,
        };
        Self {
            seed: combine(&[settings.seed, of_text(&tenant.name)]),
            interval,
            lag: settings.publish_lag_ms,
            calendar: tenant.calendar,
            events_per_day: tenant.events_per_day,
            cloud_events_per_day: match tenant.generation() {
                Generation::V2 => tenant.rates.cloud,
                Generation::V1 => 0,
            },
            first: (settings.start_ms - settings.backlog_ms).div_ceil(interval),
            records_per_file: settings.records_per_file,
            inserted: BTreeMap::new(),
            inserted_count: 0,
            counts: BTreeMap::new(),
            planned: None,
        }
    }

    pub fn first_slot(&self) -> u64 {
        self.first
    }

    /// When a slot's files appear.
    pub fn published_at(&self, slot: u64) -> Millis {
        (slot + 1) * self.interval + self.lag
    }

    /// The first slot that is not published yet.
    pub fn unpublished(&self, now: Millis) -> u64 {
        now.saturating_sub(self.lag) / self.interval
    }

    /// The first slot whose files are still kept.
    pub fn oldest_kept(&self, now: Millis, retention: Millis) -> u64 {
        let horizon = now.saturating_sub(retention);
        let mut slot = horizon.saturating_sub(self.lag) / self.interval;
        while slot > 0 && self.published_at(slot - 1) >= horizon {
            slot -= 1;
        }
        slot.max(self.first)
    }

    /// The slot in which a time lies.
    pub fn slot_of(&self, time: Millis) -> u64 {
        time / self.interval
    }

    /// Puts so many rows of a kind and time into the first publication at or after `visible_from`.
    /// Gives back the time at which they appear.
    pub fn insert(&mut self, kind: Kind, count: usize, time: Millis, visible_from: Millis, now: Millis) -> Millis {
        let mut slot = self.unpublished(now).max(self.first);
        while self.published_at(slot) < visible_from {
            slot += 1;
        }
        for _ in 0..count {
            self.inserted_count += 1;
            let plan = single(combine(&[self.seed, 8, self.inserted_count]), kind, time);
            self.inserted.entry(slot).or_default().push(plan);
        }
        self.counts.remove(&slot);
        self.planned = None;
        self.published_at(slot)
    }

    /// Everything that a slot publishes, in the order of kinds and times.
    pub fn plans(&mut self, slot: u64) -> Arc<Vec<Plan>> {
        if let Some((planned, plans)) = &self.planned
            && *planned == slot
        {
            return plans.clone();
        }
        let plans = Arc::new(self.plan(slot));
        self.planned = Some((slot, plans.clone()));
        plans
    }

    pub fn plan(&self, slot: u64) -> Vec<Plan> {
        let mut plans = Vec::new();
        let begin = slot * self.interval;
        if slot > self.first {
            self.plan_interval(begin - self.interval, &mut plans);
        }
        if slot >= self.first {
            self.plan_interval(begin, &mut plans);
        }
        plans.retain(|plan| (begin..begin + self.interval).contains(&plan.time_ms));
        plans.extend(self.inserted.get(&slot).into_iter().flatten());
        plans.sort_by_key(|plan| (plan.kind, plan.time_ms, plan.arrived_ms, plan.message, plan.recipient));
        plans
    }

    fn plan_interval(&self, begin: Millis, plans: &mut Vec<Plan>) {
        let Self { seed, calendar, interval, events_per_day, .. } = *self;
        let traffic = Traffic { seed, calendar, interval, events_per_day };
        traffic.plan(begin, plans);
        if self.cloud_events_per_day > 0 {
            Traffic { events_per_day: self.cloud_events_per_day, ..traffic }.plan_cloud(begin, plans);
        }
    }

    fn parts(&mut self, slot: u64) -> [u32; Kind::FILES.len()] {
        if let Some(parts) = self.counts.get(&slot) {
            return *parts;
        }
        let mut records = [0_usize; Kind::FILES.len()];
        for plan in self.plans(slot).iter() {
            records[plan.kind as usize] += 1;
        }
        let parts = records.map(|count| count.div_ceil(self.records_per_file) as u32);
        if self.counts.len() >= COUNTED_SLOTS {
            self.counts.pop_first();
        }
        self.counts.insert(slot, parts);
        parts
    }

    /// The first file at or behind `from`, of those kinds, in a slot before `end`.
    pub fn next_file(&mut self, from: FileId, kinds: &BTreeSet<Kind>, end: u64) -> Option<FileId> {
        let mut at = from;
        while at.slot < end {
            let parts = self.parts(at.slot);
            while let Some(kind) = Kind::from_index(usize::from(at.kind)) {
                if kinds.contains(&kind) && at.part < parts[kind as usize] {
                    return Some(at);
                }
                at = FileId { slot: at.slot, kind: at.kind + 1, part: 0 };
            }
            at = FileId::start_of(at.slot + 1);
        }
        None
    }

    /// The records of one file; `None` if there is no such file.
    pub fn file(&mut self, file: FileId) -> Option<Vec<Plan>> {
        let kind = Kind::from_index(usize::from(file.kind))?;
        if file.part >= self.parts(file.slot)[kind as usize] {
            return None;
        }
        let size = self.records_per_file;
        let plans = self.plans(file.slot);
        Some(
            plans.iter().filter(|plan| plan.kind == kind).skip(file.part as usize * size).take(size).copied().collect(),
        )
    }
}
