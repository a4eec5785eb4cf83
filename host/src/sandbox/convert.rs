//! Between the bindings and the host's own values. The host checks here what the guest says.

use std::collections::BTreeSet;

use super::bindings::types as wit;
use super::{
    Chunk, Descriptor, Fault, FaultClass, Gap, GuestError, Kind, Limit, Limits, LogStream, Malformed, Next, Pieces,
    Plan, Quota, Session, Start,
};
use crate::deliver::Head;

/// The contract's limit of what is handed over of a malformed record.
const HEAD_LIMIT: usize = 1 << 20;

/// A text for people, such as a fault's message: it is kept in status, health events and logs.
const TEXT_LIMIT: usize = 4 << 10;

/// What a source keeps in memory of its session; tokens have a few kilobytes.
const SECRET_LIMIT: usize = 64 << 10;

/// Streams of one plan: each has a worker.
const STREAMS_LIMIT: usize = 1_000;

/// Patterns of a plan's hosts, and bytes of one.
const HOSTS_LIMIT: usize = 1_000;
const HOST_LIMIT: usize = 1 << 10;

/// A source that asks to be read more often than this would be read without a pause.
const LEAST_PAUSE_MS: u32 = 100;

/// The highest severity: fatal.
const SEVERITY_LIMIT: u8 = 6;

impl Descriptor {
    pub(super) fn empty() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            config_schema: String::new(),
            streams: Vec::new(),
            kinds: Vec::new(),
            quotas: Vec::new(),
        }
    }
}

pub fn descriptor(given: wit::Descriptor) -> Result<Descriptor, GuestError> {
    let descriptor = Descriptor {
        name: given.name,
        version: given.version,
        config_schema: given.config_schema,
        streams: given.streams.into_iter().map(log_stream).collect(),
        kinds: given.kinds.into_iter().map(|kind| Kind { name: kind.name, labels: kind.labels }).collect(),
        quotas: given
            .quotas
            .into_iter()
            .map(|quota| Quota { name: quota.name, requests: quota.requests, window_ms: quota.window_ms })
            .collect(),
    };
    check_streams(&descriptor.streams)?;
    if let Some(quota) = descriptor.quotas.iter().find(|quota| quota.requests == 0 || quota.window_ms == 0) {
        return Err(GuestError::Breach(format!("the quota {:?} allows nothing", quota.name)));
    }
    Ok(descriptor)
}

fn check_streams(streams: &[LogStream]) -> Result<(), GuestError> {
    let breach = |what: String| Err(GuestError::Breach(what));
    if streams.len() > STREAMS_LIMIT {
        return breach(format!("{} streams are over the limit of {STREAMS_LIMIT}", streams.len()));
    }
    let mut names = BTreeSet::new();
    for stream in streams {
        if !is_name(&stream.name) {
            return breach(format!("{:?} is no name for a stream", cut(stream.name.clone())));
        }
        if !names.insert(stream.name.as_str()) {
            return breach(format!("there are two streams {:?}", stream.name));
        }
    }
    Ok(())
}

/// The begin of a text, if it is longer than any should be.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_LIMIT {
        text.truncate(text.floor_char_boundary(TEXT_LIMIT));
        text.push('…');
    }
    text
}

/// Names become parts of keys, paths and log lines.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.split('/').all(|part| !["", ".", ".."].contains(&part))
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
}

fn log_stream(given: wit::LogStream) -> LogStream {
    LogStream {
        name: given.name,
        description: cut(given.description),
        interval_ms: given.interval_ms.max(LEAST_PAUSE_MS),
        retention_ms: given.retention_ms,
        repeats_within_ms: given.repeats_within_ms,
        quota: given.quota,
    }
}

/// # Errors
/// [`GuestError::Breach`] when it names streams that cannot be, or more than any source has.
pub fn plan(given: wit::Plan) -> Result<Plan, GuestError> {
    let plan = Plan { streams: given.streams.into_iter().map(log_stream).collect(), hosts: given.hosts };
    check_streams(&plan.streams)?;
    if plan.hosts.len() > HOSTS_LIMIT || plan.hosts.iter().any(|host| host.len() > HOST_LIMIT) {
        return Err(GuestError::Breach(format!("its plan has more than {HOSTS_LIMIT} hosts, or one of over 1 KiB")));
    }
    Ok(plan)
}

