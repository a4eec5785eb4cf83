//! `POST /api/audit/get-audit-events`, for both generations: newest first, offset tokens, closed windows
//! (sections 3 and 6.2 of the API reference).

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use serde_json::{Value, json};

use crate::body;
use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::Fault;
use crate::random::{combine, of_text};
use crate::records::audit::{Event, opaque};
use crate::simulator::{Simulator, refused_cursor};
use crate::time::{Millis, parse_request};

/// The filters of a request. A page token carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    begin: String,
    end: String,
    query: Option<String>,
    categories: Vec<String>,
}

/// What a token holds.
struct Page {
    filter: Filter,
    /// Rows before this page.
    offset: usize,
    size: usize,
}

/// The page token that a request sends.
pub(crate) fn token_of(request: &Request) -> Option<String> {
    let body = body::read(&request.body, true)?;
    let token = body["meta"]["pagination"]["pageToken"].as_str()?;
    (!token.is_empty()).then(|| token.to_owned())
}

impl Simulator {
    pub(crate) fn audit_events(&mut self, tenant: usize, request: &Request, now: Millis) -> Response {
        let at = Endpoint::Audit;
        let generation = self.tenants[tenant].tenant.generation();
        if let Some(refused) = self.permission(tenant, "audit", generation) {
            return refused;
        }
        let Some(body) = body::read(&request.body, self.settings.lenient) else {
            return errors::envelope(400, "err_validation_invalid_json", "The body is not JSON");
        };
        let token = token_of(request);
        let page = match self.audit_page(tenant, &body, token.as_deref()) {
            Ok(page) => page,
            Err(response) => return response,
        };
        let (begin, end) = match self.audit_window(&page.filter, now) {
            Ok(window) => window,
            Err(response) => return response,
        };
        self.audit_faults(tenant, token.is_some(), end, now);
        let faults = &mut self.tenants[tenant].faults;
        if let Some(token) = &token
            && faults.fires(&Fault::RepeatedToken { at })
        {
            return answer(&[], Some(token.clone()), None);
        }
        if faults.fires(&Fault::EmptyPageWithNext { at }) {
            let nonce = self.fresh();
            return answer(&[], Some(self.audit_token(tenant, &page, nonce)), None);
        }
        let log = &self.tenants[tenant].audit;
        let events: Vec<Event> = log
            .visible(begin, end, now)
            .into_iter()
            .filter(|event| log.matches(event, page.filter.query.as_deref(), &page.filter.categories))
            .collect();
        let rows = events.iter().skip(page.offset).take(page.size);
        let rows: Vec<Value> = rows.map(|event| log.record(event)).collect();
        let to = |offset: usize| Page { filter: page.filter.clone(), offset, size: page.size };
        let next = page.offset + page.size;
        let next = (next < events.len()).then(|| self.audit_token(tenant, &to(next), 0));
        let previous = page.offset.saturating_sub(page.size);
        let previous = (page.offset > 0).then(|| self.audit_token(tenant, &to(previous), 0));
        answer(&rows, next, previous)
    }

    /// Rows that appear because a fault says so.
    fn audit_faults(&mut self, tenant: usize, further: bool, end: Millis, now: Millis) {
        let state = &mut self.tenants[tenant];
        let late = state.faults.fire(|fault| matches!(fault, Fault::LateRows { at: Endpoint::Audit, .. }));
        if let Some(Fault::LateRows { count, late_ms, .. }) = late {
            state.audit.insert(count, now.saturating_sub(late_ms), now + 1);
        }
        if further
            && let Some(Fault::RowsInsertedDuringPaging { count }) =
                state.faults.fire(|fault| matches!(fault, Fault::RowsInsertedDuringPaging { .. }))
        {
            state.audit.insert(count, end.min(now), now);
        }
    }

