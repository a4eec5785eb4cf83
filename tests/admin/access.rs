use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tributary_tests::process::{Process, command, output, until};

use crate::BINARY;
use crate::site::{MINUTE, RIGHT, Site, TOKEN, exchange};

#[test]
fn over_tcp_the_token_opens_all_and_without_it_there_are_probes_alone() {
    let site = Site::new("hosts = [\"logs.example.com\"]");
    let process = site.run();
    let host = ("Host", "localhost");
    for line in ["GET /v1/sources", "GET /v1/tap", "GET /v1/state/export", "POST /v1/sources/acme/restart", "GET /none"]
    {
        for wrong in [&[host][..], &[host, ("Authorization", "Bearer wrong")], &[host, ("Cookie", TOKEN)]] {
            let answer = site.ask_with(line, wrong);
            assert_eq!(answer.status, 401, "{line} {wrong:?}");
            assert!(
                answer.head.contains("www-authenticate: bearer") && answer.body.contains("api.token"),
                "{answer:?}"
            );
        }
    }
    assert_eq!(site.ask_with(&format!("GET /v1/sources?token={TOKEN}"), &[host]).status, 401);
    for line in ["GET /health", "GET /ready"] {
        let answer = site.ask_with(line, &[host]);
        assert_eq!((answer.status, answer.body.trim()), (200, r#"{"ok":true}"#), "{line}");
    }
    let answer = site.ask("GET /v1/sources");
    assert_eq!((answer.status, &answer.json()["sources"][0]["id"]), (200, &"acme".into()));
    assert!(answer.head.contains("nosniff") && answer.head.contains("no-store"), "{answer:?}");
    let position =
        |line: &str, at: &str| site.ask(line).json().pointer(at).and_then(|it| it.as_str().map(str::to_owned));
    let listed = || position("GET /v1/sources", "/sources/0/streams/0/position");
    assert!(until(MINUTE, || listed().is_some()), "{answer:?}");
    let stored = position("GET /v1/sources/acme", "/stored/0/summary/position");
    assert_eq!(listed(), stored, "as text, in both");
    assert!(stored.is_some_and(|text| text.starts_with('{')));
    assert_eq!(site.ask("GET /v1/sinks").json()["sinks"][0]["id"], "files");
    assert_eq!(site.ask("GET /v1/sources/nobody").status, 404);
    assert_eq!(site.ask("POST /v1/sources/acme/restart").status, 200);
    for (line, methods) in [
        ("GET /v1/sources/acme/restart", "post"),
        ("GET /v1/replays", "post"),
        ("POST /v1/state/export", "get, head"),
        ("DELETE /", "get, head"),
        ("DELETE /sources/acme/check", "get, head, post"),
    ] {
        let answer = site.ask(line);
        assert_eq!(answer.status, 405, "{line}");
        assert!(answer.head.contains(&format!("\r\nallow: {methods}\r\n")), "{line}: {answer:?}");
    }

    // A page of another site makes a browser ask; and the host's own page does.
    let token = RIGHT[1];
    for (host, origin, status) in [
        ("localhost", "http://localhost", 200),
        ("logs.example.com", "https://logs.example.com", 200),
        ("localhost", "http://evil.example", 403),
        ("localhost", "null", 403),
        ("evil.example", "http://evil.example", 403),
    ] {
        let line = "POST /v1/sources/acme/restart";
        let answer = site.ask_with(line, &[("Host", host), ("Origin", origin), token]);
        assert_eq!(answer.status, status, "{host} {origin}");
        // Who comes through the socket may be a browser too.
        assert_eq!(site.ask_socket(line, &[("Host", host), ("Origin", origin)]).status, status, "{host} {origin}");
    }
    assert_eq!(site.ask_with("GET /health", &[("Host", "evil.example")]).status, 403);
    assert_eq!(site.ask_socket("GET /v1/sources", &[("Host", "localhost:9000")]).status, 200);
    let log = process.kill();
    assert!(!log.contains(TOKEN) && log.contains("wrong token") && log.contains("the API listens"), "{log}");
}

#[test]
fn a_connection_is_used_again_by_who_shows_the_token() {
    let site = Site::new("");
    let process = site.run();
    let mut stream = site.connect();
    for _ in 0..3 {
        let head = format!("GET /v1/sinks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let (mut text, mut piece) = (String::new(), [0; 1024]);
        while !text.ends_with("]}\n") {
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "{text}");
            text += std::str::from_utf8(&piece[..length]).unwrap();
        }
    }
    process.signal("TERM");
    let (status, _) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0));
}

#[test]
fn strangers_keep_no_probe_out() {
    let site = Site::new("");
    let _process = site.run();
    // More than there are places. Each asks what anybody may ask, again and again.
    let asking: Vec<_> = (0..80).map(|_| site.connect()).collect();
    let silent: Vec<_> = (0..80).map(|_| site.connect()).collect();
    let (ended, end) = channel::<()>();
    let answer = thread::scope(|scope| {
        let asking = &asking;
        scope.spawn(move || {
            while end.recv_timeout(Duration::from_millis(500)) == Err(RecvTimeoutError::Timeout) {
                for mut stream in asking {
                    // It may have had to make room already.
                    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
                }
            }
        });
        // All of them are before it.
        thread::sleep(Duration::from_secs(1));
        let answer = exchange(site.connect(), "GET /health", &[("Host", "localhost")]);
        drop(ended);
        answer
    });
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{answer:?}");
    // Whoever says nothing has made room, the oldest first.
    let mut oldest = &silent[0];
    assert!(matches!(oldest.read(&mut [0]), Ok(0) | Err(_)));
    // Who has shown the token stays.
    let wrong = site.ask_with("GET /", &[("Host", "localhost"), ("Authorization", "Bearer wrong")]);
    assert_eq!(wrong.status, 401);
    assert_eq!(site.ask("GET /v1/sources").status, 200);
}

#[test]
fn who_drains_is_healthy_and_not_ready() {
    // It takes what it is given, and says nothing to it: the host waits for it when it ends.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new("");
    let sink = format!(
        "[sinks.silent]\ninputs = [\"acme\"]\ntype = \"http\"\nuri = \"http://{}/\"\nhealthcheck.enabled = false\n",
        silent.local_addr().unwrap()
    );
    site.configure(&sink);
    let process = site.run();
    let (mut connection, _) = silent.accept().unwrap();
    connection.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(site.ask("GET /ready").status, 200);
    process.signal("TERM");
    assert!(until(MINUTE, || site.ask("GET /ready").status == 503), "{}", process.log());
    assert_eq!(site.ask("GET /health").status, 200);
    // It is taken at last, though never answered.
    drop((connection, silent));
    process.signal("TERM");
    let (_, log) = process.wait(MINUTE);
    assert!(log.contains("stopping: finishing what was pulled"), "{log}");
}

#[test]
fn without_an_api_there_is_no_socket_and_verbs_say_so() {
    let site = Site::new("enabled = false");
    let process = Process::run(BINARY, &site.file());
    assert!(until(MINUTE, || process.log().contains("tributary runs")), "{}", process.log());
    assert!(!process.log().contains("the API listens"), "{}", process.log());
    assert!(!site.folder.path().join("state/socket").exists());
    let file = site.file();
    output(&mut command(BINARY, &["--config", file.to_str().unwrap(), "tap"])).expect(69, &["api.enabled = false"]);
}
