use std::io::{Read, Write};
use std::net::TcpStream;

use tributary_tests::process::{Process, command, output, until};

use crate::BINARY;
use crate::site::{MINUTE, RIGHT, Site, TOKEN};

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
    assert_eq!(site.ask("GET /v1/sinks").json()["sinks"][0]["id"], "files");
    assert_eq!(site.ask("GET /v1/sources/nobody").status, 404);
    assert_eq!(site.ask("POST /v1/sources/acme/restart").status, 200);
    assert_eq!(site.ask("GET /v1/sources/acme/restart").status, 405);

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
fn a_connection_is_used_again_and_a_stop_is_told_to_probes() {
    let site = Site::new("");
    let process = site.run();
    let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let (mut text, mut piece) = (String::new(), [0; 1024]);
        while !text.contains("{\"ok\":true}\n") {
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
fn without_an_api_there_is_no_socket_and_verbs_say_so() {
    let site = Site::new("enabled = false");
    let process = Process::run(BINARY, &site.file());
    assert!(until(MINUTE, || process.log().contains("tributary runs")), "{}", process.log());
    assert!(TcpStream::connect(("127.0.0.1", site.port)).is_err());
    assert!(!site.folder.path().join("state/socket").exists());
    let file = site.file();
    output(&mut command(BINARY, &["--config", file.to_str().unwrap(), "tap"])).expect(69, &["no host runs"]);
}