    fn audit_page(&self, tenant: usize, body: &Value, token: Option<&str>) -> Result<Page, Response> {
        let empty = json!({});
        let data = body["data"].get(0).unwrap_or(&empty);
        let text = |key: &str| data[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let sent = (text("startDateTime"), text("endDateTime"));
        if let Some(token) = token {
            let page = self.read_audit_token(tenant, token).ok_or_else(|| refused_cursor(Endpoint::Audit))?;
            // A token goes on with its own filters; the request may repeat them but not change them (Q16).
            let same = |sent: &Option<String>, held: &str| sent.as_ref().is_none_or(|sent| sent == held);
            if !same(&sent.0, &page.filter.begin) || !same(&sent.1, &page.filter.end) {
                return Err(refused_cursor(Endpoint::Audit));
            }
            return Ok(page);
        }
        let missing: Vec<_> = [("startDateTime", &sent.0), ("endDateTime", &sent.1)]
            .into_iter()
            .filter(|(_, value)| value.is_none())
            .map(|(field, _)| ("err_validation_null", field, "The field must not be null"))
            .collect();
        let (Some(begin), Some(end)) = (sent.0.clone(), sent.1.clone()) else {
            return Err(errors::fields(200, data, &missing));
        };
        let categories = data["categories"].as_array().into_iter().flatten();
        let categories = categories.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let wanted = &body["meta"]["pagination"]["pageSize"];
        // A number as text works too (E-aud-h).
        let wanted = wanted.as_u64().or_else(|| wanted.as_str()?.parse().ok());
        let size = wanted.map_or(self.settings.audit_page_default, |size| size.max(1) as usize);
        let filter = Filter { begin, end, query: text("query"), categories };
        Ok(Page { filter, offset: 0, size: size.min(self.settings.audit_page_limit) })
    }

    /// The window in milliseconds, both ends included.
    fn audit_window(&self, filter: &Filter, now: Millis) -> Result<(Millis, Millis), Response> {
        let invalid = |field: &str, text: &str| {
            let error = ("err_validation_invalid_date", field, "Use yyyy-MM-dd'T'HH:mm:ssZ");
            errors::fields(400, &json!({field: text}), &[error])
        };
        let begin = parse_request(&filter.begin).ok_or_else(|| invalid("startDateTime", &filter.begin))?;
        let end = parse_request(&filter.end).ok_or_else(|| invalid("endDateTime", &filter.end))?;
        let end = if self.settings.inclusive_window_ends { end } else { end.saturating_sub(1) };
        let oldest = now.saturating_sub(self.settings.audit_retention_ms);
        if begin < oldest && self.settings.refuse_old_windows {
            return Err(invalid("startDateTime", &filter.begin));
        }
        Ok((begin.max(oldest), end))
    }

    fn audit_token(&self, tenant: usize, page: &Page, nonce: u64) -> String {
        let mut token = json!({
            "pagesizeid": page.size, "recordstartid": page.offset, "isPrevious": false, "version": 1,
            "begin": page.filter.begin, "end": page.filter.end,
            "query": page.filter.query, "categories": page.filter.categories, "nonce": nonce,
        });
        token["secureid"] = self.token_lock(tenant, &token).into();
        opaque(&token)
    }

    fn read_audit_token(&self, tenant: usize, text: &str) -> Option<Page> {
        const LIMIT: u64 = 1 << 16;
        let packed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut plain = Vec::new();
        ZlibDecoder::new(packed.as_slice()).take(LIMIT).read_to_end(&mut plain).ok()?;
        let mut token: Value = serde_json::from_slice(&plain).ok()?;
        let lock = token.as_object_mut()?.remove("secureid")?;
        if lock.as_str()? != self.token_lock(tenant, &token) {
            return None;
        }
        let categories = token["categories"].as_array()?.iter().filter_map(|name| name.as_str().map(str::to_owned));
        let filter = Filter {
            begin: token["begin"].as_str()?.to_owned(),
            end: token["end"].as_str()?.to_owned(),
            query: token["query"].as_str().map(str::to_owned),
            categories: categories.collect(),
        };
        let number = |key: &str| usize::try_from(token[key].as_u64()?).ok();
        Some(Page { filter, offset: number("recordstartid")?, size: number("pagesizeid")? })
    }

    /// Binds a token to its tenant and to all that it says.
    fn token_lock(&self, tenant: usize, token: &Value) -> String {
        let name = of_text(&self.tenants[tenant].tenant.name);
        format!("{:016x}", combine(&[self.settings.seed, 13, name, of_text(&token.to_string())]))
    }
}

fn answer(rows: &[Value], next: Option<String>, previous: Option<String>) -> Response {
    let mut pagination = json!({"pageSize": rows.len()});
    if let Some(next) = next {
        pagination["next"] = next.into();
    }
    if let Some(previous) = previous {
        pagination["previous"] = previous.into();
    }
    Response::json(200, &json!({"meta": {"status": 200, "pagination": pagination}, "data": rows, "fail": []}))
}
