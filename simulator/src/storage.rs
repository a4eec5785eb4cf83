//! The host behind signed URLs: no API header allowed, gzip objects, errors in XML (sections 5.1 and 8.2).

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::Fault;
use crate::kind::Kind;
use crate::plant::Plant;
use crate::publication::FileId;
use crate::random::{combine, of_text};
use crate::records::siem2;
use crate::simulator::Simulator;
use crate::time::{Millis, SECOND, compact};

/// A line that breaks off, as a writer that died leaves it.
pub const BROKEN_LINE: &str = "{\"aggregateId\":\"BROKEN\",\"timestamp\":17488";

/// What a path on the storage host names.
enum Object {
    File(FileId),
    /// A gzip stream of no records.
    Empty,
    /// No bytes.
    Nothing,
}

impl Simulator {
    /// Whether a request goes to the storage host.
    pub(crate) fn is_storage(&self, request: &Request) -> bool {
        let authority = self.settings.storage_url.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
        !authority.is_empty() && request.host.eq_ignore_ascii_case(authority)
    }

    pub(crate) fn signed_url(&self, path: &str, now: Millis) -> String {
        let base = self.settings.storage_url.trim_end_matches('/');
        let (date, life) = (compact(now), self.settings.url_life_ms / SECOND);
        let signature = self.url_signature(path, &date, life);
        format!(
            "{base}{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires={life}\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        )
    }

    fn url_signature(&self, path: &str, date: &str, life: u64) -> String {
        let sum = combine(&[self.settings.seed, 12, of_text(path), of_text(date), life]);
        (0..4).map(|part| format!("{:016x}", combine(&[sum, part]))).collect()
    }

    pub(crate) fn storage(&mut self, request: &Request, now: Millis) -> (Option<usize>, Response) {
        let tenant = request.path.split('/').nth(2).and_then(|name| self.index(name));
        let foreign =
            |name: &str| name.eq_ignore_ascii_case("authorization") || name.to_ascii_lowercase().starts_with("x-mc-");
        if request.headers.iter().any(|(name, _)| foreign(name)) {
            let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the \
                           Authorization header should be specified";
            return (tenant, errors::storage(400, "InvalidArgument", message));
        }
        let missing = || errors::storage(404, "NoSuchKey", "The specified key does not exist.");
        let Some(tenant) = tenant else { return (None, missing()) };
        if let Some(response) = self.general_fault(tenant, Endpoint::Storage, false, now) {
            return (Some(tenant), response);
        }
        if let Some(response) = self.refused_url(tenant, request, now) {
            return (Some(tenant), response);
        }
        let response = match self.object_at(tenant, &request.path, now) {
            Some(Object::File(file)) => self.download(tenant, file),
            Some(Object::Empty) => Response::new(200, compress(b"")).with("Content-Type", "binary/octet-stream"),
            Some(Object::Nothing) => Response::new(200, "").with("Content-Type", "binary/octet-stream"),
            None => missing(),
        };
        (Some(tenant), response)
    }

    fn refused_url(&mut self, tenant: usize, request: &Request, now: Millis) -> Option<Response> {
        let parameter = |name| request.parameter(name).unwrap_or_default();
        let (date, life) = (parameter("X-Amz-Date"), parameter("X-Amz-Expires").parse().unwrap_or(0));
        if parameter("X-Amz-Signature") != self.url_signature(&request.path, &date, life) {
            return Some(errors::storage(403, "SignatureDoesNotMatch", "The request signature does not match."));
        }
        let issued = chrono::NaiveDateTime::parse_from_str(&date, "%Y%m%dT%H%M%SZ").ok()?.and_utc().timestamp_millis();
        let end = u64::try_from(issued).unwrap_or(0) + life * SECOND;
        if now >= end || self.tenants[tenant].faults.fires(&Fault::UrlExpired) {
            return Some(errors::storage(403, "AccessDenied", "Request has expired"));
        }
        None
    }

    fn object_at(&self, tenant: usize, path: &str, now: Millis) -> Option<Object> {
        let mut parts = path.split('/').skip(3);
        let first = parts.next()?;
        if first.starts_with("empty-") {
            return Some(Object::Empty);
        }
        if first.starts_with("nothing-") {
            return Some(Object::Nothing);
        }
        let kind = Kind::FILES.iter().position(|kind| kind.name() == first)?;
        let slot = parts.next()?.parse().ok()?;
        let part = parts.next()?.split('-').next()?.parse().ok()?;
        let file = FileId { slot, kind: kind as u8, part };
        let publication = &self.tenants[tenant].publication;
        let kept = publication.oldest_kept(now, self.settings.siem_retention_ms)..publication.unpublished(now);
        (self.object_path(tenant, file) == path && kept.contains(&slot)).then_some(Object::File(file))
    }

    fn download(&mut self, tenant: usize, file: FileId) -> Response {
        let at = Endpoint::Storage;
        let state = &mut self.tenants[tenant];
        if state.faults.fires(&Fault::UrlGoneForever) {
            state.lost.insert(file);
        }
        if state.lost.contains(&file) || state.faults.fires(&Fault::UrlGone) {
            return errors::storage(404, "NoSuchKey", "The specified key does not exist.");
        }
        for (fault, plant) in [(Fault::BadLine { at }, Plant::BadLine), (Fault::GluedObjects { at }, Plant::Glued)] {
            if !state.plants.is_given(file) && state.faults.fires(&fault) {
                state.plants.add(file, plant);
                self.cache.forget(tenant, file);
            }
        }
        state.plants.give(file);
        let Some(mut body) = self.object(tenant, file) else {
            return errors::storage(404, "NoSuchKey", "The specified key does not exist.");
        };
        let faults = &mut self.tenants[tenant].faults;
        let whole = body.len();
        if faults.fires(&Fault::TruncatedGzip) {
            body.truncate(whole / 2);
        }
        let mut response = Response::new(200, body).with("Content-Type", "binary/octet-stream");
        if faults.fires(&Fault::GzipEncodingHeader) {
            response = response.with("Content-Encoding", "gzip");
        }
        if faults.fires(&Fault::WrongContentLength) {
            response = response.with("Content-Length", (whole + 1000).to_string());
        }
        response
    }

    /// The gzip bytes of a file.
    pub(crate) fn object(&mut self, tenant: usize, file: FileId) -> Option<Bytes> {
        if let Some(bytes) = self.cache.get(tenant, file) {
            return Some(bytes);
        }
        let state = &mut self.tenants[tenant];
        let plans = state.publication.file(file)?;
        let (bad, glued) = (state.plants.has(file, Plant::BadLine), state.plants.has(file, Plant::Glued));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let mut lines = String::new();
        for (index, plan) in plans.iter().enumerate() {
            let line = siem2::line(plan, &state.tenant.account_code);
            for _ in 0..plan.count() {
                lines.push_str(&line);
                lines.push('\n');
            }
            if glued && index == 0 && plans.len() > 1 {
                lines.pop();
            }
            if bad && index == plans.len() / 2 {
                lines.push_str(BROKEN_LINE);
                lines.push('\n');
            }
            if lines.len() > 1 << 16 {
                // Writing to memory does not fail.
                encoder.write_all(lines.as_bytes()).ok()?;
                lines.clear();
            }
        }
        encoder.write_all(lines.as_bytes()).ok()?;
        let bytes = Bytes::from(encoder.finish().ok()?);
        self.cache.put(tenant, file, bytes.clone());
        Some(bytes)
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail; an empty object stands for the impossible.
    if encoder.write_all(bytes).is_err() {
        return Vec::new();
    }
    encoder.finish().unwrap_or_default()
}
