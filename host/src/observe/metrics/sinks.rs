//! Metrics of sinks: how each is, and what became of each stream's events there.

use std::collections::BTreeMap;

use super::text::{Family, Kind, Labels, Page};
use super::{counter, gauge, seconds};
use crate::collect::StreamStatus;
use crate::deliver::SinkStatus;
use crate::state::SinkCounts;

/// Its type, while the host knows none: a program that embeds it brings sinks of its own.
const UNKNOWN: &str = "custom";

fn labels(id: &str, types: &BTreeMap<String, &'static str>) -> Labels {
    let kind = types.get(id).copied().unwrap_or(UNKNOWN);
    Labels::default().with("component_id", id).with("component_kind", "sink").with("component_type", kind)
}

pub fn write(
    page: &mut Page<'_>,
    sinks: &[SinkStatus],
    types: &BTreeMap<String, &'static str>,
    streams: &[StreamStatus],
) {
    let labelled: Vec<(Labels, &SinkStatus)> = sinks.iter().map(|sink| (labels(&sink.id, types), sink)).collect();
    let mut each = |family: Family, value: &dyn Fn(&SinkStatus) -> Option<f64>| {
        page.family(family, |put| {
            for (labels, sink) in &labelled {
                if let Some(value) = value(sink) {
                    put(labels, &[], value);
                }
            }
        });
    };
    let yes = |yes: bool| Some(f64::from(u8::from(yes)));
    each(gauge("buffer_size_bytes", "Memory of events that a sink has not answered for."), &|sink| {
        Some(sink.queued_bytes as f64)
    });
    each(gauge("buffer_size_events", "Events that a sink has not answered for."), &|sink| {
        Some(sink.queued_events as f64)
    });
    let help = "1 while the sink does not take events, since it last took any.";
    each(gauge("sink_in_trouble", help), &|sink| yes(sink.trouble.is_some()));
    let help = "1 while positions stand still because the sink does not take the events that wait for it; one with acknowledgements = false holds none.";
    each(gauge("sink_holding_positions", help), &|sink| {
        yes(sink.holds && sink.trouble.is_some() && sink.queued_bytes > 0)
    });
    let help = "Deliveries that a sink took, since the start of the process.";
    each(counter("sink_deliveries_total", help), &|sink| Some(sink.deliveries as f64));
    let help = "Deliveries that a sink did not take and that are tried again, since the start of the process.";
    each(counter("sink_retries_total", help), &|sink| Some(sink.failures as f64));
    let help = "Events that a sink took, replays and repeats after a crash among them, since the start of the process.";
    each(counter("sink_taken_events_total", help), &|sink| Some(sink.events as f64));
    let help = "Bytes of the lines of those events, since the start of the process. What the sink makes of them may be more or less.";
    each(counter("sink_taken_event_bytes_total", help), &|sink| Some(sink.bytes as f64));
    let help = "When a sink last took a delivery, in seconds since the Unix epoch.";
    each(gauge("sink_last_success_timestamp_seconds", help), &|sink| sink.succeeded_ms.map(seconds));
    fates(page, types, streams);
}

/// What the ledger says of each stream at each sink.
fn fates(page: &mut Page<'_>, types: &BTreeMap<String, &'static str>, streams: &[StreamStatus]) {
    let mut labelled: Vec<(Labels, &SinkCounts)> = Vec::new();
    for status in streams {
        for (sink, counts) in &status.stored.sinks {
            let labels = labels(sink, types)
                .with_own("source", &status.source)
                .with_own("tenant", &status.tenant)
                .with_own("stream", &status.stream);
            labelled.push((labels, counts));
        }
    }
    let mut each = |name, help, value: fn(&SinkCounts) -> u64| {
        page.family(counter(name, help), |put| {
            labelled.iter().for_each(|(labels, counts)| put(labels, &[], value(counts) as f64));
        });
    };
    let help = "Events of a stream that a sink has, acknowledged and stored, since the start of the process.";
    each("sink_delivered_events_total", help, |counts| counts.delivered);
    let help = "Events that a route or rule kept from a sink, as it was told to, since the start of the process.";
    each("sink_filtered_events_total", help, |counts| counts.filtered);
    let help = "Events that a sink lost for good, since the start of the process: only one with acknowledgements = false loses any.";
    each("sink_lost_events_total", help, |counts| counts.lost);
    let help =
        "Events that positions have moved past before a sink with acknowledgements = false had answered for them.";
    let unconfirmed = Family { name: "sink_unconfirmed_events", kind: Kind::Gauge, help };
    page.family(unconfirmed, |put| {
        labelled.iter().for_each(|(labels, counts)| put(labels, &[], counts.pending() as f64));
    });
    let help = "Records and events that were put to the dead letters, since the start of the process: malformed ones, and those that a sink refused.";
    page.family(counter("dead_letters_total", help), |put| {
        for status in streams {
            let labels = Labels::default()
                .with_own("source", &status.source)
                .with_own("tenant", &status.tenant)
                .with_own("stream", &status.stream);
            put(&labels, &[("reason", "malformed")], status.stored.malformed as f64);
            for (sink, counts) in &status.stored.sinks {
                put(&labels, &[("reason", "refused"), ("sink", sink)], counts.dead_lettered as f64);
            }
        }
    });
}
