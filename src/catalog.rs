//! Every stream: its names, what Mimecast keeps of it, how often and in what pieces it is read. Facts and sections are those of
//! the API reference.

use crate::config::{DAY, HOUR, MINUTE, SECOND};
use crate::describe::Quota;
use crate::kind::{Generation, Kind};

/// A stream of this source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// API 2.0, `GET /siem/v1/batch/events/cg` and, for Cloud Integrated, `…/ci`: each type is a stream.
    SiemBatch(Kind),
    /// API 2.0, `GET /siem/v1/events/cg`: all types in one cursor.
    SiemEvents,
    /// API 1.0, `POST /api/audit/get-siem-logs`: archives of files of all types.
    SiemArchive,
    /// `POST /api/…`: pages of rows in windows of time.
    List(Kind),
    /// `POST /api/ttp/threat-intel/get-feed`: STIX bundles in windows of time.
    Feed(Feed),
}

/// A threat-intelligence feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Malware that was found in the account's own mail.
    Customer,
    /// Malware that was found in the account's region.
    Grid,
}

/// How long Mimecast serves SIEM data in files, in both generations (sections 4.5 and 5.1).
pub const SIEM_RETENTION: u64 = 7 * DAY;
/// How long the stream endpoint serves SIEM data (section 5.2).
pub const EVENTS_RETENTION: u64 = DAY;
/// How long Mimecast serves audit events (section 6.2).
pub const AUDIT_RETENTION: u64 = 60 * DAY;
/// No limit is public of the other lists. Clients ask them for 60 days and are answered (sections 10 and 12, U25 and U26).
const LIST_RETENTION: u64 = 60 * DAY;
/// How far a feed reaches if it is not told (section 6.10).
const FEED_RETENTION: u64 = 7 * DAY;

/// 50 requests in 15 minutes on the batch path, shared by all types (section 8.4).
const SIEM_BATCH_QUOTA: Quota = Quota { name: "siem-batch", requests: 50, window_ms: 15 * 60 * 1_000 };
/// The same protocol on a path of its own; quotas are counted by function (section 8.4), and no other figure is public.
const CLOUD_BATCH_QUOTA: Quota = Quota { name: "cloud-batch", requests: 50, window_ms: 15 * 60 * 1_000 };
/// 300 requests in an hour on the stream path (sections 5.2 and 8.4).
const SIEM_EVENTS_QUOTA: Quota = Quota { name: "siem-stream", requests: 300, window_ms: 60 * 60 * 1_000 };
/// 800 requests in 5 seconds, shared by all functions of a key: recorded on every API 1.0 answer (section 8.4).
const API_QUOTA: Quota = Quota { name: "api", requests: 800, window_ms: 5_000 };

/// Every quota, in the descriptor's order.
pub const QUOTAS: [Quota; 4] = [SIEM_BATCH_QUOTA, CLOUD_BATCH_QUOTA, SIEM_EVENTS_QUOTA, API_QUOTA];

/// Sumo Logic, Elastic and most others poll everything in five minutes (section 10). Ten SIEM types make 30 calls of the 50 that
/// they share in 15 minutes.
const POLL: u64 = 300 * SECOND;
/// One call of the 300 in an hour a minute: whoever takes the stream endpoint wants it soon.
const EVENTS_POLL: u64 = MINUTE;
/// API 1.0 publishes every 30 minutes (section 4.5).
const ARCHIVE_POLL: u64 = 30 * MINUTE;
/// Every download writes an audit record (quirk Q67), so no more often than needed.
const FEED_POLL: u64 = HOUR;

/// Records appear late: 30 minutes for audit events, and by the same practice for the other lists (section 6.2, quirk Q18, and the
/// design at the end of section 10).
const OVERLAP: u64 = 30 * MINUTE;
/// A held message stands in the list until somebody decides. One that is only seen later must not be missed.
const HELD_OVERLAP: u64 = DAY;

/// How far behind the present a window ends: rows that arrive while it is paged would shift its pages (quirk Q15). Clients take 1
/// to 15 seconds; "better minutes".
pub const LAG: u64 = MINUTE;

