//! Metrics of sources and their streams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::text::{Family, Kind, Labels, Page};
use super::{counter, gauge, seconds};
use crate::collect::{QuotaStatus, StreamStatus};
use crate::sandbox::{GuestUsage, NetworkCounts};

/// What is known of one source beside its streams.
#[derive(Debug, Clone)]
pub struct SourceFacts {
    pub id: Arc<str>,
    pub tenant: Arc<str>,
    /// The `type` of its configuration.
    pub kind: String,
    pub network: Option<NetworkCounts>,
    pub usage: Option<GuestUsage>,
    /// How often the vendor was asked for a session: with success, and without.
    pub sessions: (u64, u64),
    /// For how long every such try has failed.
    pub no_session_for: Option<Duration>,
    pub quotas: Vec<(String, QuotaStatus)>,
}

fn labels(id: &str, kind: &str, tenant: &str) -> Labels {
    let source = Labels::default().with_own("component_id", id).with("component_kind", "source");
    source.with("component_type", kind).with_own("tenant", tenant)
}

/// `now` is in nanoseconds since the Unix epoch.
pub fn write(page: &mut Page<'_>, sources: &[SourceFacts], streams: &[StreamStatus], now: u64) {
    let kinds: BTreeMap<&str, &str> = sources.iter().map(|source| (&*source.id, source.kind.as_str())).collect();
    let of = |status: &StreamStatus| {
        // One that is about to go has no source any more.
        let kind = kinds.get(&*status.source).copied().unwrap_or("");
        labels(&status.source, kind, &status.tenant).with_own("stream", &status.stream)
    };
    let labelled: Vec<(Labels, &StreamStatus)> = streams.iter().map(|status| (of(status), status)).collect();
    progress(page, &labelled, now);
    amounts(page, &labelled);
    let of = |source: &SourceFacts| labels(&source.id, &source.kind, &source.tenant);
    let labelled: Vec<(Labels, &SourceFacts)> = sources.iter().map(|source| (of(source), source)).collect();
    network(page, &labelled);
    rest(page, &labelled);
}

/// Writes a metric with one value a stream, or source, that has one.
fn each<T>(page: &mut Page<'_>, labelled: &[(Labels, &T)], family: Family, value: impl Fn(&T) -> Option<f64>) {
    page.family(family, |put| {
        for (labels, of) in labelled {
            if let Some(value) = value(of) {
                put(labels, &[], value);
            }
        }
    });
}

/// Where streams are.
fn progress(page: &mut Page<'_>, streams: &[(Labels, &StreamStatus)], now: u64) {
    let help = "1 for the state that a stream is in; without labels of tenants, how many are in it.";
    page.family(gauge("stream_state", help), |put| {
        for (labels, status) in streams {
            put(labels, &[("state", status.state.word())], 1.0);
        }
    });
    let greatest = |name, help| Family { name, kind: Kind::Greatest, help };
    let least = |name, help| Family { name, kind: Kind::Least, help };
    let help =
        "How far behind the present a stream reads: zero when it is caught up, else the age of the newest event.";
    each(page, streams, greatest("source_lag_time_seconds", help), |status| {
        status.lag(now).map(|lag| lag as f64 / 1e9)
    });
    let help = "When the last poll began, in seconds since the Unix epoch; without labels of tenants, of the stream that has waited longest.";
    each(page, streams, least("stream_last_poll_timestamp_seconds", help), |status| status.polled_ms.map(seconds));
    let help = "When the vendor last answered a pull well, though it may have had nothing new, in seconds since the Unix epoch; without labels of tenants, of the stream that has waited longest.";
    each(page, streams, least("stream_last_success_timestamp_seconds", help), |status| {
        status.succeeded_ms.map(seconds)
    });
    let help = "When the newest event happened that was read, in seconds since the Unix epoch; without labels of tenants, of the stream whose is oldest.";
    each(page, streams, least("stream_newest_event_timestamp_seconds", help), |status| {
        status.newest.map(|newest| newest as f64 / 1e9)
    });
    let help = "1 while what a stream has read cannot be stored, so that its position stands still.";
    each(page, streams, gauge("stream_held", help), |status| Some(f64::from(u8::from(status.held.is_some()))));
    let help = "1 while a stream is read and brings nothing new for six hours, though at this time yesterday it did; without labels of tenants, how many do so. Zero in the first day of the process.";
    each(page, streams, gauge("stream_silent", help), |status| Some(f64::from(u8::from(status.fell_silent(now)))));
    let help = "Chunks of a stream that are between pull and store.";
    each(page, streams, gauge("stream_in_flight_chunks", help), |status| Some(status.in_flight as f64));
    each(page, streams, counter("stream_polls_total", "Polls since the start of the process."), |status| {
        Some(status.polls as f64)
    });
    let help = "Faults by their code, since the start of the process: refusals, time-outs, errors of the vendor, breakdowns. All of them are tried again, or told as a state.";
    page.family(counter("component_errors_total", help), |put| {
        for (labels, status) in streams {
            for (code, number) in &status.fault_codes {
                put(labels, &[("stage", "receiving"), ("error_code", code)], *number as f64);
            }
        }
    });
}

