//! What the conformance suite needs of a sink under test. Another sink is one more implementation.

use std::collections::BTreeMap;

use tributary_host::outside::Outside;
use tributary_host::sinks::Sink;

use crate::feed::EVENTS;

/// What goes on at the far side, or on the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Situation {
    AllGood,
    /// It wants to be left alone, and does not say for how long.
    Busy,
    /// For at least a second.
    BusyFor,
    /// It has faults of its own.
    Failing,
    /// It takes [`TAKEN`] bytes at once, no more. One event alone is longer.
    TooLong,
    /// It answers late, and once too late.
    Slow,
    /// The connection ends before it has done anything.
    CutBefore,
    /// The connection ends after it has stored what it got.
    CutAfter,
    /// It stores some of a delivery.
    Partial,
    /// It will never take the events of [`REFUSED`].
    Refusing,
    /// It takes no event at all until that is mended, and says so of each.
    Mistaken,
    /// It does not know us until that is mended.
    Expired,
    /// We do not know it until that is mended, and the host started again.
    Untrusted,
    /// Its name leads nowhere until that is mended.
    Nameless,
    /// The host ends in the middle, and starts again.
    Restart,
}

impl Situation {
    pub const ALL: [Self; 15] = [
        Self::AllGood,
        Self::Busy,
        Self::BusyFor,
        Self::Failing,
        Self::TooLong,
        Self::Slow,
        Self::CutBefore,
        Self::CutAfter,
        Self::Partial,
        Self::Refusing,
        Self::Mistaken,
        Self::Expired,
        Self::Untrusted,
        Self::Nameless,
        Self::Restart,
    ];
}

/// See [`Situation::TooLong`].
pub const TAKEN: usize = 4_000;

/// The number of the event that is longer than that.
pub const LONG: u64 = 7;

/// Events that may become dead letters while it is [`Situation::Mistaken`]: one in twenty of a hundred.
pub const GIVEN_UP: usize = 5;

/// Numbers of events; fewer than one in twenty.
pub const REFUSED: [u64; 3] = [3, 77, EVENTS - 1];

/// A sink with its far side.
pub trait Subject: Send + Sync {
    fn name(&self) -> &'static str;

    /// Whether the far side can refuse what it has: then nothing may be there twice.
    fn refuses_known(&self, situation: Situation) -> bool;

    /// Whether an event may be there twice after this, if the far side cannot refuse it.
    fn may_double(&self, situation: Situation) -> bool {
        matches!(situation, Situation::CutAfter | Situation::Partial | Situation::Restart)
    }

    /// Whether events that are stored are among the dead letters too, as nobody says which of a delivery were refused.
    fn keeps_beside_refused(&self) -> bool {
        false
    }

    /// Brings the situation about. False, if this protocol knows none like it.
    fn begin(&self, situation: Situation) -> bool;

    /// Whether nothing can arrive before somebody mends it.
    fn lasts(&self, situation: Situation) -> bool {
        matches!(situation, Situation::Expired | Situation::Untrusted | Situation::Nameless)
    }

    /// The network and the clock that its sink is to have.
    fn outside(&self) -> Outside;

    /// The sink as a configuration makes it: after a restart another one.
    fn sink(&self) -> Box<dyn Sink>;

    /// Whether it has come to what the situation is about.
    fn happened(&self) -> bool;

    /// Ends what lasts.
    fn mend(&self);

    /// Whether it was mended in the configuration, so that the host must start again.
    fn mended_here(&self, situation: Situation) -> bool {
        situation == Situation::Untrusted
    }

    /// What the operator must be pointed to in a situation that lasts. None, if nothing tells before there are events.
    fn hint(&self, situation: Situation) -> Option<String>;

    /// Waits until what is under way is there.
    fn settle(&self) {}

    /// How often the far side has each event.
    fn stored(&self) -> BTreeMap<u128, u64>;

    /// What it saw that breaks its protocol.
    fn violations(&self) -> Vec<String>;
}
