//! How far streams are that have much to catch up with, as lines of the log: a first start reads days or weeks.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::place::time;
use crate::Control;
use crate::collect::{StreamState, StreamStatus};
use crate::observe::estimate::{Estimate, Reached, roughly};
use crate::outside::Clock;

/// How often it is looked at, and said.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// So little is no backlog: the newest event may simply be so old.
const LEAST_NANOS: u64 = 60_000_000_000;

/// Where more streams are behind there is one line for all of them.
const TOLD_APART: usize = 10;

/// Says how far the streams are that are behind, for as long as it is polled.
pub async fn tell(control: Control) -> Infallible {
    let (mut backlog, begun, mut ticks) = (Backlog::default(), Instant::now(), interval(SAID_EVERY));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Clock::System.nanos();
        let is_read = |source: &str, name: &str| {
            let mut streams = control.status_of(source).into_iter();
            streams.any(|stream| &*stream.stream == name && stream.state == StreamState::Collecting)
        };
        backlog.look(control.behind(LEAST_NANOS), now, begun.elapsed(), is_read).iter().for_each(Said::log);
    }
}

/// Streams that are behind, as they were at the last look.
#[derive(Default)]
struct Backlog(BTreeMap<(Arc<str>, Arc<str>), Behind>);

struct Behind {
    reached: Reached,
    estimate: Estimate,
    /// Events that were read, and when, at the last look.
    events: u64,
    at: Duration,
    told: bool,
}

impl Behind {
    fn new(events: u64, at: Duration) -> Self {
        Self { reached: Reached::default(), estimate: Estimate::default(), events, at, told: false }
    }
}

/// What is said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Stream { source: Arc<str>, stream: Arc<str>, events: u64, per_second: u64, read_to: String, left: String },
    Streams { streams: usize, events: u64, per_second: u64, read_to: String, left: String },
    CaughtUp { source: Arc<str>, stream: Arc<str> },
}

impl Said {
    fn log(&self) {
        match self {
            Self::Stream { source, stream, events, per_second, read_to, left } => {
                tracing::info!(%source, %stream, events, per_second, %read_to, %left, "catching up");
            }
            Self::Streams { streams, events, per_second, read_to, left } => {
                tracing::info!(streams, events, per_second, %read_to, %left, "catching up");
            }
            Self::CaughtUp { source, stream } => tracing::info!(%source, %stream, "has caught up"),
        }
    }
}

impl Backlog {
    /// Takes in which streams are behind at `now` (nanoseconds since the Unix epoch), which is `at`, and gives what there is to
    /// say. A stream is spoken of when it is behind at two looks: one that merely has its turn is not.
    /// One that is behind no more has caught up, if it `is_read` still.
    fn look(
        &mut self,
        behind: Vec<StreamStatus>,
        now: u64,
        at: Duration,
        is_read: impl Fn(&str, &str) -> bool,
    ) -> Vec<Said> {
        let mut before = std::mem::take(&mut self.0);
        let (mut told, mut rates) = (Vec::new(), Vec::new());
        for status in behind {
            let key = (Arc::clone(&status.source), Arc::clone(&status.stream));
            let events = status.read.events;
            let known = before.remove(&key);
            let lasts = known.is_some();
            let mut stream = known.unwrap_or_else(|| Behind::new(events, at));
            let reached = stream.reached.see(status.newest);
            if let Some(reached) = reached {
                stream.estimate.see(at, now.saturating_sub(reached) as f64);
            }
            if lasts {
                let passed = at.saturating_sub(stream.at).as_secs_f64();
                rates.push(events.saturating_sub(stream.events) as f64 / passed.max(1.0));
                stream.told = true;
                told.push((key.clone(), events, reached, stream.estimate.remaining()));
            }
            (stream.events, stream.at) = (events, at);
            self.0.insert(key, stream);
        }
        if told.len() > TOLD_APART {
            return vec![crowd(&told, &rates)];
        }
        let streams = told.into_iter().zip(rates).map(|(((source, stream), events, reached, left), rate)| {
            let (per_second, read_to) = (rate as u64, moment(reached));
            Said::Stream { source, stream, events, per_second, read_to, left: words(left) }
        });
        let gone = before.into_iter().filter(|((source, name), stream)| stream.told && is_read(source, name));
        let gone: Vec<_> = gone.take(TOLD_APART).collect();
        let caught_up = gone.into_iter().map(|((source, stream), _)| Said::CaughtUp { source, stream });
        streams.chain(caught_up).collect()
    }
}

