//! Trying a source out: its credentials, and one call for each stream. Nothing is stored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::quota::{Grant, Quota};
use super::source::Source;
use crate::sandbox::{Budget, Fault, FaultClass, GuestError, Next, Session, Start};

/// Requests of one try: a listing, and perhaps its next page.
const REQUESTS: u32 = 2;

/// Streams of one source that are tried at the same time: quotas are the customer's.
const STREAMS: usize = 2;

/// How long a stream may wait for its quota.
const QUOTA_PATIENCE: Duration = Duration::from_secs(10);

/// How a try ended, and so what kind of next step there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It works.
    Good,
    /// The account has no right to it, and nobody asked for it by name: all are collected that there are.
    NotLicensed,
    /// It failed for a cause that passes.
    Passing,
    /// The vendor refuses the credentials, or the right to it.
    Refused,
    /// The configuration is wrong.
    Misconfigured,
    /// A fault of the component or of this program.
    Broken,
}

/// What one try gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Empty for what concerns the whole source.
    pub stream: String,
    pub verdict: Verdict,
    /// One sentence for people.
    pub result: String,
    /// What to do next; empty if there is nothing.
    pub next: String,
}

impl Finding {
    /// It works.
    pub fn good(stream: &str, result: &str) -> Self {
        let (stream, result) = (stream.to_owned(), result.to_owned());
        Self { stream, verdict: Verdict::Good, result, next: String::new() }
    }

    /// It was not tried, or not to the end, for a cause that passes.
    pub fn passing(stream: &str, result: &str, next: &str) -> Self {
        let (stream, result, next) = (stream.to_owned(), result.to_owned(), next.to_owned());
        Self { stream, verdict: Verdict::Passing, result, next }
    }

    /// What the source `id` failed with; `transport` is what the network said last.
    pub fn failed(id: &str, stream: &str, error: &GuestError, transport: Option<String>) -> Self {
        let finding = |verdict, result, next| Self { stream: stream.to_owned(), verdict, result, next };
        let fault = match error {
            GuestError::Fault(fault) => fault,
            GuestError::Limit(limit) => return finding(Verdict::Broken, limit.what(), limit.hint()),
            GuestError::Trap { .. } | GuestError::Breach(_) => {
                return finding(Verdict::Broken, error.to_string(), "Report it".into());
            }
        };
        let verdict = match fault.class {
            FaultClass::Configuration => Verdict::Misconfigured,
            FaultClass::Credentials | FaultClass::SessionExpired | FaultClass::NotEntitled => Verdict::Refused,
            FaultClass::Throttled(_) | FaultClass::Unavailable | FaultClass::PositionLost | FaultClass::Protocol => {
                Verdict::Passing
            }
        };
        let mut result = format!("{} ({})", fault.message, fault.code);
        // What the network said is more exact than what a guest is told.
        let transport = transport.filter(|text| {
            fault.status.is_none() && fault.class == FaultClass::Unavailable && !result.contains(text.as_str())
        });
        if let Some(transport) = &transport {
            result += &format!(": {transport}");
        }
        let next = match verdict {
            Verdict::Misconfigured => fault.hint.clone().unwrap_or_else(|| format!("Correct sources.{id}")),
            _ => fault.next_step(),
        };
        finding(verdict, result, next)
    }

    /// The try itself broke down.
    fn broken(stream: &str) -> Self {
        let (result, next) = ("the check of it broke down".to_owned(), "See the host's log, and report it".to_owned());
        Self { stream: stream.to_owned(), verdict: Verdict::Broken, result, next }
    }

    fn not_licensed(stream: &str, fault: &Fault) -> Self {
        let result = format!("not licensed, and passed over: {} ({})", fault.message, fault.code);
        let next = fault.hint.clone().unwrap_or_else(|| "Nothing to do, unless you want this log".into());
        Self { stream: stream.to_owned(), verdict: Verdict::NotLicensed, result, next }
    }
}

/// What is tried: a source that runs, or one that is only planned.
pub struct Subject {
    pub id: String,
    pub source: Arc<dyn Source>,
    /// Whether the operator has named the streams.
    pub names_streams: bool,
    /// Each stream, with the quota that it spends. Without one, so does whoever asks: there is no host that runs.
    pub streams: Vec<(String, Option<Arc<Quota>>)>,
}

/// Tries the credentials, and if they are good each stream. What concerns the whole source comes first.
pub async fn check(subject: Subject) -> Vec<Finding> {
    let Subject { id, source, names_streams, streams } = subject;
    let session = match source.authenticate().await {
        Ok(session) => Arc::new(session),
        Err(error) => return vec![Finding::failed(&id, "", &error, source.transport_error())],
    };
    let (turns, mut tries) = (Arc::new(Semaphore::new(STREAMS)), JoinSet::new());
    let mut open: BTreeSet<String> = streams.iter().map(|(stream, _)| stream.clone()).collect();
    for (stream, quota) in streams {
        let (id, source, session, turns) = (id.clone(), Arc::clone(&source), Arc::clone(&session), Arc::clone(&turns));
        tries.spawn(async move {
            let _turn = turns.acquire().await;
            match try_stream(&*source, &stream, &session, quota.as_ref()).await {
                Ok(finding) => finding,
                Err(GuestError::Fault(fault)) if fault.class == FaultClass::NotEntitled && !names_streams => {
                    Finding::not_licensed(&stream, &fault)
                }
                Err(error) => Finding::failed(&id, &stream, &error, source.transport_error()),
            }
        });
    }
    let mut findings = vec![Finding::good("", "the credentials are accepted")];
    while let Some(tried) = tries.join_next().await {
        // A try that broke down has said so in the log, and stays open.
        if let Ok(finding) = tried {
            open.remove(&finding.stream);
            findings.push(finding);
        }
    }
    findings.extend(open.iter().map(|stream| Finding::broken(stream)));
    findings.sort_by(|a, b| a.stream.cmp(&b.stream));
    findings
}

