//! From gzip to bytes of each form at a null sink: the real component in the host's sandbox, and the same core compiled natively,
//! in turns, in CPU time of the whole process.
//!
//! ```text
//! cargo bench --bench throughput [-- RECORDS ROUNDS]
//! ```
//!
//! The second table says where the time goes. Natively each stage is run alone, on what the stage before it made. In
//! wasm, nothing but the component's exports can be called, so the stages are differences between whole runs:
//!
//! - body and split: reading on behind the last record but one, from a file that is not packed. All of it crosses into
//!   the guest and is cut into lines, and one record is normalized.
//! - inflate: the same from a packed file, less the former.
//! - scan: lines whose last byte is wrong, less lines whose first byte is wrong. Both are handed over as malformed.
//! - identity, map and serialize cannot be told apart from outside: they are what is left of a full run. It also holds
//!   what it costs to hand events over to the host.

mod support;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use mimecast_source::chunk::{self, Chunk};
use mimecast_source::kind::Kind;
use mimecast_source::normalize::{Encoding, Normalizer, Occurrences, Origin, Settings, Source};
use mimecast_source::record::Fields;
use mimecast_source::record::identity::Identity;
use mimecast_source::streams::read::ndjson::NdJson;
use mimecast_source::streams::read::{BodyPieces, Cut, Pieces, inflate};
use support::records::{Body, Native, Records};
use support::{Canned, spread, timed};
use tributary_host::outside::Clock;
use tributary_host::sandbox::{Component, Context, Start};

/// What the issue asks for.
const RATIO: f64 = 2.0;
const EVENTS_PER_SECOND: f64 = 80_000.0;

/// The values of `output`.
const FORMS: [&str; 3] = ["ocsf", "ecs", "raw"];

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (default_records, default_rounds) = if support::in_earnest() { (20_000, 11) } else { (1_000, 1) };
    let wanted = numbers.first().copied().unwrap_or(default_records);
    let rounds = numbers.get(1).copied().unwrap_or(default_rounds);
    let bench = Bench::new(Records::new(wanted));
    bench.warm_up();

    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); RUNS.len()];
    for _ in 0..rounds {
        for ((_, run), samples) in RUNS.iter().zip(&mut samples) {
            let (time, ()) = timed(|| run(&bench));
            samples.push(time.as_nanos() as f64 / bench.records.count as f64);
        }
    }
    let of = |name: &str| {
        let at = RUNS.iter().position(|(run, _)| *run == name).expect("a run of that name");
        spread(&samples[at])
    };
    bench.print(rounds, of);
}