type Told = ((Arc<str>, Arc<str>), u64, Option<u64>, Option<Duration>);

/// All of them as one; the slowest says when it is over.
fn crowd(told: &[Told], rates: &[f64]) -> Said {
    let left: Option<Vec<Duration>> = told.iter().map(|(.., left)| *left).collect();
    Said::Streams {
        streams: told.len(),
        events: told.iter().map(|(_, events, ..)| events).sum(),
        per_second: rates.iter().sum::<f64>() as u64,
        read_to: moment(told.iter().filter_map(|(_, _, reached, _)| *reached).min()),
        left: words(left.and_then(|left| left.into_iter().max())),
    }
}

fn moment(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| "unknown".into(), |nanos| time(nanos / 1_000_000))
}

fn words(left: Option<Duration>) -> String {
    left.map_or_else(|| "unknown".into(), |left| format!("about {}", roughly(left)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Board;
    use crate::observe::Health;

    const HOUR: u64 = 3_600_000_000_000;
    const NOW: u64 = 500_000 * HOUR;

    /// Streams of one source; each has read so many events, up to so many hours ago.
    fn streams(of: &[(&str, u64, u64)]) -> Vec<StreamStatus> {
        let board = Board::new(Health::new(Clock::System));
        for (name, events, hours) in of {
            board.entry(&"acme".into(), &"acme".into(), &(*name).into()).update(|status| {
                status.state = StreamState::Collecting;
                (status.read.events, status.newest) = (*events, Some(NOW - hours * HOUR));
            });
        }
        board.all()
    }

    #[test]
    fn a_backlog_is_told_with_its_speed_until_it_is_read() {
        let mut backlog = Backlog::default();
        let mut look = |minutes: u64, of: &[(&str, u64, u64)]| {
            backlog.look(streams(of), NOW, Duration::from_secs(60 * minutes), |_, stream| stream != "gone")
        };
        let stream = |stream: &str, events, per_second, hours: Option<u64>, left: &str| Said::Stream {
            source: "acme".into(),
            stream: stream.into(),
            events,
            per_second,
            read_to: moment(hours.map(|hours| NOW - hours * HOUR)),
            left: left.into(),
        };
        assert_eq!(look(0, &[("audit", 50, 110), ("siem", 0, 80)]), [], "they may merely have their turn");
        // Audit reads ten hours in a minute, and SIEM nothing.
        let said = look(1, &[("audit", 6_050, 100), ("siem", 0, 80)]);
        assert_eq!(said, [stream("audit", 6_050, 100, Some(110), "unknown"), stream("siem", 0, 0, None, "unknown")]);
        let said = look(2, &[("audit", 12_050, 90), ("gone", 5, 80)]);
        let siem = Said::CaughtUp { source: "acme".into(), stream: "siem".into() };
        assert_eq!(said, [stream("audit", 12_050, 100, Some(100), "about 10 min"), siem]);
        let said = look(3, &[("audit", 12_050, 90), ("gone", 5, 80), ("dlp", 0, 1)]);
        let [Said::Stream { left, per_second: 0, .. }, gone] = &said[..] else { panic!("{said:?}") };
        assert!(left != "about 10 min" && left.ends_with("min"), "a minute without an event: {left}");
        assert_eq!(*gone, stream("gone", 5, 0, None, "unknown"));
        // Audit is done; the others were stopped, or behind only once.
        assert_eq!(look(4, &[]), [Said::CaughtUp { source: "acme".into(), stream: "audit".into() }]);
    }

    #[test]
    fn very_many_are_one_line_of_which_the_slowest_says_the_end() {
        let mut backlog = Backlog::default();
        let names: Vec<String> = (0..=TOLD_APART).map(|number| number.to_string()).collect();
        let mut look = |minute: u64, many: usize| {
            let of = |name: &String| 200 - if name == "3" { 2 } else { 20 } * minute;
            let all: Vec<_> = names[..many].iter().map(|name| (name.as_str(), 600 * minute, of(name))).collect();
            backlog.look(streams(&all), NOW, Duration::from_secs(60 * minute), |_, _| true)
        };
        assert_eq!(look(0, 11), []);
        look(1, 11);
        let said = look(2, 11);
        let [Said::Streams { streams: 11, events: 13_200, per_second: 110, read_to, left }] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!((read_to, left.as_str()), (&moment(Some(NOW - 198 * HOUR)), "about 1 h 39 min"));
        assert_eq!(look(3, 10).len(), 11, "one has caught up");
    }
}
