//! The rows of the lists of `/api/...` and of the threat feeds: what happened, when it can be seen, and until when
//! (section 6 of the API reference). Rows are planned from seeds whenever they are asked for, and rendered only then.

mod archive;
mod dlp;
mod held;
mod mail;
mod threat;
mod ttp;

use serde_json::Value;

use super::Mark;
use super::message::{Calendar, share};
use crate::kind::{Generation, Kind};
use crate::random::{Random, combine, of_text};
use crate::rates::Rates;
use crate::settings::{Settings, Tenant};
use crate::time::{DAY, HOUR, MINUTE, Millis, SECOND};

/// One row to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// To the second, as the record tells it.
    pub time_ms: Millis,
    pub mark: Mark,
    /// Rows of one mark differ in one field; those of one mark and variant in nothing.
    pub variant: u8,
    pub kind: Kind,
    pub visible_ms: Millis,
    /// From when on it is not there any more.
    pub gone_ms: Option<Millis>,
    /// What the rows of one happening share.
    pub seed: u64,
    /// Which row of the happening: its recipient.
    pub index: u8,
    /// How many recipients there are.
    pub of: u8,
}

impl Row {
    pub fn is_visible(&self, now: Millis) -> bool {
        self.visible_ms <= now && self.gone_ms.is_none_or(|gone| now < gone)
    }
}

/// How long after its arrival a held message is released or rejected at the latest, if ever.
const LATEST_RELEASE: Millis = 3 * DAY;

/// All rows of one tenant.
#[derive(Debug)]
pub struct Rows {
    seed: u64,
    calendar: Calendar,
    rates: Rates,
    generation: Generation,
    begin: Millis,
    lag: (Millis, Millis),
    held_life: (Millis, Millis),
    repeats: u64,
    account_code: String,
    domain: String,
    inserted: Vec<Row>,
}

impl Rows {
    pub fn new(settings: &Settings, tenant: &Tenant) -> Self {
        Self {
            seed: combine(&[settings.seed, of_text(&tenant.name), 30]),
            calendar: tenant.calendar,
            rates: tenant.rates,
            generation: tenant.generation(),
            begin: settings.start_ms - settings.backlog_ms,
            lag: settings.list_lag_ms,
            held_life: settings.held_life_ms,
            repeats: settings.list_repeats,
            account_code: tenant.account_code.clone(),
            domain: format!("{}.example.com", tenant.account_code.to_ascii_lowercase()),
            inserted: Vec::new(),
        }
    }

    /// Adds rows of one time that can be seen from another on, for ever.
    pub fn insert(&mut self, kind: Kind, count: usize, time_ms: Millis, visible_ms: Millis) {
        for _ in 0..count {
            let seed = combine(&[self.seed, 31, self.inserted.len() as u64]);
            self.inserted.push(Row {
                time_ms: time_ms / SECOND * SECOND,
                mark: Mark(combine(&[seed, 4, 0])),
                variant: 0,
                kind,
                visible_ms,
                gone_ms: None,
                seed,
                index: 0,
                of: 1,
            });
        }
    }

    /// The rows of a kind from `begin` to `end`, both included, that exist at any time; oldest first.
    pub fn all(&self, kind: Kind, begin: Millis, end: Millis) -> Vec<Row> {
        let mut rows = Vec::new();
        if self.rates.of(kind) > 0 && kind.exists_in(self.generation) && begin <= end {
            // Rows of a happening may be some seconds later than its hour; releases some days.
            let latest = LATEST_RELEASE + self.held_life.0 + self.lag.1 + HOUR;
            let before = if kind == Kind::HeldRelease { latest } else { MINUTE };
            for hour in begin.saturating_sub(before).max(self.begin) / HOUR..=end / HOUR {
                self.plan(kind, hour, &mut rows);
            }
        }
        rows.extend(self.inserted.iter().filter(|row| row.kind == kind));
        rows.retain(|row| (begin..=end).contains(&row.time_ms));
        rows.sort_unstable();
        rows
    }

    /// Those that can be seen at a time.
    pub fn visible(&self, kind: Kind, begin: Millis, end: Millis, now: Millis) -> Vec<Row> {
        let mut rows = self.all(kind, begin, end.min(now));
        rows.retain(|row| row.is_visible(now));
        rows
    }

    /// Everything that a client could have seen until a time, each kind's oldest first.
    pub fn until(&self, until: Millis) -> Vec<Row> {
        let rows = Kind::LISTS.into_iter().flat_map(|kind| self.all(kind, 0, until));
        rows.filter(|row| row.visible_ms <= until).collect()
    }

