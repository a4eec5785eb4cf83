use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use futures_util::StreamExt;

use tributary_tests::certificates::certificates;

use crate::events::{batch, deliver, id_in, ids, named, sink, some};
use crate::program::{Program, eventually, find, port};

/// A server with JetStream and one user.
fn server(folder: &std::path::Path, port: u16) -> Option<Program> {
    let program = find("nats-server")?;
    let text = format!(
        "listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{}\" }}\nmax_payload: 4096\nauthorization {{ user: u, password: hunter2 }}\n",
        folder.join("js").display()
    );
    let file = folder.join("nats.conf");
    fs::write(&file, text).unwrap();
    Some(Program::start(&program, folder, &["-c", file.to_str().unwrap()], &[port]))
}

fn lines(port: u16, more: &str) -> String {
    format!(
        "type = \"nats\"\nurl = \"nats://127.0.0.1:{port}\"\nauth = {{ strategy = \"user_password\", user = \"u\", password = \"hunter2\" }}\n{more}"
    )
}

#[tokio::test]
async fn jetstream_takes_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let port = port();
    let Some(_server) = server(folder.path(), port) else { return };
    let wrong = lines(port, "").replace("hunter2", "hunter3");
    let error = sink(&wrong).check().await.unwrap_err().to_string();
    assert!(error.contains("`auth`") && !error.contains("hunter3"), "{error}");

    let sink = sink(&lines(port, "max_in_flight = 7"));
    sink.check().await.unwrap();
    let batches = some();
    let error = deliver(&*sink, &batches).await.unwrap_err().to_string();
    assert!(error.contains("Make a stream that takes the sink's `subject`"), "{error}");

    let options = async_nats::ConnectOptions::new().user_and_password("u".into(), "hunter2".into());
    let client = options.connect(format!("127.0.0.1:{port}")).await.unwrap();
    let context = jetstream::new(client);
    let config = stream::Config { name: "LOGS".into(), subjects: vec!["tributary.>".into()], ..Default::default() };
    let stream = context.create_stream(config).await.unwrap();
    assert_eq!(deliver(&*sink, &batches).await.unwrap(), (0, 0));
    // As after a crash: the same events, in other company.
    let mut again = batches.clone();
    again.reverse();
    again.push(batch("acme", "siem/receipt", 40..45));
    assert_eq!(deliver(&*sink, &again).await.unwrap(), (ids(&batches).len(), 0));

    let all = ids(&again);
    let consumer = stream.create_consumer(consumer::pull::Config::default()).await.unwrap();
    let mut messages = consumer.fetch().max_messages(1000).expires(Duration::from_secs(5)).messages().await.unwrap();
    let (mut found, mut subjects, mut count) = (BTreeSet::new(), BTreeSet::new(), 0);
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        let id = id_in(&message.payload);
        assert_eq!(message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().as_str(), format!("x:{id}"));
        subjects.insert(message.subject.to_string());
        found.insert(id);
        count += 1;
    }
    assert_eq!((count, &found), (all.len(), &all));
    let expected = ["tributary.Other_Ltd____/x.audit", "tributary.acme.audit", "tributary.acme.siem.receipt"];
    assert_eq!(subjects, expected.map(str::to_owned).into());

    // Another sink into the same stream, which may have other rules: nothing of it is known.
    let other = named("y", &lines(port, "subject = \"tributary.other\""));
    assert_eq!(deliver(&*other, &batches).await.unwrap(), (0, 0));
    assert_eq!(deliver(&*other, &batches).await.unwrap(), (ids(&batches).len(), 0));
}

