//! What rules cost an event: the core's OCSF events of a backlog, chunk by chunk, through lists of rules; in turns, in CPU
//! time of this thread. Exits with 1 if a body was parsed where no rule needs it.
//!
//! ```text
//! cargo bench --bench rules [-- RECORDS ROUNDS]
//! ```

mod support;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use mimecast_source::chunk::{Chunk, Digest};
use mimecast_source::kind::Kind;
use support::records::{Native, Records, drain};
use support::{spread, thread_cpu};
use tributary_host::deliver::{Batch, Head, Origin};
use tributary_host::rules::{Action, Bound, Conditions, Field, Key, Pattern, Replacement, Rule, Rules};

fn main() -> ExitCode {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (default_records, default_rounds) = if support::in_earnest() { (20_000, 21) } else { (1_000, 1) };
    let wanted = numbers.first().copied().unwrap_or(default_records);
    let rounds = numbers.get(1).copied().unwrap_or(default_rounds);
    let batches = batches(&Records::new(wanted));
    let events: usize = batches.iter().map(|batch| batch.events.len()).sum();
    let bytes: usize = batches.iter().map(|batch| batch.len()).sum();
    let rows = rows();

    let mut samples = vec![Vec::new(); rows.len()];
    let mut parsed = vec![0; rows.len()];
    for round in 0..=rounds {
        for (at, (_, _, bound)) in rows.iter().enumerate() {
            parsed[at] = 0;
            let begin = thread_cpu();
            for batch in &batches {
                let applied = black_box(bound.apply(batch));
                assert!(applied.refused.is_empty(), "the core writes JSON");
                parsed[at] += applied.parsed;
            }
            // The first round warms up.
            if round > 0 {
                samples[at].push((thread_cpu() - begin).as_nanos() as f64 / events as f64);
            }
        }
    }
    println!("{events} events in OCSF of {} bytes; {rounds} rounds in turns; CPU time of one", bytes / events);
    println!("{:<62} {:>10} {:>10} {:>8} {:>8}", "", "median", "least", "parsed", "changed");
    let mut met = true;
    for (((name, parses, bound), samples), parsed) in rows.iter().zip(&samples).zip(parsed) {
        let changed = batches.iter().flat_map(|batch| bound.apply(batch).changed).map(|(_, count)| count).sum::<u64>();
        let share = |count: u64| 100.0 * count as f64 / events as f64;
        let good = parsed == 0 || *parses;
        met &= good;
        let (spread, word) = (spread(samples), if good { "" } else { "  MISSED" });
        println!(
            "{name:<62} {:>7.0} ns {:>7.0} ns {:>6.0} % {:>6.0} %{word}",
            spread.median,
            spread.least,
            share(parsed),
            share(changed),
        );
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What it is, whether bodies may be parsed for it, and the rules.
type Row = (&'static str, bool, Bound);

fn rows() -> Vec<Row> {
    let none = Conditions::default;
    let pattern = |text: &str| Conditions { pattern: Some(Pattern::compile(text).expect("a pattern")), ..none() };
    let field = |text: &str| Conditions { field: Some(Field::parse(text).expect("a path")), ..none() };
    let both = |path: &str, text: &str| Conditions { field: field(path).field, ..pattern(text) };
    let mask = || Action::Mask(Replacement::new("****"));
    let hash = || Action::Hash(Key::new(String::from("a key that nobody knows").into()));
    const ADDRESS: &str = r"[\w.+-]+@[\w.-]+";
    const CARD: &str = r"\b\d{4}-\d{4}-\d{4}-\d{4}\b";
    let severe = Conditions { severity_at_least: 3, ..none() };
    let of_kind = Conditions { kinds: vec!["av".into(), "spam".into()], ..none() };
    let rows = [
        ("no rule", false, vec![]),
        ("include severity_at_least = medium", false, vec![(Action::Include, severe)]),
        ("exclude two kinds", false, vec![(Action::Exclude, of_kind)]),
        ("exclude a word in the raw body, in none", false, vec![(Action::Exclude, pattern("quarantined-by-x"))]),
        ("exclude by a field's text", true, vec![(Action::Exclude, both("email.from", "nobody"))]),
        ("mask card numbers in the whole body, in none", true, vec![(mask(), pattern(CARD))]),
        ("mask addresses in the whole body", true, vec![(mask(), pattern(ADDRESS))]),
        ("mask the users of addresses in the whole body", true, vec![(mask(), pattern(r"([\w.+-]+)@"))]),
        ("mask one field", true, vec![(mask(), field("email.from"))]),
        ("mask one field that no event has", true, vec![(mask(), field("actor.user.nickname"))]),
        ("hash one field", true, vec![(hash(), field("email.from"))]),
        (
            "hash three fields, mask addresses in the whole body",
            true,
            vec![
                (hash(), field("email.from")),
                (hash(), field("email.to")),
                (hash(), field("src_endpoint.ip")),
                (mask(), pattern(ADDRESS)),
            ],
        ),
    ];
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    rows.into_iter()
        .map(|(name, parses, rules)| {
            let named = rules.into_iter().enumerate();
            let rules = named.map(|(at, (action, conditions))| Rule { name: at.to_string(), action, conditions });
            (name, parses, Rules::new(rules.collect()).bind(support::STREAM, &kinds))
        })
        .collect()
}

/// The events as the core writes them, natively: the same bytes as in the sandbox.
fn batches(records: &Records) -> Vec<Arc<Batch>> {
    let mut batches = Vec::new();
    let mut native = Native { file: records.gzip.clone(), now: records.served_ms * 1_000_000 };
    drain(&mut native, support::CONFIGURATION, |chunk| batches.push(batch(chunk)));
    batches
}

fn batch(chunk: Chunk) -> Arc<Batch> {
    let origin = Origin { source: "bench".into(), tenant: "acme".into(), stream: support::STREAM.into() };
    let id = |Digest(high, low): Digest| u128::from(high) << 64 | u128::from(low);
    let mut begin = 0;
    let events = chunk.events.into_iter().map(|event| {
        let head = Head {
            id: id(event.id),
            time: event.time,
            kind: event.kind,
            class: event.class,
            severity: event.severity,
            alert_key: event.alert_key.map(id),
            begin,
            end: event.end,
        };
        begin = event.end;
        head
    });
    Arc::new(Batch { origin, events: events.collect(), bodies: chunk.bodies.into() })
}
