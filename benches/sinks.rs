//! What a sink costs an event: chunks of OCSF-like events of 1 KB through each sink, in turns with one that does nothing;
//! in CPU time of this process. Far sides are another process, which reads and says yes. Copied is what sinks write into
//! buffers of their own: out of the chunk, around an event, or compressed. Clients' libraries and the kernel copy beside.
//!
//! ```text
//! cargo bench --bench sinks [-- CHUNKS ROUNDS]
//! cargo bench --bench sinks --features tributary-host/kafka,tributary-host/nats,tributary-host/object_store
//! ```

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{brokers, cpu, spread};
use tributary_host::config::{self, Format};
use tributary_host::deliver::{Batch, Head, Origin, deliver_once};
use tributary_host::outside::Outside;
use tributary_host::sinks::{self, DeliverFuture, Sink};

/// As a pull gives them at most.
const EVENTS: usize = 4_000;
const BODY: usize = 1_024;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--far-side") {
        return far_side();
    }
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (default_chunks, default_rounds) = if support::in_earnest() { (25, 11) } else { (1, 1) };
    let chunks = numbers.first().copied().unwrap_or(default_chunks);
    let rounds = numbers.get(1).copied().unwrap_or(default_rounds);
    let (_far, ports) = FarSide::start();
    let folder = std::env::temp_dir().join(format!("tributary-bench-sinks-{}", std::process::id()));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().expect("a runtime");
    // Some clients begin their work when they are made.
    let entered = runtime.enter();
    let (rows, left_out) = rows(ports, &folder.display().to_string());
    drop(entered);
    let mut chunk = Batch::clone(&chunk());
    let mut delivery = 0;

    let mut samples = vec![(Vec::new(), Vec::new()); rows.len()];
    let mut copied = vec![0; rows.len()];
    for round in 0..=rounds {
        for (at, (name, sink)) in rows.iter().enumerate() {
            let (mut used, mut took, begin) = (Duration::ZERO, Duration::ZERO, sinks::copied());
            for _ in 0..chunks {
                // Another chunk each time: an object of the same events would not be stored again.
                delivery += 1;
                chunk.events[0].id = delivery;
                let chunk = [Arc::new(chunk.clone())];
                let (begin, began) = (cpu(), Instant::now());
                let answers = runtime.block_on(deliver_once(&**sink, &chunk));
                used += cpu() - begin;
                took += began.elapsed();
                let answers = answers.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(answers.is_empty(), "{name}: {:?}", answers.first());
            }
            // The first round warms up.
            if round > 0 {
                let events = (chunks * EVENTS) as f64;
                samples[at].0.push(used.as_nanos() as f64 / events);
                samples[at].1.push(took.as_nanos() as f64 / events);
                copied[at] += sinks::copied() - begin;
            }
            remove_finished(&folder);
        }
    }
    println!(
        "chunks of {EVENTS} events of {BODY} bytes, one delivery after the other; {rounds} rounds of {chunks} chunks in turns"
    );
    println!("{:<28} {:>16} {:>11} {:>16} {:>16}", "", "CPU of an event", "least", "events/s (wall)", "copied of it");
    let all = (chunks * EVENTS * rounds) as f64;
    for (((name, _), (cpu, wall)), copied) in rows.iter().zip(&samples).zip(copied) {
        let (cpu, wall, copied) = (spread(cpu), spread(wall), copied as f64 / all);
        let rate = 1e9 / wall.median;
        println!("{name:<28} {:>13.0} ns {:>8.0} ns {rate:>16.0} {copied:>14.0} B", cpu.median, cpu.least);
    }
    if !left_out.is_empty() {
        println!("not in this build: {}", left_out.join(", "));
    }
    drop(rows);
    // What is left there is of no use; that it cannot be removed is no fault of the sinks.
    let _ = std::fs::remove_dir_all(folder);
    ExitCode::SUCCESS
}

/// Takes everything, and does nothing.
struct Null;

impl Sink for Null {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        std::hint::black_box(batches);
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// The least that a file can cost here: the bodies are appended in one write, and synced.
struct Bare(PathBuf);

impl Sink for Bare {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0).expect("a file");
        for batch in batches {
            file.write_all(&batch.bodies).and_then(|()| file.sync_data()).expect("room on the disk");
        }
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Removes the files in which nobody writes any more: the memory that held them serves the next, as on a host whose page
/// cache has long been full. A page that never was in use costs more than all else in a virtual machine.
fn remove_finished(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            remove_finished(&entry);
        } else if !entry.to_string_lossy().ends_with(".part") && !entry.ends_with(".tributary.lock") {
            std::fs::remove_file(entry).expect("it can be removed");
        }
    }
}

/// Ports of the far side: of HTTP and syslog, of NATS, of Kafka.
type Ports = [u16; 3];

/// A sink, and what it is called.
type Row = (String, Box<dyn Sink>);