    /// The happenings of an hour.
    fn plan(&self, kind: Kind, hour: u64, out: &mut Vec<Row>) {
        // Releases are those of the messages.
        let source = if kind == Kind::HeldRelease { Kind::Held } else { kind };
        let mut random = Random::new(combine(&[self.seed, 32, source as u64, hour]));
        let count = share(self.calendar, self.rates.of(kind), hour, &mut random);
        let mut rows = 0;
        let mut index = 0;
        while rows < count {
            let seed = combine(&[self.seed, 33, source as u64, hour, index]);
            index += 1;
            let mut random = Random::new(seed);
            let exact = hour * HOUR + random.below(HOUR);
            let visible = exact + random.between(self.lag.0, self.lag.1);
            let before = out.len();
            if exact >= self.begin {
                self.happening(kind, exact, visible, seed, &mut random, out);
            }
            // A message that nobody has released yet counts too, so that both streams agree on their happenings.
            rows += match kind {
                Kind::Held | Kind::HeldRelease => u64::from(held::recipients(seed)),
                _ => (out.len() - before).max(1) as u64,
            };
        }
    }

    fn happening(
        &self,
        kind: Kind,
        exact: Millis,
        visible: Millis,
        seed: u64,
        random: &mut Random,
        out: &mut Vec<Row>,
    ) {
        let of = match kind {
            Kind::Held | Kind::HeldRelease => held::recipients(seed),
            Kind::Dlp if random.chance(150) => random.between(2, 4) as u8,
            Kind::TtpImpersonation if random.chance(250) => 3,
            _ => 1,
        };
        for index in 0..of {
            let mark = Mark(combine(&[seed, 4, u64::from(index), u64::from(kind == Kind::HeldRelease)]));
            let time_ms = exact / SECOND * SECOND;
            let mut row = Row { time_ms, mark, variant: 0, kind, visible_ms: visible, gone_ms: None, seed, index, of };
            let end = held::end(seed, index, visible, self.held_life);
            match kind {
                Kind::Held => row.gone_ms = Some(end.0),
                Kind::HeldRelease => match end {
                    (_, held::Fate::Expired) => continue,
                    (time, _) => {
                        row.time_ms = time / SECOND * SECOND;
                        row.visible_ms = time + (visible - exact);
                    }
                },
                _ => {}
            }
            out.push(row);
            self.again(row, random, out);
        }
    }

    /// The same row once more, or one that differs in one field only: in lists whose rows have no id.
    fn again(&self, row: Row, random: &mut Random, out: &mut Vec<Row>) {
        let parts = match row.kind {
            Kind::Dlp => 120,
            Kind::TtpUrl => 60,
            Kind::TtpAttachment => 80,
            Kind::ArchiveSearch | Kind::ArchiveUserSearch | Kind::ArchiveView => 0,
            _ => return,
        };
        if random.chance(parts) {
            // Two clicks may differ in their second only.
            let later = if row.kind == Kind::TtpUrl && row.seed.is_multiple_of(2) { 3 * SECOND } else { 0 };
            let visible_ms = row.visible_ms + later;
            out.push(Row { variant: 1, time_ms: row.time_ms + later, visible_ms, ..row });
        } else if random.chance(self.repeats) {
            out.push(row);
        }
    }

    /// The record of a list as the API gives it out.
    pub fn record(&self, row: &Row) -> Value {
        let random = Random::new(combine(&[row.seed, 34]));
        match row.kind {
            Kind::Dlp => dlp::dlp(self, row, random),
            Kind::Held => held::message(self, row),
            Kind::HeldRelease => held::release(self, row),
            Kind::Rejection => dlp::rejection(self, row, random),
            Kind::TtpUrl => ttp::url(self, row, random),
            Kind::TtpAttachment => ttp::attachment(self, row, random),
            Kind::TtpImpersonation => ttp::impersonation(self, row, random),
            Kind::ArchiveSearch | Kind::ArchiveUserSearch => archive::search(self, row, random),
            Kind::ArchiveView => archive::view(self, row, random),
            // Feeds have objects instead.
            _ => Value::Null,
        }
    }

    /// The objects of STIX that an indicator's row stands for: one, or three that belong together.
    pub fn objects(&self, row: &Row) -> Vec<Value> {
        threat::objects(row, Random::new(combine(&[row.seed, 34])))
    }

    /// The line of a feed's CSV form.
    pub fn csv(&self, row: &Row) -> String {
        threat::csv(self, row, Random::new(combine(&[row.seed, 34])))
    }
}

pub use threat::CSV_HEADER;
