//! The lists of `/api/...` other than audit: newest first, offset tokens, closed windows (sections 3 and 6 of the API
//! reference).

use serde_json::{Value, json};

use crate::audit::token_of;
use crate::body;
use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::{EmptyShape, Fault};
use crate::kind::Kind;
use crate::list_query::{Page, matches};
use crate::simulator::Simulator;
use crate::time::Millis;

/// The name of the list in `data[0]`, and whether the rows usually stand there rather than in `data[]`.
const fn list_name(kind: Kind) -> (&'static str, bool) {
    match kind {
        Kind::Dlp => ("dlpLogs", true),
        Kind::TtpUrl => ("clickLogs", true),
        Kind::TtpAttachment => ("attachmentLogs", true),
        Kind::TtpImpersonation => ("impersonationLogs", true),
        Kind::HeldRelease => ("heldReleaseLogs", true),
        Kind::ArchiveSearch | Kind::ArchiveUserSearch => ("logs", true),
        Kind::Held => ("heldMessages", false),
        // Not public (U13).
        Kind::Rejection => ("rejectionLogs", false),
        _ => ("viewLogs", false),
    }
}

/// Lists whose answers tell `totalCount`.
const fn has_total(kind: Kind) -> bool {
    matches!(kind, Kind::Held | Kind::TtpUrl | Kind::TtpAttachment | Kind::TtpImpersonation)
}

/// What an answer holds before it gets its shape.
struct Answer {
    kind: Kind,
    rows: Vec<Value>,
    total: usize,
    next: Option<String>,
    previous: Option<String>,
}

impl Simulator {
    pub(crate) fn list(&mut self, tenant: usize, at: Endpoint, request: &Request, now: Millis) -> Response {
        let Some(kind) = at.list_kind() else {
            return errors::gateway(404, "endpoint_evaluation_failed_1", "Endpoint cannot be found");
        };
        let generation = self.tenants[tenant].tenant.generation();
        if let Some(refused) = self.permission(tenant, kind.stream(), generation) {
            return refused;
        }
        let Some(body) = body::read(&request.body, self.settings.lenient) else {
            return errors::envelope(400, "err_validation_invalid_json", "The body is not JSON");
        };
        let token = token_of(request);
        let page = match self.list_page(tenant, at, &body, token.as_deref(), now) {
            Ok(page) => page,
            Err(response) => return response,
        };
        self.list_faults(tenant, at, kind, token.is_some(), page.window.1, now);
        let nothing = |next| Answer { kind, rows: Vec::new(), total: 0, next: Some(next), previous: None };
        let faults = &mut self.tenants[tenant].faults;
        if let Some(token) = &token
            && faults.fires(&Fault::RepeatedToken { at })
        {
            return self.shaped(tenant, at, nothing(token.clone()));
        }
        if faults.fires(&Fault::EmptyPageWithNext { at }) {
            let nonce = self.fresh();
            let next = self.list_token(tenant, at, &page.at(page.offset, now), nonce);
            return self.shaped(tenant, at, nothing(next));
        }
        let answer = self.list_answer(tenant, at, kind, &page, now);
        self.shaped(tenant, at, answer)
    }

    /// Rows that appear because a fault says so.
    fn list_faults(&mut self, tenant: usize, at: Endpoint, kind: Kind, further: bool, end: Millis, now: Millis) {
        let state = &mut self.tenants[tenant];
        let late = state.faults.fire(|fault| matches!(fault, Fault::LateRows { at: on, .. } if *on == at));
        if let Some(Fault::LateRows { count, late_ms, .. }) = late {
            state.rows.insert(kind, count, now.saturating_sub(late_ms), now);
        }
        let during = |fault: &Fault| matches!(fault, Fault::RowsInsertedDuringListing { at: on, .. } if *on == at);
        if further && let Some(Fault::RowsInsertedDuringListing { count, .. }) = state.faults.fire(during) {
            state.rows.insert(kind, count, end.min(now), now);
        }
    }

