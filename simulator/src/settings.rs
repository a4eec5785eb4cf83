//! What a simulation is made of: tenants, clock, rates, and the knobs of Mimecast's behaviour.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kind::Generation;
use crate::random::{Random, of_text};
use crate::rates::Rates;
use crate::records::message::Calendar;
use crate::time::{DAY, HOUR, MINUTE, Millis, SECOND};

/// The whole of a simulation. Two simulators of equal settings that get the same requests at the same times answer with
/// the same bytes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All that is random follows from it.
    pub seed: u64,
    /// When the simulation begins, in milliseconds since the epoch. Records exist from `start_ms - backlog_ms` on.
    pub start_ms: Millis,
    /// How much of the past there is to collect. Default 7 days.
    pub backlog_ms: Millis,
    pub tenants: Vec<Tenant>,
    /// The base of signed URLs; its authority is the storage host. [`crate::Server`] sets it.
    pub storage_url: String,
    /// The base that discovery gives out. [`crate::Server`] sets it.
    pub api_url: String,
    /// How often API 2.0 publishes SIEM files. Default 15 minutes (S changelog, section 5.1).
    pub publish_interval_v2_ms: Millis,
    /// How often API 1.0 publishes SIEM files. Default 30 minutes (section 4.5).
    pub publish_interval_v1_ms: Millis,
    /// How long after the end of its interval a file can be listed. Default 2 minutes.
    pub publish_lag_ms: Millis,
    /// The shortest and the longest time from an audit event to its visibility. Default 30 s to 20 minutes (section 6.2).
    pub audit_lag_ms: (Millis, Millis),
    /// How long a signed URL works. Default 10 minutes.
    pub url_life_ms: Millis,
    /// How long an access token works. Default 1799 s (section 2.1).
    pub token_life_ms: Millis,
    /// SIEM batch listing, per application. Default 50 per 15 minutes (section 8.4).
    pub quota_siem_v2: Quota,
    /// SIEM stream, per application. Default 300 per hour (section 5.2).
    pub quota_siem_stream: Quota,
    /// All of API 1.0, per access key. Default 800 per 5 s (recorded, section 8.4).
    pub quota_v1: Quota,
    /// `/api/...` with a token, per application. No number is public; default 600 per minute.
    pub quota_api_v2: Quota,
    /// Divides every quota window: with 900, fifteen minutes last one second. Default 1.
    pub quota_factor: u32,
    /// Rate headers on every API 2.0 answer rather than on 429 only. Default false (U4).
    pub rate_headers_always: bool,
    /// SIEM files are kept so long after their publication. Default 7 days.
    pub siem_retention_ms: Millis,
    /// Audit events are kept so long. Default 60 days.
    pub audit_retention_ms: Millis,
    /// A cursor or token that points before the retention is refused (400) rather than moved. Default true (Q23).
    pub refuse_old_cursors: bool,
    /// An audit window that begins before the retention is refused rather than clamped. Default false.
    pub refuse_old_windows: bool,
    /// How far `x-mc-date` may be from the clock. Default 15 minutes (no public number).
    pub date_tolerance_ms: Millis,
    /// Page size of audit and of the other lists where the request names none. Default 25 (U5).
    pub audit_page_default: usize,
    /// Largest page size of audit and of the other lists. Default 500.
    pub audit_page_limit: usize,
    /// The shortest and the longest time from a row of the other lists, or an indicator, to its visibility. Default 10 s
    /// to 10 minutes.
    pub list_lag_ms: (Millis, Millis),
    /// Rows of the other lists, and indicators, are kept so long. Default 60 days.
    pub list_retention_ms: Millis,
    /// Of a thousand rows without an id, so many stand there twice with the same bytes. Default 8.
    pub list_repeats: u64,
    /// A page token of the other lists works so long. Default `None`: for ever (U19).
    pub page_token_life_ms: Option<Millis>,
    /// The shortest time from the visibility of a held message to its release, and how long it stays when nobody decides.
    /// Default 10 minutes and 14 days.
    pub held_life_ms: (Millis, Millis),
    /// Indicators in one file of a threat feed at most; each comes with its malware and its relationship. Default 100.
    pub feed_page: usize,
    /// Each download of a threat feed makes an audit event of its own (Q67). Default false: truth would grow with each.
    pub feed_downloads_are_audited: bool,
    /// How many events of the page before a further page of the SIEM stream begins with (Q57). Default 2.
    pub stream_overlap: usize,
    /// The window's end belongs to the window. Default true (U18).
    pub inclusive_window_ends: bool,
    /// Records in one SIEM file at most. Default 1000.
    pub records_per_file: usize,
    /// Members in one API 1.0 archive at most. Default 12.
    pub members_per_archive: usize,
    /// How the members of archives are written.
    pub archive: ArchiveForm,
    /// Accept what the real service accepts: Python dictionaries as bodies, `GMT` in dates. Default true.
    pub lenient: bool,
}

