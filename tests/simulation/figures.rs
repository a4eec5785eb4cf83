//! What many runs came to, as the issue asks for it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::life::POINTS;
use crate::oracle::Outcome;

#[derive(Debug, Default)]
pub struct Figures {
    pub seeds: u64,
    pub real: u64,
    pub simulated: Duration,
    /// Of the wall clock.
    pub took: Duration,
    pub issued: u64,
    pub in_gaps: u64,
    pub dead_letters: u64,
    pub losses: u64,
    pub duplicates: u64,
    pub repeats: u64,
    pub crashes: BTreeMap<&'static str, u64>,
    pub faults: BTreeMap<String, u64>,
    pub fresh: Vec<Duration>,
    pub settled: Vec<Duration>,
}

impl Figures {
    pub fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.real += u64::from(outcome.real_component);
        self.simulated += outcome.simulated;
        self.issued += outcome.issued;
        self.in_gaps += outcome.in_gaps;
        self.dead_letters += outcome.dead_letters;
        self.losses += outcome.losses;
        self.duplicates += outcome.duplicates;
        self.repeats += outcome.repeats;
        for (point, count) in outcome.crashes {
            *self.crashes.entry(point).or_default() += count;
        }
        for (kind, count) in outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.fresh.extend(outcome.fresh);
        self.settled.push(outcome.settled);
    }

    /// Points at which no process has crashed.
    pub fn unreached(&self) -> Vec<&'static str> {
        POINTS.into_iter().filter(|point| !self.crashes.contains_key(point)).collect()
    }
}

/// Median and longest.
fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(most)) => {
            format!("{:.0} s in the middle, {:.0} s at the most", median.as_secs_f64(), most.as_secs_f64())
        }
        _ => "none".to_owned(),
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.simulated.as_secs_f64() / 86_400.0;
        let took = self.took.as_secs_f64();
        writeln!(
            f,
            "{} seeds, {} of them with the real component, in {took:.1} s: {:.1} a second",
            self.seeds,
            self.real,
            self.seeds as f64 / took
        )?;
        writeln!(f, "{days:.1} simulated days: {:.2} a second", days / took)?;
        writeln!(
            f,
            "{} records issued; {} in dead letters; {} times inside a reported gap",
            self.issued, self.dead_letters, self.in_gaps
        )?;
        writeln!(f, "losses: {}", self.losses)?;
        writeln!(
            f,
            "duplicates at the sink that refuses known ids: {} ({} came again and were refused)",
            self.duplicates, self.repeats
        )?;
        writeln!(f, "end of faults to the first fresh record of a stream: {}", spread(&self.fresh))?;
        writeln!(f, "end of faults until everything was through: {}", spread(&self.settled))?;
        writeln!(f, "crashes, by point:")?;
        for point in POINTS {
            writeln!(f, "  {:>8} {point}", self.crashes.get(point).copied().unwrap_or_default())?;
        }
        writeln!(f, "faults, by kind:")?;
        self.faults.iter().try_for_each(|(kind, count)| writeln!(f, "  {count:>8} {kind}"))
    }
}
