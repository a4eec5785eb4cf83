//! Where a stream begins that has no position to go on from, and what is lost by that.

use super::pull::Pull;
use crate::catalog::Stream;
use crate::chunk::{Start, Timestamp};

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// What happened before is not asked for: it is told as lost, or not wanted.
    pub at: Timestamp,
    /// Only records of `[begin, end)` are wanted: a replay.
    pub span: Option<(Timestamp, Timestamp)>,
    /// A position was lost, and not all that was unread by it can be read yet. The gap is told.
    pub lost: bool,
}

/// Settles where to begin; `None` if a position says so. Tells what is asked for and no longer kept.
///
/// `oldest` is the oldest that can be asked for; `unread` finds where a lost position's unread begins, as far as it can be read.
pub fn settle(
    start: Start,
    pull: &mut Pull<'_>,
    stream: Stream,
    oldest: Timestamp,
    unread: impl FnOnce(&[u8]) -> Option<Timestamp>,
) -> Option<Beginning> {
    let name = stream.name();
    let mut beginning = Beginning { at: oldest, span: None, lost: false };
    match start {
        Start::After(_) => return None,
        Start::Configured => {
            let wanted = pull.config.start_at.resolve(pull.now);
            beginning.at = wanted.max(oldest);
            if wanted < oldest {
                let reason = format!("`start_at` is older: {}", stream.reach());
                pull.gap(name, Some(wanted), Some(oldest), reason);
            }
        }
        Start::Oldest(lost) => {
            let unread = lost.map(|position| unread(&position));
            if let Some(begin) = unread.filter(|begin| begin.is_none_or(|begin| begin < oldest)) {
                beginning.lost = true;
                pull.gap(name, begin, Some(oldest), format!("the position was lost, and {}", stream.reach()));
            }
        }
        Start::Now(lost) => {
            beginning.at = pull.now;
            if let Some(position) = lost {
                beginning.lost = true;
                let reason = "the position was lost, and the stream goes on at the present";
                pull.gap(name, unread(&position), Some(pull.now), reason);
            }
        }
        Start::Span(begin, end) => {
            beginning.at = begin.max(oldest);
            beginning.span = Some((begin, end));
            if begin < oldest {
                pull.gap(name, Some(begin), Some(oldest.min(end)), stream.reach());
            }
        }
    }
    Some(beginning)
}
