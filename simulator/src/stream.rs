//! `GET /siem/v1/events/cg` and `…/ci`: events inline, of the last 24 hours (section 5.2 of the API reference).
//!
//! An event can be read from here when its file is published. Within a publication the order is that of time.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::Fault;
use crate::kind::Kind;
use crate::random::{combine, of_text};
use crate::records::message::Plan;
use crate::records::siem2::inline;
use crate::siem2::{kinds_of, mask, page_size};
use crate::simulator::{Simulator, refused_cursor};
use crate::time::{DAY, HOUR, Millis, parse_request};

/// So far back the stream reaches.
const REACH: Millis = DAY;

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    slot: u64,
    /// Events of the slot before it.
    index: u64,
    /// Events of its first slot before this time are not asked for.
    start: Millis,
    /// Nothing comes from here any more, for ever.
    stalled: bool,
}

struct Query {
    kinds: BTreeSet<Kind>,
    from: Position,
    end: Millis,
    size: usize,
    cursor: Option<String>,
}

impl Simulator {
    pub(crate) fn siem_stream(&mut self, tenant: usize, at: Endpoint, request: &Request, now: Millis) -> Response {
        let query = match self.stream_query(tenant, at, request, now) {
            Ok(query) => query,
            Err(response) => return response,
        };
        let first_kind = query.kinds.first().copied().unwrap_or(Kind::Receipt);
        self.late_rows(tenant, at, first_kind, now);
        let state = &mut self.tenants[tenant];
        if let Some(cursor) = &query.cursor
            && state.faults.fires(&Fault::RepeatedToken { at })
        {
            return answer(&[], cursor, false, false);
        }
        if state.faults.fires(&Fault::EmptyPageWithNext { at }) {
            let nonce = self.fresh();
            let cursor = self.stream_cursor(tenant, &query.kinds, query.from, nonce);
            return answer(&[], &cursor, false, false);
        }
        if state.faults.fires(&Fault::StreamStalls { at }) {
            let cursor = self.stream_cursor(tenant, &query.kinds, Position { stalled: true, ..query.from }, 0);
            return answer(&[], &cursor, true, false);
        }
        self.stream_page(tenant, &query, now)
    }

    fn stream_page(&mut self, tenant: usize, query: &Query, now: Millis) -> Response {
        if query.from.stalled {
            let cursor = self.stream_cursor(tenant, &query.kinds, query.from, 0);
            return answer(&[], &cursor, true, false);
        }
        let overlap = if query.cursor.is_some() { self.settings.stream_overlap.min(query.size - 1) } else { 0 };
        let (fresh, next, caught_up) = self.stream_events(tenant, query, query.size - overlap, now);
        let state = &mut self.tenants[tenant];
        let account = &state.tenant.account_code;
        let mut events = Vec::new();
        if !fresh.is_empty() && overlap > 0 {
            // Events of the page before come again.
            let all = stream_order(&state.publication.plans(query.from.slot), &query.kinds);
            let first = state.publication.slot_of(query.from.start) == query.from.slot;
            let read = all.into_iter().take(query.from.index as usize);
            let before: Vec<Plan> = read.filter(|plan| !first || plan.time_ms >= query.from.start).collect();
            events.extend_from_slice(&before[before.len().saturating_sub(overlap)..]);
        }
        events.extend(fresh);
        // Text that this crate has just written is JSON.
        let rows: Vec<Value> =
            events.iter().map(|plan| serde_json::from_str(&inline(plan, account)).unwrap_or_default()).collect();
        let faults = &mut state.faults;
        let caught_up = caught_up || faults.fires(&Fault::CaughtUpWithFiles);
        let missing = faults.fires(&Fault::NextPageMissing);
        let cursor = self.stream_cursor(tenant, &query.kinds, next, 0);
        answer(&rows, &cursor, caught_up, missing)
    }

    /// The next events, where they end, and whether that is the end of all.
    fn stream_events(
        &mut self,
        tenant: usize,
        query: &Query,
        count: usize,
        now: Millis,
    ) -> (Vec<Plan>, Position, bool) {
        let publication = &mut self.tenants[tenant].publication;
        let end = publication.unpublished(now);
        let mut position = query.from;
        let mut events = Vec::new();
        while position.slot < end {
            let plans = stream_order(&publication.plans(position.slot), &query.kinds);
            let first = publication.slot_of(position.start) == position.slot;
            for plan in plans.iter().skip(position.index as usize) {
                if events.len() == count {
                    return (events, position, false);
                }
                position.index += 1;
                let wanted = (!first || plan.time_ms >= position.start) && plan.time_ms <= query.end;
                if wanted {
                    events.push(*plan);
                }
            }
            if position.slot + 1 == end {
                // Rows may yet be put into a later publication only: this one is read to its end.
                break;
            }
            position = Position { slot: position.slot + 1, index: 0, ..position };
        }
        (events, position, true)
    }

