//! The state machine: what it remembers, how it is asked, and which endpoint answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::auth::Tokens;
use crate::cache::Cache;
use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::fault::{Fault, Faults, Reset};
use crate::handed::Handed;
use crate::kind::Generation;
use crate::plant::Plants;
use crate::publication::{FileId, Publication};
use crate::quota::{Quotas, Share};
use crate::random::combine;
use crate::records::audit::AuditLog;
use crate::records::rows::Rows;
use crate::settings::{Settings, SettingsError, Tenant};
use crate::time::{Millis, http_date};

/// Mimecast's API for some tenants. It has no clock and does no I/O: a request and the time come in, an answer goes out.
#[derive(Debug)]
pub struct Simulator {
    pub(crate) settings: Settings,
    pub(crate) tenants: Vec<TenantState>,
    pub(crate) tokens: Tokens,
    pub(crate) handed: Handed,
    pub(crate) quotas: Quotas,
    pub(crate) cache: Cache,
    /// Makes tokens differ that point at the same place.
    pub(crate) nonce: u64,
    log: VecDeque<LogEntry>,
    log_limit: usize,
    counts: BTreeMap<(Endpoint, u16), u64>,
}

/// What the simulator remembers of a tenant.
#[derive(Debug)]
pub(crate) struct TenantState {
    pub tenant: Tenant,
    pub publication: Publication,
    pub audit: AuditLog,
    pub rows: Rows,
    pub faults: Faults,
    pub plants: Plants,
    /// Files that nobody can fetch any more.
    pub lost: BTreeSet<FileId>,
}

/// One request, as the log keeps it. It holds no query, no header and no body, so no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub time_ms: Millis,
    pub method: String,
    pub path: String,
    /// `None` for a path that nothing serves.
    pub endpoint: Option<Endpoint>,
    /// `None` where the request did not tell whose it was.
    pub tenant: Option<String>,
    pub status: u16,
    /// The name of the fault that showed, if one did.
    pub fault: Option<String>,
}

/// The log keeps the last so many requests.
const LOG_LIMIT: usize = 100_000;

