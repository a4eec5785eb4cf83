//! `POST /api/audit/get-siem-logs`: a chain of tokens, one archive or file a request (section 4 of the API reference).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::body;
use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::Fault;
use crate::kind::{Generation, Kind};
use crate::plant::Plant;
use crate::publication::FileId;
use crate::random::{Random, combine, of_text};
use crate::records::siem1::{LineStyle, fields, line};
use crate::simulator::{Simulator, refused_cursor};
use crate::time::{Millis, file_stamp};
use crate::zip::{Member, archive};

/// An element that no parser takes, though its braces match.
const BROKEN_ELEMENT: &str = "{\"acc\":BROKEN,\"datetime\":}";
/// A line without a single field.
const BROKEN_LINE: &str = "\u{1}\u{2}datetime 2025 no fields here";

/// What a request asked for.
struct Query {
    compress: bool,
    json: bool,
    from: FileId,
    token: Option<String>,
}

/// The token that a request sends. An empty one counts as none (R1).
pub(crate) fn token_of(request: &Request) -> Option<String> {
    let body = body::read(&request.body, true)?;
    let token = body["data"][0]["token"].as_str()?;
    (!token.is_empty()).then(|| token.to_owned())
}

impl Simulator {
    pub(crate) fn siem_logs(&mut self, tenant: usize, request: &Request, now: Millis) -> Response {
        let at = Endpoint::SiemLogs;
        if let Some(refused) = self.permission(tenant, "siem", Generation::V1) {
            return refused;
        }
        let query = match self.siem_logs_query(tenant, request, now) {
            Ok(query) => query,
            Err(response) => return response,
        };
        self.late_rows(tenant, at, Kind::Receipt, now);
        let faults = &mut self.tenants[tenant].faults;
        if let Some(token) = &query.token
            && faults.fires(&Fault::RepeatedToken { at })
        {
            return self.nothing_inside(tenant, &query, token.clone());
        }
        if faults.fires(&Fault::EmptyPageWithNext { at }) {
            let nonce = self.fresh();
            let token = self.siem_token(tenant, query.from, nonce);
            return self.nothing_inside(tenant, &query, token);
        }
        self.siem_answer(tenant, &query, now)
    }

    fn siem_answer(&mut self, tenant: usize, query: &Query, now: Millis) -> Response {
        let kinds = BTreeSet::from(Kind::SIEM);
        let end = self.tenants[tenant].publication.unpublished(now);
        let limit = if query.compress { self.settings.members_per_archive } else { 1 };
        let mut files = Vec::new();
        let mut at = query.from;
        while files.len() < limit
            && let Some(file) = self.tenants[tenant].publication.next_file(at, &kinds, end)
        {
            files.push(file);
            at = file.next();
        }
        let Some(first) = files.first().copied() else {
            return Response::json(200, &json!({"meta": {"isLastToken": true, "status": 200}, "data": [], "fail": []}));
        };
        self.plant(tenant, first, query.json);
        files.iter().for_each(|file| self.tenants[tenant].plants.give(*file));
        let mut members = Vec::new();
        for file in &files {
            self.member(tenant, *file, query.json, &mut members);
        }
        let token = self.siem_token(tenant, at, 0);
        let (name, body) = if query.compress {
            (self.archive_name(tenant, first), archive(&members, self.settings.archive))
        } else {
            let member = members.swap_remove(0);
            (member.name, member.bytes)
        };
        let missing = self.tenants[tenant].faults.fires(&Fault::SiemTokenHeaderMissing);
        attachment(&name, body, (!missing).then_some(token))
    }

