//! The simulator over real HTTP.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{DAY, MINUTE, escape, gunzip, marks};
use mimecast_simulator::{Clock, Credentials, Endpoint, Fault, Server, Settings, Simulator, Tenant, When};
use serde_json::Value;

/// Status, head and whatever came of the body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// One request on a connection of its own, read to its end however it ends.
fn ask(url: &str, method: &str, headers: &str, body: &str) -> Answer {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut bytes = Vec::new();
    // A cut connection may end in a reset.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    Answer { status: head[9..12].parse().unwrap(), body: bytes[end + 4..].to_vec(), head }
}

fn settings() -> Settings {
    Settings { tenants: vec![Tenant::v2("one", 2_000)], backlog_ms: DAY, quota_factor: 100_000, ..Settings::default() }
}

fn token(server: &Server) -> String {
    let Credentials::V2 { client_id, client_secret } = server.simulator().tenant("one").unwrap().credentials.clone()
    else {
        panic!()
    };
    let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = ask(&format!("{}/oauth/token", server.api_url), "POST", kind, &form);
    assert_eq!(answer.status, 200);
    serde_json::from_slice::<Value>(&answer.body).unwrap()["access_token"].as_str().unwrap().to_owned()
}

fn list(server: &Server, token: &str, query: &str) -> Answer {
    let url = format!("{}/siem/v1/batch/events/cg?{query}", server.api_url);
    ask(&url, "GET", &format!("Authorization: Bearer {token}\r\n"), "")
}

#[test]
fn a_backlog_is_collected_over_two_listeners() {
    let settings = settings();
    let (clock, hand) = Clock::manual(settings.start_ms);
    let server = Server::start(Simulator::new(settings).unwrap(), clock).unwrap();
    assert_ne!(server.api_url, server.storage_url);
    let token = token(&server);
    let (mut bodies, mut cursor) = (Vec::new(), String::new());
    loop {
        let next = if cursor.is_empty() { String::new() } else { format!("&nextPage={}", escape(&cursor)) };
        let page = list(&server, &token, &format!("type=receipt,delivery&dateRangeStartsAt=2025-05-01{next}"));
        assert_eq!(page.status, 200);
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        for file in page["value"].as_array().unwrap() {
            let url = file["url"].as_str().unwrap();
            assert!(url.starts_with(&server.storage_url), "{url}");
            let answer = ask(url, "GET", "", "");
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body.len() as u64, file["size"].as_u64().unwrap());
            assert!(!answer.head.contains("content-encoding"), "{}", answer.head);
            bodies.push(gunzip(&answer.body));
        }
        cursor = page["@nextPage"].as_str().unwrap().to_owned();
        hand.advance(10);
        if page["isCaughtUp"] == true {
            break;
        }
    }
    let simulator = server.simulator();
    let truth: std::collections::BTreeMap<_, _> = simulator
        .truth("one", server.now())
        .filter(|issued| ["receipt", "delivery"].contains(&issued.kind))
        .map(|issued| (issued.mark, issued.count))
        .collect();
    assert_eq!(marks(bodies), truth);
    assert!(simulator.count(Endpoint::Storage) > 10);
}

#[test]
fn the_api_listener_serves_no_files_and_the_storage_listener_no_api() {
    let settings = settings();
    let (clock, hand) = Clock::manual(settings.start_ms);
    let server = Server::start(Simulator::new(settings).unwrap(), clock).unwrap();
    let token = token(&server);
    let page = list(&server, &token, "type=receipt&dateRangeStartsAt=2025-06-01");
    let url = serde_json::from_slice::<Value>(&page.body).unwrap()["value"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(ask(&url.replace(&server.storage_url, &server.api_url), "GET", "", "").status, 404);
    assert_eq!(ask(&format!("{}/oauth/token", server.storage_url), "GET", "", "").status, 404);
    assert_eq!(ask(&url, "GET", "Authorization: Bearer x\r\n", "").status, 400);
    assert_eq!(ask(&url, "GET", "", "").status, 200);
    hand.advance(10 * MINUTE);
    assert_eq!(ask(&url, "GET", "", "").status, 403);
}

#[test]
fn connections_break_and_lengths_lie_when_told() {
    let settings = settings();
    let server =
        Server::start(Simulator::new(settings.clone()).unwrap(), Clock::starting_at(settings.start_ms)).unwrap();
    let token = token(&server);
    let page = list(&server, &token, "type=receipt&dateRangeStartsAt=2025-06-01");
    let file = serde_json::from_slice::<Value>(&page.body).unwrap()["value"][0].clone();
    let (url, size) = (file["url"].as_str().unwrap(), file["size"].as_u64().unwrap() as usize);
    let inject = |fault: Fault| server.simulator().inject("one", fault, When::First(1)).unwrap();

    inject(Fault::ConnectionCut { at: Endpoint::Storage, after: 100 });
    let cut = ask(url, "GET", "", "");
    assert!(cut.head.contains(&format!("content-length: {size}")), "{}", cut.head);
    assert_eq!((cut.status, cut.body.len()), (200, 100));

    inject(Fault::WrongContentLength);
    let lie = ask(url, "GET", "", "");
    assert!(lie.head.contains(&format!("content-length: {}", size + 1000)), "{}", lie.head);
    assert_eq!(lie.body.len(), size);

    inject(Fault::Slow { at: Endpoint::Storage, delay_ms: 300 });
    let begin = Instant::now();
    assert_eq!(ask(url, "GET", "", "").body.len(), size);
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[test]
fn the_real_clock_is_the_machines_and_a_dropped_server_is_gone() {
    let clock = Clock::real();
    assert!(clock.now() > 1_700_000_000_000);
    let settings = Settings { start_ms: clock.now(), ..settings() };
    let server = Server::start(Simulator::new(settings).unwrap(), clock).unwrap();
    let url = server.api_url.clone();
    assert_eq!(ask(&format!("{url}/nothing"), "GET", "", "").status, 404);
    drop(server);
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).is_err());
}