/// All sinks of this build, and the names of those that it lacks.
fn rows([port, nats, kafka]: Ports, folder: &str) -> (Vec<Row>, Vec<&'static str>) {
    let far = format!("http://127.0.0.1:{port}");
    let keys = "region = 'x'\nauth = { access_key_id = 'made', secret_access_key = 'up' }";
    let s3 = format!("type = 'object_store'\nurl = 's3://bucket'\nendpoint = '{far}'\n{keys}");
    let local = format!("type = 'object_store'\nurl = 'file://{folder}/objects'");
    let tables = [
        ("file", format!("type = 'file'\npath = '{folder}/plain'")),
        ("file, zstd", format!("type = 'file'\npath = '{folder}/zstd'\ncompression = 'zstd'")),
        ("http, NDJSON", format!("type = 'http'\nuri = '{far}/lines'")),
        ("http, NDJSON, gzip", format!("type = 'http'\nuri = '{far}/lines'\ncompression = 'gzip'")),
        ("http, JSON array", format!("type = 'http'\nuri = '{far}/array'\nencoding = 'json'")),
        ("vector", format!("type = 'vector'\nuri = '{far}/vector'")),
        ("elasticsearch", format!("type = 'elasticsearch'\nendpoints = ['{far}']")),
        ("splunk_hec", format!("type = 'splunk_hec'\nendpoint = '{far}'\ndefault_token = 'made-up'")),
        ("sumo, gzip", format!("type = 'sumo'\nendpoint = '{far}/receiver'")),
        ("otlp", format!("type = 'otlp'\nendpoint = '{far}'")),
        ("syslog", format!("type = 'syslog'\nendpoint = 'tcp://127.0.0.1:{port}'")),
        ("object_store, S3", format!("{s3}\ncompression = 'none'")),
        ("object_store, S3, zstd", s3),
        ("object_store, folder", format!("{local}\ncompression = 'none'")),
        ("nats", format!("type = 'nats'\nurl = 'nats://127.0.0.1:{nats}'\nsubject = 'mail'")),
        ("kafka", format!("type = 'kafka'\nbootstrap_servers = '127.0.0.1:{kafka}'")),
    ];
    std::fs::create_dir_all(folder).expect("a folder for files");
    let bare = Bare(format!("{folder}/bare").into());
    let mut rows: Vec<Row> = vec![("none".into(), Box::new(Null)), ("a write and a sync alone".into(), Box::new(bare))];
    let mut left_out = Vec::new();
    let outside = Outside::system();
    for (name, table) in tables {
        let text = format!("[sources.acme]\ntype = 'mimecast'\n[sinks.far]\ninputs = ['*']\n{table}\n");
        let config = match config::parse(&text, Format::Toml, "", &|_| None) {
            Ok(loaded) => loaded.config,
            Err(error) if error.to_string().contains("is not in this build") => {
                left_out.push(name);
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let sink = sinks::build(&config.sinks["far"], &outside);
        rows.push((name.into(), sink.unwrap_or_else(|error| panic!("{name}: {error}"))));
    }
    (rows, left_out)
}

/// Events whose bodies have what a form's has at its beginning, and then text.
fn chunk() -> Arc<Batch> {
    let (mut bodies, mut events) = (Vec::new(), Vec::new());
    for number in 0..EVENTS {
        let id = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let begin = bodies.len();
        let head = format!(
            "{{\"class_uid\":4009,\"time\":1795331289000,\"severity_id\":1,\"metadata\":{{\"uid\":\"{id:032x}\",\"version\":\"1.8.0\"}},\"email\":{{\"subject\":\"Offer {number}\",\"from\":\"a{number}@example.com\"}},\"message\":\""
        );
        bodies.extend_from_slice(head.as_bytes());
        let rest = BODY - head.len() - 3;
        bodies.extend((0..rest).map(|at| b'a' + ((number * 31 + at * at) % 26) as u8));
        bodies.extend_from_slice(b"\"}\n");
        let time = 1_795_331_289_000_000_000 + number as u64;
        let (begin, end) = (begin as u32, bodies.len() as u32);
        events.push(Head { id, time, kind: 0, class: 4009, severity: 1, alert_key: None, begin, end });
    }
    let origin = Origin { source: "acme".into(), tenant: "Acme".into(), stream: "siem/receipt".into() };
    Arc::new(Batch { origin, bodies: bodies.into(), events })
}

/// The other process. It ends with this one.
struct FarSide(Child);

impl FarSide {
    fn start() -> (Self, Ports) {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program).arg("--far-side").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("it starts again");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ports = [(); 3].map(|()| lines.next().expect("a line").expect("of text").parse().expect("a port"));
        (Self(child), ports)
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads requests and says yes in the words of whoever is asked; what is no request is read and left unanswered.
fn far_side() -> ExitCode {
    let speakers: [fn(TcpStream) -> std::io::Result<()>; 3] = [serve, brokers::nats, brokers::kafka];
    for speak in speakers {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        println!("{}", listener.local_addr().expect("an address").port());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                std::thread::spawn(move || speak(connection));
            }
        });
    }
    // Until the other end of the pipe is gone.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}

fn serve(connection: TcpStream) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(600)))?;
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::with_capacity(1 << 20, connection);
    let mut sink = std::io::sink();
    if reader.fill_buf()?.first().is_none_or(u8::is_ascii_digit) {
        return std::io::copy(&mut reader, &mut sink).map(drop);
    }
    loop {
        let (mut path, mut length, mut line) = (String::new(), 0u64, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let text = line.trim();
            if text.is_empty() {
                break;
            }
            match text.split_once(':') {
                _ if path.is_empty() => path = text.split(' ').nth(1).unwrap_or_default().to_owned(),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or_default();
                }
                _ => {}
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut sink)?;
        let body = match path.as_str() {
            path if path.contains("_bulk") => r#"{"took":1,"errors":false,"items":[]}"#,
            path if path.contains("collector") => r#"{"text":"Success","code":0}"#,
            _ => "",
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        writer.write_all(head.as_bytes())?;
    }
}