    fn stream_query(&mut self, tenant: usize, at: Endpoint, request: &Request, now: Millis) -> Result<Query, Response> {
        let bad = |what: &str| errors::siem(400, "bad_request", what);
        // Without types: all (D2). One client sends `type` (U9).
        let types = request.parameter("types").or_else(|| request.parameter("type")).filter(|types| !types.is_empty());
        let kinds = match types {
            Some(types) => kinds_of(at, &types)?,
            None => at.file_kinds().iter().copied().collect(),
        };
        for kind in &kinds {
            self.siem_permission(tenant, at, *kind)?;
        }
        let size = page_size(request)?;
        let time = |name: &str| match request.parameter(name) {
            None => Ok(None),
            Some(text) => {
                parse_request(&text).map(Some).ok_or_else(|| bad("times are written like 2024-01-25T10:30:45.642Z"))
            }
        };
        let (start, end) = (time("dateRangeStartsAt")?, time("dateRangeEndsAt")?);
        let oldest = now.saturating_sub(REACH);
        let publication = &self.tenants[tenant].publication;
        let cursor = request.parameter("nextPage").filter(|cursor| !cursor.is_empty());
        let from = match &cursor {
            None => {
                // What a call without a start gives is not public: the last hour here.
                let start = start.unwrap_or(now.saturating_sub(HOUR));
                if start < oldest {
                    return Err(bad("dateRangeStartsAt must be within the last 24 hours"));
                }
                let slot = publication.slot_of(start).max(publication.first_slot());
                Position { slot, index: 0, start, stalled: false }
            }
            Some(text) => {
                let from = self.read_stream_cursor(tenant, &kinds, text).ok_or_else(|| refused_cursor(at))?;
                if !from.stalled && publication.published_at(from.slot) < oldest {
                    if self.settings.refuse_old_cursors {
                        return Err(refused_cursor(at));
                    }
                    Position { slot: publication.slot_of(oldest), index: 0, ..from }
                } else {
                    from
                }
            }
        };
        Ok(Query { kinds, from, end: end.unwrap_or(Millis::MAX), size, cursor })
    }

    /// Base64 of `[av=0-0, receipt=3-7]:position:check`. The offsets may all be zero though the position moves.
    fn stream_cursor(&self, tenant: usize, kinds: &BTreeSet<Kind>, at: Position, nonce: u64) -> String {
        let offsets = if at.stalled || at.index == 0 { "0-0".to_owned() } else { format!("{}-{}", at.slot, at.index) };
        let mut names: Vec<String> =
            kinds.iter().map(|kind| format!("{}={offsets}", kind.api2_type().replace(' ', "_"))).collect();
        names.sort();
        let place = format!("{}.{}.{}.{}.{nonce:x}", at.slot, at.index, at.start, u8::from(at.stalled));
        let check = self.stream_check(tenant, kinds, &place);
        STANDARD.encode(format!("[{}]:{place}:{check:016x}", names.join(", ")))
    }

    fn read_stream_cursor(&self, tenant: usize, kinds: &BTreeSet<Kind>, text: &str) -> Option<Position> {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (rest, check) = text.rsplit_once(':')?;
        let (_, place) = rest.rsplit_once(':')?;
        if u64::from_str_radix(check, 16).ok()? != self.stream_check(tenant, kinds, place) {
            return None;
        }
        let parts: Vec<&str> = place.split('.').collect();
        let [slot, index, start, stalled, _] = parts.as_slice() else { return None };
        Some(Position {
            slot: slot.parse().ok()?,
            index: index.parse().ok()?,
            start: start.parse().ok()?,
            stalled: *stalled == "1",
        })
    }

    fn stream_check(&self, tenant: usize, kinds: &BTreeSet<Kind>, place: &str) -> u64 {
        let name = &self.tenants[tenant].tenant.name;
        combine(&[self.settings.seed, 43, of_text(name), mask(kinds), of_text(place)])
    }
}

/// The events of a publication by time; a repeated one follows itself.
fn stream_order(plans: &[Plan], kinds: &BTreeSet<Kind>) -> Vec<Plan> {
    let mut events: Vec<Plan> = plans
        .iter()
        .filter(|plan| kinds.contains(&plan.kind))
        .flat_map(|plan| (0..plan.count()).map(move |_| *plan))
        .collect();
    events.sort_by_key(|plan| (plan.time_ms, plan.mark));
    events
}

fn answer(rows: &[Value], cursor: &str, caught_up: bool, cursor_missing: bool) -> Response {
    let mut body = json!({"value": rows, "pageSize": rows.len(), "isCaughtUp": caught_up});
    if !cursor_missing {
        body["@nextPage"] = cursor.into();
        body["@nextLink"] = cursor.into();
    }
    Response::json(200, &body)
}
