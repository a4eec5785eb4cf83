//! What a worker does when a call gives an error.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{IDLE_PULL, Outcome, Worker};
use crate::backoff::Backoff;
use crate::collect::judge::Verdict;
use crate::collect::{StreamState, Trouble};
use crate::config::OnPositionLost;
use crate::observe::{Cause, Place};
use crate::outside::Random;
use crate::sandbox::{FaultClass, GuestError};

impl Worker {
    /// What to do about a source that gave an error.
    pub(super) fn failed(&mut self, error: &GuestError) -> Outcome {
        let broke_down = !matches!(error, GuestError::Fault(_));
        if broke_down {
            self.care.broke_down();
        }
        let account = Arc::clone(&self.account);
        let random = self.around.random.clone();
        let (verdict, state) = self.judge.judge(error, account.retry_for, self.schedule.interval(), &random);
        let outcome = match verdict {
            Verdict::Stop => Outcome::Stopped,
            Verdict::Pause(pause) => {
                if let Some(quota) = &self.quota {
                    quota.pause(pause);
                }
                Outcome::Again(pause)
            }
            Verdict::PositionLost => self.position_lost(&random),
            // A step of the search is no failure to wait for, but a broken source must not spin either.
            Verdict::Retry(_) if broke_down && self.care.is_searching() => Outcome::Again(IDLE_PULL),
            Verdict::Retry(wait) => Outcome::Again(wait),
        };
        self.tell(error, state, &outcome);
        self.report(error, state, &outcome);
        outcome
    }

    /// Tells health what it should know: not a pause that the vendor asks for before it has lasted, not a right to the
    /// stream that nobody counted on, not a lost position that the policy mends (its gap is told).
    fn tell(&self, error: &GuestError, state: Option<StreamState>, outcome: &Outcome) {
        let (source, stream) = (&self.account.id, &self.origin.stream);
        let health = self.entry.health();
        let worth = match error {
            GuestError::Fault(fault) => match fault.class {
                FaultClass::Throttled(_) => state == Some(StreamState::Error),
                FaultClass::NotEntitled => health.is_named(source, stream),
                FaultClass::PositionLost => !matches!(outcome, Outcome::Again(Duration::ZERO)),
                _ => true,
            },
            _ => true,
        };
        if worth {
            let retry_in = match outcome {
                Outcome::Again(wait) => Some(*wait),
                _ => None,
            };
            health.trouble(source, &Place::Stream(Arc::clone(stream)), &Cause::of(error), retry_in);
        }
    }

    fn position_lost(&mut self, random: &Random) -> Outcome {
        match self.account.on_position_lost {
            OnPositionLost::Stop => Outcome::Stopped,
            policy => {
                // Lost again at once: the policy's own start does not help either.
                let again = self.lost.replace(policy).is_some();
                Outcome::Again(if again { random.up_to(Backoff::LIMIT) } else { Duration::ZERO })
            }
        }
    }

    pub(super) fn no_session(&mut self, trouble: &Trouble) -> Outcome {
        let interval = self.schedule.interval();
        let random = self.around.random.clone();
        let (verdict, state) = self.judge.judge(&trouble.error, self.account.retry_for, interval, &random);
        let outcome = match verdict {
            Verdict::Stop => Outcome::Stopped,
            // All streams of the source wait for the same moment, and one of them makes the call.
            _ => Outcome::Again(trouble.retry_at.saturating_duration_since(Instant::now())),
        };
        self.report(&trouble.error, state, &outcome);
        outcome
    }

    fn report(&self, error: &GuestError, state: Option<StreamState>, outcome: &Outcome) {
        let text = error.to_string();
        let throttled = matches!(error, GuestError::Fault(fault) if matches!(fault.class, FaultClass::Throttled(_)));
        match outcome {
            Outcome::Again(retry_in) if throttled => {
                tracing::info!(source = %self.key.source, stream = %self.key.stream, ?retry_in, "{text}")
            }
            Outcome::Again(retry_in) => {
                tracing::warn!(source = %self.key.source, stream = %self.key.stream, ?retry_in, "{text}")
            }
            _ => tracing::error!(source = %self.key.source, stream = %self.key.stream, "{text}"),
        }
        self.entry.update(|status| {
            status.faults += 1;
            status.fault = Some(text);
            status.caught_up = false;
        });
        let state = if matches!(outcome, Outcome::Stopped) { Some(StreamState::Stopped) } else { state };
        if let Some(state) = state {
            self.entry.enter_for(state, Some(&Cause::of(error)));
        }
    }
}
