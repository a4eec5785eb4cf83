use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::tests::batch;
use super::*;
use crate::config::{self, Format, SinkKind};

/// With an endpoint, as a configuration gives them.
pub fn options(endpoint: &str) -> SyslogOptions {
    let text = format!(
        "[sources.acme]\ntype = \"mimecast\"\n[sinks.x]\ntype = \"syslog\"\ninputs = [\"*\"]\nendpoint = \"{endpoint}\"\ntimeouts.idle_secs = 1"
    );
    let mut loaded = config::parse(&text, Format::Toml, "test.toml", &|_| None).unwrap();
    let SinkKind::Syslog(options) = loaded.config.sinks.remove("x").unwrap().kind else { panic!() };
    *options
}

async fn listen() -> (TcpListener, Syslog) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Syslog::new(options(&format!("tcp://{}", listener.local_addr().unwrap()))).unwrap();
    (listener, sink)
}

/// The texts of so many messages, framed by their lengths.
async fn texts(socket: &mut TcpStream, messages: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..messages {
        let mut len = 0;
        loop {
            match socket.read_u8().await.unwrap() {
                b' ' => break,
                digit => len = len * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; len];
        socket.read_exact(&mut message).await.unwrap();
        let message = String::from_utf8(message).unwrap();
        texts.push(message.rsplit_once("] ").unwrap().1.to_owned());
    }
    texts
}

#[tokio::test]
async fn one_connection_for_all_deliveries() {
    let (listener, sink) = listen().await;
    sink.check().await.unwrap();
    let answers = sink.deliver(&[batch("t", "s", &["{1}", "{2}"]), batch("t", "s", &["{3}"])]).await.unwrap();
    assert_eq!(answers, []);
    sink.deliver(&[batch("t", "s", &["{4}"])]).await.unwrap();
    sink.close().await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    assert_eq!(texts(&mut socket, 4).await, ["{1}", "{2}", "{3}", "{4}"]);
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0, "and then it is closed");
    assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_receiver_that_left_is_noticed_before_anything_is_written() {
    let (listener, sink) = listen().await;
    sink.deliver(&[batch("t", "s", &["{1}"])]).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    assert_eq!(texts(&mut socket, 1).await, ["{1}"]);
    drop(socket);
    tokio::time::sleep(Duration::from_millis(50)).await;
    sink.deliver(&[batch("t", "s", &["{2}"])]).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    assert_eq!(texts(&mut socket, 1).await, ["{2}"], "on another connection");
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_gets_all_of_it_again() {
    let (listener, sink) = listen().await;
    let long = format!("\"{}\"", "x".repeat(900_000));
    let batches: Vec<_> = (0..20).map(|_| batch("t", "s", &[long.as_str()])).collect();
    let error = sink.deliver(&batches).await.unwrap_err();
    assert!(error.to_string().contains("nothing was taken for 1s"), "{error}");
    let (_silent, _) = listener.accept().await.unwrap();
    let (delivered, received) = tokio::join!(sink.deliver(&batches), async {
        let (mut socket, _) = listener.accept().await.unwrap();
        texts(&mut socket, 20).await.len()
    });
    assert_eq!((delivered.unwrap(), received), (vec![], 20));
}

#[tokio::test]
async fn a_delivery_that_nobody_waits_for_leaves_no_half_message() {
    let (listener, sink) = listen().await;
    let long = format!("\"{}\"", "x".repeat(900_000));
    let batches: Vec<_> = (0..20).map(|_| batch("t", "s", &[long.as_str()])).collect();
    let waited = tokio::time::timeout(Duration::from_millis(100), sink.deliver(&batches)).await;
    assert!(waited.is_err());
    let (_first, _) = listener.accept().await.unwrap();
    sink.deliver(&[batch("t", "s", &["{1}"])]).await.unwrap();
    let (mut second, _) = listener.accept().await.unwrap();
    assert_eq!(texts(&mut second, 1).await, ["{1}"]);
}

#[tokio::test]
async fn what_is_too_long_is_refused_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let sink = Syslog::new(SyslogOptions { max_message_bytes: 480, ..options(&endpoint) }).unwrap();
    let long = format!("\"{}\"", "x".repeat(480));
    let answers = sink.deliver(&[batch("t", "s", &["{1}"]), batch("t", "s", &["{2}", &long])]).await.unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].batch, answers[0].event), (1, 1));
    let (mut socket, _) = listener.accept().await.unwrap();
    assert_eq!(texts(&mut socket, 2).await, ["{1}", "{2}"]);
    // Nothing is left to send, and nothing is sent.
    assert_eq!(sink.deliver(&[batch("t", "s", &[&long])]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_an_error_that_says_what_to_do() {
    let (listener, sink) = listen().await;
    drop(listener);
    let error = sink.check().await.unwrap_err().to_string();
    assert!(error.contains("no connection to 127.0.0.1:") && error.contains("`endpoint`"), "{error}");
    sink.deliver(&[batch("t", "s", &["{1}"])]).await.unwrap_err();
}
