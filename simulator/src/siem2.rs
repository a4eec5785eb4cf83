//! `GET /siem/v1/batch/events/cg` and `…/ci`: pages of signed URLs (section 5.1 of the API reference).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::Fault;
use crate::kind::{Generation, Kind};
use crate::publication::FileId;
use crate::random::{combine, of_text};
use crate::settings::Tenant;
use crate::simulator::{Simulator, refused_cursor};
use crate::time::{DAY, Millis, parse_date, with_millis};

/// What a request asked for.
struct Query {
    kinds: BTreeSet<Kind>,
    from: FileId,
    /// The first slot beyond the range.
    end: u64,
    size: usize,
    /// As sent.
    cursor: Option<String>,
}

impl Simulator {
    pub(crate) fn siem_batch(&mut self, tenant: usize, at: Endpoint, request: &Request, now: Millis) -> Response {
        let query = match self.siem_query(tenant, at, request, now) {
            Ok(query) => query,
            Err(response) => return response,
        };
        let first_kind = query.kinds.first().copied().unwrap_or(Kind::Receipt);
        self.late_rows(tenant, at, first_kind, now);
        let faults = &mut self.tenants[tenant].faults;
        if query.cursor.is_some() && faults.fires(&Fault::RepeatedToken { at }) {
            return Response::json(200, &json!({"value": [], "@nextPage": query.cursor, "isCaughtUp": false}));
        }
        if faults.fires(&Fault::EmptyPageWithNext { at }) {
            let nonce = self.fresh();
            let cursor = self.siem_cursor(tenant, &query.kinds, query.from, nonce);
            return Response::json(200, &json!({"value": [], "@nextPage": cursor, "isCaughtUp": false}));
        }
        self.siem_page(tenant, &query, now)
    }

    /// Rows that happened earlier, in the next publication, if that fault is due.
    pub(crate) fn late_rows(&mut self, tenant: usize, at: Endpoint, kind: Kind, now: Millis) {
        let state = &mut self.tenants[tenant];
        let late = state.faults.fire(|fault| matches!(fault, Fault::LateRows { at: on, .. } if *on == at));
        if let Some(Fault::LateRows { count, late_ms, .. }) = late {
            state.publication.insert(kind, count, now.saturating_sub(late_ms), now, now);
        }
    }

    fn siem_page(&mut self, tenant: usize, query: &Query, now: Millis) -> Response {
        let mut files = Vec::new();
        let mut at = query.from;
        while files.len() < query.size
            && let Some(file) = self.tenants[tenant].publication.next_file(at, &query.kinds, query.end)
        {
            files.push(file);
            at = file.next();
        }
        let next = self.tenants[tenant].publication.next_file(at, &query.kinds, query.end);
        let mut caught_up = next.is_none();
        let mut position = next.unwrap_or_else(|| FileId::start_of(query.end).max(query.from));
        let mut value: Vec<_> = files.iter().map(|file| self.listed(tenant, *file, now)).collect();

        let faults = &mut self.tenants[tenant].faults;
        let last = files.last().copied();
        if last.is_some() && faults.fires(&Fault::DuplicateUrl) {
            value.extend(value.last().cloned());
        }
        if let Some(last) = last
            // A page of one file would begin with it for ever.
            && files.len() > 1
            && faults.fires(&Fault::FileOnTwoPages)
        {
            position = last;
            caught_up = false;
        }
        caught_up |= next.is_some() && faults.fires(&Fault::CaughtUpWithFiles);
        let (empty, nothing) = (faults.fires(&Fault::EmptyFile), faults.fires(&Fault::ZeroByteFile));
        let without_next = faults.fires(&Fault::NextPageMissing);
        for (name, wanted, size) in [("empty", empty, 20), ("nothing", nothing, 0)] {
            if wanted {
                let unique = self.fresh();
                let path = format!("/siem-batch/{}/{name}-{unique:016x}.json.gz", self.tenants[tenant].tenant.name);
                value.push(self.signed_entry(tenant, &path, size, now));
            }
        }
        let mut body = json!({"value": value, "isCaughtUp": caught_up});
        if !without_next {
            body["@nextPage"] = self.siem_cursor(tenant, &query.kinds, position, 0).into();
        }
        Response::json(200, &body)
    }

    fn listed(&mut self, tenant: usize, file: FileId, now: Millis) -> serde_json::Value {
        let size = self.object(tenant, file).map_or(0, |bytes| bytes.len());
        self.signed_entry(tenant, &self.object_path(tenant, file), size, now)
    }

    fn signed_entry(&mut self, tenant: usize, path: &str, size: usize, now: Millis) -> serde_json::Value {
        let expiry = now / 1000 * 1000 + self.settings.url_life_ms;
        let url = self.signed_url(path, now);
        self.handed.note(tenant, url.rsplit_once('=').map_or(&url, |(_, signature)| signature));
        json!({"url": url, "expiry": with_millis(expiry), "size": size})
    }

