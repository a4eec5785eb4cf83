//! A log source that does, on request, what none may do: `behaviour` in its configuration says what, `figure` how much.
#![cfg(target_family = "wasm")]

mod requests;

use std::cell::{Cell, RefCell};
use std::hint::black_box;

use serde_json::{Value, json};

/// Generated.
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "log-source" });
    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::tributary::source::source::{Guest, GuestReader, Reader as Handle};
use bindings::tributary::source::types::{
    Budget, Chunk, Descriptor, Detail, Event, Fault, Kind, LogStream, Malformed, Next, Pieces, Plan, Session, Start,
};

struct Hostile;

struct Reader {
    config: Value,
    /// Numbered records that were read.
    at: Cell<u64>,
    /// Kept until the reader is dropped.
    kept: RefCell<Vec<Handle>>,
}

fn stream(config: &Value) -> LogStream {
    LogStream {
        name: "log".into(),
        description: "What the configuration asks for".into(),
        interval_ms: config["interval_ms"].as_u64().unwrap_or(60_000) as u32,
        retention_ms: None,
        repeats_within_ms: 3_600_000,
        quota: None,
    }
}

fn parsed(config: &str) -> Result<Value, Fault> {
    serde_json::from_str(config).map_err(|error| {
        let (code, message) = ("no-json".to_owned(), error.to_string());
        Fault::Configuration(Detail { code, message, hint: None, status: None })
    })
}

/// A panic's message becomes a line, as the product's component does it.
fn hook() {
    std::panic::set_hook(Box::new(|info| write(format!("panic: {info}\n").replace('\n', " ").as_bytes())));
}

impl Guest for Hostile {
    type Reader = Reader;

    fn describe() -> Descriptor {
        Descriptor {
            name: "hostile".into(),
            version: "0.0.0".into(),
            config_schema: "{}".into(),
            streams: vec![stream(&Value::Null)],
            kinds: vec![Kind { name: "thing".into(), labels: Vec::new() }],
            quotas: Vec::new(),
        }
    }

    fn plan_for(config: String) -> Result<Plan, Fault> {
        let config = parsed(&config)?;
        if config["behaviour"] == "plan" {
            spin(0);
        }
        let hosts = config["url"].as_str().map(|url| vec![requests::origin(url).to_owned()]).unwrap_or_default();
        Ok(Plan { streams: vec![stream(&config)], hosts })
    }

    fn authenticate(_: String) -> Result<Session, Fault> {
        Ok(Session { secret: b"session".to_vec(), expires_at: None })
    }
}

impl GuestReader for Reader {
    fn open(config: String, _: String, start: Start) -> Result<Handle, Fault> {
        hook();
        let config = parsed(&config)?;
        let at = match start {
            Start::After(position) => String::from_utf8_lossy(&position).parse().unwrap_or(0),
            _ => config["at"].as_u64().unwrap_or(0),
        };
        Ok(Handle::new(Reader { config, at: Cell::new(at), kept: RefCell::default() }))
    }

    fn pull(&self, _: Vec<u8>, budget: Budget) -> Result<Chunk, Fault> {
        let figure = self.config["figure"].as_u64().unwrap_or(0);
        let small = |bytes: &[u8]| Draft::of([bytes]).chunk();
        Ok(match self.config["behaviour"].as_str().unwrap_or("good") {
            "good" => small(&line(&json!({ "time": now() }))),
            "loop" => {
                spin(figure);
                small(b"{}\n")
            }
            "recursion" => small(&line(&json!({ "deep": deep(figure) }))),
            "memory" => small(&line(&json!({ "sum": black_box(vec![1u8; figure as usize])[figure as usize / 2] }))),
            "bytes" => small(&[b"{\"x\":\"", vec![b'x'; figure as usize].as_slice(), b"\"}\n"].concat()),
            "events" => Draft::of((0..figure).map(|_| b"{}\n")).chunk(),
            "position" => Chunk { position: vec![b'0'; figure as usize], ..small(b"{}\n") },
            "handles" => {
                let fields: Vec<_> = (0..figure).map(|_| wasip2::http::types::Fields::new()).collect();
                small(&line(&json!({ "held": fields.len() })))
            }
            "own-handles" => {
                let reader = || Reader { config: Value::Null, at: Cell::new(0), kept: RefCell::default() };
                self.kept.borrow_mut().extend((0..figure).map(|_| Handle::new(reader())));
                small(b"{}\n")
            }
            "stderr" => {
                vec![b'x'; figure as usize].chunks(100).for_each(|text| write(&[text, b"\n"].concat()));
                small(b"{}\n")
            }
            "answers" => small(&line(&requests::answers(&self.config, figure))),
            "flood" => small(&line(&requests::flood(&self.config, figure))),
            "request" => small(&line(&requests::request(&self.config))),
            "budget" => small(&line(&json!({
                "events": budget.events, "bytes": budget.bytes, "requests": budget.requests,
            }))),
            "polls" => loop {
                requests::polls(figure);
            },
            "half" => {
                requests::half(&self.config);
                core::arch::wasm32::unreachable()
            }
            "panic" => panic!("on purpose"),
            "damage" => damaged(self.config["damage"].as_str().unwrap_or_default()),
            "stumble" => self.stumble(figure, &budget),
            other => panic!("there is no behaviour {other:?}"),
        })
    }
}