/// What streams have read.
fn amounts(page: &mut Page<'_>, streams: &[(Labels, &StreamStatus)]) {
    let mut all = |name, help, value: fn(&StreamStatus) -> u64| {
        each(page, streams, counter(name, help), |status| Some(value(status) as f64));
    };
    let help = "Events that were read from the vendor, seen before or not, since the start of the process.";
    all("component_received_events_total", help, |status| status.read.events);
    let help = "New events that sinks have acknowledged and whose position is stored, since the start of the process.";
    all("component_sent_events_total", help, |status| status.stored.accepted);
    let help =
        "Records that were read from the vendor, since the start of the process: events, malformed and merged ones.";
    all("stream_records_total", help, |status| status.read.records);
    let help = "Records that could not be read, and were put to the dead letters, since the start of the process.";
    all("stream_malformed_records_total", help, |status| status.read.malformed);
    let help = "Records that went into the event of another, since the start of the process.";
    all("stream_merged_records_total", help, |status| status.read.merged);
    let help = "Events that were left out as they had been seen before, since the start of the process.";
    all("stream_repeated_events_total", help, |status| status.read.repeated);
    let help = "Gaps: what the vendor no longer serves, or never served whole, since the start of the process.";
    all("stream_gaps_total", help, |status| status.read.gaps);
    let help = "Files, or pages where there are no files, that the vendor named, since the start of the process.";
    all("stream_files_listed_total", help, |status| status.read.pieces.listed);
    let help = "Of those, the ones that were read, since the start of the process.";
    all("stream_files_fetched_total", help, |status| status.read.pieces.fetched);
    let help =
        "Of those, the ones that were gone before they could be read, since the start of the process. Each is a gap.";
    all("stream_files_expired_total", help, |status| status.read.pieces.gone);
    let help =
        "The time that gaps cover, as far as they say from when to when they are, since the start of the process.";
    each(page, streams, counter("stream_gap_seconds_total", help), |status| Some(status.gap_nanos as f64 / 1e9));
}

fn network(page: &mut Page<'_>, sources: &[(Labels, &SourceFacts)]) {
    let mut all = |name, help, value: fn(&NetworkCounts) -> u64| {
        each(page, sources, counter(name, help), |source| source.network.as_ref().map(|counts| value(counts) as f64));
    };
    let help = "Requests to the vendor that passed the egress policy, since the start of the process.";
    all("http_client_requests_sent_total", help, |counts| counts.requests);
    let help = "Requests to the vendor that got no answer, denied ones among them, since the start of the process.";
    all("http_client_errors_total", help, |counts| counts.failed);
    let help = "Connections that were opened to the vendor, since the start of the process.";
    all("http_client_connections_total", help, |counts| counts.connections);
    let help = "Bytes from the vendor, on the wire, since the start of the process.";
    all("component_received_bytes_total", help, |counts| counts.received_bytes);
    let help = "Bytes to the vendor, on the wire, since the start of the process.";
    all("http_client_sent_bytes_total", help, |counts| counts.sent_bytes);
    let help = "Requests that the egress policy denied, since the start of the process.";
    all("egress_denied_requests_total", help, |counts| counts.denied);
    let help = "Requests that passed only because egress_mode is \"report\", since the start of the process.";
    all("egress_reported_requests_total", help, |counts| counts.reported);
    let help = "Answers of the vendor by HTTP status, since the start of the process.";
    page.family(counter("http_client_responses_total", help), |put| {
        for (labels, source) in sources {
            for (status, number) in source.network.iter().flat_map(|counts| &counts.responses) {
                put(labels, &[("status", &status.to_string())], *number as f64);
            }
        }
    });
}

