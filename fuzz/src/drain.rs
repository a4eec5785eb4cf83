//! Reads a stream to its end, as a host would, and judges every chunk on the way.

use mimecast_source::Reader;
use mimecast_source::chunk::{Budget, Digest, Fault, Gap, Malformed, Next, Start};

use crate::chunks::{POSITION_LIMIT, bodies};
use crate::json::Json;
use crate::outside::Outside;

/// Everything that a stream gave.
#[derive(Debug, Default, PartialEq)]
pub struct Read {
    pub events: Vec<(Digest, u64, Json)>,
    pub malformed: Vec<Malformed>,
    pub gaps: Vec<Gap>,
    pub faults: Vec<Fault>,
}

impl Read {
    pub fn records(&self) -> usize {
        self.events.len() + self.malformed.len()
    }
}

/// How a stream is read.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub budget: Budget,
    /// A new reader for every pull, opened with the position of the last: a host that is restarted all the time.
    pub afresh: bool,
    /// After so many faults it is given up.
    pub faults: usize,
    /// After so many pulls it should have been caught up, or it is given up as well.
    pub pulls: usize,
    pub must_end: bool,
}

impl Manner {
    pub fn at_once() -> Self {
        // A budget of the usual size is mostly spent on memory.
        let budget = Budget { events: 100, bytes: 256 << 10, ..Budget::default() };
        Self { budget, afresh: false, faults: 3, pulls: 1_000, must_end: true }
    }

    /// One event a chunk, each read by a new reader.
    pub fn afresh(pulls: usize) -> Self {
        Self { budget: Budget { events: 1, ..Budget::default() }, afresh: true, faults: 3, pulls, must_end: true }
    }
}

/// # Panics
/// If the stream cannot be opened, a chunk breaks the contract, or the end is never reached.
pub fn drain(config: &str, stream: &str, session: &[u8], outside: &mut Outside<'_>, manner: Manner) -> Read {
    let open = |start| Reader::open(config, stream, start).unwrap_or_else(|fault| panic!("{stream}: {fault}"));
    go_on(open(Start::Configured), session, outside, manner, open)
}

/// The same with a reader that is open.
///
/// # Panics
/// As above.
pub fn go_on(
    mut reader: Reader,
    session: &[u8],
    outside: &mut Outside<'_>,
    manner: Manner,
    open: impl Fn(Start) -> Reader,
) -> Read {
    let mut read = Read::default();
    for _ in 0..manner.pulls {
        match reader.pull(outside, session, &manner.budget) {
            Ok(chunk) => {
                let bodies = bodies(&chunk);
                assert!(chunk.position.len() <= POSITION_LIMIT, "a position of {} bytes", chunk.position.len());
                assert!(chunk.events.len() + chunk.malformed.len() <= manner.budget.events as usize + 1);
                read.events.extend(chunk.events.iter().zip(bodies).map(|(event, body)| (event.id, event.time, body)));
                read.malformed.extend(chunk.malformed);
                read.gaps.extend(chunk.gaps);
                let again = open(Start::After(chunk.position));
                if manner.afresh {
                    reader = again;
                }
                match chunk.next {
                    Next::CaughtUp => return read,
                    Next::Pause(milliseconds) => outside.wait(u64::from(milliseconds)),
                    Next::More => {}
                }
            }
            Err(fault) => {
                read.faults.push(fault);
                if read.faults.len() >= manner.faults {
                    return read;
                }
                // Longer than anything is waited for.
                outside.wait(5 * 3_600_000);
            }
        }
    }
    assert!(!manner.must_end, "the stream never comes to an end: {} records, {:?}", read.records(), read.faults);
    read
}
