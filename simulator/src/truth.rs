//! What was issued: so that a test can compare what came out with what there is.

use std::collections::BTreeMap;

use crate::kind::{Generation, Kind};
use crate::publication::FileId;
use crate::records::Mark;
use crate::records::rows::Row;
use crate::simulator::Simulator;
use crate::time::Millis;

/// One record that a tenant has, found again by its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issued {
    /// `siem/receipt` and so on in API 2.0, `siem` in API 1.0; elsewhere [`Kind::stream`].
    pub stream: &'static str,
    /// [`Kind::name`]; for API 1.0 SIEM records that follows from the type of the file.
    pub kind: &'static str,
    pub mark: Mark,
    /// How often it stands there: 2 for a record that is followed by itself, or by one that differs in one field only.
    pub count: u32,
    /// How many different records carry the mark: 1, or 2 for rows that differ in one field only.
    pub distinct: u32,
    /// When it happened; the first of its rows, where they lie seconds apart.
    pub time_ms: Millis,
    /// When a client can see it first.
    pub visible_from_ms: Millis,
    /// From when on it is not there any more: a held message that was released, rejected or has expired. `None` for ever.
    pub gone_from_ms: Option<Millis>,
    /// A fault has taken it away for ever.
    pub lost: bool,
}

/// One entry for the rows of one mark.
fn list_truth(rows: Vec<Row>) -> Vec<Issued> {
    let mut issued: Vec<(Issued, u8)> = Vec::new();
    let mut places: BTreeMap<Mark, usize> = BTreeMap::new();
    for row in rows {
        if let Some((entry, variant)) = places.get(&row.mark).and_then(|place| issued.get_mut(*place)) {
            entry.count += 1;
            entry.time_ms = entry.time_ms.min(row.time_ms);
            entry.distinct += u32::from(row.variant != *variant);
            continue;
        }
        places.insert(row.mark, issued.len());
        let entry = Issued {
            stream: row.kind.stream(),
            kind: row.kind.name(),
            mark: row.mark,
            count: 1,
            distinct: 1,
            time_ms: row.time_ms,
            visible_from_ms: row.visible_ms,
            gone_from_ms: row.gone_ms,
            lost: false,
        };
        issued.push((entry, row.variant));
    }
    issued.into_iter().map(|(entry, _)| entry).collect()
}

impl Simulator {
    /// Every record of a tenant that a client could have seen until a time. Empty for an unknown tenant.
    ///
    /// Records stay here when their retention ends: collect in time. Held messages stay here when they leave the queue:
    /// [`Issued::gone_from_ms`] tells when.
    pub fn truth(&self, tenant: &str, until_ms: Millis) -> impl Iterator<Item = Issued> + '_ {
        let index = self.index(tenant);
        let siem = index.into_iter().flat_map(move |index| self.siem_truth(index, until_ms));
        let audit = index.into_iter().flat_map(move |index| {
            let events = self.tenants[index].audit.visible(0, until_ms, until_ms);
            events.into_iter().rev().map(|event| Issued {
                stream: Kind::Audit.stream(),
                kind: Kind::Audit.name(),
                mark: event.mark,
                count: 1,
                distinct: 1,
                time_ms: event.time_ms,
                visible_from_ms: event.visible_ms,
                gone_from_ms: None,
                lost: false,
            })
        });
        let lists = index.into_iter().flat_map(move |index| list_truth(self.tenants[index].rows.until(until_ms)));
        siem.chain(audit).chain(lists)
    }

    /// How many broken lines, elements and members faults have planted into a tenant's files.
    pub fn malformed(&self, tenant: &str) -> usize {
        self.index(tenant).map_or(0, |index| self.tenants[index].plants.malformed().count())
    }

    /// Files of SIEM logs that a client could have seen until a time, by stream; and how many of them a fault has taken away.
    /// API 1.0 has one stream, and its files stand in archives.
    pub fn files(&self, tenant: &str, until_ms: Millis) -> BTreeMap<&'static str, (usize, usize)> {
        let mut files = BTreeMap::new();
        let mut last = None;
        let Some(index) = self.index(tenant) else { return files };
        for (file, record) in self.siem_records(index, until_ms) {
            // The records of a file stand together.
            if last.replace(file) != Some(file) {
                let (published, lost) = files.entry(record.stream).or_default();
                *published += 1;
                *lost += usize::from(record.lost);
            }
        }
        files
    }

    fn siem_truth(&self, index: usize, until_ms: Millis) -> impl Iterator<Item = Issued> + '_ {
        self.siem_records(index, until_ms).map(|(_, record)| record)
    }

    /// Records, each with the file that it stands in.
    fn siem_records(&self, index: usize, until_ms: Millis) -> impl Iterator<Item = (FileId, Issued)> + '_ {
        let state = &self.tenants[index];
        let publication = &state.publication;
        let single = state.tenant.generation() == Generation::V1;
        (publication.first_slot()..publication.unpublished(until_ms)).flat_map(move |slot| {
            let visible_from_ms = publication.published_at(slot);
            let mut file = FileId::start_of(slot);
            let mut place = 0;
            let plans = publication.plan(slot);
            plans.into_iter().map(move |plan| {
                if plan.kind as u8 != file.kind {
                    file = FileId { slot, kind: plan.kind as u8, part: 0 };
                    place = 0;
                }
                file.part = (place / self.settings.records_per_file) as u32;
                place += 1;
                let issued = Issued {
                    stream: if single { "siem" } else { plan.kind.stream() },
                    kind: plan.kind.name(),
                    mark: plan.mark,
                    count: plan.count(),
                    distinct: 1,
                    time_ms: plan.time_ms,
                    visible_from_ms,
                    gone_from_ms: None,
                    lost: state.lost.contains(&file),
                };
                (file, issued)
            })
        })
    }
}