impl Reader {
    /// Numbered records up to `figure`, ten at a time. At number 25 it breaks down, with half of a chunk made.
    fn stumble(&self, figure: u64, budget: &Budget) -> Chunk {
        let (mut draft, begin) = (Draft::default(), self.at.get());
        let mut malformed = Vec::new();
        while self.at.get() < figure && self.at.get() - begin < 10.min(budget.events.into()) {
            let number = self.at.get();
            self.at.set(number + 1);
            if number != 25 {
                draft.push((1, number), &line(&json!({ "number": number })));
            } else if budget.verbatim {
                malformed.push(Malformed { reason: "it is number 25".into(), head: b"25".to_vec(), size: Some(2) });
            } else {
                panic!("number 25");
            }
        }
        let next = if self.at.get() < figure { Next::More } else { Next::CaughtUp };
        let records = draft.events.len() as u32 + malformed.len() as u32;
        Chunk { records, malformed, position: self.at.get().to_string().into_bytes(), next, ..draft.chunk() }
    }
}

/// Three events, with one thing wrong.
fn damaged(damage: &str) -> Chunk {
    let mut chunk = Draft::of([b"{\"n\":1}\n", b"{\"n\":2}\n", b"{\"n\":3}\n"]).chunk();
    match damage {
        "" => {}
        "descends" => chunk.events.swap(0, 1),
        "empty" => chunk.events[1].end = chunk.events[0].end,
        "short" => chunk.bodies.extend_from_slice(b"{}\n"),
        "long" => chunk.events[2].end += 1,
        "far" => chunk.events[2].end = u32::MAX,
        "open" => chunk.bodies[15] = b' ',
        "lines" => chunk.bodies[12] = b'\n',
        "text" => chunk.bodies[12] = 0xff,
        "kind" => chunk.events[1].kind = 1,
        "kinds" => chunk.events[1].kind = u32::MAX,
        "severity" => chunk.events[1].severity = 7,
        "records" => chunk.records += 1,
        "gone" => chunk.pieces.gone = 1,
        "ids" => chunk.events.iter_mut().for_each(|event| event.id = (7, 7)),
        other => panic!("there is no damage {other:?}"),
    }
    chunk
}

#[derive(Default)]
struct Draft {
    events: Vec<Event>,
    bodies: Vec<u8>,
}

impl Draft {
    fn of<T: AsRef<[u8]>>(bodies: impl IntoIterator<Item = T>) -> Self {
        let (mut draft, now) = (Self::default(), now());
        for (index, body) in bodies.into_iter().enumerate() {
            draft.push((now, index as u64), body.as_ref());
        }
        draft
    }

    fn push(&mut self, id: (u64, u64), body: &[u8]) {
        self.bodies.extend_from_slice(body);
        let end = self.bodies.len() as u32;
        self.events.push(Event { id, time: now(), kind: 0, class: 0, severity: 1, alert_key: None, end });
    }

    fn chunk(self) -> Chunk {
        Chunk {
            records: self.events.len() as u32,
            events: self.events,
            bodies: self.bodies,
            malformed: Vec::new(),
            gaps: Vec::new(),
            pieces: Pieces { listed: 0, fetched: 0, gone: 0 },
            merged: 0,
            requests: 0,
            quota_left: None,
            position: now().to_string().into_bytes(),
            next: Next::CaughtUp,
        }
    }
}

fn line(body: &Value) -> Vec<u8> {
    let mut line = body.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn now() -> u64 {
    let now = wasip2::clocks::wall_clock::now();
    now.seconds * 1_000_000_000 + u64::from(now.nanoseconds)
}

/// So many millions of turns; for ever, if none.
fn spin(millions: u64) {
    let mut turns = 0u64;
    while millions == 0 || turns < millions * 1_000_000 {
        turns = black_box(turns) + 1;
    }
}

#[inline(never)]
fn deep(levels: u64) -> u64 {
    let frame = black_box([levels; 8]);
    if levels == 0 { 0 } else { deep(frame[3] - 1) + black_box(frame[5] % 2) }
}

/// To standard error.
fn write(bytes: &[u8]) {
    let stderr = wasip2::cli::stderr::get_stderr();
    for piece in bytes.chunks(4096) {
        let _ = stderr.blocking_write_and_flush(piece);
    }
}
