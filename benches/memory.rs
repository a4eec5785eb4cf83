//! Memory while a large file is streamed: of the guest, and of the host. Exits with 1 if a limit is passed.
//!
//! ```text
//! cargo bench --bench memory [-- MEGABYTES]
//! ```
//!
//! The file is one packed member again and again, so it is never in memory as a whole.

mod support;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use support::records::{Records, gzip};
use support::{Canned, PIECE, timed};
use tributary_host::outside::Clock;
use tributary_host::sandbox::Start;

/// What the issue asks for.
const GUEST_LIMIT: usize = 16 << 20;
const HOST_LIMIT: usize = 64 << 20;

fn main() -> ExitCode {
    let megabytes = std::env::args().find_map(|argument| argument.parse().ok());
    let megabytes: usize = megabytes.unwrap_or(if support::in_earnest() { 200 } else { 4 });
    let begin = resident("VmRSS:");

    let records = Records::new(5_000);
    let member = gzip(&records.plain);
    let members = (megabytes * 1_000_000).div_ceil(member.len());
    let (packed, plain) = (members * member.len(), members * records.plain.len());
    let (count, served_ms) = (records.count * members as u64, records.served_ms);
    drop(records);

    let runtime = support::runtime();
    let component = runtime.block_on(support::component());
    let clock = runtime.block_on(async { Clock::simulated(Duration::from_millis(served_ms)) });
    let context = support::context(repeated(member, members), clock);

    // What the compiler of the component and the making of the records needed is not of the stream.
    reset_peak();
    let before = resident("VmRSS:");
    let (mut events, mut bytes, mut largest) = (0u64, 0u64, 0);
    let (time, guest) = timed(|| {
        runtime.block_on(async {
            let mut guest = component.instantiate(&context).await.expect("an instance is made");
            support::drain(&mut guest, support::CONFIGURATION, Start::Configured, support::budget(), |chunk| {
                events += chunk.events.len() as u64;
                bytes += chunk.bodies.len() as u64;
                largest = largest.max(resident("VmRSS:"));
            })
            .await;
            guest.peak_memory()
        })
    });
    let peak = resident("VmHWM:").max(largest);
    assert_eq!(events, count, "the file holds so many records");

    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!(
        "a gzip file of {:.0} MB, {:.2} GB unpacked, {:.2} GB of OCSF; {events} events in {:.1} s of CPU",
        packed as f64 / 1e6,
        plain as f64 / 1e9,
        bytes as f64 / 1e9,
        time.as_secs_f64()
    );
    let word = |good: bool| if good { "met" } else { "MISSED" };
    let growth = peak.saturating_sub(before);
    println!("the guest's linear memory {:>8.2} MiB; goal below 16 MiB: {}", mib(guest), word(guest < GUEST_LIMIT));
    println!("the host's growth         {:>8.2} MiB; goal below 64 MiB: {}", mib(growth), word(growth < HOST_LIMIT));
    println!(
        "resident: {:.1} MiB at the start, {:.1} MiB when the component was compiled, {:.1} MiB at most while it streamed",
        mib(begin),
        mib(before),
        mib(peak)
    );
    ExitCode::from(u8::from(guest >= GUEST_LIMIT || growth >= HOST_LIMIT))
}

/// The member so many times, in pieces.
fn repeated(member: Bytes, times: usize) -> Canned {
    Canned {
        listing: support::LISTING,
        file: Arc::new(move || {
            let member = member.clone();
            Box::new((0..times).flat_map(move |_| {
                let member = member.clone();
                (0..member.len()).step_by(PIECE).map(move |at| member.slice(at..member.len().min(at + PIECE)))
            }))
        }),
    }
}

/// A figure of this process, in bytes.
fn resident(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells of this process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel counts resident memory");
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().expect("a number of kB") << 10
}

/// From here on, the peak is counted anew. A kernel that refuses it leaves the peak of the compiler in: the figure is too
/// large then, never too small.
fn reset_peak() {
    if let Err(error) = fs::write("/proc/self/clear_refs", "5") {
        eprintln!("the peak of resident memory cannot be reset: {error}");
    }
}