/// Default and largest size of a page.
type PageSizes = Option<(u32, u32)>;
/// Files or events a page (sections 5.1 and 5.2).
const SIEM_PAGE: PageSizes = Some((100, 100));
/// Rows a page: 500 at most; 500 for audit and the hold list, where a poll reads much, 100 elsewhere (sections 3.2 and 10).
const LONG_PAGE: PageSizes = Some((500, 500));
const PAGE: PageSizes = Some((100, 500));

/// What is fixed of a stream.
struct Entry {
    stream: Stream,
    name: &'static str,
    /// One sentence, without the generation.
    text: &'static str,
    /// The only generation that has it; `None` if both have.
    only: Option<Generation>,
    interval: u64,
    retention: u64,
    /// `None` where a token tells where to go on.
    overlap: Option<u64>,
    page: PageSizes,
}

const fn batch(kind: Kind, name: &'static str, text: &'static str) -> Entry {
    Entry {
        stream: Stream::SiemBatch(kind),
        name,
        text,
        only: Some(Generation::V2),
        interval: POLL,
        retention: SIEM_RETENTION,
        overlap: None,
        page: SIEM_PAGE,
    }
}

const fn list(kind: Kind, name: &'static str, only: Option<Generation>, text: &'static str) -> Entry {
    Entry {
        stream: Stream::List(kind),
        name,
        text,
        only,
        interval: POLL,
        retention: LIST_RETENTION,
        overlap: Some(OVERLAP),
        page: PAGE,
    }
}

const fn feed(feed: Feed, name: &'static str, text: &'static str) -> Entry {
    Entry {
        stream: Stream::Feed(feed),
        name,
        text,
        only: None,
        interval: FEED_POLL,
        retention: FEED_RETENTION,
        overlap: Some(OVERLAP),
        page: None,
    }
}

const V2: Option<Generation> = Some(Generation::V2);

/// All streams, in the descriptor's order.
const ENTRIES: [Entry; 28] = [
    batch(Kind::Receipt, "siem/receipt", "Messages accepted or refused at SMTP receipt"),
    batch(Kind::Process, "siem/process", "Policy processing of accepted messages"),
    batch(Kind::Delivery, "siem/delivery", "Delivery attempts"),
    batch(Kind::Journal, "siem/journal", "Journalled messages"),
    batch(Kind::Spam, "siem/spam", "Messages judged spam"),
    batch(Kind::Av, "siem/av", "Viruses found in messages"),
    batch(Kind::AttachmentProtect, "siem/attachment-protect", "Malicious attachments found by Attachment Protect"),
    batch(Kind::UrlProtect, "siem/url-protect", "Links judged by URL Protect"),
    batch(Kind::ImpersonationProtect, "siem/impersonation-protect", "Impersonations found by Impersonation Protect"),
    batch(Kind::InternalEmailProtect, "siem/internal-email-protect", "Threats in internal and outbound messages"),
    Entry {
        stream: Stream::SiemEvents,
        name: "siem/events",
        text: "E-mail logs of all types, soon, for 24 hours: with siem_mode = \"stream\" instead of the ten types",
        only: V2,
        interval: EVENTS_POLL,
        retention: EVENTS_RETENTION,
        overlap: Some(OVERLAP),
        page: SIEM_PAGE,
    },
    Entry {
        stream: Stream::SiemArchive,
        name: "siem",
        text: "E-mail logs of all types",
        only: Some(Generation::V1),
        interval: ARCHIVE_POLL,
        retention: SIEM_RETENTION,
        overlap: None,
        page: None,
    },
    batch(Kind::CloudEntities, "cloud/entities", "Cloud Integrated: messages and their verdict"),
    batch(Kind::CloudMailflow, "cloud/mailflow", "Cloud Integrated: results of authentication"),
    batch(Kind::CloudUrlClick, "cloud/urlclick", "Cloud Integrated: clicks on links"),
    Entry {
        retention: AUDIT_RETENTION,
        page: LONG_PAGE,
        ..list(Kind::Audit, "audit", None, "What administrators and users did, logons included")
    },
    list(Kind::Dlp, "dlp", None, "Messages that met a content policy"),
    Entry {
        overlap: Some(HELD_OVERLAP),
        page: LONG_PAGE,
        ..list(Kind::Held, "held/messages", None, "Messages in the hold queue, each once")
    },
    list(Kind::HeldRelease, "held/releases", V2, "Held messages that were released or rejected"),
    list(Kind::Rejection, "rejections", V2, "Messages that were rejected"),
    list(Kind::TtpUrl, "ttp/url", None, "Clicks on links and scans of them"),
    list(Kind::TtpAttachment, "ttp/attachment", None, "Attachments that were scanned"),
    list(Kind::TtpImpersonation, "ttp/impersonation", None, "Messages that pretend to come from somebody else"),
    feed(Feed::Customer, "threat_intel/customer", "Malware found in the account's own mail (STIX)"),
    feed(Feed::Grid, "threat_intel/grid", "Malware found in the account's region (STIX)"),
    list(Kind::ArchiveSearch, "archive/search", None, "Searches of administrators in the archive"),
    list(Kind::ArchiveUserSearch, "archive/user-search", None, "Searches of users in their archive"),
    list(Kind::ArchiveView, "archive/view", None, "Messages that were viewed in the archive"),
];

