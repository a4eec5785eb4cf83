//! How a worker gets past a record that makes the component break down.
//!
//! Nobody knows which record of a pull it was. So after the third breakdown at one position the next pull is for one
//! event. While that goes well the budget doubles; the breakdown that comes then is nearer. A breakdown on one event has
//! found the record: it is asked for verbatim, as malformed, and the stream goes on behind it.

use crate::sandbox::Budget;

/// Breakdowns at one position before the worker looks for the record. Fewer could be chance.
const BREAKDOWNS: u32 = 3;

/// How carefully one stream is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Care {
    #[default]
    Normal,
    /// So many breakdowns in a row, without a step forward.
    Suspicious(u32),
    /// So many events at once.
    Searching(u32),
    /// The next record, without parsing it.
    Verbatim,
}

impl Care {
    /// The budget of the next pull.
    pub fn budget(&self) -> Budget {
        let normal = Budget::default();
        match self {
            Care::Normal | Care::Suspicious(_) => normal,
            Care::Searching(events) => Budget { events: *events, ..normal },
            Care::Verbatim => Budget { events: 1, verbatim: true, ..normal },
        }
    }

    /// A pull gave a chunk; `moved` if its position is a new one.
    pub fn succeeded(&mut self, moved: bool) {
        if !moved {
            return;
        }
        *self = match self {
            Care::Searching(events) if events.saturating_mul(2) < Budget::default().events => {
                Care::Searching(*events * 2)
            }
            _ => Care::Normal,
        };
    }

    /// A pull broke down.
    pub fn broke_down(&mut self) {
        *self = match self {
            Care::Normal => Care::Suspicious(1),
            Care::Suspicious(count) if *count + 1 < BREAKDOWNS => Care::Suspicious(*count + 1),
            Care::Suspicious(_) => Care::Searching(1),
            Care::Searching(1) => Care::Verbatim,
            Care::Searching(_) => Care::Searching(1),
            Care::Verbatim => Care::Verbatim,
        };
    }

    /// Whether a breakdown is a step of the search, not yet another failure to wait for.
    pub fn is_searching(&self) -> bool {
        matches!(self, Care::Searching(_) | Care::Verbatim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `records` with a source that breaks down on each of `poison`; gives how many pulls it took and what was
    /// handed over verbatim.
    fn read(records: u32, poison: &[u32]) -> (u32, Vec<u32>) {
        let (mut care, mut at, mut pulls, mut verbatim) = (Care::default(), 0, 0, Vec::new());
        while at < records {
            pulls += 1;
            assert!(pulls < 10_000, "no progress at {at} with {care:?}");
            let budget = care.budget();
            let end = (at + budget.events).min(records);
            if budget.verbatim {
                verbatim.push(at);
                at += 1;
                care.succeeded(true);
            } else if poison.iter().any(|record| (at..end).contains(record)) {
                care.broke_down();
            } else {
                at = end;
                care.succeeded(true);
            }
        }
        (pulls, verbatim)
    }

    #[test]
    fn only_the_poison_is_handed_over_verbatim() {
        for poison in [vec![0], vec![2_500], vec![4_999, 5_000], vec![7, 8, 9_999]] {
            let (pulls, verbatim) = read(10_000, &poison);
            assert_eq!(verbatim, poison);
            assert!(pulls < 250, "{pulls} pulls for {poison:?}");
        }
        assert_eq!(read(10_000, &[]), (2, vec![]));
    }

    #[test]
    fn chance_breakdowns_do_not_start_the_search() {
        let mut care = Care::default();
        for _ in 0..5 {
            care.broke_down();
            care.broke_down();
            assert_eq!(care.budget(), Budget::default());
            care.succeeded(true);
        }
        care.broke_down();
        care.succeeded(false);
        assert_eq!(care, Care::Suspicious(1), "a chunk that does not move proves nothing");
    }
}
