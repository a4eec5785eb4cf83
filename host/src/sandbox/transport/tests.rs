use std::io::{Read, Write};
use std::net::TcpListener;

use http_body_util::BodyExt;

use super::*;

/// To loopback.
fn transport() -> Arc<dyn Transport> {
    let way = Way {
        source: "test".into(),
        egress: Arc::new(Egress::new(["http://127.0.0.1"]).unwrap().allowing(["127.0.0.0/8".parse().unwrap()])),
        settings: &NetworkSettings::default(),
        notes: Arc::default(),
    };
    Sockets::new().transport(&way).unwrap()
}

/// What a server that answers just these bytes, and closes the connection in order, is heard to say.
async fn heard(answer: &'static [u8]) -> Result<Vec<u8>, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut piece = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..read]);
        }
        stream.write_all(answer).unwrap();
    });
    let empty = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::builder().uri(format!("http://127.0.0.1:{port}/file")).body(empty).unwrap();
    let response = transport().send(request, RequestOptions::default()).await.unwrap();
    let body = response.into_body().collect().await;
    server.join().unwrap();
    body.map(|body| body.to_bytes().to_vec()).map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn a_body_that_is_shorter_than_was_said_has_broken_off() {
    let whole = heard(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345").await;
    assert_eq!(whole.as_deref(), Ok(&b"12345"[..]));
    let whole = heard(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n").await;
    assert_eq!(whole.as_deref(), Ok(&b"12345"[..]));
    for short in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n12345"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ] {
        let error = heard(short).await.unwrap_err();
        assert!(error.contains("HttpResponseIncomplete"), "{error}");
    }
    // Without either, the end of the connection is the end of the body: what broke off, its reader must notice.
    assert_eq!(heard(b"HTTP/1.1 200 OK\r\n\r\n123").await.as_deref(), Ok(&b"123"[..]));
}
