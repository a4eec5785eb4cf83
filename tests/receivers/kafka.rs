use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::events::{deliver, id_in, ids, sink, some};
use crate::program::{Program, find, port};

fn broker(folder: &std::path::Path, port: u16) -> Option<Program> {
    let program = find("tansu")?;
    let url = format!("tcp://127.0.0.1:{port}");
    let arguments = ["--listener-url", &url, "--advertised-listener-url", &url, "--storage-engine", "memory://tansu/"];
    Some(Program::start(&program, folder, &arguments, &[port]))
}

fn client(port: u16) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", format!("127.0.0.1:{port}")).set("group.id", "nobody");
    config
}

async fn make_topics(port: u16, names: &[&str]) {
    let admin: AdminClient<DefaultClientContext> = client(port).create().unwrap();
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1))).collect();
    for made in admin.create_topics(&topics, &AdminOptions::new()).await.unwrap() {
        made.unwrap();
    }
}

/// Ids by topic, as often as they are there, until so many messages have come.
fn read_back(port: u16, topics: &[&str], count: usize) -> BTreeMap<String, Vec<String>> {
    let consumer: BaseConsumer = client(port).create().unwrap();
    let mut list = TopicPartitionList::new();
    for topic in topics {
        list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (begun, mut seen) = (Instant::now(), 0);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut quiet = 0;
    // A little longer than needed, to see what should not be there.
    while (seen < count || quiet < 10) && begun.elapsed() < Duration::from_secs(60) {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            quiet += 1;
            continue;
        };
        let message = message.unwrap();
        let id = id_in(message.payload().unwrap());
        assert_eq!(message.key().unwrap(), id.as_bytes());
        let header = message.headers().unwrap().get(0);
        assert_eq!((header.key, header.value), ("tributary-id", Some(id.as_bytes())));
        assert!(message.timestamp().to_millis().unwrap() >= 1_795_132_800_000);
        found.entry(message.topic().to_owned()).or_default().push(id);
        seen += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_takes_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = port();
    let Some(_broker) = broker(folder.path(), port) else { return };
    let topics = ["logs.acme.audit", "logs.acme.siem_receipt", "logs.Other_Ltd._.._x.audit"];
    make_topics(port, &topics).await;
    for (number, compression) in ["none", "gzip", "lz4", "zstd"].into_iter().enumerate() {
        let sink = sink(&format!(
            "type = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{port}\"\ntopic = \"logs.{{tenant}}.{{stream}}\"\ncompression = \"{compression}\""
        ));
        sink.check().await.unwrap();
        let batches = some();
        assert_eq!(deliver(&*sink, &batches).await.unwrap(), (0, 0), "{compression}");
        let all = ids(&batches);
        let found = read_back(port, &topics, all.len() * (number + 1));
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), {
            let mut topics = topics.to_vec();
            topics.sort_unstable();
            topics
        });
        let mut every: Vec<String> = found.into_values().flatten().collect();
        assert_eq!(every.len(), all.len() * (number + 1), "{compression}: each once by each sink");
        every.sort_unstable();
        every.dedup();
        assert_eq!(every, all.into_iter().collect::<Vec<_>>(), "{compression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_an_error_that_says_what_to_do() {
    let port = port();
    let sink = sink(&format!("type = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{port}\""));
    let error = sink.check().await.unwrap_err().to_string();
    assert!(error.contains("`bootstrap_servers`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_speaks_no_tls_is_an_error_that_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let _ = socket.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let lines = format!("type = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{port}\"");
    let error = sink(&format!("{lines}\ntls.enabled = true")).check().await.unwrap_err().to_string();
    assert!(error.contains("Check that the port speaks TLS"), "{error}");
    let error = sink(&lines).check().await.unwrap_err().to_string();
    assert!(!error.contains("TLS"), "{error}");
}
