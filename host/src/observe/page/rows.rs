//! What the list shows: all streams are looked at once, and no more of them is kept than a row has.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::query::{By, Query, Sort};
use super::standing::{Standing, Tally};
use crate::Control;
use crate::collect::StreamStatus;
use crate::deliver::SinkStatus;

/// Rows on a page.
pub const ROWS: usize = 100;

/// One source, or one of its streams.
#[derive(Debug, Clone)]
pub struct Row {
    pub source: Arc<str>,
    pub tenant: Arc<str>,
    pub stream: Option<Arc<str>>,
    pub standing: Standing,
    /// The state of the stream, or of the streams that stand worst.
    pub state: String,
    pub streams: Tally,
    /// Nanoseconds: of the stream that is furthest behind.
    pub lag: Option<u64>,
    /// Events a minute.
    pub rate: f64,
    /// New events that are stored, since the host began.
    pub events: u64,
    /// What is wrong, with what to do about it.
    pub trouble: Option<String>,
}

/// Sums over all.
#[derive(Debug, Default)]
pub struct Totals {
    pub tenants: usize,
    pub sources: usize,
    /// Of which any stream is in trouble, or the configuration is wrong.
    pub troubled: usize,
    pub streams: Tally,
    pub rate: f64,
    pub events: u64,
    pub gaps: u64,
    pub dead_letters: u64,
    pub sinks: Vec<SinkStatus>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    pub totals: Totals,
    /// Of the page that was asked for.
    pub rows: Vec<Row>,
    /// How many the filter takes.
    pub matching: usize,
    /// Counted from one; the last one if a later one was asked for.
    pub page: usize,
    pub pages: usize,
}

impl Found {
    /// What `control` shows at `now` (nanoseconds since the Unix epoch), as `query` wants it.
    pub fn of(control: &Control, now: u64, query: &Query) -> Self {
        let mut gathering = Gathering::new(now, query, control.misconfigured());
        control.each_stream(|status| {
            let standing = Standing::of(status, |source, stream| control.is_named(source, stream));
            gathering.look(status, standing);
        });
        let (mut totals, rows) = gathering.end();
        totals.sinks = control.sinks();
        Self::page(totals, rows, query)
    }

    /// The page of `rows` that is asked for.
    fn page(totals: Totals, mut rows: Vec<Row>, query: &Query) -> Self {
        match query.sort {
            Sort::Trouble => rows.sort_unstable_by(|a, b| (a.standing, name(a)).cmp(&(b.standing, name(b)))),
            Sort::Tenant => rows.sort_unstable_by(|a, b| name(a).cmp(&name(b))),
            Sort::Lag => rows.sort_by_key(|row| Reverse(row.lag)),
            Sort::Rate => rows.sort_by(|a, b| b.rate.total_cmp(&a.rate)),
            Sort::Events => rows.sort_by_key(|row| Reverse(row.events)),
        }
        let (matching, pages) = (rows.len(), rows.len().div_ceil(ROWS).max(1));
        let page = query.page.clamp(1, pages);
        let rows = rows.into_iter().skip((page - 1) * ROWS).take(ROWS).collect();
        Self { totals, rows, matching, page, pages }
    }
}

fn name(row: &Row) -> (&str, &str, Option<&str>) {
    (&row.tenant, &row.source, row.stream.as_deref())
}

/// Takes one stream after the other, those of a source in a row.
struct Gathering<'a> {
    now: u64,
    query: &'a Query,
    /// In lower case.
    text: String,
    totals: Totals,
    tenants: Vec<Arc<str>>,
    rows: Vec<Row>,
    /// The source that is looked at, and whether the filter's text is found in it.
    source: Option<(Row, bool)>,
    /// What is wrong with the configuration of sources that were not met yet.
    wrong: BTreeMap<String, String>,
}

impl<'a> Gathering<'a> {
    fn new(now: u64, query: &'a Query, wrong: BTreeMap<String, String>) -> Self {
        let (totals, tenants, rows, source) = Default::default();
        Self { now, query, text: query.text.to_lowercase(), totals, tenants, rows, source, wrong }
    }