/// # Errors
/// [`GuestError::Breach`] when the secret is longer than any is.
pub fn session(given: wit::Session) -> Result<Session, GuestError> {
    if given.secret.len() > SECRET_LIMIT {
        return Err(GuestError::Breach(format!("a session of {} bytes is over 64 KiB", given.secret.len())));
    }
    Ok(Session { secret: given.secret, expires_at: given.expires_at })
}

pub fn start(start: Start) -> wit::Start {
    match start {
        Start::Configured => wit::Start::Configured,
        Start::After(position) => wit::Start::After(position),
        Start::Oldest(position) => wit::Start::Oldest(position),
        Start::Now(position) => wit::Start::Now(position),
        Start::Span(begin, end) => wit::Start::Span((begin, end)),
    }
}

pub fn fault(given: wit::Fault) -> Fault {
    let (class, detail) = match given {
        wit::Fault::Configuration(detail) => (FaultClass::Configuration, detail),
        wit::Fault::Credentials(detail) => (FaultClass::Credentials, detail),
        wit::Fault::NotEntitled(detail) => (FaultClass::NotEntitled, detail),
        wit::Fault::SessionExpired(detail) => (FaultClass::SessionExpired, detail),
        wit::Fault::Throttled((pause, detail)) => (FaultClass::Throttled(pause), detail),
        wit::Fault::Unavailable(detail) => (FaultClass::Unavailable, detail),
        wit::Fault::PositionLost(detail) => (FaultClass::PositionLost, detail),
        wit::Fault::Protocol(detail) => (FaultClass::Protocol, detail),
    };
    let (code, message, hint) = (cut(detail.code), cut(detail.message), detail.hint.map(cut));
    Fault { class, code, message, hint, status: detail.status }
}

/// # Errors
/// [`GuestError::Limit`] when it is too large, [`GuestError::Breach`] when it breaks a rule of the contract; nothing of it is
/// used then.
pub fn chunk(given: wit::Chunk, kinds: usize, limits: &Limits) -> Result<Chunk, GuestError> {
    let breach = |what: String| Err(GuestError::Breach(what));
    let count = given.events.len() + given.malformed.len() + given.gaps.len();
    if count > limits.chunk_events {
        return Err(Limit::chunk_events(limits.chunk_events, count).into());
    }
    if given.position.len() > limits.position_bytes {
        return Err(Limit::position_bytes(limits.position_bytes, given.position.len()).into());
    }
    if let Some(malformed) = given.malformed.iter().find(|malformed| malformed.head.len() > HEAD_LIMIT) {
        return breach(format!("{} bytes of a malformed record are over the limit of 1 MiB", malformed.head.len()));
    }
    let counted = given.events.len() as u64 + given.malformed.len() as u64 + u64::from(given.merged);
    if u64::from(given.records) != counted {
        return breach(format!("{} records were read, but {counted} are accounted for", given.records));
    }
    if given.pieces.gone > 0 && given.gaps.is_empty() {
        return breach(format!("{} pieces are gone, and no gap says so", given.pieces.gone));
    }
    // One sink may take the events of several tenants: what is no text, or holds two lines, would spoil theirs.
    if let Err(error) = std::str::from_utf8(&given.bodies) {
        return breach(format!("the bodies are not UTF-8 at byte {}", error.valid_up_to()));
    }
    let mut begin = 0;
    let mut events = Vec::with_capacity(given.events.len());
    for (index, event) in given.events.into_iter().enumerate() {
        let end = event.end;
        if end <= begin || given.bodies.get(end as usize - 1) != Some(&b'\n') {
            return breach(format!("the body of event {index} does not end with its line feed at byte {end}"));
        }
        if given.bodies[begin as usize..end as usize - 1].contains(&b'\n') {
            return breach(format!("the body of event {index} is more than one line"));
        }
        if event.kind as usize >= kinds {
            return breach(format!("event {index} is of kind {}, and there are {kinds}", event.kind));
        }
        if event.severity > SEVERITY_LIMIT {
            return breach(format!("event {index} has the severity {}, and the highest is 6", event.severity));
        }
        events.push(Head {
            id: digest(event.id),
            time: event.time,
            kind: event.kind,
            class: event.class,
            severity: event.severity,
            alert_key: event.alert_key.map(digest),
            begin,
            end,
        });
        begin = end;
    }
    if begin as usize != given.bodies.len() {
        return breach(format!("the last event ends at byte {begin} of {}", given.bodies.len()));
    }
    Ok(Chunk {
        events,
        bodies: given.bodies.into(),
        malformed: given
            .malformed
            .into_iter()
            .map(|malformed| Malformed { reason: cut(malformed.reason), head: malformed.head, size: malformed.size })
            .collect(),
        gaps: given
            .gaps
            .into_iter()
            .map(|gap| Gap { what: cut(gap.what), begin: gap.begin, end: gap.end, reason: cut(gap.reason) })
            .collect(),
        pieces: Pieces { listed: given.pieces.listed, fetched: given.pieces.fetched, gone: given.pieces.gone },
        records: given.records,
        merged: given.merged,
        requests: given.requests,
        quota_left: given.quota_left,
        position: given.position,
        next: match given.next {
            wit::Next::More => Next::More,
            wit::Next::CaughtUp => Next::CaughtUp,
            wit::Next::Pause(pause) => Next::Pause(pause.max(LEAST_PAUSE_MS)),
        },
    })
}

