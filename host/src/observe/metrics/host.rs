//! Metrics of the whole host.

use std::sync::atomic::Ordering;

use super::text::{Labels, Page};
use super::{counter, gauge, plain, seconds};
use crate::observe::api::Api;

pub fn write(page: &mut Page<'_>, api: &Api) {
    let vitals = &api.control.vitals;
    let build = gauge("build_info", "Always 1; its labels say which release this is.");
    page.family(build, |put| put(&Labels::default(), &[("version", env!("CARGO_PKG_VERSION"))], 1.0));
    plain(page, gauge("uptime_seconds", "Since the host began."), vitals.begun.elapsed().as_secs_f64());
    plain(page, counter("started_total", "Starts of the host in this process: always 1."), 1.0);
    reloads(page, api);
    let sources = api.control.fleet.len();
    plain(page, gauge("sources", "Sources that are run."), sources as f64);
    let wrong = api.control.misconfigured().len();
    let help = "Sources whose configuration is refused. They are not run, or go on with the one that they had.";
    plain(page, gauge("misconfigured_sources", help), wrong as f64);
    let used = vitals.memory_bytes.saturating_sub(vitals.memory.free());
    let help = "Memory that is taken by what is between pull and acknowledgement, of all sources.";
    plain(page, gauge("in_flight_bytes", help), used as f64);
    let help = "The most that in_flight_bytes may be: max_in_flight_bytes of the configuration.";
    plain(page, gauge("in_flight_max_bytes", help), vitals.memory_bytes as f64);
    let (told, dropped) = api.control.health.counts();
    plain(page, counter("health_events_total", "Health events since the start of the process."), told as f64);
    let help = "Health events that a sink was not given, as too many waited for it, since the start of the process. They are in the state.";
    plain(page, counter("health_events_discarded_total", help), dropped as f64);
    if let Some(disk) = &api.disk {
        let bytes = disk.store.bytes().ok().map(|bytes| bytes as f64);
        plain(page, gauge("state_bytes", "Size of the file with positions, ledgers and seen ids."), bytes);
        let bytes = disk.dead_letters.bytes().ok().map(|bytes| bytes as f64);
        plain(page, gauge("dead_letter_bytes", "Size of the files with dead letters."), bytes);
        let help = "The most that dead_letter_bytes may be before positions stand still: max_dead_letter_bytes of the configuration.";
        plain(page, gauge("dead_letter_max_bytes", help), disk.dead_letters.max_bytes() as f64);
    }
}

fn reloads(page: &mut Page<'_>, api: &Api) {
    let vitals = &api.control.vitals;
    let reloaded =
        counter("reloaded_total", "How often the configuration was read again since the start of the process.");
    page.family(reloaded, |put| {
        for (result, number) in ["success", "failure"].into_iter().zip(&vitals.reloads) {
            put(&Labels::default(), &[("result", result)], number.load(Ordering::Relaxed) as f64);
        }
    });
    let well = vitals.reloaded_well.load(Ordering::Relaxed);
    let help = "1, unless the configuration that was read last could not be taken over; then the one before goes on.";
    plain(page, gauge("config_last_reload_successful", help), f64::from(u8::from(well)));
    let at = Some(vitals.reloaded_ms.load(Ordering::Relaxed)).filter(|at| *at > 0).map(seconds);
    let help = "When the configuration was last read again and taken over, in seconds since the Unix epoch.";
    plain(page, gauge("config_last_reload_success_timestamp_seconds", help), at);
}
