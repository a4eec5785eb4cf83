//! Each time-out bounds what its name says, and nothing else.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tributary_host::config::network::{NetworkSettings, TimeoutSettings};
use tributary_host::sandbox::{RequestOptions, TransportError};

use crate::far::{Client, FakeNames, Server};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const OPTIONS: RequestOptions = RequestOptions { connect: ms(10_000), first_byte: ms(700), between_bytes: ms(700) };

fn client() -> Client {
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    Client { options: OPTIONS, ..Client::new(&NetworkSettings::default(), &names) }
}

/// Reads the head of a request.
async fn asked(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

/// Sends `text` byte for byte, with a pause before each; whether somebody still listens.
async fn drip(stream: &mut TcpStream, text: &[u8], pause: Duration) -> bool {
    for byte in text {
        tokio::time::sleep(pause).await;
        if stream.write_all(&[*byte]).await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_server_that_drips_is_heard_to_the_end() {
    let server = Server::raw(|mut stream| async move {
        asked(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n").await.unwrap();
        drip(&mut stream, b"twenty bytes, slowly", ms(100)).await;
    })
    .await;
    let begun = Instant::now();
    let answer = client().get(&format!("http://a.test:{}/", server.port)).await.unwrap();
    assert_eq!(answer.1, "twenty bytes, slowly");
    assert!(begun.elapsed() > 2 * OPTIONS.between_bytes, "it took longer than any pause may");
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let server = Server::raw(|mut stream| async move {
        asked(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf of it").await.unwrap();
        tokio::time::sleep(ms(60_000)).await;
    })
    .await;
    let answer = client().head(&format!("http://a.test:{}/", server.port)).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(&body.frame().await.unwrap().unwrap().into_data().unwrap()[..], b"half of it");
    // A reader that pauses is not the server's fault.
    tokio::time::sleep(2 * OPTIONS.between_bytes).await;
    let begun = Instant::now();
    let error = format!("{:?}", body.frame().await.unwrap().unwrap_err());
    assert!(error.contains("ConnectionReadTimeout"), "{error}");
    assert!((ms(600)..ms(5_000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn headers_that_never_end_are_no_answer() {
    let server = Server::raw(|mut stream| async move {
        asked(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while drip(&mut stream, b"x-more: and more\r\n", ms(50)).await {}
    })
    .await;
    let begun = Instant::now();
    let error = client().get(&format!("http://a.test:{}/", server.port)).await.unwrap_err();
    assert_eq!(error, TransportError::ResponseTimeout(OPTIONS.first_byte));
    assert!(begun.elapsed() < ms(5_000), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn headers_without_measure_are_refused_before_they_fill_the_memory() {
    let server = Server::raw(|mut stream| async move {
        asked(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        let line = [&b"x-more: "[..], &[b'x'; 4_000], b"\r\n"].concat();
        while stream.write_all(&line).await.is_ok() {}
    })
    .await;
    let client = Client { options: RequestOptions { first_byte: ms(60_000), ..OPTIONS }, ..client() };
    let error = client.get(&format!("http://a.test:{}/", server.port)).await.unwrap_err();
    assert!(!matches!(error, TransportError::ResponseTimeout(_)), "{error:?}");
    assert!(client.notes.counts().received_bytes < 4 << 20, "{:?}", client.notes.counts());
}

#[tokio::test]
async fn the_time_to_connect_does_not_count_against_the_answer() {
    let server = Server::plain().await;
    let slow = FakeNames::slow(ms(1_200));
    let client = Client { options: OPTIONS, ..Client::new(&NetworkSettings::default(), &slow) };
    let url = format!("http://a.test:{}/", server.port);
    assert_eq!(client.get(&url).await.unwrap().0, 200, "longer than the first byte may take, but before it");
    // And names have to come within the time to connect.
    let hasty = Client {
        options: RequestOptions { connect: ms(300), ..OPTIONS },
        ..Client::new(&NetworkSettings::default(), &slow)
    };
    assert_eq!(hasty.get(&url).await.unwrap_err(), TransportError::ConnectTimeout(ms(300)));
}

#[tokio::test]
async fn what_a_component_wishes_holds_within_what_the_operator_sets() {
    let silent = Server::raw(|mut stream| async move {
        asked(&mut stream).await;
        tokio::time::sleep(ms(60_000)).await;
    })
    .await;
    let half = Server::raw(|mut stream| async move {
        asked(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf of it").await.unwrap();
        tokio::time::sleep(ms(60_000)).await;
    })
    .await;
    let slow = FakeNames::slow(ms(60_000));
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    let timeouts = TimeoutSettings { connect: ms(600), first_byte: ms(700), idle: ms(800) };
    let settings = NetworkSettings { timeouts, ..NetworkSettings::default() };
    let silence = RequestOptions::default();
    let long = RequestOptions { connect: ms(20_000), first_byte: ms(20_000), between_bytes: ms(20_000) };
    let short = RequestOptions { connect: ms(150), first_byte: ms(150), between_bytes: ms(150) };
    for (options, factor) in [(silence, None), (long, None), (short, Some(ms(150)))] {
        let reaching = |names| Client { options, ..Client::new(&settings, names) };
        let error = reaching(&slow).get(&format!("http://a.test:{}/", silent.port)).await.unwrap_err();
        assert_eq!(error, TransportError::ConnectTimeout(factor.unwrap_or(timeouts.connect)));
        let client = reaching(&names);
        let error = client.get(&format!("http://a.test:{}/", silent.port)).await.unwrap_err();
        assert_eq!(error, TransportError::ResponseTimeout(factor.unwrap_or(timeouts.first_byte)));
        let begun = Instant::now();
        client.get(&format!("http://a.test:{}/", half.port)).await.unwrap_err();
        let expected = factor.unwrap_or(timeouts.idle);
        assert!((expected..expected + ms(3_000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_idled_is_replaced() {
    let server = Server::raw(|mut stream| async move {
        // One answer, and it hangs up a moment later without a word.
        if asked(&mut stream).await {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            tokio::time::sleep(ms(100)).await;
        }
    })
    .await;
    let client = client();
    let url = format!("http://a.test:{}/", server.port);
    for _ in 0..3 {
        assert_eq!(client.get(&url).await.unwrap().1, "ok");
        tokio::time::sleep(ms(300)).await;
    }
    assert_eq!((server.connections(), client.notes.counts().connections), (3, 3));
}