/// So many requests in a window of so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub limit: u32,
    pub window_ms: Millis,
}

/// How the members of a ZIP archive are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArchiveForm {
    /// Deflated, sizes behind the data in a descriptor: as Java's `ZipOutputStream` writes while it streams.
    #[default]
    Descriptors,
    /// Deflated, sizes in the local header.
    SizesAhead,
    /// Not compressed, sizes in the local header.
    Stored,
}

/// One customer of Mimecast.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// How tests speak of it.
    pub name: String,
    pub credentials: Credentials,
    /// `CUSA38A227` and the like.
    pub account_code: String,
    /// SIEM records a day, all kinds together, on an average working day.
    pub events_per_day: u64,
    pub audit_events_per_day: u64,
    /// How they are spread over the week; audit events always evenly.
    pub calendar: Calendar,
    /// Of the other streams. [`Tenant::v2`] and [`Tenant::v1`] leave them silent; see [`Tenant::with_every_stream`].
    pub rates: Rates,
    /// Streams, or groups of them, without permission: `siem/av`, `siem`, `audit`, `ttp`, `held/messages`.
    pub denied: Vec<String>,
    /// Streams, or groups of them, whose product the account has not bought.
    pub unlicensed: Vec<String>,
    /// Of API 1.0 times, in minutes east of UTC.
    pub utc_offset_minutes: i32,
}

/// What a client needs to speak for a tenant.
#[derive(Clone)]
pub enum Credentials {
    V2 {
        client_id: String,
        client_secret: String,
    },
    V1 {
        /// For discovery.
        email: String,
        app_id: String,
        app_key: String,
        access_key: String,
        /// Standard base64.
        secret_key: String,
    },
}

/// Names the kind of the credentials only: a secret never appears in debug output.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::V2 { .. } => "Credentials::V2",
            Credentials::V1 { .. } => "Credentials::V1",
        })
    }
}

impl Tenant {
    /// A tenant of API 2.0 with made-up credentials that follow from its name.
    pub fn v2(name: &str, events_per_day: u64) -> Self {
        let mut random = Random::new(of_text(name));
        let credentials = Credentials::V2 { client_id: random.base64url(40), client_secret: random.base64url(64) };
        Self::new(name, events_per_day, credentials, &mut random)
    }

    /// A tenant of API 1.0 with made-up credentials that follow from its name.
    pub fn v1(name: &str, events_per_day: u64) -> Self {
        let mut random = Random::new(of_text(name));
        let secret: Vec<u8> = (0..64).map(|_| random.below(256) as u8).collect();
        let credentials = Credentials::V1 {
            email: format!("collector@{name}.example.com"),
            app_id: random.uuid(),
            app_key: random.uuid(),
            access_key: format!("mYmadeUp{}", random.base64url(40)),
            secret_key: STANDARD.encode(secret),
        };
        Self::new(name, events_per_day, credentials, &mut random)
    }

    fn new(name: &str, events_per_day: u64, credentials: Credentials, random: &mut Random) -> Self {
        Self {
            name: name.to_owned(),
            credentials,
            account_code: format!("CUSA{}A{}", random.between(1, 99), random.between(100, 999)),
            events_per_day,
            audit_events_per_day: (events_per_day / 40).max(48),
            calendar: Calendar::default(),
            rates: Rates::default(),
            denied: Vec::new(),
            unlicensed: Vec::new(),
            utc_offset_minutes: 0,
        }
    }

    /// With records in every stream that its generation has, in a realistic mix.
    #[must_use]
    pub fn with_every_stream(mut self) -> Self {
        self.rates = Rates::beside(self.events_per_day, self.generation());
        self
    }

