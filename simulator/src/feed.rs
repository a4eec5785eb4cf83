//! `POST /api/ttp/threat-intel/get-feed`: a file a request, a chain of tokens (section 6.10 of the API reference).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::body;
use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::Fault;
use crate::kind::Kind;
use crate::random::{Random, combine, of_text};
use crate::records::rows::{CSV_HEADER, Row};
use crate::simulator::{Simulator, refused_cursor};
use crate::time::{DAY, Millis, file_stamp, parse_request};
use crate::zip::{Member, archive};

/// What a request asks for; a token carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Query {
    grid: bool,
    stix: bool,
    compress: bool,
    begin: Millis,
    /// `None`: whatever there is at the time of the request.
    end: Option<Millis>,
    /// Visible from when on, and mark, of the last indicator before this file.
    after: (Millis, u64),
}

impl Query {
    const fn kind(&self) -> Kind {
        if self.grid { Kind::ThreatGrid } else { Kind::ThreatCustomer }
    }
}

impl Simulator {
    pub(crate) fn threat_feed(&mut self, tenant: usize, request: &Request, now: Millis) -> Response {
        let at = Endpoint::ThreatFeed;
        let sent = crate::siem1::token_of(request);
        let query = match self.feed_query(tenant, request, sent.as_deref(), now) {
            Ok(query) => query,
            Err(response) => return response,
        };
        let kind = query.kind();
        let generation = self.tenants[tenant].tenant.generation();
        if let Some(refused) = self.permission(tenant, kind.stream(), generation) {
            return refused;
        }
        let state = &mut self.tenants[tenant];
        if state.faults.fires(&Fault::Forbidden { at, kind: Some(kind) }) {
            return errors::forbidden();
        }
        let late = state.faults.fire(|fault| matches!(fault, Fault::LateRows { at: on, .. } if *on == at));
        if let Some(Fault::LateRows { count, late_ms, .. }) = late {
            state.rows.insert(kind, count, now.saturating_sub(late_ms), now);
        }
        if let Some(sent) = &sent
            && state.faults.fires(&Fault::RepeatedToken { at })
        {
            return self.feed_file(&query, &[], Vec::new(), Some(sent.clone()), now);
        }
        let empty = Fault::EmptyPageWithNext { at };
        if state.faults.fires(&Fault::FeedEmptyBundle) || state.faults.fires(&empty) {
            let nonce = self.fresh();
            let token = self.feed_token(tenant, &query, nonce);
            return self.feed_file(&query, &[], Vec::new(), Some(token), now);
        }
        self.feed_answer(tenant, &query, sent, now)
    }

    fn feed_answer(&mut self, tenant: usize, query: &Query, sent: Option<String>, now: Millis) -> Response {
        let state = &mut self.tenants[tenant];
        let mut rows = state.rows.visible(query.kind(), query.begin, query.end.unwrap_or(now), now);
        // In the order of their appearance, so that what comes late comes later.
        rows.sort_by_key(|row| (row.visible_ms, row.mark));
        rows.retain(|row| (row.visible_ms, row.mark.0) > query.after);
        let more = rows.len() > self.settings.feed_page;
        rows.truncate(self.settings.feed_page);
        let Some(last) = rows.last() else {
            // How the code reads is not public; clients look at the message.
            let message = if state.faults.fires(&Fault::FeedCannotCompress) {
                "Unable to compress feeds."
            } else {
                "No results found for threat intel feed."
            };
            return errors::envelope(200, "err_threat_intel_feed", message);
        };
        if self.settings.feed_downloads_are_audited {
            state.audit.insert_download(now, now + self.settings.audit_lag_ms.0);
        }
        let next = Query { after: (last.visible_ms, last.mark.0), ..query.clone() };
        let token = if more {
            Some(self.feed_token(tenant, &next, 0))
        } else {
            sent.filter(|_| self.tenants[tenant].faults.fires(&Fault::FeedTokenRepeats))
        };
        let state = &mut self.tenants[tenant];
        let lines = rows.iter().map(|row| if query.stix { String::new() } else { state.rows.csv(row) }).collect();
        let objects: Vec<Vec<Value>> = rows.iter().map(|row| state.rows.objects(row)).collect();
        let cut = state.faults.fires(&Fault::FeedCut);
        let objects = arranged(objects, rows.first());
        let mut response = self.feed_file(query, &objects, lines, token, now);
        if cut {
            response.body.truncate(response.body.len() / 2);
        }
        response
    }

    fn feed_file(
        &self,
        query: &Query,
        objects: &[Value],
        lines: Vec<String>,
        token: Option<String>,
        now: Millis,
    ) -> Response {
        let feed = if query.grid { "malware_grid" } else { "malware_customer" };
        let form = if query.stix { "stix" } else { "csv" };
        let name = format!("{feed}_{form}_{}.{form}", file_stamp(now));
        let body = if query.stix {
            let id = Random::new(combine(&[self.settings.seed, 42, query.after.0, query.after.1])).uuid();
            let bundle =
                json!({"type": "bundle", "id": format!("bundle--{id}"), "spec_version": "2.0", "objects": objects});
            bundle.to_string()
        } else {
            let lines = std::iter::once(CSV_HEADER.to_owned()).chain(lines);
            lines.map(|line| line + "\n").collect()
        };
        let (name, body) = if query.compress {
            let member = Member { name: name.clone(), bytes: body.into_bytes(), damaged: false };
            (name.replace(&format!(".{form}"), ".zip"), archive(&[member], self.settings.archive))
        } else {
            (name, body.into_bytes())
        };
        let response = Response::new(200, body)
            .with("Content-Type", "application/octet-stream")
            .with("Content-Disposition", format!("attachment; filename=\"{name}\""));
        match token {
            Some(token) => response.with("x-mc-threat-feed-next-token", token),
            None => response,
        }
    }

