//! What a worker does about an error: wait, give up for now, or go on elsewhere.

use std::time::Duration;

use tokio::time::Instant;

use super::session::REFUSED_FOR;
use super::status::StreamState;
use crate::backoff::Backoff;
use crate::outside::Random;
use crate::sandbox::{FaultClass, GuestError};

/// Throttling is the vendor's right; only when it lasts this long it is trouble.
pub const THROTTLED_FOR: Duration = Duration::from_secs(3600);

/// A fresh session that is refused may have been revoked by chance between its issue and its first use. Once, the next
/// is tried this soon.
const REVOKED_FOR: Duration = Duration::from_secs(60);

/// A pause that the vendor asks for with a zero would be none.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Again after this time.
    Retry(Duration),
    /// Wait this long, with every stream of the same quota.
    Pause(Duration),
    /// As the operator's policy for lost positions says.
    PositionLost,
    /// The credentials are refused: again after this time, or not before there are others.
    Refused(Option<Duration>),
    /// Not before the operator has changed something.
    Stop,
}

/// The trouble of one stream, until it is over.
#[derive(Debug, Default)]
pub struct Judge {
    backoff: Backoff,
    failing_since: Option<Instant>,
    throttled_since: Option<Instant>,
    /// A fresh session was refused.
    revoked: bool,
}

impl Judge {
    /// A pull went well.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// What to do about `error`, and the state that the stream is in now, if that changes.
    pub fn judge(
        &mut self,
        error: &GuestError,
        retry_for: Duration,
        interval: Duration,
        random: &Random,
    ) -> (Verdict, Option<StreamState>) {
        let now = Instant::now();
        if let GuestError::Fault(fault) = error {
            match fault.class {
                FaultClass::Configuration => return (Verdict::Stop, Some(StreamState::Stopped)),
                FaultClass::Credentials if fault.keys_expired() => {
                    return (Verdict::Refused(None), Some(StreamState::Stopped));
                }
                FaultClass::SessionExpired if !std::mem::replace(&mut self.revoked, true) => {
                    return (Verdict::Retry(REVOKED_FOR), None);
                }
                FaultClass::Credentials | FaultClass::SessionExpired => {
                    return (Verdict::Refused(Some(REFUSED_FOR)), Some(StreamState::Error));
                }
                FaultClass::NotEntitled => return (Verdict::Retry(REFUSED_FOR), Some(StreamState::NotLicensed)),
                FaultClass::Throttled(pause) => {
                    let since = *self.throttled_since.get_or_insert(now);
                    let state = (now - since >= THROTTLED_FOR).then_some(StreamState::Error);
                    return (Verdict::Pause(Duration::from_millis(pause.into()).max(LEAST_PAUSE)), state);
                }
                FaultClass::PositionLost => return (Verdict::PositionLost, None),
                FaultClass::Unavailable | FaultClass::Protocol => {}
            }
        }
        let since = *self.failing_since.get_or_insert(now);
        if now - since >= retry_for {
            // Long enough: it goes on, but no more often than it would read.
            return (Verdict::Retry(interval), Some(StreamState::Error));
        }
        (Verdict::Retry(self.backoff.next(random)), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Fault, Limit};

    const MINUTE: Duration = Duration::from_secs(60);

    fn fault(class: FaultClass) -> GuestError {
        Fault { class, code: "c".into(), message: "m".into(), hint: None, status: None }.into()
    }

    fn judge(judge: &mut Judge, error: &GuestError) -> (Verdict, Option<StreamState>) {
        judge.judge(error, 90 * MINUTE, 5 * MINUTE, &Random::seeded(3))
    }

    #[tokio::test(start_paused = true)]
    async fn each_class_has_its_verdict() {
        let hour = Verdict::Retry(60 * MINUTE);
        for (class, verdict, state) in [
            (FaultClass::Configuration, Verdict::Stop, Some(StreamState::Stopped)),
            (FaultClass::Credentials, Verdict::Refused(Some(60 * MINUTE)), Some(StreamState::Error)),
            (FaultClass::SessionExpired, Verdict::Retry(MINUTE), None),
            (FaultClass::NotEntitled, hour.clone(), Some(StreamState::NotLicensed)),
            (FaultClass::Throttled(90_000), Verdict::Pause(Duration::from_secs(90)), None),
            (FaultClass::Throttled(0), Verdict::Pause(Duration::from_secs(1)), None),
            (FaultClass::PositionLost, Verdict::PositionLost, None),
        ] {
            assert_eq!(judge(&mut Judge::default(), &fault(class)), (verdict, state), "{class:?}");
        }
    }

    #[test]
    fn expired_keys_are_not_tried_again() {
        let mut expired = Fault {
            class: FaultClass::Credentials,
            code: "keys-expired".into(),
            message: "m".into(),
            hint: None,
            status: Some(418),
        };
        let (verdict, state) = judge(&mut Judge::default(), &expired.clone().into());
        assert_eq!((verdict, state), (Verdict::Refused(None), Some(StreamState::Stopped)));
        // The code means this of credentials only.
        expired.class = FaultClass::NotEntitled;
        assert_eq!(judge(&mut Judge::default(), &expired.into()).0, Verdict::Retry(REFUSED_FOR));
    }

    #[test]
    fn a_fresh_session_that_is_refused_twice_means_wrong_credentials() {
        let (mut case, expired) = (Judge::default(), fault(FaultClass::SessionExpired));
        let refused = (Verdict::Refused(Some(REFUSED_FOR)), Some(StreamState::Error));
        for _ in 0..2 {
            assert_eq!(judge(&mut case, &expired), (Verdict::Retry(MINUTE), None));
            assert_eq!(judge(&mut case, &expired), refused);
            assert_eq!(judge(&mut case, &expired), refused);
            case.succeeded();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn passing_trouble_becomes_an_error_after_its_time() {
        for error in [
            fault(FaultClass::Unavailable),
            fault(FaultClass::Protocol),
            Limit { name: "n", figure: "f".into(), setting: "s" }.into(),
        ] {
            let mut case = Judge::default();
            let (Verdict::Retry(wait), None) = judge(&mut case, &error) else { panic!("{error}") };
            assert!(wait <= Backoff::FIRST);
            tokio::time::advance(89 * MINUTE).await;
            assert!(matches!(judge(&mut case, &error), (Verdict::Retry(_), None)));
            tokio::time::advance(MINUTE).await;
            assert_eq!(judge(&mut case, &error), (Verdict::Retry(5 * MINUTE), Some(StreamState::Error)));
            case.succeeded();
            assert!(matches!(judge(&mut case, &error), (Verdict::Retry(_), None)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_is_trouble_after_an_hour() {
        let mut case = Judge::default();
        let error = fault(FaultClass::Throttled(1_000));
        assert_eq!(judge(&mut case, &error).1, None);
        tokio::time::advance(59 * MINUTE).await;
        assert_eq!(judge(&mut case, &error).1, None);
        tokio::time::advance(MINUTE).await;
        assert_eq!(judge(&mut case, &error).1, Some(StreamState::Error));
    }
}