fn digest((high, low): (u64, u64)) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(given: wit::Chunk, kinds: usize) -> Result<Chunk, GuestError> {
        chunk(given, kinds, &Limits::default())
    }

    fn event(end: u32) -> wit::Event {
        wit::Event { id: (1, u64::from(end)), time: 0, kind: 0, class: 4009, severity: 1, alert_key: None, end }
    }

    fn given() -> wit::Chunk {
        wit::Chunk {
            events: vec![event(3), event(6)],
            bodies: b"{}\n{}\n".to_vec(),
            malformed: vec![wit::Malformed { reason: "no JSON".into(), head: b"x".to_vec(), size: Some(1) }],
            gaps: Vec::new(),
            pieces: wit::Pieces { listed: 3, fetched: 2, gone: 0 },
            records: 4,
            merged: 1,
            requests: 1,
            quota_left: None,
            position: vec![0; Limits::POSITION],
            next: wit::Next::CaughtUp,
        }
    }

    #[test]
    fn a_lawful_chunk_passes_whole() {
        let chunk = judge(given(), 1).unwrap();
        assert_eq!(chunk.events.iter().map(|head| (head.begin, head.end)).collect::<Vec<_>>(), [(0, 3), (3, 6)]);
        assert_eq!(chunk.events[0].id, (1 << 64) + 3);
        assert_eq!((chunk.records, chunk.merged, chunk.malformed.len()), (4, 1, 1));
        assert_eq!(chunk.pieces, Pieces { listed: 3, fetched: 2, gone: 0 });
    }

    #[test]
    fn what_is_gone_is_told_as_a_gap() {
        let gap = wit::Gap { what: "a file".into(), begin: None, end: None, reason: "gone".into() };
        let given = wit::Chunk { gaps: vec![gap], pieces: wit::Pieces { listed: 0, fetched: 0, gone: 1 }, ..given() };
        assert_eq!(judge(given, 1).unwrap().pieces.gone, 1);
    }

    #[test]
    fn an_empty_chunk_is_lawful() {
        let empty = wit::Chunk { events: vec![], bodies: vec![], malformed: vec![], records: 1, ..given() };
        assert!(judge(empty, 0).is_ok());
    }

    #[test]
    fn each_breach_refuses_the_chunk() {
        let breaches: [fn(&mut wit::Chunk); 13] = [
            |chunk| chunk.pieces.gone = 1,
            |chunk| chunk.malformed[0].head = vec![0; HEAD_LIMIT + 1],
            |chunk| chunk.records += 1,
            |chunk| chunk.events[1].end = 5,
            |chunk| chunk.events[1].end = 3,
            |chunk| chunk.events[1].end = 7,
            |chunk| chunk.events[0].end = 0,
            |chunk| chunk.events[1].kind = 1,
            |chunk| chunk.events[1].severity = 7,
            |chunk| chunk.bodies.push(b'\n'),
            |chunk| chunk.bodies[2] = b' ',
            |chunk| chunk.bodies[4] = b'\n',
            |chunk| chunk.bodies[4] = 0xff,
        ];
        for (index, damage) in breaches.into_iter().enumerate() {
            let mut given = given();
            damage(&mut given);
            assert!(matches!(judge(given, 1), Err(GuestError::Breach(_))), "breach {index}");
        }
    }

    #[test]
    fn what_is_just_within_a_limit_passes() {
        let limits = Limits { chunk_events: 3, position_bytes: 10, ..Limits::default() };
        let lawful = wit::Chunk { position: vec![0; 10], ..given() };
        assert!(chunk(lawful.clone(), 1, &limits).is_ok());
        let long = wit::Chunk { position: vec![0; 11], ..lawful.clone() };
        assert_eq!(chunk(long, 1, &limits), Err(Limit::position_bytes(10, 11).into()));
        let gap = wit::Gap { what: "a file".into(), begin: None, end: None, reason: "gone".into() };
        let many = wit::Chunk { gaps: vec![gap], ..lawful };
        assert_eq!(chunk(many, 1, &limits), Err(Limit::chunk_events(3, 4).into()));
    }

    fn stream(name: &str) -> wit::LogStream {
        wit::LogStream {
            name: name.into(),
            description: String::new(),
            interval_ms: 0,
            retention_ms: None,
            repeats_within_ms: 0,
            quota: None,
        }
    }

    #[test]
    fn a_plan_names_each_stream_once_and_as_a_name() {
        let judge = |names: &[&str]| {
            let streams = names.iter().map(|name| stream(name)).collect();
            plan(wit::Plan { streams, hosts: vec!["https://a.example".into()] })
        };
        let lawful = judge(&["siem/receipt", "siem/av", "x.y_z-1"]).unwrap();
        assert_eq!(lawful.streams[0].interval_ms, LEAST_PAUSE_MS, "nothing is read without a pause");
        for names in [&["a", "a"][..], &[""], &["../up"], &["a/../b"], &["a//b"], &["/a"], &["a b"], &["a\n"]] {
            assert!(matches!(judge(names), Err(GuestError::Breach(_))), "{names:?}");
        }
        let many: Vec<String> = (0..=STREAMS_LIMIT).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(judge(&many).is_err() && judge(&many[1..]).is_ok());
        let hosts = |host: String| plan(wit::Plan { streams: Vec::new(), hosts: vec![host] });
        assert!(hosts("a".repeat(HOST_LIMIT + 1)).is_err() && hosts("a".repeat(HOST_LIMIT)).is_ok());
    }

    #[test]
    fn what_the_host_keeps_is_bounded() {
        let detail = |message: &str| wit::Detail {
            code: "c".into(),
            message: message.into(),
            hint: Some(message.into()),
            status: None,
        };
        let long = fault(wit::Fault::Protocol(detail(&"é".repeat(TEXT_LIMIT))));
        assert!(long.message.len() < TEXT_LIMIT + 4 && long.message.ends_with("é…"), "{} bytes", long.message.len());
        assert_eq!(long.hint, Some(long.message));
        let usual = fault(wit::Fault::Protocol(detail("it is so")));
        assert_eq!(usual.message, "it is so");
        let secret = |length| session(wit::Session { secret: vec![0; length], expires_at: None });
        assert!(secret(SECRET_LIMIT).is_ok() && secret(SECRET_LIMIT + 1).is_err());
    }
}