    fn siem_query(&mut self, tenant: usize, at: Endpoint, request: &Request, now: Millis) -> Result<Query, Response> {
        let bad = |what: &str| errors::siem(400, "bad_request", what);
        let types = request.parameter("type").filter(|types| !types.is_empty());
        let kinds = kinds_of(at, &types.ok_or_else(|| bad("type is required"))?)?;
        for kind in &kinds {
            self.siem_permission(tenant, at, *kind)?;
        }
        let size = page_size(request)?;
        let date = |name: &str| match request.parameter(name) {
            None => Ok(None),
            Some(text) => parse_date(&text).map(Some).ok_or_else(|| bad("dates are written YYYY-MM-DD")),
        };
        let (begin, last_day) = (date("dateRangeStartsAt")?, date("dateRangeEndsAt")?);
        if let (Some(begin), Some(last)) = (begin, last_day)
            && begin > last
        {
            return Err(bad("dateRangeStartsAt is after dateRangeEndsAt"));
        }
        let publication = &self.tenants[tenant].publication;
        let oldest = publication.oldest_kept(now, self.settings.siem_retention_ms);
        let published = publication.unpublished(now);
        let end = last_day.map_or(published, |day| publication.slot_of(day + DAY).min(published));
        // What a first call without a date returns is not public (U12): the current day here.
        let begin = publication.slot_of(begin.unwrap_or(now / DAY * DAY)).max(oldest);
        let cursor = request.parameter("nextPage").filter(|cursor| !cursor.is_empty());
        let from = match &cursor {
            None => FileId::start_of(begin),
            Some(text) => {
                let from = self.read_siem_cursor(tenant, &kinds, text);
                let from = from.ok_or_else(|| refused_cursor(at))?;
                if from.slot < oldest && self.settings.refuse_old_cursors {
                    return Err(refused_cursor(at));
                }
                from.max(FileId::start_of(oldest))
            }
        };
        Ok(Query { kinds, from, end, size, cursor })
    }

    /// 403 for a kind that the tenant may not have.
    pub(crate) fn siem_permission(&mut self, tenant: usize, at: Endpoint, kind: Kind) -> Result<(), Response> {
        if let Some(refused) = self.permission(tenant, kind.stream(), Generation::V2) {
            return Err(refused);
        }
        let forbidden = Fault::Forbidden { at, kind: Some(kind) };
        if self.tenants[tenant].faults.fires(&forbidden) { Err(errors::forbidden()) } else { Ok(()) }
    }

    /// 403 for a stream without permission, or whose product was not bought (section 8.3).
    pub(crate) fn permission(&self, tenant: usize, stream: &str, generation: Generation) -> Option<Response> {
        let tenant = &self.tenants[tenant].tenant;
        let (denied, unlicensed) = (Tenant::names(&tenant.denied, stream), Tenant::names(&tenant.unlicensed, stream));
        (denied || unlicensed).then(|| match generation {
            Generation::V1 => errors::forbidden_v1(),
            Generation::V2 if unlicensed => errors::unlicensed(),
            Generation::V2 => errors::forbidden(),
        })
    }

    /// Opaque base64. Bound to the tenant and the types by a check.
    fn siem_cursor(&self, tenant: usize, kinds: &BTreeSet<Kind>, at: FileId, nonce: u64) -> String {
        let check = self.cursor_check(tenant, kinds, at, nonce);
        STANDARD.encode(format!("{}:{}:{}:{nonce:x}:{check:016x}", at.slot, at.kind, at.part))
    }

    fn read_siem_cursor(&self, tenant: usize, kinds: &BTreeSet<Kind>, text: &str) -> Option<FileId> {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let mut parts = text.split(':');
        let at = FileId {
            slot: parts.next()?.parse().ok()?,
            kind: parts.next()?.parse().ok()?,
            part: parts.next()?.parse().ok()?,
        };
        let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
        let check = u64::from_str_radix(parts.next()?, 16).ok()?;
        (check == self.cursor_check(tenant, kinds, at, nonce) && parts.next().is_none()).then_some(at)
    }

    fn cursor_check(&self, tenant: usize, kinds: &BTreeSet<Kind>, at: FileId, nonce: u64) -> u64 {
        combine(&[
            self.settings.seed,
            of_text(&self.tenants[tenant].tenant.name),
            mask(kinds),
            at.slot,
            u64::from(at.kind),
            u64::from(at.part),
            nonce,
        ])
    }

    /// Where a file lies on the storage host. The end cannot be guessed.
    pub(crate) fn object_path(&self, tenant: usize, file: FileId) -> String {
        let name = &self.tenants[tenant].tenant.name;
        let lock =
            combine(&[self.settings.seed, 11, of_text(name), file.slot, u64::from(file.kind), u64::from(file.part)]);
        let lock = URL_SAFE_NO_PAD.encode(lock.to_be_bytes());
        format!("/siem-batch/{name}/{}/{}/{}-{lock}.json.gz", file.kind().name(), file.slot, file.part)
    }
}

/// The kinds that a request names, with commas between them.
pub(crate) fn kinds_of(at: Endpoint, types: &str) -> Result<BTreeSet<Kind>, Response> {
    let kind = |name: &str| Kind::from_api2_type(name.trim()).filter(|kind| at.file_kinds().contains(kind));
    let kinds: Option<BTreeSet<Kind>> = types.split(',').map(kind).collect();
    kinds.ok_or_else(|| errors::siem(400, "bad_request", "type is not known"))
}

/// The kinds as one number, a bit for each.
pub(crate) fn mask(kinds: &BTreeSet<Kind>) -> u64 {
    kinds.iter().fold(0, |mask, kind| mask | 1 << *kind as u8)
}

/// How many files or events a page may have.
pub(crate) fn page_size(request: &Request) -> Result<usize, Response> {
    let Some(text) = request.parameter("pageSize") else {
        return Ok(100);
    };
    let size = text.parse().ok().filter(|size| (1..=100).contains(size));
    size.ok_or_else(|| errors::siem(400, "bad_request", "pageSize must be a number from 1 to 100"))
}
