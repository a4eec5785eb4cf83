//! The collecting core against the simulated Mimecast, natively: every stream of both generations, and every way in which
//! the simulator can be told to misbehave. What comes out is compared with what the simulator knows to be there.

use std::collections::{BTreeMap, BTreeSet};

use mimecast_simulator::{Credentials, Endpoint, Fault, Kind, Mark, Request, Reset, Settings, Simulator, Tenant, When};
use mimecast_source::chunk::{Budget, FaultClass, Next, Start};
use mimecast_source::code::Code;
use mimecast_source::effects::{self, Body, Effects, Method, TransportError};
use mimecast_source::{Reader, authenticate, plan_for};

const MINUTE: u64 = 60_000;

/// The outside: the simulator in memory, and a clock that moves when the host waits.
struct World {
    simulator: Simulator,
    now_ms: u64,
    random: u64,
}

impl Effects for World {
    fn now(&mut self) -> u64 {
        self.now_ms * 1_000_000
    }

    fn monotonic_ms(&mut self) -> u64 {
        self.now_ms
    }

    fn random(&mut self) -> [u8; 16] {
        self.random += 1;
        u128::from(self.random).to_be_bytes()
    }

    fn send(&mut self, request: effects::Request) -> Result<effects::Response, TransportError> {
        let mut asked = match request.method {
            Method::Get => Request::get(&request.url),
            Method::Post => Request::post(&request.url, request.body),
        };
        for (name, value) in request.headers {
            asked = asked.header(name, value);
        }
        let answer = self.simulator.handle(&asked, self.now_ms);
        self.now_ms += 20 + answer.delay_ms;
        let length = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let promised = length.and_then(|(_, value)| value.parse::<usize>().ok()).unwrap_or(answer.body.len());
        let cut = answer.cut_after.unwrap_or(usize::MAX).min(answer.body.len());
        let broken = cut < answer.body.len() || promised > answer.body.len();
        let headers = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes()))
            .collect();
        Ok(effects::Response {
            status: answer.status,
            headers,
            body: Box::new(Sent { bytes: answer.body[..cut].to_vec(), at: 0, broken }),
        })
    }
}

struct Sent {
    bytes: Vec<u8>,
    at: usize,
    broken: bool,
}

impl Body for Sent {
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        if self.at == self.bytes.len() {
            let closed = TransportError { code: Code::Closed, message: "the connection broke off".into() };
            return if self.broken { Err(closed) } else { Ok(None) };
        }
        let end = self.bytes.len().min(self.at + 8_192);
        let piece = self.bytes[self.at..end].to_vec();
        self.at = end;
        Ok(Some(piece))
    }
}

/// A host as small as can be: positions, a session, and what it saw.
struct Host {
    config: String,
    world: World,
    session: Vec<u8>,
    positions: BTreeMap<String, Vec<u8>>,
    /// Ids that were seen, and the marks of the events that were new.
    seen: BTreeSet<mimecast_source::chunk::Digest>,
    found: BTreeMap<(String, Mark), u32>,
    malformed: Vec<String>,
    gaps: Vec<String>,
    repeated: usize,
    faults: Vec<mimecast_source::chunk::Fault>,
}

