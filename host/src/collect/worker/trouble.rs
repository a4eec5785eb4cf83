//! What a worker does when a call gives an error.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Level;

use super::{IDLE_PULL, Outcome, SAID_EVERY, STATE_SAID_EVERY, Worker, said};
use crate::backoff::Backoff;
use crate::collect::judge::Verdict;
use crate::collect::session::{level, until_changed};
use crate::collect::{StreamState, Trouble};
use crate::config::OnPositionLost;
use crate::observe::{Cause, Place};
use crate::outside::Random;
use crate::sandbox::{FaultClass, GuestError};
use crate::state::StreamKey;

impl Worker {
    /// What to do about a source that gave an error.
    pub(super) fn failed(&mut self, error: &GuestError) -> Outcome {
        let broke_down = !matches!(error, GuestError::Fault(_));
        if broke_down {
            self.care.broke_down();
        }
        let account = Arc::clone(&self.account);
        let random = self.around.random.clone();
        let (verdict, state) = self.judge.judge(error, account.policy().retry_for, self.schedule.interval(), &random);
        let outcome = match verdict {
            Verdict::Stop => Outcome::Stopped,
            Verdict::Pause(pause) => {
                if let Some(quota) = &self.quota {
                    quota.pause(pause);
                }
                Outcome::Again(pause)
            }
            Verdict::PositionLost => self.position_lost(&random),
            Verdict::Refused(wait) => self.refused(wait),
            // A step of the search is no failure to wait for, but a broken source must not spin either.
            Verdict::Retry(_) if broke_down && self.care.is_searching() => Outcome::Again(IDLE_PULL),
            Verdict::Retry(wait) => Outcome::Again(wait),
        };
        self.tell(error, state, &outcome);
        self.report(error, state, &outcome, false);
        outcome
    }

