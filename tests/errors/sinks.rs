//! What sinks say of their far side, for each type and status.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tributary_host::config::{self, Format};
use tributary_host::deliver::{Batch, Head, Origin};
use tributary_host::outside::Outside;
use tributary_host::sinks::{self, SinkError};

use crate::row::{Row, SECRET, show};

/// Types that speak HTTP, with what they need besides an address.
const SENDERS: [(&str, &str); 6] = [
    ("http", "uri = '<address>'\nauth = { strategy = 'bearer', token = '<secret>' }"),
    ("splunk_hec", "endpoint = '<address>'\ndefault_token = '<secret>'"),
    ("elasticsearch", "endpoints = ['<address>']\nauth = { strategy = 'api_key', api_key = '<secret>' }"),
    ("sumo", "endpoint = '<address>/<secret>'"),
    ("otlp", "endpoint = '<address>'\nauth = { strategy = 'bearer', token = '<secret>' }"),
    ("vector", "uri = '<address>'\nauth = { strategy = 'bearer', token = '<secret>' }"),
];

/// Statuses, and what they mean. Those without a meaning end as the one before.
const STATUSES: [(u16, &str); 12] = [
    (302, "The far side redirects. Credentials are not sent after a redirect."),
    (
        400,
        "The far side refuses what it was sent. It comes again in smaller parts, until the event that is refused is alone.",
    ),
    (401, "The far side does not accept the credentials of the sink."),
    (403, "The credentials are accepted, but have no right to write there."),
    (404, "There is nothing at this address that takes events."),
    (407, "There is a proxy on the way that wants credentials."),
    (413, "The delivery is longer than the far side takes. It comes again in halves."),
    (429, "The far side wants less at a time. It is obeyed."),
    (500, "The far side is in trouble. The same events come again; nothing is lost, and positions stand still."),
    (502, ""),
    (503, ""),
    (504, ""),
];

/// A port at which every request gets this answer.
fn answering(answer: String) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || reply(stream, &answer));
        }
    });
    port
}

fn reply(mut stream: TcpStream, answer: &str) {
    let mut piece = [0; 4096];
    // Until it says no more for a moment: a connection that is closed too early is reset.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    while stream.read(&mut piece).is_ok_and(|length| length > 0) {}
    let _ = stream.write_all(answer.as_bytes());
}

fn status(status: u16) -> u16 {
    answering(format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: 0\r\nlocation: https://elsewhere.example\r\nconnection: close\r\n\r\n"
    ))
}

fn unused() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn events() -> [Arc<Batch>; 1] {
    let origin = Origin { source: "acme".into(), tenant: "Acme".into(), stream: "audit".into() };
    let bodies = "{\"a\":1}\n";
    let end = bodies.len() as u32;
    let head = Head { id: 1, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end };
    [Arc::new(Batch { origin, bodies: bodies.into(), events: vec![head] })]
}

/// Delivers one event to such a sink.
async fn delivered(kind: &str, keys: &str) -> SinkError {
    let text = format!(
        "data_dir = '/var/lib/tributary'\n[sources.acme]\ntype = 'mimecast'\n[sinks.lake]\ninputs = ['acme']\ntype = '{kind}'\n{}\n",
        keys.replace("<secret>", SECRET)
    );
    let loaded =
        config::parse(&text, Format::Toml, "tributary.toml", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    match sinks::build(&loaded.config.sinks["lake"], &Outside::system()) {
        Err(error) => error,
        Ok(sink) => sink.deliver(&events()).await.expect_err(kind),
    }
}

/// As health tells it.
fn row(code: &str, error: &SinkError, means: &'static str) -> Row {
    Row {
        code: code.to_owned(),
        place: "sink lake".into(),
        what: error.message.clone(),
        next: error.next_step().to_owned(),
        means,
    }
}

async fn all() -> Vec<(&'static str, u16, Row)> {
    let mut rows = Vec::new();
    for (number, means) in STATUSES {
        let port = status(number);
        for (kind, keys) in SENDERS {
            let error = delivered(kind, &keys.replace("<address>", &format!("http://127.0.0.1:{port}"))).await;
            // The port is another one each time.
            let mut row = row(&format!("{number}"), &error, means);
            row.what = row.what.replace(&port.to_string(), "8088");
            rows.push((kind, number, row));
        }
    }
    rows
}

/// What is no HTTP, or not even an answer.
async fn ways() -> Vec<Row> {
    let mut rows = Vec::new();
    let http = |address: String| format!("uri = '{address}'");
    let (plain, none) = (answering("this is no HTTP\r\n\r\n".into()), unused());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let proxy = answering("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n".into());
    let forbids = status(403);
    let far = "uri = 'https://far.example'\nproxy.https = 'http://127.0.0.1";
    for (code, kind, keys, means) in [
        ("unreachable", "http", http(format!("http://127.0.0.1:{none}")), "Nothing listens at the sink's address."),
        ("no such name", "http", http("http://nowhere.invalid".into()), "The host's name was not found."),
        ("no TLS", "http", http(format!("https://127.0.0.1:{plain}")), "What answers does not speak TLS."),
        ("no HTTP", "http", http(format!("http://127.0.0.1:{plain}")), "What answers does not speak HTTP."),
        ("proxy unreachable", "http", format!("{far}:{none}'"), "The proxy does not answer."),
        ("proxy 407", "http", format!("{far}:{proxy}'"), "The proxy wants credentials."),
        ("proxy refuses", "http", format!("{far}:{forbids}'"), "The proxy makes no connection to that host."),
        (
            "no receiver",
            "syslog",
            format!("endpoint = 'tcp://127.0.0.1:{none}'"),
            "Nothing listens at the sink's address.",
        ),
        (
            "no folder",
            "file",
            format!("path = '{}/below'", file.display()),
            "Where the sink's folder should be is a file.",
        ),
    ] {
        let error = delivered(kind, &keys).await;
        let mut row = row(code, &error, means);
        for (port, shown) in [(none, "8088"), (plain, "8088"), (proxy, "3128"), (forbids, "3128")] {
            row.what = row.what.replace(&format!(":{port}"), &format!(":{shown}"));
        }
        row.what = row.what.replace(&folder.path().display().to_string(), "/var/log/tributary");
        rows.push(row);
    }
    rows
}

/// On a clock of its own: what is on sockets takes the time that it takes.
fn on_real_time<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let run =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(work);
    thread::spawn(run).join().unwrap()
}

/// For the page: the type `http`, and of the others what they say otherwise.
pub fn rows() -> Vec<Row> {
    let statuses = on_real_time(all()).into_iter();
    let mut rows: Vec<Row> = statuses.filter(|(kind, ..)| *kind == "http").map(|(.., row)| row).collect();
    rows.retain(|row| !row.means.is_empty());
    // What the system says of a name that is not there differs.
    rows.extend(on_real_time(ways()).into_iter().filter(|row| row.code != "no such name"));
    rows
}

#[test]
fn every_status_at_every_type_of_sink_says_where_and_what_to_do() {
    let rows: Vec<Row> = on_real_time(all())
        .into_iter()
        .map(|(kind, _, row)| Row { code: format!("{kind}/{}", row.code), ..row })
        .collect();
    show("Sinks: type/status | where | what | next step", &rows);
    for (code, words) in [("401", "sinks.lake."), ("404", "sinks.lake."), ("413", "max_bytes"), ("429", "concurrency")]
    {
        for row in rows.iter().filter(|row| row.code.ends_with(code)) {
            assert!(row.next.contains(words), "{row:?}");
        }
    }
    show("Sinks: trouble | where | what | next step", &on_real_time(ways()));
}
