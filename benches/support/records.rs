//! SIEM records as the simulator serves them: all ten types, in the mixture of its messages.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use mimecast_simulator as sim;
use mimecast_source::chunk::Timestamp;
use mimecast_source::effects::{self, Effects};
use mimecast_source::kind::Kind;

use super::{API, LISTING, STORAGE};

/// The same records in several wrappings.
pub struct Records {
    /// The simulator's files one after the other: gzip of many members, which is gzip.
    pub gzip: Bytes,
    /// The same, unpacked: NDJSON.
    pub plain: Bytes,
    pub count: u64,
    /// When the simulator served them, since the epoch.
    pub served_ms: u64,
}

impl Records {
    /// Some `wanted` records, as many as whole files hold.
    pub fn new(wanted: usize) -> Self {
        let tenant = sim::Tenant::v2("acme", 200_000);
        let sim::Credentials::V2 { client_id, client_secret } = &tenant.credentials else {
            unreachable!("a tenant of API 2.0 has such credentials")
        };
        let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
        let settings = sim::Settings {
            tenants: vec![tenant.clone()],
            api_url: API.to_owned(),
            storage_url: STORAGE.to_owned(),
            ..sim::Settings::default()
        };
        let now = settings.start_ms;
        let mut simulator = sim::Simulator::new(settings).expect("the settings are good");
        let mut ask = |request: &sim::Request| {
            let answer = simulator.handle(request, now);
            assert_eq!(answer.status, 200, "{request:?}");
            answer.body
        };
        let login = sim::Request::post(&format!("{API}/oauth/token"), form)
            .header("content-type", "application/x-www-form-urlencoded");
        let token = json(&ask(&login))["access_token"].as_str().expect("a token").to_owned();

        let cloud_gateway =
            |kind: &&Kind| !matches!(kind, Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick);
        let types: Vec<&str> = Kind::ALL.iter().filter(cloud_gateway).filter_map(|kind| kind.api2_type()).collect();
        assert_eq!(types.len(), 10);
        let listing =
            format!("{API}/siem/v1/batch/events/cg?type={}&pageSize=100", types.join(",").replace(' ', "%20"));
        let mut query = format!("{listing}&dateRangeStartsAt=2025-05-27");
        let (mut gzip, mut plain, mut count) = (Vec::new(), Vec::new(), 0);
        'pages: loop {
            let page = json(&ask(&sim::Request::get(&query).header("authorization", format!("Bearer {token}"))));
            for file in page["value"].as_array().expect("files") {
                let body = ask(&sim::Request::get(file["url"].as_str().expect("an address")));
                gzip.extend_from_slice(&body);
                let begin = plain.len();
                flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).expect("gzip");
                count += memchr::memchr_iter(b'\n', &plain[begin..]).count();
                if count >= wanted {
                    break 'pages;
                }
            }
            query = format!("{listing}&nextPage={}", page["@nextPage"].as_str().expect("a next page"));
        }
        Self { gzip: gzip.into(), plain: plain.into(), count: count as u64, served_ms: now }
    }

    /// Each line with its first byte replaced: no JSON from the beginning.
    pub fn refused_at_once(&self) -> Bytes {
        let mut bytes = self.plain.to_vec();
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', &self.plain) {
            bytes[begin] = b'x';
            begin = end + 1;
        }
        bytes.into()
    }

    /// Each line with its last byte replaced: scanned to the end before it turns out to be no JSON.
    pub fn refused_at_last(&self) -> Bytes {
        let mut bytes = self.plain.to_vec();
        for end in memchr::memchr_iter(b'\n', &self.plain) {
            bytes[end - 1] = b'x';
        }
        bytes.into()
    }
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// One member of gzip.
pub fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it").into()
}

/// The same canned answers for the core compiled natively.
pub struct Native {
    pub file: Bytes,
    pub now: Timestamp,
}

impl Effects for Native {
    fn now(&mut self) -> Timestamp {
        self.now
    }

    /// The real clock: the guest reads it as often.
    fn monotonic_ms(&mut self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000
    }

    fn random(&mut self) -> [u8; 16] {
        [7; 16]
    }

    fn send(&mut self, request: effects::Request) -> Result<effects::Response, effects::TransportError> {
        let bytes = if request.url.starts_with(API) { Bytes::from_static(LISTING) } else { self.file.clone() };
        Ok(effects::Response { status: 200, headers: Vec::new(), body: Box::new(Body { bytes, at: 0 }) })
    }
}

/// In pieces of the guest's reads.
pub struct Body {
    bytes: Bytes,
    at: usize,
}

impl Body {
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }
}

impl effects::Body for Body {
    fn next(&mut self) -> Result<Option<Vec<u8>>, effects::TransportError> {
        let end = self.bytes.len().min(self.at + super::PIECE);
        let piece = self.bytes[self.at..end].to_vec();
        self.at = end;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// The native core's reading of everything, chunk by chunk.
pub fn drain(native: &mut Native, configuration: &str, mut sink: impl FnMut(mimecast_source::chunk::Chunk)) {
    let start = mimecast_source::chunk::Start::Configured;
    let budget = mimecast_source::chunk::Budget::default();
    let mut reader = mimecast_source::Reader::open(configuration, super::STREAM, start).expect("the stream opens");
    loop {
        let chunk = reader.pull(native, super::SESSION, &budget).expect("the canned answers are good");
        let next = chunk.next;
        sink(chunk);
        if next != mimecast_source::chunk::Next::More {
            return;
        }
    }
}