impl Host {
    fn new(tenant: Tenant, prepare: impl FnOnce(&mut Settings)) -> Self {
        let credentials = match &tenant.credentials {
            Credentials::V2 { client_id, client_secret } => {
                format!(r#""client_id":"{client_id}","client_secret":"{client_secret}""#)
            }
            Credentials::V1 { app_id, app_key, access_key, secret_key, .. } => format!(
                r#""api":"1.0","app_id":"{app_id}","app_key":"{app_key}","access_key":"{access_key}","secret_key":"{secret_key}""#
            ),
        };
        // API 1.0 decides itself how much an archive holds.
        let siem = if credentials.contains("client_id") { r#","siem":10"# } else { "" };
        let page_sizes = format!(r#""audit":20{siem}"#);
        let config = format!(
            r#"{{{credentials},"base_url":"https://api.simulator.test","tenant":"one","page_sizes":{{{page_sizes}}}}}"#
        );
        let mut settings =
            Settings { tenants: vec![tenant], records_per_file: 60, quota_factor: 30, ..Settings::default() };
        prepare(&mut settings);
        let now_ms = settings.start_ms;
        let world = World { simulator: Simulator::new(settings).unwrap(), now_ms, random: 0 };
        Self {
            config,
            world,
            session: Vec::new(),
            positions: BTreeMap::new(),
            seen: BTreeSet::new(),
            found: BTreeMap::new(),
            malformed: Vec::new(),
            gaps: Vec::new(),
            repeated: 0,
            faults: Vec::new(),
        }
    }

    fn inject(&mut self, fault: Fault, when: When) {
        self.world.simulator.inject("one", fault, when).unwrap();
    }

    fn authenticate(&mut self) {
        for _ in 0..20 {
            match authenticate(&self.config, &mut self.world) {
                Ok(session) => {
                    self.session = session.secret;
                    return;
                }
                Err(fault) => self.wait(fault),
            }
        }
        panic!("no session: {:?}", self.faults);
    }

    fn wait(&mut self, fault: mimecast_source::chunk::Fault) {
        self.world.now_ms += match fault.class {
            FaultClass::Throttled(ms) => u64::from(ms),
            _ => 5_000,
        };
        self.faults.push(fault);
    }

    /// One poll of every stream, until each is caught up. `fresh` opens a new reader for every pull.
    fn poll(&mut self, budget: Budget, fresh: bool) {
        if self.session.is_empty() {
            self.authenticate();
        }
        for stream in plan_for(&self.config).unwrap().streams {
            self.stream(&stream.name, budget, fresh);
        }
    }

    fn stream(&mut self, stream: &str, budget: Budget, fresh: bool) {
        let mut reader: Option<Reader> = None;
        let mut faults = 0;
        let mut lost = false;
        for _ in 0..100_000 {
            let mut open = reader.take().unwrap_or_else(|| {
                let start = match self.positions.get(stream) {
                    Some(position) if lost => Start::Oldest(Some(position.clone())),
                    Some(position) => Start::After(position.clone()),
                    None => Start::Configured,
                };
                lost = false;
                Reader::open(&self.config, stream, start).unwrap()
            });
            match open.pull(&mut self.world, &self.session, &budget) {
                Ok(chunk) => {
                    self.take(stream, &chunk);
                    match chunk.next {
                        Next::CaughtUp => return,
                        Next::Pause(ms) => self.world.now_ms += u64::from(ms),
                        Next::More => {}
                    }
                    if !fresh {
                        reader = Some(open);
                    }
                }
                Err(fault) => {
                    faults += 1;
                    assert!(faults < 30, "{stream}: {fault}");
                    match fault.class {
                        FaultClass::SessionExpired => {
                            self.faults.push(fault);
                            self.authenticate();
                        }
                        FaultClass::NotEntitled | FaultClass::Configuration | FaultClass::Credentials => {
                            self.faults.push(fault);
                            return;
                        }
                        FaultClass::PositionLost => {
                            self.faults.push(fault);
                            lost = true;
                        }
                        _ => self.wait(fault),
                    }
                }
            }
        }
        panic!("{stream} is never caught up: {:?}", self.faults);
    }

    fn take(&mut self, stream: &str, chunk: &mimecast_source::chunk::Chunk) {
        let position = String::from_utf8(chunk.position.clone()).unwrap();
        assert!(
            position.len() <= 64 << 10 && !position.contains("X-Amz") && !position.contains("Signature"),
            "{position}"
        );
        self.positions.insert(stream.to_owned(), chunk.position.clone());
        assert_eq!(chunk.records as usize, chunk.events.len() + chunk.malformed.len() + chunk.merged as usize);
        let mut begin = 0;
        for event in &chunk.events {
            let body = &chunk.bodies[begin..event.end as usize];
            begin = event.end as usize;
            if !self.seen.insert(event.id) {
                self.repeated += 1;
                continue;
            }
            let mark = Mark::find_all(body).first().copied();
            let mark = mark.unwrap_or_else(|| panic!("no mark in {}", String::from_utf8_lossy(body)));
            *self.found.entry((stream.to_owned(), mark)).or_default() += 1;
        }
        self.malformed.extend(chunk.malformed.iter().map(|piece| piece.reason.clone()));
        self.gaps.extend(chunk.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.reason)));
    }

    fn truth(&self, until_ms: u64) -> BTreeMap<(String, Mark), u32> {
        let issued = self.world.simulator.truth("one", until_ms).filter(|issued| !issued.lost);
        issued.map(|issued| ((issued.stream.to_owned(), issued.mark), issued.count)).collect()
    }

    /// Everything that could be seen when the last poll began was found, and nothing that is not there.
    fn compare(&self, before_ms: u64, what: &str) {
        let truth = self.truth(self.world.now_ms);
        for (record, count) in &self.found {
            assert_eq!(truth.get(record), Some(count), "{what}: {record:?} is not what was issued");
        }
        let missing: Vec<_> =
            self.truth(before_ms).into_keys().filter(|record| !self.found.contains_key(record)).collect();
        assert!(
            missing.is_empty(),
            "{what}: {} missing of {}: {:?} {:?}",
            missing.len(),
            truth.len(),
            missing.first(),
            self.faults
        );
        assert!(self.found.len() > 200, "{what}");
        for fault in &self.faults {
            assert!(fault.hint.is_some(), "{fault}");
        }
    }

    /// The backlog, two polls while it goes on, and one long after.
    fn run(&mut self, budget: Budget, fresh: bool, what: &str) {
        self.poll(budget, fresh);
        for _ in 0..2 {
            self.world.now_ms += 16 * MINUTE;
            self.poll(budget, fresh);
        }
        let before = self.world.now_ms;
        self.world.now_ms += 40 * MINUTE;
        self.poll(budget, fresh);
        self.compare(before, what);
    }
}

fn v2() -> Host {
    Host::new(Tenant::v2("one", 300), |_| {})
}

fn v1() -> Host {
    Host::new(Tenant::v1("one", 300), |_| {})
}

/// A shorter past, for tests that collect it many times.
fn short(tenant: Tenant) -> Host {
    Host::new(tenant, |settings| settings.backlog_ms = 36 * 60 * MINUTE)
}

#[test]
fn both_generations_give_exactly_the_truth() {
    for (mut host, name) in [(v2(), "2.0"), (v1(), "1.0")] {
        host.run(Budget::default(), false, name);
        assert!(
            host.faults
                .iter()
                .all(|fault| matches!(fault.class, FaultClass::Throttled(_) | FaultClass::SessionExpired)),
            "{:?}",
            host.faults
        );
        assert!(host.malformed.is_empty() && host.gaps.is_empty(), "{:?} {:?}", host.malformed, host.gaps);
    }
}

#[test]
fn a_new_reader_for_every_pull_gives_the_same() {
    for (mut host, mut whole) in [(v2(), v2()), (v1(), v1())] {
        whole.poll(Budget::default(), false);
        host.poll(Budget { events: 23, ..Budget::default() }, true);
        assert!(host.malformed.is_empty() && host.gaps.is_empty());
        let early =
            |host: &Host| host.truth(host.world.simulator.settings().start_ms).into_keys().collect::<BTreeSet<_>>();
        for record in early(&whole) {
            assert_eq!(host.found.get(&record), whole.found.get(&record));
        }
        assert!(whole.seen.is_subset(&host.seen), "the same ids");
    }
}

/// Every fault, early in the backlog and again later.
#[test]
fn every_fault_of_api_2_is_survived_without_loss() {
    use Endpoint::{Audit, SiemBatch, Storage, Token};
    let mut faults = vec![
        Fault::ShortToken { seconds: 2 },
        Fault::ExpiresInMissing,
        Fault::NextPageMissing,
        Fault::CaughtUpWithFiles,
        Fault::DuplicateUrl,
        Fault::FileOnTwoPages,
        Fault::EmptyFile,
        Fault::ZeroByteFile,
        Fault::UrlExpired,
        Fault::UrlGone,
        Fault::TruncatedGzip,
        Fault::WrongContentLength,
        Fault::GzipEncodingHeader,
        Fault::RowsInsertedDuringPaging { count: 3 },
        Fault::GluedObjects { at: Storage },
        Fault::BadLine { at: Storage },
        Fault::Status { at: Token, status: 503 },
        Fault::TooManyRequests { at: SiemBatch, reset: Reset::Bare },
        Fault::Forbidden { at: SiemBatch, kind: Some(Kind::Av) },
    ];
    for at in [SiemBatch, Audit, Storage] {
        faults.extend([
            Fault::Status { at, status: 500 },
            Fault::Status { at, status: 404 },
            Fault::HtmlError { at },
            Fault::Slow { at, delay_ms: 30_000 },
            Fault::ConnectionCut { at, after: 100 },
        ]);
    }
    for at in [SiemBatch, Audit] {
        faults.extend([
            Fault::TooManyRequests { at, reset: Reset::Decimal(3_000) },
            Fault::TooManyRequests { at, reset: Reset::EpochSeconds(30) },
            Fault::FailWith200 { at },
            Fault::Unauthorized { at },
            Fault::TokenExpiresNow { at },
            Fault::InvalidClientIdentifier { at },
            Fault::TokenVerificationFailed { at },
            Fault::EmptyPageWithNext { at },
            Fault::RepeatedToken { at },
            Fault::CursorRefused { at },
            Fault::LateRows { at, count: 4, late_ms: 10 * MINUTE },
        ]);
    }
    for fault in faults {
        let mut host = short(Tenant::v2("one", 300));
        host.inject(fault.clone(), When::First(2));
        host.inject(fault.clone(), When::After { skip: 7, count: 1 });
        host.run(Budget { events: 500, ..Budget::default() }, false, &format!("{fault:?}"));
        let fired: u64 = host.world.simulator.fired("one").iter().map(|(_, count)| count).sum();
        assert!(fired > 0, "{fault:?} never fired");
        let planted = host.world.simulator.malformed("one");
        assert_eq!(host.malformed.len(), planted, "{fault:?}: {:?}", host.malformed);
        assert!(host.gaps.is_empty(), "{fault:?}: {:?}", host.gaps);
    }
}

#[test]
fn every_fault_of_api_1_is_survived_without_loss() {
    use Endpoint::{Account, Audit, SiemLogs};
    let mut faults = vec![
        Fault::DeveloperKey { at: Account },
        Fault::BrokenMember,
        Fault::MemberWithPath,
        Fault::UnknownPrefix,
        Fault::GuidName,
        Fault::SiemTokenHeaderMissing,
        Fault::RecordWithoutDatetime,
        Fault::RowsInsertedDuringPaging { count: 3 },
        Fault::BadLine { at: SiemLogs },
        Fault::GluedObjects { at: SiemLogs },
    ];
    for at in [SiemLogs, Audit] {
        faults.extend([
            Fault::Status { at, status: 500 },
            Fault::HtmlError { at },
            Fault::TooManyRequests { at, reset: Reset::RetryAfter(2) },
            Fault::Slow { at, delay_ms: 30_000 },
            Fault::ConnectionCut { at, after: 300 },
            Fault::FailWith200 { at },
            Fault::EmptyPageWithNext { at },
            Fault::RepeatedToken { at },
            Fault::CursorRefused { at },
            Fault::LateRows { at, count: 4, late_ms: 10 * MINUTE },
        ]);
    }
    for fault in faults {
        let mut host = short(Tenant::v1("one", 300));
        host.inject(fault.clone(), When::First(1));
        host.inject(fault.clone(), When::After { skip: 3, count: 1 });
        host.run(Budget { events: 500, ..Budget::default() }, false, &format!("{fault:?}"));
        let fired: u64 = host.world.simulator.fired("one").iter().map(|(_, count)| count).sum();
        assert!(fired > 0, "{fault:?} never fired");
        let planted = host.world.simulator.malformed("one");
        assert_eq!(host.malformed.len(), planted, "{fault:?}: {:?}", host.malformed);
        assert!(host.gaps.is_empty(), "{fault:?}: {:?}", host.gaps);
    }
}

#[test]
fn faults_that_only_the_operator_mends_are_told_as_such() {
    for (fault, class) in [
        (Fault::BindingExpired { at: Endpoint::SiemLogs }, FaultClass::Credentials),
        (Fault::DeveloperKey { at: Endpoint::SiemLogs }, FaultClass::Configuration),
        (Fault::WrongRegion { at: Endpoint::SiemLogs }, FaultClass::Configuration),
        (Fault::Forbidden { at: Endpoint::SiemLogs, kind: None }, FaultClass::NotEntitled),
    ] {
        let mut host = v1();
        host.authenticate();
        host.inject(fault.clone(), When::Always);
        host.stream("siem", Budget::default(), false);
        assert_eq!(host.faults.last().map(|fault| fault.class), Some(class), "{fault:?}");
        // The other stream goes on.
        let told = host.faults.len();
        host.stream("audit", Budget::default(), false);
        assert_eq!(host.faults.len(), told, "{fault:?}");
    }
    // Wrong credentials.
    for (mut host, key) in [(v2(), "client_secret"), (v1(), "access_key")] {
        let mut config: serde_json::Value = serde_json::from_str(&host.config).unwrap();
        config[key] = "wrong".into();
        let fault = authenticate(&config.to_string(), &mut host.world).unwrap_err();
        assert_eq!(fault.class, FaultClass::Credentials, "{fault}");
    }
}

#[test]
fn a_long_stop_is_mended_or_told() {
    for (mut host, stream) in [(v2(), "siem/receipt"), (v1(), "siem")] {
        host.authenticate();
        host.stream(stream, Budget::default(), false);
        // Three days: nothing is lost, and nothing is told.
        host.world.now_ms += 3 * 24 * 60 * MINUTE;
        host.session.clear();
        host.authenticate();
        host.stream(stream, Budget::default(), false);
        assert!(host.gaps.is_empty(), "{:?}", host.gaps);
        let before = host.world.now_ms;
        let missing = host
            .truth(before)
            .into_keys()
            .filter(|(of, mark)| of == stream && !host.found.contains_key(&(of.clone(), *mark)));
        assert_eq!(missing.count(), 0);
        // Ten days: the cursor is refused, the position is lost, and the gap is told.
        host.world.now_ms += 10 * 24 * 60 * MINUTE;
        host.authenticate();
        host.stream(stream, Budget::default(), false);
        assert!(!host.gaps.is_empty(), "{stream}");
        let (before, recent) = (host.world.now_ms, host.world.now_ms - 6 * 24 * 60 * MINUTE);
        let kept: Vec<_> = host
            .world
            .simulator
            .truth("one", before)
            .filter(|issued| issued.stream == stream && issued.time_ms > recent)
            .collect();
        assert!(!kept.is_empty(), "{stream}");
        let lost = kept.iter().filter(|issued| !host.found.contains_key(&(stream.to_owned(), issued.mark)));
        assert_eq!(lost.count(), 0, "{stream}: of {}", kept.len());
    }
}