impl Simulator {
    /// A simulator at the beginning of its time.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let tenants = settings
            .tenants
            .iter()
            .map(|tenant| TenantState {
                publication: Publication::new(&settings, tenant),
                audit: AuditLog::new(&settings, tenant),
                rows: Rows::new(&settings, tenant),
                faults: Faults::default(),
                plants: Plants::default(),
                lost: BTreeSet::new(),
                tenant: tenant.clone(),
            })
            .collect();
        Ok(Self {
            settings,
            tenants,
            tokens: Tokens::default(),
            handed: Handed::default(),
            quotas: Quotas::default(),
            cache: Cache::default(),
            nonce: 0,
            log: VecDeque::new(),
            log_limit: LOG_LIMIT,
            counts: BTreeMap::new(),
        })
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A tenant by its name.
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.settings.tenants.iter().find(|tenant| tenant.name == name)
    }

    /// Answers a request at a time.
    pub fn handle(&mut self, request: &Request, now_ms: Millis) -> Response {
        for state in &mut self.tenants {
            state.faults.last = None;
        }
        let storage = self.is_storage(request);
        let endpoint = if storage { Some(Endpoint::Storage) } else { Endpoint::of_path(&request.path) };
        let (tenant, mut response) = self.answer(request, endpoint, now_ms);
        if let (Some(tenant), Some(at)) = (tenant, endpoint) {
            self.disturb(tenant, at, &mut response);
        }
        response.headers.push(("Date".to_owned(), http_date(now_ms)));
        let fault = tenant.and_then(|tenant| self.tenants[tenant].faults.last.take());
        if let Some(endpoint) = endpoint {
            *self.counts.entry((endpoint, response.status)).or_default() += 1;
        }
        if self.log.len() >= self.log_limit {
            self.log.pop_front();
        }
        self.log.push_back(LogEntry {
            time_ms: now_ms,
            method: request.method.clone(),
            path: request.path.clone(),
            endpoint,
            tenant: tenant.map(|tenant| self.tenants[tenant].tenant.name.clone()),
            status: response.status,
            fault,
        });
        response
    }

    /// Keeps no more than so many requests in the log, of which at least one.
    pub fn limit_log(&mut self, entries: usize) {
        self.log_limit = entries.max(1);
        self.log.truncate(self.log_limit);
    }

    /// The last requests, oldest first.
    pub fn log(&self) -> impl Iterator<Item = &LogEntry> {
        self.log.iter()
    }

    /// How many requests each endpoint answered with each status.
    pub fn counts(&self) -> &BTreeMap<(Endpoint, u16), u64> {
        &self.counts
    }

    /// How many requests an endpoint answered.
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.counts.iter().filter(|((at, _), _)| *at == endpoint).map(|(_, count)| count).sum()
    }

    fn answer(&mut self, request: &Request, at: Option<Endpoint>, now: Millis) -> (Option<usize>, Response) {
        let Some(at) = at else {
            return (None, errors::gateway(404, "endpoint_evaluation_failed_1", "Endpoint cannot be found"));
        };
        let method = at.method();
        if request.method != method {
            return (None, Response::new(405, "").with("Allow", method));
        }
        match at {
            Endpoint::Token => self.token(request, now),
            Endpoint::Storage => self.storage(request, now),
            Endpoint::Discovery => self.discovery(request, now),
            Endpoint::SiemBatch | Endpoint::CloudBatch => {
                self.with_bearer(request, at, now, |it, tenant, request, now| it.siem_batch(tenant, at, request, now))
            }
            Endpoint::SiemStream | Endpoint::CloudStream => {
                self.with_bearer(request, at, now, |it, tenant, request, now| it.siem_stream(tenant, at, request, now))
            }
            Endpoint::SiemLogs => self.with_signature(request, at, now, Self::siem_logs),
            Endpoint::Audit => self.with_either(request, at, now, Self::audit_events),
            Endpoint::Account => self.with_either(request, at, now, Self::account),
            Endpoint::ThreatFeed => self.with_either(request, at, now, Self::threat_feed),
            Endpoint::Dlp
            | Endpoint::HeldMessages
            | Endpoint::HeldReleases
            | Endpoint::Rejections
            | Endpoint::TtpUrl
            | Endpoint::TtpAttachment
            | Endpoint::TtpImpersonation
            | Endpoint::ArchiveSearch
            | Endpoint::ArchiveUserSearch
            | Endpoint::ArchiveView => {
                self.with_either(request, at, now, |it, tenant, request, now| it.list(tenant, at, request, now))
            }
        }
    }

    fn with_either(
        &mut self,
        request: &Request,
        at: Endpoint,
        now: Millis,
        then: impl FnOnce(&mut Self, usize, &Request, Millis) -> Response,
    ) -> (Option<usize>, Response) {
        match Self::presented(request) {
            Generation::V1 if at.serves(Generation::V1) => self.with_signature(request, at, now, then),
            // What API 1.0 does not have wants a token.
            _ => self.with_bearer(request, at, now, then),
        }
    }

    fn with_bearer(
        &mut self,
        request: &Request,
        at: Endpoint,
        now: Millis,
        then: impl FnOnce(&mut Self, usize, &Request, Millis) -> Response,
    ) -> (Option<usize>, Response) {
        let tenant = match self.bearer(request, at, now) {
            Ok(tenant) => tenant,
            Err(refused) => return refused,
        };
        let name = &self.tenants[tenant].tenant.name;
        let (key, quota) = match at {
            Endpoint::SiemBatch => (format!("siem {name}"), self.settings.quota_siem_v2),
            Endpoint::CloudBatch => (format!("cloud {name}"), self.settings.quota_siem_v2),
            Endpoint::SiemStream | Endpoint::CloudStream => (format!("{at:?} {name}"), self.settings.quota_siem_stream),
            _ => (format!("{at:?} {name}"), self.settings.quota_api_v2),
        };
        let share = self.quotas.take(&key, quota.limit, self.settings.window(quota), now);
        if share.refused {
            return (Some(tenant), share.refusal());
        }
        let response = self.general_fault(tenant, at, has_cursor(request, at), now);
        let response = response.unwrap_or_else(|| then(self, tenant, request, now));
        let always = self.settings.rate_headers_always && response.header_value("x-ratelimit-reset").is_none();
        (Some(tenant), if always { share.describe(response) } else { response })
    }

    fn with_signature(
        &mut self,
        request: &Request,
        at: Endpoint,
        now: Millis,
        then: impl FnOnce(&mut Self, usize, &Request, Millis) -> Response,
    ) -> (Option<usize>, Response) {
        let share = self.share_v1(request, now);
        if share.refused {
            return (None, share.refusal());
        }
        let (tenant, response) = match self.signed(request, now) {
            Err(response) => (None, response),
            Ok(tenant) => {
                let response = self.general_fault(tenant, at, has_cursor(request, at), now);
                (Some(tenant), response.unwrap_or_else(|| then(self, tenant, request, now)))
            }
        };
        let described = response.header_value("x-ratelimit-reset").is_some() || response.status == 429;
        (tenant, if described { response } else { share.describe(response) })
    }

    /// API 1.0 counts by access key, before it looks at the signature; an unknown key has a bucket of its own.
    fn share_v1(&mut self, request: &Request, now: Millis) -> Share {
        const UNKNOWN_KEY_LIMIT: u32 = 5000;
        let key = request
            .header_value("authorization")
            .and_then(|value| value.strip_prefix("MC "))
            .and_then(|value| value.split_once(':'))
            .map_or("", |(key, _)| key.trim());
        let known = self.tenants.iter().any(|state| {
            matches!(&state.tenant.credentials,
                crate::settings::Credentials::V1 { access_key, .. } if access_key == key)
        });
        let quota = self.settings.quota_v1;
        let limit = if known { quota.limit } else { UNKNOWN_KEY_LIMIT };
        let bucket = if known { format!("v1 {key}") } else { "v1 unknown".to_owned() };
        self.quotas.take(&bucket, limit, self.settings.window(quota), now)
    }

    /// The faults that replace an answer wherever they are set.
    pub(crate) fn general_fault(&mut self, tenant: usize, at: Endpoint, cursor: bool, now: Millis) -> Option<Response> {
        let fault = self.tenants[tenant].faults.fire(|fault| match fault {
            Fault::Status { at: on, .. }
            | Fault::HtmlError { at: on }
            | Fault::TooManyRequests { at: on, .. }
            | Fault::FailWith200 { at: on }
            | Fault::Forbidden { at: on, kind: None }
            | Fault::Unauthorized { at: on }
            | Fault::InvalidClientIdentifier { at: on }
            | Fault::TokenVerificationFailed { at: on }
            | Fault::DeveloperKey { at: on }
            | Fault::BindingExpired { at: on }
            | Fault::WrongRegion { at: on } => *on == at,
            Fault::CursorRefused { at: on } => *on == at && cursor,
            _ => false,
        })?;
        Some(match fault {
            Fault::Status { status, .. } => Response::new(status, ""),
            Fault::HtmlError { .. } => errors::html(),
            Fault::TooManyRequests { reset, .. } => too_many(reset, now),
            Fault::Forbidden { .. } => errors::forbidden(),
            Fault::Unauthorized { .. } => errors::gateway(401, "unauthorized", "Unauthorized Request"),
            Fault::InvalidClientIdentifier { .. } => {
                errors::gateway(401, "InvalidClientIdentifier", "Client credentials are invalid.")
            }
            Fault::TokenVerificationFailed { .. } => {
                errors::gateway(401, "token_verification_failed", "Token verification failed")
            }
            Fault::DeveloperKey { .. } => {
                errors::envelope(200, "err_developer_key", "App ID is invalid: 00000000-0000-0000-0000-000000000000")
            }
            Fault::BindingExpired { .. } => errors::envelope(418, "err_xdk_binding_expired", "0018 Binding Expired"),
            Fault::WrongRegion { .. } => {
                errors::envelope(401, "err_audit_log_incorrect_region", "The account lives in another region")
            }
            Fault::CursorRefused { .. } => refused_cursor(at),
            _ => errors::envelope(200, "err_internal", "The request could not be completed"),
        })
    }

    /// The faults of the connection.
    fn disturb(&mut self, tenant: usize, at: Endpoint, response: &mut Response) {
        let faults = &mut self.tenants[tenant].faults;
        if let Some(Fault::Slow { delay_ms, .. }) =
            faults.fire(|fault| matches!(fault, Fault::Slow { at: on, .. } if *on == at))
        {
            response.delay_ms = delay_ms;
        }
        if let Some(Fault::ConnectionCut { after, .. }) =
            faults.fire(|fault| matches!(fault, Fault::ConnectionCut { at: on, .. } if *on == at))
        {
            response.cut_after = Some(after);
        }
    }

    /// A number that no other call gets.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.nonce += 1;
        combine(&[self.settings.seed, 10, self.nonce])
    }
}