/// A name, and what is run under it.
type Run = (&'static str, fn(&Bench));

/// What is run, in this order in every round.
const RUNS: [Run; 16] = [
    ("guest", |bench| bench.guest(&bench.gzip, Start::Configured)),
    ("native", |bench| bench.native("ocsf")),
    ("guest ecs", |bench| bench.guest_in("ecs")),
    ("native ecs", |bench| bench.native("ecs")),
    ("guest raw", |bench| bench.guest_in("raw")),
    ("native raw", |bench| bench.native("raw")),
    ("guest plain", |bench| bench.guest(&bench.plain, Start::Configured)),
    ("guest skip", |bench| bench.guest(&bench.gzip, bench.last())),
    ("guest skip plain", |bench| bench.guest(&bench.plain, bench.last())),
    ("guest refused at once", |bench| bench.guest(&bench.refused_at_once, Start::Configured)),
    ("guest refused at last", |bench| bench.guest(&bench.refused_at_last, Start::Configured)),
    ("inflate", Bench::inflate),
    ("split", Bench::split),
    ("scan", Bench::scan),
    ("scan, identity", Bench::identity),
    ("normalize", Bench::normalize),
];

struct Bench {
    records: Records,
    runtime: tokio::runtime::Runtime,
    component: Component,
    /// A world for each kind of file.
    gzip: Context,
    plain: Context,
    refused_at_once: Context,
    refused_at_last: Context,
    /// Behind the last record but one.
    position: Vec<u8>,
    lines: Vec<Bytes>,
}

impl Bench {
    fn new(records: Records) -> Self {
        let runtime = support::runtime();
        let component = runtime.block_on(support::component());
        let clock = runtime.block_on(async { Clock::simulated(Duration::from_millis(records.served_ms)) });
        let world = |file: Bytes| support::context(Canned::file(file), clock);
        let mut lines = Vec::new();
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', &records.plain) {
            lines.push(records.plain.slice(begin..end));
            begin = end + 1;
        }
        let mut bench = Self {
            gzip: world(records.gzip.clone()),
            plain: world(records.plain.clone()),
            refused_at_once: world(records.refused_at_once()),
            refused_at_last: world(records.refused_at_last()),
            position: Vec::new(),
            runtime,
            component,
            lines,
            records,
        };
        bench.position = bench.position_of_the_last();
        bench
    }

    fn outside(&self, file: &Bytes) -> Native {
        Native { file: file.clone(), now: self.records.served_ms * 1_000_000 }
    }

    fn position_of_the_last(&self) -> Vec<u8> {
        let mut native = self.outside(&self.records.gzip);
        let mut reader =
            mimecast_source::Reader::open(support::CONFIGURATION, support::STREAM, chunk::Start::Configured)
                .expect("the stream opens");
        let events = u32::try_from(self.records.count - 1).expect("fewer than four billion records");
        let budget = chunk::Budget { events, bytes: u32::MAX, time_ms: u32::MAX, ..chunk::Budget::default() };
        reader.pull(&mut native, support::SESSION, &budget).expect("the canned answers are good").position
    }

    fn last(&self) -> Start {
        Start::After(self.position.clone())
    }

    /// Checks, too, that both sides make the same bytes of all records.
    fn warm_up(&self) {
        for form in FORMS {
            let configuration = support::configuration(form);
            let (mut native, mut guest) = (Vec::new(), Vec::new());
            let mut outside = self.outside(&self.records.gzip);
            support::records::drain(&mut outside, &configuration, |chunk| native.extend(chunk.bodies));
            let sink = |chunk: tributary_host::sandbox::Chunk| guest.extend_from_slice(&chunk.bodies);
            assert_eq!(self.pull_all(&self.gzip, &configuration, Start::Configured, sink), self.records.count);
            assert!(native == guest, "natively and in wasm, the same records gave different bytes of {form}");
        }
        for refused in [&self.refused_at_once, &self.refused_at_last] {
            let mut malformed = 0;
            self.pull_all(refused, support::CONFIGURATION, Start::Configured, |chunk| {
                malformed += chunk.malformed.len()
            });
            assert_eq!(malformed as u64, self.records.count);
        }
        let mut skipped = 0;
        self.pull_all(&self.plain, support::CONFIGURATION, self.last(), |chunk| skipped += chunk.events.len());
        assert_eq!(skipped, 1);
    }

    fn pull_all(
        &self,
        world: &Context,
        configuration: &str,
        start: Start,
        mut sink: impl FnMut(tributary_host::sandbox::Chunk),
    ) -> u64 {
        let mut records = 0;
        self.runtime.block_on(async {
            let mut guest = self.component.instantiate(world).await.expect("an instance is made");
            support::drain(&mut guest, configuration, start, support::budget(), |chunk| {
                records += u64::from(chunk.records);
                sink(chunk);
            })
            .await;
        });
        records
    }

    fn guest(&self, world: &Context, start: Start) {
        self.pull_all(world, support::CONFIGURATION, start, |chunk| drop(black_box(chunk)));
    }

    fn guest_in(&self, form: &str) {
        let configuration = support::configuration(form);
        self.pull_all(&self.gzip, &configuration, Start::Configured, |chunk| drop(black_box(chunk)));
    }

    fn native(&self, form: &str) {
        let mut outside = self.outside(&self.records.gzip);
        support::records::drain(&mut outside, &support::configuration(form), |chunk| drop(black_box(chunk)));
    }

    fn inflate(&self) {
        let mut pieces = inflate::decode(Box::new(BodyPieces(Box::new(Body::new(self.records.gzip.clone())))));
        let mut out = Vec::new();
        while pieces.fill(&mut out).expect("gzip") {
            black_box(&out);
            out.clear();
        }
    }

    fn split(&self) {
        let mut pieces = BodyPieces(Box::new(Body::new(self.records.plain.clone())));
        let mut records = NdJson::default();
        while pieces.fill(records.room()).expect("memory") {
            while let Some(cut) = records.cut() {
                let (Cut::Record(bytes) | Cut::TooLong { head: bytes, .. }) = cut;
                black_box(bytes);
            }
        }
    }

    fn scan(&self) {
        let mut fields = Fields::default();
        for line in &self.lines {
            fields.read_json(line).expect("JSON");
            black_box(&fields);
        }
    }

    fn identity(&self) {
        let (mut fields, mut identity) = (Fields::default(), Identity::new("acme"));
        for line in &self.lines {
            fields.read_json(line).expect("JSON");
            let kind = fields.siem_kind(line, Some(Kind::Receipt), mimecast_source::kind::Generation::V2);
            black_box(identity.id(&fields.record(line, kind)));
        }
    }

    fn normalize(&self) {
        let mut normalizer = Normalizer::new(Settings::new(mimecast_source::kind::Generation::V2, "acme"));
        let origin = Origin {
            source: Source::Siem,
            stream: support::STREAM,
            kind: Some(Kind::Receipt),
            encoding: Encoding::Json,
            fallback_time: None,
        };
        let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
        let mut chunk = Chunk::default();
        for line in &self.lines {
            normalizer.push(line, &origin, &mut occurrences, &mut chunk);
            if chunk.bodies.len() > 4 << 20 {
                chunk.bodies.clear();
                chunk.events.clear();
            }
        }
        black_box(chunk);
    }

    fn print(&self, rounds: usize, of: impl Fn(&str) -> support::Spread) {
        let (count, plain) = (self.records.count as f64, self.records.plain.len() as f64);
        let gzip = self.records.gzip.len() as f64;
        println!(
            "{count} SIEM records of all ten types, {:.0} bytes each, packed {:.1}:1; {rounds} rounds in turns; CPU time",
            plain / count,
            plain / gzip,
        );
        println!("\n{:<34} {:>12} {:>12} {:>14} {:>10}", "gzip to a null sink", "median", "least", "events/s", "ratio");
        let word = |good: bool| if good { "met" } else { "MISSED" };
        for (guest, native, form) in
            [("guest", "native", "OCSF"), ("guest ecs", "native ecs", "ECS"), ("guest raw", "native raw", "raw")]
        {
            let (guest, native) = (of(guest), of(native));
            for (spread, title) in [(guest, "component in the sandbox"), (native, "the same core, native")] {
                let (title, rate) = (format!("{form}, {title}"), 1e9 / spread.median);
                println!("{title:<34} {:>9.0} ns {:>9.0} ns {rate:>14.0}", spread.median, spread.least);
            }
            let (ratio, least) = (guest.median / native.median, guest.least / native.least);
            let goal = word(ratio <= RATIO);
            println!("{:<74} {ratio:>11.2} (of the least {least:.2}); goal at most {RATIO}: {goal}", "");
        }
        let rate = 1e9 / of("guest").median;
        println!("{rate:.0} events/s; goal at least {EVENTS_PER_SECOND}: {}", word(rate >= EVENTS_PER_SECOND));

        let median = |name: &str| of(name).median;
        let native = [
            median("inflate"),
            median("split"),
            median("scan"),
            median("scan, identity") - median("scan"),
            median("normalize") - median("scan, identity"),
        ];
        let body = median("guest skip plain");
        let inflate = median("guest skip") - body;
        let scan = median("guest refused at last") - median("guest refused at once");
        let rest = median("guest") - median("guest skip") - scan;
        let total = median("guest");
        println!("\n{:<34} {:>12} {:>12} {:>8}", "where the time goes, an event", "native", "guest", "share");
        let row = |title: &str, native: f64, guest: f64| {
            println!("{title:<34} {native:>9.0} ns {guest:>9.0} ns {:>6.0} %", 100.0 * guest / total);
        };
        row("inflate", native[0], inflate);
        row("body's way in, split into lines", native[1], body);
        row("scan (parse)", native[2], scan);
        row("identity, map, serialize, hand over", native[3] + native[4], rest);
        println!("natively, identity is {:.0} ns and map and serialize are {:.0} ns of these", native[3], native[4]);
        println!(
            "to hand over an event costs less than {:.0} ns: what a malformed one does, that is refused at once",
            median("guest refused at once") - body
        );
    }
}