    /// Whether a list of streams or groups names this stream.
    pub(crate) fn names(list: &[String], stream: &str) -> bool {
        list.iter()
            .any(|name| stream.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    pub fn generation(&self) -> Generation {
        match self.credentials {
            Credentials::V2 { .. } => Generation::V2,
            Credentials::V1 { .. } => Generation::V1,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            // Monday, 2 June 2025, 12:07 UTC: a busy hour, in the middle of an interval.
            start_ms: 1_748_866_020_000,
            backlog_ms: 7 * DAY,
            tenants: Vec::new(),
            storage_url: "https://storage.simulator.test".to_owned(),
            api_url: "https://api.simulator.test".to_owned(),
            publish_interval_v2_ms: 15 * MINUTE,
            publish_interval_v1_ms: 30 * MINUTE,
            publish_lag_ms: 2 * MINUTE,
            audit_lag_ms: (30 * SECOND, 20 * MINUTE),
            url_life_ms: 10 * MINUTE,
            token_life_ms: 1799 * SECOND,
            quota_siem_v2: Quota { limit: 50, window_ms: 15 * MINUTE },
            quota_siem_stream: Quota { limit: 300, window_ms: HOUR },
            quota_v1: Quota { limit: 800, window_ms: 5 * SECOND },
            quota_api_v2: Quota { limit: 600, window_ms: MINUTE },
            quota_factor: 1,
            rate_headers_always: false,
            siem_retention_ms: 7 * DAY,
            audit_retention_ms: 60 * DAY,
            refuse_old_cursors: true,
            refuse_old_windows: false,
            date_tolerance_ms: 15 * MINUTE,
            audit_page_default: 25,
            audit_page_limit: 500,
            list_lag_ms: (10 * SECOND, 10 * MINUTE),
            list_retention_ms: 60 * DAY,
            list_repeats: 8,
            page_token_life_ms: None,
            held_life_ms: (10 * MINUTE, 14 * DAY),
            feed_page: 100,
            feed_downloads_are_audited: false,
            stream_overlap: 2,
            inclusive_window_ends: true,
            records_per_file: 1000,
            members_per_archive: 12,
            archive: ArchiveForm::Descriptors,
            lenient: true,
        }
    }
}

/// Settings that cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub(crate) String);

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let fail = |what: String| Err(SettingsError(what));
        for (index, tenant) in self.tenants.iter().enumerate() {
            let name = &tenant.name;
            if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)) {
                return fail(format!("tenant name {name:?}: use letters, digits, '-', '_' and '.', at least one"));
            }
            if self.tenants[..index].iter().any(|other| other.name == *name) {
                return fail(format!("two tenants are called {name:?}: give each a name of its own"));
            }
            if let Credentials::V1 { secret_key, .. } = &tenant.credentials
                && STANDARD.decode(secret_key).is_err()
            {
                return fail(format!("tenant {name:?}: its secret key is not standard base64"));
            }
        }
        for (what, value) in [
            ("publish_interval_v2_ms", self.publish_interval_v2_ms),
            ("publish_interval_v1_ms", self.publish_interval_v1_ms),
        ] {
            if !(SECOND..=DAY).contains(&value) || !DAY.is_multiple_of(value) {
                return fail(format!("{what} is {value}: it must divide a day and be a second or more"));
            }
        }
        for (what, value) in [
            ("records_per_file", self.records_per_file),
            ("members_per_archive", self.members_per_archive),
            ("quota_factor", self.quota_factor as usize),
            ("audit_page_default", self.audit_page_default),
            ("audit_page_limit", self.audit_page_limit),
            ("feed_page", self.feed_page),
        ] {
            if value == 0 {
                return fail(format!("{what} is zero: it must be one or more"));
            }
        }
        if self.audit_lag_ms.0 > self.audit_lag_ms.1 || self.audit_lag_ms.1 > 2 * DAY {
            return fail("audit_lag_ms: the shortest lag first, at most two days".to_owned());
        }
        if self.list_lag_ms.0 > self.list_lag_ms.1 || self.list_lag_ms.1 > 2 * DAY {
            return fail("list_lag_ms: the shortest lag first, at most two days".to_owned());
        }
        if self.held_life_ms.0 > self.held_life_ms.1 || self.held_life_ms.1 > 60 * DAY {
            return fail("held_life_ms: the shortest life first, at most sixty days".to_owned());
        }
        if self.start_ms < self.backlog_ms + DAY {
            return fail("backlog_ms reaches before 1970: begin later or shorten it".to_owned());
        }
        if self.publish_lag_ms > HOUR {
            return fail("publish_lag_ms is more than an hour".to_owned());
        }
        Ok(())
    }

    /// A quota's window after [`Settings::quota_factor`].
    pub(crate) fn window(&self, quota: Quota) -> Millis {
        (quota.window_ms / u64::from(self.quota_factor)).max(1)
    }
}
