//! How long the page takes: its list of so many tenants, of four streams each, one in fifty in trouble, from the request
//! to the last byte of the answer, through the Unix socket of a host that runs. Exits with 1 if a target is missed.
//!
//! ```text
//! cargo bench --bench page [-- TENANTS ROUNDS]
//! ```
//!
//! The sources are made up and answer at once: what is measured is the page.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tributary_host::collect::{Call, Reader, Source};
use tributary_host::config::{self, Format};
use tributary_host::deliver::{Attached, Batch, Disk, Head};
use tributary_host::observe::access::Access;
use tributary_host::observe::server::{Listener, serve};
use tributary_host::observe::socket::{self, Socket};
use tributary_host::outside::Outside;
use tributary_host::sandbox::{Budget, Chunk, Fault, FaultClass, GuestError, LogStream, Next, Session, Start};
use tributary_host::sinks::{DeliverFuture, Sink};
use tributary_host::{Ready, Running};

/// As the command has it.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STREAMS: [&str; 4] = ["audit", "dlp", "siem/delivery", "siem/receipt"];

/// What the issue asks for.
const TARGET: Duration = Duration::from_millis(200);

/// A source of a few events; one in fifty is refused.
struct Made {
    number: u64,
}

struct Open {
    begun: bool,
    number: u64,
}

impl Source for Made {
    fn authenticate(&self) -> Call<'_, Session> {
        let refused = self.number.is_multiple_of(50);
        Box::pin(async move {
            if refused {
                let message = "api.example.com/oauth/token answered 401: Client credentials are invalid".to_owned();
                let hint = Some("Check `client_id` and `client_secret`, and whether the application is enabled".into());
                let (class, code, status) = (FaultClass::Credentials, "bad-client".into(), Some(401));
                return Err(GuestError::from(Fault { class, code, message, hint, status }));
            }
            Ok(Session { secret: b"s".to_vec(), expires_at: None })
        })
    }

    fn open<'a>(&'a self, _stream: &'a str, _start: Start) -> Call<'a, Box<dyn Reader>> {
        let number = self.number;
        Box::pin(async move { Ok(Box::new(Open { begun: false, number }) as Box<dyn Reader>) })
    }

    fn kinds(&self) -> Arc<[String]> {
        Arc::new(["event".to_owned()])
    }
}

impl Reader for Open {
    fn pull<'a>(&'a mut self, _session: &'a Session, _budget: Budget) -> Call<'a, Chunk> {
        let events = if std::mem::replace(&mut self.begun, true) { 0 } else { 1 + self.number % 3 };
        let (mut heads, mut bodies) = (Vec::new(), String::new());
        for at in 0..events {
            let begin = bodies.len() as u32;
            let _ = writeln!(bodies, "{{}}");
            let (id, time) = (u128::from(self.number) << 64 | u128::from(at), 1_795_000_000_000_000_000);
            let (kind, class, severity, end) = (0, 0, 1, bodies.len() as u32);
            heads.push(Head { id, time, kind, class, severity, alert_key: None, begin, end });
        }
        let chunk = Chunk {
            events: heads,
            bodies: Bytes::from(bodies),
            malformed: Vec::new(),
            gaps: Vec::new(),
            pieces: Default::default(),
            records: events as u32,
            merged: 0,
            requests: 1,
            quota_left: None,
            position: vec![1],
            next: Next::CaughtUp,
        };
        Box::pin(async move { Ok(chunk) })
    }
}

/// Takes everything.
struct Taker;

impl Sink for Taker {
    fn deliver<'a>(&'a self, _batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async { Ok(Default::default()) })
    }

    fn idles(&self) -> bool {
        false
    }
}

fn sources(tenants: usize, folder: &Path) -> Vec<Ready> {
    let mut text = format!("data_dir = \"{}\"\n", folder.display());
    for number in 0..tenants {
        let _ = writeln!(
            text,
            "[sources.tenant-{number:05}]\ntype = \"mimecast\"\ntenant = \"Customer {number} of the Provider\""
        );
    }
    text += "[sinks.lake]\ntype = \"stdout\"\ninputs = [\"*\"]\n";
    let loaded = config::parse(&text, Format::Toml, "bench.toml", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let streams = STREAMS.map(|name| LogStream {
        name: name.into(),
        description: String::new(),
        interval_ms: 300_000,
        retention_ms: None,
        repeats_within_ms: 0,
        quota: None,
    });
    let sources = loaded.config.sources.values().enumerate();
    let ready = |(number, config): (usize, &config::Source)| Ready {
        config: config.clone(),
        streams: streams.to_vec(),
        quotas: Vec::new(),
        source: Arc::new(Made { number: number as u64 }),
    };
    sources.map(ready).collect()
}

/// Asks once: how long the whole answer took, and its text.
fn ask(socket: &Path, path: &str) -> (Duration, String) {
    let begun = Instant::now();
    let mut stream = UnixStream::connect(socket).expect("the host listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it takes a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    (begun.elapsed(), text)
}

fn main() -> ExitCode {
    let earnest = std::env::args().any(|argument| argument == "--bench");
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    // Whoever only wants to know that it runs.
    let (tenants, rounds) = match numbers[..] {
        [tenants, rounds, ..] => (tenants, rounds),
        _ if earnest => (10_000, 50),
        _ => (200, 3),
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let disk = Arc::new(Disk::open(folder.path(), 1 << 20).expect("the folder can be written"));
    let ready = sources(tenants, folder.path());
    let lake = Attached {
        id: "lake".into(),
        inputs: vec!["*".into()],
        only: Default::default(),
        rules: Default::default(),
        acknowledgements: true,
        max_refused_share: 1.0,
        sink: Box::new(Taker),
    };
    let (stop, stopped) = watch::channel(false);
    let (running, path) = runtime.block_on(async {
        let (outside, drain) = (Outside::system(), Duration::from_secs(10));
        let running = Running::new(ready, vec![lake], disk, 256 << 20, outside, drain);
        let listener = Listener::Unix(Socket::bind(folder.path()).expect("its path is short"));
        tokio::spawn(serve(listener, Access::local(&[]), Arc::new(running.api()), stopped));
        running.caught_up().await;
        (running, socket::path(folder.path()))
    });
    let pages = [
        ("the list", "/".to_owned()),
        ("filtered by text", format!("/?q=customer+{}", tenants / 2)),
        ("filtered by state", "/?state=failed".to_owned()),
        ("its last page", "/?page=100000".to_owned()),
        ("all streams", "/?by=streams".to_owned()),
        ("one source", format!("/sources/tenant-{:05}", tenants / 2)),
    ];
    println!("{tenants} tenants, {} streams; {rounds} rounds", tenants * STREAMS.len());
    println!("{:<20} {:>9} {:>9} {:>9}", "", "median", "longest", "answer");
    let mut missed = false;
    for (name, address) in pages {
        let mut took: Vec<Duration> = Vec::new();
        let mut size = 0;
        for _ in 0..=rounds {
            let (time, text) = ask(&path, &address);
            assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("</html>\n"), "{name}: {text}");
            took.push(time);
            size = text.len();
        }
        // The first one warms up.
        let mut took = took.split_off(1);
        took.sort();
        let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
        missed |= earnest && median > TARGET;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("{name:<20} {:>6.1} ms {:>6.1} ms {:>5} KiB", ms(median), ms(longest), size / 1024);
    }
    println!("target: {} ms for each", TARGET.as_millis());
    stop.send_replace(true);
    runtime.block_on(running.kill());
    ExitCode::from(u8::from(missed))
}
