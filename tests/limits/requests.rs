//! Requests that smuggle: what the guest asks for, and what arrives at a socket.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tributary_host::config::network::NetworkSettings;
use tributary_host::sandbox::{GuestError, Limits, Network, Sockets, Way};

use crate::hostile::{asks, body, context, egress, pull, pull_with};

/// A server that keeps what it is sent, byte by byte, and answers each whole request with 200.
struct Wire {
    url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { url, received }
    }

    /// What the guest says of a request that it tries to make, and what has arrived by then.
    async fn send(&self, mut request: Value) -> (Value, String) {
        self.received.lock().unwrap().clear();
        request["behaviour"] = json!("request");
        request["url"] = json!(self.url);
        let policy = Arc::new(egress(Some(&self.url)));
        let (settings, notes) = (NetworkSettings::default(), Arc::default());
        let way = Way { source: "test".into(), egress: policy, settings: &settings, notes };
        let context = context(Some(&self.url), Sockets::new().transport(&way).unwrap());
        let told = body(&pull_with(&context, Limits::default(), &request).await.unwrap());
        // What is on its way may arrive.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let received = self.received.lock().unwrap().concat();
        (told, received)
    }
}

async fn serve(mut stream: TcpStream, kept: Arc<Mutex<Vec<String>>>) {
    let (mut buffer, mut request) = (vec![0; 64 << 10], String::new());
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let piece = String::from_utf8_lossy(&buffer[..length]).into_owned();
        kept.lock().unwrap().push(piece.clone());
        request += &piece;
        let Some((head, rest)) = request.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let whole = if head.contains("transfer-encoding") {
            rest.ends_with("0\r\n\r\n")
        } else {
            rest.len() >= promised.unwrap_or(0)
        };
        if whole {
            request.clear();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// How often a header stands in what was received.
fn headers(received: &str, name: &str) -> Vec<String> {
    let lines = received.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_cannot_be_smuggled() {
    let wire = Wire::new().await;
    let host = wire.url.strip_prefix("http://").unwrap().to_owned();
    for (name, value, accepted) in [
        ("x-lawful", "1", true),
        ("authorization", "Bearer x", true),
        ("x-lawful", "tab\tand \u{e4}", true),
        ("x-long", &"a".repeat(8 << 10), true),
        ("x-split", "a\r\nx-evil: 1", false),
        ("x-split", "a\nx-evil: 1", false),
        ("x-split", "a\rx-evil: 1", false),
        ("x-split", "a\0", false),
        ("x-split\r\nx-evil", "1", false),
        ("x-split: 1\r\nx-evil", "1", false),
        ("x split", "1", false),
        ("", "1", false),
        ("host", "evil.example", false),
        ("Host", "evil.example", false),
        ("transfer-encoding", "chunked", false),
        ("Transfer-Encoding", "identity", false),
        ("connection", "close", false),
        ("keep-alive", "timeout=1", false),
        ("upgrade", "h2c", false),
        ("proxy-authorization", "Basic eA==", false),
        ("proxy-connection", "close", false),
        ("http2-settings", "x", false),
    ] {
        let (told, received) = wire.send(json!({ "headers": [[name, value]] })).await;
        assert_eq!(told["headers"], json!([accepted]), "{name:?}: {value:?}");
        // The request goes without what was refused.
        assert_eq!(told["sent"], "200", "{name:?}: {value:?}");
        assert_eq!(headers(&received, "host"), [host.as_str()], "{received}");
        assert!(!received.to_ascii_lowercase().contains("evil"), "{received}");
        let arrived = received.matches("HTTP/1.1\r\n").count();
        assert_eq!(arrived, 1, "{received}");
        if accepted {
            assert_eq!(headers(&received, name), [value]);
        } else if !name.eq_ignore_ascii_case("host") {
            assert_eq!(headers(&received, name), Vec::<String>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_line_cannot_be_smuggled() {
    let wire = Wire::new().await;
    let long_path = format!("/{}", "a".repeat(8_000));
    for (part, lawful) in [("path", "/a?b=c%0d%0a"), ("path", long_path.as_str()), ("method", "GET")] {
        let (told, received) = wire.send(json!({ part: lawful })).await;
        assert_eq!((&told[part], &told["sent"]), (&json!(true), &json!("200")), "{lawful}: {told}");
        assert!(received.contains(lawful), "{received}");
    }
    // The host keeps these outside of the guest's memory.
    for (part, length) in [("path", 70_000), ("method", 65), ("authority", 1_025)] {
        let (told, _) = wire.send(json!({ part: "/".repeat(usize::from(part == "path")) + &"a".repeat(length) })).await;
        assert_eq!(told[part], false, "{part} of {length} bytes");
    }
    for (part, evil) in [
        ("path", "/ HTTP/1.1\r\nx-evil: 1\r\n\r\n"),
        ("path", "/a b"),
        ("path", "/\nx-evil: 1"),
        ("method", "GET / HTTP/1.1\r\nx-evil: 1\r\n\r\nGET"),
        ("method", "G T"),
        ("method", "CONNECT"),
        ("authority", "evil.example"),
        ("authority", "127.0.0.1:1@evil.example"),
        ("authority", "evil.example\r\nx-evil: 1"),
        ("authority", "evil.example/a"),
    ] {
        let (told, received) = wire.send(json!({ part: evil })).await;
        if told[part] == false {
            // It was not taken over, and the request goes as it was.
            assert_eq!(
                (&told["sent"], received.matches("HTTP/1.1\r\n").count()),
                (&json!("200"), 1),
                "{part} {evil:?}"
            );
            assert!(received.starts_with("GET / HTTP/1.1\r\n") && !received.contains("evil"), "{received}");
        } else {
            assert_ne!(told["sent"], "200", "{part} {evil:?}: {told}");
            assert_eq!(received, "", "{part} {evil:?}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_is_what_it_says() {
    let wire = Wire::new().await;
    let post = |lengths: &[&str], body: Option<&str>| {
        let headers: Vec<Value> = lengths.iter().map(|length| json!(["content-length", length])).collect();
        json!({ "method": "POST", "headers": headers, "body": body })
    };
    let (told, received) = wire.send(post(&["5"], Some("12345"))).await;
    assert_eq!(told["sent"], "200", "{told}");
    assert!(received.ends_with("\r\n\r\n12345"), "{received}");
    let (told, received) = wire.send(post(&[], Some("12345"))).await;
    assert_eq!(told["sent"], "200", "{told}");
    assert_eq!(headers(&received, "transfer-encoding"), ["chunked"], "{received}");
    for (lengths, body) in [
        (&["3"][..], Some("12345")),
        (&["9"], Some("12345")),
        (&["5"], None),
        (&["5", "5"], Some("12345")),
        (&["5", "0"], Some("12345")),
        (&["+5"], Some("12345")),
        (&["5, 5"], Some("12345")),
        (&["0x5"], Some("12345")),
    ] {
        let (told, received) = wire.send(post(lengths, body)).await;
        println!("{lengths:?} {body:?}: {told}, {received:?}");
        if told["headers"].as_array().unwrap().contains(&json!(false)) {
            // The last was not taken over, and the request goes as it was.
            assert_eq!(told["sent"], "200", "{lengths:?}: {told}");
            let framed = [headers(&received, "content-length"), headers(&received, "transfer-encoding")].concat();
            assert_eq!(framed, [if lengths.len() > 1 { "5" } else { "chunked" }], "{lengths:?}: {received}");
            continue;
        }
        assert_ne!(told["sent"], "200", "{lengths:?} {body:?}: {received}");
        // A part may have gone, but nothing beyond the length that was said: that would be another request.
        let sent = received.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        assert!(sent <= lengths[0].parse().unwrap_or(0), "{lengths:?}: {received}");
    }
    // The way is free for others.
    assert_eq!(wire.send(json!(asks("request", 0))).await.0["sent"], "200");
}

/// An instance lives as long as its stream has more, so nothing may stay of a request. The runtime's own handler keeps the
/// time-outs of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_outs_that_a_component_asks_for_leave_no_handle_behind() {
    let times = 3 * Limits::default().handles as u64;
    let mut configuration = asks("answers", times);
    configuration["wait_ms"] = json!(1_000);
    let told = body(&pull(Limits::default(), configuration).await.unwrap());
    assert_eq!(told, json!({ "bytes": 10 * times, "errors": [] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_outs_that_a_component_asks_for_hold() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It never answers.
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let (settings, notes) = (NetworkSettings::default(), Arc::default());
    let way = Way { source: "test".into(), egress: Arc::new(egress(Some(&url))), settings: &settings, notes };
    let context = context(Some(&url), Sockets::new().transport(&way).unwrap());
    let mut configuration = asks("answers", 1);
    (configuration["url"], configuration["wait_ms"]) = (json!(url), json!(300));
    let begun = std::time::Instant::now();
    let told = body(&pull_with(&context, Limits::default(), &configuration).await.unwrap());
    assert!(told["errors"][0].as_str().unwrap().contains("HttpResponseTimeout"), "{told}");
    assert!(begun.elapsed() < settings.timeouts.first_byte / 2, "{:?}", begun.elapsed());
    silent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_only_so_long() {
    let with = async |length: usize| {
        let mut configuration = asks("request", 0);
        configuration["headers"] = json!([["x-long", "a".repeat(length)], ["x-more", "a".repeat(length)]]);
        pull(Limits::default(), configuration).await
    };
    let Err(GuestError::Limit(limit)) = with(17 << 10).await else { panic!("they were kept") };
    assert_eq!((limit.name, limit.figure.as_str()), ("bytes of a request's headers", "32 KiB"));
    assert_eq!(body(&with(15 << 10).await.unwrap())["sent"], "200");
}