#[tokio::test]
async fn what_is_too_long_for_the_server_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let port = port();
    let Some(server) = server(folder.path(), port) else { return };
    let options = async_nats::ConnectOptions::new().user_and_password("u".into(), "hunter2".into());
    let client = options.connect(format!("127.0.0.1:{port}")).await.unwrap();
    let config = stream::Config { name: "LOGS".into(), subjects: vec!["logs".into()], ..Default::default() };
    jetstream::new(client).create_stream(config).await.unwrap();
    let sink = sink(&lines(port, "subject = \"logs\""));
    sink.check().await.unwrap();
    let mut long = (*batch("acme", "audit", 0..3)).clone();
    let body = format!("{{\"metadata\":{{\"uid\":\"x\"}},\"text\":\"{}\"}}\n", "x".repeat(4096));
    let (begin, end) = (long.bodies.len() as u32, (long.bodies.len() + body.len()) as u32);
    long.bodies = [&long.bodies[..], body.as_bytes()].concat().into();
    long.events.push(tributary_host::deliver::Head { id: 7, begin, end, ..long.events[0].clone() });
    assert_eq!(deliver(&*sink, &[long.into()]).await.unwrap(), (0, 1));
    drop(server);
    let error = deliver(&*sink, &[batch("acme", "audit", 9..10)]).await.unwrap_err().to_string();
    assert!(error.contains("Check"), "{error}");
}

/// The pair that NATS's own documentation shows.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

#[tokio::test]
async fn over_tls_with_a_key() {
    let Some(program) = find("nats-server") else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let (port, path) = (port(), folder.path().display());
    let text = format!(
        "listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{path}/js\" }}\ntls {{ cert_file: \"{path}/server.pem\", key_file: \"{path}/server.key\" }}\nauthorization {{ users: [{{ nkey: {PUBLIC} }}] }}\n"
    );
    let file = folder.path().join("nats.conf");
    fs::write(&file, text).unwrap();
    let _server = Program::start(&program, folder.path(), &["-c", file.to_str().unwrap()], &[port]);
    let lines = |auth: &str, tls: &str| {
        format!("type = \"nats\"\nurl = \"tls://localhost:{port}\"\nauth = {{ {auth} }}\n{tls}")
    };
    let key = format!("strategy = \"nkey\", seed = \"{SEED}\"");
    let trusted = format!("tls.ca_file = \"{path}/ca.pem\"");
    sink(&lines(&key, &trusted)).check().await.unwrap();
    let error = sink(&lines(&key, "")).check().await.unwrap_err().to_string();
    assert!(error.contains("`tls.ca_file`") && !error.contains(SEED), "{error}");
    let token = "strategy = \"token\", token = \"hunter2\"";
    let error = sink(&lines(token, &trusted)).check().await.unwrap_err().to_string();
    assert!(error.contains("`auth`") && !error.contains("hunter2"), "{error}");
}

/// A client of the tests' own.
async fn client(port: u16) -> jetstream::Context {
    let options = async_nats::ConnectOptions::new().user_and_password("u".into(), "hunter2".into());
    jetstream::new(options.connect(format!("127.0.0.1:{port}")).await.unwrap())
}

async fn stored(context: &jetstream::Context) -> u64 {
    context.get_stream("LOGS").await.unwrap().get_info().await.unwrap().state.messages
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_in_the_middle_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let port = port();
    let Some(server) = server(folder.path(), port) else { return };
    let context = client(port).await;
    let config = stream::Config { name: "LOGS".into(), subjects: vec!["tributary.>".into()], ..Default::default() };
    context.create_stream(config).await.unwrap();
    let batches: Vec<_> = (0..40).map(|number| batch("acme", "siem", number * 500..(number + 1) * 500)).collect();
    let all = ids(&batches).len() as u64;

    // The server is killed.
    let slow = lines(port, "max_in_flight = 16");
    let first = tokio::spawn({
        let (sink, batches) = (sink(&slow), batches.clone());
        async move { deliver(&*sink, &batches).await }
    });
    eventually("some events in the stream", async || (stored(&context).await > 500).then_some(())).await;
    drop(server);
    let error = first.await.unwrap().unwrap_err();
    assert!(error.hint.is_some(), "{error}");

    // The host is.
    let _server = self::server(folder.path(), port).unwrap();
    let context = client(port).await;
    let before = stored(&context).await;
    assert!(before > 0 && before < all, "{before}");
    let second = tokio::spawn({
        let (sink, batches) = (sink(&slow), batches.clone());
        async move { deliver(&*sink, &batches).await }
    });
    eventually("more events in the stream", async || (stored(&context).await > before + 500).then_some(())).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled(), "in the middle");

    let (known, refused) = deliver(&*sink(&lines(port, "")), &batches).await.unwrap();
    assert!(known as u64 > before && refused == 0, "{known} {refused}");
    assert_eq!(stored(&context).await, all);
}
