//! Small answers that unpack to much more, in the real sandbox with its 32 MiB (P7): none stops the guest, none makes a large
//! chunk, and what comes after them is read.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{Body, Budget, Context, Next, RequestOptions, Sent, Start, Transport, TransportError};
use tributary_tests::guest::{API, STORAGE, egress};
use tributary_tests::world::component;

const NOW_S: u64 = 1_772_971_200;
const MIB: usize = 1 << 20;

/// Serves one bomb and one good file of API 2.0, or one archive of API 1.0.
struct Served {
    bomb: Bytes,
    good: Bytes,
}

impl Transport for Served {
    fn send(&self, request: http::Request<Body>, _: RequestOptions) -> Sent {
        let (mut token, path) = (None, request.uri().path().to_owned());
        let body = match &*path {
            "/siem/v1/batch/events/cg" => Bytes::from(format!(
                r#"{{"value":[{{"url":"{STORAGE}/bomb.json.gz"}},{{"url":"{STORAGE}/good.json.gz"}}],"@nextPage":"bmV4dA==","isCaughtUp":true}}"#
            )),
            "/bomb.json.gz" => self.bomb.clone(),
            "/good.json.gz" => self.good.clone(),
            "/api/audit/get-siem-logs" => {
                token = Some("next");
                self.bomb.clone()
            }
            _ => panic!("{path}"),
        };
        Box::pin(async move {
            let asked = request.into_body().collect().await.map_err(|_| TransportError::Closed)?.to_bytes();
            // Behind the archive there is no more.
            let last = br#""token":"next""#;
            if token.is_some() && asked.windows(last.len()).any(|part| part == last) {
                let body = Bytes::from_static(br#"{"meta":{"isLastToken":true,"status":200},"data":[],"fail":[]}"#);
                return Ok(http::Response::new(pieces(body)));
            }
            let mut response = http::Response::new(pieces(body));
            if let Some(token) = token {
                response.headers_mut().insert("mc-siem-token", http::HeaderValue::from_static(token));
                response
                    .headers_mut()
                    .insert("content-type", http::HeaderValue::from_static("application/octet-stream"));
            }
            Ok(response)
        })
    }
}

/// As a socket would bring it.
fn pieces(body: Bytes) -> Body {
    let starts = (0..body.len()).step_by(16 << 10);
    let pieces = starts.map(move |start| Ok(Frame::data(body.slice(start..body.len().min(start + (16 << 10))))));
    StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A ZIP archive with one member: `times` as often `piece`.
fn zip(piece: &[u8], times: u32) -> Vec<u8> {
    // Byte-aligned and without memory of what was before, so it can be repeated.
    let (mut packed, mut once) = (Compress::new(Compression::best(), false), Vec::with_capacity(piece.len() + 1024));
    packed.compress_vec(piece, &mut once, FlushCompress::Full).unwrap();
    let mut data: Vec<u8> = once.repeat(times as usize);
    data.extend([3, 0]);
    let (mut crc, mut part) = (Crc::new(), Crc::new());
    part.update(piece);
    (0..times).for_each(|_| crc.combine(&part));
    let name = b"receipt_20260308110000000_siem.log";
    let sizes = [crc.sum(), data.len() as u32, piece.len() as u32 * times].map(u32::to_le_bytes).concat();
    let common =
        [&[20, 0, 0, 0, 8, 0, 0, 0, 0x68, 0x5c][..], &sizes, &(name.len() as u16).to_le_bytes(), &[0, 0]].concat();
    let mut archive = [&b"PK\x03\x04"[..], &common, name, &data].concat();
    let directory = archive.len() as u32;
    archive.extend([&b"PK\x01\x02\x14\0"[..], &common, &[0; 14], name].concat());
    let length = archive.len() as u32 - directory;
    archive.extend(
        [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &length.to_le_bytes(), &directory.to_le_bytes(), &[0, 0]].concat(),
    );
    archive
}

struct Read {
    events: usize,
    malformed: usize,
    /// Bytes that the host was given of what cannot be read.
    heads: usize,
    largest_chunk: usize,
    memory: usize,
}

async fn read(stream: &str, account: &str, bomb: Vec<u8>, good: &[u8]) -> Read {
    let context = Context {
        source: "test".into(),
        egress: Arc::new(egress()),
        transport: Arc::new(Served { bomb: bomb.into(), good: gzip(good).into() }),
        clock: Clock::simulated(Duration::from_secs(NOW_S)),
        random: Random::seeded(1),
        notes: Arc::default(),
    };
    let configuration =
        format!(r#"{{{account},"tenant":"acme","start_at":"2d","base_url":"{API}","insecure_http":true}}"#);
    let mut guest = component().await.instantiate(&context).await.unwrap();
    guest.open(&configuration, stream, Start::Configured).await.unwrap();
    let mut read = Read { events: 0, malformed: 0, heads: 0, largest_chunk: 0, memory: 0 };
    loop {
        let chunk = guest.pull(br#"{"token":"made-up"}"#, Budget::default()).await.unwrap();
        assert!(chunk.gaps.is_empty(), "{:?}", chunk.gaps);
        let heads: usize = chunk.malformed.iter().map(|malformed| malformed.head.len()).sum();
        read.events += chunk.events.len();
        read.malformed += chunk.malformed.len();
        read.heads += heads;
        read.largest_chunk = read.largest_chunk.max(chunk.bodies.len() + heads);
        read.memory = guest.peak_memory();
        if chunk.next == Next::CaughtUp {
            return read;
        }
    }
}

const V2: &str = r#""client_id":"made-up","client_secret":"made-up""#;
const V1: &str = r#""api":"1.0","administrator_email":"a@acme.example","app_id":"made-up","app_key":"made-up","access_key":"bWFkZS11cA==","secret_key":"bWFkZS11cA==""#;

fn record(number: usize) -> String {
    format!(
        "{{\"type\":\"receipt\",\"timestamp\":1772967600000,\"aggregateId\":\"a{number}\",\"processingId\":\"p{number}\",\"subject\":\"s\"}}\n"
    )
}

#[tokio::test(start_paused = true)]
async fn a_file_that_unpacks_a_thousandfold_takes_no_more_memory_than_another() {
    let good: String = (0..3).map(record).collect();
    // What it is, how often a MiB of it, how many records cannot be read.
    let one_line = vec![0; MIB];
    let no_lines = vec![b'\n'; MIB];
    let brackets = vec![b'['; MIB];
    let objects = b"{\"a\":".repeat(MIB / 5);
    for (what, piece, times, malformed) in [
        ("a line of half a gigabyte", &one_line, 512, 1),
        ("half a gigabyte of empty lines", &no_lines, 512, 0),
        ("open brackets", &brackets, 256, 1),
        ("open objects", &objects, 256, 1),
    ] {
        let member = gzip(piece);
        let bomb = member.repeat(times);
        assert!(bomb.len() * 500 < piece.len() * times, "{what}: {} MiB of {} bytes", times, bomb.len());
        let read = read("siem/receipt", V2, bomb, good.as_bytes()).await;
        println!(
            "{what}: {:.1} MiB of memory, {:.2} MiB handed over at most",
            read.memory as f64 / MIB as f64,
            read.largest_chunk as f64 / MIB as f64
        );
        assert_eq!((read.events, read.malformed), (3, malformed), "{what}");
        assert!(read.heads <= 2 * MIB && read.largest_chunk <= 5 * MIB, "{what}: {} bytes", read.heads);
        assert!(read.memory < 16 * MIB, "{what}: {} bytes", read.memory);
    }
}

/// Millions of members without anything in them, and as many records as fit into a bomb.
#[tokio::test(start_paused = true)]
async fn a_file_of_empty_members_and_one_of_equal_records_are_read_to_the_end() {
    let good: String = (0..3).map(record).collect();
    let read_of = async |bomb: Vec<u8>| read("siem/receipt", V2, bomb, good.as_bytes()).await;
    let empty = read_of(gzip(b"").repeat(500_000)).await;
    assert_eq!((empty.events, empty.malformed, empty.memory < 16 * MIB), (3, 0, true));
    let records = record(7);
    let count = 200_000;
    let equal = read_of(gzip(records.repeat(count).as_bytes())).await;
    assert_eq!((equal.events, equal.malformed), (count + 3, 0));
    assert!(equal.memory < 16 * MIB && equal.largest_chunk < 5 * MIB, "{} {}", equal.memory, equal.largest_chunk);
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_unpacks_a_thousandfold_does_neither() {
    let bomb = zip(&vec![0; MIB], 512);
    assert!(bomb.len() < MIB);
    let bad = read("siem", V1, bomb, b"").await;
    assert_eq!((bad.events, bad.malformed, bad.memory < 16 * MIB), (0, 1, true), "{} bytes", bad.memory);
    assert!(bad.heads <= MIB);
    let line = "datetime=2026-03-08T11:00:00+0000|aCode=a|acc=C1A1|Sender=a@acme.example|Subject=s\n";
    let good = read("siem", V1, zip(line.as_bytes(), 1), b"").await;
    assert_eq!((good.events, good.malformed), (1, 0));
}
