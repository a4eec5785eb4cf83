//! Audit events: what happened, when, and when it can be seen (section 6.2 of the API reference).

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use super::Mark;
use super::details::address;
use super::world;
use crate::random::{Random, combine, of_text};
use crate::settings::{Settings, Tenant};
use crate::time::{HOUR, Millis, formatted, with_offset};

/// One audit event to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub mark: Mark,
    /// To the second, as the record tells it.
    pub time_ms: Millis,
    pub visible_ms: Millis,
    seed: u64,
}

/// The audit log of one tenant; events are made again whenever they are asked for.
#[derive(Debug)]
pub struct AuditLog {
    seed: u64,
    per_day: u64,
    begin: Millis,
    lag: (Millis, Millis),
    account_code: String,
    domain: String,
    inserted: Vec<Event>,
}

const DOWNLOAD: &str = "Threat Intel Feed Download";

/// Category, audit type, how the text begins.
const TYPES: [(&str, &str, &str); 12] = [
    ("authentication_logs", "User Logged On", "Successful authentication for"),
    ("authentication_logs", "User Logged On", "Successful authentication for"),
    ("authentication_logs", "Logon Authentication Failed", "Failed authentication for"),
    ("authentication_logs", "Logon Requires Challenge", "Challenge sent to"),
    ("reporting_logs", "Search Action", "Search for \"invoice, overdue\" by"),
    ("account_logs", "Existing Policy Changed", "Policy changed by"),
    ("account_logs", "New Policy", "Policy {\"name\":\"Block\"} created by"),
    ("archive_service_logs", "Archive Mailbox Export Download", "Export downloaded by"),
    ("profile_group_logs", "Folder Log Entry", "Address added\nto the group by"),
    ("user_account_and_role_logs", "User Password Changed", "Password changed for"),
    ("integrations_and_apis", DOWNLOAD, "Feed downloaded by"),
    ("mimecast_access_logs", "Mimecast Support Login", "Support logged in for"),
];

impl AuditLog {
    pub fn new(settings: &Settings, tenant: &Tenant) -> Self {
        Self {
            seed: combine(&[settings.seed, of_text(&tenant.name), 20]),
            per_day: tenant.audit_events_per_day,
            begin: settings.start_ms - settings.backlog_ms,
            lag: settings.audit_lag_ms,
            account_code: tenant.account_code.clone(),
            domain: format!("{}.example.com", tenant.account_code.to_ascii_lowercase()),
            inserted: Vec::new(),
        }
    }

    /// Adds events of one time that can be seen from another on.
    pub fn insert(&mut self, count: usize, time_ms: Millis, visible_ms: Millis) {
        for _ in 0..count {
            let seed = combine(&[self.seed, 21, self.inserted.len() as u64]);
            let time_ms = time_ms / 1000 * 1000;
            self.inserted.push(Event { mark: Mark(combine(&[seed, 4])), time_ms, visible_ms, seed });
        }
    }

    /// Adds the event that a download of a threat feed leaves (Q67).
    pub fn insert_download(&mut self, time_ms: Millis, visible_ms: Millis) {
        let downloads = |seed: u64| TYPES[type_of(&mut Random::new(combine(&[seed, 24])))].1 == DOWNLOAD;
        let count = self.inserted.len() as u64;
        let mut seeds = (0..).map(|attempt: u64| combine(&[self.seed, 27, count, attempt]));
        // One type in twelve is the wanted one, so some dozen attempts do.
        if let Some(seed) = seeds.find(|seed| downloads(*seed)) {
            let time_ms = time_ms / 1000 * 1000;
            self.inserted.push(Event { mark: Mark(combine(&[seed, 4])), time_ms, visible_ms, seed });
        }
    }

    /// The events from `begin` to `end`, both included, that can be seen at `now`; the newest first.
    pub fn visible(&self, begin: Millis, end: Millis, now: Millis) -> Vec<Event> {
        let mut events = Vec::new();
        let last = end.min(now) / HOUR;
        for hour in begin.max(self.begin) / HOUR..=last {
            self.plan(hour, &mut events);
        }
        events.extend(&self.inserted);
        events.retain(|event| (begin..=end).contains(&event.time_ms) && event.visible_ms <= now);
        events.sort_by_key(|event| std::cmp::Reverse((event.time_ms, event.mark)));
        events
    }

    fn plan(&self, hour: u64, out: &mut Vec<Event>) {
        let mut random = Random::new(combine(&[self.seed, 22, hour]));
        let count = (self.per_day + random.below(24)) / 24;
        for index in 0..count {
            let seed = combine(&[self.seed, 23, hour, index]);
            let mut random = Random::new(seed);
            let exact = hour * HOUR + random.below(HOUR);
            let visible_ms = exact + random.between(self.lag.0, self.lag.1);
            if exact >= self.begin {
                let time_ms = exact / 1000 * 1000;
                out.push(Event { mark: Mark(combine(&[seed, 4])), time_ms, visible_ms, seed });
            }
        }
    }

    /// The record as the API gives it out.
    pub fn record(&self, event: &Event) -> Value {
        let mut random = Random::new(combine(&[event.seed, 24]));
        let (category, kind, begin) = TYPES[type_of(&mut random)];
        let (first, last) = (random.pick(&world::FIRST_NAMES), random.pick(&world::LAST_NAMES));
        let user = format!("{first}.{last}@{}", self.domain);
        let (address, mark) = (address(&mut random), event.mark);
        let application = random.pick(&["Administration Console", "Mimecast Personal Portal", "API"]);
        let tail = if random.chance(700) {
            let time = formatted(event.time_ms + HOUR, "Date: %Y-%m-%d, Time: %H:%M:%S BST");
            let reason = if kind.contains("Failed") { ", Reason: Wrong password" } else { "" };
            format!("{time}, IP: {address}, Application: {application}, Method: Cloud, 2FA: TOTP{reason}")
        } else {
            let time = formatted(event.time_ms, "Date: %Y-%m-%d Time: %H:%M:%S +0000");
            format!("{time} IP: {address} Application: {application}")
        };
        json!({
            "id": self.id(event),
            "auditType": kind,
            "user": if random.chance(40) { "" } else { user.as_str() },
            "eventTime": with_offset(event.time_ms, 0),
            "eventInfo": format!("{begin} {user} <{first} {last}>, Session: {mark}, {tail}"),
            "category": category,
        })
    }

    /// Base64url of compressed JSON, as the real ids are; some 200 characters.
    fn id(&self, event: &Event) -> String {
        let number = combine(&[event.seed, 25]) >> 24;
        let secure = Random::new(combine(&[event.seed, 26])).base64url(64);
        opaque(&json!({"secureid": secure, "auditlogid": number, "customercode": self.account_code, "version": 1}))
    }

    /// Whether an event falls under the request's `query` and `categories`.
    pub fn matches(&self, event: &Event, query: Option<&str>, categories: &[String]) -> bool {
        if query.is_none() && categories.is_empty() {
            return true;
        }
        let record = self.record(event);
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_lowercase();
        let found = query.is_none_or(|query| {
            ["auditType", "user", "eventInfo"].iter().any(|key| text(key).contains(&query.to_lowercase()))
        });
        found && (categories.is_empty() || categories.contains(&text("category")))
    }
}

/// Which of [`TYPES`]: the first draw of an event.
fn type_of(random: &mut Random) -> usize {
    random.below(TYPES.len() as u64) as usize
}

/// Base64url of zlib of JSON: Mimecast's way to make ids and tokens (section 3.2).
pub fn opaque(value: &Value) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let packed = encoder.write_all(value.to_string().as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(packed)
}