/// Whether the request goes on from an earlier answer.
fn has_cursor(request: &Request, at: Endpoint) -> bool {
    match at {
        Endpoint::SiemBatch | Endpoint::CloudBatch | Endpoint::SiemStream | Endpoint::CloudStream => {
            request.parameter("nextPage").is_some_and(|cursor| !cursor.is_empty())
        }
        // The feed's token stands where that of the SIEM logs does.
        Endpoint::SiemLogs | Endpoint::ThreatFeed => crate::siem1::token_of(request).is_some(),
        at if at == Endpoint::Audit || at.list_kind().is_some() => crate::audit::token_of(request).is_some(),
        _ => false,
    }
}

/// 400 for a cursor that does not count.
pub(crate) fn refused_cursor(at: Endpoint) -> Response {
    match at {
        Endpoint::SiemLogs => errors::envelope(400, "err_audit_siem_invalid_token", "The token is not valid"),
        Endpoint::SiemBatch | Endpoint::CloudBatch | Endpoint::SiemStream | Endpoint::CloudStream => {
            errors::siem(400, "bad_request", "Invalid nextPage")
        }
        _ => errors::envelope(400, "err_validation_invalid_page_token", "The page token is not valid"),
    }
}

fn too_many(reset: Reset, now: Millis) -> Response {
    let response = Response::new(429, "");
    let limited = |value: String| {
        Response::new(429, "")
            .with("X-RateLimit-Limit", "50")
            .with("X-RateLimit-Remaining", "0")
            .with("X-RateLimit-Reset", value)
    };
    match reset {
        Reset::Milliseconds(ms) => limited(ms.to_string()),
        Reset::Decimal(ms) => limited(format!("{ms}.0")),
        Reset::EpochSeconds(seconds) => limited((now / 1000 + seconds).to_string()),
        Reset::RetryAfter(seconds) => response.with("Retry-After", seconds.to_string()),
        Reset::Bare => response,
    }
}