    fn look(&mut self, status: &StreamStatus, standing: Standing) {
        let trouble = trouble(status, standing);
        let rate = status.rate.per_minute(self.now / 1_000_000);
        let lag = status.lag(self.now);
        let events = status.stored.accepted;
        self.totals.streams.add(standing);
        self.totals.rate += rate;
        self.totals.events += events;
        self.totals.gaps += status.stored.gaps;
        let refused: u64 = status.stored.sinks.values().map(|sink| sink.dead_lettered).sum();
        self.totals.dead_letters += refused + status.stored.malformed;
        if self.source.as_ref().is_none_or(|(row, _)| row.source != status.source) {
            self.close();
            let row = Row {
                source: Arc::clone(&status.source),
                tenant: Arc::clone(&status.tenant),
                stream: None,
                standing,
                state: String::new(),
                streams: Tally::default(),
                lag: None,
                rate: 0.0,
                events: 0,
                trouble: None,
            };
            let found = self.has(&status.source) || self.has(&status.tenant);
            self.source = Some((row, found));
        }
        let Some((row, found)) = &mut self.source else { return };
        let in_names = *found;
        row.streams.add(standing);
        row.lag = row.lag.max(lag);
        row.rate += rate;
        row.events += events;
        if row.trouble.is_none() || standing < row.standing {
            row.trouble.clone_from(&trouble);
        }
        row.standing = row.standing.min(standing);
        let found = in_names || self.has(&status.stream) || trouble.as_deref().is_some_and(|text| self.has(text));
        match self.query.by {
            By::Sources => {
                if let Some((_, in_source)) = &mut self.source {
                    *in_source |= found;
                }
            }
            By::Streams if found && self.query.takes(standing) => {
                let mut streams = Tally::default();
                streams.add(standing);
                self.rows.push(Row {
                    source: Arc::clone(&status.source),
                    tenant: Arc::clone(&status.tenant),
                    stream: Some(Arc::clone(&status.stream)),
                    standing,
                    state: status.state.to_string(),
                    streams,
                    lag,
                    rate,
                    events,
                    trouble,
                });
            }
            By::Streams => {}
        }
    }

    /// Whether the filter's text is in this.
    fn has(&self, text: &str) -> bool {
        self.text.is_empty() || text.to_lowercase().contains(&self.text)
    }

    /// No more streams of this source come. If its configuration is wrong, that is its trouble, though it may run on with
    /// an older one.
    fn close(&mut self) {
        let Some((mut row, mut found)) = self.source.take() else { return };
        let mut any = row.streams.some().any(|(standing, _)| self.query.takes(standing));
        if let Some(why) = self.wrong.remove(&*row.source) {
            found |= self.has(&why);
            any |= self.query.takes(Standing::Failed);
            row.standing = Standing::Failed;
            row.trouble = Some(format!("It runs with the configuration that it had, for the new one is wrong: {why}"));
        }
        self.tenants.push(Arc::clone(&row.tenant));
        self.totals.sources += 1;
        self.totals.troubled += usize::from(row.standing.is_trouble());
        if self.query.by == By::Sources && found && any {
            self.rows.push(row);
        }
    }

    /// With those that are not run, for their configuration is wrong.
    fn end(mut self) -> (Totals, Vec<Row>) {
        self.close();
        for (id, why) in std::mem::take(&mut self.wrong) {
            let source: Arc<str> = id.as_str().into();
            self.tenants.push(Arc::clone(&source));
            self.totals.sources += 1;
            self.totals.troubled += 1;
            if (self.has(&id) || self.has(&why)) && self.query.takes(Standing::Failed) {
                let (tenant, standing, state) = (Arc::clone(&source), Standing::Failed, String::new());
                let (stream, streams, lag, rate, events) = (None, Tally::default(), None, 0.0, 0);
                let trouble = Some(format!("It is not collected, for its configuration is wrong: {why}"));
                self.rows.push(Row { source, tenant, stream, standing, state, streams, lag, rate, events, trouble });
            }
        }
        self.tenants.sort_unstable();
        self.tenants.dedup();
        self.totals.tenants = self.tenants.len();
        (self.totals, self.rows)
    }
}