    fn siem_logs_query(&self, tenant: usize, request: &Request, now: Millis) -> Result<Query, Response> {
        let invalid =
            |field: &str, what: &str| errors::fields(400, &json!({}), &[("err_validation_null", field, what)]);
        let body = body::read(&request.body, self.settings.lenient)
            .ok_or_else(|| errors::envelope(400, "err_validation_invalid_json", "The body is not JSON"))?;
        let data = &body["data"][0];
        if data["type"].as_str() != Some("MTA") {
            return Err(invalid("type", "MTA is the only type"));
        }
        let compress = match &data["compress"] {
            Value::Bool(compress) => *compress,
            Value::String(text) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        let json = match data["fileFormat"].as_str().unwrap_or("key_value").to_ascii_lowercase().as_str() {
            "json" => true,
            "key_value" => false,
            _ => return Err(invalid("fileFormat", "key_value or json")),
        };
        let oldest = self.tenants[tenant].publication.oldest_kept(now, self.settings.siem_retention_ms);
        let token = token_of(request);
        let from = match &token {
            None => FileId::start_of(oldest),
            Some(text) => {
                let from = self.read_siem_token(tenant, text).ok_or_else(|| refused_cursor(Endpoint::SiemLogs))?;
                if from.slot < oldest && self.settings.refuse_old_cursors {
                    return Err(refused_cursor(Endpoint::SiemLogs));
                }
                from.max(FileId::start_of(oldest))
            }
        };
        Ok(Query { compress, json, from, token })
    }

    /// Faults that stay in the first file of an answer, if nobody was given it before.
    fn plant(&mut self, tenant: usize, file: FileId, json: bool) {
        let at = Endpoint::SiemLogs;
        let state = &mut self.tenants[tenant];
        if state.plants.is_given(file) {
            return;
        }
        for (fault, plant, of_json, of_lines) in [
            (Fault::BadLine { at }, Plant::BadLine, true, true),
            (Fault::GluedObjects { at }, Plant::Glued, true, false),
            (Fault::RecordWithoutDatetime, Plant::WithoutDatetime, true, true),
            (Fault::BlankInTime, Plant::BlankInTime, false, true),
            (Fault::CarriageReturnLines, Plant::CarriageReturns, false, true),
            (Fault::PipeInSubject, Plant::PipeInSubject, false, true),
            (Fault::BackslashTexts, Plant::BackslashTexts, false, true),
            (Fault::GuidName, Plant::GuidName, true, true),
            (Fault::UnknownPrefix, Plant::UnknownPrefix, true, true),
            (Fault::MemberWithPath, Plant::PathName, true, true),
            (Fault::BrokenMember, Plant::BrokenNeighbour, true, true),
        ] {
            if (if json { of_json } else { of_lines }) && state.faults.fires(&fault) {
                state.plants.add(file, plant);
            }
        }
    }

    /// The file, and what a fault put behind it.
    fn member(&mut self, tenant: usize, file: FileId, json: bool, members: &mut Vec<Member>) {
        let bytes = self.file_text(tenant, file, json).into_bytes();
        members.push(Member { name: self.file_name(tenant, file, json), bytes, damaged: false });
        if self.tenants[tenant].plants.has(file, Plant::BrokenNeighbour) {
            let noise = Random::new(combine(&[file.slot, 14])).base64url(4000);
            let stamp = file_stamp(self.tenants[tenant].publication.published_at(file.slot) + 999);
            let name = format!("receipt_{stamp}.{}", extension(json));
            members.push(Member { name, bytes: noise.into_bytes(), damaged: true });
        }
    }

    fn file_text(&mut self, tenant: usize, file: FileId, json: bool) -> String {
        let state = &mut self.tenants[tenant];
        let plans = state.publication.file(file).unwrap_or_default();
        let has = |plant| state.plants.has(file, plant);
        let style = LineStyle {
            backslashes: has(Plant::BackslashTexts),
            blank_in_time: has(Plant::BlankInTime),
            pipe_in_subject: has(Plant::PipeInSubject),
        };
        let separator = match (json, has(Plant::CarriageReturns)) {
            (true, _) => ",",
            (false, true) => "\r",
            (false, false) => "\r\n",
        };
        let mut out = String::from(if json { "{\"type\":\"MTA\",\"data\":[" } else { "" });
        for (index, plan) in plans.iter().enumerate() {
            let mut fields = fields(plan, &state.tenant);
            if index == 0 && has(Plant::WithoutDatetime) {
                fields.remove("datetime");
            }
            for repeat in 0..plan.count() {
                let glued = index == 1 && repeat == 0 && has(Plant::Glued);
                if json && (index > 0 || repeat > 0) && !glued {
                    out.push_str(separator);
                }
                if json {
                    fields.write_json(file.part.is_multiple_of(2), &mut out);
                } else {
                    out.push_str(&line(&fields, style));
                    out.push_str(separator);
                }
            }
            if index == plans.len() / 2 && has(Plant::BadLine) {
                out.push_str(if json { separator } else { BROKEN_LINE });
                out.push_str(if json { BROKEN_ELEMENT } else { separator });
            }
        }
        if json {
            out.push_str("]}");
        }
        out
    }

    fn file_name(&self, tenant: usize, file: FileId, json: bool) -> String {
        let state = &self.tenants[tenant];
        let has = |plant| state.plants.has(file, plant);
        let order = u64::from(file.part) * 10 + u64::from(file.kind);
        let stamp = file_stamp(state.publication.published_at(file.slot) + order);
        let extension = extension(json);
        let name = if has(Plant::GuidName) {
            let mut random = Random::new(combine(&[self.settings.seed, 15, file.slot, order]));
            format!("{}.{extension}", random.uuid())
        } else {
            let prefix = if has(Plant::UnknownPrefix) { "newthing" } else { file.kind().file_prefix() };
            format!("{prefix}_{stamp}.{extension}")
        };
        if has(Plant::PathName) { format!("../../etc/{name}") } else { name }
    }

    fn archive_name(&self, tenant: usize, file: FileId) -> String {
        let name = of_text(&self.tenants[tenant].tenant.name);
        let seed = combine(&[self.settings.seed, 16, name, file.slot, u64::from(file.kind), u64::from(file.part)]);
        format!("{}.zip", Random::new(seed).uuid())
    }

    /// An archive without members, or a file without records.
    fn nothing_inside(&self, tenant: usize, query: &Query, token: String) -> Response {
        let (name, body) = match (query.compress, query.json) {
            (true, _) => (self.archive_name(tenant, query.from), archive(&[], self.settings.archive)),
            (false, true) => (self.file_name(tenant, query.from, true), b"{\"type\":\"MTA\",\"data\":[]}".to_vec()),
            (false, false) => (self.file_name(tenant, query.from, false), Vec::new()),
        };
        attachment(&name, body, Some(token))
    }

    fn siem_token(&self, tenant: usize, at: FileId, nonce: u64) -> String {
        let check = self.siem_token_check(tenant, at, nonce);
        URL_SAFE_NO_PAD.encode(format!("{}:{}:{}:{nonce:x}:{check:016x}", at.slot, at.kind, at.part))
    }

    fn read_siem_token(&self, tenant: usize, text: &str) -> Option<FileId> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.split(':');
        let at = FileId {
            slot: parts.next()?.parse().ok()?,
            kind: parts.next()?.parse().ok()?,
            part: parts.next()?.parse().ok()?,
        };
        let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
        let check = u64::from_str_radix(parts.next()?, 16).ok()?;
        (check == self.siem_token_check(tenant, at, nonce) && parts.next().is_none()).then_some(at)
    }

    fn siem_token_check(&self, tenant: usize, at: FileId, nonce: u64) -> u64 {
        let name = of_text(&self.tenants[tenant].tenant.name);
        combine(&[self.settings.seed, 17, name, at.slot, u64::from(at.kind), u64::from(at.part), nonce])
    }
}

fn extension(json: bool) -> &'static str {
    if json { "json" } else { "siem" }
}

fn attachment(name: &str, body: Vec<u8>, token: Option<String>) -> Response {
    let response = Response::new(200, Bytes::from(body))
        .with("Content-Type", "application/octet-stream")
        .with("Content-Disposition", format!("attachment; filename=\"{name}\""));
    match token {
        Some(token) => response.with("mc-siem-token", token),
        None => response,
    }
}