impl Stream {
    /// Every stream of both generations.
    pub fn all() -> impl Iterator<Item = Stream> {
        ENTRIES.iter().map(|entry| entry.stream)
    }

    /// Every stream of a generation.
    pub fn of(generation: Generation) -> Vec<Stream> {
        Self::all().filter(|stream| stream.is_of(generation)).collect()
    }

    fn entry(self) -> &'static Entry {
        // A kind that is no stream of its own has none; the first one then only serves to have no panic.
        ENTRIES.iter().find(|entry| entry.stream == self).unwrap_or(&ENTRIES[0])
    }

    pub fn is_of(self, generation: Generation) -> bool {
        self.entry().only.is_none_or(|only| only == generation)
    }

    /// `None` if both generations have it.
    pub fn only(self) -> Option<Generation> {
        self.entry().only
    }

    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The part of the name before the slash.
    pub fn group(self) -> &'static str {
        self.name().split('/').next().unwrap_or_default()
    }

    /// One sentence for people.
    pub fn text(self) -> &'static str {
        self.entry().text
    }

    /// From the start of one poll to the start of the next, in nanoseconds.
    pub fn interval(self) -> u64 {
        self.entry().interval
    }

    /// How far back Mimecast serves it, in nanoseconds.
    pub fn retention(self) -> u64 {
        self.entry().retention
    }

    /// How far back it can be read, as a clause for messages.
    pub fn reach(self) -> String {
        let keeps = if matches!(self, Stream::List(kind) if kind != Kind::Audit) { "is asked for" } else { "keeps" };
        match (self.retention() / HOUR, self.retention() / DAY) {
            (hours @ ..48, _) => format!("Mimecast {keeps} {hours} hours"),
            (_, days) => format!("Mimecast {keeps} {days} days"),
        }
    }

    /// How far behind the present it is read again, in nanoseconds; `None` where a token tells where to go on.
    pub fn overlap(self) -> Option<u64> {
        self.entry().overlap
    }

    /// Default and largest size of a page; `None` where the vendor decides.
    pub fn page_sizes(self) -> PageSizes {
        self.entry().page
    }

    /// For how long a record may be read again after it was first read, with this overlap, in nanoseconds.
    pub fn repeats_within(self, overlap: u64) -> u64 {
        match self {
            // A refused token makes the source list again by date, a day before its own time mark.
            Stream::SiemBatch(_) | Stream::SiemArchive => SIEM_RETENTION + DAY,
            Stream::SiemEvents => EVENTS_RETENTION + DAY,
            // A window that is begun anew may have taken long, but hardly a day.
            Stream::List(_) | Stream::Feed(_) => overlap + DAY,
        }
    }

    pub fn quota(self, generation: Generation) -> Option<Quota> {
        match (self, generation) {
            (_, Generation::V1) => Some(API_QUOTA),
            (Stream::SiemBatch(kind), _) if kind.is_cloud() => Some(CLOUD_BATCH_QUOTA),
            (Stream::SiemBatch(_), _) => Some(SIEM_BATCH_QUOTA),
            (Stream::SiemEvents, _) => Some(SIEM_EVENTS_QUOTA),
            // No figure is public for these (section 8.4); what an answer's headers say is obeyed.
            (Stream::SiemArchive | Stream::List(_) | Stream::Feed(_), _) => None,
        }
    }
}

