//! What kind of trouble an error is, and when it is worth telling.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{Happening, HealthEvent, Severity};
use crate::sandbox::{FaultClass, GuestError};

/// Trouble that comes and goes is told no more often than this, for each code.
const AGAIN: Duration = Duration::from_secs(600);

/// Codes of one place that are told within [`AGAIN`]: codes are few, unless a component invents them.
const MOST_CODES: usize = 16;

/// Where in a source trouble is. Each place begins and clears by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In its configuration.
    Configuration,
    /// At the vendor's door, for all streams of the source.
    Session,
    /// In reading one stream.
    Stream(Arc<str>),
    /// In reading what is stored of one stream.
    Stored(Arc<str>),
    /// At one sink that takes the source.
    Sink(Arc<str>),
    /// In writing the state.
    State,
    /// In keeping dead letters.
    DeadLetters,
}

impl Place {
    pub(super) fn mark(&self, event: &mut HealthEvent) {
        match self {
            Place::Stream(stream) | Place::Stored(stream) => event.stream = Some(stream.to_string()),
            Place::Sink(sink) => event.sink = Some(sink.to_string()),
            Place::Configuration | Place::Session | Place::State | Place::DeadLetters => {}
        }
    }

    pub(super) fn works(&self) -> &'static str {
        match self {
            Place::Configuration => "the configuration is good",
            Place::Session => "the vendor accepts the credentials",
            Place::Stream(_) => "the stream is read",
            Place::Stored(_) => "the state can be read",
            Place::Sink(_) => "the sink takes events",
            Place::State => "the state can be written",
            Place::DeadLetters => "dead letters can be kept",
        }
    }
}

/// What trouble of the host's own is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostCode {
    Configuration,
    Sink,
    Standstill,
    StateRead,
    StateWrite,
    DeadLetters,
    Worker,
}

impl HostCode {
    pub const ALL: [HostCode; 7] = [
        HostCode::Configuration,
        HostCode::Sink,
        HostCode::Standstill,
        HostCode::StateRead,
        HostCode::StateWrite,
        HostCode::DeadLetters,
        HostCode::Worker,
    ];

    /// Stable and short.
    pub fn text(self) -> &'static str {
        match self {
            HostCode::Configuration => "configuration",
            HostCode::Sink => "sink",
            HostCode::Standstill => "standstill",
            HostCode::StateRead => "state-read",
            HostCode::StateWrite => "state-write",
            HostCode::DeadLetters => "dead-letters",
            HostCode::Worker => "worker",
        }
    }
}

/// Why something is in trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub happening: Happening,
    pub severity: Severity,
    /// Stable and short: the source's own, or the host's word for the place.
    pub code: String,
    pub status: Option<u16>,
    pub message: String,
    pub hint: Option<String>,
}

impl Cause {
    /// What a source's error is. Whether throttling has lasted long enough to be told, and whether a lost position needs
    /// the operator, the caller knows.
    pub fn of(error: &GuestError) -> Self {
        let generic = |code: String, message: String, hint: Option<String>| Cause {
            happening: Happening::ThirdPartyGenericError,
            severity: Severity::Medium,
            code,
            status: None,
            message,
            hint,
        };
        let report = || Some("This is a fault of the component; report it".to_owned());
        match error {
            GuestError::Fault(fault) => {
                let (happening, severity) = match fault.class {
                    FaultClass::Configuration
                    | FaultClass::Credentials
                    | FaultClass::SessionExpired
                    | FaultClass::NotEntitled => (Happening::ThirdPartyConfigError, Severity::High),
                    FaultClass::Unavailable
                    | FaultClass::Protocol
                    | FaultClass::Throttled(_)
                    | FaultClass::PositionLost => (Happening::ThirdPartyGenericError, Severity::Medium),
                };
                let (code, message) = (fault.code.clone(), fault.message.clone());
                let hint = Some(fault.next_step());
                Cause { happening, severity, code, status: fault.status, message, hint }
            }
            // Its lines stand in the log.
            GuestError::Trap { message, .. } => {
                generic("trap".into(), format!("the component broke down: {message}"), report())
            }
            GuestError::Limit(limit) => {
                generic(format!("limit-{}", limit.name.replace(' ', "-")), limit.what(), Some(limit.hint()))
            }
            GuestError::Breach(what) => {
                generic("contract".into(), format!("the component broke the contract: {what}"), report())
            }
        }
    }