async fn try_stream(
    source: &dyn Source,
    stream: &str,
    session: &Session,
    quota: Option<&Arc<Quota>>,
) -> Result<Finding, GuestError> {
    let mut grant = match quota.map(|quota| timeout(QUOTA_PATIENCE, quota.take())) {
        None => Grant::unlimited(),
        Some(taken) => match taken.await {
            Ok(grant) => grant,
            Err(_) => return Ok(Finding::passing(stream, "not tried: its quota is spent for now", "Try again later")),
        },
    };
    // One event and what it takes to find it.
    let requests = grant.requests().min(REQUESTS);
    let budget = Budget { events: 1, requests, time_ms: 20_000, ..Budget::default() };
    let mut reader = source.open(stream, Start::Configured).await?;
    grant.begin();
    let chunk = match reader.pull(session, budget).await {
        Ok(chunk) => chunk,
        Err(error) => {
            if let (GuestError::Fault(fault), Some(quota)) = (&error, quota)
                && let FaultClass::Throttled(pause) = fault.class
            {
                quota.pause(Duration::from_millis(pause.into()));
            }
            return Err(error);
        }
    };
    grant.settle(chunk.requests, chunk.quota_left);
    Ok(match chunk.next {
        _ if chunk.records > 0 => Finding::good(stream, "a record was read"),
        Next::CaughtUp => Finding::good(stream, "reached; there is nothing new"),
        _ => Finding::good(stream, "reached; no record in the first answers"),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::checks::Checked;
    use super::super::source::{Call, Reader};
    use super::*;
    use crate::sandbox::{Chunk, Pieces};

    fn fault(class: FaultClass, hint: Option<&str>, status: Option<u16>) -> GuestError {
        let (code, message) = ("c".into(), "It failed".into());
        Fault { class, code, message, hint: hint.map(Into::into), status }.into()
    }

    #[test]
    fn every_fault_says_what_to_do_and_has_its_verdict() {
        for (class, verdict) in [
            (FaultClass::Configuration, Verdict::Misconfigured),
            (FaultClass::Credentials, Verdict::Refused),
            (FaultClass::NotEntitled, Verdict::Refused),
            (FaultClass::SessionExpired, Verdict::Refused),
            (FaultClass::Throttled(1_500), Verdict::Passing),
            (FaultClass::Unavailable, Verdict::Passing),
            (FaultClass::PositionLost, Verdict::Passing),
            (FaultClass::Protocol, Verdict::Passing),
        ] {
            let finding = Finding::failed("acme", "audit", &fault(class, None, None), None);
            assert_eq!(finding.verdict, verdict, "{class:?}");
            assert!(!finding.next.is_empty(), "{class:?}");
            assert_eq!(Finding::failed("acme", "audit", &fault(class, Some("Do this"), None), None).next, "Do this");
        }
        let trap = GuestError::Trap { message: "m".into(), backtrace: String::new() };
        assert_eq!(Finding::failed("acme", "", &trap, None).verdict, Verdict::Broken);
    }

    #[test]
    fn the_network_is_quoted_only_where_it_was_the_trouble() {
        let network = || Some("the certificate has expired".to_owned());
        let result = |error: &GuestError| Finding::failed("a", "", error, network()).result;
        assert!(result(&fault(FaultClass::Unavailable, None, None)).contains("expired"));
        assert!(!result(&fault(FaultClass::Unavailable, None, Some(503))).contains("expired"));
        assert!(!result(&fault(FaultClass::Credentials, None, None)).contains("expired"));
    }

    /// A source of which one stream is a defect.
    struct Defective;

    struct Empty;

    impl Source for Defective {
        fn authenticate(&self) -> Call<'_, Session> {
            Box::pin(async { Ok(Session { secret: Vec::new(), expires_at: None }) })
        }

        fn open<'a>(&'a self, stream: &'a str, _: Start) -> Call<'a, Box<dyn Reader>> {
            Box::pin(async move {
                assert!(stream != "defect", "a defect");
                Ok(Box::new(Empty) as Box<dyn Reader>)
            })
        }
    }

    impl Reader for Empty {
        fn pull<'a>(&'a mut self, _: &'a Session, _: Budget) -> Call<'a, Chunk> {
            let chunk = Chunk {
                events: Vec::new(),
                bodies: Bytes::new(),
                malformed: Vec::new(),
                gaps: Vec::new(),
                pieces: Pieces::default(),
                records: 0,
                merged: 0,
                requests: 1,
                quota_left: None,
                position: Vec::new(),
                next: Next::CaughtUp,
            };
            Box::pin(async { Ok(chunk) })
        }
    }

    #[tokio::test]
    async fn a_try_that_does_not_come_back_is_not_good() {
        let of = |streams: &[&str]| Subject {
            id: "acme".into(),
            source: Arc::new(Defective),
            names_streams: false,
            streams: streams.iter().map(|stream| (stream.to_string(), None)).collect(),
        };
        let findings = check(of(&["audit", "defect", "siem"])).await;
        let verdicts: Vec<_> = findings.iter().map(|finding| (finding.stream.as_str(), finding.verdict)).collect();
        let good = |stream| (stream, Verdict::Good);
        assert_eq!(verdicts, [good(""), good("audit"), ("defect", Verdict::Broken), good("siem")]);
        assert!(findings[2].next.contains("log"));
        assert!(!Checked::new(0, findings).good && Checked::new(0, check(of(&["audit", "siem"])).await).good);
    }
}
