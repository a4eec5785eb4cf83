//! A page of metrics, read as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tributary_host::Running;
use tributary_host::observe::access::Access;
use tributary_host::observe::server::{Listener, serve};
use tributary_host::observe::socket::{self, Socket};

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub struct Page {
    pub text: String,
    /// By name: `counter` or `gauge`.
    pub types: BTreeMap<String, String>,
    pub series: BTreeMap<(String, Labels), f64>,
}

/// Asks `running` over a local socket in `folder`.
pub async fn scrape(running: &Running, folder: &Path) -> Page {
    let (_stop, stopped) = watch::channel(false);
    let server = tokio::spawn(serve(
        Listener::Unix(Socket::bind(folder).unwrap()),
        Access::local(&[]),
        Arc::new(running.api()),
        stopped,
    ));
    let mut stream = socket::connect(folder).await.unwrap().unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    server.abort();
    // The socket goes with it.
    let _ = server.await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    Page::read(body)
}

impl Page {
    pub fn read(text: &str) -> Self {
        let mut page = Page { text: text.to_owned(), ..Page::default() };
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(page.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else if !line.starts_with("# HELP ") {
                let (name, labels, value) = sample(line).unwrap_or_else(|| panic!("not a sample: {line:?}"));
                assert!(page.types.contains_key(&name), "{name} has no type");
                let series = (name, labels);
                assert!(page.series.insert(series.clone(), value).is_none(), "twice: {series:?}");
            }
        }
        page
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.types.keys().map(String::as_str).collect()
    }

    /// The sum of all series of this name that have all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |all: &Labels| labels.iter().all(|(name, value)| all.get(*name).is_some_and(|is| is == value));
        let mut found = self.series.iter().filter(|((other, all), _)| other == name && has(all)).peekable();
        assert!(found.peek().is_some(), "no series {name} {labels:?} in\n{}", self.text);
        found.map(|(_, value)| value).sum()
    }
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (mut value, mut characters) = (String::new(), after.char_indices());
            let at = loop {
                match characters.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match characters.next()?.1 {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        _ => return None,
                    }),
                    (_, character) => value.push(character),
                }
            };
            labels.insert(label.to_owned(), value).is_none().then_some(())?;
            rest = &after[at + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    Some((name.to_owned(), labels, rest.strip_prefix(' ')?.parse().ok()?))
}