/// Other names of streams and groups, in lower case: Sumo Logic's of both generations (section 6.1), and ours in other words.
const ALIASES: [(&str, &str); 6] = [
    ("hold", "held"),
    ("auditevent", "audit"),
    ("audit events", "audit"),
    ("holdmessagelist", "held/messages"),
    ("hold message list", "held/messages"),
    ("threat-intel", "threat_intel"),
];

/// The streams of both generations that a name, a group or an alias of these means; none if it is unknown.
pub fn named(name: &str) -> Vec<Stream> {
    let name = name.trim().to_ascii_lowercase();
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |(_, meant)| meant);
    Stream::all().filter(|stream| stream.name() == name || stream.group() == name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_an_entry_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Stream::all().map(Stream::name).collect();
        assert_eq!(names.len(), ENTRIES.len());
        assert_eq!((Stream::of(Generation::V1).len(), Stream::of(Generation::V2).len()), (12, 27));
        for stream in Stream::all() {
            assert_eq!(stream.entry().stream, stream);
            assert!(!stream.text().is_empty());
            assert!(Stream::of(Generation::V1).contains(&stream) || Stream::of(Generation::V2).contains(&stream));
            assert!(stream.page_sizes().is_none_or(|(size, most)| size <= most));
        }
    }

    #[test]
    fn names_groups_and_the_names_of_others() {
        let names = |name: &str| named(name).into_iter().map(Stream::name).collect::<Vec<_>>();
        assert_eq!(names("siem").len(), 12);
        assert_eq!(names("SIEM").len(), 12);
        assert_eq!(names("Cloud"), ["cloud/entities", "cloud/mailflow", "cloud/urlclick"]);
        assert_eq!(names("ttp"), ["ttp/url", "ttp/attachment", "ttp/impersonation"]);
        for name in ["audit", "auditEvent", "Audit Events"] {
            assert_eq!(names(name), ["audit"], "{name}");
        }
        for name in ["holdMessageList", "Hold Message List", "held/messages"] {
            assert_eq!(names(name), ["held/messages"], "{name}");
        }
        for name in ["hold", "held", " Hold "] {
            assert_eq!(names(name), ["held/messages", "held/releases"], "{name}");
        }
        assert_eq!(names("DLP"), ["dlp"]);
        assert_eq!(names("threat_intel"), names("threat-intel"));
        assert_eq!((names("archive").len(), names("threat_intel").len(), names("rejections").len()), (3, 2, 1));
        assert!(names("sie").is_empty() && names("").is_empty());
    }

    /// What shares a quota stays within four fifths of it, which is the host's default share.
    #[test]
    fn the_default_intervals_stay_within_the_quotas() {
        for generation in [Generation::V1, Generation::V2] {
            for quota in QUOTAS {
                let sharing =
                    Stream::of(generation).into_iter().filter(|stream| stream.quota(generation) == Some(quota));
                let window = u64::from(quota.window_ms) * 1_000_000;
                let calls: u64 = sharing.map(|stream| window.div_ceil(stream.interval())).sum();
                assert!(calls * 5 <= u64::from(quota.requests) * 4, "{}: {calls}", quota.name);
            }
        }
        let siem = |stream: &Stream| stream.quota(Generation::V2) == Some(SIEM_BATCH_QUOTA);
        assert_eq!(Stream::of(Generation::V2).iter().filter(|stream| siem(stream)).count(), 10);
    }
}