    /// Tells health what it should know: not a pause that the vendor asks for before it has lasted, not a right to the
    /// stream that nobody counted on, not a lost position that the policy mends (its gap is told).
    fn tell(&self, error: &GuestError, state: Option<StreamState>, outcome: &Outcome) {
        let (source, stream) = (&self.account.id, &self.origin.stream);
        let health = self.entry.health();
        let worth = match error {
            GuestError::Fault(fault) => match fault.class {
                // A session may have been revoked by chance, once.
                FaultClass::Throttled(_) | FaultClass::SessionExpired => state == Some(StreamState::Error),
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
        if self.replay.is_some() {
            // The span once more: what it delivered already is known.
            let again = self.reach.position().is_none();
            self.reach.set(None);
            return Outcome::Again(if again { random.up_to(Backoff::LIMIT) } else { Duration::ZERO });
        }
        match self.account.policy().on_position_lost {
            OnPositionLost::Stop => Outcome::Stopped,
            policy => {
                // Lost again at once: the policy's own start does not help either.
                let again = self.lost.replace(policy).is_some();
                Outcome::Again(if again { random.up_to(Backoff::LIMIT) } else { Duration::ZERO })
            }
        }
    }

    /// There may be newer credentials than those that the vendor refuses: whoever can read them is told.
    fn refused(&self, wait: Option<Duration>) -> Outcome {
        self.account.credentials_refused();
        wait.map_or(Outcome::Stopped, Outcome::Again)
    }

    pub(super) fn no_session(&mut self, trouble: &Trouble) -> Outcome {
        let interval = self.schedule.interval();
        let random = self.around.random.clone();
        let (verdict, state) = self.judge.judge(&trouble.error, self.account.policy().retry_for, interval, &random);
        // All streams of the source wait for the same moment, and one of them makes the call.
        let due = trouble.retry_at.saturating_duration_since(Instant::now());
        let outcome = match verdict {
            Verdict::Stop => Outcome::Stopped,
            Verdict::Refused(wait) => self.refused(wait.map(|_| due)),
            // It has lasted too long.
            Verdict::Retry(wait) if state == Some(StreamState::Error) => Outcome::Again(due.max(wait)),
            Verdict::Retry(_) | Verdict::Pause(_) | Verdict::PositionLost => Outcome::Again(due),
        };
        self.report(&trouble.error, state, &outcome, true);
        outcome
    }

    /// Notes what went wrong, and logs it. What is `told` already, for the whole source, is no line for each of its streams:
    /// one for all of them, when it has become an error.
    fn report(&self, error: &GuestError, state: Option<StreamState>, outcome: &Outcome, told: bool) {
        let mut cause = Cause::of(error);
        let mut text = error.to_string();
        if matches!(outcome, Outcome::Stopped) {
            let way_out = self.way_out(error);
            text = format!("{text}. {way_out}");
            cause.hint = Some(cause.hint.map_or_else(|| way_out.clone(), |hint| format!("{hint}. {way_out}")));
        }
        self.entry.update(|status| {
            status.faulted(&cause, text.clone());
            status.caught_up = false;
        });
        let state = if matches!(outcome, Outcome::Stopped) { Some(StreamState::Stopped) } else { state };
        let change = state.and_then(|state| Some((state, self.entry.enter_for(state, &cause)?)));
        self.log(error, &cause.code, &text, change, outcome, told);
    }

    /// One line says what went wrong, where, and what to do; and the state that the stream is in now, if that is news.
    fn log(
        &self,
        error: &GuestError,
        code: &str,
        text: &str,
        change: Option<(StreamState, StreamState)>,
        outcome: &Outcome,
        told: bool,
    ) {
        let StreamKey { source, stream } = &self.key;
        let (state, before) = change.unzip();
        let before = before.map(tracing::field::display);
        let retry_in = match outcome {
            Outcome::Again(wait) => Some(tracing::field::debug(*wait)),
            _ => None,
        };
        let what = if told { "there is no session: " } else { "" };
        let line = state.map_or_else(|| text.to_owned(), |state| format!("{state}: {what}{text}"));
        let every = if state.is_some() { STATE_SAID_EVERY } else { SAID_EVERY };
        let admitted = match state {
            // What was told may have been a warning, as long as it could pass.
            Some(state @ (StreamState::Error | StreamState::Stopped)) if told && level(error) != Level::ERROR => {
                self.around.repeats.admit_every(every, &format!("{source}: {state}"))
            }
            _ if told => None,
            _ => self.around.repeats.admit_every(every, &format!("{source}: {line}")),
        };
        let Some(suppressed) = admitted.map(said) else {
            tracing::debug!(%source, %stream, code, before, retry_in, "{line}");
            return;
        };
        let throttled = matches!(error, GuestError::Fault(fault) if matches!(fault.class, FaultClass::Throttled(_)));
        match state {
            Some(StreamState::Error | StreamState::Stopped) => {
                tracing::error!(%source, %stream, code, before, retry_in, suppressed, "{line}")
            }
            None if matches!(outcome, Outcome::Stopped) => {
                tracing::error!(%source, %stream, code, suppressed, "{line}")
            }
            None if throttled => tracing::info!(%source, %stream, code, retry_in, suppressed, "{line}"),
            _ => tracing::warn!(%source, %stream, code, before, retry_in, suppressed, "{line}"),
        }
    }

    /// What makes a stopped stream go on.
    fn way_out(&self, error: &GuestError) -> String {
        let StreamKey { source, stream } = &self.key;
        match error {
            GuestError::Fault(fault) if fault.class == FaultClass::PositionLost => format!(
                "The stream stands still, as on_position_lost = \"stop\" says. Set it to \"oldest\" (from the oldest record \
                 that the vendor has) or \"now\" for sources.{source}, and send SIGHUP or restart tributary; or stop \
                 tributary, run `tributary state reset {source} --stream {stream}`, and start it again"
            ),
            _ => until_changed("The stream stands", source),
        }
    }
}