/// What is wrong with a stream.
pub fn trouble(status: &StreamStatus, standing: Standing) -> Option<String> {
    let held = status.held.as_ref().map(|why| format!("Positions stand still: {why}"));
    match standing {
        Standing::Blocked => held,
        _ => status.fault.clone().or(held),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collect::{Board, StreamState};
    use crate::observe::Health;
    use crate::outside::Clock;
    use crate::state::{Counts, SinkCounts};

    const NOW: u64 = 1_795_000_000_000_000_000;

    /// `sources` of two streams each: what `change` makes of them.
    fn found(sources: usize, query: &str, change: impl Fn(usize, &str, &mut StreamStatus)) -> Found {
        let board = Board::new(Health::new(Clock::simulated(Duration::from_nanos(NOW))));
        for number in 0..sources {
            let (source, tenant) = (format!("s{number:04}"), format!("Tenant {number}"));
            for stream in ["audit", "siem"] {
                let entry = board.entry(&source.as_str().into(), &tenant.as_str().into(), &stream.into());
                entry.enter(StreamState::Collecting);
                entry.update(|status| change(number, stream, status));
            }
        }
        let query = Query::read(Some(query));
        let wrong = [("broken", "no `client_id`"), ("s0001", "a key is unknown")];
        let wrong = wrong.map(|(id, why)| (id.to_owned(), why.to_owned()));
        let mut gathering = Gathering::new(NOW, &query, wrong.into());
        board.each(|status| gathering.look(status, Standing::of(status, |source, _| source == "s0003")));
        let (totals, rows) = gathering.end();
        Found::page(totals, rows, &query)
    }

    fn names(found: &Found) -> Vec<String> {
        let name = |row: &Row| format!("{} {}", row.source, row.stream.as_deref().unwrap_or("*"));
        found.rows.iter().map(name).collect()
    }

    fn sample(number: usize, stream: &str, status: &mut StreamStatus) {
        let events = number as u64;
        status.stored = Counts { accepted: events, gaps: 1, malformed: 2, ..Counts::default() };
        status.stored.sinks.insert("lake".into(), SinkCounts { dead_lettered: 3, ..SinkCounts::default() });
        status.newest = Some(NOW - 1_000_000_000 * (events + 1));
        status.rate.count(events, NOW / 1_000_000);
        match (number, stream) {
            (2, "siem") => {
                (status.state, status.fault) = (StreamState::Error, Some("It is <refused> (x). Ask Ann".into()))
            }
            (4, "audit") => status.fault = Some("It is away".into()),
            (5, _) => status.held = Some("the sink is away".into()),
            (3 | 6, "siem") => status.state = StreamState::NotLicensed,
            (7, "siem") => status.state = StreamState::Authenticated,
            _ => {}
        }
    }

    #[test]
    fn trouble_comes_first_and_all_of_it_is_summed() {
        let found = found(8, "", sample);
        let order: Vec<_> = found.rows.iter().map(|row| (&*row.source, row.standing)).collect();
        use Standing::{Blocked, Collecting, Failed, Retrying, Starting};
        let expected = [
            ("s0001", Failed),
            ("s0002", Failed),
            ("s0003", Failed),
            ("broken", Failed),
            ("s0005", Blocked),
            ("s0004", Retrying),
            ("s0007", Starting),
            ("s0000", Collecting),
            ("s0006", Collecting),
        ];
        assert_eq!(order, expected);
        let totals = &found.totals;
        assert_eq!((totals.tenants, totals.sources, totals.troubled), (9, 9, 6));
        assert_eq!((totals.events, totals.gaps, totals.dead_letters), (2 * 28, 16, 16 * 5));
        assert_eq!(totals.rate, 56.0);
        let tally: Vec<_> = totals.streams.some().map(|(standing, count)| (standing.key(), count)).collect();
        let expected =
            [("failed", 2), ("blocked", 2), ("retrying", 1), ("starting", 1), ("collecting", 9), ("unlicensed", 1)];
        assert_eq!(tally, expected);
        let row = |source: &str| found.rows.iter().find(|row| &*row.source == source).unwrap();
        assert!(row("s0001").trouble.as_ref().unwrap().ends_with("a key is unknown"));
        assert_eq!(row("s0002").trouble.as_deref(), Some("It is <refused> (x). Ask Ann"));
        assert_eq!((row("s0006").events, row("s0006").lag, row("s0006").rate), (12, Some(7_000_000_000), 12.0));
    }

    #[test]
    fn the_filter_finds_names_and_faults() {
        for (query, expected) in [
            ("q=TENANT+3", vec!["s0003 *"]),
            ("q=ask+ann", vec!["s0002 *"]),
            ("q=client_id", vec!["broken *"]),
            ("q=unknown", vec!["s0001 *"]),
            ("q=nothing", vec![]),
            ("state=blocked", vec!["s0005 *"]),
            ("state=unlicensed", vec!["s0006 *"]),
            ("state=retrying&q=away", vec!["s0004 *"]),
            ("by=streams&q=siem&state=trouble", vec!["s0002 siem", "s0003 siem", "s0005 siem"]),
            ("by=streams&q=s0007", vec!["s0007 siem", "s0007 audit"]),
            ("sort=events&q=tenant+1", vec!["s0001 *"]),
        ] {
            let found = found(8, query, sample);
            assert_eq!(names(&found), expected, "{query}");
            // Sums are those of all.
            assert_eq!((found.totals.sources, found.totals.streams.total()), (9, 16), "{query}");
        }
        assert_eq!(names(&found(3, "sort=lag", sample))[0], "s0002 *");
        assert_eq!(names(&found(8, "sort=tenant", sample))[1], "s0001 *");
    }

    #[test]
    fn pages_hold_a_hundred_and_there_is_a_last_one() {
        let page = |query| {
            let found = found(249, query, |_, _, _| {});
            let first = found.rows.first().unwrap().source.to_string();
            (first, found.rows.len(), found.matching, found.page, found.pages)
        };
        // By tenant `Tenant 0`, `Tenant 1`, `Tenant 10`; those that are misconfigured come first.
        assert_eq!(page(""), ("s0001".to_owned(), 100, 250, 1, 3));
        let last = page("page=3");
        assert_eq!((last.1, last.3), (50, 3));
        assert_eq!(page("page=99"), last);
        let streams = page("by=streams&page=5");
        // What is not run is a row too.
        assert_eq!((streams.1, streams.2, streams.4), (99, 499, 5));
    }
}