    fn list_answer(&mut self, tenant: usize, at: Endpoint, kind: Kind, page: &Page, now: Millis) -> Answer {
        let rows = &self.tenants[tenant].rows;
        let mut found = rows.visible(kind, page.window.0, page.window.1, now);
        if kind == Kind::Held && page.filter["admin"] != true {
            // Without `admin` it is the caller's own queue, and a collector gets no mail.
            found.clear();
        }
        let can_turn = matches!(kind, Kind::Dlp | Kind::TtpUrl | Kind::TtpAttachment | Kind::TtpImpersonation);
        if !(can_turn && page.filter["oldestFirst"] == true) {
            found.reverse();
        }
        let filters = page.filter.as_object().into_iter().flatten();
        let plain = ["from", "to", "start", "end", "oldestFirst", "admin"];
        let records: Vec<Value> = if filters.into_iter().any(|(name, _)| !plain.contains(&name.as_str())) {
            let mut records: Vec<Value> = found.iter().map(|row| rows.record(row)).collect();
            records.retain(|record| matches(record, &page.filter));
            found.truncate(records.len());
            records.into_iter().skip(page.offset).take(page.size).collect()
        } else {
            found.iter().skip(page.offset).take(page.size).map(|row| rows.record(row)).collect()
        };
        let total = found.len();
        let mut next = page.offset + page.size;
        let faults = &mut self.tenants[tenant].faults;
        let more = next < total || (!records.is_empty() && faults.fires(&Fault::NextOnLastPage { at }));
        next = next.min(total);
        let mut rows = records;
        if let Some(first) = rows.first().filter(|row| row["id"].is_string()).cloned()
            && faults.fires(&Fault::RowTwice { at })
        {
            rows.insert(0, first);
        }
        let to = |offset: usize| self.list_token(tenant, at, &page.at(offset, now), 0);
        let next = more.then(|| to(next));
        let previous = (page.offset > 0).then(|| to(page.offset.saturating_sub(page.size)));
        Answer { kind, rows, total, next, previous }
    }

    /// The answer in the shape of its list, or in another if a fault says so.
    fn shaped(&mut self, tenant: usize, at: Endpoint, answer: Answer) -> Response {
        let faults = &mut self.tenants[tenant].faults;
        let mut pagination = json!({"pageSize": answer.rows.len()});
        if has_total(answer.kind) {
            pagination["totalCount"] = answer.total.into();
        }
        let last = answer.next.is_none();
        if let Some(next) = answer.next {
            let wrap = faults.fires(&Fault::NextAsObject { at });
            pagination["next"] = if wrap { json!({"pageToken": next}) } else { next.into() };
        }
        if let Some(previous) = answer.previous {
            pagination["previous"] = previous.into();
        }
        let (name, nested) = list_name(answer.kind);
        let shape = if answer.rows.is_empty() {
            faults.fire(|fault| matches!(fault, Fault::EmptyShape { at: on, .. } if *on == at))
        } else {
            None
        };
        let nested = nested != faults.fires(&Fault::OtherShape { at });
        let wrap = |rows: Vec<Value>| {
            let mut element = json!({name: rows});
            if answer.kind == Kind::TtpImpersonation {
                element["resultCount"] = answer.total.into();
            }
            json!([element])
        };
        let data = match shape {
            Some(Fault::EmptyShape { shape: EmptyShape::NoData, .. }) => None,
            Some(Fault::EmptyShape { shape: EmptyShape::NoElement, .. }) => Some(json!([])),
            Some(Fault::EmptyShape { shape: EmptyShape::EmptyList, .. }) => Some(wrap(Vec::new())),
            _ if nested => Some(wrap(answer.rows)),
            _ => Some(answer.rows.into()),
        };
        let mut body = json!({"fail": []});
        if !(last && faults.fires(&Fault::MetaMissing { at })) {
            body["meta"] = json!({"status": 200, "pagination": pagination});
        }
        if let Some(data) = data {
            body["data"] = data;
        }
        Response::json(200, &body)
    }
}