/// Sessions, instances, quotas.
fn rest(page: &mut Page<'_>, sources: &[(Labels, &SourceFacts)]) {
    let help = "How often the vendor was asked for a session, since the start of the process.";
    page.family(counter("token_refreshes_total", help), |put| {
        for (labels, source) in sources {
            let (issued, refused) = source.sessions;
            put(labels, &[("result", "success")], issued as f64);
            put(labels, &[("result", "failure")], refused as f64);
        }
    });
    let help = "For how long each try to get a session from the vendor has failed; zero after one that did not. Without labels of tenants, of the source that has waited longest.";
    let greatest = |name| Family { name, kind: Kind::Greatest, help };
    each(page, sources, greatest("source_without_session_seconds"), |source| {
        Some(source.no_session_for.unwrap_or_default().as_secs_f64())
    });
    let help = "CPU time of the component's calls that have ended, since the start of the process.";
    each(page, sources, counter("guest_cpu_seconds_total", help), |source| {
        source.usage.map(|usage| usage.cpu.as_secs_f64())
    });
    let help = "The most memory that an instance of the component has had.";
    let peak = Family { name: "guest_memory_peak_bytes", kind: Kind::Greatest, help };
    each(page, sources, peak, |source| source.usage.map(|usage| usage.memory_peak_bytes as f64));
    let mut quota = |name, kind, help, value: fn(&QuotaStatus) -> Option<f64>| {
        page.family(Family { name, kind, help }, |put| {
            for (labels, source) in sources {
                for (quota, status) in &source.quotas {
                    if let Some(value) = value(status) {
                        put(labels, &[("quota", quota)], value);
                    }
                }
            }
        });
    };
    let help = "Requests that the vendor grants in a window of the quota, to all users of the keys.";
    quota("quota_limit_requests", Kind::Least, help, |status| Some(f64::from(status.limit)));
    let help = "What the vendor last said is left of its window, for all users of the keys.";
    quota("quota_remaining_requests", Kind::Least, help, |status| status.left.map(f64::from));
    let help = "What is left of the window, as a share of what the vendor grants in it; without labels of tenants, of the source that has least.";
    quota("quota_remaining_ratio", Kind::Least, help, |status| {
        Some(f64::from(status.left?) / f64::from(status.limit)).filter(|share| share.is_finite())
    });
    let help = "How long the pause still lasts that the vendor asked for; zero, if there is none.";
    quota("quota_reset_seconds", Kind::Greatest, help, |status| Some(status.paused.as_secs_f64()));
}

#[cfg(test)]
mod tests {
    use super::super::text::Sums;
    use super::*;
    use crate::collect::Board;
    use crate::observe::Health;
    use crate::outside::Clock;

    const HOUR: u64 = 3_600_000;
    const NOW_MS: u64 = 495_000 * HOUR;

    /// Streams of three tenants: one brings events, one fell silent, one did and is not read any more.
    fn page(sums: Option<&mut Sums>) -> String {
        let board = Board::new(Health::new(Clock::System));
        for (tenant, newest, read) in [("acme", 0, 0), ("globex", 10, 0), ("initech", 10, 2)] {
            let entry = board.entry(&tenant.into(), &tenant.into(), &"siem".into());
            entry.update(|status| {
                (newest..30).rev().for_each(|ago| status.hours.heard(NOW_MS - ago * HOUR));
                status.succeeded_ms = Some(NOW_MS - read * HOUR);
            });
        }
        let quota = |limit, left| QuotaStatus { limit, left, paused: Duration::ZERO };
        let sources =
            [("acme", 0, quota(50, Some(20))), ("globex", 90, quota(1_000, Some(30))), ("initech", 5, quota(50, None))];
        let sources = sources.map(|(id, seconds, quota)| SourceFacts {
            id: id.into(),
            tenant: id.into(),
            kind: "mimecast".into(),
            network: None,
            usage: None,
            sessions: (1, 1),
            no_session_for: (seconds > 0).then_some(Duration::from_secs(seconds)),
            quotas: vec![("batch".into(), quota)],
        });
        let mut page = Page::new(sums);
        write(&mut page, &sources, &board.all(), NOW_MS * 1_000_000);
        page.finish()
    }

    fn values<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        let lines = page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
        lines.map(|line| line.rsplit_once(' ').unwrap().1).collect()
    }

    #[test]
    fn what_is_in_trouble_shows_in_the_sum_of_all_too() {
        let (apart, mut sums) = (page(None), Sums::default());
        let together = page(Some(&mut sums));
        for (name, of_each, of_all) in [
            ("tributary_stream_silent", &["0", "1", "0"][..], "1"),
            ("tributary_source_without_session_seconds", &["0", "90", "5"], "90"),
            ("tributary_quota_remaining_ratio", &["0.4", "0.03"], "0.03"),
        ] {
            assert_eq!(values(&apart, name), of_each, "{name}");
            assert_eq!(values(&together, name), [of_all], "{name}");
        }
    }
}