    fn feed_query(
        &self,
        tenant: usize,
        request: &Request,
        token: Option<&str>,
        now: Millis,
    ) -> Result<Query, Response> {
        let body = body::read(&request.body, self.settings.lenient)
            .ok_or_else(|| errors::envelope(400, "err_validation_invalid_json", "The body is not JSON"))?;
        let data = &body["data"][0];
        let invalid = |code: &str, field: &str, what: &str| errors::fields(400, data, &[(code, field, what)]);
        let grid = match data["feedType"].as_str() {
            Some("malware_customer") => Some(false),
            Some("malware_grid") => Some(true),
            None if token.is_some() => None,
            _ => return Err(invalid("err_validation_null", "feedType", "malware_customer or malware_grid")),
        };
        if let Some(token) = token {
            let query = self.read_feed_token(tenant, token).ok_or_else(|| refused_cursor(Endpoint::ThreatFeed))?;
            return if grid.is_some_and(|grid| grid != query.grid) {
                Err(refused_cursor(Endpoint::ThreatFeed))
            } else {
                Ok(query)
            };
        }
        let stix = match data["fileType"].as_str().unwrap_or("csv").to_ascii_lowercase().as_str() {
            "csv" => false,
            "stix" => true,
            _ => return Err(invalid("err_validation_invalid_value", "fileType", "csv or stix")),
        };
        let time = |name: &str| match data[name].as_str() {
            None | Some("") => Ok(None),
            Some(text) => parse_request(text)
                .map(Some)
                .ok_or_else(|| invalid("err_validation_invalid_date", name, "Use yyyy-MM-dd'T'HH:mm:ssZ")),
        };
        let oldest = now.saturating_sub(self.settings.list_retention_ms);
        let begin = time("start")?.unwrap_or(now.saturating_sub(7 * DAY));
        if begin < oldest && self.settings.refuse_old_windows {
            return Err(invalid("err_validation_invalid_date", "start", "Too long ago"));
        }
        let end = time("end")?.map(|end| if self.settings.inclusive_window_ends { end } else { end.saturating_sub(1) });
        let compress = data["compress"] == true || data["compress"] == "true";
        Ok(Query { grid: grid == Some(true), stix, compress, begin: begin.max(oldest), end, after: (0, 0) })
    }

    fn feed_token(&self, tenant: usize, query: &Query, nonce: u64) -> String {
        let flags = u8::from(query.grid) | u8::from(query.stix) << 1 | u8::from(query.compress) << 2;
        let end = query.end.map_or_else(String::new, |end| end.to_string());
        let text = format!("{flags}:{}:{end}:{}:{:x}:{nonce:x}", query.begin, query.after.0, query.after.1);
        let check = self.feed_check(tenant, &text);
        URL_SAFE_NO_PAD.encode(format!("{text}:{check:016x}"))
    }

    fn read_feed_token(&self, tenant: usize, token: &str) -> Option<Query> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (text, check) = text.rsplit_once(':')?;
        if u64::from_str_radix(check, 16).ok()? != self.feed_check(tenant, text) {
            return None;
        }
        let parts: Vec<&str> = text.split(':').collect();
        let [flags, begin, end, time, mark, _] = parts.as_slice() else { return None };
        let flags: u8 = flags.parse().ok()?;
        Some(Query {
            grid: flags & 1 != 0,
            stix: flags & 2 != 0,
            compress: flags & 4 != 0,
            begin: begin.parse().ok()?,
            end: if end.is_empty() { None } else { Some(end.parse().ok()?) },
            after: (time.parse().ok()?, u64::from_str_radix(mark, 16).ok()?),
        })
    }

    fn feed_check(&self, tenant: usize, text: &str) -> u64 {
        combine(&[self.settings.seed, 19, of_text(&self.tenants[tenant].tenant.name), of_text(text)])
    }
}

/// The objects of a bundle: each with its partners, or sorted by type, or the relationships ahead of what they join.
fn arranged(objects: Vec<Vec<Value>>, first: Option<&Row>) -> Vec<Value> {
    let order: [&str; 3] = match first.map_or(0, |row| row.mark.0 % 3) {
        0 => return objects.into_iter().flatten().collect(),
        1 => ["malware", "indicator", "relationship"],
        _ => ["relationship", "indicator", "malware"],
    };
    let mut all: Vec<Value> = objects.into_iter().flatten().collect();
    all.sort_by_key(|object| order.iter().position(|kind| object["type"] == *kind));
    all
}
