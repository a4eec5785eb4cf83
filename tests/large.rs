//! A file of half a gigabyte through a guest of 32 MiB (P7): neither its memory nor the host's grows with the file.
//!
//! Alone in its process, whose memory is measured.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{Body, Budget, Context, Limits, Next, RequestOptions, Sent, Start, Transport};
use tributary_tests::guest::{API, STORAGE, egress};
use tributary_tests::world::component;

const NOW_S: u64 = 1_772_971_200;
const MIB: usize = 1 << 20;

/// Of the packed file, in bytes.
const SIZE: usize = 500_000_000;

/// Serves one file: a member of gzip again and again, which is gzip. The whole is never in memory.
struct Served {
    member: Bytes,
    times: usize,
}

impl Transport for Served {
    fn send(&self, request: http::Request<Body>, _: RequestOptions) -> Sent {
        let body = match request.uri().path() {
            "/siem/v1/batch/events/cg" => {
                let listing = format!(
                    r#"{{"value":[{{"url":"{STORAGE}/large.json.gz"}}],"@nextPage":"bmV4dA==","isCaughtUp":true}}"#
                );
                Full::new(Bytes::from(listing)).map_err(|never| match never {}).boxed_unsync()
            }
            "/large.json.gz" => pieces(self.member.clone(), self.times),
            path => panic!("{path}"),
        };
        Box::pin(async move { Ok(http::Response::new(body)) })
    }
}

/// As a socket would bring them.
fn pieces(member: Bytes, times: usize) -> Body {
    const PIECE: usize = 16 << 10;
    let pieces = (0..times).flat_map(move |_| {
        let member = member.clone();
        let starts = (0..member.len()).step_by(PIECE);
        starts.map(move |start| Ok(Frame::data(member.slice(start..member.len().min(start + PIECE)))))
    });
    StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
}

/// Records of 1 KiB to 600 KiB in which hardly anything repeats, as lines, and how many they are.
fn records() -> (String, usize) {
    let mut state = 1u64;
    let mut noise = |length: usize| {
        let bytes = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        STANDARD.encode(bytes.take(length / 4 * 3).collect::<Vec<u8>>())
    };
    let lengths = [&[1 << 10; 200][..], &[100 << 10; 8], &[600 << 10; 2]].concat();
    let line = |(number, length): (usize, &usize)| {
        format!(
            "{{\"type\":\"receipt\",\"timestamp\":1772967600000,\"aggregateId\":\"a{number}\",\"processingId\":\"p{number}\",\"subject\":\"{}\"}}\n",
            noise(*length)
        )
    };
    (lengths.iter().enumerate().map(line).collect(), lengths.len())
}

/// A figure of this process, in bytes.
fn resident(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// What it took to read a file.
#[derive(Default)]
struct Read {
    events: usize,
    /// Of bodies.
    bytes: usize,
    largest_chunk: usize,
    guest: usize,
    /// What the host's memory grew by at most.
    growth: usize,
}

async fn read(member: Bytes, times: usize) -> Read {
    let context = Context {
        source: "test".into(),
        egress: Arc::new(egress()),
        transport: Arc::new(Served { member, times }),
        clock: Clock::simulated(Duration::from_secs(NOW_S)),
        random: Random::seeded(1),
        notes: Arc::default(),
    };
    let configuration = format!(
        r#"{{"client_id":"made-up","client_secret":"made-up","tenant":"acme","start_at":"2d","base_url":"{API}","insecure_http":true}}"#
    );
    let mut guest = component().await.instantiate(&context).await.unwrap();
    guest.open(&configuration, "siem/receipt", Start::Configured).await.unwrap();
    // What the compiler needed is not of the file. Where the kernel does not forget it, the figure is too large.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = resident("VmRSS:");
    let mut read = Read::default();
    loop {
        let chunk = guest.pull(br#"{"token":"made-up"}"#, Budget::default()).await.unwrap();
        assert!(chunk.malformed.is_empty() && chunk.gaps.is_empty(), "{:?}", chunk.gaps);
        read.events += chunk.events.len();
        read.bytes += chunk.bodies.len();
        read.largest_chunk = read.largest_chunk.max(chunk.bodies.len());
        if chunk.next == Next::CaughtUp {
            read.guest = guest.peak_memory();
            read.growth = resident("VmHWM:").saturating_sub(before);
            return read;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_of_half_a_gigabyte_takes_no_more_memory_than_a_small_one() {
    let (plain, records) = records();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(plain.as_bytes()).unwrap();
    let member = Bytes::from(packed.finish().unwrap());
    assert!(member.len() * 3 > plain.len() * 2, "{} of {}: it hardly packs", member.len(), plain.len());
    drop(plain);
    let times = SIZE.div_ceil(member.len());
    assert_eq!(Limits::default().memory, 32 * MIB);
    let small = read(member.clone(), 8).await;
    let large = read(member.clone(), times).await;
    let mib = |bytes: usize| bytes as f64 / MIB as f64;
    for (read, times) in [(&small, 8), (&large, times)] {
        println!(
            "{} MB packed, {} MB handed over, {:.1} MiB at once: the guest had {:.1} MiB, the host grew by {:.1} MiB",
            times * member.len() / 1_000_000,
            read.bytes / 1_000_000,
            mib(read.largest_chunk),
            mib(read.guest),
            mib(read.growth),
        );
        assert_eq!(read.events, times * records);
        assert!(read.largest_chunk <= 6 * MIB, "{} bytes", read.largest_chunk);
    }
    assert!(large.bytes > SIZE && large.guest <= small.guest + MIB, "{} after {} bytes", large.guest, small.guest);
    assert!(large.growth < 64 * MIB, "{} bytes", large.growth);
}