    /// Trouble of the host's own.
    pub fn host(code: HostCode, message: String, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        let (happening, severity) = (Happening::FirstPartyGenericError, Severity::High);
        Cause { happening, severity, code: code.text().to_owned(), status: None, message, hint }
    }
}

/// The trouble of one place.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Codes that were told since it began.
    told: Vec<String>,
    /// When each code was told last, also before this began.
    last: BTreeMap<String, Instant>,
    /// When there was trouble last, told or not.
    seen: Option<Instant>,
}

impl Troubles {
    /// Whether trouble with this code is to be told now.
    pub fn is_news(&mut self, code: &str, now: Instant) -> bool {
        self.seen = Some(now);
        self.last.retain(|_, at| now - *at < AGAIN);
        if self.told.iter().any(|told| told == code) || self.last.contains_key(code) || self.last.len() >= MOST_CODES {
            return false;
        }
        self.last.insert(code.to_owned(), now);
        if self.told.len() < MOST_CODES {
            self.told.push(code.to_owned());
        }
        true
    }

    /// The codes that were told, if there was trouble that was, and it is over: for sure, or since it is long ago.
    pub fn clear(&mut self, sure: bool, now: Instant) -> Option<Vec<String>> {
        if !sure && self.seen.is_some_and(|seen| now - seen < AGAIN) {
            return None;
        }
        let told = std::mem::take(&mut self.told);
        (!told.is_empty()).then_some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Fault, Limit};

    #[tokio::test(start_paused = true)]
    async fn lasting_and_flapping_trouble_do_not_flood() {
        let mut troubles = Troubles::default();
        let mut news = Vec::new();
        for second in 0..7_200 {
            if troubles.is_news(if second % 2 == 0 { "http-503" } else { "cut" }, Instant::now()) {
                news.push(second);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(news, [0, 1], "each code once");
        assert_eq!(troubles.clear(false, Instant::now()), None, "a second of success proves little");
        assert_eq!(troubles.clear(true, Instant::now()).unwrap(), ["http-503", "cut"]);
        assert_eq!(troubles.clear(true, Instant::now()), None);
        tokio::time::advance(AGAIN).await;
        assert!(troubles.is_news("cut", Instant::now()));
        tokio::time::advance(AGAIN).await;
        assert_eq!(troubles.clear(false, Instant::now()).unwrap(), ["cut"]);
        let (mut begun, mut cleared) = (0, 0);
        for _ in 0..3_600 {
            begun += usize::from(troubles.is_news("http-500", Instant::now()));
            cleared += usize::from(troubles.clear(true, Instant::now()).is_some());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!((begun, cleared), (6, 6), "once in ten minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn invented_codes_are_bounded() {
        let mut troubles = Troubles::default();
        let mut told = 0;
        for number in 0..1_000 {
            told += usize::from(troubles.is_news(&format!("code-{number}"), Instant::now()));
        }
        assert_eq!((told, troubles.told.len()), (MOST_CODES, MOST_CODES));
    }

    #[test]
    fn each_error_is_what_the_table_says() {
        use Happening::{ThirdPartyConfigError as Configuration, ThirdPartyGenericError as Generic};
        let fault =
            |class| Fault { class, code: "c".into(), message: "m".into(), hint: Some("do".into()), status: Some(403) };
        for (class, expected) in [
            (FaultClass::Configuration, Configuration),
            (FaultClass::Credentials, Configuration),
            (FaultClass::NotEntitled, Configuration),
            (FaultClass::SessionExpired, Configuration),
            (FaultClass::Throttled(1), Generic),
            (FaultClass::Unavailable, Generic),
            (FaultClass::Protocol, Generic),
            (FaultClass::PositionLost, Generic),
        ] {
            let cause = Cause::of(&fault(class).into());
            assert_eq!((cause.happening, cause.code.as_str(), cause.status), (expected, "c", Some(403)), "{class:?}");
            assert_eq!((cause.message.as_str(), cause.hint.as_deref()), ("m", Some("do")), "the hint stands apart");
        }
        let trap = GuestError::Trap { message: "unreachable".into(), backtrace: "deep inside".into() };
        let limit = Limit { name: "CPU time", figure: "f".into(), setting: "s" };
        for (error, code) in
            [(trap, "trap"), (limit.into(), "limit-CPU-time"), (GuestError::Breach("ends descend".into()), "contract")]
        {
            let cause = Cause::of(&error);
            assert_eq!((cause.happening, cause.code.as_str()), (Generic, code));
            assert!(!cause.message.contains("deep inside"));
        }
    }
}
